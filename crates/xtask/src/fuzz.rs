//! `cargo xtask fuzz`: every fuzz target of `fuzz/`, for as long as one likes. What breaks a promise
//! stands in `fuzz/artifacts/TARGET`, and goes into `fuzz/corpus/TARGET` once it is mended.
//!
//! A stable compiler and one for C++ are all that it needs: code is instrumented by flags that are
//! stable, and without the address sanitizer, which is for unsafe code and of which we have none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

/// What to feed, and for how long.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this target
    target: Option<String>,
    /// For how many seconds each
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// For as long as a gate has time: a minute for what all of a tenant's bytes go through, less for
    /// the others
    #[arg(long, conflicts_with = "seconds")]
    gate: bool,
}

/// What gets a minute in the gate: what strangers write goes through it first.
const WELL: [&str; 2] = ["admission", "check"];
const WELL_SECONDS: u64 = 60;
/// And for how long the others run there.
const BRIEFLY_SECONDS: u64 = 20;

/// In seconds: an input that takes longer hangs. Code for fuzzing is many times slower than what
/// ships, and the machine may be busy.
const LONGEST: u64 = 5;

/// In MiB: an input that takes more is a bomb.
const MEMORY: u64 = 1024;

/// What a coverage guided fuzzer needs to be told by the code, in the flags that `cargo fuzz` gives.
const INSTRUMENTED: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// Feeds the targets, as many at once as there are cores.
///
/// # Errors
/// If there is no such target, it cannot be built, or an input breaks a promise.
pub fn run(arguments: &Arguments) -> Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let fuzz = fuzz.canonicalize().context("cannot find `fuzz`")?;
    let mut targets = targets(&fuzz)?;
    if let Some(wanted) = &arguments.target {
        targets.retain(|target| target == wanted);
        ensure!(
            !targets.is_empty(),
            "there is no fuzz target `{wanted}` in `fuzz/fuzz_targets`"
        );
    }
    let built = build(&fuzz, &targets)?;
    let seconds = |target: &str| match arguments.gate {
        true if WELL.contains(&target) => WELL_SECONDS,
        true => BRIEFLY_SECONDS,
        false => arguments.seconds,
    };
    // The longest first, so that the cores end together.
    targets.sort_by_key(|target| (u64::MAX - seconds(target), target.clone()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (mut running, mut broken) = (Vec::new(), Vec::new());
    let mut waiting = targets.into_iter();
    loop {
        while running.len() < cores
            && let Some(target) = waiting.next()
        {
            let seconds = seconds(&target);
            println!("{target}: {seconds} s");
            running.push(Feeding::start(&fuzz, &built, target, seconds)?);
        }
        if running.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        let mut still = Vec::new();
        for mut feeding in running {
            match feeding.child.try_wait()? {
                None => still.push(feeding),
                Some(status) if status.success() => println!("{}", feeding.summary()?),
                Some(_) => {
                    println!("{}: broken\n{}", feeding.target, feeding.tail()?);
                    broken.push(feeding.target);
                }
            }
        }
        running = still;
    }
    ensure!(
        broken.is_empty(),
        "what broke {} is in `fuzz/artifacts`",
        broken.join(", ")
    );
    Ok(())
}

fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(fuzz.join("fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        targets.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    ensure!(
        !targets.is_empty(),
        "there is no target in `fuzz/fuzz_targets`"
    );
    Ok(targets)
}

/// Builds the targets; the folder that they are in.
fn build(fuzz: &Path, targets: &[String]) -> Result<PathBuf> {
    // What is fuzzed is what ships: the versions are those of the workspace.
    fs::copy(fuzz.join("../Cargo.lock"), fuzz.join("Cargo.lock"))
        .context("cannot copy `Cargo.lock`")?;
    // Named, the host is a target like any other, and build scripts stay as they are.
    let version = Command::new("rustc").arg("-vV").output();
    let version = version.context("cannot start `rustc`")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    let folder = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder).join("fuzz"),
        None => fuzz.join("target"),
    };
    let started = Instant::now();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--release", "--target", host])
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\u{1f}"))
        .current_dir(fuzz);
    for target in targets {
        cargo.args(["--bin", target]);
    }
    let status = cargo.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the fuzz targets cannot be built (they need a C++ compiler)");
    }
    println!("built in {} s", started.elapsed().as_secs());
    Ok(folder.join(host).join("release"))
}

/// A target at work.
struct Feeding {
    target: String,
    child: Child,
    log: PathBuf,
}

impl Feeding {
    fn start(fuzz: &Path, built: &Path, target: String, seconds: u64) -> Result<Self> {
        // New inputs go into a folder of their own: the corpus holds what somebody has looked at.
        let found = fuzz.join("found").join(&target);
        let artifacts = fuzz.join("artifacts").join(&target);
        for folder in [&found, &artifacts] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make `{}`", folder.display()))?;
        }
        let log = built.join(format!("{target}.log"));
        let written = File::create(&log).context("cannot write the fuzzer's log")?;
        let child = Command::new(built.join(&target))
            .arg(&found)
            .arg(fuzz.join("corpus").join(&target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={LONGEST}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .stdin(Stdio::null())
            .stdout(written.try_clone()?)
            .stderr(written)
            .spawn()
            .with_context(|| format!("cannot start the fuzz target `{target}`"))?;
        Ok(Self { target, child, log })
    }

    /// How many inputs it was fed, in the fuzzer's words.
    fn summary(&self) -> Result<String> {
        let log = fs::read_to_string(&self.log)?;
        let last = |with: &str| log.lines().rfind(|line| line.contains(with));
        let (done, state) = (last("Done "), last("cov:"));
        let done = done.with_context(|| format!("`{}` has not run to its end", self.target))?;
        let state = state.with_context(|| format!("`{}` has covered nothing", self.target))?;
        Ok(format!("{}: {done}; {}", self.target, state.trim()))
    }

    /// The end of the log, where it says what broke.
    fn tail(&self) -> Result<String> {
        let bytes = fs::read(&self.log)?;
        let log = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(60);
        Ok(lines.get(from..).unwrap_or_default().join("\n"))
    }
}

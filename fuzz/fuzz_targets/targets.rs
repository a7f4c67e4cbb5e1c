//! A method and a raw target → one reading, which reads the same once it is printed.
//!
//! `cargo xtask fuzz targets` runs it; what it finds goes into `corpus/targets`. CI reads all that is
//! there: `cargo test -p bulkhead-scope corpus`.
#![no_main]

use bulkhead_scope::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let Ok(read) = parse(method, target) else {
        return;
    };
    let printed = read.target();
    assert!(printed.bytes().all(|byte| byte.is_ascii_graphic()), "{printed}");
    assert_eq!(parse(read.verb().method(), &printed), Ok(read), "{printed}");
});

//! Compares the decoder with Go's on samples from `go run . fuzz` or `go run . mutants`.
//!
//! What the decoder takes, Go must take and understand alike. What Go takes and the decoder
//! refuses is counted, and shown if the first argument is `refused`. Damage may leave a quantity
//! that Go would spell otherwise, `1e4` for its `10e3`: such a sample differs, and may.

use std::io::BufRead;
use std::process::ExitCode;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Sample {
    protobuf: String,
    json: Option<Value>,
    #[serde(default)]
    error: String,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let show_refused = std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == "refused");
    let (mut same, mut refused_by_both, mut refused_here, mut different) = (0, 0, 0, 0);
    for line in std::io::stdin().lock().lines() {
        let sample: Sample = serde_json::from_str(&line?)?;
        let body = BASE64_STANDARD.decode(&sample.protobuf)?;
        match (bulkhead_protobuf::to_json(&body), &sample.json) {
            (Ok(ours), Some(theirs)) if ours == *theirs => same += 1,
            (Ok(ours), theirs) => {
                different += 1;
                eprintln!(
                    "ours {ours}\ngo's {}\n",
                    theirs.as_ref().map_or(sample.error, Value::to_string)
                );
            }
            (Err(_), None) => refused_by_both += 1,
            (Err(error), Some(_)) => {
                refused_here += 1;
                if show_refused {
                    eprintln!("{error}");
                }
            }
        }
    }
    println!(
        "{same} alike, {refused_by_both} refused by both, {refused_here} refused only here, {different} different"
    );
    Ok(if different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

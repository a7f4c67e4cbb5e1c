//! The `bulkhead` binary.

fn main() -> std::process::ExitCode {
    bulkhead_cli::main()
}

//! The end-to-end tests; see the library for what they need.

fn main() -> std::process::ExitCode {
    bulkhead_e2e::main()
}

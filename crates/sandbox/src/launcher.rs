//! Runs a program that the kernel kills when the supervisor is gone, however the supervisor went.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Turns this process into the program. Returns only if that fails.
///
/// `parent` is the process that the program must not outlive: the one that started this process.
#[must_use]
pub fn exec(parent: u32, program: &OsString, args: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The signal is sent for a death from here on. A parent that died before shows in the parent
    // that we have now.
    if getppid().map(Pid::as_raw_pid) != i32::try_from(parent).ok() {
        return io::Error::other(format!("process {parent} is not, or no longer, the parent"));
    }
    // The program would take a name from the path that it is run by.
    let name = std::path::Path::new(program).file_name().unwrap_or(program);
    let name = if program == crate::protocol::THIS_PROGRAM {
        "bulkhead".as_ref()
    } else {
        name
    };
    Command::new(program).arg0(name).args(args).exec()
}

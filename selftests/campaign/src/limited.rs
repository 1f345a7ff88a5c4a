// SPDX-License-Identifier: GPL-2.0

//! Runs a command that a faulty driver may never let return, not even when it is killed: `timeout`
//! of the system would wait for it for ever. Nothing is polled: a tick of the guest's is dear in an emulator.

use std::process::{exit, Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// The status for a command that had to be killed, as that of `timeout`.
const KILLED: u8 = 124;
/// The status for one that could not even be killed.
const STUCK: u8 = 126;
/// How long a killed command may take to end: longer, and the kernel does not let go of it.
const LAST: Duration = Duration::from_secs(2);

/// `limited`: runs `command` for `seconds` at most. Returns its status; 124 if it had to be
/// killed, 126 if it is still there then, 125 if it could not be begun.
pub fn run(seconds: &str, command: &str, arguments: &[&str]) -> ExitCode {
    let Ok(seconds) = seconds.parse() else {
        return ExitCode::from(125);
    };
    let mut child = match Command::new(command).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("side-campaign: {command}: {error}");
            return ExitCode::from(125);
        }
    };
    let killed = Arc::new(AtomicBool::new(false));
    let (number, note) = (child.id().to_string(), killed.clone());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        note.store(true, Ordering::Relaxed);
        // It may be gone by now; then the other thread ends all.
        let _ = Command::new("/usr/bin/busybox")
            .args(["kill", "-9", &number])
            .status();
        std::thread::sleep(LAST);
        exit(STUCK.into());
    });
    match child.wait() {
        Ok(_) if killed.load(Ordering::Relaxed) => ExitCode::from(KILLED),
        Ok(status) => ExitCode::from(status.code().unwrap_or(1) as u8),
        Err(_) => ExitCode::from(125),
    }
}

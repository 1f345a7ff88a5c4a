// SPDX-License-Identifier: GPL-2.0

//! Runs a command that a faulty driver may never let return, not even when it is killed: `timeout`
//! of the system would wait for it for ever.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The status for a command that had to be killed, as that of `timeout`.
const KILLED: u8 = 124;
/// The status for one that could not even be killed.
const STUCK: u8 = 126;
/// Between two looks at the command.
const LOOK: Duration = Duration::from_millis(3);
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
    let mut deadline = Instant::now() + Duration::from_secs(seconds);
    let mut killed = false;
    loop {
        match child.try_wait() {
            Ok(Some(_)) if killed => return ExitCode::from(KILLED),
            Ok(Some(status)) => return ExitCode::from(status.code().unwrap_or(1) as u8),
            Ok(None) => {}
            Err(_) => return ExitCode::from(125),
        }
        if Instant::now() >= deadline {
            if killed {
                return ExitCode::from(STUCK);
            }
            // It may be gone by now; the next look says so.
            let _ = child.kill();
            killed = true;
            deadline = Instant::now() + LAST;
        }
        std::thread::sleep(LOOK);
    }
}

// SPDX-License-Identifier: GPL-2.0

//! The tools of the fault-injection campaign. `scripts/campaign` runs them; Documentation/campaign.md
//! says what a campaign is.
//!
//! `plan` chooses the faults, on the host. In the guest `write` puts one into the driver, `drive` sends
//! the traffic of a trial, whose other end, `outside`, runs beside the emulator, and `limited` runs what
//! may never come back. `peer` is that other end as a program of the guest, for what measures and injects no
//! fault (selftests/measure/recovery.sh).

// Shifts before the other operators of bits: everywhere in this project.
#![allow(clippy::precedence)]

#[path = "../../../fault_handler/mod.rs"]
mod fault_handler;
// A binary uses less of it than the library crate of the host tests.
#[allow(unused_imports)]
#[path = "../../../import_rewriter/mod.rs"]
mod import_rewriter;

mod driver;
mod faults;
mod limited;
mod outside;
mod plan;
mod random;
mod traffic;

use std::process::ExitCode;

const USAGE: &str = "usage: side-campaign plan DRIVER OUT_DIR SEED FIRST COUNT [COVERAGE_FILE]
       side-campaign outside REPORT_FILE
       side-campaign peer ADDRESS:PORT
       side-campaign drive ADDRESS:PORT COUNT [STATE_FILE]
       side-campaign write DRIVER CHANGES OUT_FILE
       side-campaign limited SECONDS COMMAND [ARGUMENT]...";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["plan", driver, out, seed, first, count, coverage @ ..] if coverage.len() < 2 => {
            plan::run(driver, out, [seed, first, count], coverage.first().copied())
        }
        ["outside", report] => outside::run(report),
        ["peer", address] => traffic::peer(address),
        ["drive", address, count] => traffic::drive(address, count, None),
        ["drive", address, count, state] => traffic::drive(address, count, Some(state)),
        ["write", driver, changes, out] => plan::write(driver, changes, out),
        ["limited", seconds, command, arguments @ ..] => {
            return limited::run(seconds, command, arguments);
        }
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side-campaign: {error}");
            ExitCode::FAILURE
        }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! The tools of the fault-injection campaign. `scripts/campaign` runs them; Documentation/campaign.md
//! says what a campaign is.
//!
//! `plan` chooses the faults, on the host; `peer` and `drive` are the two ends of the traffic that
//! runs during a trial, in the guest.

#[path = "../../../fault_handler/mod.rs"]
mod fault_handler;
// A binary uses less of it than the library crate of the host tests.
#[allow(unused_imports)]
#[path = "../../../import_rewriter/mod.rs"]
mod import_rewriter;

mod driver;
mod faults;
mod plan;
mod random;
mod traffic;

use std::process::ExitCode;

const USAGE: &str = "usage: side-campaign plan DRIVER OUT_DIR SEED FIRST COUNT [COVERAGE_LOG]
       side-campaign peer ADDRESS:PORT REPORT_FILE
       side-campaign drive ADDRESS:PORT MILLISECONDS [first]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["plan", driver, out, seed, first, count, coverage @ ..] if coverage.len() < 2 => {
            plan::run(driver, out, [seed, first, count], coverage.first().copied())
        }
        ["peer", address, report] => traffic::peer(address, report),
        ["drive", address, time] => traffic::drive(address, time, false),
        ["drive", address, time, "first"] => traffic::drive(address, time, true),
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

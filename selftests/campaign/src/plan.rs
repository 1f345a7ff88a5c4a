// SPDX-License-Identifier: GPL-2.0

//! Chooses the faults of a campaign and writes them down as a list of bytes to change.

use crate::driver::Driver;
use crate::faults::{Fault, KINDS};
use crate::random::Random;
use std::error::Error;
use std::fmt::Write;

/// Of a hundred code faults, those that go to code that the load is known to execute.
const COVERED: usize = 85;

/// `plan`: writes OUT/base.ko and OUT/plan.tsv, a line a trial: trial, kind, whether the load
/// executes the place (yes, no, unknown), function, what was changed, and the changes as
/// OFFSET:HEX joined by commas.
pub fn run(
    driver: &str,
    out: &str,
    numbers: [&&str; 3],
    coverage: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let [seed, first, count] = numbers.map(|text| text.parse::<u64>());
    let (seed, first, count) = (seed?, first?, count?);
    let driver = Driver::read(driver, coverage)?;
    let mut text = String::new();
    for trial in first..first + count {
        let fault = choose(&driver, seed, trial).ok_or("no place for a fault")?;
        let active = match (fault.covered, driver.profiled) {
            (Some(true), true) => "yes",
            (Some(false), true) => "no",
            _ => "unknown",
        };
        let changes: Vec<String> = fault
            .changes
            .iter()
            .map(|(offset, bytes)| {
                let mut text = format!("{offset}:");
                for byte in bytes {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{byte:02x}");
                }
                text
            })
            .collect();
        writeln!(
            text,
            "{trial}\t{}\t{active}\t{}\t{}\t{}",
            fault.kind,
            fault.place,
            fault.what,
            changes.join(",")
        )?;
    }
    std::fs::create_dir_all(out)?;
    std::fs::write(format!("{out}/base.ko"), &driver.bytes)?;
    std::fs::write(format!("{out}/plan.tsv"), text)?;
    Ok(())
}

/// `write`: a copy of the file `driver` with the changes of a line of the plan, as `out`.
pub fn write(driver: &str, changes: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let mut bytes = std::fs::read(driver)?;
    for change in changes.split(',') {
        let (offset, hex) = change.split_once(':').ok_or("a change is OFFSET:HEX")?;
        let offset: usize = offset.parse()?;
        for n in 0..hex.len() / 2 {
            let place = bytes.get_mut(offset + n).ok_or("a change lies outside")?;
            let digits = hex.get(2 * n..2 * n + 2).ok_or("not hexadecimal")?;
            *place = u8::from_str_radix(digits, 16)?;
        }
    }
    Ok(std::fs::write(out, bytes)?)
}

/// The fault of one trial: the kinds take turns, the place is random.
fn choose(driver: &Driver, seed: u64, trial: u64) -> Option<Fault> {
    let mut random = Random::of_trial(seed, trial);
    for turn in 0..KINDS.len() as u64 {
        let kind = &KINDS[((trial + turn) % KINDS.len() as u64) as usize];
        if let Some(fault) = kind.choose(driver, &mut random, COVERED) {
            return Some(fault);
        }
    }
    None
}

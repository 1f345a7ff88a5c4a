// SPDX-License-Identifier: GPL-2.0

//! Recovery: after a death the driver is loaded afresh into a new domain, which takes over what
//! users see of the old one. `fault_handler/recovery.rs` decides, `driver.rs` keeps the state,
//! `side_stubs/handlers/adopt.rs` and `kept.rs` hold what passes over; here is the order of things.
//!
//! One deferred call per recovery runs all of it, in process context. It takes the lock of loading
//! for each attempt and for nothing else, so that an unload never waits for a back-off.

use crate::call::Violation;
use crate::domain::Domain;
use crate::driver::{Driver, Source};
use crate::fault_handler::recovery::Decision;
use crate::fault_handler::watch::Keeping;
use crate::ledger;
use crate::lifecycle;
use crate::load;
use crate::report::Death;
use crate::side_stubs::handlers::net::NetDevice;
use crate::side_stubs::handlers::transmit;
use crate::sys::cpu;
use crate::sys::defer::{self, Reserved, LOADING};
use crate::sys::trace;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The longest wait for the link of a restarted driver, in ms.
const LINK_MAX_MS: u32 = 10_000;
/// How long a write to `restart` waits for its outcome, in ms.
const REQUEST_MAX_MS: u32 = 120_000;

/// The recovery of the driver whose domain `dead` has been buried. Process context.
pub(crate) fn recover(dead: &Arc<Domain>) {
    let Some(driver) = dead.driver().cloned() else {
        return;
    };
    let name = dead.name();
    wait_for_upcalls(dead);
    let mut quiet = driver.take_request();
    loop {
        let after_ms = match quiet {
            true => 0,
            false => match driver.decide() {
                Decision::Restart { after_ms } => after_ms,
                Decision::GiveUp => return give_up(&driver, name),
            },
        };
        quiet = false;
        if after_ms != 0 {
            pr_info!("{name}: restart in {after_ms} ms\n");
        }
        if !wait(&driver, after_ms) {
            return;
        }
        let begin = cpu::now();
        let attempt = {
            let _serial = LOADING.lock();
            if !driver.recovers() {
                return;
            }
            // A transition began after the wait: it has to end first.
            if defer::is_asleep() {
                quiet = true;
                continue;
            }
            attempt(&driver, dead)
        };
        match attempt {
            Ok(domain) => {
                let took = cpu::now().saturating_sub(begin) / 1_000_000;
                pr_info!("{name}: loaded afresh in {took} ms\n");
                return settle(&driver, &domain);
            }
            Err(error) => pr_err!("{name}: restart failed (error {})\n", error.to_errno()),
        }
    }
}

/// Waits `ms` milliseconds for the next attempt. False: it is not wanted any more.
fn wait(driver: &Driver, ms: u64) -> bool {
    let end = cpu::now() + ms * 1_000_000;
    let mut turns = 0u32;
    while cpu::now() < end || defer::is_asleep() {
        if turns % 32 == 0 {
            driver.kept.each_interface(|one| one.touch_watchdog());
        }
        turns = turns.wrapping_add(1);
        cpu::sleep_ms(20);
        if !driver.recovers() {
            return false;
        }
    }
    driver.recovers()
}

fn wait_for_upcalls(domain: &Domain) {
    while domain.active() > 0 {
        cpu::kick_all();
        cpu::sleep_ms(1);
    }
}

fn give_up(driver: &Driver, name: &str) {
    if driver.fail() {
        driver.kept.each_interface(|one| one.give_up());
        pr_err!(
            "{name}: {} deaths in {} s: left down; write to /sys/kernel/side/{name}/restart to try again\n",
            driver.recent_deaths(),
            driver.policy().window_ms / 1000
        );
    }
}

/// One attempt. LOADING is held. On success the driver runs in the domain that is returned, and its
/// interfaces are still quiet; after an error nothing of the attempt is left.
fn attempt(driver: &Arc<Driver>, dead: &Domain) -> Result<Arc<Domain>> {
    driver.kept.each_interface(|one| one.touch_watchdog());
    let (trial, source) = match driver.take_next() {
        Some(next) => next,
        None => {
            let source = driver.source();
            (load::reload(&dead.image, &source.params)?, source)
        }
    };
    trial.set_driver(driver);
    trial.inherit(dead);
    let result = start(driver, &trial);
    match result {
        Ok(()) if driver.run(&trial, source) => {
            let left = driver
                .kept
                .unregister(|interface| !interface.is_claimed_by(&trial));
            if left != 0 {
                pr_warn!("{}: {left} interfaces did not come back\n", trial.name());
            }
            driver.kept.drop_clocks();
            Ok(trial)
        }
        result => {
            let value = match result {
                Err(error) => i64::from(error.to_errno()) as u64,
                Ok(()) => 0,
            };
            trial.end(Death::failed_restart(value));
            lifecycle::bury(&trial);
            wait_for_upcalls(&trial);
            driver.attempt_failed(&trial);
            Err(result.err().unwrap_or(EIO))
        }
    }
}

/// Runs `init_module` of the trial and hands the interfaces over to it.
fn start(driver: &Driver, trial: &Arc<Domain>) -> Result {
    let status = lifecycle::initialise(trial);
    if status < 0 {
        return Err(Error::from_errno(status));
    }
    if trial.is_dead() {
        return Err(EIO);
    }
    if let Some(device) = driver.kept.unprobed(trial.number, None) {
        pr_err!("{}: {}: not taken back\n", trial.name(), device.name());
        return Err(ENODEV);
    }
    each_quiet(trial, |device| device.hand_over())
}

/// Calls `f` for each interface of `domain` that has been adopted and is still quiet.
fn each_quiet(domain: &Domain, mut f: impl FnMut(&Arc<NetDevice>) -> Result) -> Result {
    for (_, device) in domain.net.devices.iter() {
        if device.veil.is_quiet() {
            f(&device)?;
        }
    }
    Ok(())
}

/// Waits for the links of a restarted driver and lets its queues run.
fn settle(driver: &Driver, domain: &Arc<Domain>) {
    let mut waited = 0;
    loop {
        let mut left = 0;
        let _ = each_quiet(domain, |device| {
            if device.is_ready() || waited >= LINK_MAX_MS {
                device.lift();
            } else {
                left += 1;
                if waited % 512 == 0 {
                    device.real.touch_watchdog(device.tx_queues);
                }
            }
            Ok(())
        });
        if domain.is_dead() || driver.is_stopping() {
            return;
        }
        if left == 0 {
            break;
        }
        cpu::sleep_ms(1);
        waited += 1;
    }
    let outage = driver.note_outage();
    trace::recovery(domain.name(), outage);
    let outage = outage / 1_000_000;
    let count = driver.recoveries.load(Ordering::Relaxed);
    pr_info!(
        "{}: recovered (number {count}) {outage} ms after the death\n",
        domain.name()
    );
}

/// Looks once a second at what the driver of `domain` holds, for as long as it is loaded, and ends
/// the domain that holds too much. Process context; a deferred call of its own.
pub(crate) fn watch(domain: Arc<Domain>) {
    let Some(driver) = domain.driver().cloned() else {
        return;
    };
    // The first domain may end long before the driver is unloaded.
    drop(domain);
    let mut keeping = Keeping::default();
    loop {
        for _ in 0..10 {
            cpu::sleep_ms(100);
            if driver.is_stopping() {
                return;
            }
        }
        cpu::choose_stopwatch();
        let Some(domain) = driver.domain().filter(|domain| !domain.is_dead()) else {
            continue;
        };
        let (limits, held) = (driver.limits(), ledger::held(&domain));
        let ends = |rule, value| domain.breach("watchdog", Violation::new(rule, value));
        if let Some((rule, value)) = limits.check(&held) {
            ends(rule, value);
        }
        let next = transmit::turn_now();
        let kept = keeping.look(
            cpu::now(),
            domain.number,
            held.to_send,
            next,
            limits.sent_ms,
        );
        if let Some(kept) = kept {
            ends("transmit-stall", kept);
        }
        if let Some(silent) = domain.net.silence_ms(limits.silence_ms) {
            ends("receive-stall", silent);
        }
    }
}

/// A user's restart, with the file at `path` if there is one. Process context; waits for the outcome.
///
/// Errors: what loading another file gives, with the driver untouched; EINVAL for the file of another
/// driver; EBUSY while a recovery is in progress; ENODEV while an unload is; EIO if it failed.
pub(crate) fn restart(driver: &Arc<Driver>, path: Option<&[u8]>) -> Result {
    let before = driver.recoveries.load(Ordering::Relaxed);
    if driver.recovers() {
        return Err(EBUSY);
    }
    let revival = Reserved::new()?;
    if let Some(path) = path {
        let params = driver.source();
        let source = Source::new(path, &params.params)?;
        let present = driver.domain().ok_or(ENODEV)?;
        let domain = load::successor(&present.image, path, &params.params)?;
        driver.set_next(Some((domain, source.clone())));
    }
    driver.forget_deaths();
    let present = driver.domain().ok_or(ENODEV)?;
    let wanted = driver.next_source();
    if driver.revive() {
        revival.later(present, |dead| recover(&dead));
    } else if driver.is_stopping() || !present.end(Death::requested()) {
        driver.set_next(None);
        return Err(if driver.is_stopping() { ENODEV } else { EBUSY });
    }
    for _ in 0..REQUEST_MAX_MS / 10 {
        cpu::sleep_ms(10);
        if driver.is_stopping() {
            return Err(ENODEV);
        }
        if !driver.recovers() {
            break;
        }
    }
    let came_back = driver.recoveries.load(Ordering::Relaxed) != before;
    // The old file runs again if the new one did not start.
    let right_file = wanted.is_none_or(|wanted| Arc::ptr_eq(&wanted, &driver.source()));
    match came_back && right_file {
        true => Ok(()),
        false => Err(EIO),
    }
}

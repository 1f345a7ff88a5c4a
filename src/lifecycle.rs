// SPDX-License-Identifier: GPL-2.0

//! Birth and death of domains: load, run `init_module`, unload, and what follows a death.
//!
//! Everything that a driver holds is given back in one order, whatever it was doing: first the
//! device is silenced (bus mastering and interrupts off), then nothing new can start (interrupts,
//! timers, work), then the interfaces go, then DMA mappings and the PCI resources, and the memory
//! last, when no upcall is in progress any more.

use crate::control;
use crate::domain::Domain;
use crate::driver::{Driver, Source};
use crate::dump;
use crate::load;
use crate::report;
use crate::run::{self, Context};
use crate::supervisor;
use crate::sys::defer::{self, Reserved, LOADING};
use crate::sys::{cpu, trace};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// SIDE is being removed: nothing is loaded any more. Under LOADING.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Loads the driver file at `path` with the driver's own parameters `params`, and runs its
/// `init_module`. Process context. Errors: those of [`load::load`], EEXIST if a driver of its name
/// is loaded, ENODEV if SIDE is being removed, and what `init_module` returns. Nothing is left behind after an error.
pub(crate) fn load(path: &[u8], params: &[u8]) -> Result {
    let _serial = LOADING.lock();
    // The write to `load` that calls this does not hold the module.
    if CLOSED.load(Ordering::Relaxed) {
        return Err(ENODEV);
    }
    let watch = Reserved::new()?;
    let domain = load::load(path, params)?;
    let driver = Driver::new(&domain, Source::new(path, params)?)?;
    control::add(&driver, domain.name()).inspect_err(|error| {
        driver.gone();
        if *error == EEXIST {
            pr_err!(
                "{}: a driver of this name is loaded already\n",
                domain.name()
            );
        }
    })?;
    // On a stack of its own: that of a task which loads SIDE with a driver is a third full by now, and the
    // driver's registering of its device takes most of the rest.
    let mut status = 0;
    defer::elsewhere(&mut || status = initialise(&domain));
    if status >= 0 && !driver.run(&domain, driver.source()) {
        status = EIO.to_errno();
    }
    if status < 0 {
        pr_err!("{}: init_module failed (error {status})\n", domain.name());
        driver.stop();
        finish(&driver, &domain);
        return Err(Error::from_errno(status));
    }
    pr_info!("{}: runs in ring 3\n", domain.name());
    watch.later(domain, supervisor::watch);
    Ok(())
}

/// Runs the `init_module` of the modules that the driver needs, then its own. Returns the first
/// error, or what the last returned. Process context.
pub(crate) fn initialise(domain: &Arc<Domain>) -> i32 {
    let mut status = 0;
    for init in domain.image.inits() {
        status = match run::upcall(domain, "init_module", init, &[], Context::Process) {
            Ok(value) => value as i32,
            Err(_) => EIO.to_errno(),
        };
        if status < 0 {
            break;
        }
    }
    status
}

/// Unloads a driver in order: its `cleanup_module` runs if the domain lives, then whatever is left
/// is given back. Process context.
pub(crate) fn unload(driver: &Arc<Driver>) -> Result {
    let _serial = LOADING.lock();
    let domain = driver.stop().ok_or(ENOENT)?;
    for exit in domain.image.exits() {
        // A domain that is dead, or dies in one exit function, runs no other.
        let _ = run::upcall(&domain, "cleanup_module", exit, &[], Context::Process);
    }
    finish(driver, &domain);
    pr_info!("{}: unloaded\n", domain.name());
    Ok(())
}

/// From here on nothing is loaded: the module is being removed. Process context.
pub(crate) fn close() {
    let _serial = LOADING.lock();
    CLOSED.store(true, Ordering::Relaxed);
}

/// Unloads all drivers, for the removal of the module.
pub(crate) fn unload_all() {
    while let Some(driver) = control::any() {
        if unload(&driver).is_err() {
            break;
        }
    }
    crate::side_stubs::handlers::dma::end_all_quarantine();
}

/// Gives everything back and drops the driver from the list.
fn finish(driver: &Arc<Driver>, domain: &Arc<Domain>) {
    bury(domain);
    // Upcalls of a dead domain leave at their next exit, which an interrupt brings about.
    while domain.active() > 0 {
        cpu::kick_all();
        cpu::sleep_ms(1);
    }
    driver.kept.drop_all();
    control::remove(driver);
    driver.gone();
}

/// Gives back what the domain holds, or waits until whoever began that is done. Process context.
pub(crate) fn bury(domain: &Arc<Domain>) {
    if domain.begin_burial() {
        release(domain);
        domain.end_burial();
        return;
    }
    while !domain.is_released() {
        cpu::kick_all();
        cpu::sleep_ms(1);
    }
}

/// Gives back what the driver holds, in the promised order; what users see of a dead driver stays
/// for the next domain, if there is to be one. Process context.
fn release(domain: &Arc<Domain>) {
    if !domain.is_dead() {
        // A driver that forgot to unregister is taken off its devices while it can still be asked.
        domain.pci.unregister(domain);
    }
    domain.pci.silence(domain);
    domain.irq.release(domain);
    domain.timer.release(domain);
    domain.work.release(domain);
    domain.net.release(domain);
    domain.ptp.release(domain);
    domain.pm.release(domain);
    domain.lock.release(domain);
    domain.pool.release(domain);
    domain.dma.release(domain);
    domain.pci.release(domain);
}

/// Prints the report of a death for which the stack had no room.
fn report_late(domain: &Domain) {
    if domain.unreported.swap(false, Ordering::AcqRel) {
        report::print(domain);
    }
}

/// Called once, by whoever found the first cause, in any context but hard interrupts.
pub(crate) fn on_death(domain: &Arc<Domain>) {
    let requested = domain.with_cause(|death| death.is_some_and(|death| death.is_requested()));
    let recovers = domain
        .driver()
        .is_some_and(|driver| driver.note_death(domain, requested));
    domain.net.halt();
    if requested {
        pr_info!("{}: restart, as asked for\n", domain.name());
    } else {
        if let Some(driver) = domain.driver() {
            domain.with_cause(|death| death.map(|death| driver.note_fault(death)));
        }
        match cpu::stack_left() < report::STACK_LEAST {
            true => domain.unreported.store(true, Ordering::Release),
            false => report::print(domain),
        }
    }
    // The kernel makes other CPUs take an interrupt for a task only.
    if cpu::in_task() && !cpu::irqs_disabled() {
        cpu::kick_all();
    }
    let burial = match recovers {
        true => |domain: Arc<Domain>| {
            report_late(&domain);
            cpu::kick_all();
            dump::offer(&domain);
            bury(&domain);
            pr_info!(
                "{}: what the driver held is given back; its interfaces wait for the next\n",
                domain.name()
            );
            supervisor::recover(&domain);
        },
        false => |domain: Arc<Domain>| {
            report_late(&domain);
            cpu::kick_all();
            dump::offer(&domain);
            bury(&domain);
            trace::recovery(domain.name(), cpu::now().wrapping_sub(domain.died()));
            pr_info!(
                "{}: everything that the driver held is given back\n",
                domain.name()
            );
        },
    };
    domain.funeral.later(domain.clone(), burial);
}

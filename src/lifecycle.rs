// SPDX-License-Identifier: GPL-2.0

//! Birth and death of domains: load, run `init_module`, unload, and what follows a death.
//!
//! Everything that a driver holds is given back in one order, whatever it was doing: first the
//! device is silenced (bus mastering and interrupts off), then nothing new can start (interrupts,
//! timers, work), then the interfaces go, then DMA mappings and the PCI resources, and the memory
//! last, when no upcall is in progress any more.

use crate::control;
use crate::domain::Domain;
use crate::load;
use crate::report;
use crate::run::{self, Context};
use crate::sys::cpu;
use crate::sys::defer::{self, LOADING};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Loads the driver file at `path` with the driver's own parameters `params`, and runs its
/// `init_module`. Process context. Errors: those of [`load::load`], EEXIST if a driver of its name
/// is loaded, and what `init_module` returns. Nothing is left behind after an error.
pub(crate) fn load(path: &[u8], params: &[u8]) -> Result {
    let _serial = LOADING.lock();
    let domain = load::load(path, params)?;
    control::add(&domain).inspect_err(|error| {
        if *error == EEXIST {
            pr_err!(
                "{}: a driver of this name is loaded already\n",
                domain.name()
            );
        }
    })?;
    let result = match domain.image.init {
        Some(init) => run::upcall(&domain, "init_module", init, &[], Context::Process),
        None => Ok(0),
    };
    let status = match result {
        Ok(value) => value as i32,
        Err(_) => EIO.to_errno(),
    };
    if status < 0 {
        pr_err!("{}: init_module failed (error {status})\n", domain.name());
        domain.stop();
        finish(&domain);
        return Err(Error::from_errno(status));
    }
    pr_info!("{}: runs in ring 3\n", domain.name());
    Ok(())
}

/// Unloads a driver in order: its `cleanup_module` runs if the domain lives, then whatever is left
/// is given back. Process context.
pub(crate) fn unload(domain: &Arc<Domain>) -> Result {
    let _serial = LOADING.lock();
    if control::find(domain.name().as_bytes()).is_none() {
        return Err(ENOENT);
    }
    domain.stop();
    if let (Some(exit), false) = (domain.image.exit, domain.is_dead()) {
        let _ = run::upcall(domain, "cleanup_module", exit, &[], Context::Process);
    }
    finish(domain);
    pr_info!("{}: unloaded\n", domain.name());
    Ok(())
}

/// Unloads all drivers, for the removal of the module.
pub(crate) fn unload_all() {
    while let Some(domain) = control::any() {
        if unload(&domain).is_err() {
            break;
        }
    }
    crate::side_stubs::handlers::dma::end_all_quarantine();
}

/// Gives everything back and drops the domain from the list.
fn finish(domain: &Arc<Domain>) {
    // A burial in progress must be over: it releases the same things.
    defer::flush();
    release(domain);
    // Upcalls of a dead domain leave at their next exit, which an interrupt brings about.
    while domain.active() > 0 {
        cpu::kick_all();
        cpu::sleep_ms(1);
    }
    control::remove(domain);
}

/// Gives back what the driver holds, in the promised order. Idempotent. Process context.
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
    domain.dma.release(domain);
    domain.pci.release(domain);
}

/// Called once, by whoever found the first cause, in any context but hard interrupts.
pub(crate) fn on_death(domain: &Arc<Domain>) {
    report::print(domain);
    // The kernel makes other CPUs take an interrupt for a task only.
    if cpu::in_task() && !cpu::irqs_disabled() {
        cpu::kick_all();
    }
    defer::later(domain.clone(), |domain| {
        cpu::kick_all();
        release(&domain);
        pr_info!(
            "{}: everything that the driver held is given back\n",
            domain.name()
        );
    });
}

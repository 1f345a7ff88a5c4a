// SPDX-License-Identifier: GPL-2.0

//! A domain: one loaded driver with everything that it may touch and everything that it holds.

use crate::call::Violation;
use crate::image::Image;
use crate::memory::Memory;
use crate::side_stubs::handlers;
use crate::side_stubs::table;
use crate::sys::lock::BhLock;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Longest driver name kept, as `MODULE_NAME_LEN`.
pub(crate) const NAME_LEN: usize = 56;

/// One loaded driver. Upcalls, proxies and sysfs files hold references; the memory goes with the
/// last of them.
pub(crate) struct Domain {
    name: [u8; NAME_LEN],
    name_len: usize,
    /// Set once, by the first cause of death; nothing enters ring 3 after that.
    dead: AtomicBool,
    /// Set when the driver is being unloaded in order.
    stopping: AtomicBool,
    /// Upcalls in progress on any CPU.
    active: AtomicU32,
    /// The first cause.
    cause: BhLock<Option<crate::report::Death>>,
    /// Calls of each import, by its index.
    pub(crate) crossings: KVVec<AtomicU64>,
    /// Upcalls by name.
    pub(crate) upcalls: crate::counters::Upcalls,
    /// Imports that this driver names: a call of any other is a breach.
    pub(crate) imported: KVVec<AtomicBool>,
    /// Ring-3 time that one upcall may use, in ns: process context, atomic context.
    pub(crate) budget: [AtomicU64; 2],
    /// The recent crossings, for reports.
    pub(crate) recent: crate::counters::Recent,
    /// What is known of the driver file: sections, symbols, parameters.
    pub(crate) image: Image,
    // What the handlers keep, released by `release` in the promised order.
    pub(crate) pci: handlers::pci::State,
    pub(crate) dma: handlers::dma::State,
    pub(crate) irq: handlers::irq::State,
    pub(crate) net: handlers::net::State,
    pub(crate) skb: handlers::skb::State,
    pub(crate) timer: handlers::timer::State,
    pub(crate) work: handlers::work::State,
    pub(crate) pm: handlers::pm::State,
    pub(crate) ptp: handlers::ptp::State,
    pub(crate) lock: handlers::lock::State,
    /// Last, so that it is dropped after everything that points into it.
    pub(crate) memory: Memory,
}

impl Domain {
    /// A domain called `name` around `image`, which is mapped already.
    pub(crate) fn new(name: &[u8], image: Image, memory: Memory) -> Result<Arc<Domain>> {
        let mut crossings = KVVec::with_capacity(table::COUNT, GFP_KERNEL)?;
        let mut imported = KVVec::with_capacity(table::COUNT, GFP_KERNEL)?;
        for _ in 0..table::COUNT {
            crossings.push(AtomicU64::new(0), GFP_KERNEL)?;
            imported.push(AtomicBool::new(false), GFP_KERNEL)?;
        }
        let mut kept = [0; NAME_LEN];
        let name_len = core::cmp::min(name.len(), NAME_LEN);
        kept[..name_len].copy_from_slice(&name[..name_len]);
        Ok(Arc::new(
            Domain {
                name: kept,
                name_len,
                dead: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                active: AtomicU32::new(0),
                cause: BhLock::new(None),
                crossings,
                upcalls: crate::counters::Upcalls::new(),
                imported,
                budget: [AtomicU64::new(10_000_000_000), AtomicU64::new(500_000_000)],
                recent: crate::counters::Recent::new(),
                image,
                pci: handlers::pci::State::new(),
                dma: handlers::dma::State::new(),
                irq: handlers::irq::State::new(),
                net: handlers::net::State::new(),
                skb: handlers::skb::State::new(),
                timer: handlers::timer::State::new(),
                work: handlers::work::State::new(),
                pm: handlers::pm::State::new(),
                ptp: handlers::ptp::State::new(),
                lock: handlers::lock::State::new(),
                memory,
            },
            GFP_KERNEL,
        )?)
    }

    /// The driver's name.
    pub(crate) fn name(&self) -> &str {
        core::str::from_utf8(&self.name[..self.name_len]).unwrap_or("?")
    }

    /// Whether the domain is dead. A dead domain never runs again.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether the driver is being unloaded in order; new upcalls from outside are refused by the
    /// proxies, the driver's own exit path still runs.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Marks the orderly unload as begun.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Ends the domain. The first cause wins and is kept; returns whether this was it. Every CPU
    /// that runs the driver leaves ring 3 at its next interrupt and finds the domain dead.
    pub(crate) fn end(self: &Arc<Self>, death: crate::report::Death) -> bool {
        let first = !self.dead.swap(true, Ordering::AcqRel);
        if first {
            *self.cause.lock() = Some(death);
            crate::lifecycle::on_death(self);
        }
        first
    }

    /// The first cause of death.
    pub(crate) fn with_cause<R>(&self, f: impl FnOnce(Option<&crate::report::Death>) -> R) -> R {
        f(self.cause.lock().as_ref())
    }

    /// Notes that an upcall begins.
    pub(crate) fn enter(&self) {
        self.active.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that an upcall has left.
    pub(crate) fn leave(&self) {
        self.active.fetch_sub(1, Ordering::AcqRel);
    }

    /// Upcalls in progress.
    pub(crate) fn active(&self) -> u32 {
        self.active.load(Ordering::Acquire)
    }

    /// Ends the domain for a breach that was found outside an import, in what an upcall answered.
    pub(crate) fn breach(self: &Arc<Self>, upcall: &'static str, violation: Violation) {
        self.end(crate::report::Death::breach(upcall, violation));
    }
}

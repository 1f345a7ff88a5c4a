// SPDX-License-Identifier: GPL-2.0

//! A domain: one loaded driver with everything that it may touch and everything that it holds.

use crate::call::Violation;
use crate::driver::Driver;
use crate::fault_handler::watch::Lines;
use crate::image::Image;
use crate::inject::Inject;
use crate::memory::Memory;
use crate::side_stubs::handlers;
use crate::side_stubs::table;
use crate::sys::cpu;
use crate::sys::defer::Reserved;
use crate::sys::lock::BhLock;
use crate::sys::once::SetOnce;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::{Arc, UniqueArc};

/// Lines of one domain in the log within five seconds, and reports of its warnings.
const LINES_MAX: u64 = 500;
const WARNINGS_MAX: u64 = 10;

/// Longest driver name kept, as `MODULE_NAME_LEN`.
pub(crate) const NAME_LEN: usize = 56;

/// The number of the next domain; 0 is none's.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// One loaded driver. Upcalls, proxies and sysfs files hold references; the memory goes with the
/// last of them.
pub(crate) struct Domain {
    name: [u8; NAME_LEN],
    name_len: usize,
    /// Tells the domains of this module's life apart.
    pub(crate) number: u64,
    /// The driver that lives in it.
    driver: SetOnce<Arc<Driver>>,
    /// Someone has begun to give back what it held, and is done with it.
    burial: [AtomicBool; 2],
    /// Where a test wants it to end.
    pub(crate) inject: Inject,
    /// Set once, by the first cause of death; nothing enters ring 3 after that.
    dead: AtomicBool,
    /// The report of its death was not printed yet.
    pub(crate) unreported: AtomicBool,
    /// Upcalls in progress on any CPU.
    active: AtomicU32,
    /// Room for what follows its death.
    pub(crate) funeral: Reserved,
    /// When, in ns of monotonic time.
    died: AtomicU64,
    /// The first cause.
    cause: BhLock<Option<crate::report::Death>>,
    /// Calls of each import, by its index.
    pub(crate) crossings: KVVec<AtomicU64>,
    /// Upcalls by name.
    pub(crate) upcalls: crate::counters::Upcalls,
    /// Imports that this driver names: a call of any other is a breach.
    pub(crate) imported: KVVec<AtomicBool>,
    /// Which of the imports with a local answer those are: bits by their numbers in `rings.rs`.
    pub(crate) hybrids: AtomicU32,
    /// Ring-3 time that one upcall may use, in ns: process context, atomic context.
    pub(crate) budget: [AtomicU64; 2],
    /// The optimisations that are on: bits of `rings.rs`.
    pub(crate) optimisations: AtomicU32,
    /// The recent crossings, for reports.
    pub(crate) recent: crate::counters::Recent,
    /// What is known of the driver file: sections, symbols, parameters.
    pub(crate) image: Image,
    /// I/O ports of its devices that the driver has claimed.
    pub(crate) ports: crate::ports::Ports,
    /// Lines of the driver in the log.
    lines: BhLock<Lines>,
    /// Reports of its WARNs there.
    warnings: BhLock<Lines>,
    /// The WARNs that were reported, for those that report once.
    pub(crate) warned: crate::faults::Warned,
    // What the handlers keep, released by `release` in the promised order.
    pub(crate) pci: handlers::pci::State,
    pub(crate) dma: handlers::dma::State,
    pub(crate) addresses: handlers::addresses::State,
    pub(crate) pool: handlers::pool::State,
    pub(crate) buffers: handlers::buffers::State,
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
        // Written in place: a copy more of this size is too much for a kernel stack.
        let place = UniqueArc::new_uninit(GFP_KERNEL)?;
        let domain = place.write(Domain {
            name: kept,
            name_len,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            driver: SetOnce::new(),
            burial: [const { AtomicBool::new(false) }; 2],
            inject: Inject::new(),
            dead: AtomicBool::new(false),
            unreported: AtomicBool::new(false),
            active: AtomicU32::new(0),
            funeral: Reserved::new()?,
            died: AtomicU64::new(0),
            cause: BhLock::new(None),
            crossings,
            upcalls: crate::counters::Upcalls::new()?,
            imported,
            hybrids: AtomicU32::new(0),
            budget: [AtomicU64::new(10_000_000_000), AtomicU64::new(500_000_000)],
            optimisations: AtomicU32::new(0),
            recent: crate::counters::Recent::new()?,
            image,
            ports: crate::ports::Ports::new(),
            lines: BhLock::new(Lines::NONE),
            warnings: BhLock::new(Lines::NONE),
            warned: crate::faults::Warned::new(),
            pci: handlers::pci::State::new(),
            dma: handlers::dma::State::new(),
            addresses: handlers::addresses::State::new(),
            pool: handlers::pool::State::new(),
            buffers: handlers::buffers::State::new(),
            irq: handlers::irq::State::new(),
            net: handlers::net::State::new(),
            skb: handlers::skb::State::new(),
            timer: handlers::timer::State::new(),
            work: handlers::work::State::new(),
            pm: handlers::pm::State::new(),
            ptp: handlers::ptp::State::new(),
            lock: handlers::lock::State::new(),
            memory,
        });
        Ok(domain.into())
    }

    /// The driver's name.
    pub(crate) fn name(&self) -> &str {
        core::str::from_utf8(&self.name[..self.name_len]).unwrap_or("?")
    }

    /// Names the driver that lives in the domain. Once, before its first upcall.
    pub(crate) fn set_driver(&self, driver: &Arc<Driver>) {
        self.driver.populate(driver.clone());
        let flags = driver.optimisations.load(Ordering::Relaxed);
        self.optimisations.store(flags, Ordering::Relaxed);
    }

    /// The driver that lives in the domain.
    pub(crate) fn driver(&self) -> Option<&Arc<Driver>> {
        self.driver.as_ref()
    }

    /// If the domain is dead and what users see of it is for a next one: the driver, which keeps it.
    pub(crate) fn keeper(&self) -> Option<&Arc<Driver>> {
        self.driver()
            .filter(|driver| self.is_dead() && driver.keeps())
    }

    /// Takes over what users have set for the domain before this one.
    pub(crate) fn inherit(&self, before: &Domain) {
        for (own, other) in self.budget.iter().zip(&before.budget) {
            own.store(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.memory.set_limit(before.memory.limit());
        self.inject.inherit(&before.inject);
    }

    /// Whether the caller is the one to give back what the domain held; others wait for
    /// [`Domain::is_released`].
    pub(crate) fn begin_burial(&self) -> bool {
        !self.burial[0].swap(true, Ordering::AcqRel)
    }

    /// What the domain held has been given back.
    pub(crate) fn end_burial(&self) {
        self.burial[1].store(true, Ordering::Release);
    }

    /// Whether what the domain held has been given back.
    pub(crate) fn is_released(&self) -> bool {
        self.burial[1].load(Ordering::Acquire)
    }

    /// Whether the domain is dead. A dead domain never runs again.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// When the domain died, in ns of monotonic time; 0 while it lives.
    pub(crate) fn died(&self) -> u64 {
        self.died.load(Ordering::Relaxed)
    }

    /// Ends the domain. The first cause wins and is kept; returns whether this was it. Every CPU
    /// that runs the driver leaves ring 3 at its next interrupt and finds the domain dead.
    pub(crate) fn end(self: &Arc<Self>, death: crate::report::Death) -> bool {
        let first = !self.dead.swap(true, Ordering::AcqRel);
        if first {
            self.died.store(cpu::now(), Ordering::Relaxed);
            *self.cause.lock() = Some(death);
            crate::lifecycle::on_death(self);
        }
        first
    }

    /// The first cause of death.
    pub(crate) fn with_cause<R>(&self, f: impl FnOnce(Option<&crate::report::Death>) -> R) -> R {
        f(self.cause.lock().as_ref())
    }

    /// Whether one more line of the driver fits the log: one that floods it is cut short, and does not silence
    /// another. Any context but hard interrupts.
    pub(crate) fn may_log(&self) -> bool {
        self.may_say(&self.lines, LINES_MAX)
    }

    /// As [`Domain::may_log`] for the report of a warning: a driver may warn as fast as it runs.
    pub(crate) fn may_warn(&self) -> bool {
        self.may_say(&self.warnings, WARNINGS_MAX)
    }

    fn may_say(&self, lines: &BhLock<Lines>, bound: u64) -> bool {
        let allowed = lines.lock().allow(cpu::jiffies_ns(), bound);
        if let Some(left_out @ 1..) = allowed {
            pr_warn!("{}: {left_out} messages left out\n", self.name());
        }
        allowed.is_some()
    }

    /// Whether the optimisation with this bit is on.
    pub(crate) fn has(&self, optimisation: u32) -> bool {
        self.optimisations.load(Ordering::Relaxed) & optimisation != 0
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

    /// Ends the domain for a breach that was found outside an import, in what an upcall answered. Its account is
    /// large, and not to be on the stack of who lives on.
    #[cold]
    #[inline(never)]
    pub(crate) fn breach(self: &Arc<Self>, upcall: &'static str, violation: Violation) {
        self.end(crate::report::Death::breach(upcall, violation));
    }

    /// Ends the domain since there is no more of `what` for an upcall.
    #[cold]
    #[inline(never)]
    pub(crate) fn exhausted(self: &Arc<Self>, upcall: &'static str, what: &'static str) {
        self.end(crate::report::Death::exhausted(upcall, what));
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Interrupts of a domain's devices.
//!
//! The hard handler is SIDE's own. It never enters ring 3: it stops the line at the device (a
//! message needs no stopping), counts the interrupt and schedules a tasklet. The tasklet makes the
//! upcall, then lets the line go. Messages are edges, so each one counted is followed by at least
//! one later upcall, also when it came while the driver had the interrupt disabled.
//!
//! A message whose handler was seen to schedule a NAPI instance goes another way where
//! `interrupt_polls` is on: the hard handler claims and schedules the instance, as the driver's own
//! would, and its poll makes one upcall of handler and poll. Handlers of one interrupt still follow
//! each other: whoever makes the upcall has set `running`, and looks afterwards whether more came. An
//! instance that cannot be claimed leaves the interrupt to the tasklet.
//!
//! Disabling has two halves: the kernel's, on the number, and SIDE's count, which holds off the
//! tasklet. Waiting for a handler means waiting until the tasklet has served what was counted.

use super::napi::Napi;
use super::pci::device::Source;
use super::pci::PciDevice;
use super::wait;
use crate::call::{errno, Call, Outcome, Violation};
use crate::domain::Domain;
use crate::fault_handler::watch::Rate;
use crate::run::{self, Context, Ended};
use crate::side_stubs::rings::{DIRECT_ENTRY, INTERRUPT_POLLS};
use crate::sys::irq::{self, Tasklet};
use crate::sys::lock::BhLock;
use crate::sys::once::SetOnce;
use crate::sys::{cpu, pci::PciRef};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};

/// `IRQF_SHARED`, and what else a driver may ask for: `IRQF_PROBE_SHARED`, `IRQF_NO_SUSPEND`,
/// `IRQF_NO_AUTOEN`.
const SHARED: u32 = 0x80;
const NO_SUSPEND: u32 = 0x4000;
const NO_AUTOEN: u32 = 0x8_0000;
const FLAGS: u32 = SHARED | 0x100 | NO_SUSPEND | NO_AUTOEN;
/// The driver's answers: `IRQ_HANDLED`, `IRQ_WAKE_THREAD`.
const WAKE_THREAD: u64 = 2;
/// Interrupts that one domain may hold.
const IRQS_MAX: usize = 4096;

/// What the hard handler tells the kernel.
pub(crate) enum Answer {
    None,
    Handled,
    Thread,
}

/// An interrupt that the driver requested.
pub(crate) struct Irq {
    pub(crate) number: u32,
    /// The name in /proc/interrupts, with its NUL.
    pub(crate) name: KVec<u8>,
    pub(crate) tasklet: Tasklet,
    domain: Arc<Domain>,
    /// The devices that may pull the line; of a message the one that sends it. A number alone does
    /// not tell which of the domain's devices on a shared line a handler is for.
    devices: KVec<Line>,
    source: Source,
    /// All of them can stop their line; else the kernel's disable does.
    maskable: bool,
    pub(super) handler: u64,
    thread_fn: u64,
    pub(super) dev_id: u64,
    /// Others may have the number too.
    shared: bool,
    /// The NAPI instance that the handler of a message was seen to schedule first.
    napi: SetOnce<Arc<Napi>>,
    /// Interrupts counted by the hard handler, and how many of them an upcall has covered.
    raised: AtomicU64,
    served: AtomicU64,
    /// The CPU on which the tasklet or a poll makes the upcall, or -1.
    running: AtomicI32,
    /// Those who may be about to schedule the tasklet without being its hard handler, or to disable or
    /// enable the number.
    users: AtomicU32,
    /// Disables by the driver that are not undone.
    disabled: AtomicU32,
    /// The number is disabled on behalf of an upcall to come.
    held_off: AtomicBool,
    /// No upcall begins any more.
    gone: AtomicBool,
    /// The process in which the thread function runs, or 0.
    thread: AtomicI32,
    /// Upcalls a second.
    rate: BhLock<Rate>,
}

/// A device of an interrupt.
struct Line {
    raw: PciRef,
    /// Its shadow, by which it is told from others of the domain.
    owner: u64,
    /// The line is stopped at the device on behalf of an upcall to come.
    stopped: AtomicBool,
}

/// What a domain holds of interrupts.
pub(crate) struct State {
    list: BhLock<KVec<Arc<Irq>>>,
    /// Interrupts that are no longer listed and not yet free: their vectors must stay until they are.
    leaving: AtomicU32,
}

impl State {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.lock().len()
    }

    pub(crate) fn new() -> Self {
        State {
            list: BhLock::new(KVec::new()),
            leaving: AtomicU32::new(0),
        }
    }

    /// Frees every interrupt.
    pub(crate) fn release(&self, domain: &Arc<Domain>) {
        release_if(domain, |_| true);
    }

    /// Lets the kernel call the proxies of all tasklets directly, or by slots that trap.
    pub(crate) fn enter_directly(&self, direct: bool) {
        for irq in self.list.lock().iter() {
            irq::enter_directly(irq, direct);
        }
    }

    fn find(&self, f: impl Fn(&Irq) -> bool) -> Option<Arc<Irq>> {
        self.list.lock().iter().find(|irq| f(irq)).cloned()
    }

    /// Frees the first interrupt of which `f` is true. False: there is none. Process context.
    fn free_one(&self, f: impl Fn(&Irq) -> bool) -> bool {
        let taken = {
            let mut list = self.list.lock();
            let at = list.iter().position(|irq| f(irq));
            let taken = at.and_then(|n| list.remove(n).ok());
            if taken.is_some() {
                self.leaving.fetch_add(1, Ordering::SeqCst);
            }
            taken
        };
        let Some(irq) = taken else { return false };
        irq.free();
        self.leaving.fetch_sub(1, Ordering::SeqCst);
        true
    }
}

/// Frees the interrupts of `device` alone; a line that it shares with other devices of the domain
/// stays for those.
pub(crate) fn release_device(domain: &Arc<Domain>, device: &PciDevice) {
    release_if(domain, |irq| irq.is_only_for(device));
}

fn release_if(domain: &Arc<Domain>, which: impl Fn(&Irq) -> bool) {
    while domain.irq.free_one(&which) {}
    // One that another task has taken out may still be on its way: who called this frees the vectors next.
    while domain.irq.leaving.load(Ordering::SeqCst) != 0 {
        cpu::sleep_ms(1);
    }
}

/// Whether an interrupt of `device` is requested.
pub(crate) fn in_use(domain: &Domain, device: &PciDevice) -> bool {
    domain.irq.find(|irq| irq.is_only_for(device)).is_some()
}

/// Lets the line of `device` be on if a handler is there for it, else off. Any context but hard
/// interrupts.
pub(crate) fn settle_line(domain: &Domain, device: &PciDevice) {
    // Under the lock, so that no handler comes or goes meanwhile.
    let list = domain.irq.list.lock();
    match !domain.is_dead() && is_served(&list, device.shadow) {
        true => device.raw.set_line(1),
        false => device.raw.quiet_line(),
    }
}

/// Whether any in `list` is for the line of the device with the shadow `owner`.
fn is_served(list: &[Arc<Irq>], owner: u64) -> bool {
    list.iter()
        .filter(|irq| irq.source == Source::Line)
        .any(|irq| irq.devices.iter().any(|line| line.owner == owner))
}

impl Irq {
    fn is_off(&self) -> bool {
        self.disabled.load(Ordering::SeqCst) != 0
            || self.gone.load(Ordering::SeqCst)
            || self.domain.is_dead()
    }

    /// Ends the domain if the interrupt comes too often.
    fn watch(&self) {
        let Some(driver) = self.domain.driver() else {
            return;
        };
        let storm = self.rate.lock().event(cpu::jiffies_ns(), driver.irqs());
        if let Some(count) = storm {
            let violation = Violation::new("interrupt-storm", count);
            self.domain.breach("irq", violation);
        }
    }

    fn is_pending(&self) -> bool {
        self.raised.load(Ordering::SeqCst) != self.served.load(Ordering::SeqCst)
    }

    fn is_only_for(&self, device: &PciDevice) -> bool {
        matches!(&self.devices[..], [line] if line.owner == device.shadow)
    }

    /// Stops the line at each device that pulls it. Whether any does.
    fn stop_line(&self) -> bool {
        if !self.maskable {
            // The line cannot rise again before the enable.
            if !self.held_off.swap(true, Ordering::SeqCst) {
                irq::disable_nosync(self.number);
            }
            return true;
        }
        let mut pulled = false;
        for line in &self.devices {
            if line.raw.check_and_mask_line() {
                line.stopped.store(true, Ordering::SeqCst);
                pulled = true;
            }
        }
        pulled
    }

    /// Lets the line go. An interrupt that is still there counts as a new one.
    fn release_line(&self) {
        if self.held_off.swap(false, Ordering::SeqCst) {
            irq::enable(self.number);
        }
        for line in &self.devices {
            if line.stopped.swap(false, Ordering::SeqCst) && !line.raw.check_and_unmask_line() {
                line.stopped.store(true, Ordering::SeqCst);
                self.raised.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Frees the interrupt, which no list holds any more. Process context.
    fn free(self: &Arc<Self>) {
        self.gone.store(true, Ordering::SeqCst);
        // A poll may be in the handler, and end with a look at what else came.
        while self.running.load(Ordering::SeqCst) >= 0 || self.users.load(Ordering::SeqCst) != 0 {
            cpu::sleep_ms(1);
        }
        // From here on no handler runs that could be seen to schedule one.
        if let Some(napi) = self.napi.as_ref() {
            napi.unfollow(self);
        }
        // While the handler is still there, which does nothing more: a number that was never enabled is
        // no longer active without it, and the kernel would warn.
        for _ in 0..self.disabled.swap(0, Ordering::SeqCst) {
            irq::enable(self.number);
        }
        irq::free(self);
        if self.held_off.swap(false, Ordering::SeqCst) {
            irq::enable(self.number);
        }
        if self.source == Source::Line {
            self.leave_line();
        }
    }

    /// Turns the lines off that nobody serves any more. Of a dead driver's device that is each.
    fn leave_line(&self) {
        let list = self.domain.irq.list.lock();
        let dead = self.domain.is_dead();
        for line in &self.devices {
            let stopped = line.stopped.swap(false, Ordering::SeqCst);
            if !is_served(&list, line.owner) {
                line.raw.quiet_line();
            } else if stopped && !dead {
                line.raw.set_line(1);
            }
        }
    }
}

/// The hard handler: interrupts are off, and nothing here waits.
pub(crate) fn hard(irq: &Irq) -> Answer {
    if irq.source == Source::Line && !irq.stop_line() {
        return Answer::None;
    }
    irq.raised.fetch_add(1, Ordering::SeqCst);
    if irq.gone.load(Ordering::SeqCst) || irq.domain.is_dead() {
        return Answer::Handled;
    }
    if irq.handler == 0 {
        return Answer::Thread;
    }
    if !irq.poll_instead() {
        irq::schedule(irq);
    }
    Answer::Handled
}

/// The tasklet: one upcall for all that was counted so far.
pub(crate) fn bottom_half(irq: ArcBorrow<'_, Irq>) {
    // Else another CPU is at it, and looks again when it is through.
    if let Some(sample) = irq.begin() {
        let args = [u64::from(irq.number), irq.dev_id];
        let cpu = irq.domain.memory.cpu(cpu::id());
        if let Some(cpu) = cpu {
            cpu.scheduled.store(0, Ordering::Relaxed);
        }
        let answer = run::upcall(&irq.domain, "irq", irq.handler, &args, Context::Atomic);
        if let (Ok(_), Some(cpu)) = (&answer, cpu) {
            learn(irq, cpu.scheduled.load(Ordering::Relaxed));
        }
        irq.end(sample, answer);
    }
}

/// Notes that the handler has scheduled the NAPI instance `handle`, if that is the first and no other
/// interrupt's.
fn learn(irq: ArcBorrow<'_, Irq>, handle: u64) {
    if handle == 0 || irq.source != Source::Message || irq.napi.as_ref().is_some() {
        return;
    }
    if let Some(napi) = irq.domain.net.napis.get(handle) {
        if napi.follow(irq) {
            irq.napi.populate(napi);
        }
    }
}

impl Irq {
    /// Begins to serve what was counted, unless there is nothing or another CPU is at it. The count
    /// goes to [`Irq::end`], after one call of the handler. Bottom halves are off.
    pub(super) fn begin(&self) -> Option<u64> {
        if !self.is_pending() || self.handler == 0 {
            return None;
        }
        let (free, here) = (-1, cpu::id() as i32);
        self.running
            .compare_exchange(free, here, Ordering::SeqCst, Ordering::SeqCst)
            .ok()?;
        let sample = self.raised.load(Ordering::SeqCst);
        if self.is_off() || sample == self.served.load(Ordering::SeqCst) {
            self.running.store(-1, Ordering::SeqCst);
            self.look_again();
            return None;
        }
        self.watch();
        Some(sample)
    }

    /// The handler has answered.
    pub(super) fn end(&self, sample: u64, answer: Result<u64, Ended>) {
        self.served.store(sample, Ordering::SeqCst);
        if let Ok(answer) = answer {
            if answer & 0xffff_ffff == WAKE_THREAD && self.thread_fn != 0 {
                irq::wake_thread(self);
            }
            self.release_line();
        }
        self.running.store(-1, Ordering::SeqCst);
        // An interrupt or an enable may have come after the sample.
        self.look_again();
    }

    /// Schedules the tasklet if something is to be served.
    fn look_again(&self) {
        if !self.is_pending() || self.handler == 0 {
            return;
        }
        self.unless_gone(|| {
            if !self.is_off() {
                irq::schedule(self);
            }
        });
    }

    /// Calls `f` unless the interrupt is being freed, which waits for the end of it. Any context.
    fn unless_gone(&self, f: impl FnOnce()) {
        // Counted first: either who frees the interrupt waits for this, or this sees that it is gone.
        self.users.fetch_add(1, Ordering::SeqCst);
        if !self.gone.load(Ordering::SeqCst) {
            f();
        }
        self.users.fetch_sub(1, Ordering::SeqCst);
    }

    /// Has the NAPI instance that the handler schedules polled, which serves the interrupt too.
    /// Whether that could be done. Interrupts are off.
    fn poll_instead(&self) -> bool {
        if !self.domain.has(INTERRUPT_POLLS) {
            return false;
        }
        match self.napi.as_ref() {
            Some(napi) => napi.interrupted(),
            None => false,
        }
    }
}

/// The interrupt's thread: the driver's thread function.
pub(crate) fn thread(irq: &Irq) {
    let sample = irq.raised.load(Ordering::SeqCst);
    irq.thread.store(irq::process(), Ordering::SeqCst);
    let args = [u64::from(irq.number), irq.dev_id];
    let answer = match irq.gone.load(Ordering::SeqCst) {
        true => Err(run::Ended),
        false => run::upcall(
            &irq.domain,
            "irq-thread",
            irq.thread_fn,
            &args,
            Context::Process,
        ),
    };
    irq.thread.store(0, Ordering::SeqCst);
    if irq.handler == 0 {
        irq.served.store(sample, Ordering::SeqCst);
        if answer.is_ok() {
            irq.release_line();
        }
    }
}

/// The interrupts of the domain with the number in argument 0, which must be one of its own.
fn numbered(call: &Call<'_>) -> Result<Arc<Irq>, Violation> {
    let number = call.uint(0);
    call.domain
        .irq
        .find(|irq| irq.number == number)
        .ok_or(Violation::new("foreign-irq", u64::from(number)))
}

/// Refuses to wait for handlers in the thread of any: two that wait for each other would do so for
/// ever. `value` is for the report.
pub(super) fn refuse_in_thread(call: &Call<'_>, value: u64) -> Result<(), Violation> {
    let here = irq::process();
    match call
        .domain
        .irq
        .find(|irq| irq.thread.load(Ordering::SeqCst) == here)
    {
        Some(_) => Err(Violation::new("irq-waits-for-itself", value)),
        None => Ok(()),
    }
}

/// Whether the number in argument 0 is one of the domain's devices'. Process context.
fn is_own(call: &Call<'_>) -> bool {
    let number = call.uint(0);
    call.domain
        .pci
        .first(|device| device.with_source(number, |_| ()).is_some())
        .is_some()
}

/// A name that the kernel can make a folder of in /proc/irq, with its NUL.
fn file_name(name: &[u8]) -> Result<KVec<u8>> {
    let mut kept = KVec::with_capacity(name.len() + 5, GFP_KERNEL)?;
    for (n, byte) in name.iter().enumerate() {
        let allowed = byte.is_ascii_graphic() && *byte != b'/' && (n != 0 || *byte != b'.');
        kept.push(if allowed { *byte } else { b'_' }, GFP_KERNEL)?;
    }
    if name.is_empty() {
        kept.extend_from_slice(b"side", GFP_KERNEL)?;
    }
    kept.push(0, GFP_KERNEL)?;
    Ok(kept)
}

/// `request_threaded_irq(irq, handler, thread_fn, flags, name, dev_id)`
pub(crate) fn request(call: &mut Call<'_>) -> Outcome {
    let number = call.uint(0);
    let (handler, thread_fn, dev_id) = (call.arg(1), call.arg(2), call.arg(5));
    let mut flags = call.uint(3) & FLAGS;
    // All that share a number would have to ask for it, else the kernel warns.
    if flags & SHARED != 0 {
        flags &= !NO_SUSPEND;
    }
    if (handler == 0 && thread_fn == 0) || (flags & SHARED != 0 && dev_id == 0) {
        return Ok(errno(EINVAL));
    }
    let mut buffer = [0; 48];
    let name = match call.arg(4) {
        0 => &[],
        at => call.read_str(at, &mut buffer)?,
    };
    let Ok(kept) = file_name(name) else {
        return Ok(errno(ENOMEM));
    };
    // The kernel says in its log each time that a number is not to be shared.
    let refuses = |irq: &Irq| irq.dev_id == dev_id || !irq.shared || flags & SHARED == 0;
    if call
        .domain
        .irq
        .find(|irq| irq.number == number && refuses(irq))
        .is_some()
    {
        return Ok(errno(EBUSY));
    }
    let mut irq = Irq {
        number,
        name: kept,
        tasklet: Tasklet::new(),
        domain: call.domain.clone(),
        devices: KVec::new(),
        source: Source::Message,
        maskable: true,
        handler,
        thread_fn,
        dev_id,
        shared: flags & SHARED != 0,
        raised: AtomicU64::new(0),
        served: AtomicU64::new(0),
        napi: SetOnce::new(),
        running: AtomicI32::new(-1),
        users: AtomicU32::new(0),
        disabled: AtomicU32::new(u32::from(flags & NO_AUTOEN != 0)),
        held_off: AtomicBool::new(false),
        gone: AtomicBool::new(false),
        thread: AtomicI32::new(0),
        rate: BhLock::new(Rate::default()),
    };
    let mut first: Option<Arc<PciDevice>> = None;
    for (_, device) in call.domain.pci.devices.iter() {
        let Some(source) = device.with_source(number, |source| source) else {
            continue;
        };
        let line = Line {
            raw: device.raw.clone(),
            owner: device.shadow,
            stopped: AtomicBool::new(false),
        };
        irq.source = source;
        irq.maskable &= device.raw.line_maskable();
        if irq.devices.push(line, GFP_KERNEL).is_err() {
            return Ok(errno(ENOMEM));
        }
        first.get_or_insert(device);
    }
    // Under the lock of its device, so that the vectors stay as they are meanwhile.
    match first.and_then(|device| device.with_source(number, |_| start(irq, flags))) {
        Some(Ok(())) => Ok(0),
        Some(Err(error)) => Ok(errno(error)),
        None => Err(Violation::new("foreign-irq", u64::from(number))),
    }
}

/// Requests the interrupt and enters it in the ledger, after which its line may rise; the handler may run
/// before this returns.
fn start(irq: Irq, flags: u32) -> Result {
    let irq = Arc::new(irq, GFP_KERNEL)?;
    let domain = irq.domain.clone();
    {
        let mut list = domain.irq.list.lock();
        if list.len() >= IRQS_MAX {
            return Err(ENOSPC);
        }
        list.reserve(1, GFP_ATOMIC)?;
    }
    // A thread of the kernel's is there only for a driver that has a thread function.
    irq::request(&irq, flags, irq.thread_fn != 0, domain.has(DIRECT_ENTRY))?;
    let kept = {
        let mut list = domain.irq.list.lock();
        // Under the lock: either the release after a death sees the entry, or this sees the death.
        let kept = !domain.is_dead() && list.push(irq.clone(), GFP_ATOMIC).is_ok();
        if kept && irq.source == Source::Line {
            for line in &irq.devices {
                line.raw.set_line(1);
            }
        }
        kept
    };
    if !kept {
        irq.free();
        return Err(ENOMEM);
    }
    Ok(())
}

/// `free_irq(irq, dev_id)`: returns the name, which drivers ignore.
pub(crate) fn free(call: &mut Call<'_>) -> Outcome {
    let (number, dev_id) = (call.uint(0), call.arg(1));
    let mine = |irq: &Irq| irq.number == number && irq.dev_id == dev_id;
    refuse_in_thread(call, u64::from(number))?;
    match call.domain.irq.free_one(mine) {
        true => Ok(0),
        false => Err(Violation::new("free-unknown-irq", u64::from(number))),
    }
}

/// `enable_irq(irq)`
pub(crate) fn enable(call: &mut Call<'_>) -> Outcome {
    let irq = numbered(call)?;
    let mut balanced = true;
    irq.unless_gone(|| {
        let before = irq
            .disabled
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match before {
            Ok(_) => irq::enable(irq.number),
            Err(_) => balanced = false,
        }
    });
    if !balanced {
        let number = u64::from(irq.number);
        return Err(Violation::new("irq-enable-unbalanced", number));
    }
    irq.look_again();
    Ok(0)
}

/// `disable_irq_nosync(irq)`
pub(crate) fn disable_nosync(call: &mut Call<'_>) -> Outcome {
    let irq = numbered(call)?;
    irq.unless_gone(|| {
        irq.disabled.fetch_add(1, Ordering::SeqCst);
        irq::disable_nosync(irq.number);
    });
    Ok(0)
}

/// `disable_irq(irq)`
pub(crate) fn disable(call: &mut Call<'_>) -> Outcome {
    refuse_in_thread(call, call.arg(0))?;
    disable_nosync(call)?;
    synchronize(call)
}

/// `disable_hardirq(irq)`: as the kernel's, does not wait for threads, and may be called where
/// sleeping is not allowed. Returns whether no handler runs any more.
pub(crate) fn disable_hard(call: &mut Call<'_>) -> Outcome {
    let irq = numbered(call)?;
    let mut idle = true;
    irq.unless_gone(|| {
        irq.disabled.fetch_add(1, Ordering::SeqCst);
        idle = irq::disable_hard(irq.number);
    });
    let at_rest = wait::spin(call, || {
        let running = irq.running.load(Ordering::SeqCst);
        // A handler that disables its own interrupt does not wait for itself.
        running < 0 || (!call.may_sleep() && running == cpu::id() as i32)
    });
    Ok(u64::from(at_rest && idle))
}

/// `synchronize_irq(irq)`: waits until everything that was counted is served.
pub(crate) fn synchronize(call: &mut Call<'_>) -> Outcome {
    let irq = match numbered(call) {
        Ok(irq) => irq,
        // Drivers also wait for a vector that has no handler yet: there is nothing to wait for.
        Err(_) if is_own(call) => return Ok(0),
        Err(violation) => return Err(violation),
    };
    let value = u64::from(irq.number);
    refuse_in_thread(call, value)?;
    // What a hard handler on another CPU is about to count belongs to it.
    let _ = irq::is_idle(irq.number);
    let target = irq.raised.load(Ordering::SeqCst);
    // Not by the kernel's own wait for the threads, which one that is always raised anew would never leave.
    wait::until(call, "irq-waits-for-itself", value, || {
        let running = irq.running.load(Ordering::SeqCst) >= 0;
        let served = irq.served.load(Ordering::SeqCst) >= target;
        let off = irq.disabled.load(Ordering::SeqCst) != 0;
        // A handler that has ended may have woken the thread: so that is looked at last.
        Ok(!running && (served || off || irq.handler == 0) && irq::is_idle(irq.number))
    })?;
    Ok(0)
}

// SPDX-License-Identifier: GPL-2.0

//! NAPI: a driver embeds its `napi_struct` in its own memory; the kernel polls SIDE's twin of it.
//!
//! The twin's scheduling is exactly the driver's own, with three guards. A claim by
//! `napi_schedule_prep` is remembered, so that `__napi_schedule` cannot put one instance on the
//! poll list twice and a claim that a dying driver leaves behind is honoured by SIDE. A poll that
//! returns below its budget always completes the twin. And enabling and disabling alternate, or
//! the kernel would wait for ever.

use super::irq::Irq;
use super::net::{wait_for, NetDevice};
use super::net_imports::need_rtnl_if_registered;
use super::receive::is_poll;
use crate::call::{Call, Outcome, Violation};
use crate::run::{self, Ended};
use crate::side_stubs::rings::DIRECT_ENTRY;
use crate::sys::access::Window;
use crate::sys::lock::BhLock;
use crate::sys::napi::Twin;
use crate::sys::net_layout::*;
use crate::sys::{cpu, net};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};

/// The largest weight that the kernel accepts without a complaint.
const WEIGHT_MAX: i32 = 64;

/// Where scheduling stands.
struct Claims {
    /// `napi_schedule_prep` said yes and `__napi_schedule` has not followed.
    prepared: bool,
    /// Being disabled: no new claim.
    closing: bool,
    enabled: bool,
    /// The kernel knows it: changes under the device's lock only.
    listed: bool,
}

/// One NAPI instance of a driver.
pub(crate) struct Napi {
    pub(crate) device: Arc<NetDevice>,
    /// The driver's `struct napi_struct *`.
    pub(crate) handle: u64,
    /// The driver's poll function.
    function: u64,
    /// The kernel's own way to the shadow's state, where it lies in the heap.
    state: Option<Window>,
    pub(crate) twin: Twin,
    claims: BhLock<Claims>,
    /// The poll in progress that the driver has not completed: its number and, in the low 16 bits,
    /// its CPU plus one; 0 if there is none. Once a poll is completed the next may begin on
    /// another CPU while the first is still on its way out, so each knows its own number.
    polling: AtomicU64,
    polls: AtomicU64,
    budget: AtomicI32,
    /// The buffer that `napi_get_frags` gave the driver and `napi_gro_frags` has not taken; 0 if
    /// there is none.
    pub(crate) fragments: AtomicU64,
    /// The interrupt whose handler was seen to schedule the instance: a poll serves it too.
    interrupt: BhLock<Option<Arc<Irq>>>,
}

/// Instances of a domain: each costs the kernel more than it costs the driver.
const NAPIS_MAX: usize = 1024;
/// How long a claim by `napi_schedule_prep` may go without its `__napi_schedule` while the instance is to be
/// disabled, in ns: RTNL is held.
const CLAIM_MAX: u64 = 5_000_000_000;

impl Napi {
    /// Whether the instance is one of the device at `device`.
    pub(crate) fn belongs_to(&self, device: u64) -> bool {
        self.device.handle == device
    }

    /// Whether this CPU is in this instance's poll and has not completed it.
    pub(crate) fn is_polling_here(&self) -> bool {
        self.polling.load(Ordering::Acquire) & 0xffff == cpu::id() as u64 + 1
    }

    /// Shows the driver whether the instance is scheduled: `napi_synchronize` looks at the bit.
    fn show_state(&self) {
        loop {
            let scheduled = self.twin.is_scheduled();
            self.set_state(u64::from(scheduled) * NAPI_SCHED);
            if self.twin.is_scheduled() == scheduled {
                return;
            }
        }
    }

    /// Writes the shadow's state.
    fn set_state(&self, state: u64) {
        match self.state {
            Some(window) => window.set_word(0, state),
            None => {
                let memory = &self.device.domain.memory;
                let _ = memory.write(self.handle + NAPI_STATE, state);
            }
        }
    }

    /// The kernel polls: bottom halves are off.
    pub(crate) fn poll(self: ArcBorrow<'_, Self>, budget: i32) -> i32 {
        if cpu::irqs_disabled() {
            // Netpoll with interrupts off: there is no budget, and nothing is owed.
            return 0;
        }
        self.device.polled(|| self.poll_once(budget))
    }

    fn poll_once(&self, budget: i32) -> i32 {
        let domain = &self.device.domain;
        self.budget.store(budget, Ordering::Relaxed);
        let number = self.polls.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let this = number << 16 | (cpu::id() as u64 + 1);
        self.polling.store(this, Ordering::Release);
        self.device.sync_traffic();
        let answer = self.call(budget);
        let ours = self.take_poll(this);
        self.device.flush_all();
        let done = match answer {
            Ok(value) => {
                self.device.sync_queues();
                let done = value as u32 as i32;
                if done < 0 || done > budget {
                    domain.breach("poll", Violation::new("poll-over-budget", value));
                    0
                } else {
                    done
                }
            }
            Err(_) => 0,
        };
        if !ours {
            // A completed poll must not claim the whole budget.
            return core::cmp::min(done, core::cmp::max(budget - 1, 0));
        }
        if done < budget {
            self.twin.complete(done);
            self.show_state();
        }
        done
    }

    /// Calls the driver's poll, and before that the handler of an interrupt that has come, in one upcall.
    fn call(&self, budget: i32) -> Result<u64, Ended> {
        let domain = &self.device.domain;
        let budget = u64::from(budget as u32);
        let interrupt = self.interrupt.lock().clone();
        let begun = interrupt.and_then(|irq| irq.begin().map(|sample| (irq, sample)));
        let Some((irq, sample)) = begun else {
            let args = [self.handle, budget];
            return run::poll(domain, "poll", self.function, &args, self);
        };
        let number = u64::from(irq.number);
        let args = [
            irq.handler,
            number,
            irq.dev_id,
            self.function,
            self.handle,
            budget,
        ];
        let function = self.device.interrupt_poll_function;
        let answer = run::poll(domain, "irq-poll", function, &args, self);
        irq.end(sample, answer.map(|value| value >> 32));
        answer.map(|value| value & 0xffff_ffff)
    }

    /// An interrupt has come whose handler schedules the instance: does so in its place. Whether the
    /// instance was free to be claimed. Interrupts are off.
    pub(super) fn interrupted(&self) -> bool {
        let claimed = self.twin.prepare();
        if claimed {
            self.twin.schedule();
        }
        claimed
    }

    /// From now on a poll serves `irq` too, unless it serves another interrupt. Returns whether it does.
    pub(super) fn follow(&self, irq: ArcBorrow<'_, Irq>) -> bool {
        let mut interrupt = self.interrupt.lock();
        if interrupt.is_some() {
            return false;
        }
        *interrupt = Some(irq.into());
        true
    }

    /// Undoes [`Napi::follow`]: the interrupt is being freed.
    pub(super) fn unfollow(&self, irq: &Arc<Irq>) {
        let mut interrupt = self.interrupt.lock();
        if interrupt
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(kept, irq))
        {
            let kept = interrupt.take();
            drop(interrupt);
            drop(kept);
        }
    }

    /// Ends poll `this` if it has not ended. Returns whether it had not: then the twin is the
    /// caller's to complete.
    fn take_poll(&self, this: u64) -> bool {
        self.polling
            .compare_exchange(this, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The driver completes its poll, which is in progress on this CPU.
    fn complete(&self, done: i32) -> bool {
        let budget = self.budget.load(Ordering::Relaxed);
        if !self.take_poll(self.polling.load(Ordering::Acquire)) {
            return false;
        }
        self.device.flush_all();
        // From here another CPU may poll.
        let over = self.twin.complete(done.clamp(0, budget));
        self.show_state();
        over
    }

    /// As `napi_complete_done`; `polls` says whether the innermost upcall is a poll.
    pub(super) fn complete_here(&self, done: i32, polls: bool) -> Outcome {
        match polls && self.is_polling_here() {
            true => Ok(self.complete(done).into()),
            false => Err(Violation::new("napi-not-polled", self.handle)),
        }
    }

    fn prepare(&self) -> bool {
        let mut claims = self.claims.lock();
        if claims.closing || claims.prepared || !claims.listed || !self.twin.prepare() {
            return false;
        }
        claims.prepared = true;
        self.set_state(NAPI_SCHED);
        true
    }

    fn schedule(&self) -> Result<(), Violation> {
        let mut claims = self.claims.lock();
        if !claims.prepared || !claims.listed {
            return Err(Violation::new("napi-not-prepared", self.handle));
        }
        claims.prepared = false;
        if let Some(cpu) = self.device.domain.memory.cpu(cpu::id()) {
            cpu.scheduled.store(self.handle, Ordering::Relaxed);
        }
        self.twin.schedule();
        Ok(())
    }

    /// `__napi_schedule(napi)` from the ring: the claim that its `napi_schedule_prep` said was made is
    /// made now. That another one was first is no breach.
    pub(super) fn schedule_deferred(&self) -> Result<(), Violation> {
        if self.prepare() || self.claims.lock().prepared {
            return self.schedule();
        }
        Ok(())
    }

    /// Lets the instance be scheduled. The device's lock is held.
    fn enable(&self) -> Result<(), Violation> {
        let mut claims = self.claims.lock();
        if !claims.listed {
            // It was removed while its device's lock was waited for.
            return Err(Violation::new("not-a-napi", self.handle));
        }
        if claims.enabled {
            return Err(Violation::new("napi-already-enabled", self.handle));
        }
        claims.enabled = true;
        claims.closing = false;
        drop(claims);
        self.twin.enable();
        self.show_state();
        Ok(())
    }

    /// Keeps the instance from being scheduled and waits for its poll. The device's lock is held.
    fn disable(&self) -> Result<(), Violation> {
        {
            let mut claims = self.claims.lock();
            if !claims.listed {
                return Err(Violation::new("not-a-napi", self.handle));
            }
            if !claims.enabled {
                return Err(Violation::new("napi-not-enabled", self.handle));
            }
            claims.closing = true;
        }
        // A claim that the driver made and will follow up, or never will if it dies.
        let since = cpu::now();
        while self.claims.lock().prepared {
            if self.device.domain.is_dead() {
                let _ = self.schedule();
            } else if cpu::now().wrapping_sub(since) > CLAIM_MAX {
                return Err(Violation::new("napi-not-scheduled", self.handle));
            }
            cpu::sleep_ms(1);
        }
        // What is left of a poll is bounded by its budget.
        self.twin.disable();
        self.claims.lock().enabled = false;
        self.show_state();
        Ok(())
    }

    /// Calls `f` with the device's lock held, whoever holds it now. Process context.
    fn locked(&self, f: impl FnOnce()) {
        let held = self.device.holds_lock();
        while !held && !self.device.real.try_lock() {
            cpu::sleep_ms(1);
        }
        f();
        if !held {
            self.device.real.unlock();
        }
    }

    /// Disables the instance whatever the driver holds. Process context; the domain is dead or
    /// its driver gone.
    pub(crate) fn force_disable(&self) {
        if self.claims.lock().enabled {
            self.locked(|| {
                let _ = self.disable();
            });
        }
    }

    /// Leaves a device that is not registered, whose lock SIDE holds, to [`Napi::join`] the one that
    /// takes its place a grace period later. Returns whether it was enabled.
    pub(super) fn leave(&self) -> Result<bool, Violation> {
        self.device
            .real
            .clear_queue_napi(self.device.tx_queues, self.device.rx_queues);
        let (enabled, listed) = {
            let claims = self.claims.lock();
            (claims.enabled, claims.listed)
        };
        if enabled {
            self.disable()?;
        }
        if listed {
            self.claims.lock().listed = false;
            self.twin.delete();
        }
        Ok(enabled)
    }

    /// Joins the device that took the place of the one that it left, and is enabled if it was. SIDE holds its lock.
    pub(super) fn join(self: &Arc<Self>, enabled: bool) {
        self.twin.add(&self.device.real, self, WEIGHT_MAX);
        let mut claims = self.claims.lock();
        claims.listed = true;
        claims.enabled = enabled;
        claims.closing = !enabled;
        drop(claims);
        if enabled {
            self.twin.enable();
        }
        self.show_state();
    }

    /// Takes the instance away from the kernel. A grace period must pass before it is dropped.
    pub(crate) fn remove(&self) {
        self.locked(|| {
            if self.claims.lock().enabled {
                let _ = self.disable();
            }
            {
                let mut claims = self.claims.lock();
                if !core::mem::take(&mut claims.listed) {
                    return;
                }
                // A claim that nobody followed up is SIDE's now.
                claims.prepared = false;
                claims.closing = true;
                // Under the lock: a queue is not given to it any more.
                self.device
                    .real
                    .clear_queue_napi(self.device.tx_queues, self.device.rx_queues);
            }
            self.twin.delete();
        });
    }
}

/// Removes all instances of the device at `handle`, as `free_netdev` does. Process context.
pub(crate) fn remove_all(device: &NetDevice) {
    let napis = &device.domain.net.napis;
    let mut removed = KVec::new();
    for (handle, napi) in napis.iter() {
        if napi.belongs_to(device.handle) {
            napi.remove();
            if let Some(napi) = napis.remove(handle) {
                // Without memory to keep it the instance is leaked rather than freed too early.
                if let Err(error) = removed.push(napi, GFP_KERNEL) {
                    let _ = error;
                }
            }
        }
    }
    net::synchronize();
}

fn find(call: &Call<'_>, handle: u64) -> Result<Arc<Napi>, Violation> {
    call.domain
        .net
        .napis
        .get(handle)
        .ok_or(Violation::new("not-a-napi", handle))
}

/// Adds the instance at argument 1 to the device at argument 0, whose lock is held.
fn add(call: &Call<'_>, weight: i32) -> Outcome {
    let domain = call.domain;
    let device = domain.net.device(call.arg(0))?;
    let handle = call.arg(1);
    domain.memory.check(handle, NAPI_SIZE, true)?;
    if domain.net.napis.len() >= NAPIS_MAX {
        return Err(Violation::new("too-many-napis", handle));
    }
    let Ok(twin) = Twin::new() else {
        return Err(Violation::new("no-memory", 0));
    };
    let napi = Arc::new(
        Napi {
            device: device.clone(),
            handle,
            function: call.arg(2),
            state: domain
                .memory
                .window(handle + NAPI_STATE, 8)
                .filter(|_| handle % 8 == 0),
            twin,
            claims: BhLock::new(Claims {
                prepared: false,
                // The kernel's too is claimed until it is enabled.
                closing: true,
                enabled: false,
                listed: false,
            }),
            polling: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            budget: AtomicI32::new(0),
            fragments: AtomicU64::new(0),
            interrupt: BhLock::new(None),
        },
        GFP_KERNEL,
    );
    let Ok(napi) = napi else {
        return Err(Violation::new("no-memory", 0));
    };
    if domain.net.napis.insert(handle, napi.clone()).is_err() {
        return Err(Violation::new("napi-added-twice", handle));
    }
    let weight = if weight <= 0 || weight > WEIGHT_MAX {
        WEIGHT_MAX
    } else {
        weight
    };
    napi.twin.add(&device.real, &napi, weight);
    napi.twin.enter_directly(domain.has(DIRECT_ENTRY));
    napi.claims.lock().listed = true;
    call.write(handle + NAPI_DEV, device.handle)?;
    call.write(handle + NAPI_WEIGHT, weight)?;
    napi.show_state();
    Ok(0)
}

/// `netif_napi_add_weight_locked(dev, napi, poll, weight)`.
pub(crate) fn add_locked(call: &mut Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    if !device.holds_lock() {
        return Err(Violation::new("netdev-lock-not-held", call.arg(0)));
    }
    add(call, call.int(3))
}

/// `__netif_napi_del_locked(napi)`.
pub(crate) fn del_locked(call: &mut Call<'_>) -> Outcome {
    let napi = find(call, call.arg(0))?;
    if !napi.device.holds_lock() {
        return Err(Violation::new("netdev-lock-not-held", call.arg(0)));
    }
    napi.remove();
    call.domain.net.napis.remove(call.arg(0));
    // The kernel leaves the grace period to the driver; SIDE's twin needs one of its own.
    net::synchronize();
    Ok(0)
}

/// `netif_napi_set_irq_locked(napi, irq)`.
pub(crate) fn set_irq_locked(call: &mut Call<'_>) -> Outcome {
    let napi = find(call, call.arg(0))?;
    if !napi.device.holds_lock() {
        return Err(Violation::new("netdev-lock-not-held", call.arg(0)));
    }
    napi.twin.set_irq(core::cmp::max(call.int(1), -1));
    Ok(0)
}

/// `netif_queue_set_napi(dev, queue_index, type, napi)`.
pub(crate) fn queue_set_napi(call: &mut Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    let (queue, kind) = (call.uint(1), call.uint(2));
    let limit = match kind {
        0 => device.rx_queues,
        1 => device.tx_queues,
        _ => return Err(Violation::new("bad-queue-type", call.arg(2))),
    };
    if queue >= limit {
        return Err(Violation::new("bad-queue", call.arg(1)));
    }
    need_rtnl_if_registered(call, &device)?;
    match call.arg(3) {
        0 => device.real.clear_one_queue_napi(queue, kind == 1),
        handle => {
            let napi = find(call, handle)?;
            if !napi.belongs_to(device.handle) {
                return Err(Violation::new("not-a-napi", handle));
            }
            // One that is being added or removed has no device yet, or none any more.
            let claims = napi.claims.lock();
            if claims.listed {
                napi.twin.serve(&device.real, queue, kind == 1);
            }
        }
    }
    Ok(0)
}

/// Runs `f` with the device's lock held, taken here unless the driver holds it.
fn with_lock(napi: &Napi, f: impl FnOnce(&Napi) -> Result<(), Violation>) -> Outcome {
    if napi.device.holds_lock() {
        return Err(Violation::new("netdev-lock-held", napi.device.handle));
    }
    let domain = &napi.device.domain;
    wait_for(domain, "netdev-lock-timeout", || {
        napi.device.real.try_lock()
    })?;
    let result = f(napi);
    napi.device.real.unlock();
    result.map(|()| 0)
}

fn need_lock(napi: &Napi) -> Result<(), Violation> {
    if napi.device.holds_lock() {
        return Ok(());
    }
    Err(Violation::new("netdev-lock-not-held", napi.device.handle))
}

/// `napi_enable(napi)`.
pub(crate) fn enable(call: &mut Call<'_>) -> Outcome {
    with_lock(&*find(call, call.arg(0))?, Napi::enable)
}

/// `napi_enable_locked(napi)`.
pub(crate) fn enable_locked(call: &mut Call<'_>) -> Outcome {
    let napi = find(call, call.arg(0))?;
    need_lock(&napi)?;
    napi.enable().map(|()| 0)
}

/// `napi_disable(napi)`.
pub(crate) fn disable(call: &mut Call<'_>) -> Outcome {
    with_lock(&*find(call, call.arg(0))?, Napi::disable)
}

/// `napi_disable_locked(napi)`.
pub(crate) fn disable_locked(call: &mut Call<'_>) -> Outcome {
    let napi = find(call, call.arg(0))?;
    need_lock(&napi)?;
    napi.disable().map(|()| 0)
}

/// `napi_schedule_prep(napi)`.
pub(crate) fn schedule_prep(call: &mut Call<'_>) -> Outcome {
    Ok(find(call, call.arg(0))?.prepare().into())
}

/// `__napi_schedule(napi)` and `__napi_schedule_irqoff(napi)`.
pub(crate) fn schedule(call: &mut Call<'_>) -> Outcome {
    find(call, call.arg(0))?.schedule().map(|()| 0)
}

/// `napi_complete_done(napi, work_done)`.
pub(crate) fn complete_done(call: &mut Call<'_>) -> Outcome {
    let napi = find(call, call.arg(0))?;
    let polls = is_poll(call.upcall) && !call.may_sleep();
    napi.complete_here(call.int(1), polls)
}

// SPDX-License-Identifier: GPL-2.0

//! The run loop: one upcall, from its entry into ring 3 to its return.
//!
//! As in KVM's run loop the switcher only saves, switches and restores; each exit is decided here,
//! on a normal kernel stack with Linux's state in place. The loop is re-entrant: an import's
//! handler may cause further upcalls of the same domain on the same kernel stack, and each upcall
//! has a driver stack of its own.
//!
//! While the driver is virtually atomic (its own preempt count is above zero or its own interrupt
//! flag is off) the loop keeps bottom halves off on this CPU. So no other upcall of any domain that
//! stems from an interrupt can run on top of it here and spin on a lock that it holds.

use crate::call::{Call, Violation};
use crate::domain::Domain;
use crate::fault_handler::frame::Frame;
use crate::faults;
use crate::memory::{VirtualCpu, STACK_RETURN};
use crate::report::Death;
use crate::side_stubs::arguments;
use crate::side_stubs::contract::*;
use crate::side_stubs::handlers::drain;
use crate::side_stubs::handlers::napi::Napi;
use crate::side_stubs::policy::{Arg, Class, Where};
use crate::side_stubs::table;
use crate::switcher;
use crate::sys::cpu;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Whether an upcall may sleep. This comes from the callback's declaration, never from the preempt
/// count: `ndo_get_stats64` runs under RCU with a count of zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Context {
    /// Process context; imports that sleep are allowed.
    Process,
    /// Bottom half, or a spinlock or RCU read lock is held.
    Atomic,
}

/// The domain is dead: the upcall did not run, or did not come to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended;

impl From<Ended> for Error {
    fn from(_: Ended) -> Error {
        EIO
    }
}

/// What the run loop does after an exit.
pub(crate) enum Next {
    /// Enter again with the frame as it is.
    Resume,
    /// The upcall is over with this value.
    Return(u64),
    /// The domain is dead.
    End,
}

/// An upcall in progress: what exits of it need to know.
pub(crate) struct Upcall<'a> {
    pub(crate) domain: &'a Arc<Domain>,
    /// What was called, for reports and counters.
    pub(crate) name: &'static str,
    /// As the callback's declaration says.
    pub(crate) context: Context,
    /// The registers of ring 3.
    pub(crate) frame: Frame,
    /// Bounds of the driver's stack: lowest usable address, and one past the highest.
    pub(crate) stack: (u64, u64),
    /// This CPU's state in an atomic upcall, which stays on its CPU.
    here: Option<&'a VirtualCpu>,
    /// The instance that it polls, if it is a poll.
    napi: Option<&'a Napi>,
    /// Bottom halves are off on behalf of the driver.
    held: bool,
    /// The CPU of the last stay in ring 3: with interrupts on the task may have moved since.
    pub(crate) cpu: usize,
    /// Ring-3 time used, in ns.
    used: u64,
    /// Time since the driver became atomic, in ns: its own and that of its imports, since nothing
    /// else runs on this CPU meanwhile.
    span: u64,
    /// What the last import took that is charged however long it was, in ns.
    spun: u64,
    /// When the upcall began, in ns of monotonic time, if it is one in process context.
    began: u64,
    /// When ring 3 was left last, or the upcall began, by the stopwatch.
    left: u64,
    /// Ring 3 was not entered yet.
    fresh: bool,
}

/// The longest that an upcall in process context may take in ns, sleeping and waiting included:
/// its caller may hold locks that others need.
const DEADLINE: u64 = 60_000_000_000;

/// Atomic upcalls of all domains that may be on top of one another on a CPU. One that receives and one that
/// sends the answer, or what a bridge hands on, are ordinary. With what the kernel does between them each takes
/// about 4 KiB of an interrupt stack of 16, on which a report must fit too.
const NESTED_MAX: u32 = 3;
static NESTED: [AtomicU32; VCPU_MAX] = [const { AtomicU32::new(0) }; VCPU_MAX];

/// Bytes of its task's stack that an upcall must find, and then an import that may sleep: the loop itself
/// takes 2 KiB, the largest handler 3, and the kernel's functions behind them about as much (registering a
/// network device).
const STACK_LEAST: usize = 6 << 10;
/// With as much at the beginning of a proxy, its upcall will find enough. One that finds less is refused what it
/// wants, and the driver is not to blame.
pub(crate) const STACK_AMPLE: usize = STACK_LEAST + (1 << 10);
const IMPORT_STACK_LEAST: usize = 5 << 10;

/// The most of one stay in ring 3, or of one import, that is charged to a driver, in ns. A timer of
/// 1 ms ends each stay ([`switcher::arm_tick`]): what lasts several times as long did so because a
/// hypervisor took the CPU away, and a driver must not die of a busy host. What an import was asked to
/// spin, and what it called of the driver's own, is charged in full ([`Call::spun`]).
const STAY_MAX: u64 = 4_000_000;

fn charged(taken: u64) -> u64 {
    core::cmp::min(taken, STAY_MAX)
}

/// Calls `function` of the driver with up to six arguments and returns its `rax`.
///
/// Never with interrupts off. `Process` may sleep.
#[inline(always)]
pub(crate) fn upcall(
    domain: &Arc<Domain>,
    name: &'static str,
    function: u64,
    args: &[u64],
    context: Context,
) -> Result<u64, Ended> {
    let args = registers(args);
    one(domain, name, function, &args, context, None, &mut 0)
}

/// As [`upcall`] for a poll of `napi`, which is atomic.
#[inline(always)]
pub(crate) fn poll(
    domain: &Arc<Domain>,
    name: &'static str,
    function: u64,
    args: &[u64],
    napi: &Napi,
) -> Result<u64, Ended> {
    let (args, atomic) = (registers(args), Context::Atomic);
    one(domain, name, function, &args, atomic, Some(napi), &mut 0)
}

/// As [`upcall`], and returns with it for how many ns the CPU was the upcall's, if it was an atomic one: what
/// was charged, and of what the kernel did around it as much as of one stay.
pub(crate) fn measured(
    domain: &Arc<Domain>,
    name: &'static str,
    function: u64,
    args: &[u64],
    context: Context,
) -> (Result<u64, Ended>, u64) {
    let (begin, mut span) = (cpu::stopwatch(), 0);
    let args = registers(args);
    let result = one(domain, name, function, &args, context, None, &mut span);
    let around = cpu::stopwatch().saturating_sub(begin).saturating_sub(span);
    (result, span + charged(around))
}

/// The registers that take the arguments of a call: six, and no upcall has more.
#[inline(always)]
fn registers(args: &[u64]) -> [u64; 6] {
    let mut registers = [0; 6];
    for (register, arg) in registers.iter_mut().zip(args) {
        *register = *arg;
    }
    registers
}

/// One upcall. `span` is set to what was charged for it if it was an atomic one, in ns.
#[inline(never)]
fn one(
    domain: &Arc<Domain>,
    name: &'static str,
    function: u64,
    args: &[u64; 6],
    context: Context,
    napi: Option<&Napi>,
    span: &mut u64,
) -> Result<u64, Ended> {
    if domain.is_dead() {
        return Err(Ended);
    }
    if cpu::irqs_disabled() {
        pr_err!(
            "{}: upcall {} refused: interrupts are off\n",
            domain.name(),
            name
        );
        return Err(Ended);
    }
    if domain.inject.strikes(name) {
        domain.breach(name, Violation::new("injected", 0));
        return Err(Ended);
    }
    // An import can cause the upcall that calls it again.
    let left = cpu::stack_left();
    if left < STACK_LEAST {
        domain.breach(name, Violation::new("nested-too-deep", left as u64));
        return Err(Ended);
    }
    if context == Context::Process {
        return carry_out(domain, name, function, args, None, None, span);
    }
    // Bottom halves stay off for the whole of an atomic upcall, so that this CPU's virtual state is this
    // upcall's alone. The caller's own context may be RCU only, but mostly they are off already.
    let lets_in = !cpu::bh_off();
    if lets_in {
        cpu::bh_disable();
    }
    let result = match domain.memory.cpu(cpu::id()) {
        Some(here) => carry_out(domain, name, function, args, Some(here), napi, span),
        None => {
            domain.exhausted(name, "CPUs");
            Err(Ended)
        }
    };
    if lets_in {
        cpu::bh_enable();
    }
    result
}

/// The upcall itself. `here` is this CPU's state if it is an atomic one: bottom halves are off.
#[inline(always)]
fn carry_out(
    domain: &Arc<Domain>,
    name: &'static str,
    function: u64,
    args: &[u64; 6],
    here: Option<&VirtualCpu>,
    napi: Option<&Napi>,
    span: &mut u64,
) -> Result<u64, Ended> {
    let Ok((stack, top)) = domain.memory.stack(here, stub_address(STUB_RETURN)) else {
        domain.exhausted(name, "stacks");
        return Err(Ended);
    };
    domain.enter();
    let start = cpu::stopwatch();
    let [rdi, rsi, rdx, rcx, r8, r9] = *args;
    let slot = domain.upcalls.count(name);
    domain.recent.upcall(slot, start, [rdi, rsi, rdx]);
    let mut upcall = Upcall {
        domain,
        name,
        context: match here {
            Some(_) => Context::Atomic,
            None => Context::Process,
        },
        frame: Frame {
            rdi,
            rsi,
            rdx,
            rcx,
            r8,
            r9,
            rip: function,
            rsp: top - STACK_RETURN,
            ..Frame::default()
        },
        stack: (top - STACK_SIZE, top),
        here,
        napi,
        held: false,
        cpu: 0,
        used: 0,
        span: 0,
        spun: 0,
        began: match here {
            Some(_) => 0,
            None => cpu::now(),
        },
        left: start,
        fresh: true,
    };
    let result = match here {
        Some(here) => {
            let result = upcall.atomic(here);
            *span = upcall.span;
            domain.net.pay();
            result
        }
        None => upcall.process(),
    };
    domain.memory.unstack(here, stack);
    domain.leave();
    result
}

impl Upcall<'_> {
    /// An atomic upcall on the CPU of `here`, on top of those that this CPU is in.
    #[inline(always)]
    fn atomic(&mut self, here: &VirtualCpu) -> Result<u64, Ended> {
        let Some(nested) = NESTED.get(here.number) else {
            self.domain.exhausted(self.name, "CPUs");
            return Err(Ended);
        };
        let depth = nested.load(Ordering::Relaxed);
        if depth >= NESTED_MAX {
            let violation = Violation::new("nested-too-deep", depth.into());
            self.domain.breach(self.name, violation);
            return Err(Ended);
        }
        nested.store(depth + 1, Ordering::Relaxed);
        let count = here.preempt_count.get();
        let flag = here.irq_disabled.get();
        let local = here.local.get();
        here.preempt_count.set(PREEMPT_COUNT_IDLE | SOFTIRQ_OFFSET);
        here.irq_disabled.set(0);
        drain::begin(self.domain, here);
        let result = self.turns();
        here.preempt_count.set(count);
        here.irq_disabled.set(flag);
        here.local.set(local);
        nested.store(depth, Ordering::Relaxed);
        result
    }

    /// An upcall that may sleep.
    #[inline(never)]
    fn process(&mut self) -> Result<u64, Ended> {
        let net = &self.domain.net;
        let outer = net.begin_upcall();
        let mut result = self.turns();
        if self.held {
            // The driver left with a lock held or interrupts virtually off: its own mistake, which
            // must not reach the next upcall on this CPU.
            if let Some(v) = self.domain.memory.cpu(cpu::id()) {
                v.preempt_count.set(PREEMPT_COUNT_IDLE);
                v.irq_disabled.set(0);
            }
            self.held = false;
            cpu::bh_enable();
            result = result.and_then(|_| Err(self.left("left-atomic")));
        }
        net.pay();
        if net.end_upcall(outer) {
            result = result.and_then(|_| Err(self.left("left-locked")));
        }
        // Work and the like stop and start transmit queues by plain stores.
        net.after_upcall();
        result
    }

    /// Ends the domain since the upcall has left something held, by the rule of this name.
    #[cold]
    fn left(&self, rule: &'static str) -> Ended {
        self.domain.breach(self.name, Violation::new(rule, 0));
        Ended
    }

    fn turns(&mut self) -> Result<u64, Ended> {
        loop {
            match self.turn() {
                Next::Resume => {}
                Next::Return(value) => return Ok(value),
                Next::End => return Err(Ended),
            }
        }
    }

    /// One stay in ring 3 and what its end asks for.
    fn turn(&mut self) -> Next {
        let domain = self.domain;
        let memory = &domain.memory;
        cpu::irq_disable();
        // Whoever found the domain dead and has interrupted each CPU since may free what it maps.
        if domain.is_dead() {
            cpu::irq_enable();
            return Next::End;
        }
        // A task may have moved since it left ring 3.
        let Some(virtual_cpu) = self.here.or_else(|| memory.cpu(cpu::id())) else {
            cpu::irq_enable();
            self.domain.exhausted(self.name, "CPUs");
            return Next::End;
        };
        let number = virtual_cpu.number;
        self.cpu = number;
        if let Some(word) = memory.jiffies_word() {
            word.set(cpu::jiffies());
        }
        switcher::arm_tick();
        // The clock was read a moment ago if this is the first turn.
        let begin = match core::mem::take(&mut self.fresh) {
            true => self.left,
            false => cpu::stopwatch(),
        };
        let spun = core::mem::take(&mut self.spun);
        if self.context == Context::Atomic || self.held {
            self.span += core::cmp::max(charged(begin.wrapping_sub(self.left)), spun);
        }
        let exit = switcher::enter(memory.view(), &mut self.frame, number as u64 * VCPU_STRIDE);
        self.left = cpu::stopwatch();
        let stay = charged(self.left.wrapping_sub(begin));
        self.used += stay;
        self.span += stay;
        if self.context == Context::Process {
            self.follow_virtual_state(virtual_cpu);
        }
        let vector = exit.vector;
        if vector == switcher::GATE_VECTOR {
            cpu::irq_enable();
            self.release_if_over();
            return match self.check_budget() {
                Next::Resume => self.deferred_and_gate(virtual_cpu),
                next => next,
            };
        }
        if vector >= 32 || switcher::is_handed_on(vector) {
            if self.held {
                virtual_cpu.pending.set(1);
            }
            switcher::hand_on(vector);
            // What the interrupt took is not the driver's.
            self.left = cpu::stopwatch();
            self.release_if_over();
            if self.context == Context::Process && !self.held {
                cpu::cond_resched();
            }
            return self.check_budget();
        }
        cpu::irq_enable();
        self.release_if_over();
        match faults::handle(self, &exit) {
            Next::Resume => {
                if self.context == Context::Process && !self.held {
                    cpu::cond_resched();
                }
                // What handles a fault is charged, and may last longer than the timer that ends a
                // stay: no interrupt need ever hit ring 3.
                self.check_budget()
            }
            next => next,
        }
    }

    /// Whether the driver is virtually atomic, on the CPU that it just left. Interrupts are off.
    fn follow_virtual_state(&mut self, virtual_cpu: &VirtualCpu) {
        let atomic = virtual_cpu.preempt_count.get() != PREEMPT_COUNT_IDLE
            || virtual_cpu.irq_disabled.get() != 0;
        if atomic && !self.held {
            cpu::bh_disable();
            self.held = true;
            self.span = 0;
        }
    }

    /// Lets bottom halves in again once the driver is no longer virtually atomic. Interrupts on.
    fn release_if_over(&mut self) {
        if !self.held {
            return;
        }
        // Held means that this is still the CPU that the driver left.
        let over = match self.domain.memory.cpu(cpu::id()) {
            Some(v) => {
                let over = v.preempt_count.get() == PREEMPT_COUNT_IDLE && v.irq_disabled.get() == 0;
                if over {
                    v.pending.set(0);
                }
                over
            }
            None => true,
        };
        if over {
            self.held = false;
            cpu::bh_enable();
        }
    }

    /// The driver's own interrupt flag, as far as it knows: while it is not virtually atomic its
    /// interrupts are on, on whatever CPU it will run next.
    pub(crate) fn virtual_interrupts(&self) -> bool {
        let atomic = self.held || self.context == Context::Atomic;
        !(atomic
            && self
                .domain
                .memory
                .cpu(cpu::id())
                .is_some_and(|v| v.irq_disabled.get() != 0))
    }

    /// Sets the driver's own interrupt flag. Off makes the driver atomic, so it stays on this CPU.
    pub(crate) fn set_virtual_interrupts(&mut self, enabled: bool) {
        if self.context == Context::Process && !enabled && !self.held {
            cpu::bh_disable();
            self.held = true;
            self.span = 0;
        }
        if self.held || self.context == Context::Atomic {
            if let Some(v) = self.domain.memory.cpu(cpu::id()) {
                v.irq_disabled.set(u64::from(!enabled));
            }
        }
        self.release_if_over();
    }

    #[inline(always)]
    fn check_budget(&mut self) -> Next {
        let [_, atomic] = &self.domain.budget;
        match self.context == Context::Atomic && self.span <= atomic.load(Ordering::Relaxed) {
            true => Next::Resume,
            false => self.check_budget_closely(),
        }
    }

    #[inline(never)]
    fn check_budget_closely(&mut self) -> Next {
        let [process, atomic] = &self.domain.budget;
        let death = if self.context == Context::Atomic || self.held {
            let budget = atomic.load(Ordering::Relaxed);
            (self.span > budget).then(|| Death::budget(self, self.span, budget))
        } else {
            let budget = process.load(Ordering::Relaxed);
            match self.used > budget {
                true => Some(Death::budget(self, self.used, budget)),
                // Held in an atomic upcall is the other case, so this one knows when it began.
                false => (cpu::now().wrapping_sub(self.began) > DEADLINE)
                    .then(|| Death::deadline(self, DEADLINE)),
            }
        };
        match death {
            Some(death) => {
                self.domain.end(death);
                Next::End
            }
            None => Next::Resume,
        }
    }

    /// The context in which an import of this upcall is called right now.
    pub(crate) fn effective_context(&self) -> Context {
        if self.held {
            Context::Atomic
        } else {
            self.context
        }
    }

    /// Carries out what the driver has deferred, then what it crossed for.
    fn deferred_and_gate(&mut self, virtual_cpu: &VirtualCpu) -> Next {
        if self.context == Context::Atomic {
            if let Err((import, violation)) =
                drain::drain(self.domain, virtual_cpu, self.name, self.napi)
            {
                return self.refuse(import, violation);
            }
        }
        self.gate()
    }

    fn gate(&mut self) -> Next {
        match stub_index(self.frame.rip) {
            Some(STUB_RETURN) => Next::Return(self.frame.rax),
            Some(STUB_YIELD) => Next::Resume,
            Some(index) => self.import(index as usize),
            None => faults::forbidden_gate(self),
        }
    }

    /// A stub behind the table's: an import that SIDE does not know, let pass by `allow_missing`.
    #[cold]
    #[inline(never)]
    fn missing(&mut self, index: usize) -> Next {
        match self.domain.image.missing.get(index - table::COUNT) {
            Some(name) => {
                let name = core::str::from_utf8(name).unwrap_or("?");
                pr_err!("{}: unknown import {name} called\n", self.domain.name());
                self.domain.end(Death::forbidden(self, "unknown-import"));
                Next::End
            }
            None => faults::forbidden_gate(self),
        }
    }

    fn import(&mut self, index: usize) -> Next {
        let Some(import) = table::get(index) else {
            return self.missing(index);
        };
        if !self.domain.imported[index].load(Ordering::Relaxed) {
            return self.refuse(import.name, Violation::new("not-imported", index as u64));
        }
        self.domain.crossings[index].fetch_add(1, Ordering::Relaxed);
        self.domain.recent.import(
            index,
            self.left,
            [self.frame.rdi, self.frame.rsi, self.frame.rdx],
        );
        let context = self.effective_context();
        if self.domain.inject.strikes(import.name) {
            return self.refuse(import.name, Violation::new("injected", 0));
        }
        let mut spun = 0;
        let outcome = match import.class {
            Class::Gate {
                handler,
                args,
                context: wanted,
            } => {
                if wanted == Where::Sleep && context == Context::Atomic {
                    Err(Violation::new("sleep-in-atomic", 0))
                } else if wanted == Where::Sleep && cpu::stack_left() < IMPORT_STACK_LEAST {
                    Err(Violation::new("nested-too-deep", cpu::stack_left() as u64))
                } else {
                    let mut call = Call {
                        domain: self.domain,
                        frame: &mut self.frame,
                        context,
                        upcall: self.name,
                        deadline: self.began.saturating_add(DEADLINE),
                        spun: Cell::new(0),
                    };
                    let answer = match check_arguments(&call, args) {
                        Ok(()) => handler(&mut call),
                        Err(violation) => Err(violation),
                    };
                    spun = call.spun.get();
                    answer
                }
            }
            Class::Denied(reason) => {
                pr_err!("{}: {} called: {reason}\n", self.domain.name(), import.name);
                Err(Violation::new("denied-import", 0))
            }
            Class::Native | Class::Local | Class::Data { .. } | Class::PerCpu { .. } => {
                Err(Violation::new("not-a-gate", 0))
            }
        };
        self.spun = spun;
        match outcome {
            Ok(value) => {
                self.frame.rax = value;
                // A long chain of imports without an interrupt between them must not starve
                // others.
                if context == Context::Process {
                    cpu::cond_resched();
                }
                Next::Resume
            }
            Err(violation) => self.refuse(import.name, violation),
        }
    }

    /// Ends the domain for a call of `import`. The account of a death is large, and not to be on the stack while
    /// imports are served.
    #[cold]
    #[inline(never)]
    fn refuse(&self, import: &'static str, violation: Violation) -> Next {
        self.domain.end(Death::violation(self, import, violation));
        Next::End
    }
}

/// Checks the arguments of a call against the import's declaration.
pub(crate) fn check_arguments(call: &Call<'_>, args: &[Arg]) -> Result<(), Violation> {
    arguments::check(args, |n| call.arg(n), &call.domain.memory)
        .map_err(|(rule, value)| Violation::new(rule, value))
}

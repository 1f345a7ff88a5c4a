// SPDX-License-Identifier: GPL-2.0

//! The state of this CPU: interrupts, bottom halves, preemption, clocks.

use super::bindings;
use crate::fault_handler::frame::rflags;
pub(crate) use crate::switcher::processor::{
    current_cpu as id, interrupts_off as irq_disable, interrupts_on as irq_enable,
};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

extern "C" {
    static __preempt_count: u64;
    #[link_name = "current_task"]
    static running_task: u64;
}

/// Whether interrupts are off on this CPU.
#[inline(always)]
pub(crate) fn irqs_disabled() -> bool {
    let flags: u64;
    // SAFETY: reads flags. Not `nostack`: it pushes.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & rflags::IF == 0
}

/// Whether the caller is a task, and not an interrupt of any kind.
pub(crate) fn in_task() -> bool {
    // SAFETY: reads the preempt count.
    unsafe { bindings::side_in_task() }
}

/// Whether sleeping is impossible here as far as the preempt count and the interrupt flag tell.
pub(crate) fn in_atomic() -> bool {
    // SAFETY: reads the preempt count.
    unsafe { bindings::side_in_atomic() }
}

/// Bytes that are left of the running task's kernel stack; `usize::MAX` on an interrupt's stack.
#[inline(always)]
pub(crate) fn stack_left() -> usize {
    let (task, here): (*const bindings::task_struct, usize);
    // SAFETY: reads a per-CPU variable of the kernel through GS, which is the same for as long as this task runs,
    // and the stack pointer.
    unsafe {
        asm!("mov {}, gs:[rip + {}]", "mov {}, rsp", out(reg) task, sym running_task, out(reg) here,
             options(nostack, preserves_flags, readonly))
    };
    // SAFETY: the running task has a stack.
    let lowest = unsafe { (*task).stack } as usize;
    match here.wrapping_sub(lowest) {
        left if left < bindings::side_thread_size => left,
        _ => usize::MAX,
    }
}

/// Whether ring 3 may be entered from the caller's context: interrupts are on, and at least `stack` bytes are left of
/// the task's kernel stack, or this is an interrupt's.
#[inline(always)]
pub(crate) fn may_enter(stack: usize) -> bool {
    !irqs_disabled() && stack_left() >= stack
}

/// Holds off bottom halves on this CPU (and so preemption); nests.
pub(crate) fn bh_disable() {
    // SAFETY: always allowed outside hard interrupts.
    unsafe { bindings::side_local_bh_disable() }
}

/// Undoes one [`bh_disable`] and runs what became due. Interrupts must be on.
pub(crate) fn bh_enable() {
    // SAFETY: pairs with `bh_disable`.
    unsafe { bindings::side_local_bh_enable() }
}

/// Whether bottom halves are off on this CPU, or one runs.
#[inline(always)]
pub(crate) fn bh_off() -> bool {
    let count: u32;
    // SAFETY: reads a per-CPU variable of the kernel through GS. Where bottom halves are off the CPU
    // stays the same; where they are on, they are so on each CPU that this may be.
    unsafe {
        asm!("mov {:e}, gs:[rip + {}]", out(reg) count, sym __preempt_count,
             options(nostack, preserves_flags, readonly))
    };
    count & bindings::side_softirq_mask != 0
}

/// The number of online CPUs.
pub(crate) fn online() -> u32 {
    // SAFETY: a read of a variable that may change.
    unsafe {
        (&raw const bindings::__num_online_cpus)
            .cast::<u32>()
            .read_volatile()
    }
}

/// Gives the CPU away if something else wants it. Sleeping must be allowed.
pub(crate) fn cond_resched() {
    // SAFETY: the caller may sleep.
    unsafe { bindings::side_cond_resched() };
}

/// One more than the highest CPU number that can ever be online.
pub(crate) fn possible() -> usize {
    // SAFETY: `nr_cpu_ids` is constant after boot.
    unsafe { bindings::nr_cpu_ids as usize }
}

/// Whether CPU `cpu` can ever be online.
pub(crate) fn is_possible(cpu: usize) -> bool {
    // SAFETY: the mask is constant after boot; the shim checks the range.
    unsafe { bindings::side_cpu_possible(cpu as u32) }
}

/// The kernel's tick count.
pub(crate) fn jiffies() -> u64 {
    // SAFETY: a volatile read of a word.
    unsafe { core::ptr::read_volatile(&raw const bindings::jiffies) as u64 }
}

/// The kernel's tick count in ns, from anywhere: monotonic, and as coarse as a tick. Any context.
pub(crate) fn jiffies_ns() -> u64 {
    jiffies().wrapping_mul(1_000_000_000 / u64::from(bindings::HZ))
}

/// Monotonic time in nanoseconds; any context.
pub(crate) fn now() -> u64 {
    // SAFETY: callable in any context, NMI included (kernel/time/timekeeping.c).
    unsafe { bindings::ktime_get_mono_fast_ns() }
}

/// What a cycle of the time-stamp counter takes, in ns / 2^32; 0 where the kernel does not trust it.
static CYCLE: AtomicU64 = AtomicU64::new(0);

/// Looks whether the time-stamp counter may be the [`stopwatch`]. When the module is loaded, and now and then.
pub(crate) fn choose_stopwatch() {
    // SAFETY: reads two variables of the kernel's (arch/x86/kernel/tsc.c).
    let (unstable, khz) = unsafe { (bindings::check_tsc_unstable(), bindings::tsc_khz) };
    let cycle = match (unstable, khz) {
        (0, 1..) => (1_000_000 << 32) / u64::from(khz),
        _ => 0,
    };
    CYCLE.store(cycle, Ordering::Relaxed);
}

/// A count of ns from anywhere, a few instructions long where [`now`] takes fifty: for distances between two
/// looks on one CPU, between which nothing sleeps. Other CPUs may count from elsewhere, and so may this one after
/// it was suspended. Any context.
#[inline(always)]
pub(crate) fn stopwatch() -> u64 {
    match CYCLE.load(Ordering::Relaxed) {
        0 => now(),
        cycle => {
            let (low, high): (u32, u32);
            // SAFETY: reads the counter.
            unsafe {
                asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
            };
            let cycles = u64::from(high) << 32 | u64::from(low);
            (u128::from(cycles) * u128::from(cycle) >> 32) as u64
        }
    }
}

/// Makes every other CPU take an interrupt, and so leave ring 3. Interrupts must be on;
/// for tasks only.
pub(crate) fn kick_all() {
    // SAFETY: the shim's callback does nothing.
    unsafe { bindings::side_kick_all() }
}

/// Sleeps for `ms` milliseconds. Sleeping must be allowed.
pub(crate) fn sleep_ms(ms: u32) {
    // SAFETY: the caller may sleep.
    unsafe { bindings::msleep(ms) }
}

/// The task that runs here, as a number that stands for it: compared, never followed.
pub(crate) fn current_task() -> usize {
    // SAFETY: reads a per-CPU variable.
    unsafe { bindings::side_task() as usize }
}

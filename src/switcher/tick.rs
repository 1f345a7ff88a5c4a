// SPDX-License-Identifier: GPL-2.0

//! The clock of a stay in ring 3: a pinned hard timer of 1 ms, armed while an upcall runs.
//!
//! The tick is not enough: on a CPU woken from idle, softirqs run at interrupt exit with the tick
//! still stopped, and a spin in ring 3 would be interrupted once a second. The timer's function does
//! nothing; that it takes the CPU out of ring 3 is the point.

extern "C" {
    fn side_switch_tick_setup();
    fn side_switch_tick_arm();
    fn side_switch_tick_cancel();
}

/// Sets the timers up, once, before the first use.
pub(crate) fn init() {
    // SAFETY: no timer is armed yet.
    unsafe { side_switch_tick_setup() };
}

/// Arms the timer of this CPU unless it is armed. Interrupts or preemption are off.
pub(crate) fn arm() {
    // SAFETY: the timers were set up before the first view.
    unsafe { side_switch_tick_arm() };
}

/// Stops all timers. No upcall runs any more.
pub(crate) fn exit() {
    // SAFETY: `init` has run; this may wait for a timer's function, which does nothing.
    unsafe { side_switch_tick_cancel() };
}

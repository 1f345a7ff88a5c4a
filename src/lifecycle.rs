// SPDX-License-Identifier: GPL-2.0

//! Birth and death of domains: load, run `init_module`, unload, and what follows a death.

use crate::domain::Domain;
use crate::sys::cpu;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Called once, by whoever found the first cause, in any context but hard interrupts.
pub(crate) fn on_death(domain: &Arc<Domain>) {
    pr_err!("{}: domain ended\n", domain.name());
    if !cpu::irqs_disabled() {
        cpu::kick_all();
    }
}

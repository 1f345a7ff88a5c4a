// SPDX-License-Identifier: GPL-2.0

//! Exits by a fault: asks the fault handler what it means and carries out its verdict.

use crate::report::Death;
use crate::run::{Next, Upcall};
use crate::switcher::Exit;

/// Handles a fault in ring 3. Interrupts are on.
pub(crate) fn handle(upcall: &mut Upcall<'_>, exit: &Exit) -> Next {
    upcall.domain.end(Death::fault(upcall, exit));
    Next::End
}

/// The gate's instruction was executed outside a stub.
pub(crate) fn forbidden_gate(upcall: &mut Upcall<'_>) -> Next {
    upcall.domain.end(Death::forbidden(upcall, "gate-outside-stub"));
    Next::End
}

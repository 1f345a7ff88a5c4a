// SPDX-License-Identifier: GPL-2.0

//! Exits by a fault: gathers the facts, asks the fault handler what they mean, and carries out its
//! verdict.

use crate::fault_handler::cause::{judge, Bug, Facts, Verdict};
use crate::report::Death;
use crate::run::{Next, Upcall};
use crate::switcher::Exit;
use crate::sys::cpu;

/// The longest x86 instruction in bytes.
const LONGEST: usize = 15;

/// Handles a fault in ring 3. Interrupts are on.
pub(crate) fn handle(upcall: &mut Upcall<'_>, exit: &Exit) -> Next {
    let memory = &upcall.domain.memory;
    let mut code = [0; LONGEST];
    let mut len = 0;
    // Byte by byte: the instruction may be the last on its page.
    while len < LONGEST {
        let at = upcall.frame.rip.wrapping_add(len as u64);
        if memory.read_bytes(at, &mut code[len..len + 1]).is_err() {
            break;
        }
        len += 1;
    }
    let facts = Facts {
        vector: exit.vector,
        error_code: exit.error_code,
        address: exit.cr2,
        code: &code[..len],
        stack_bottom: upcall.stack.0,
        mapped: memory.view().translate(exit.cr2).is_some(),
        bug: match upcall.domain.image.is_warning(upcall.frame.rip) {
            Some(true) => Some(Bug::Warn),
            Some(false) => Some(Bug::Bug),
            None => None,
        },
    };
    match judge(&facts) {
        Verdict::SetInterrupts(enabled, bytes) => {
            // The run loop holds bottom halves off as long as this says so.
            if let Some(cpu) = upcall.domain.memory.cpu(cpu::id()) {
                cpu.irq_disabled.set(u64::from(!enabled));
            }
            upcall.frame.rip += bytes;
            Next::Resume
        }
        Verdict::Skip(bytes) => {
            upcall.frame.rip += bytes;
            Next::Resume
        }
        Verdict::Warn(bytes) => {
            upcall
                .domain
                .image
                .print_warning(upcall.domain.name(), upcall.frame.rip);
            upcall.frame.rip += bytes;
            Next::Resume
        }
        Verdict::End(rule) => {
            upcall.domain.end(Death::fault(upcall, exit, rule));
            Next::End
        }
    }
}

/// The gate's instruction was executed outside a stub.
pub(crate) fn forbidden_gate(upcall: &mut Upcall<'_>) -> Next {
    upcall
        .domain
        .end(Death::forbidden(upcall, "forbidden-entry"));
    Next::End
}

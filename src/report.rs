// SPDX-License-Identifier: GPL-2.0

//! Why a domain died, kept for the log, for sysfs and for recovery.

use crate::call::Violation;
use crate::counters::Crossing;
use crate::domain::Domain;
use crate::fault_handler::frame::Frame;
use crate::run::Upcall;
use crate::switcher::Exit;
use kernel::prelude::*;

/// The first cause of a domain's death.
pub(crate) struct Death {
    /// The rule or fault by its short name, in kebab case.
    pub(crate) rule: &'static str,
    /// The upcall in which it happened.
    pub(crate) upcall: &'static str,
    /// The import that was called, if one was.
    pub(crate) import: Option<&'static str>,
    /// The offending value or address.
    pub(crate) value: u64,
    /// Registers, if ring 3 was interrupted.
    pub(crate) frame: Option<Frame>,
    /// Bounds of the stack.
    pub(crate) stack: (u64, u64),
    /// Vector, error code and CR2 of a fault.
    pub(crate) fault: Option<(u8, u64, u64)>,
}

impl Death {
    fn at(upcall: &Upcall<'_>, rule: &'static str) -> Self {
        Death {
            rule,
            upcall: upcall.name,
            import: None,
            value: 0,
            frame: Some(upcall.frame),
            stack: upcall.stack,
            fault: None,
        }
    }

    /// SIDE's own means ran out.
    pub(crate) fn exhausted(upcall: &'static str, what: &'static str) -> Self {
        let rule = what;
        Death { rule, upcall, import: None, value: 0, frame: None, stack: (0, 0), fault: None }
    }

    /// A breach in what an upcall answered.
    pub(crate) fn breach(upcall: &'static str, violation: Violation) -> Self {
        let Violation { rule, value } = violation;
        Death { rule, upcall, import: None, value, frame: None, stack: (0, 0), fault: None }
    }

    /// The time budget, in ns, is used up.
    pub(crate) fn budget(upcall: &Upcall<'_>, budget: u64) -> Self {
        Death { value: budget, ..Self::at(upcall, "budget-exceeded") }
    }

    /// The upcall lasts longer than this many ns, sleeping included.
    pub(crate) fn deadline(upcall: &Upcall<'_>, deadline: u64) -> Self {
        Death {
            value: deadline,
            ..Self::at(upcall, "deadline-exceeded")
        }
    }

    /// An import's declaration or handler refused the call.
    pub(crate) fn violation(
        upcall: &Upcall<'_>,
        import: &'static str,
        violation: Violation,
    ) -> Self {
        Death {
            value: violation.value,
            import: Some(import),
            ..Self::at(upcall, violation.rule)
        }
    }

    /// The processor refused an instruction.
    pub(crate) fn fault(upcall: &Upcall<'_>, exit: &Exit) -> Self {
        Death {
            value: exit.cr2,
            fault: Some((exit.vector, exit.error_code, exit.cr2)),
            ..Self::at(upcall, "fault")
        }
    }

    /// An instruction that is never allowed.
    pub(crate) fn forbidden(upcall: &Upcall<'_>, rule: &'static str) -> Self {
        Self::at(upcall, rule)
    }
}

/// Prints the report of a death to the kernel log.
pub(crate) fn print(domain: &Domain) {
    domain.with_cause(|death| {
        let Some(death) = death else { return };
        let name = domain.name();
        pr_err!("{name}: domain ended: {} (value {:#x})\n", death.rule, death.value);
        pr_err!("{name}: in upcall {}, import {}\n", death.upcall, death.import.unwrap_or("-"));
        if let Some((vector, error, cr2)) = death.fault {
            pr_err!("{name}: vector {vector}, error code {error:#x}, CR2 {cr2:#x}\n");
        }
        if let Some(frame) = &death.frame {
            pr_err!("{name}: RIP {:#x} RSP {:#x} RFLAGS {:#x}\n", frame.rip, frame.rsp, frame.rflags);
            pr_err!("{name}: RAX {:#018x} RBX {:#018x} RCX {:#018x}\n", frame.rax, frame.rbx, frame.rcx);
            pr_err!("{name}: RDX {:#018x} RSI {:#018x} RDI {:#018x}\n", frame.rdx, frame.rsi, frame.rdi);
            pr_err!("{name}: RBP {:#018x} R08 {:#018x} R09 {:#018x}\n", frame.rbp, frame.r8, frame.r9);
        }
    });
    domain.recent.each(|crossing| match crossing {
        Crossing::Upcall(what, a) => pr_err!("{}: recent: upcall {what}({a:#x})\n", domain.name()),
        Crossing::Import(what, a, b) => {
            pr_err!("{}: recent: {what}({a:#x}, {b:#x})\n", domain.name())
        }
        Crossing::None => {}
    });
}

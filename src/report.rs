// SPDX-License-Identifier: GPL-2.0

//! Why a domain died, kept for the log, for sysfs and for recovery.

use crate::call::Violation;
use crate::fault_handler::frame::Frame;
use crate::run::Upcall;
use crate::switcher::Exit;

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

// SPDX-License-Identifier: GPL-2.0

//! Why a domain died, kept for the log, for sysfs and for recovery.

use crate::call::Violation;
use crate::counters::Crossing;
use crate::domain::Domain;
use crate::fault_handler::frame::Frame;
use crate::run::Upcall;
use crate::switcher::Exit;
use crate::sys::print::Text;
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
        Death {
            rule,
            upcall,
            import: None,
            value: 0,
            frame: None,
            stack: (0, 0),
            fault: None,
        }
    }

    /// A breach in what an upcall answered.
    pub(crate) fn breach(upcall: &'static str, violation: Violation) -> Self {
        let Violation { rule, value } = violation;
        Death {
            rule,
            upcall,
            import: None,
            value,
            frame: None,
            stack: (0, 0),
            fault: None,
        }
    }

    /// The time budget, in ns, is used up.
    pub(crate) fn budget(upcall: &Upcall<'_>, budget: u64) -> Self {
        Death {
            value: budget,
            ..Self::at(upcall, "budget-exceeded")
        }
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
    pub(crate) fn fault(upcall: &Upcall<'_>, exit: &Exit, rule: &'static str) -> Self {
        Death {
            value: exit.cr2,
            fault: Some((exit.vector, exit.error_code, exit.cr2)),
            ..Self::at(upcall, rule)
        }
    }

    /// An instruction that is never allowed.
    pub(crate) fn forbidden(upcall: &Upcall<'_>, rule: &'static str) -> Self {
        Self::at(upcall, rule)
    }
}

/// Words of the driver's stack that the report looks through for return addresses.
const STACK_WORDS: u64 = 256;
/// Return addresses that it prints.
const CALLERS: usize = 12;

/// Prints the report of a death to the kernel log, in the manner of an oops.
pub(crate) fn print(domain: &Domain) {
    domain.with_cause(|death| {
        let Some(death) = death else { return };
        let name = domain.name();
        pr_err!(
            "{name}: domain ended: {} (value {:#x})\n",
            death.rule,
            death.value
        );
        pr_err!(
            "{name}: in upcall {}, import {}\n",
            death.upcall,
            death.import.unwrap_or("-")
        );
        if let Some((vector, error, cr2)) = death.fault {
            pr_err!("{name}: vector {vector}, error code {error:#x}, CR2 {cr2:#x}\n");
        }
        if let Some(frame) = &death.frame {
            print_registers(domain, frame);
            print_callers(domain, frame, death.stack);
        }
    });
    let name = domain.name();
    domain.recent.each(|crossing| match crossing {
        Crossing::Upcall(what, a) => pr_err!("{name}: recent: upcall {what}({a:#x})\n"),
        Crossing::Import(what, a, b) => pr_err!("{name}: recent: {what}({a:#x}, {b:#x})\n"),
        Crossing::None => {}
    });
    pr_err!("{name}: the driver runs no more; what it held is being given back\n");
}

fn print_symbol(domain: &Domain, label: &str, address: u64) {
    if let Ok(mut text) = Text::boxed() {
        domain.image.write_symbol(address, &mut *text);
        pr_err!("{}: {label}{address:#x} {}\n", domain.name(), text.as_str());
    }
}

fn print_registers(domain: &Domain, frame: &Frame) {
    let name = domain.name();
    print_symbol(domain, "RIP ", frame.rip);
    let f = frame;
    pr_err!(
        "{name}: CS {:#x} RSP {:#018x} RFLAGS {:#010x}\n",
        f.cs,
        f.rsp,
        f.rflags
    );
    pr_err!(
        "{name}: RAX {:#018x} RBX {:#018x} RCX {:#018x}\n",
        f.rax,
        f.rbx,
        f.rcx
    );
    pr_err!(
        "{name}: RDX {:#018x} RSI {:#018x} RDI {:#018x}\n",
        f.rdx,
        f.rsi,
        f.rdi
    );
    pr_err!(
        "{name}: RBP {:#018x} R08 {:#018x} R09 {:#018x}\n",
        f.rbp,
        f.r8,
        f.r9
    );
    pr_err!(
        "{name}: R10 {:#018x} R11 {:#018x} R12 {:#018x}\n",
        f.r10,
        f.r11,
        f.r12
    );
    pr_err!(
        "{name}: R13 {:#018x} R14 {:#018x} R15 {:#018x}\n",
        f.r13,
        f.r14,
        f.r15
    );
}

/// The call chain: words on the stack that are addresses of the driver's text. As with the kernel's
/// own `?` entries, some may be left over from earlier calls.
fn print_callers(domain: &Domain, frame: &Frame, stack: (u64, u64)) {
    if frame.rsp < stack.0 || frame.rsp >= stack.1 {
        return;
    }
    let mut printed = 0;
    for n in 0..STACK_WORDS {
        let at = (frame.rsp & !7) + 8 * n;
        if at >= stack.1 || printed == CALLERS {
            break;
        }
        let Ok(word) = domain.memory.read::<u64>(at) else {
            break;
        };
        if domain.image.contains_text(word) {
            print_symbol(domain, "  ? ", word);
            printed += 1;
        }
    }
}

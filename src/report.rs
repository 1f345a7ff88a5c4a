// SPDX-License-Identifier: GPL-2.0

//! Why a domain died, kept for the log, for sysfs and for recovery.

use crate::call::{Call, Violation};
use crate::domain::Domain;
use crate::fault_handler::bug::BugEntry;
use crate::fault_handler::classify::{vector, Cause};
use crate::fault_handler::frame::Frame;
use crate::fault_handler::report::{Hardware, Lines, Report, Stack, Symbols};
use crate::run::Upcall;
use crate::side_stubs::contract::stack_of;
use crate::switcher::Exit;
use crate::sys::{file, trace};
use core::fmt;
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
    /// What happened, in full.
    pub(crate) cause: Cause,
    /// Registers, if ring 3 was interrupted.
    pub(crate) frame: Option<Frame>,
    /// Bounds of the stack.
    pub(crate) stack: (u64, u64),
    /// The hardware's account of a fault.
    pub(crate) hardware: Option<Hardware>,
}

impl Death {
    /// Outside ring 3.
    fn outside(upcall: &'static str, cause: Cause) -> Self {
        Death {
            rule: cause.rule(),
            upcall,
            import: None,
            value: cause.value(),
            cause,
            frame: None,
            stack: (0, 0),
            hardware: None,
        }
    }

    /// Where ring 3 stands now.
    pub(crate) fn at(upcall: &Upcall<'_>, cause: Cause) -> Self {
        Death {
            frame: Some(upcall.frame),
            stack: upcall.stack,
            ..Self::outside(upcall.name, cause)
        }
    }

    /// Nobody's fault: a user asked for a restart.
    pub(crate) fn requested() -> Self {
        Self::exhausted("-", "restart-requested")
    }

    /// Whether a user asked for it.
    pub(crate) fn is_requested(&self) -> bool {
        self.rule == "restart-requested"
    }

    /// A restarted driver did not take its devices or interfaces back; `value` is the error.
    pub(crate) fn failed_restart(value: u64) -> Self {
        Death {
            value,
            ..Self::exhausted("init_module", "restart-failed")
        }
    }

    /// SIDE's own means ran out.
    pub(crate) fn exhausted(upcall: &'static str, what: &'static str) -> Self {
        Self::breach(upcall, Violation::new(what, 0))
    }

    /// A breach in what an upcall answered.
    pub(crate) fn breach(upcall: &'static str, violation: Violation) -> Self {
        Self::outside(upcall, cause_of(violation, None))
    }

    /// Of the time `budget` in ns more was `used`.
    pub(crate) fn budget(upcall: &Upcall<'_>, used: u64, budget: u64) -> Self {
        Self::at(upcall, Cause::BudgetExceeded { used, budget })
    }

    /// The upcall lasts longer than this many ns, sleeping included.
    pub(crate) fn deadline(upcall: &Upcall<'_>, deadline: u64) -> Self {
        let violation = Violation::new("deadline-exceeded", deadline);
        Self::at(upcall, cause_of(violation, None))
    }

    /// An import's declaration or handler refused the call.
    pub(crate) fn violation(
        upcall: &Upcall<'_>,
        import: &'static str,
        violation: Violation,
    ) -> Self {
        Death {
            import: Some(import),
            ..Self::at(upcall, cause_of(violation, Some(import)))
        }
    }

    /// The processor refused an instruction.
    pub(crate) fn fault(upcall: &Upcall<'_>, exit: &Exit, cause: Cause) -> Self {
        Death {
            hardware: Some(hardware(exit)),
            ..Self::at(upcall, cause)
        }
    }

    /// A call that no declaration allows.
    pub(crate) fn forbidden(upcall: &Upcall<'_>, rule: &'static str) -> Self {
        Self::at(upcall, cause_of(Violation::new(rule, 0), None))
    }
}

fn cause_of(violation: Violation, import: Option<&'static str>) -> Cause {
    let Violation { rule, value } = violation;
    Cause::Violation {
        rule,
        import,
        value,
    }
}

fn hardware(exit: &Exit) -> Hardware {
    Hardware {
        vector: exit.vector,
        error: exit.error_code,
        // For other vectors it is what some fault of the kernel's left there.
        cr2: if exit.vector == vector::PF {
            exit.cr2
        } else {
            0
        },
    }
}

/// Writes the lines of a report to the kernel log, the driver's name in front of each.
struct Log<'a> {
    name: &'a str,
    warning: bool,
}

impl Lines for Log<'_> {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        let name = self.name;
        if self.warning {
            pr_warn!("{name}: {text}\n");
        } else {
            pr_err!("{name}: {text}\n");
        }
    }
}

/// What a report asks about a domain's images.
struct DomainSymbols<'a>(&'a Domain);

impl Symbols for DomainSymbols<'_> {
    fn write(&self, address: u64, out: &mut dyn fmt::Write) -> fmt::Result {
        self.0.image.write_symbol(address, out);
        Ok(())
    }

    fn is_text(&self, address: u64) -> bool {
        self.0.image.contains_text(address)
    }

    fn byte(&self, address: u64) -> Option<u8> {
        let mut byte = [0];
        self.0
            .memory
            .is_text(address)
            .then(|| self.0.memory.read_bytes(address, &mut byte).ok())??;
        Some(byte[0])
    }
}

/// The release of the kernel.
fn release() -> &'static str {
    let word = file::vermagic().split(|byte| *byte == b' ').next();
    core::str::from_utf8(word.unwrap_or(b"")).unwrap_or("")
}

/// What of a report lies in a domain's death or warning.
struct Account<'a> {
    upcall: &'a str,
    cause: &'a Cause,
    /// The driver's own words about it.
    message: &'a str,
    frame: Option<&'a Frame>,
    hardware: Option<Hardware>,
    stack: (u64, u64),
    done: &'a str,
}

/// Writes a report of `domain` to `out`.
fn write(domain: &Domain, account: &Account<'_>, out: &mut dyn Lines) {
    let word = |address| domain.memory.read::<u64>(address).ok();
    let report = Report {
        driver: domain.name(),
        version: release(),
        upcall: account.upcall,
        cause: account.cause,
        frame: account.frame,
        hardware: account.hardware,
        stack: account.frame.map(|_| Stack {
            bounds: account.stack,
            word: &word,
        }),
        done: account.done,
    };
    let symbols = DomainSymbols(domain);
    if !account.message.is_empty() {
        out.line(format_args!("Message: {}", account.message.trim_end()));
    }
    if let Cause::Warn { entry, .. } | Cause::Bug { entry } = account.cause {
        let mut room = [0; 80];
        let file = domain.memory.read_str(entry.file, &mut room);
        if let Some(Ok(file)) = file.ok().map(core::str::from_utf8) {
            out.line(format_args!("Source: {file}:{}", entry.line));
        }
    }
    domain.recent.with(&domain.upcalls, |recent| {
        report.write(&symbols, recent, out)
    });
}

/// Writes the report of a domain's death, if it is dead.
pub(crate) fn write_death(domain: &Domain, out: &mut dyn Lines) {
    domain.with_cause(|death| {
        let Some(death) = death else { return };
        let account = Account {
            upcall: death.upcall,
            cause: &death.cause,
            message: "",
            frame: death.frame.as_ref(),
            hardware: death.hardware,
            stack: death.stack,
            done: "the driver runs no more; what it held is being given back",
        };
        write(domain, &account, out);
    });
}

/// Bytes of the kernel's stack that [`print`] must find; the console's driver is the greater part.
pub(crate) const STACK_LEAST: usize = 6 << 10;

/// Prints the report of a death to the kernel log, in the manner of KASAN, and traces it.
pub(crate) fn print(domain: &Domain) {
    let name = domain.name();
    domain.with_cause(|death| {
        let Some(death) = death else { return };
        let ip = death.frame.map_or(0, |frame| frame.rip);
        trace::death(name, death.rule, death.upcall, death.value, ip);
        pr_err!(
            "{name}: domain ended: {} (value {:#x})\n",
            death.rule,
            death.value
        );
    });
    let mut log = Log {
        name,
        warning: false,
    };
    write_death(domain, &mut log);
}

/// Reports a WARN of the driver's, which goes on at `next`.
pub(crate) fn warning(upcall: &Upcall<'_>, exit: &Exit, entry: BugEntry, next: u64) {
    let account = Account {
        upcall: upcall.name,
        cause: &Cause::Warn { next, entry },
        message: "",
        frame: Some(&upcall.frame),
        hardware: Some(hardware(exit)),
        stack: upcall.stack,
        done: GOES_ON,
    };
    print_warning(upcall.domain, &account);
}

/// Reports a WARN with a message, which is a call: as if its caller had trapped behind it.
pub(crate) fn warning_call(call: &Call<'_>, entry: BugEntry, message: &str) {
    let rsp = call.frame.rsp;
    let next = call.domain.memory.read(rsp).unwrap_or(0);
    let frame = Frame {
        rip: next,
        rsp: rsp.wrapping_add(8),
        ..*call.frame
    };
    let account = Account {
        upcall: call.upcall,
        cause: &Cause::Warn { next, entry },
        message,
        frame: Some(&frame),
        hardware: None,
        stack: stack_of(rsp),
        done: GOES_ON,
    };
    print_warning(call.domain, &account);
}

const GOES_ON: &str = "none, the driver goes on";

fn print_warning(domain: &Domain, account: &Account<'_>) {
    let mut log = Log {
        name: domain.name(),
        warning: true,
    };
    if let (Cause::Warn { entry, .. }, true) = (account.cause, domain.may_warn()) {
        if domain.warned.is_new(entry) {
            write(domain, account, &mut log);
        }
    }
}

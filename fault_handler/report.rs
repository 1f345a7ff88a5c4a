// SPDX-License-Identifier: GPL-2.0

//! The report of a domain's death or warning, in the manner of KASAN and of a kernel oops.
//!
//! It is written as lines: the caller puts the log level and the driver's name before each, and
//! can keep the first for sysfs. A reader finds in it what a kernel developer expects of an oops:
//! where in the driver, why, the registers, the code, the call chain, and what led there.

use super::classify::Cause;
use super::decode::ends_with_call;
use super::frame::Frame;
use super::ring::{Crossing, What};
use core::fmt::{self, Write};

/// Takes the report's lines, without line ends.
pub trait Lines {
    /// Takes one line.
    fn line(&mut self, text: fmt::Arguments<'_>);
}

/// What the report asks about the domain's image.
pub trait Symbols {
    /// Writes `function+0x12/0x340 [driver]`, or the address where no symbol covers it.
    fn write(&self, address: u64, out: &mut dyn Write) -> fmt::Result;
    /// Whether code lies at `address`.
    fn is_text(&self, address: u64) -> bool;
    /// A byte of the image, if one lies at `address`.
    fn byte(&self, address: u64) -> Option<u8>;
}

/// The stack on which the domain ran.
pub struct Stack<'a> {
    /// Lowest address, and one past the highest.
    pub bounds: (u64, u64),
    /// Reads a word of it.
    pub word: &'a dyn Fn(u64) -> Option<u64>,
}

/// The hardware's account of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    /// Vector.
    pub vector: u8,
    /// Error code.
    pub error: u64,
    /// CR2.
    pub cr2: u64,
}

/// Everything that a report says.
pub struct Report<'a> {
    /// The driver's name.
    pub driver: &'a str,
    /// Its version or that of its kernel, empty if unknown.
    pub version: &'a str,
    /// What the kernel had called.
    pub upcall: &'a str,
    /// What happened.
    pub cause: &'a Cause,
    /// The registers, if ring 3 was interrupted.
    pub frame: Option<&'a Frame>,
    /// The fault, if there was one.
    pub hardware: Option<Hardware>,
    /// The stack, if it may be read.
    pub stack: Option<Stack<'a>>,
    /// What was done about it.
    pub done: &'a str,
}

/// Bytes of code before and after RIP, as an oops shows them.
const CODE_BEFORE: u64 = 42;
const CODE_AFTER: u64 = 21;
/// Entries of a call chain.
const CHAIN: usize = 24;
/// Words of the stack that are searched.
const WORDS: u64 = 1024;

/// A symbol, for formatting.
struct Symbol<'a>(&'a dyn Symbols, u64);

impl fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(self.1, f)
    }
}

/// The bytes around RIP, the one at RIP in angle brackets.
struct Code<'a>(&'a dyn Symbols, u64);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = false;
        for address in self.1.saturating_sub(CODE_BEFORE)..self.1.saturating_add(CODE_AFTER) {
            let Some(byte) = self.0.byte(address) else {
                continue;
            };
            shown = true;
            if address == self.1 {
                write!(f, " <{byte:02x}>")?;
            } else {
                write!(f, " {byte:02x}")?;
            }
        }
        if shown {
            Ok(())
        } else {
            f.write_str(" none of the driver's")
        }
    }
}

/// Up to three arguments, less the trailing zeros.
struct Arguments<'a>(&'a [u64]);

impl fmt::Display for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self
            .0
            .iter()
            .rposition(|arg| *arg != 0)
            .map_or(0, |last| last + 1);
        for (place, arg) in self.0.iter().take(used).enumerate() {
            write!(f, "{}{arg:#x}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Report<'_> {
    /// Writes the report. `recent` gives the last crossings, oldest first.
    pub fn write(
        &self,
        symbols: &dyn Symbols,
        recent: &mut dyn Iterator<Item = Crossing>,
        out: &mut dyn Lines,
    ) {
        let bar = "==================================================================";
        out.line(format_args!("{bar}"));
        let rule = self.cause.rule();
        match self.frame {
            Some(frame) => {
                let at = Symbol(symbols, frame.rip);
                out.line(format_args!("SIDE: {rule} in {at} [{}]", self.driver));
            }
            None => out.line(format_args!("SIDE: {rule} in [{}]", self.driver)),
        }
        out.line(format_args!("{}", self.cause));
        let space = if self.version.is_empty() { "" } else { " " };
        out.line(format_args!(
            "Driver: {}{space}{}",
            self.driver, self.version
        ));
        out.line(format_args!("Upcall: {}", self.upcall));
        if let Some(hardware) = self.hardware {
            let Hardware { vector, error, cr2 } = hardware;
            out.line(format_args!(
                "Vector: {vector} error code: {error:#06x} CR2: {cr2:016x}"
            ));
        }
        if let Some(frame) = self.frame {
            registers(frame, symbols, out);
            out.line(format_args!("Code:{}", Code(symbols, frame.rip)));
            self.chain(frame, symbols, out);
        }
        let mut first = true;
        for crossing in recent {
            if first {
                out.line(format_args!("Recent crossings, the last one last:"));
                first = false;
            }
            let args = Arguments(&crossing.args);
            let (s, us) = (
                crossing.when / 1_000_000_000,
                crossing.when / 1000 % 1_000_000,
            );
            match crossing.what {
                What::Upcall(name) => {
                    out.line(format_args!(" [{s:5}.{us:06}] upcall {name}({args})"));
                }
                What::Import(name) => {
                    out.line(format_args!(" [{s:5}.{us:06}] import {name}({args})"));
                }
                What::Interrupt(vector) => {
                    out.line(format_args!(" [{s:5}.{us:06}] interrupt {vector}"));
                }
            }
        }
        if !self.done.is_empty() {
            out.line(format_args!("Action: {}", self.done));
        }
        out.line(format_args!("{bar}"));
    }

    /// The call chain. Drivers keep no frame pointers, so each word on the stack that follows a
    /// call in the driver's code is shown, with a `?` as Linux marks a guess; those that a chain
    /// of frame pointers confirms go without.
    fn chain(&self, frame: &Frame, symbols: &dyn Symbols, out: &mut dyn Lines) {
        out.line(format_args!("Call trace:"));
        out.line(format_args!("  {}", Symbol(symbols, frame.rip)));
        let Some(stack) = &self.stack else {
            return;
        };
        let (low, high) = stack.bounds;
        // The word above the stack pointer is as good as any: RSP is the domain's own claim.
        let mut at = frame.rsp.max(low).wrapping_add(7) & !7;
        let mut confirmed = frame.rbp;
        let mut shown = 0;
        for _ in 0..WORDS {
            if at >= high || shown == CHAIN {
                break;
            }
            let word = (stack.word)(at);
            if let Some(word) = word.filter(|word| is_return_address(*word, symbols)) {
                let sure = confirmed.wrapping_add(8) == at;
                let mark = if sure { "" } else { "? " };
                out.line(format_args!("  {mark}{}", Symbol(symbols, word)));
                shown += 1;
            }
            // The frame pointer's chain only ever goes up.
            if at == confirmed.wrapping_add(8) {
                let up = (stack.word)(confirmed).unwrap_or(0);
                confirmed = if up > confirmed { up } else { 0 };
            }
            at = at.wrapping_add(8);
        }
    }
}

fn registers(frame: &Frame, symbols: &dyn Symbols, out: &mut dyn Lines) {
    let Frame {
        rip,
        cs,
        rsp,
        ss,
        rflags,
        ..
    } = *frame;
    out.line(format_args!("RIP: {cs:04x}:{}", Symbol(symbols, rip)));
    out.line(format_args!(
        "RSP: {ss:04x}:{rsp:016x} RFLAGS: {rflags:08x}"
    ));
    let mut row = |names: [&str; 3], values: [u64; 3]| {
        let ([a, b, c], [x, y, z]) = (names, values);
        out.line(format_args!("{a}: {x:016x} {b}: {y:016x} {c}: {z:016x}"));
    };
    row(["RAX", "RBX", "RCX"], [frame.rax, frame.rbx, frame.rcx]);
    row(["RDX", "RSI", "RDI"], [frame.rdx, frame.rsi, frame.rdi]);
    row(["RBP", "R08", "R09"], [frame.rbp, frame.r8, frame.r9]);
    row(["R10", "R11", "R12"], [frame.r10, frame.r11, frame.r12]);
    row(["R13", "R14", "R15"], [frame.r13, frame.r14, frame.r15]);
}

/// Whether `address` lies in code directly behind a call.
fn is_return_address(address: u64, symbols: &dyn Symbols) -> bool {
    if !symbols.is_text(address) {
        return false;
    }
    let mut before = [0; 8];
    for (place, byte) in before.iter_mut().enumerate() {
        let Some(read) = address
            .checked_sub(8 - place as u64)
            .and_then(|address| symbols.byte(address))
        else {
            return false;
        };
        *byte = read;
    }
    ends_with_call(&before)
}

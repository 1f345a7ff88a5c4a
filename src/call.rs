// SPDX-License-Identifier: GPL-2.0

//! One call of an import: what its handler is given, and what it may answer.

use crate::domain::Domain;
use crate::fault_handler::frame::Frame;
use crate::run::{self, Context, Ended};
use crate::sys::access::{Fault, Plain};
use core::cell::Cell;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// A call that breaks a rule of the interface. It ends the domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Violation {
    /// The rule's short name in kebab case, which reports and tests use.
    pub(crate) rule: &'static str,
    /// The offending value.
    pub(crate) value: u64,
}

impl Violation {
    /// A breach of `rule` by `value`.
    pub(crate) const fn new(rule: &'static str, value: u64) -> Self {
        Violation { rule, value }
    }
}

impl From<Fault> for Violation {
    fn from(fault: Fault) -> Self {
        Violation::new("bad-pointer", fault.0)
    }
}

/// What a handler answers: the value for the driver's `rax`, or the breach that ends the domain.
pub(crate) type Outcome = Result<u64, Violation>;

/// An errno as the driver's return value.
pub(crate) fn errno(error: Error) -> u64 {
    i64::from(error.to_errno()) as u64
}

/// A kernel `int` as the driver's return value.
pub(crate) fn int(value: i32) -> u64 {
    i64::from(value) as u64
}

/// One call of an import in progress.
pub(crate) struct Call<'a> {
    /// The domain that calls.
    pub(crate) domain: &'a Arc<Domain>,
    /// The registers of the call. The return value is set from the handler's answer.
    pub(crate) frame: &'a mut Frame,
    /// Whether the caller may sleep, from the upcall's declaration and the virtual CPU state.
    pub(crate) context: Context,
    /// The upcall that made it, for reports.
    pub(crate) upcall: &'static str,
    /// When the upcall must be over, in ns of monotonic time: nothing that it asks for may sleep
    /// longer.
    pub(crate) deadline: u64,
    /// The CPU's time that the caller has asked for by the call, in ns: it is charged however long it is.
    pub(crate) spun: Cell<u64>,
}

impl Call<'_> {
    /// Argument `n` as it came, from 0. From 6 on they lie on the driver's stack; one that cannot
    /// be read there is a breach, which only [`Call::stack_arg`] reports.
    pub(crate) fn arg(&self, n: usize) -> u64 {
        match n {
            0 => self.frame.rdi,
            1 => self.frame.rsi,
            2 => self.frame.rdx,
            3 => self.frame.rcx,
            4 => self.frame.r8,
            5 => self.frame.r9,
            _ => self.stack_arg(n - 6).unwrap_or(0),
        }
    }

    /// Argument `n` as a C `int`.
    pub(crate) fn int(&self, n: usize) -> i32 {
        self.arg(n) as i32
    }

    /// Argument `n` as a C `unsigned int`.
    pub(crate) fn uint(&self, n: usize) -> u32 {
        self.arg(n) as u32
    }

    /// The `n`th 8-byte argument on the stack, from 0.
    pub(crate) fn stack_arg(&self, n: usize) -> Result<u64, Violation> {
        // The stub was called, so a return address lies on top.
        self.read(self.frame.rsp.wrapping_add(8 + 8 * n as u64))
    }

    /// Reads a value of the domain once.
    pub(crate) fn read<T: Plain>(&self, address: u64) -> Result<T, Violation> {
        Ok(self.domain.memory.read(address)?)
    }

    /// Writes a value into the domain.
    pub(crate) fn write<T: Plain>(&self, address: u64, value: T) -> Result<(), Violation> {
        Ok(self.domain.memory.write(address, value)?)
    }

    /// Copies memory of the domain.
    pub(crate) fn read_bytes(&self, address: u64, buffer: &mut [u8]) -> Result<(), Violation> {
        Ok(self.domain.memory.read_bytes(address, buffer)?)
    }

    /// Copies into memory of the domain.
    pub(crate) fn write_bytes(&self, address: u64, bytes: &[u8]) -> Result<(), Violation> {
        Ok(self.domain.memory.write_bytes(address, bytes)?)
    }

    /// Reads a string of the domain, cut at the buffer's end.
    pub(crate) fn read_str<'b>(
        &self,
        address: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Violation> {
        Ok(self.domain.memory.read_str(address, buffer)?)
    }

    /// Whether the handler may sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.context == Context::Process
    }

    /// Charges `ns` that the call has kept the CPU busy for, on the caller's behalf.
    pub(crate) fn charge(&self, ns: u64) {
        self.spun.set(self.spun.get().saturating_add(ns));
    }

    /// Calls a function of the driver from inside this call, in the call's own context. Where that is atomic
    /// all functions that one call calls share the time that an upcall has.
    pub(crate) fn upcall(
        &self,
        name: &'static str,
        function: u64,
        args: &[u64],
    ) -> Result<u64, Ended> {
        let (result, taken) = run::measured(self.domain, name, function, args, self.context);
        if self.may_sleep() {
            return result;
        }
        self.charge(taken);
        let [_, atomic] = &self.domain.budget;
        if self.spun.get() > atomic.load(Ordering::Relaxed) {
            let violation = Violation::new("budget-exceeded", self.spun.get());
            self.domain.breach(self.upcall, violation);
            return Err(Ended);
        }
        result
    }
}

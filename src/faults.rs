// SPDX-License-Identifier: GPL-2.0

//! Exits by a fault: gathers the facts, asks the fault handler what they mean, and carries out its
//! verdict. Nothing is decided here.

use crate::domain::Domain;
use crate::fault_handler::bug::{BugEntry, NUMBERS};
use crate::fault_handler::classify::{Cause, Entry, Facts, Region, Wild};
use crate::fault_handler::decode::{Insn, SegmentBases, MAX_LENGTH};
use crate::fault_handler::emulate::{self, Action, Refusal, StringTransfer, VirtualFlags};
use crate::fault_handler::verdict::{self, Verdict};
use crate::pages::Perm;
use crate::report::{self, Death};
use crate::run::{Next, Upcall};
use crate::side_stubs::contract::*;
use crate::switcher::Exit;
use crate::sys::{port, trace};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::sync::Arc;

/// Transfers of a string instruction that are done before ring 3 is entered again: what an
/// interrupt would wait for.
const TRANSFERS: u64 = 64;

/// The entries of the driver's bug table that warn once and have done so.
pub(crate) struct Warned {
    bits: [AtomicU64; NUMBERS / 64],
}

impl Warned {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Warned {
            bits: [const { AtomicU64::new(0) }; NUMBERS / 64],
        }
    }

    /// Whether a warning is to be reported. Of those that warn once, an entry without a number is reported each time.
    pub(crate) fn is_new(&self, entry: &BugEntry) -> bool {
        let Some(number) = entry.number.filter(|_| entry.once) else {
            return true;
        };
        let bit = 1 << (number % 64);
        match self.bits.get(number / 64) {
            Some(word) => word.fetch_or(bit, Ordering::Relaxed) & bit == 0,
            None => true,
        }
    }
}

/// What the classification asks about a domain.
struct DomainFacts<'a> {
    domain: &'a Arc<Domain>,
    /// The CPU that the fault was on.
    cpu: usize,
}

impl Facts for DomainFacts<'_> {
    fn region(&self, address: u64) -> Region {
        let on_stack =
            (STACK_BASE..STACK_BASE + (STACK_COUNT as u64 + 1) * STACK_STRIDE).contains(&address);
        match self.domain.memory.view().translate(address) {
            Some(mapping) => match (mapping.perm, mapping.kind) {
                (Perm::ReadExecute, _) => Region::Text,
                (Perm::Read, _) => Region::ReadOnly,
                (Perm::ReadWrite, kind) if on_stack && kind.is_ram() => Region::Stack,
                (Perm::ReadWrite, _) => Region::Data,
            },
            None if on_stack => Region::StackGuard,
            // Of the numbers that stand for pages those of no page of the domain's.
            None if (VMEMMAP_BASE..DOMAIN_END).contains(&address) => Region::Token,
            None => Region::Unmapped,
        }
    }

    fn bug(&self, rip: u64) -> Option<BugEntry> {
        self.domain.image.bug(rip)
    }

    fn segment_bases(&self) -> SegmentBases {
        SegmentBases {
            fs: 0,
            gs: self.cpu as u64 * VCPU_STRIDE,
        }
    }

    fn word(&self, address: u64) -> Option<u64> {
        self.domain.memory.read(address).ok()
    }
}

/// Handles a fault in ring 3. Interrupts are on.
#[inline(never)] // Its stack is not to lie below the imports of an upcall.
pub(crate) fn handle(upcall: &mut Upcall<'_>, exit: &Exit) -> Next {
    trace::fault(
        upcall.domain.name(),
        exit.vector,
        exit.error_code,
        exit.cr2,
        upcall.frame.rip,
    );
    let mut code = [0; MAX_LENGTH];
    let mut len = 0;
    // Byte by byte: the instruction may be the last on its page.
    while len < MAX_LENGTH {
        let at = upcall.frame.rip.wrapping_add(len as u64);
        let byte = &mut code[len..len + 1];
        if upcall.domain.memory.read_bytes(at, byte).is_err() {
            break;
        }
        len += 1;
    }
    let verdict = verdict::judge(
        &upcall.frame,
        exit.vector,
        exit.error_code,
        exit.cr2,
        &code[..len],
        &DomainFacts {
            domain: upcall.domain,
            cpu: upcall.cpu,
        },
    );
    match verdict {
        Verdict::Continue { rip, warning } => {
            report::warning(upcall, exit, warning, rip);
            upcall.frame.rip = rip;
            Next::Resume
        }
        Verdict::Emulate(insn) => match carry_out(upcall, &insn) {
            Ok(()) => Next::Resume,
            Err(cause) => end(upcall, exit, cause),
        },
        Verdict::End(cause) => end(upcall, exit, cause),
    }
}

fn end(upcall: &mut Upcall<'_>, exit: &Exit, cause: Cause) -> Next {
    upcall.domain.end(Death::fault(upcall, exit, cause));
    Next::End
}

/// Carries out an instruction that ring 3 may not execute, for the domain alone.
fn carry_out(upcall: &mut Upcall<'_>, insn: &Insn) -> Result<(), Cause> {
    let domain = upcall.domain;
    let mut flags = VirtualFlags {
        if_: upcall.virtual_interrupts(),
    };
    let before = flags;
    let foreign = |port, size, write| {
        // Taken back since it was looked up.
        verdict::refused(insn, Refusal::ForeignPort { port, size, write })
    };
    let frame = &mut upcall.frame;
    match emulate::emulate(insn, frame, &mut flags, &|port, size| {
        domain.ports.owns(port, size)
    }) {
        Action::Resume => {}
        Action::Push { size, value } => {
            let at = frame.rsp.wrapping_sub(u64::from(size));
            let bytes = value.to_le_bytes();
            domain
                .memory
                .write_bytes(at, &bytes[..usize::from(size)])
                .map_err(|fault| wild(domain, fault.0, size, true))?;
            emulate::complete_push(frame, insn);
        }
        Action::Pop { size } => {
            let mut bytes = [0; 8];
            domain
                .memory
                .read_bytes(frame.rsp, &mut bytes[..usize::from(size)])
                .map_err(|fault| wild(domain, fault.0, size, false))?;
            emulate::complete_pop(frame, insn, &mut flags, u64::from_le_bytes(bytes));
        }
        Action::PortIn { port, size } => {
            let value = domain.ports.read(port, size);
            emulate::complete_in(frame, insn, value.ok_or(foreign(port, size, false))?);
        }
        Action::PortOut { port, size, value } => {
            if !domain.ports.write(port, size, value) {
                return Err(foreign(port, size, true));
            }
            emulate::complete_out(frame, insn);
        }
        Action::PortString(transfer) => {
            let done = string(domain, insn, &transfer)?;
            emulate::complete_string(frame, insn, &transfer, done);
        }
        Action::ReadTsc => {
            emulate::complete_tsc(frame, insn, port::time_stamp(), upcall.cpu as u32);
        }
        Action::Cpuid { leaf, subleaf } => {
            emulate::complete_cpuid(frame, insn, port::cpuid(leaf, subleaf));
        }
        Action::Forbidden(refusal) => return Err(verdict::refused(insn, refusal)),
    }
    if flags != before {
        upcall.set_virtual_interrupts(flags.if_);
    }
    Ok(())
}

/// Some of the transfers of an `ins` or `outs`; returns how many.
fn string(domain: &Domain, insn: &Insn, transfer: &StringTransfer) -> Result<u64, Cause> {
    let &StringTransfer {
        port, size, input, ..
    } = transfer;
    let foreign = || {
        let write = !input;
        verdict::refused(insn, Refusal::ForeignPort { port, size, write })
    };
    let count = transfer.count.min(TRANSFERS);
    let mut address = transfer.address;
    for _ in 0..count {
        let mut bytes = [0; 4];
        let slice = &mut bytes[..usize::from(size)];
        if input {
            // The memory first: a value that has been read from a device is gone from it.
            domain
                .memory
                .check(address, u64::from(size), true)
                .map_err(|fault| wild(domain, fault.0, size, true))?;
            let value = domain.ports.read(port, size).ok_or_else(foreign)?;
            slice.copy_from_slice(&value.to_le_bytes()[..usize::from(size)]);
            domain
                .memory
                .write_bytes(address, slice)
                .map_err(|fault| wild(domain, fault.0, size, true))?;
        } else {
            domain
                .memory
                .read_bytes(address, slice)
                .map_err(|fault| wild(domain, fault.0, size, false))?;
            if !domain.ports.write(port, size, u32::from_le_bytes(bytes)) {
                return Err(foreign());
            }
        }
        address = address.wrapping_add(transfer.step as u64);
    }
    Ok(count)
}

/// An emulated instruction reached memory that is not the domain's.
fn wild(domain: &Domain, address: u64, size: u8, write: bool) -> Cause {
    let kind = match domain.memory.view().translate(address) {
        Some(_) => Wild::ReadOnly,
        None if address >> 63 != 0 => Wild::KernelAddress,
        None => Wild::UserUnmapped,
    };
    Cause::WildAccess {
        address,
        size,
        write,
        exec: false,
        kind,
    }
}

/// The gate's instruction was executed outside a stub.
#[cold]
#[inline(never)]
pub(crate) fn forbidden_gate(upcall: &mut Upcall<'_>) -> Next {
    upcall
        .domain
        .end(Death::at(upcall, Cause::ForbiddenEntry(Entry::Gate)));
    Next::End
}

// SPDX-License-Identifier: GPL-2.0

//! What happened: the classification of an exit by an exception, and the causes of death.
//!
//! The processor's vector says little. What a user needs to know follows from the vector, its
//! error code, the instruction and the shape of the domain's memory together: whether a #GP was a
//! `cli`, a pointer gone wild or a kernel address on a processor with LASS; whether a page fault
//! hit the guard below a stack or a NULL pointer.

use super::bug::BugEntry;
use super::decode::{decode, Insn, SegmentBases};
use super::frame::Frame;
use super::kinds::{Far, Kind, Target, Undefined};
use core::fmt;

/// The processor's exceptions by their vectors.
pub mod vector {
    #![allow(missing_docs)] // The manual's names.
    pub const DE: u8 = 0;
    pub const DB: u8 = 1;
    pub const BP: u8 = 3;
    pub const OF: u8 = 4;
    pub const BR: u8 = 5;
    pub const UD: u8 = 6;
    pub const NM: u8 = 7;
    pub const DF: u8 = 8;
    pub const TS: u8 = 10;
    pub const NP: u8 = 11;
    pub const SS: u8 = 12;
    pub const GP: u8 = 13;
    pub const PF: u8 = 14;
    pub const MF: u8 = 16;
    pub const AC: u8 = 17;
    pub const MC: u8 = 18;
    pub const XM: u8 = 19;
    pub const CP: u8 = 21;
}

/// Bits of a page fault's error code.
mod page_fault {
    pub(super) const PRESENT: u64 = 1 << 0;
    pub(super) const WRITE: u64 = 1 << 1;
    pub(super) const FETCH: u64 = 1 << 4;
}

/// Addresses below this count as NULL with an offset: the view maps nothing there, and members of
/// the large objects of network drivers lie beyond the first page.
pub const NULL_END: u64 = 0x10000;

/// What lies at an address of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Code of the driver or of the ring-3 library.
    Text,
    /// Data that is mapped read-only.
    ReadOnly,
    /// Data, heap, packet buffers.
    Data,
    /// A stack.
    Stack,
    /// The guard below a stack.
    StackGuard,
    /// Memory that the domain has given back.
    Freed,
    /// A number that stands for a kernel object.
    Token,
    /// Nothing.
    Unmapped,
}

/// What the classification asks about the domain. All answers are of the moment of the fault.
pub trait Facts {
    /// What lies at `address`.
    fn region(&self, address: u64) -> Region;
    /// The entry of the driver's bug table for the instruction at `rip`.
    fn bug(&self, rip: u64) -> Option<BugEntry>;
    /// The segment bases that ring 3 ran with.
    fn segment_bases(&self) -> SegmentBases {
        SegmentBases::default()
    }
    /// A word of the domain's memory, if it is readable.
    fn word(&self, _address: u64) -> Option<u64> {
        None
    }
}

/// Why an access is wild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wild {
    /// NULL or close above it.
    Null,
    /// The kernel's half of the address space.
    KernelAddress,
    /// No address at all.
    NonCanonical,
    /// Nothing is mapped there.
    UserUnmapped,
    /// Written, but read-only.
    ReadOnly,
    /// Executed, but data.
    NoExecute,
    /// Given back before.
    Freed,
    /// A token, used as if it were the kernel object that it stands for.
    Token,
    /// Mapped in a way that the access did not match.
    Protection,
}

impl Wild {
    fn rule(self) -> &'static str {
        match self {
            Wild::Null => "null-pointer",
            Wild::KernelAddress => "kernel-address",
            Wild::NonCanonical => "non-canonical",
            Wild::UserUnmapped => "unmapped-address",
            Wild::ReadOnly => "read-only",
            Wild::NoExecute => "no-execute",
            Wild::Freed => "use-after-free",
            Wild::Token => "token-access",
            Wild::Protection => "protection",
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Wild::Null => "a NULL pointer",
            Wild::KernelAddress => "an address of the kernel",
            Wild::NonCanonical => "an address that is not canonical",
            Wild::UserUnmapped => "nothing of the domain lies there",
            Wild::ReadOnly => "the memory is read-only",
            Wild::NoExecute => "the memory holds data, not code",
            Wild::Freed => "the memory was given back before",
            Wild::Token => "a token that stands for a kernel object has no memory",
            Wild::Protection => "the memory does not allow it",
        }
    }
}

/// Forbidden ways out of ring 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `syscall`.
    Syscall,
    /// `sysenter`.
    Sysenter,
    /// `int` with a vector that is not the gate.
    Interrupt(u8),
    /// `int3`.
    Breakpoint,
    /// A far transfer.
    Far(Far),
    /// Code ran with this code selector, as after a far transfer that succeeded.
    Selector(u16),
    /// The gate's instruction outside the stubs.
    Gate,
}

/// Why a domain was stopped, or warned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A WARN: the driver goes on at `next`.
    Warn {
        /// Behind the instruction.
        next: u64,
        /// The bug table's entry.
        entry: BugEntry,
    },
    /// A BUG.
    Bug {
        /// The bug table's entry.
        entry: BugEntry,
    },
    /// An access to memory that the domain does not have, or not so.
    WildAccess {
        /// The address.
        address: u64,
        /// Bytes, 0 if unknown.
        size: u8,
        /// Whether it would be written.
        write: bool,
        /// Whether it would be executed.
        exec: bool,
        /// What is wrong with it.
        kind: Wild,
    },
    /// The stack grew into its guard.
    StackOverflow {
        /// The address that was accessed.
        address: u64,
        /// RSP.
        rsp: u64,
    },
    /// An instruction of ring 0.
    PrivilegedInstruction {
        /// What it was.
        insn: Kind,
    },
    /// A port that is not the device's own.
    ForeignPort {
        /// The port.
        port: u16,
        /// Bytes.
        size: u8,
        /// Whether it would be written.
        write: bool,
    },
    /// A way into the kernel other than the gate.
    ForbiddenEntry(Entry),
    /// An instruction that does not exist, or a `ud2` that no bug table knows.
    InvalidOpcode,
    /// A division by zero, or one whose quotient does not fit.
    DivideError,
    /// Single step or a hardware breakpoint.
    Debug,
    /// x87, MMX, SSE or AVX, which kernel code may not use without asking.
    FpuUse,
    /// A misaligned access with RFLAGS.AC set, or a locked one across two cache lines where the
    /// processor is told to refuse it.
    AlignmentCheck,
    /// An indirect branch to code that is no target for one.
    ControlProtection,
    /// Memory of the domain has failed.
    MachineCheck {
        /// Address, if known, else 0.
        address: u64,
    },
    /// A general protection fault that nothing explains.
    GeneralProtection {
        /// The error code.
        error: u64,
    },
    /// Any other exception.
    Exception {
        /// Its vector.
        vector: u8,
        /// Its error code.
        error: u64,
    },
    /// More time in ring 3 than an upcall may use.
    BudgetExceeded {
        /// Used, in ns.
        used: u64,
        /// Allowed, in ns.
        budget: u64,
    },
    /// An import that is denied, or that this driver did not import.
    BadImport {
        /// Its name.
        name: &'static str,
        /// Why it is denied.
        reason: &'static str,
    },
    /// An import's declaration or handler, or the check of an upcall's answer, refused a value.
    Violation {
        /// The rule in kebab case.
        rule: &'static str,
        /// The import, if one was called.
        import: Option<&'static str>,
        /// The value that offends.
        value: u64,
    },
}

impl Cause {
    /// A stable name in kebab case, for tests and sysfs.
    pub fn rule(&self) -> &'static str {
        match self {
            Cause::Warn { .. } => "warning",
            Cause::Bug { .. } => "bug",
            Cause::WildAccess { kind, .. } => kind.rule(),
            Cause::StackOverflow { .. } => "stack-overflow",
            Cause::PrivilegedInstruction { .. } => "privileged-instruction",
            Cause::ForeignPort { .. } => "foreign-port",
            Cause::ForbiddenEntry(_) => "forbidden-entry",
            Cause::InvalidOpcode => "invalid-opcode",
            Cause::DivideError => "divide-error",
            Cause::Debug => "debug-trap",
            Cause::FpuUse => "fpu-use",
            Cause::AlignmentCheck => "alignment-check",
            Cause::ControlProtection => "control-protection",
            Cause::MachineCheck { .. } => "machine-check",
            Cause::GeneralProtection { .. } => "general-protection",
            Cause::Exception { .. } => "exception",
            Cause::BudgetExceeded { .. } => "budget-exceeded",
            Cause::BadImport { .. } => "denied-import",
            Cause::Violation { rule, .. } => rule,
        }
    }

    /// The value that the cause is about: an address, a port, a time; 0 if there is none.
    pub fn value(&self) -> u64 {
        match *self {
            Cause::WildAccess { address, .. }
            | Cause::StackOverflow { address, .. }
            | Cause::MachineCheck { address } => address,
            Cause::ForeignPort { port, .. } => u64::from(port),
            Cause::ForbiddenEntry(Entry::Interrupt(vector)) => u64::from(vector),
            Cause::ForbiddenEntry(Entry::Selector(selector)) => u64::from(selector),
            Cause::GeneralProtection { error } => error,
            Cause::Exception { vector, .. } => u64::from(vector),
            Cause::BudgetExceeded { used, .. } => used,
            Cause::Violation { value, .. } => value,
            _ => 0,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Warn { entry, .. } => write!(f, "WARN at line {}", entry.line),
            Cause::Bug { entry } => write!(f, "BUG at line {}", entry.line),
            Cause::WildAccess {
                address,
                size,
                write,
                exec,
                kind,
            } => {
                let verb = match (exec, write) {
                    (true, _) => "execution",
                    (_, true) => "write",
                    _ => "read",
                };
                f.write_str(verb)?;
                if *size > 0 && !exec {
                    write!(f, " of {size} bytes")?;
                }
                write!(f, " at {address:#018x}: {}", kind.explanation())
            }
            Cause::StackOverflow { address, rsp } => write!(
                f,
                "access at {address:#018x} below the stack, stack pointer {rsp:#018x}"
            ),
            Cause::PrivilegedInstruction { insn } => {
                write!(f, "{insn} is reserved to the kernel")
            }
            Cause::ForeignPort { port, size, write } => {
                let verb = if *write { "write" } else { "read" };
                write!(
                    f,
                    "{verb} of {size} bytes at port {port:#06x}, not the device's own"
                )
            }
            Cause::ForbiddenEntry(entry) => match entry {
                Entry::Syscall => f.write_str("syscall is no way out of a domain"),
                Entry::Sysenter => f.write_str("sysenter is no way out of a domain"),
                Entry::Interrupt(vector) => {
                    write!(f, "int {vector:#x} is no way out of a domain")
                }
                Entry::Breakpoint => f.write_str("int3 is no way out of a domain"),
                Entry::Far(far) => write!(f, "{} leads to another segment", Kind::Far(*far)),
                Entry::Selector(selector) => {
                    write!(
                        f,
                        "code ran in segment {selector:#x}, which is not the domain's"
                    )
                }
                Entry::Gate => f.write_str("the gate was used outside its stubs"),
            },
            Cause::InvalidOpcode => f.write_str("invalid instruction"),
            Cause::DivideError => f.write_str("division by zero, or its result does not fit"),
            Cause::Debug => f.write_str("single step or hardware breakpoint"),
            Cause::FpuUse => f.write_str("floating-point or vector registers without asking"),
            Cause::AlignmentCheck => f.write_str("misaligned access"),
            Cause::ControlProtection => f.write_str("indirect branch to a place that is no target"),
            Cause::MachineCheck { address } => {
                write!(f, "memory of the domain failed, address {address:#018x}")
            }
            Cause::GeneralProtection { error } => {
                write!(f, "general protection fault, error code {error:#x}")
            }
            Cause::Exception { vector, error } => {
                write!(f, "exception {vector}, error code {error:#x}")
            }
            Cause::BudgetExceeded { used, budget } => write!(
                f,
                "{} us in ring 3 in one upcall, allowed are {} us",
                used / 1000,
                budget / 1000
            ),
            Cause::BadImport { name, reason } => write!(f, "{name} is denied: {reason}"),
            Cause::Violation {
                rule,
                import: Some(import),
                value,
            } => {
                write!(f, "{import} refused {value:#x} by the rule {rule}")
            }
            Cause::Violation {
                rule,
                import: None,
                value,
            } => {
                write!(f, "{value:#x} was refused by the rule {rule}")
            }
        }
    }
}

/// Whether `address` lies in the upper half, canonical for 4- or 5-level paging.
pub fn is_kernel_address(address: u64) -> bool {
    address >= 0xff00_0000_0000_0000
}

/// Whether `address` is canonical in the widest sense, of 57 bits. On a machine with 48 bits the
/// rest of the gap is as unmapped as what lies beside it.
fn is_canonical(address: u64) -> bool {
    ((address << 7) as i64 >> 7) as u64 == address
}

/// Says what an exception in ring 3 was. `code` is up to 15 bytes at the frame's RIP, fewer or
/// none where the domain has no code there.
pub fn classify(
    frame: &Frame,
    vector: u8,
    error: u64,
    cr2: u64,
    code: &[u8],
    facts: &dyn Facts,
) -> Cause {
    if vector == vector::MC {
        return Cause::MachineCheck { address: cr2 };
    }
    // In another segment nothing of what follows holds: code may be 32-bit, RIP counted from
    // elsewhere.
    if !frame.in_long_mode() {
        return Cause::ForbiddenEntry(Entry::Selector(frame.cs as u16));
    }
    let insn = decode(code).ok();
    match vector {
        vector::DE => Cause::DivideError,
        vector::DB => Cause::Debug,
        vector::BP => Cause::ForbiddenEntry(Entry::Breakpoint),
        vector::UD => invalid_opcode(frame, insn.as_ref(), facts),
        vector::NM | vector::MF | vector::XM => Cause::FpuUse,
        vector::TS | vector::NP | vector::SS | vector::GP => {
            protection(frame, vector, error, insn.as_ref(), facts)
        }
        vector::PF => page_fault_cause(frame, error, cr2, insn.as_ref(), facts),
        vector::AC => Cause::AlignmentCheck,
        vector::CP => Cause::ControlProtection,
        _ => Cause::Exception { vector, error },
    }
}

/// The cause that lies in the instruction itself, whatever vector reports it.
fn of_instruction(kind: Kind) -> Option<Cause> {
    Some(match kind {
        Kind::Syscall => Cause::ForbiddenEntry(Entry::Syscall),
        Kind::Sysenter => Cause::ForbiddenEntry(Entry::Sysenter),
        Kind::Int(vector) => Cause::ForbiddenEntry(Entry::Interrupt(vector)),
        Kind::Int1 => Cause::ForbiddenEntry(Entry::Interrupt(vector::DB)),
        Kind::Int3 => Cause::ForbiddenEntry(Entry::Breakpoint),
        Kind::Far(far) => Cause::ForbiddenEntry(Entry::Far(far)),
        Kind::Cli
        | Kind::Sti
        | Kind::Pushf { .. }
        | Kind::Popf { .. }
        | Kind::In { .. }
        | Kind::Out { .. }
        | Kind::Ins { .. }
        | Kind::Outs { .. }
        | Kind::Rdtsc
        | Kind::Rdtscp
        | Kind::Rdpmc
        | Kind::Rdpid
        | Kind::Rdmsr
        | Kind::Wrmsr
        | Kind::Cpuid
        | Kind::Hlt
        | Kind::Mwait
        | Kind::Clac
        | Kind::Stac
        | Kind::Swapgs
        | Kind::Iret
        | Kind::Sysret
        | Kind::Sysexit
        | Kind::Table(_)
        | Kind::Clts
        | Kind::MovCr { .. }
        | Kind::MovDr { .. }
        | Kind::Invlpg
        | Kind::Wbinvd
        | Kind::Virtualization
        | Kind::Privileged
        | Kind::UserState
        | Kind::LoadSegment => Cause::PrivilegedInstruction { insn: kind },
        _ => return None,
    })
}

fn invalid_opcode(frame: &Frame, insn: Option<&Insn>, facts: &dyn Facts) -> Cause {
    let Some(insn) = insn else {
        return Cause::InvalidOpcode;
    };
    if insn.kind == Kind::Undefined(Undefined::Ud2) {
        return match facts.bug(frame.rip) {
            Some(entry) if entry.warning => Cause::Warn {
                next: frame.rip.wrapping_add(u64::from(insn.length)),
                entry,
            },
            Some(entry) => Cause::Bug { entry },
            None => Cause::InvalidOpcode,
        };
    }
    if insn.kind == Kind::FpuOrVector {
        return Cause::FpuUse;
    }
    of_instruction(insn.kind).unwrap_or(Cause::InvalidOpcode)
}

/// #GP, #SS and the segment faults, which leave no address.
fn protection(
    frame: &Frame,
    vector: u8,
    error: u64,
    insn: Option<&Insn>,
    facts: &dyn Facts,
) -> Cause {
    if let Some(kind) = beyond_half(frame.rip) {
        return wild(frame.rip, 0, false, true, kind);
    }
    if let Some(insn) = insn {
        // These reach memory as well; what they read must not look like the reason.
        let string = matches!(insn.kind, Kind::Ins { .. } | Kind::Outs { .. });
        if let Some(cause) = of_instruction(insn.kind) {
            let by_memory = !string && error == 0 && matches!(insn.kind, Kind::LoadSegment);
            if !by_memory {
                return cause;
            }
        }
        let next = frame.rip.wrapping_add(u64::from(insn.length));
        let bases = facts.segment_bases();
        for access in insn.accesses.iter().flatten() {
            let address = access.address(frame, next, &bases);
            let last = address.wrapping_add(u64::from(access.size.saturating_sub(1)));
            if let Some(kind) = beyond_half(address).or(beyond_half(last)) {
                return wild(address, access.size, access.write, false, kind);
            }
        }
        if let Some(target) = branch_target(frame, insn, next, &bases, facts) {
            if let Some(kind) = beyond_half(target) {
                return wild(target, 0, false, true, kind);
            }
        }
        if let Some(cause) = of_instruction(insn.kind) {
            return cause;
        }
        if insn.kind == Kind::FpuOrVector {
            return Cause::FpuUse;
        }
    }
    if vector == vector::GP {
        Cause::GeneralProtection { error }
    } else {
        Cause::Exception { vector, error }
    }
}

/// Where a near branch would go.
fn branch_target(
    frame: &Frame,
    insn: &Insn,
    next: u64,
    bases: &SegmentBases,
    facts: &dyn Facts,
) -> Option<u64> {
    match insn.kind {
        Kind::Return => facts.word(frame.rsp),
        Kind::Call(target) | Kind::Jump(target) => match target {
            Target::Relative(distance) => Some(next.wrapping_add(distance as u64)),
            Target::Register(number) => Some(frame.register(number)),
            Target::Memory => facts.word(insn.operand.as_ref()?.address(frame, next, bases)),
        },
        _ => None,
    }
}

/// What is wrong with an address that is not in the lower half.
fn beyond_half(address: u64) -> Option<Wild> {
    if !is_canonical(address) {
        Some(Wild::NonCanonical)
    } else if is_kernel_address(address) {
        Some(Wild::KernelAddress)
    } else if address >= 1 << 47 {
        // Canonical with 5-level paging only. A domain has nothing there in either case.
        Some(Wild::NonCanonical)
    } else {
        None
    }
}

fn wild(address: u64, size: u8, write: bool, exec: bool, kind: Wild) -> Cause {
    Cause::WildAccess {
        address,
        size,
        write,
        exec,
        kind,
    }
}

fn page_fault_cause(
    frame: &Frame,
    error: u64,
    cr2: u64,
    insn: Option<&Insn>,
    facts: &dyn Facts,
) -> Cause {
    let exec = error & page_fault::FETCH != 0;
    let write = error & page_fault::WRITE != 0;
    let present = error & page_fault::PRESENT != 0;
    let region = facts.region(cr2);
    if !exec && region == Region::StackGuard {
        return Cause::StackOverflow {
            address: cr2,
            rsp: frame.rsp,
        };
    }
    // CR2 is any byte of the access; the instruction gives the size where it agrees.
    let size = insn
        .filter(|_| !exec)
        .and_then(|insn| {
            let next = frame.rip.wrapping_add(u64::from(insn.length));
            let bases = facts.segment_bases();
            insn.accesses.iter().flatten().find(|access| {
                let start = access.address(frame, next, &bases);
                cr2.wrapping_sub(start) < u64::from(access.size.max(1))
            })
        })
        .map_or(0, |access| access.size);
    let kind = if cr2 < NULL_END {
        Wild::Null
    } else if is_kernel_address(cr2) {
        Wild::KernelAddress
    } else {
        match region {
            Region::Freed => Wild::Freed,
            Region::Token => Wild::Token,
            _ if exec && present => Wild::NoExecute,
            Region::Text | Region::ReadOnly if write => Wild::ReadOnly,
            Region::Data | Region::Stack | Region::ReadOnly if exec => Wild::NoExecute,
            Region::Unmapped | Region::StackGuard => Wild::UserUnmapped,
            _ if present && write => Wild::ReadOnly,
            _ => Wild::Protection,
        }
    };
    wild(cr2, size, write, exec, kind)
}

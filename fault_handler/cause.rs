// SPDX-License-Identifier: GPL-2.0

//! What a fault in ring 3 means, and what is to be done about it.
//!
//! Pure: the caller hands over what it knows (vector, error code, address, the bytes at RIP and a
//! few facts about the address), and carries the verdict out.

/// What the caller knows of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The exception's vector.
    pub vector: u8,
    /// Its error code.
    pub error_code: u64,
    /// CR2; meaningful for a page fault.
    pub address: u64,
    /// The instruction's bytes, as many as could be read.
    pub code: &'a [u8],
    /// Lowest address of the driver's stack; below it nothing is mapped.
    pub stack_bottom: u64,
    /// Whether `address` is mapped in the view at all.
    pub mapped: bool,
    /// What the driver's bug table says of RIP.
    pub bug: Option<Bug>,
}

/// An entry of the bug table (asm-generic/bug.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// WARN: reported, and the driver goes on behind the trapping instruction.
    Warn,
    /// BUG: the driver gives up.
    Bug,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Set the virtual interrupt flag (true: enabled) and go on after so many bytes.
    SetInterrupts(bool, u64),
    /// Nothing, and go on after so many bytes.
    Skip(u64),
    /// Report a warning and go on after so many bytes.
    Warn(u64),
    /// End the domain, for the rule named.
    End(&'static str),
}

const DIVIDE: u8 = 0;
const DEBUG: u8 = 1;
const BREAKPOINT: u8 = 3;
const OVERFLOW: u8 = 4;
const BOUND: u8 = 5;
const INVALID: u8 = 6;
const NO_FPU: u8 = 7;
const STACK: u8 = 12;
const PROTECTION: u8 = 13;
const PAGE: u8 = 14;
const X87: u8 = 16;
const ALIGNMENT: u8 = 17;
const MACHINE_CHECK: u8 = 18;
const SIMD: u8 = 19;
const CONTROL: u8 = 21;

/// Bits of a page fault's error code.
const PF_WRITE: u64 = 1 << 1;
const PF_INSTRUCTION: u64 = 1 << 4;
/// Bytes below a stack that an overflow may touch first.
const GUARD: u64 = 0xc000;

/// Judges a fault.
pub fn judge(facts: &Facts<'_>) -> Verdict {
    match facts.vector {
        PAGE => Verdict::End(page_fault(facts)),
        PROTECTION => protection(facts),
        INVALID => invalid(facts),
        NO_FPU | X87 | SIMD => Verdict::End("fpu-use"),
        DIVIDE => Verdict::End("divide-error"),
        DEBUG => Verdict::End("debug-trap"),
        BREAKPOINT | OVERFLOW => Verdict::End("forbidden-entry"),
        BOUND => Verdict::End("bound-range"),
        STACK => Verdict::End("non-canonical"),
        ALIGNMENT => Verdict::End("alignment"),
        MACHINE_CHECK => Verdict::End("machine-check"),
        CONTROL => Verdict::End("control-protection"),
        _ => Verdict::End("unexpected-vector"),
    }
}

fn page_fault(facts: &Facts<'_>) -> &'static str {
    let address = facts.address;
    let stack = facts.stack_bottom.saturating_sub(GUARD)..facts.stack_bottom;
    if stack.contains(&address) && !facts.mapped {
        "stack-overflow"
    } else if address < 0x1000 {
        "null-pointer"
    } else if address >> 63 != 0 {
        "kernel-address"
    } else if facts.mapped && facts.error_code & PF_INSTRUCTION != 0 {
        "no-execute"
    } else if facts.mapped && facts.error_code & PF_WRITE != 0 {
        "read-only"
    } else {
        "unmapped-address"
    }
}

/// The opcode behind legacy and REX prefixes.
fn opcode(code: &[u8]) -> &[u8] {
    let prefix = |byte: &&u8| {
        matches!(
            **byte,
            0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3
        )
    };
    let skipped = code.iter().take_while(prefix).count();
    code.get(skipped..).unwrap_or(&[])
}

fn protection(facts: &Facts<'_>) -> Verdict {
    match opcode(facts.code) {
        [0xfa, ..] => Verdict::SetInterrupts(false, 1),
        [0xfb, ..] => Verdict::SetInterrupts(true, 1),
        [0xe4..=0xe7 | 0xec..=0xef | 0x6c..=0x6f, ..] => Verdict::End("foreign-port"),
        // int n, int3, int1, into, far calls, jumps and returns.
        [0xcc | 0xcd | 0xce | 0xf1 | 0xca | 0xcb, ..] => Verdict::End("forbidden-entry"),
        [0xff, modrm, ..] if matches!((modrm >> 3) & 7, 3 | 5) => Verdict::End("forbidden-entry"),
        [0xf4 | 0xcf, ..] => Verdict::End("privileged-instruction"),
        // 0F 00 and 0F 01: descriptor tables, invlpg, swapgs, xsetbv; control and debug registers;
        // clts, sysret, invd, wbinvd, MSRs, rdpmc, rdtsc; getsec, sysexit.
        [0x0f, 0x00 | 0x01 | 0x06..=0x09 | 0x20..=0x23 | 0x30..=0x33 | 0x35 | 0x37, ..] => {
            Verdict::End("privileged-instruction")
        }
        // A selector in the error code: a gate or a segment.
        _ if facts.error_code != 0 => Verdict::End("forbidden-entry"),
        _ => Verdict::End("non-canonical"),
    }
}

fn invalid(facts: &Facts<'_>) -> Verdict {
    match (opcode(facts.code), facts.bug) {
        ([0x0f, 0x0b, ..], Some(Bug::Warn)) => Verdict::Warn(2),
        ([0x0f, 0x0b, ..], Some(Bug::Bug)) => Verdict::End("bug"),
        // clac and stac: user mode may not execute them, and here they change nothing.
        ([0x0f, 0x01, 0xca | 0xcb, ..], _) => Verdict::Skip(3),
        ([0x0f, 0x05 | 0x34, ..], _) => Verdict::End("forbidden-entry"),
        ([0x0f, 0x07 | 0x35, ..], _) => Verdict::End("privileged-instruction"),
        ([0x0f, 0x00 | 0x01 | 0x20..=0x23, ..], _) => Verdict::End("privileged-instruction"),
        _ => Verdict::End("invalid-opcode"),
    }
}

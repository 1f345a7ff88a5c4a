// SPDX-License-Identifier: GPL-2.0

//! The registers of a domain at the moment it leaves ring 3.
//!
//! This is the one record that the switcher's assembly writes and that all decisions are made
//! from. Its order is the kernel's `pt_regs`, so the assembly pushes what Linux's own entry code
//! pushes; the vector takes one more word, because the switcher has one exit for all vectors.

/// Code selector that ring 3 runs with: Linux's `__USER_CS`.
pub const USER_CS: u64 = 0x33;
/// Stack selector that ring 3 runs with: Linux's `__USER_DS`.
pub const USER_SS: u64 = 0x2b;

/// Bits of RFLAGS that the fault handler names.
pub mod rflags {
    /// Bit 1 always reads as one.
    pub const FIXED: u64 = 1 << 1;
    /// Carry, parity, adjust, zero, sign, direction and overflow: what a domain may choose.
    pub const STATUS: u64 = 0xcd5;
    /// Trap flag: single step.
    pub const TF: u64 = 1 << 8;
    /// Interrupt flag.
    pub const IF: u64 = 1 << 9;
    /// Direction flag.
    pub const DF: u64 = 1 << 10;
    /// I/O privilege level.
    pub const IOPL: u64 = 3 << 12;
    /// Nested task.
    pub const NT: u64 = 1 << 14;
    /// Resume flag.
    pub const RF: u64 = 1 << 16;
    /// Alignment check, which supervisor code uses to open user memory.
    pub const AC: u64 = 1 << 18;
    /// Identification: software may flip it to see that `cpuid` exists.
    pub const ID: u64 = 1 << 21;
}

/// General registers, the cause of the exit and the hardware's interrupt frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The fields carry the names of the registers.
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The vector of the exit, or what the gate's stub pushed (`orig_ax` in `pt_regs`).
    pub vector: u64,
    /// The hardware's error code, 0 for vectors that have none.
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl Frame {
    /// Argument `index` of a call in the System V convention; 0 beyond the six registers, since
    /// further arguments are on the domain's stack and must be fetched from there.
    pub fn arg(&self, index: usize) -> u64 {
        match index {
            0 => self.rdi,
            1 => self.rsi,
            2 => self.rdx,
            3 => self.rcx,
            4 => self.r8,
            5 => self.r9,
            _ => 0,
        }
    }

    /// Sets argument `index` of a call; an index beyond the six registers changes nothing.
    pub fn set_arg(&mut self, index: usize, value: u64) {
        match index {
            0 => self.rdi = value,
            1 => self.rsi = value,
            2 => self.rdx = value,
            3 => self.rcx = value,
            4 => self.r8 = value,
            5 => self.r9 = value,
            _ => {}
        }
    }

    /// Sets what a call returns.
    pub fn set_return(&mut self, value: u64) {
        self.rax = value;
    }

    /// A general register by the number that instructions encode: 0 is RAX, 4 is RSP, 15 is R15.
    pub fn register(&self, number: u8) -> u64 {
        match number & 15 {
            0 => self.rax,
            1 => self.rcx,
            2 => self.rdx,
            3 => self.rbx,
            4 => self.rsp,
            5 => self.rbp,
            6 => self.rsi,
            7 => self.rdi,
            8 => self.r8,
            9 => self.r9,
            10 => self.r10,
            11 => self.r11,
            12 => self.r12,
            13 => self.r13,
            14 => self.r14,
            _ => self.r15,
        }
    }

    /// Sets a general register by the number that instructions encode.
    pub fn set_register(&mut self, number: u8, value: u64) {
        let register = match number & 15 {
            0 => &mut self.rax,
            1 => &mut self.rcx,
            2 => &mut self.rdx,
            3 => &mut self.rbx,
            4 => &mut self.rsp,
            5 => &mut self.rbp,
            6 => &mut self.rsi,
            7 => &mut self.rdi,
            8 => &mut self.r8,
            9 => &mut self.r9,
            10 => &mut self.r10,
            11 => &mut self.r11,
            12 => &mut self.r12,
            13 => &mut self.r13,
            14 => &mut self.r14,
            _ => &mut self.r15,
        };
        *register = value;
    }

    /// Whether the selectors are those that the switcher enters with. A far transfer can load
    /// another user selector, 32-bit code or an LDT segment, without any fault.
    pub fn in_long_mode(&self) -> bool {
        self.cs & 0xffff == USER_CS
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Single instructions of the processor, each as a function, and what Linux found it to have.
//!
//! Nothing is decided here. Control registers are read and written as they are: the switcher
//! refuses to load where a hypervisor would have to be asked (Xen PV).

use core::arch::asm;

/// CR4: 5-level paging.
pub(crate) const CR4_LA57: u64 = 1 << 12;
/// CR4: process-context identifiers.
pub(crate) const CR4_PCIDE: u64 = 1 << 17;
/// CR4: `rdtsc` in ring 3 faults.
pub(crate) const CR4_TSD: u64 = 1 << 2;
/// CR4: `rdpmc` in ring 3 works.
pub(crate) const CR4_PCE: u64 = 1 << 8;

/// CR0: the first use of the FPU faults.
pub(crate) const CR0_TS: u64 = 1 << 3;

pub(crate) const MSR_EFER: u32 = 0xc000_0080;
pub(crate) const MSR_FS_BASE: u32 = 0xc000_0100;
pub(crate) const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;
pub(crate) const MSR_SYSENTER_CS: u32 = 0x174;
pub(crate) const MSR_U_CET: u32 = 0x6a0;
/// EFER: `syscall` works.
pub(crate) const EFER_SCE: u64 = 1;
/// SPEC_CTRL: indirect branches are restricted.
pub(crate) const SPEC_CTRL_IBRS: u64 = 1;

extern "C" {
    static cpu_number: u32;
}

/// What the CPU, as Linux uses it, has. Mirror of `struct side_processor`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Processor {
    pub(crate) fred: bool,
    pub(crate) xen_pv: bool,
    pub(crate) memory_encryption: bool,
    pub(crate) tdx_guest: bool,
    pub(crate) encrypted_state: bool,
    pub(crate) apx: bool,
    pub(crate) amx: bool,
    pub(crate) fsgsbase: bool,
    pub(crate) protection_keys: bool,
    pub(crate) user_shadow_stack: bool,
    pub(crate) kernel_ibrs: bool,
    pub(crate) intel_sysenter: bool,
    pub(crate) debug_store: bool,
    pub(crate) umip: bool,
    pub(crate) lass: bool,
}

/// Where one CPU keeps what a crossing touches. Mirror of `struct side_places`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Places {
    pub(crate) gdt: u64,
    pub(crate) tss: u64,
    pub(crate) tss_rw: u64,
    pub(crate) dr7: u64,
    pub(crate) spec_ctrl: u64,
    pub(crate) sp0: u64,
    pub(crate) gs_base: u64,
    pub(crate) entry_area: u64,
}

extern "C" {
    fn side_switch_processor_read(out: *mut Processor);
    fn side_switch_places_read(cpu: u32, out: *mut Places);
}

impl Processor {
    /// What this machine has.
    pub(crate) fn read() -> Self {
        let mut processor = Self::default();
        // SAFETY: the function fills the structure, whose layout is the same on both sides.
        unsafe { side_switch_processor_read(&mut processor) };
        processor
    }
}

impl Places {
    /// Where `cpu`, a possible CPU, keeps them.
    pub(crate) fn read(cpu: u32) -> Self {
        let mut places = Self::default();
        // SAFETY: as in `Processor::read`; the caller names a possible CPU.
        unsafe { side_switch_places_read(cpu, &mut places) };
        places
    }
}

/// The operand of `lidt` and `sidt`.
#[repr(C, packed)]
#[derive(Clone, Copy, Default)]
pub(crate) struct TableRegister {
    pub(crate) limit: u16,
    pub(crate) base: u64,
}

macro_rules! read_register {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name() -> u64 {
            let value: u64;
            // SAFETY: reading the register has no effect.
            unsafe { asm!($instruction, out(reg) value, options(nomem, nostack, preserves_flags)) };
            value
        }
    };
}

macro_rules! write_register {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// The caller knows what the value does to all code that runs until it is restored.
        #[inline(always)]
        pub(crate) unsafe fn $name(value: u64) {
            // SAFETY: the caller's promise.
            unsafe { asm!($instruction, in(reg) value, options(nostack, preserves_flags)) };
        }
    };
}

macro_rules! read_selector {
    ($name:ident, $instruction:literal) => {
        /// The selector in the register of this name.
        #[inline(always)]
        pub(crate) fn $name() -> u16 {
            let value: u32;
            // SAFETY: reading the register has no effect.
            unsafe {
                asm!($instruction, out(reg) value, options(nomem, nostack, preserves_flags))
            };
            value as u16
        }
    };
}

read_register!(
    /// CR0.
    read_cr0, "mov {}, cr0");
read_register!(
    /// CR2.
    read_cr2, "mov {}, cr2");
read_register!(
    /// CR3.
    read_cr3, "mov {}, cr3");
read_register!(
    /// CR4.
    read_cr4, "mov {}, cr4");
read_register!(
    /// DR6.
    read_dr6, "mov {}, dr6");
read_register!(
    /// FS base, where FSGSBASE is on.
    rdfsbase, "rdfsbase {}");
write_register!(
    /// CR4.
    write_cr4, "mov cr4, {}");
write_register!(
    /// DR6.
    write_dr6, "mov dr6, {}");
write_register!(
    /// DR7.
    write_dr7, "mov dr7, {}");
write_register!(
    /// FS base, where FSGSBASE is on.
    wrfsbase, "wrfsbase {}");
read_selector!(ds, "mov {:e}, ds");
read_selector!(es, "mov {:e}, es");
read_selector!(fs, "mov {:e}, fs");
read_selector!(gs, "mov {:e}, gs");
read_selector!(ldt, "sldt {:e}");

/// Loads the LDT register.
///
/// # Safety
///
/// The selector is null or names an LDT in the current GDT.
#[inline(always)]
pub(crate) unsafe fn lldt(selector: u16) {
    // SAFETY: the caller's promise.
    unsafe { asm!("lldt {:x}", in(reg) selector, options(nostack, preserves_flags)) };
}

/// The IDT register.
#[inline(always)]
pub(crate) fn sidt() -> TableRegister {
    let mut register = TableRegister::default();
    // SAFETY: `sidt` writes the ten bytes of the structure.
    unsafe { asm!("sidt [{}]", in(reg) &mut register, options(nostack, preserves_flags)) };
    register
}

/// Reads a model-specific register.
///
/// # Safety
///
/// The register exists: there is no fixup.
#[inline(always)]
pub(crate) unsafe fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high,
             options(nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
///
/// The register exists and the caller knows what the value does until it is restored.
#[inline(always)]
pub(crate) unsafe fn wrmsr(msr: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags))
    };
}

/// A model-specific register as the CPU has it: two halves, low and high.
#[derive(Clone, Copy)]
pub(crate) struct MsrHalves(u32, u32);

impl MsrHalves {
    /// Reads one.
    ///
    /// # Safety
    ///
    /// The register exists: there is no fixup.
    #[inline(always)]
    pub(crate) unsafe fn read(msr: u32) -> Self {
        let (low, high);
        // SAFETY: the caller's promise.
        unsafe {
            asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high,
                 options(nostack, preserves_flags))
        };
        Self(low, high)
    }

    /// The same without some bits of the low half.
    #[inline(always)]
    pub(crate) fn without(self, bits: u32) -> Self {
        Self(self.0 & !bits, self.1)
    }

    /// Writes one.
    ///
    /// # Safety
    ///
    /// The register exists and the caller knows what the value does until it is restored.
    #[inline(always)]
    pub(crate) unsafe fn write(self, msr: u32) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("wrmsr", in("ecx") msr, in("eax") self.0, in("edx") self.1,
                 options(nostack, preserves_flags))
        };
    }
}

/// Reads PKRU, where protection keys are on.
///
/// # Safety
///
/// CR4.PKE is set.
#[inline(always)]
pub(crate) unsafe fn rdpkru() -> u32 {
    let value: u32;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rdpkru", in("ecx") 0, out("eax") value, out("edx") _,
             options(nostack, preserves_flags))
    };
    value
}

/// Writes PKRU, where protection keys are on.
///
/// # Safety
///
/// CR4.PKE is set; the caller restores the value before Linux touches user memory.
#[inline(always)]
pub(crate) unsafe fn wrpkru(value: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrpkru", in("ecx") 0, in("eax") value, in("edx") 0,
             options(nostack, preserves_flags))
    };
}

/// Turns interrupts off on this CPU. By the instruction itself: no hypervisor that has to be asked for it runs SIDE
/// (`refusal.rs`).
#[inline(always)]
pub(crate) fn interrupts_off() {
    // SAFETY: always allowed in kernel mode.
    unsafe { asm!("cli", options(nostack)) };
}

/// Turns interrupts on on this CPU. Only where the caller turned them off itself.
#[inline(always)]
pub(crate) fn interrupts_on() {
    // SAFETY: as the function's contract says.
    unsafe { asm!("sti", options(nostack)) };
}

/// This CPU's number; stable only while preemption is off.
#[inline(always)]
pub(crate) fn current_cpu() -> usize {
    let cpu: u32;
    // SAFETY: reads a per-CPU variable of the kernel through GS.
    unsafe {
        asm!("mov {:e}, gs:[rip + {}]", out(reg) cpu, sym cpu_number,
             options(nostack, preserves_flags, readonly))
    };
    cpu as usize
}

// SPDX-License-Identifier: GPL-2.0

//! What each CPU needs for the switch: exit stack, context, the kernel half of every view.
//!
//! The kernel half of a CPU maps, and nothing else: its GDT page, the first page of its TSS, the own
//! IDT, its exit stack and #DF stack, the two pages of switcher text, and on Intel the Debug Store
//! that the CPU writes by linear address under any CR3.
//!
//! All of it is made for every possible CPU when the module loads. A CPU that goes offline and comes
//! back finds its TSS as it was, so no hotplug callback is needed.

use super::idt::Idt;
use super::processor::*;
use super::Frame;
use crate::pages::table::OwnedPage;
use crate::pages::{KernelHalf, Perm, PAGE_SIZE};
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::ffi;
use kernel::prelude::*;

/// The layout as the assembly has it.
#[allow(dead_code)]
mod layout {
    include!(concat!(env!("SIDE_OBJ"), "/src/switcher/offsets.rs"));
}
pub(crate) use layout::SIDE_IO_BITMAP_INVALID;

extern "C" {
    static side_switch_text_start: u8;
    static side_switch_text_end: u8;
    fn side_switch_cpu_possible(cpu: u32) -> bool;
    fn side_switch_cpu_ids() -> u32;
    fn slow_virt_to_phys(address: *mut ffi::c_void) -> u64;
    fn side_switch_kick_all();
}

/// Mirror of `struct side_switch_context`; see there for the fields.
#[repr(C, align(16))]
pub(crate) struct Context {
    pub(crate) host_rsp: u64,
    pub(crate) host_cr3: u64,
    pub(crate) host_gs_base: u64,
    pub(crate) host_sp0: u64,
    pub(crate) frame: *mut Frame,
    pub(crate) tss: u64,
    pub(crate) view_cr3: u64,
    pub(crate) view_cr0: u64,
    pub(crate) view_gs_base: u64,
    pub(crate) host_spec_ctrl: u64,
    pub(crate) view_spec_ctrl: u64,
    pub(crate) cr2: u64,
    pub(crate) memory_error: u64,
    verw_operand: u64,
    pub(crate) own_idt: TableRegister,
    pad0: [u8; 6],
    pub(crate) host_idt: TableRegister,
    pad1: [u8; 6],
}

const _: () = {
    assert!(offset_of!(Context, host_rsp) == layout::SIDE_HOST_RSP);
    assert!(offset_of!(Context, host_cr3) == layout::SIDE_HOST_CR3);
    assert!(offset_of!(Context, host_gs_base) == layout::SIDE_HOST_GS_BASE);
    assert!(offset_of!(Context, host_sp0) == layout::SIDE_HOST_SP0);
    assert!(offset_of!(Context, tss) == layout::SIDE_TSS);
    assert!(offset_of!(Context, view_cr3) == layout::SIDE_VIEW_CR3);
    assert!(offset_of!(Context, view_cr0) == layout::SIDE_VIEW_CR0);
    assert!(offset_of!(Context, view_gs_base) == layout::SIDE_VIEW_GS_BASE);
    assert!(offset_of!(Context, host_spec_ctrl) == layout::SIDE_HOST_SPEC_CTRL);
    assert!(offset_of!(Context, view_spec_ctrl) == layout::SIDE_VIEW_SPEC_CTRL);
    assert!(offset_of!(Context, cr2) == layout::SIDE_CR2);
    assert!(offset_of!(Context, frame) == layout::SIDE_FRAME);
    assert!(offset_of!(Context, memory_error) == layout::SIDE_MEMORY_ERROR);
    assert!(offset_of!(Context, verw_operand) == layout::SIDE_VERW_OPERAND);
    assert!(offset_of!(Context, own_idt) == layout::SIDE_OWN_IDT);
    assert!(offset_of!(Context, host_idt) == layout::SIDE_HOST_IDT);
    assert!(size_of::<Context>() == layout::SIDE_CONTEXT_SIZE);
    assert!(offset_of!(Frame, r15) == layout::SIDE_FRAME_R15);
    assert!(offset_of!(Frame, r14) == layout::SIDE_FRAME_R14);
    assert!(offset_of!(Frame, r13) == layout::SIDE_FRAME_R13);
    assert!(offset_of!(Frame, r12) == layout::SIDE_FRAME_R12);
    assert!(offset_of!(Frame, rbp) == layout::SIDE_FRAME_RBP);
    assert!(offset_of!(Frame, rbx) == layout::SIDE_FRAME_RBX);
    assert!(offset_of!(Frame, r11) == layout::SIDE_FRAME_R11);
    assert!(offset_of!(Frame, r10) == layout::SIDE_FRAME_R10);
    assert!(offset_of!(Frame, r9) == layout::SIDE_FRAME_R9);
    assert!(offset_of!(Frame, r8) == layout::SIDE_FRAME_R8);
    assert!(offset_of!(Frame, rax) == layout::SIDE_FRAME_RAX);
    assert!(offset_of!(Frame, rcx) == layout::SIDE_FRAME_RCX);
    assert!(offset_of!(Frame, rdx) == layout::SIDE_FRAME_RDX);
    assert!(offset_of!(Frame, rsi) == layout::SIDE_FRAME_RSI);
    assert!(offset_of!(Frame, rdi) == layout::SIDE_FRAME_RDI);
    assert!(offset_of!(Frame, vector) == layout::SIDE_FRAME_VECTOR);
    assert!(offset_of!(Frame, error_code) == layout::SIDE_FRAME_ERROR);
    assert!(offset_of!(Frame, rip) == layout::SIDE_FRAME_RIP);
    assert!(offset_of!(Frame, cs) == layout::SIDE_FRAME_CS);
    assert!(offset_of!(Frame, rflags) == layout::SIDE_FRAME_RFLAGS);
    assert!(offset_of!(Frame, rsp) == layout::SIDE_FRAME_RSP);
    assert!(offset_of!(Frame, ss) == layout::SIDE_FRAME_SS);
    assert!(size_of::<Frame>() == layout::SIDE_FRAME_SIZE);
};

/// One CPU's share.
pub(crate) struct PerCpu {
    pub(crate) places: Places,
    /// The TSS's I/O bitmap offset.
    pub(crate) io_bitmap: *mut u16,
    half: KernelHalf,
    /// The context at its end; stack below that.
    exit_stack: OwnedPage,
    double_fault_stack: OwnedPage,
}

impl PerCpu {
    fn new(cpu: u32, idt: &Idt) -> Result<Self> {
        let places = Places::read(cpu);
        let this = Self {
            io_bitmap: (places.tss_rw + layout::SIDE_TSS_IO_BITMAP_BASE as u64) as *mut u16,
            places,
            half: KernelHalf::new()?,
            exit_stack: OwnedPage::new(true)?,
            double_fault_stack: OwnedPage::new(true)?,
        };
        let half = &this.half;
        half.map(this.places.gdt, phys_of(this.places.gdt), Perm::Read)?;
        half.map(this.places.tss, phys_of(this.places.tss), Perm::Read)?;
        for page in [&this.exit_stack, &this.double_fault_stack] {
            half.map(page.address(), page.phys(), Perm::ReadWrite)?;
        }
        half.map(idt.page().address(), idt.page().phys(), Perm::Read)?;
        let (start, end) = text();
        for address in (start..end).step_by(PAGE_SIZE as usize) {
            half.map(address, phys_of(address), Perm::ReadExecute)?;
        }

        // SAFETY: the context lies inside the page just allocated, which nobody else knows.
        let context = unsafe { &mut *this.context() };
        context.tss = this.places.tss_rw;
        context.host_gs_base = this.places.gs_base;
        context.verw_operand = layout::SIDE_KERNEL_DS as u64;
        context.own_idt = idt.register();
        // What Linux sets when a CPU starts and never changes (cpu_init, idt_setup_early_handler).
        context.host_sp0 = this.places.sp0;
        context.host_idt = sidt();
        context.view_cr0 = read_cr0() | CR0_TS;

        // The topmost word of the #DF stack leads to the context.
        let top = this.double_fault_stack.address() + PAGE_SIZE - 16;
        // SAFETY: the word lies inside the page just allocated.
        unsafe { (top as *mut u64).write(this.context() as u64) };
        this.setdouble_fault_stack(top);
        Ok(this)
    }

    /// Sets the slot of the interrupt stack table that Linux leaves unused.
    fn setdouble_fault_stack(&self, top: u64) {
        let slot = (self.places.tss_rw + layout::SIDE_TSS_IST7 as u64) as *mut u64;
        // SAFETY: the TSS is this CPU's for ever; only our own IDT names this slot.
        unsafe { slot.write_unaligned(top) };
    }

    /// The context. Written by its own CPU only, with interrupts off.
    pub(crate) fn context(&self) -> *mut Context {
        (self.exit_stack.address() + PAGE_SIZE - size_of::<Context>() as u64) as *mut Context
    }
}

impl Drop for PerCpu {
    fn drop(&mut self) {
        self.setdouble_fault_stack(0);
    }
}

/// Everything of the switcher that lives as long as the module.
pub(crate) struct Machine {
    pub(crate) processor: Processor,
    /// Linux uses process-context identifiers.
    pub(crate) pcid: bool,
    /// What Linux keeps in SYSENTER_CS, on CPUs where `sysenter` works in 64-bit code; else 0.
    /// It never changes: a VMX host restores it at each exit of a guest.
    pub(crate) sysenter_cs: u64,
    /// By CPU number; `None` where no such CPU can be.
    cpus: KVec<Option<PerCpu>>,
    idt: Idt,
}

static MACHINE: AtomicPtr<Machine> = AtomicPtr::new(core::ptr::null_mut());

fn text() -> (u64, u64) {
    (
        &raw const side_switch_text_start as u64,
        &raw const side_switch_text_end as u64,
    )
}

fn phys_of(address: u64) -> u64 {
    // SAFETY: the address is mapped in the kernel: a table of Linux's or text of this module.
    unsafe { slow_virt_to_phys(address as *mut ffi::c_void) }
}

/// Makes everything; afterwards views can be made.
pub(crate) fn init(processor: Processor) -> Result {
    let (start, end) = text();
    if (start | end) % PAGE_SIZE != 0 {
        pr_err!("the switcher's text is not on pages of its own\n");
        return Err(EINVAL);
    }
    let idt = Idt::new(start)?;
    let mut cpus = KVec::new();
    for cpu in 0..cpu_ids() as u32 {
        // SAFETY: the function has no preconditions.
        let possible = unsafe { side_switch_cpu_possible(cpu) };
        let share = if possible {
            Some(PerCpu::new(cpu, &idt)?)
        } else {
            None
        };
        cpus.push(share, GFP_KERNEL)?;
    }
    let machine = KBox::new(
        Machine {
            processor,
            sysenter_cs: if processor.intel_sysenter {
                // SAFETY: the register exists on these CPUs.
                unsafe { rdmsr(MSR_SYSENTER_CS) }
            } else {
                0
            },
            pcid: read_cr4() & CR4_PCIDE != 0,
            cpus,
            idt,
        },
        GFP_KERNEL,
    )?;
    MACHINE.store(KBox::into_raw(machine), Ordering::Release);
    Ok(())
}

/// Gives everything back. No view is left, so no CPU is in ring 3 for us.
pub(crate) fn exit() {
    let machine = MACHINE.swap(core::ptr::null_mut(), Ordering::AcqRel);
    if !machine.is_null() {
        // SAFETY: the pointer came from `KBox::into_raw` and was taken out just now.
        drop(unsafe { KBox::from_raw(machine) });
    }
}

/// The switcher's state, once `init` has succeeded.
pub(crate) fn machine() -> Option<&'static Machine> {
    // SAFETY: set by `init`, freed by `exit` when nothing of the module runs any more.
    unsafe { MACHINE.load(Ordering::Acquire).as_ref() }
}

impl Machine {
    /// The share of a CPU, if it can exist.
    pub(crate) fn cpu(&self, cpu: usize) -> Option<&PerCpu> {
        self.cpus.get(cpu)?.as_ref()
    }
}

/// CPU numbers are below this.
pub(crate) fn cpu_ids() -> usize {
    // SAFETY: the function has no preconditions.
    unsafe { side_switch_cpu_ids() as usize }
}

/// What a kernel page of a CPU's roots is for; "unknown" if it should not be there.
pub(crate) fn purpose(cpu: usize, va: u64) -> &'static str {
    let Some(machine) = machine() else {
        return "unknown";
    };
    let Some(share) = machine.cpu(cpu) else {
        return "unknown";
    };
    let (start, end) = text();
    match va {
        _ if va == share.places.gdt => "gdt",
        _ if va == share.places.tss => "tss",
        _ if va == share.exit_stack.address() => "exit-stack",
        _ if va == share.double_fault_stack.address() => "double-fault-stack",
        _ if va == machine.idt.page().address() => "own-idt",
        _ if (start..end).contains(&va) => "switch-text",
        _ => "unknown",
    }
}

/// The kernel half for the roots of a CPU.
pub(crate) fn kernel_half(cpu: usize) -> Option<&'static KernelHalf> {
    Some(&machine()?.cpu(cpu)?.half)
}

/// Takes every other CPU out of ring 3 once. Interrupts are on.
pub(crate) fn kick_all() {
    // SAFETY: the function has no preconditions but the interrupt flag.
    unsafe { side_switch_kick_all() };
}

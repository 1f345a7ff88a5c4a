// SPDX-License-Identifier: GPL-2.0
/* Compiled to assembly only; Kbuild makes offsets.h and offsets.rs of the result. */
#define COMPILE_OFFSETS
#include <linux/kbuild.h>
#include <asm/cpu_entry_area.h>
#include <asm/processor.h>
#include "layout.h"

#define CONTEXT(name, field) OFFSET(SIDE_##name, side_switch_context, field)
#define FRAME(name, field) OFFSET(SIDE_FRAME_##name, side_frame, field)

static void __used common(void)
{
	CONTEXT(HOST_RSP, host_rsp);
	CONTEXT(HOST_CR3, host_cr3);
	CONTEXT(HOST_GS_BASE, host_gs_base);
	CONTEXT(HOST_SP0, host_sp0);
	CONTEXT(FRAME, frame);
	CONTEXT(TSS, tss);
	CONTEXT(VIEW_CR3, view_cr3);
	CONTEXT(VIEW_CR0, view_cr0);
	CONTEXT(VIEW_GS_BASE, view_gs_base);
	CONTEXT(HOST_SPEC_CTRL, host_spec_ctrl);
	CONTEXT(VIEW_SPEC_CTRL, view_spec_ctrl);
	CONTEXT(CR2, cr2);
	CONTEXT(MEMORY_ERROR, memory_error);
	CONTEXT(VERW_OPERAND, verw_operand);
	CONTEXT(OWN_IDT, own_idt);
	CONTEXT(HOST_IDT, host_idt);
	DEFINE(SIDE_KERNEL_DS, __KERNEL_DS);
	DEFINE(SIDE_CONTEXT_SIZE, sizeof(struct side_switch_context));
	FRAME(R15, r15);
	FRAME(R14, r14);
	FRAME(R13, r13);
	FRAME(R12, r12);
	FRAME(RBP, rbp);
	FRAME(RBX, rbx);
	FRAME(R11, r11);
	FRAME(R10, r10);
	FRAME(R9, r9);
	FRAME(R8, r8);
	FRAME(RAX, rax);
	FRAME(RCX, rcx);
	FRAME(RDX, rdx);
	FRAME(RSI, rsi);
	FRAME(RDI, rdi);
	FRAME(VECTOR, vector);
	FRAME(ERROR, error_code);
	FRAME(RIP, rip);
	FRAME(CS, cs);
	FRAME(RFLAGS, rflags);
	FRAME(RSP, rsp);
	FRAME(SS, ss);
	DEFINE(SIDE_FRAME_SIZE, sizeof(struct side_frame));
	OFFSET(SIDE_TSS_SP0, x86_hw_tss, sp0);
	OFFSET(SIDE_TSS_IST7, x86_hw_tss, ist[6]);
	OFFSET(SIDE_TSS_IO_BITMAP_BASE, x86_hw_tss, io_bitmap_base);
	DEFINE(SIDE_IO_BITMAP_INVALID, IO_BITMAP_OFFSET_INVALID);
	DEFINE(SIDE_CEA_DS, offsetof(struct cpu_entry_area, cpu_debug_store));
	DEFINE(SIDE_CEA_DS_BUFFERS, offsetof(struct cpu_entry_area, cpu_debug_buffers));
	DEFINE(SIDE_CEA_DS_BUFFERS_SIZE, sizeof(struct debug_store_buffers));
}

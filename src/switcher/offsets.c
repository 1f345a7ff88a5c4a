// SPDX-License-Identifier: GPL-2.0
/* Compiled to assembly only; Kbuild makes offsets.h and offsets.rs of the result. */
#define COMPILE_OFFSETS
#include <linux/kbuild.h>
#include <asm/cpu_entry_area.h>
#include <asm/processor.h>
#include "layout.h"

#define CONTEXT(name, field) OFFSET(SIDE_##name, side_switch_context, field)

static void __used common(void)
{
	CONTEXT(HOST_RSP, host_rsp);
	CONTEXT(HOST_CR3, host_cr3);
	CONTEXT(HOST_CR0, host_cr0);
	CONTEXT(HOST_GS_BASE, host_gs_base);
	CONTEXT(HOST_SP0, host_sp0);
	CONTEXT(TSS, tss);
	CONTEXT(VIEW_CR3, view_cr3);
	CONTEXT(VIEW_CR0, view_cr0);
	CONTEXT(VIEW_GS_BASE, view_gs_base);
	CONTEXT(HOST_SPEC_CTRL, host_spec_ctrl);
	CONTEXT(VIEW_SPEC_CTRL, view_spec_ctrl);
	CONTEXT(CR2, cr2);
	CONTEXT(EXIT_GS, exit_gs);
	CONTEXT(MEMORY_ERROR, memory_error);
	CONTEXT(VERW_OPERAND, verw_operand);
	CONTEXT(OWN_IDT, own_idt);
	CONTEXT(HOST_IDT, host_idt);
	DEFINE(SIDE_KERNEL_DS, __KERNEL_DS);
	DEFINE(SIDE_CONTEXT_SIZE, sizeof(struct side_switch_context));
	OFFSET(SIDE_FRAME_VECTOR, side_frame, vector);
	OFFSET(SIDE_FRAME_CS, side_frame, cs);
	DEFINE(SIDE_FRAME_SIZE, sizeof(struct side_frame));
	OFFSET(SIDE_TSS_SP0, x86_hw_tss, sp0);
	OFFSET(SIDE_TSS_IST7, x86_hw_tss, ist[6]);
	OFFSET(SIDE_TSS_IO_BITMAP_BASE, x86_hw_tss, io_bitmap_base);
	DEFINE(SIDE_IO_BITMAP_INVALID, IO_BITMAP_OFFSET_INVALID);
	DEFINE(SIDE_CEA_DS, offsetof(struct cpu_entry_area, cpu_debug_store));
	DEFINE(SIDE_CEA_DS_BUFFERS, offsetof(struct cpu_entry_area, cpu_debug_buffers));
	DEFINE(SIDE_CEA_DS_BUFFERS_SIZE, sizeof(struct debug_store_buffers));
}

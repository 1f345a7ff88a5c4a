/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the switch's assembly knows of memory: the per-CPU context and the register frame.
 * offsets.c makes assembler constants of it and Kbuild makes Rust constants of those;
 * context.rs asserts at compile time that its own declarations agree.
 */
#ifndef SIDE_SWITCHER_LAYOUT_H
#define SIDE_SWITCHER_LAYOUT_H

#include <linux/types.h>

/* Operand of LIDT. */
struct side_table_register {
	u16 limit;
	u64 base;
} __packed;

/*
 * One for each CPU, at the end of the exit stack page: the stack pointer that the CPU loads on an
 * exit from ring 3 (sp0) is the address of this structure, so the register frame lies just below.
 */
struct side_switch_context {
	u64 host_rsp;		/* Linux's stack while ring 3 runs; callee-saved registers on top */
	u64 host_cr3;
	u64 host_gs_base;
	u64 host_sp0;
	u64 frame;		/* registers of ring 3, in Linux's memory; unmapped in the view */
	u64 tss;		/* this CPU's TSS by its writable alias; unmapped in the view */
	u64 view_cr3;
	u64 view_cr0;		/* Linux's, which it does not change after boot, and TS */
	u64 view_gs_base;
	u64 host_spec_ctrl;
	u64 view_spec_ctrl;
	u64 cr2;		/* for the report of what cannot happen */
	u64 memory_error;	/* a machine check came from the domain's own access */
	u64 verw_operand;	/* a data selector */
	struct side_table_register own_idt;
	u8 pad0[6];
	struct side_table_register host_idt;
	u8 pad1[6];
} __aligned(16);

/* What the stubs push, lowest address first. */
struct side_frame {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 vector, error_code;
	u64 rip, cs, rflags, rsp, ss;
};

#endif

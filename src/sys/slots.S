/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry slots: addresses that the kernel calls and that are not executable. The call takes a page
 * fault, the kernel's own exception-table search (arch/x86/mm/extable.c) finds the module's entry
 * for the slot, and the fault resumes at the fixup with every argument register and the return
 * address intact. So a call from the kernel into a driver is trapped without any patch or probe.
 *
 * Slot n has fixup n; which proxy a slot stands for is a table that entry_slots.rs fills.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

#define SLOTS 256
#define SLOT_SIZE 16

	/* Data, so the pages are not executable. */
	.section .data..side_entry, "aw"
	.balign 4096
SYM_DATA_START(side_entry_slots)
	.fill SLOTS * SLOT_SIZE, 1, 0xcc
SYM_DATA_END(side_entry_slots)

	.bss
	.balign 8
SYM_DATA_START(side_entry_table)
	.skip SLOTS * 8
SYM_DATA_END(side_entry_table)

	.text
/* %eax: the slot's number. %rax and %r11 are free at the entry of any C function. */
SYM_CODE_START_LOCAL(side_entry_common)
	ANNOTATE_NOENDBR
	UNWIND_HINT_FUNC
	leaq	side_entry_table(%rip), %r11
	movq	(%r11, %rax, 8), %rax
	JMP_NOSPEC rax
SYM_CODE_END(side_entry_common)

/* Fixup n, 16 bytes each, so that entry_slots.rs finds them by number. */
	.balign 16
SYM_CODE_START(side_entry_fixups)
	.set n, 0
	.rept SLOTS
	UNWIND_HINT_FUNC
	ENDBR
	movl	$n, %eax
	jmp	side_entry_common
	.balign 16, 0xcc
	.set n, n + 1
	.endr
SYM_CODE_END(side_entry_fixups)

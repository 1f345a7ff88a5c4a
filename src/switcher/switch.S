/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only code of SIDE that crosses rings.
 *
 * Contract: everything between side_switch_text_start and side_switch_text_end, two pages, is
 * mapped in every view at its kernel address, executable, for ring 0 only. Nothing else of the
 * kernel's text is. So between the two loads of CR3 there is no return, no thunk, no indirect
 * branch and no call out of these pages.
 *
 * Two invariants carry the whole:
 *   own IDT live     =>  the stack pointer is on the exit stack, which both roots map
 *   Linux's IDT live =>  Linux's CR3, GS base, sp0, and CR0.TS = 0
 *
 * Only what can happen with interrupts off and in ring 0 can hit a window of the switch: NMI, #MC,
 * and in theory #DB. `window` handles them. All else there is a bug of ours and ends in a panic.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/extable_fixup_types.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/page_types.h>
#include <asm/percpu.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/smap.h>
#include <asm/unwind_hints.h>
#include "offsets.h"

#define NMI_VECTOR_NR	2
#define DB_VECTOR_NR	1
#define DF_VECTOR_NR	8
#define MC_VECTOR_NR	18
#define DR6_RESET	0xffff0ff0

/* GS base := %rax. Clobbers %rcx and %rdx where FSGSBASE is off. */
.macro WRITE_GS_BASE
	ALTERNATIVE __stringify(movl $MSR_GS_BASE, %ecx; movq %rax, %rdx; shrq $32, %rdx; wrmsr), \
		__stringify(wrgsbase %rax), X86_FEATURE_FSGSBASE
.endm

/* %rax := GS base. Clobbers %rcx and %rdx. */
.macro READ_GS_BASE
	ALTERNATIVE "jmp .Lmsr_\@", "", X86_FEATURE_FSGSBASE
	rdgsbase %rax
	jmp	.Ldone_\@
.Lmsr_\@:
	movl	$MSR_GS_BASE, %ecx
	rdmsr
	shlq	$32, %rdx
	orq	%rdx, %rax
.Ldone_\@:
.endm

/* SPEC_CTRL := the context's field, where Linux writes it at each entry and exit. Clobbers rax, rcx, rdx. */
.macro WRITE_SPEC_CTRL field:req
	ALTERNATIVE "", __stringify(movl $MSR_IA32_SPEC_CTRL, %ecx; movl \field(%rdi), %eax; \
		movl \field + 4(%rdi), %edx; wrmsr), X86_FEATURE_KERNEL_IBRS
.endm

.macro PUSH_REGISTERS
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
.endm

/*
 * %rdi is the context, on any stack; Linux's CR3 is loaded, so all of the kernel is mapped: put the
 * rest of Linux's world in place. Clobbers rax, rcx, rdx.
 */
.macro LOAD_LINUX
	WRITE_SPEC_CTRL SIDE_HOST_SPEC_CTRL
	clts
	movq	SIDE_HOST_GS_BASE(%rdi), %rax
	WRITE_GS_BASE
	movq	SIDE_TSS(%rdi), %rax
	movq	SIDE_HOST_SP0(%rdi), %rcx
	movq	%rcx, SIDE_TSS_SP0(%rax)
	lidt	SIDE_HOST_IDT(%rdi)
.endm

.macro LOAD_LINUX_CR3
	movq	SIDE_HOST_CR3(%rdi), %rax
	movq	%rax, %cr3
.endm

	.section .noinstr.text, "ax"
	.balign	PAGE_SIZE
SYM_CODE_START_NOALIGN(side_switch_text_start)
	/*
	 * The vector stubs: 256 of 16 bytes, which is the first page. Each leaves the error code (or 0)
	 * and the vector on the stack above the CPU's frame.
	 */
vector = 0
.rept 256
	.balign	16, 0xcc
	UNWIND_HINT_IRET_REGS
	endbr64
	.if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
	.else
	pushq	$0
	.endif
	UNWIND_HINT_IRET_REGS offset=8
	.byte	0x6a, vector		/* push, sign-extended: the common part takes the low byte */
	.if vector == DF_VECTOR_NR
	jmp	double_fault
	.else
	jmp	common
	.endif
vector = vector + 1
.endr
	.balign	16, 0xcc
SYM_CODE_END(side_switch_text_start)

/*
 * side_switch_enter(context, frame): interrupts are off; RIP and flags of the frame are already as
 * they must be, CS and SS are constants. Returns after the exit, interrupts still off, with the
 * frame as ring 3 left it. The frame is in Linux's memory: it is read before the view's CR3 is
 * loaded and written after Linux's is.
 */
SYM_CODE_START_NOALIGN(side_switch_enter)
	UNWIND_HINT_FUNC
	ANNOTATE_NOENDBR
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsi, SIDE_FRAME(%rdi)
	movq	%rsp, SIDE_HOST_RSP(%rdi)
	/* Linux's stack rests; the stack is now the exit stack, which ends at the context. */
	movq	%rdi, %rsp
	UNWIND_HINT_UNDEFINED
	lidt	SIDE_OWN_IDT(%rdi)
	movq	SIDE_TSS(%rdi), %rax
	movq	%rdi, SIDE_TSS_SP0(%rax)
	/* A null selector cannot fault; the base comes after it, since the load may clear the base. */
	xorl	%eax, %eax
	movl	%eax, %gs
	movq	SIDE_VIEW_GS_BASE(%rdi), %rax
	WRITE_GS_BASE
	movq	SIDE_VIEW_CR0(%rdi), %rax
	movq	%rax, %cr0
	WRITE_SPEC_CTRL SIDE_VIEW_SPEC_CTRL
	/* What IRETQ takes. */
	pushq	$__USER_DS
	pushq	SIDE_FRAME_RSP(%rsi)
	pushq	SIDE_FRAME_RFLAGS(%rsi)
	pushq	$__USER_CS
	pushq	SIDE_FRAME_RIP(%rsi)
	/* The one register that the load of CR3 needs. */
	pushq	SIDE_FRAME_RAX(%rsi)
	movq	SIDE_VIEW_CR3(%rdi), %rax
	movq	SIDE_FRAME_R15(%rsi), %r15
	movq	SIDE_FRAME_R14(%rsi), %r14
	movq	SIDE_FRAME_R13(%rsi), %r13
	movq	SIDE_FRAME_R12(%rsi), %r12
	movq	SIDE_FRAME_RBP(%rsi), %rbp
	movq	SIDE_FRAME_RBX(%rsi), %rbx
	movq	SIDE_FRAME_R11(%rsi), %r11
	movq	SIDE_FRAME_R10(%rsi), %r10
	movq	SIDE_FRAME_R9(%rsi), %r9
	movq	SIDE_FRAME_R8(%rsi), %r8
	movq	SIDE_FRAME_RCX(%rsi), %rcx
	movq	SIDE_FRAME_RDX(%rsi), %rdx
	movq	SIDE_FRAME_RDI(%rsi), %rdi
	movq	SIDE_FRAME_RSI(%rsi), %rsi
	movq	%rax, %cr3
	/* The kernel is gone but for these two pages and the exit stack. */
	popq	%rax
	UNWIND_HINT_IRET_REGS
	/* The operand is in the context, five words up. */
	ALTERNATIVE "", __stringify(verw SIDE_VERW_OPERAND+40(%rsp)), X86_FEATURE_CLEAR_CPU_BUF
	iretq
	int3
SYM_CODE_END(side_switch_enter)

/* Every vector but #DF. On the stack: vector, error code, the CPU's frame. */
SYM_CODE_START_LOCAL_NOALIGN(common)
	UNWIND_HINT_IRET_REGS offset=16
	ANNOTATE_NOENDBR
	cld
	ASM_CLAC
	testb	$3, (SIDE_FRAME_CS - SIDE_FRAME_VECTOR)(%rsp)
	jz	window

	/* From ring 3, so on an empty exit stack: seven words, then the context. */
	pushq	%rax
	pushq	%rdi
	UNWIND_HINT_UNDEFINED
	leaq	72(%rsp), %rdi
	LOAD_LINUX_CR3
	movq	SIDE_FRAME(%rdi), %rax
	movq	%r15, SIDE_FRAME_R15(%rax)
	movq	%r14, SIDE_FRAME_R14(%rax)
	movq	%r13, SIDE_FRAME_R13(%rax)
	movq	%r12, SIDE_FRAME_R12(%rax)
	movq	%rbp, SIDE_FRAME_RBP(%rax)
	movq	%rbx, SIDE_FRAME_RBX(%rax)
	movq	%r11, SIDE_FRAME_R11(%rax)
	movq	%r10, SIDE_FRAME_R10(%rax)
	movq	%r9, SIDE_FRAME_R9(%rax)
	movq	%r8, SIDE_FRAME_R8(%rax)
	movq	%rcx, SIDE_FRAME_RCX(%rax)
	movq	%rdx, SIDE_FRAME_RDX(%rax)
	movq	%rsi, SIDE_FRAME_RSI(%rax)
	popq	SIDE_FRAME_RDI(%rax)
	popq	SIDE_FRAME_RAX(%rax)
	popq	%rsi
	movq	%rsi, SIDE_FRAME_VECTOR(%rax)
	popq	SIDE_FRAME_ERROR(%rax)
	popq	SIDE_FRAME_RIP(%rax)
	popq	SIDE_FRAME_CS(%rax)
	popq	SIDE_FRAME_RFLAGS(%rax)
	popq	SIDE_FRAME_RSP(%rax)
	/* SS stays in the frame: nothing asks for it, and it never goes back. */
	LOAD_LINUX
	movq	SIDE_HOST_RSP(%rdi), %rsp
	/* Linux's stack and Linux's world. No value of ring 3 stays where speculation could use it. */
	UNWIND_HINT sp_reg=ORC_REG_SP sp_offset=56 type=UNWIND_HINT_TYPE_CALL
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	UNWIND_HINT_FUNC
	xorl	%edx, %edx
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	/* No RET has run yet since ring 3: what Linux's own entry does for the predictors. */
	CALL_UNTRAIN_RET
	ALTERNATIVE_2 "", "call side_switch_ibpb", X86_FEATURE_ENTRY_IBPB, \
		__stringify(RESET_CALL_DEPTH), X86_FEATURE_CALL_DEPTH
	/*
	 * SS is NULL since the exit, which a SYSRET of the task that called could not repair on AMD. Linux
	 * has it so only behind an interrupt, and then switches tasks. No CPU of theirs needs the loop.
	 */
	ALTERNATIVE_2 "", "call side_switch_clear_bhb", X86_FEATURE_CLEAR_BHB_LOOP, \
		"movw side_switch_kernel_ds(%rip), %ss", X86_BUG_SYSRET_SS_ATTRS
	/*
	 * NMI and #MC are Linux's, on its own IST stacks. No IRET has happened, so an NMI still
	 * blocks further ones, and a kernel-mode frame is what Linux must see.
	 */
	leal	-NMI_VECTOR_NR(%rsi), %ecx
	testl	$~(NMI_VECTOR_NR ^ MC_VECTOR_NR), %ecx
	jz	.Llinux
.Lout:
	RET
.Llinux:
	cmpl	$MC_VECTOR_NR, %esi
	je	.Lmachine_check
	int	$NMI_VECTOR_NR
	jmp	.Lout
.Lmachine_check:
	int	$MC_VECTOR_NR
.Lmachine_check_return:
	jmp	.Lout
.Lmemory_error:
	ANNOTATE_NOENDBR
	/* Linux found that the access which failed was the domain's. %rdi survives the fixup. */
	movq	$1, SIDE_MEMORY_ERROR(%rdi)
	jmp	.Lout
	_ASM_EXTABLE_TYPE(.Lmachine_check_return, .Lmemory_error, EX_TYPE_FAULT_MCE_SAFE)
SYM_CODE_END(common)

/*
 * Ring 0 was interrupted inside a window of the switch. The state may be any mixture of Linux's and
 * the view's: keep what is, load Linux's, let Linux handle the event, put back what was. Own IDT
 * comes back first; the IRET inside Linux's handler lets the next NMI in, which then finds either
 * Linux's whole world or an own window that it handles in the same way, deeper in the exit stack.
 */
SYM_CODE_START_LOCAL_NOALIGN(window)
	UNWIND_HINT_IRET_REGS offset=16
	ANNOTATE_NOENDBR
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rdi
	UNWIND_HINT_UNDEFINED
	movzbl	40(%rsp), %ebx
	cmpl	$DB_VECTOR_NR, %ebx
	je	.Ldebug
	cmpl	$NMI_VECTOR_NR, %ebx
	je	.Lwindow_forward
	cmpl	$MC_VECTOR_NR, %ebx
	jne	.Lbad_window
.Lwindow_forward:
	/* The context ends where the exit stack's page ends. */
	movq	%rsp, %rdi
	orq	$(PAGE_SIZE - 1), %rdi
	subq	$(SIDE_CONTEXT_SIZE - 1), %rdi
	movq	%cr3, %rax
	pushq	%rax
	movq	%cr0, %rax
	pushq	%rax
	READ_GS_BASE
	pushq	%rax
	xorl	%eax, %eax
	ALTERNATIVE "jmp .Lspec_read", "", X86_FEATURE_KERNEL_IBRS
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	rdmsr
	shlq	$32, %rdx
	orq	%rdx, %rax
.Lspec_read:
	pushq	%rax
	LOAD_LINUX_CR3
	movq	SIDE_TSS(%rdi), %rax
	pushq	SIDE_TSS_SP0(%rax)
	LOAD_LINUX
	cmpl	$MC_VECTOR_NR, %ebx
	je	.Lwindow_machine_check
	int	$NMI_VECTOR_NR
	jmp	.Lwindow_back
.Lwindow_machine_check:
	int	$MC_VECTOR_NR
.Lwindow_back:
	lidt	SIDE_OWN_IDT(%rdi)
	movq	SIDE_TSS(%rdi), %rax
	popq	SIDE_TSS_SP0(%rax)
	popq	%rax
	ALTERNATIVE "jmp .Lspec_written", "", X86_FEATURE_KERNEL_IBRS
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	movq	%rax, %rdx
	shrq	$32, %rdx
	wrmsr
.Lspec_written:
	popq	%rax
	WRITE_GS_BASE
	popq	%rax
	movq	%rax, %cr0
	popq	%rax
	movq	%rax, %cr3
.Lwindow_out:
	popq	%rdi
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	UNWIND_HINT_IRET_REGS
	iretq
	int3
.Ldebug:
	/* DR7 is 0 and TF is clear in every window, so nothing can ask for this; it is dropped. */
	UNWIND_HINT_UNDEFINED
	movl	$DR6_RESET, %eax
	movq	%rax, %db6
	jmp	.Lwindow_out
.Lbad_window:
	popq	%rdi
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	PUSH_REGISTERS
	movq	%rsp, %rsi
	movq	%rsp, %rdi
	orq	$(PAGE_SIZE - 1), %rdi
	subq	$(SIDE_CONTEXT_SIZE - 1), %rdi
	jmp	fatal
SYM_CODE_END(window)

/* #DF, on its own stack, whose topmost word leads to the context. */
SYM_CODE_START_LOCAL_NOALIGN(double_fault)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	cld
	ASM_CLAC
	PUSH_REGISTERS
	movq	%rsp, %rsi
	/* In the kernel half of the view at the same address as in Linux's tables. */
	movq	SIDE_FRAME_SIZE(%rsp), %rdi
	jmp	fatal
SYM_CODE_END(double_fault)

/* %rdi the context, %rsi the frame. The report runs on Linux's stack, which rests at host_rsp. */
SYM_CODE_START_LOCAL_NOALIGN(fatal)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	movq	%cr2, %rax
	movq	%rax, SIDE_CR2(%rdi)
	LOAD_LINUX_CR3
	LOAD_LINUX
	movq	SIDE_HOST_RSP(%rdi), %rsp
	andq	$-16, %rsp
	UNWIND_HINT_END_OF_STACK
	pushq	$0
	jmp	side_switch_fatal
SYM_CODE_END(fatal)

/* Indirect branch prediction barrier; the kernel's own write_ibpb is not for modules. */
SYM_CODE_START_LOCAL_NOALIGN(side_switch_ibpb)
	UNWIND_HINT_FUNC
	ANNOTATE_NOENDBR
	movl	$MSR_IA32_PRED_CMD, %ecx
	movl	$PRED_CMD_IBPB, %eax
	xorl	%edx, %edx
	wrmsr
	ANNOTATE_UNRET_SAFE
	ret
	int3
SYM_CODE_END(side_switch_ibpb)

	.balign	PAGE_SIZE, 0xcc
	.globl	side_switch_text_end
side_switch_text_end:

/*
 * Overwrites the branch history that ring 3 left, by taken branches, on CPUs that have no other way:
 * the sequence that Intel gives for "branch history injection". Five calls, each of five loops. The
 * kernel's own is not for modules. Called with Linux's world in place, so it need not be mapped in a
 * view. The RETs are in the upper halves of cache lines, as indirect target selection asks.
 */
	.balign	64, 0xcc
SYM_CODE_START_LOCAL_NOALIGN(side_switch_clear_bhb)
	UNWIND_HINT_FUNC
	ANNOTATE_NOENDBR
	movl	$5, %ecx
	ANNOTATE_INTRA_FUNCTION_CALL
	call	.Lbhb_outer
	UNWIND_HINT_FUNC
	lfence
	RET
	.balign	64, 0xcc
	.skip	32 - 5, 0xcc
.Lbhb_outer:
	UNWIND_HINT_FUNC
	ANNOTATE_INTRA_FUNCTION_CALL
	call	.Lbhb_inner
	UNWIND_HINT_FUNC
	RET
	.balign	64, 0xcc
	.skip	32 - 18, 0xcc
.Lbhb_inner:
	UNWIND_HINT_FUNC
	movl	$5, %eax
.Lbhb_loop:
	jmp	.Lbhb_branch
	nop
.Lbhb_branch:
	subl	$1, %eax
	jnz	.Lbhb_loop
	subl	$1, %ecx
	jnz	.Lbhb_outer
	RET
SYM_CODE_END(side_switch_clear_bhb)

	.section .rodata, "a"
	.balign	2
/* Read with Linux's tables in place. One load from memory takes the room of one nop. */
SYM_DATA_LOCAL(side_switch_kernel_ds, .word __KERNEL_DS)

	.text
/*
 * side_switch_hand_on(handler): run Linux's handler of an interrupt as if it had come here. The
 * frame says that interrupts were on, as they were in ring 3: with the flag clear Linux's entry
 * code would leave the timer unarmed. Returns with interrupts on.
 */
SYM_FUNC_START(side_switch_hand_on)
	pushq	%rbp
	movq	%rsp, %rbp
	andq	$-16, %rsp
	pushq	$__KERNEL_DS
	pushq	%rbp
	pushfq
	orq	$X86_EFLAGS_IF, (%rsp)
	pushq	$__KERNEL_CS
	CALL_NOSPEC rdi
	/* The handler's IRET has taken the frame away. */
	movq	%rbp, %rsp
	popq	%rbp
	RET
SYM_FUNC_END(side_switch_hand_on)

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ring-3 library: the imports that a domain answers itself, without a crossing.
 *
 * src/sys/ring3.rs assembles this text, followed by devices.S and end.S, into read-only data and fills in the names in braces from
 * contract.rs. The kernel never executes it. The loader copies it to LIBRARY_BASE of each domain;
 * it is position-independent but for the jump to the yield stub, which counts from LIBRARY_BASE.
 *
 * The code calls nothing outside itself but functions of the driver that the driver names, keeps
 * no state of its own, and uses no return thunk: the driver attacks only itself by speculation.
 * Kernel code is built without a red zone, so none is assumed here.
 */

	.pushsection .rodata.side_ring3, "a"
	.balign	64
	.globl	side_ring3_text
	.hidden	side_ring3_text
side_ring3_text:

/* Begins the function \name and enters it into the table that follows the text: offset, length
 * of the name, the name. */
	.macro	function name
	.balign	16, 0xcc
	.pushsection .rodata.side_ring3_names, "a"
	.long	.Lring3_\name - side_ring3_text
	.byte	.Lname_end_\name - .Lname_\name
.Lname_\name:
	.ascii	"\name"
.Lname_end_\name:
	.popsection
.Lring3_\name:
	.endm

/* A second name of the function that follows. */
	.macro	alias name
	function \name
	.endm

	.pushsection .rodata.side_ring3_names, "a"
	.globl	side_ring3_names
	.hidden	side_ring3_names
side_ring3_names:
	.popsection

/* ---- What the compiler and the kernel's build add ---- */

	alias	__fentry__
	function __x86_return_thunk
	ret

	.irp	reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	function __x86_indirect_thunk_\reg
	jmp	*%\reg
	.endr

/* Ring 3 is preempted at interrupts; there is nothing to give away voluntarily. */
	alias	__SCT__might_resched
	function __SCT__cond_resched
	xorl	%eax, %eax
	ret
	alias	__SCT__preempt_schedule
	function __SCT__preempt_schedule_notrace
	ret

/* These two keep every register but rax. */
	function __sw_hweight32
	pushq	%rdx
	movl	%edi, %edx
	xorl	%eax, %eax
1:	testl	%edx, %edx
	jz	2f
	incl	%eax
	pushq	%rcx
	leal	-1(%rdx), %ecx
	andl	%ecx, %edx
	popq	%rcx
	jmp	1b
2:	popq	%rdx
	ret

	function __sw_hweight64
	pushq	%rdx
	movq	%rdi, %rdx
	xorl	%eax, %eax
1:	testq	%rdx, %rdx
	jz	2f
	incl	%eax
	pushq	%rcx
	leaq	-1(%rdx), %rcx
	andq	%rcx, %rdx
	popq	%rcx
	jmp	1b
2:	popq	%rdx
	ret

/* ---- Memory and strings ---- */

	alias	__memmove
	function memmove
	movq	%rdi, %rax
	movq	%rdi, %rcx
	subq	%rsi, %rcx
	cmpq	%rdx, %rcx		# unsigned: the target begins inside the source
	jb	.Lmove_down
	jmp	.Lcopy_up
	alias	__memcpy
	function memcpy
	movq	%rdi, %rax
.Lcopy_up:
	movq	%rdx, %rcx
	shrq	$3, %rcx
	rep movsq
	movl	%edx, %ecx
	andl	$7, %ecx
	rep movsb
	ret
.Lmove_down:
	testq	%rdx, %rdx
	jz	2f
1:	movb	-1(%rsi,%rdx), %cl
	movb	%cl, -1(%rdi,%rdx)
	decq	%rdx
	jnz	1b
2:	ret

	alias	__memset
	function memset
	movq	%rdi, %r9
	movzbl	%sil, %eax
	movabsq	$0x0101010101010101, %rcx
	imulq	%rcx, %rax
	movq	%rdx, %rcx
	shrq	$3, %rcx
	rep stosq
	movl	%edx, %ecx
	andl	$7, %ecx
	rep stosb
	movq	%r9, %rax
	ret

	function memcmp
	xorl	%ecx, %ecx
1:	cmpq	%rdx, %rcx
	je	2f
	movzbl	(%rdi,%rcx), %eax
	movzbl	(%rsi,%rcx), %r8d
	incq	%rcx
	subl	%r8d, %eax
	jz	1b
	ret
2:	xorl	%eax, %eax
	ret

	function memchr
	movq	%rdi, %rax
	addq	%rdi, %rdx
1:	cmpq	%rdx, %rax
	je	2f
	cmpb	%sil, (%rax)
	je	3f
	incq	%rax
	jmp	1b
2:	xorl	%eax, %eax
3:	ret

	function memchr_inv
	movq	%rdi, %rax
	addq	%rdi, %rdx
1:	cmpq	%rdx, %rax
	je	2f
	cmpb	%sil, (%rax)
	jne	3f
	incq	%rax
	jmp	1b
2:	xorl	%eax, %eax
3:	ret

	function strlen
	xorl	%eax, %eax
1:	cmpb	$0, (%rdi,%rax)
	je	2f
	incq	%rax
	jmp	1b
2:	ret

	function strnlen
	xorl	%eax, %eax
1:	cmpq	%rsi, %rax
	je	2f
	cmpb	$0, (%rdi,%rax)
	je	2f
	incq	%rax
	jmp	1b
2:	ret

	function strcmp
	movq	$-1, %rdx
	jmp	.Lcompare
	function strncmp
.Lcompare:
	xorl	%ecx, %ecx
1:	cmpq	%rdx, %rcx
	je	2f
	movzbl	(%rdi,%rcx), %eax
	movzbl	(%rsi,%rcx), %r8d
	incq	%rcx
	subl	%r8d, %eax
	jnz	3f
	testl	%r8d, %r8d
	jnz	1b
2:	xorl	%eax, %eax
	ret
3:	sarl	$31, %eax		# -1 or 0 ...
	orl	$1, %eax		# ... and so -1 or 1
	ret

	function strchr
	movq	%rdi, %rax
1:	movb	(%rax), %cl
	cmpb	%sil, %cl
	je	2f
	incq	%rax
	testb	%cl, %cl
	jnz	1b
	xorl	%eax, %eax
2:	ret

	function strrchr
	xorl	%eax, %eax
1:	movb	(%rdi), %cl
	cmpb	%sil, %cl
	cmoveq	%rdi, %rax
	incq	%rdi
	testb	%cl, %cl
	jnz	1b
	ret

	function strcpy
	movq	%rdi, %rax
	xorl	%edx, %edx
1:	movb	(%rsi,%rdx), %cl
	movb	%cl, (%rdi,%rdx)
	incq	%rdx
	testb	%cl, %cl
	jnz	1b
	ret

	function strcat
	movq	%rdi, %rax
	decq	%rdi
1:	incq	%rdi
	cmpb	$0, (%rdi)
	jne	1b
	xorl	%edx, %edx
2:	movb	(%rsi,%rdx), %cl
	movb	%cl, (%rdi,%rdx)
	incq	%rdx
	testb	%cl, %cl
	jnz	2b
	ret

/* Fills the rest of the target with zeroes and may leave it without an end, as C's does. */
	function strncpy
	movq	%rdi, %rax
	xorl	%r8d, %r8d
1:	cmpq	%rdx, %r8
	je	2f
	movb	(%rsi), %cl
	movb	%cl, (%rdi,%r8)
	incq	%r8
	cmpb	$1, %cl			# carry if the byte is zero: stay on it
	sbbq	$-1, %rsi
	jmp	1b
2:	ret

/* Copies what fits with an end. Returns the length, or -E2BIG if it was cut or has no room. */
	function sized_strscpy
	movq	$-7, %rax
	leaq	-1(%rdx), %r8
	movl	$0x7fffffff, %ecx
	cmpq	%rcx, %r8
	jae	3f
	xorl	%r9d, %r9d
1:	movb	(%rsi,%r9), %cl
	cmpq	%r8, %r9
	je	2f
	movb	%cl, (%rdi,%r9)
	testb	%cl, %cl
	jz	4f
	incq	%r9
	jmp	1b
2:	movb	$0, (%rdi,%r9)
	testb	%cl, %cl
	jz	4f
3:	ret
4:	movq	%r9, %rax
	ret

/* ---- Bit maps ---- */

/* \name(words, bits, start): the first bit at or after start that is \wanted, or bits. */
	.macro	find_bit name, first, jump
	function \first
	xorl	%edx, %edx
	jmp	.Lfind_\name
	function \name
.Lfind_\name:
1:	cmpq	%rsi, %rdx
	jae	2f
	btq	%rdx, (%rdi)
	\jump	3f
	incq	%rdx
	jmp	1b
2:	movq	%rsi, %rax
	ret
3:	movq	%rdx, %rax
	ret
	.endm
	find_bit _find_next_bit, _find_first_bit, jc
	find_bit _find_next_zero_bit, _find_first_zero_bit, jnc

	function _find_last_bit
	movq	%rsi, %rax
1:	subq	$1, %rax
	jc	2f
	btq	%rax, (%rdi)
	jnc	1b
	ret
2:	movq	%rsi, %rax
	ret

/* _find_next_and_bit(a, b, bits, start) */
	function _find_next_and_bit
1:	cmpq	%rdx, %rcx
	jae	2f
	btq	%rcx, (%rdi)
	jnc	3f
	btq	%rcx, (%rsi)
	jc	4f
3:	incq	%rcx
	jmp	1b
2:	movq	%rdx, %rax
	ret
4:	movq	%rcx, %rax
	ret

/* bool \name(target, a, b, bits): whether anything is left, bits beyond the end not counted. */
	.macro	bitmap_combine name, op, invert=0
	function \name
	xorl	%r9d, %r9d
	movl	%ecx, %ecx
1:	testq	%rcx, %rcx
	jz	3f
	movq	(%rdx), %rax
	.if	\invert
	notq	%rax
	.endif
	\op	(%rsi), %rax
	cmpq	$64, %rcx
	jae	2f
	movq	$-1, %r8
	shlq	%cl, %r8
	notq	%r8
	andq	%r8, %rax
	movl	$64, %ecx
2:	movq	%rax, (%rdi)
	orq	%rax, %r9
	addq	$8, %rdi
	addq	$8, %rsi
	addq	$8, %rdx
	subq	$64, %rcx
	jmp	1b
3:	xorl	%eax, %eax
	testq	%r9, %r9
	setne	%al
	ret
	.endm
	bitmap_combine __bitmap_and, andq
	bitmap_combine __bitmap_andnot, andq, 1
	bitmap_combine __bitmap_or, orq
	bitmap_combine __bitmap_xor, xorq

/* bool \name(a, b, bits): \found if (a \op b), or (a \op ~b), has a bit set. */
	.macro	bitmap_test name, op, invert, found
	function \name
	movl	%edx, %ecx
1:	testq	%rcx, %rcx
	jz	4f
	movq	(%rsi), %rax
	.if	\invert
	notq	%rax
	.endif
	\op	(%rdi), %rax
	cmpq	$64, %rcx
	jae	2f
	negl	%ecx
	shlq	%cl, %rax		# by 64 less the bits that are left
	movl	$64, %ecx
2:	testq	%rax, %rax
	jnz	3f
	addq	$8, %rdi
	addq	$8, %rsi
	subq	$64, %rcx
	jmp	1b
3:	movl	$\found, %eax
	ret
4:	movl	$1 - \found, %eax
	ret
	.endm
	bitmap_test __bitmap_equal, xorq, 0, 0
	bitmap_test __bitmap_subset, andq, 1, 0
	bitmap_test __bitmap_intersects, andq, 0, 1

	function __bitmap_weight
	movl	%esi, %esi
	xorl	%eax, %eax
1:	subq	$1, %rsi
	jc	2f
	btq	%rsi, (%rdi)
	adcl	$0, %eax
	jmp	1b
2:	ret

/* void \name(map, start, length) */
	.macro	bitmap_range name, op
	function \name
	movl	%esi, %esi
	movl	%edx, %edx
1:	subq	$1, %rdx
	jc	2f
	\op	%rsi, (%rdi)
	incq	%rsi
	jmp	1b
2:	ret
	.endm
	bitmap_range __bitmap_set, btsq
	bitmap_range __bitmap_clear, btrq

/* ---- Time ---- */

/* struct timespec64 ns_to_timespec64(s64): seconds in rax, nanoseconds, never below 0, in rdx. */
	function ns_to_timespec64
	movq	%rdi, %rax
	cqto
	movl	$1000000000, %ecx
	idivq	%rcx
	testq	%rdx, %rdx
	jns	1f
	addq	%rcx, %rdx
	decq	%rax
1:	ret

/* A cyclecounter is (read, mask, mult:32, shift:32); a timecounter (cyclecounter, cycle_last,
 * nsec, mask, frac). The function read is the driver's own. */
	function timecounter_init
	pushq	%rbx
	pushq	%rbp
	subq	$8, %rsp
	movq	%rdi, %rbx
	movq	%rdx, %rbp
	movq	%rsi, (%rbx)
	movq	%rsi, %rdi
	movq	(%rsi), %rax
	call	*%rax
	movq	%rax, 8(%rbx)
	movq	%rbp, 16(%rbx)
	movq	(%rbx), %rsi
	movl	20(%rsi), %ecx
	movl	$1, %eax
	shlq	%cl, %rax
	decq	%rax
	movq	%rax, 24(%rbx)
	movq	$0, 32(%rbx)
	addq	$8, %rsp
	popq	%rbp
	popq	%rbx
	ret

	function timecounter_read
	pushq	%rbx
	movq	%rdi, %rbx
	movq	(%rbx), %rdi
	movq	(%rdi), %rax
	call	*%rax
	movq	(%rbx), %rsi
	movq	%rax, %rdx
	subq	8(%rbx), %rdx
	andq	8(%rsi), %rdx		# cycles since the last call
	movq	%rax, 8(%rbx)
	movl	16(%rsi), %eax
	imulq	%rdx, %rax
	addq	32(%rbx), %rax
	movq	%rax, %rdx
	andq	24(%rbx), %rdx
	movq	%rdx, 32(%rbx)
	movl	20(%rsi), %ecx
	shrq	%cl, %rax
	addq	16(%rbx), %rax
	movq	%rax, 16(%rbx)
	popq	%rbx
	ret

/* ---- Locks in the driver's memory ----
 *
 * The kernel's own protocol on the lock's word is not needed: only this library touches it. A
 * spinlock is 0 free and 1 held. A reader-writer lock counts readers in units of 0x200 and is 0xff
 * while a writer holds it (include/asm-generic/qrwlock.h), since the compiler may initialise it.
 *
 * The preempt count rises before the lock is tried, so that the run loop keeps the driver on this
 * CPU, and bottom halves off it, for as long as the lock is held.
 */

	.macro	preempt_count_add amount
	addq	$\amount, %gs:{preempt_count}
	.endm

/* Ends a function: leaves \amount of the preempt count, and crosses if that ends the atomic region
 * and the kernel waits for it. The stub keeps all registers and returns to our caller. */
	.macro	leave_atomic amount
	subq	$\amount, %gs:{preempt_count}
	jmp	.Lyield_if_due
	.endm

.Lyield_if_due:
	cmpq	$0, %gs:{pending}
	jne	1f
	ret
1:	movq	%gs:{preempt_count}, %rcx
	addq	%rcx, %rcx		# without bit 63
	jnz	2f
	cmpq	$0, %gs:{irq_disabled}
	jne	2f
	.byte	0xe9			# jmp to the yield stub
	.long	{yield_stub} - {library_base} - (. + 4 - side_ring3_text)
2:	ret

	.macro	acquire_spin
	movl	$1, %ecx
8:	xorl	%eax, %eax
	lock cmpxchgl %ecx, (%rdi)
	je	9f
	pause
	jmp	8b
9:
	.endm
	.macro	release_spin
	movl	$0, (%rdi)
	.endm

	.macro	acquire_write
	movl	$0xff, %ecx
8:	xorl	%eax, %eax
	lock cmpxchgl %ecx, (%rdi)
	je	9f
	pause
	jmp	8b
9:
	.endm
	.macro	release_write
	movl	$0, (%rdi)
	.endm

	.macro	acquire_read
8:	movl	(%rdi), %eax
	testl	$0x1ff, %eax
	jnz	7f
	leal	0x200(%rax), %ecx
	lock cmpxchgl %ecx, (%rdi)
	je	9f
7:	pause
	jmp	8b
9:
	.endm
	.macro	release_read
	lock subl $0x200, (%rdi)
	.endm

	.macro	lock_functions kind
	function _raw_\kind\()_lock
	preempt_count_add 1
	acquire_\kind
	ret
	function _raw_\kind\()_lock_bh
	preempt_count_add {softirq_disable} + 1
	acquire_\kind
	ret
	function _raw_\kind\()_lock_irq
	movq	$1, %gs:{irq_disabled}
	preempt_count_add 1
	acquire_\kind
	ret
/* Returns the flags word: interrupts on (0x200) or off (0). If they are on, the CPU may change
 * until the store; then they are on there too. */
	function _raw_\kind\()_lock_irqsave
	xorl	%edx, %edx
	cmpq	$0, %gs:{irq_disabled}
	sete	%dl
	movq	$1, %gs:{irq_disabled}
	preempt_count_add 1
	acquire_\kind
	movl	%edx, %eax
	shll	$9, %eax
	ret
	function _raw_\kind\()_unlock
	release_\kind
	leave_atomic 1
	function _raw_\kind\()_unlock_bh
	release_\kind
	leave_atomic {softirq_disable} + 1
	function _raw_\kind\()_unlock_irq
	release_\kind
	movq	$0, %gs:{irq_disabled}
	leave_atomic 1
	function _raw_\kind\()_unlock_irqrestore
	release_\kind
	testl	$0x200, %esi
	jz	1f
	movq	$0, %gs:{irq_disabled}
1:	leave_atomic 1
	.endm
	lock_functions spin
	lock_functions read
	lock_functions write

	.macro	try_function name, held, amount
	function \name
	preempt_count_add \amount
	movl	$\held, %ecx
	xorl	%eax, %eax
	lock cmpxchgl %ecx, (%rdi)
	movl	$0, %eax
	jne	1f
	incl	%eax
	ret
1:	leave_atomic \amount
	.endm
	try_function _raw_spin_trylock, 1, 1
	try_function _raw_spin_trylock_bh, 1, {softirq_disable} + 1
	try_function _raw_write_trylock, 0xff, 1

	function _raw_read_trylock
	preempt_count_add 1
8:	movl	(%rdi), %eax
	testl	$0x1ff, %eax
	jnz	1f
	leal	0x200(%rax), %ecx
	lock cmpxchgl %ecx, (%rdi)
	jne	8b
	movl	$1, %eax
	ret
1:	xorl	%eax, %eax
	leave_atomic 1

/* A read-side section of RCU is atomic for the run loop, and so for the kernel's RCU. */
	function __rcu_read_lock
	preempt_count_add 1
	ret
	function __rcu_read_unlock
	leave_atomic 1

/* void __local_bh_enable_ip(unsigned long ip, unsigned int amount) */
	function __local_bh_enable_ip
	movl	%esi, %esi
	subq	%rsi, %gs:{preempt_count}
	jmp	.Lyield_if_due
	function __local_bh_disable_ip
	movl	%esi, %esi
	addq	%rsi, %gs:{preempt_count}
	ret

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A part of the ring-3 library: the optimised mode's answers without a crossing.
 *
 * Each function here goes on to its gate unless the running upcall may use the local answer (see
 * rings.rs). The flags are 0 outside atomic upcalls, so nothing else of the domain runs on this CPU
 * between two instructions of what follows, and the CPU stays the same.
 */

	.macro	gate_unless flag, name
	testl	$\flag, %gs:{local}
	jz	.Lgate_\name
	.endm
	.macro	gate name, n
.Lgate_\name:
	jmpq	*{control} + 8 * \n
	.endm

/* Appends the call \n with the arguments in rdi, rsi and rdx to the ring, and returns \answer. A
 * full ring is drained by the gate. */
	.macro	defer name, n, answer
	movq	%gs:{ring_count}, %rax
	cmpq	${ring_entries}, %rax
	jae	.Lgate_\name
	movl	%eax, %ecx
	shll	$5, %ecx
	movq	$\n, %gs:{ring}(%rcx)
	movq	%rdi, %gs:{ring} + 8(%rcx)
	movq	%rsi, %gs:{ring} + 16(%rcx)
	movq	%rdx, %gs:{ring} + 24(%rcx)
	incl	%eax
	movq	%rax, %gs:{ring_count}
	movl	$\answer, %eax
	ret
	.endm

	function skb_put
	gate_unless {f_local}, skb_put
	movl	{skb_tail}(%rdi), %eax
	movl	%esi, %ecx
	addl	%eax, %ecx
	jc	.Lgate_skb_put
	cmpl	{skb_end}(%rdi), %ecx
	ja	.Lgate_skb_put
	cmpl	$0, {skb_data_len}(%rdi)
	jne	.Lgate_skb_put
	movl	%ecx, {skb_tail}(%rdi)
	addl	%esi, {skb_len}(%rdi)
	addq	{skb_head}(%rdi), %rax
	ret
	gate	skb_put, {n_skb_put}

	function skb_push
	gate_unless {f_local}, skb_push
	movl	%esi, %esi
	movq	{skb_data}(%rdi), %rax
	subq	%rsi, %rax
	cmpq	{skb_head}(%rdi), %rax
	jb	.Lgate_skb_push
	movq	%rax, {skb_data}(%rdi)
	addl	%esi, {skb_len}(%rdi)
	ret
	gate	skb_push, {n_skb_push}

	function skb_pull
	gate_unless {f_local}, skb_pull
	movl	{skb_len}(%rdi), %ecx
	subl	{skb_data_len}(%rdi), %ecx
	jb	.Lgate_skb_pull
	cmpl	%ecx, %esi
	ja	.Lgate_skb_pull
	movl	%esi, %eax
	addq	{skb_data}(%rdi), %rax
	movq	%rax, {skb_data}(%rdi)
	subl	%esi, {skb_len}(%rdi)
	ret
	gate	skb_pull, {n_skb_pull}

	function skb_trim
	gate_unless {f_local}, skb_trim
	cmpl	{skb_len}(%rdi), %esi
	jae	1f
	cmpl	$0, {skb_data_len}(%rdi)
	jne	.Lgate_skb_trim
	movl	%esi, {skb_len}(%rdi)
	movq	{skb_data}(%rdi), %rcx
	subq	{skb_head}(%rdi), %rcx
	addl	%esi, %ecx
	movl	%ecx, {skb_tail}(%rdi)
1:	ret
	gate	skb_trim, {n_skb_trim}

/* The kernel does it again on the real packet; that the data begins behind the header shows in the
 * header's place. */
	function eth_type_trans
	gate_unless {f_local}, eth_type_trans
	cmpl	$14, {skb_len}(%rdi)
	jb	.Lgate_eth_type_trans
	movq	%rsi, {skb_dev}(%rdi)
	movq	{skb_data}(%rdi), %rax
	movl	%eax, %ecx
	subl	{skb_head}(%rdi), %ecx
	movw	%cx, {skb_mac}(%rdi)
	addq	$14, {skb_data}(%rdi)
	subl	$14, {skb_len}(%rdi)
	movzwl	12(%rax), %eax
	movl	%eax, %ecx
	rolw	$8, %cx
	cmpw	$0x600, %cx
	jae	1f
	movl	$0x0400, %eax		# ETH_P_802_2
1:	ret
	gate	eth_type_trans, {n_eth_type_trans}

/* No PHY stamps packets in a domain. */
	function skb_clone_tx_timestamp
	gate_unless {f_local}, skb_clone_tx_timestamp
	ret
	gate	skb_clone_tx_timestamp, {n_skb_clone_tx_timestamp}

/* The stack's own count comes from the packets that are freed. */
	function dql_completed
	gate_unless {f_complete}, dql_completed
	ret
	gate	dql_completed, {n_dql_completed}

/* rcx: the entry of the table of bus addresses for the address in rax; the zero flag if none. */
	.macro	iova_entry address
	leaq	-{heap}(\address), %rcx
	shrq	$12, %rcx
	cmpq	${iova_pages}, %rcx
	.endm

	function is_vmalloc_addr
	gate_unless {f_local}, is_vmalloc_addr
	iova_entry %rdi
	jae	.Lgate_is_vmalloc_addr
	cmpq	$0, {iova_table}(, %rcx, 8)
	je	.Lgate_is_vmalloc_addr
	xorl	%eax, %eax
	ret
	gate	is_vmalloc_addr, {n_is_vmalloc_addr}

/* dma_map_page_attrs(dev, page, offset, size, dir, attrs): transmit slots for the direction to the
 * device, the receive pool for the other. Keeps every register but rax, r10 and r11 on the way to
 * the gate. */
	function dma_map_page_attrs
	movl	${f_pool}, %eax
	movl	${f_slots}, %r10d
	cmpl	$1, %r8d
	cmovel	%r10d, %eax
	testl	%eax, %gs:{local}
	jz	.Lgate_dma_map_page_attrs
	leaq	-{vmemmap}(%rsi), %rax
	shlq	$6, %rax		# 64 bytes a struct page, 4096 a page
	leaq	-{heap}(%rax, %rdx), %rax
	leaq	-1(%rax, %rcx), %r11
	movq	%rax, %r10
	shrq	$12, %r10
	shrq	$12, %r11
	cmpq	${iova_pages}, %r10
	jae	.Lgate_dma_map_page_attrs
	cmpq	${iova_pages}, %r11
	jae	.Lgate_dma_map_page_attrs
	andl	$0xfff, %eax
	cmpq	%r10, %r11
	movq	{iova_table}(, %r10, 8), %r10
	jne	2f
1:	testq	%r10, %r10
	jz	.Lgate_dma_map_page_attrs
	movl	%r10d, %r11d
	andl	$0xfff, %r11d
	cmpq	{control} + {devices}(, %r11, 8), %rdi
	jne	.Lgate_dma_map_page_attrs
	andq	$-4096, %r10
	addq	%r10, %rax
	ret
/* Several pages: the last must follow the first on the bus too. */
2:	subq	{iova_table}(, %r11, 8), %r10
	pushq	%rcx
	leaq	-{vmemmap}(%rsi), %rcx
	shlq	$6, %rcx
	leaq	-{heap}(%rcx, %rdx), %rcx
	shrq	$12, %rcx
	subq	%rcx, %r11
	shlq	$12, %r11
	addq	%r11, %r10
	movq	{iova_table}(, %rcx, 8), %r10
	popq	%rcx
	jz	1b			# movq and popq leave the flags
	jmp	.Lgate_dma_map_page_attrs
	gate	dma_map_page_attrs, {n_dma_map_page_attrs}

/* (dev, bus address, size, dir, ...): nothing to do for what stays mapped for the device, whose
 * number is in the low bits of the entry. Number 0 is none, whose address is 0. */
	.macro	bus_function name, n
	function \name
	testl	${f_pool} | {f_slots}, %gs:{local}
	jz	.Lgate_\name
	movq	%rsi, %rax
	shrq	$12, %rax
	andl	${iova_mask}, %eax
	shll	$5, %eax		# 4 slots of 8 bytes
	.irp	way, 0, 1, 2, 3
	movq	{iova_set} + 8 * \way(%rax), %r10
	movq	%r10, %r11
	xorq	%rsi, %r11
	testq	$-4096, %r11
	je	1f
	.endr
	jmp	.Lgate_\name
1:	andl	$0xfff, %r10d
	cmpq	{control} + {devices}(, %r10, 8), %rdi
	jne	.Lgate_\name
	ret
	gate	\name, \n
	.endm
	bus_function dma_unmap_page_attrs, {n_dma_unmap_page_attrs}
	bus_function __dma_sync_single_for_cpu, {n___dma_sync_single_for_cpu}
	bus_function __dma_sync_single_for_device, {n___dma_sync_single_for_device}

/* Takes a buffer of \pool for the device in r10. */
	.macro	from_pool pool, count, name
	movq	%gs:\count, %rax
	subq	$1, %rax
	jb	.Lgate_\name
	movq	%gs:\pool(, %rax, 8), %rcx
	movq	%rax, %gs:\count
	movq	%r10, {skb_dev}(%rcx)
	movq	%rcx, %rax
	ret
	.endm
	.macro	alloc_function name
	cmpl	${small_room}, %esi
	ja	1f
	from_pool {small_pool}, {small_count}, \name
1:	cmpl	${large_room}, %esi
	ja	.Lgate_\name
	from_pool {large_pool}, {large_count}, \name
	.endm

	function __netdev_alloc_skb
	gate_unless {f_pool}, __netdev_alloc_skb
	movq	%rdi, %r10
	alloc_function __netdev_alloc_skb
	gate	__netdev_alloc_skb, {n___netdev_alloc_skb}

	function napi_alloc_skb
	gate_unless {f_pool}, napi_alloc_skb
	movq	{napi_dev}(%rdi), %r10
	alloc_function napi_alloc_skb
	gate	napi_alloc_skb, {n_napi_alloc_skb}

/* Handed over when the upcall leaves. GRO_NORMAL, NET_RX_SUCCESS. */
	function gro_receive_skb
	gate_unless {f_receive}, gro_receive_skb
	movl	{skb_slot}(%rsi), %edx
	defer	gro_receive_skb, {n_gro_receive_skb}, 3
	gate	gro_receive_skb, {n_gro_receive_skb}

	function netif_receive_skb
	gate_unless {f_receive}, netif_receive_skb
	defer	netif_receive_skb, {n_netif_receive_skb}, 0
	gate	netif_receive_skb, {n_netif_receive_skb}

	function netif_rx
	gate_unless {f_receive}, netif_rx
	defer	netif_rx, {n_netif_rx}, 0
	gate	netif_rx, {n_netif_rx}

/* The kernel's answer may be no, and then the driver's interrupt is one too many, no more. */
	function napi_complete_done
	gate_unless {f_receive}, napi_complete_done
	defer	napi_complete_done, {n_napi_complete_done}, 1
	gate	napi_complete_done, {n_napi_complete_done}

/* The claim is made together with the schedule. */
	function napi_schedule_prep
	gate_unless {f_chains}, napi_schedule_prep
	movl	$1, %eax
	ret
	gate	napi_schedule_prep, {n_napi_schedule_prep}

	function __napi_schedule
	gate_unless {f_chains}, __napi_schedule
	cmpq	%rdi, %gs:{followed}
	je	.Lring3_xdp_features_clear_redirect_target	# its poll follows: nothing to do
	defer	__napi_schedule, {n___napi_schedule}, 0
	gate	__napi_schedule, {n___napi_schedule}

	function __napi_schedule_irqoff
	gate_unless {f_chains}, __napi_schedule_irqoff
	cmpq	%rdi, %gs:{followed}
	je	.Lring3_xdp_features_clear_redirect_target
	defer	__napi_schedule_irqoff, {n___napi_schedule_irqoff}, 0
	gate	__napi_schedule_irqoff, {n___napi_schedule_irqoff}

/* \skb: the register with the packet. rdx tells the kernel its slot. */
	.macro	free_function name, n, skb
	function \name
	gate_unless {f_complete}, \name
	testq	\skb, \skb
	jz	1f
	movl	{skb_slot}(\skb), %edx
	defer	\name, \n, 0
1:	ret
	gate	\name, \n
	.endm
	free_function dev_kfree_skb_any_reason, {n_dev_kfree_skb_any_reason}, %rdi
	free_function dev_kfree_skb_irq_reason, {n_dev_kfree_skb_irq_reason}, %rdi
	free_function consume_skb, {n_consume_skb}, %rdi
	free_function napi_consume_skb, {n_napi_consume_skb}, %rdi

/* Its third argument is the reason, which the kernel does not ask for. */
	function sk_skb_reason_drop
	gate_unless {f_complete}, sk_skb_reason_drop
	testq	%rsi, %rsi
	jz	1f
	movl	{skb_slot}(%rsi), %edx
	defer	sk_skb_reason_drop, {n_sk_skb_reason_drop}, 0
1:	ret
	gate	sk_skb_reason_drop, {n_sk_skb_reason_drop}

/* u64 side_interrupt_poll(handler, number, dev_id, poll, napi, budget): an interrupt handler, then the
 * poll that it asks for and that the kernel has begun already. Returns the handler's answer in the upper
 * half and the poll's in the lower. */
	function side_interrupt_poll
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	subq	$8, %rsp
	movq	%rdi, %rax
	movl	%esi, %edi
	movq	%rdx, %rsi
	movq	%rcx, %rbx
	movq	%r8, %rbp
	movl	%r9d, %r12d
	movq	%r8, %gs:{followed}
	call	*%rax
	movq	$0, %gs:{followed}
	movl	%eax, %r13d
	movq	%rbp, %rdi
	movl	%r12d, %esi
	call	*%rbx
	movl	%eax, %eax
	shlq	$32, %r13
	orq	%r13, %rax
	addq	$8, %rsp
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* unsigned int side_gather(function, skb, device, state): what dev_hard_start_xmit does. The kernel
 * calls it with packets that are linked by `next`; each goes to the driver's ndo_start_xmit with
 * xmit.more set if another one follows. Ends early when the driver has no room, or has stopped the
 * queue whose state is given. Returns how many packets the driver took. */
	function side_gather
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	movq	%rdi, %r12
	movq	%rsi, %rbx
	movq	%rdx, %r13
	movq	%rcx, %r14
	xorl	%ebp, %ebp
1:	movq	{skb_next}(%rbx), %r15
	movq	$0, {skb_next}(%rbx)
	testq	%r15, %r15
	setnz	%gs:{xmit_more}
	movq	%rbx, %rdi
	movq	%r13, %rsi
	call	*%r12
	cmpl	${tx_busy}, %eax
	je	2f
	incl	%ebp
	testl	${drv_xoff}, (%r14)
	jnz	2f
	movq	%r15, %rbx
	testq	%rbx, %rbx
	jnz	1b
2:	movl	%ebp, %eax
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

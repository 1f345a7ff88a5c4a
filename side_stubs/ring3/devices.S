/* SPDX-License-Identifier: GPL-2.0 */
/* A part of the ring-3 library (library.S): registers of devices, and what drivers ask other
 * subsystems. */

/* ---- Registers of devices ---- */

/* A register is a memory address, or a port plus PIO_OFFSET (lib/iomap.c), which lies below any
 * address of a domain. A port is reached by an instruction that faults: the kernel looks whether
 * the port is the device's own, and carries it out. */
	.macro	register_read bits, load, port
	function ioread\bits
	cmpq	${pio_end}, %rdi
	jb	1f
	\load
	ret
1:	movl	%edi, %edx
	subl	${pio_offset}, %edx
	xorl	%eax, %eax
	\port
	ret
	.endm
	register_read 8, "movzbl (%rdi), %eax", "inb %dx, %al"
	register_read 16, "movzwl (%rdi), %eax", "inw %dx, %ax"
	register_read 32, "movl (%rdi), %eax", "inl %dx, %eax"

	.macro	register_write bits, store, port
	function iowrite\bits
	cmpq	${pio_end}, %rsi
	jb	1f
	\store
	ret
1:	movl	%edi, %eax
	movl	%esi, %edx
	subl	${pio_offset}, %edx
	\port
	ret
	.endm
	register_write 8, "movb %dil, (%rsi)", "outb %al, %dx"
	register_write 16, "movw %di, (%rsi)", "outw %ax, %dx"
	register_write 32, "movl %edi, (%rsi)", "outl %eax, %dx"

/* ioreadN_rep(register, buffer, count) and iowriteN_rep, one access after the other. */
	.macro	register_rep bits, bytes, reg, in, out
	function ioread\bits\()_rep
	movl	%edi, %r8d
	subl	${pio_offset}, %r8d
	movq	%rdx, %rcx
1:	testq	%rcx, %rcx
	jz	4f
	cmpq	${pio_end}, %rdi
	jb	2f
	mov	(%rdi), \reg
	jmp	3f
2:	movl	%r8d, %edx
	\in
3:	mov	\reg, (%rsi)
	addq	$\bytes, %rsi
	decq	%rcx
	jmp	1b
4:	ret
	function iowrite\bits\()_rep
	movl	%edi, %r8d
	subl	${pio_offset}, %r8d
	movq	%rdx, %rcx
1:	testq	%rcx, %rcx
	jz	4f
	mov	(%rsi), \reg
	cmpq	${pio_end}, %rdi
	jb	2f
	mov	\reg, (%rdi)
	jmp	3f
2:	movl	%r8d, %edx
	\out
3:	addq	$\bytes, %rsi
	decq	%rcx
	jmp	1b
4:	ret
	.endm
	register_rep 8, 1, %al, "inb %dx, %al", "outb %al, %dx"
	register_rep 16, 2, %ax, "inw %dx, %ax", "outw %ax, %dx"
	register_rep 32, 4, %eax, "inl %dx, %eax", "outl %eax, %dx"

/* As the kernel's own: registers are read in units of 32 bits, whatever remains in smaller ones. */
	alias	memcpy_toio
	function memcpy_fromio
	movq	%rdx, %rcx
	shrq	$2, %rcx
	rep movsl
	testb	$2, %dl
	jz	1f
	movsw
1:	testb	$1, %dl
	jz	2f
	movsb
2:	ret

	function memset_io
	movzbl	%sil, %eax
	movq	%rdx, %rcx
	rep stosb
	ret

/* ---- Answers that are the same for every domain ---- */

/* No PHY stamps packets in a domain, memory is never encrypted, no XDP socket or program is
 * attached, and no interrupt line is unknown. */
	alias	skb_defer_rx_timestamp
	alias	cc_platform_has
	alias	xsk_get_pool_from_qid
	alias	probe_irq_on
	alias	probe_irq_off
	alias	pci_num_vf
	alias	pci_vfs_assigned
	function dca3_get_tag
	xorl	%eax, %eax
	ret

/* A clock in a domain offers no pins: -1. */
	function ptp_find_pin
	movl	$-1, %eax
	ret

/* There is no DCA provider, no I2C or hwmon core, no virtual function and no address from a device
 * tree: -ENODEV. */
	alias	dca_add_requester
	alias	dca_remove_requester
	alias	i2c_bit_add_bus
	alias	pci_enable_sriov
	alias	pci_sriov_set_totalvfs
	function eth_platform_get_mac_address
	movl	$-{enodev}, %eax
	ret
	function devm_hwmon_device_register_with_groups
	movq	$-{enodev}, %rax
	ret

/* Nothing happens: what these undo or announce cannot have been done. */
	alias	dca_register_notify
	alias	dca_unregister_notify
	alias	pci_disable_sriov
	alias	xdp_features_set_redirect_target_locked
	alias	xdp_features_set_redirect_target
	alias	xdp_features_clear_redirect_target_locked
	function xdp_features_clear_redirect_target
	ret

/* netdev_stats_to_stats64(stats64, stats): one word each; what only the longer one has is 0. */
	function netdev_stats_to_stats64
	movl	${stats_words}, %ecx
	rep movsq
	xorl	%eax, %eax
	movl	${stats64_words} - {stats_words}, %ecx
	rep stosq
	ret

/* ethtool_puts(data, text): a string of at most 31 bytes, zero to 32, and *data goes on by 32. */
	function ethtool_puts
	movq	(%rdi), %rdx
	addq	$32, (%rdi)
	movl	$31, %ecx
1:	movb	(%rsi), %al
	testb	%al, %al
	jz	2f
	movb	%al, (%rdx)
	incq	%rsi
	incq	%rdx
	decl	%ecx
	jnz	1b
2:	movb	$0, (%rdx)
	incq	%rdx
	decl	%ecx
	jns	2b
	ret

/* An XDP receive queue is registered with its device and number, though no frame ever uses it. */
	function __xdp_rxq_info_reg
	movq	%rsi, {xdp_dev}(%rdi)
	movl	%edx, {xdp_index}(%rdi)
	movl	%r8d, {xdp_frag}(%rdi)
	movl	$1, {xdp_state}(%rdi)
	xorl	%eax, %eax
	ret
	function xdp_rxq_info_unreg
	movl	$2, {xdp_state}(%rdi)
	movq	$0, {xdp_dev}(%rdi)
	ret
	function xdp_rxq_info_is_reg
	xorl	%eax, %eax
	cmpl	$1, {xdp_state}(%rdi)
	sete	%al
	ret
	function xdp_rxq_info_reg_mem_model
	movl	%esi, {xdp_mem}(%rdi)
	xorl	%eax, %eax
	ret
	function xdp_rxq_info_unreg_mem_model
	movl	$0, {xdp_mem}(%rdi)
	ret

/* csum_partial(buffer, length, sum): the one's complement sum of 16-bit words, folded to 32 bits. */
	function csum_partial
	movl	%edx, %eax
1:	cmpl	$4, %esi
	jb	2f
	movl	(%rdi), %ecx
	addq	%rcx, %rax
	addq	$4, %rdi
	subl	$4, %esi
	jmp	1b
2:	testb	$2, %sil
	jz	3f
	movzwl	(%rdi), %ecx
	addq	%rcx, %rax
	addq	$2, %rdi
3:	testb	$1, %sil
	jz	4f
	movzbl	(%rdi), %ecx
	addq	%rcx, %rax
4:	movq	%rax, %rcx
	shrq	$32, %rcx
	movl	%eax, %eax
	addq	%rcx, %rax
	movq	%rax, %rcx
	shrq	$32, %rcx
	addl	%ecx, %eax
	ret

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the interrupted task must get back: selectors, bases, LDT, I/O permission, PKRU, flags and
 * vector registers, after a payload that changes all it can. Included by switcher.c.
 */

PAYLOAD(change_all,
	"mov $0x2b, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs;"
	"xor %ecx, %ecx; xor %edx, %edx; mov $0x5555, %eax;"
	".byte 0x0f, 0x01, 0xef;"			/* wrpkru */
	"int $0x80");
PAYLOAD(change_bases,
	"mov $0x1234000, %eax; wrfsbase %rax; wrgsbase %rax; std; int $0x80");
PAYLOAD(read_selectors,
	"mov %ds, %eax; mov %es, %ebx; mov %fs, %ecx; mov %gs, %edx; rdfsbase %rdi;"
	"int $0x80");

struct task_state {
	uint16_t ds, es, fs, gs;
	uint64_t fs_base, gs_base;
	uint32_t pkru;
	uint8_t xmm[16 * 16];
};

static int has_pku, has_fsgsbase;

static void read_state(struct task_state *s)
{
	__asm__ volatile("mov %%ds, %0" : "=r"(s->ds));
	__asm__ volatile("mov %%es, %0" : "=r"(s->es));
	__asm__ volatile("mov %%fs, %0" : "=r"(s->fs));
	__asm__ volatile("mov %%gs, %0" : "=r"(s->gs));
	syscall(SYS_arch_prctl, 0x1003, &s->fs_base);
	syscall(SYS_arch_prctl, 0x1004, &s->gs_base);
	s->pkru = 0;
	if (has_pku) {
		uint32_t pkru, high;

		__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(pkru), "=d"(high) : "c"(0));
		s->pkru = pkru;
	}
}

/* The ioctl with known vector registers around it. */
static long run_with_vectors(int fd, struct run *run, uint8_t *vectors)
{
	uint8_t filled[64];
	long status;
	int i;

	for (i = 0; i < 64; i++)
		filled[i] = i * 3 + 1;
	__asm__ volatile("movdqu (%1), %%xmm0; movdqu 16(%1), %%xmm7; movdqu 32(%1), %%xmm8;"
			 "movdqu 48(%1), %%xmm15; syscall;"
			 "movdqu %%xmm0, (%2); movdqu %%xmm7, 16(%2); movdqu %%xmm8, 32(%2);"
			 "movdqu %%xmm15, 48(%2)"
			 : "=a"(status)
			 : "r"(filled), "r"(vectors), "a"(SYS_ioctl), "D"(fd), "S"(RUN), "d"(run)
			 : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm8", "xmm15");
	return memcmp(filled, vectors, 64) ? -1 : status;
}

static void compare(int fd, const char *name, struct run run)
{
	struct task_state before, after;
	uint8_t vectors[64];
	char detail[160];
	long status;

	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	run.max_gates = 1;
	read_state(&before);
	status = run_with_vectors(fd, &run, vectors);
	read_state(&after);
	snprintf(detail, sizeof(detail),
		 "status %ld vector %llu ds %x es %x fs %x gs %x fs base %llx gs base %llx pkru %x",
		 status, (long long)run.vector, after.ds, after.es, after.fs, after.gs,
		 (long long)after.fs_base, (long long)after.gs_base, after.pkru);
	result(!status && run.vector == GATE && !memcmp(&before, &after, sizeof(before)), name,
	       detail);
}

static void state(void)
{
	static uint8_t ldt_page[4096];
	struct user_desc desc = {
		.entry_number = 0, .base_addr = (uintptr_t)ldt_page, .limit = 4095,
		.seg_32bit = 1, .useable = 1,
	};
	int fd = open_device();
	struct run run;
	unsigned int a, b, c, d;
	uint32_t pkru;

	__asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
	has_pku = c >> 4 & 1;
	has_fsgsbase = syscall(SYS_arch_prctl, 0x1003, &run) == 0 &&
		       (getauxval(AT_HWCAP2) & 2);

	compare(fd, "selectors and PKRU come back", has_pku ? PREPARE(change_all) : PREPARE(gates));
	if (has_fsgsbase)
		compare(fd, "bases come back", PREPARE(change_bases));
	else
		printf("ok %d bases come back # SKIP no FSGSBASE\n", ++number);

	/* The same from a task with an LDT, selectors that name it, a GS base and odd PKRU. */
	if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) < 0) {
		result(0, "modify_ldt", strerror(errno));
		return;
	}
	__asm__ volatile("mov %0, %%es" : : "r"(7));
	__asm__ volatile("mov %0, %%ds" : : "r"(7));
	__asm__ volatile("mov %0, %%gs" : : "r"(7));
	if (has_pku) {
		pkru = 0x55555550;
		__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(pkru), "c"(0), "d"(0));
	}
	compare(fd, "an LDT's selectors come back", has_pku ? PREPARE(change_all) : PREPARE(gates));
	if (has_fsgsbase) {
		run = PREPARE(read_selectors);
		run.max_gates = 1;
		run_on(fd, &run);
		result(run.vector == GATE && !run.registers.rax && !run.registers.rbx &&
		       !run.registers.rcx && !run.registers.rdx && !run.registers.rdi,
		       "ring 3 sees null selectors and no base", "");
	}
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs" : : "r"(0));
	syscall(SYS_arch_prctl, 0x1001, ldt_page);
	compare(fd, "a GS base comes back", PREPARE(gates));

	/* The memory of the LDT's task is what its selector says. */
	if (iopl(3) == 0) {
		expect(fd, "in is #GP although the caller has all ports", PREPARE(do_in), 13, 0, -1);
		inb(0x80);
		result(1, "the caller still has its ports", "");
	}
	if (ioperm(0x60, 1, 1) == 0)
		expect(fd, "in is #GP although the caller has the port", PREPARE(do_in), 13, 0, -1);
	close(fd);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the ring switch through /dev/side_selftest (selftests/switcher), in KTAP.
 * Each payload is a few instructions of assembly that run in ring 3 of a bare view: code at
 * 0x10000, one page of data at 0x20000, one page of stack at 0x30000.
 *
 * usage: switcher [TEST [SECONDS]]
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct registers {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

struct run {
	uint64_t code, length, max_gates, max_ns;
	struct registers registers;
	uint64_t vector, error_code, cr2, gates, interrupts, nmis, ns, longest_ns, flags;
};

struct walk {
	uint64_t cpu, buffer, capacity, count;
};

#define RUN _IOWR('S', 1, struct run)
#define WALK _IOWR('S', 2, struct walk)
#define REMAP _IOW('S', 3, uint64_t)
#define NMI_COUNT _IOWR('S', 4, uint64_t)
#define CODE 0x10000ULL
#define DATA 0x20000ULL
#define STACK 0x30000ULL
#define FLAG_TICK 1
#define GATE 0x80

static int failures, number;
static int seconds = 20;

static void result(int good, const char *name, const char *detail)
{
	printf("%sok %d %s%s%s\n", good ? "" : "not ", ++number, name, *detail ? " # " : "", detail);
	fflush(stdout);
	if (!good)
		failures++;
}

static int open_device(void)
{
	int fd = open("/dev/side_selftest", O_RDWR);

	if (fd < 0) {
		printf("Bail out! /dev/side_selftest: %s\n", strerror(errno));
		exit(1);
	}
	return fd;
}

/* PAYLOAD(name, "assembly"): bytes from name to name_end, never run here. */
#define PAYLOAD(name, text)								\
	extern const char name[], name##_end[];						\
	__asm__(".section .rodata\n" #name ":\n" text "\n" #name "_end:\n.previous\n")

static struct run prepare(const char *code, const char *end)
{
	struct run run = {
		.code = (uintptr_t)code, .length = end - code,
		.registers = { .rip = CODE, .rsp = STACK + 4096 - 16 },
	};
	return run;
}
#define PREPARE(name) prepare(name, name##_end)

static int run_on(int fd, struct run *run)
{
	return ioctl(fd, RUN, run);
}

/*
 * Runs what lives from a state that an interrupt takes away: each exit's flags and selectors are
 * sanitised. So it is done again until none came between. The host decides how often one comes.
 */
static int run_undisturbed(int fd, struct run *run)
{
	const struct run fresh = *run;
	int tries, error;

	for (tries = 0; tries < 1000; tries++) {
		*run = fresh;
		error = run_on(fd, run);
		if (error || run->interrupts + run->nmis == 0)
			return error;
	}
	errno = EBUSY;
	return -1;
}

PAYLOAD(spin, "1: inc %rax; jmp 1b");
PAYLOAD(gates, "1: int $0x80; jmp 1b");
PAYLOAD(counted, "1: mov $1000, %ecx; 2: dec %ecx; jnz 2b; int $0x80; jmp 1b");
PAYLOAD(do_cli, "cli");
PAYLOAD(do_hlt, "hlt");
PAYLOAD(do_in, "mov $0x60, %edx; in %dx, %al");
PAYLOAD(do_syscall, "syscall");
PAYLOAD(do_sysenter, "sysenter");
PAYLOAD(do_int3, "int3");
PAYLOAD(do_int2, "int $2");
PAYLOAD(do_int_ec, "int $0xec");
PAYLOAD(do_icebp, ".byte 0xf1; nop");
PAYLOAD(do_step, "pushfq; orq $0x100, (%rsp); popfq; nop; nop");
PAYLOAD(do_fpu, "movaps %xmm0, %xmm1");
PAYLOAD(do_swapgs, "swapgs");
PAYLOAD(do_wrmsr, "xor %ecx, %ecx; wrmsr");
PAYLOAD(read_rdi, "mov (%rdi), %rax");
PAYLOAD(write_rdi, "mov %rax, (%rdi)");
PAYLOAD(jump_rdi, "jmp *%rdi");
PAYLOAD(far_32, "push $0x23; push $(0x10000 + 2f - far_32); lretq; 2: int $0x80");
PAYLOAD(gs_read, "mov %gs:0, %rax; int $0x80");
PAYLOAD(nt_flag, "pushfq; orq $0x4000, (%rsp); popfq; std; int $0x80; int $0x80");
PAYLOAD(read_loop, "1: mov (%rdi), %rax; jmp 1b");
PAYLOAD(divide, "xor %ecx, %ecx; div %ecx");

/* What a payload must end with. */
static void expect(int fd, const char *name, struct run run, uint64_t vector, uint64_t error,
		   int64_t cr2)
{
	char detail[160];
	int good;

	if (run_on(fd, &run)) {
		result(0, name, strerror(errno));
		return;
	}
	good = run.vector == vector && run.error_code == error &&
	       (cr2 < 0 || run.cr2 == (uint64_t)cr2);
	snprintf(detail, sizeof(detail), "vector %llu error %#llx cr2 %#llx rip %#llx",
		 (long long)run.vector, (long long)run.error_code, (long long)run.cr2,
		 (long long)run.registers.rip);
	result(good, name, detail);
}

static struct run with_rdi(struct run run, uint64_t rdi)
{
	run.registers.rdi = rdi;
	return run;
}

static struct run with_rip(struct run run, uint64_t rip)
{
	run.registers.rip = rip;
	return run;
}

/* The first entry of a user-accessible page below, or a kernel address that both roots map. */
static uint64_t kernel_leaf(int fd, int level)
{
	static uint64_t entries[4096][3];
	struct walk walk = { .cpu = 0, .buffer = (uintptr_t)entries, .capacity = 4096 };
	uint64_t i;

	if (ioctl(fd, WALK, &walk))
		return 0;
	for (i = 0; i < walk.count; i++)
		if (entries[i][0] >> 63 && entries[i][1] == (uint64_t)level)
			return entries[i][0];
	return 0;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void faults(void)
{
	int fd = open_device();
	struct run run;
	char detail[100];
	int intel = 0, good;
	unsigned int a, b, c, d;

	__asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0));
	intel = b == 0x756e6547;
	/* kernel_leaf() names a page of CPU 0's view, which other CPUs' views do not hold. */
	pin(0);

	expect(fd, "cli is #GP", PREPARE(do_cli), 13, 0, -1);
	expect(fd, "hlt is #GP", PREPARE(do_hlt), 13, 0, -1);
	expect(fd, "in is #GP", PREPARE(do_in), 13, 0, -1);
	expect(fd, "swapgs is #GP", PREPARE(do_swapgs), 13, 0, -1);
	expect(fd, "wrmsr is #GP", PREPARE(do_wrmsr), 13, 0, -1);
	expect(fd, "syscall is #UD", PREPARE(do_syscall), 6, 0, -1);
	if (intel)
		expect(fd, "sysenter is #GP on Intel", PREPARE(do_sysenter), 13, 0, -1);
	else
		expect(fd, "sysenter is #UD on AMD", PREPARE(do_sysenter), 6, 0, -1);
	expect(fd, "int3 is #GP", PREPARE(do_int3), 13, 3 * 8 + 2, -1);
	expect(fd, "int 2 is #GP", PREPARE(do_int2), 13, 2 * 8 + 2, -1);
	expect(fd, "int 0xec is #GP", PREPARE(do_int_ec), 13, 0xec * 8 + 2, -1);
	expect(fd, "movaps is #NM", PREPARE(do_fpu), 7, 0, -1);
	expect(fd, "div by zero is #DE", PREPARE(divide), 0, 0, -1);
	run = PREPARE(do_step);
	result(!run_undisturbed(fd, &run) && run.vector == 1 && run.error_code & 0x4000,
	       "a single step is #DB", "");
	run = PREPARE(do_icebp);
	result(!run_on(fd, &run) && run.vector == 1, "int1 is #DB", "");
	expect(fd, "a kernel address without mapping is #PF 4",
	       with_rdi(PREPARE(read_rdi), 0xffff888000001000), 14, 4, 0xffff888000001000);
	expect(fd, "a kernel page of the view is #PF 5",
	       with_rdi(PREPARE(read_rdi), kernel_leaf(fd, 1)), 14, 5, kernel_leaf(fd, 1));
	expect(fd, "writing it is #PF 7", with_rdi(PREPARE(write_rdi), kernel_leaf(fd, 1)), 14, 7,
	       kernel_leaf(fd, 1));
	expect(fd, "address 0 is #PF 4", with_rdi(PREPARE(read_rdi), 0), 14, 4, 0);
	expect(fd, "writing to code is #PF 7", with_rdi(PREPARE(write_rdi), CODE), 14, 7, CODE);
	expect(fd, "a jump to data is #PF 0x15", with_rdi(PREPARE(jump_rdi), DATA), 14, 0x15, DATA);
	expect(fd, "a jump to address 0 is #PF 0x14", with_rdi(PREPARE(jump_rdi), 0), 14, 0x14, 0);
	expect(fd, "a non-canonical address is #GP",
	       with_rdi(PREPARE(read_rdi), 0x4000000000000000), 13, 0, -1);
	expect(fd, "entry above 2 GiB is refused",
	       with_rip(PREPARE(spin), 0xffffffff81000000), 13, 0, -1);
	expect(fd, "a non-canonical entry is refused",
	       with_rip(PREPARE(spin), 0x8000000000000000), 13, 0, -1);

	run = PREPARE(far_32);
	run.max_gates = 1;
	good = !run_undisturbed(fd, &run) && run.vector == GATE && run.registers.cs == 0x23;
	snprintf(detail, sizeof(detail), "vector %llu cs %#llx", (long long)run.vector,
		 (long long)run.registers.cs);
	result(good, "32-bit code is seen", detail);
	/* The registers go in as they came out. */
	run.length = 0;
	run.registers.rip = CODE;
	run.max_gates = 1;
	good = !run_undisturbed(fd, &run) && run.vector == GATE && run.registers.cs == 0x23;
	result(good, "its selector does not come back", "");
	run = PREPARE(nt_flag);
	run.max_gates = 2;
	run.registers.rflags = ~0ULL;
	good = !run_on(fd, &run) && run.gates == 2 && run.registers.rflags & 0x200 &&
	       !(run.registers.rflags & 0x137100);
	snprintf(detail, sizeof(detail), "rflags %#llx", (long long)run.registers.rflags);
	result(good, "flags are sanitised", detail);
	run = PREPARE(gs_read);
	run.max_gates = 1;
	result(!run_on(fd, &run) && run.vector == GATE, "GS leads to the data page", "");
	close(fd);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

struct job {
	int cpu;
	struct run run;
	int error;
	pthread_t thread;
};

static void *spinner(void *argument)
{
	struct job *job = argument;
	int fd = open_device();

	pin(job->cpu);
	job->error = run_on(fd, &job->run);
	close(fd);
	return NULL;
}

static void on_all_cpus(const char *name, struct run run, uint64_t least_interrupts)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), i;
	struct job jobs[64] = { 0 };
	char detail[160];

	for (i = 0; i < cpus; i++) {
		jobs[i].cpu = i;
		jobs[i].run = run;
		pthread_create(&jobs[i].thread, NULL, spinner, &jobs[i]);
	}
	for (i = 0; i < cpus; i++) {
		char title[80];
		struct run *r = &jobs[i].run;

		pthread_join(jobs[i].thread, NULL);
		snprintf(title, sizeof(title), "%s on CPU %d", name, i);
		snprintf(detail, sizeof(detail),
			 "%llu gates, %llu interrupts, %llu NMIs, %.3f s, longest stay %.1f ms",
			 (long long)r->gates, (long long)r->interrupts, (long long)r->nmis,
			 r->ns * 1e-9, r->longest_ns * 1e-6);
		result(!jobs[i].error && r->interrupts >= least_interrupts &&
		       (r->vector >= 32 || r->vector == 2), title, detail);
	}
}

static void spinning(void)
{
	struct run run = PREPARE(spin);

	run.max_ns = seconds * 1000000000ULL;
	run.flags = FLAG_TICK;
	on_all_cpus("a spin is interrupted", run, seconds * 50);
}

static void crossing(void)
{
	struct run run = PREPARE(gates);

	run.max_ns = seconds * 1000000000ULL;
	on_all_cpus("gates and interrupts", run, 1);
}

/* Under --icount a nanosecond is an instruction. */
static void cost(void)
{
	int fd = open_device();
	struct run few = PREPARE(gates), many = PREPARE(gates);
	char detail[120];

	few.max_gates = 1000;
	many.max_gates = 11000;
	if (run_on(fd, &few) || run_on(fd, &few)) {
		result(0, "cost of a crossing", strerror(errno));
		return;
	}
	few = PREPARE(gates);
	few.max_gates = 1000;
	run_on(fd, &few);
	run_on(fd, &many);
	snprintf(detail, sizeof(detail), "%.1f ns a round trip (instructions under icount), %llu interrupts",
		 (many.ns - few.ns) / 10000.0, (long long)(many.interrupts - few.interrupts));
	result(many.gates == 11000, "cost of a crossing", detail);
	/* 2,001 more instructions a round: says how much to trust a nanosecond as an instruction. */
	few = PREPARE(counted);
	few.max_gates = 10000;
	many = PREPARE(gates);
	many.max_gates = 10000;
	run_on(fd, &few);
	run_on(fd, &many);
	snprintf(detail, sizeof(detail), "2001 instructions take %.1f ns",
		 ((double)few.ns - many.ns) / 10000.0);
	result(few.gates == 10000, "calibration of the above", detail);
	close(fd);
}

static void walking(void)
{
	static uint64_t entries[4096][3];
	int fd = open_device(), cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		struct walk walk = { .cpu = cpu, .buffer = (uintptr_t)entries, .capacity = 4096 };
		uint64_t i, kernel = 0, executable = 0, writable = 0, bad = 0;
		char title[60], detail[100];

		if (ioctl(fd, WALK, &walk)) {
			result(0, "walk", strerror(errno));
			break;
		}
		for (i = 0; i < walk.count; i++) {
			uint64_t va = entries[i][0], entry = entries[i][2];
			int leaf = entries[i][1] == 1, upper = va >> 63;

			bad += !(entry & 1) || (leaf && entry & 0x100) || (!leaf && entry & 0x80);
			if (!upper) {
				bad += va >= 1ULL << 31 || !(entry & 4);
				continue;
			}
			bad += !!(entry & 4);
			if (leaf) {
				kernel++;
				executable += !(entry >> 63);
				writable += !!(entry & 2);
				bad += !(entry >> 63) && entry & 2;
				printf("# cpu %d: %#018llx %s%s phys %#llx\n", cpu, (long long)va,
				       entry & 2 ? "rw" : "r-", entry >> 63 ? "-" : "x",
				       (long long)(entry & 0xffffffffff000));
			}
		}
		snprintf(title, sizeof(title), "the view of CPU %d holds only what it must", cpu);
		snprintf(detail, sizeof(detail), "%llu kernel pages: %llu executable, %llu writable, %llu bad",
			 (long long)kernel, (long long)executable, (long long)writable,
			 (long long)bad);
		/* GDT, TSS, IDT; exit and #DF stack; two of text. A Debug Store may add more. */
		result(kernel >= 7 && kernel <= 7 + 33 && executable == 2 && bad == 0, title, detail);
	}
	close(fd);
}

/* An unmapped page is gone for a CPU that is in ring 3. */
static void *remapper(void *argument)
{
	uint64_t zero = 0;

	usleep(300000);
	ioctl(*(int *)argument, REMAP, &zero);
	return NULL;
}

static void unmapping(void)
{
	int fd = open_device();
	struct run run = with_rdi(PREPARE(read_loop), DATA);
	pthread_t thread;
	double begin = now();

	run.max_ns = 5000000000ULL;
	pthread_create(&thread, NULL, remapper, &fd);
	run_on(fd, &run);
	pthread_join(thread, NULL);
	result(run.vector == 14 && run.error_code == 4 && now() - begin < 3,
	       "an unmapped page is gone at once", "");
	close(fd);
}

/* Memory of the domain that fails while ring 3 reads it ends the stay, and nothing else. */
static void *victim(void *argument)
{
	struct job *job = argument;

	pin(0);
	job->error = run_on(job->cpu, &job->run);
	return NULL;
}

static void machine_check(void)
{
	static uint64_t entries[4096][3];
	int fd = open_device(), again;
	struct walk walk = { .cpu = 0, .buffer = (uintptr_t)entries, .capacity = 4096 };
	struct job job = { .cpu = fd, .run = with_rdi(PREPARE(read_loop), DATA) };
	char command[200], detail[100];
	uint64_t i, page = 0;

	if (ioctl(fd, WALK, &walk))
		exit(1);
	for (i = 0; i < walk.count; i++)
		if (entries[i][0] == DATA && entries[i][1] == 1)
			page = entries[i][2] & 0xffffffffff000;
	job.run.max_ns = 20000000000ULL;
	pin(1);
	pthread_create(&job.thread, NULL, victim, &job);
	sleep(1);
	/*
	 * Valid, uncorrected, enabled, with an address and its kind, signalled, action required,
	 * "data load"; restartable. The other CPUs are told that there is one. It comes while CPU 0
	 * is in ring 3: in the kernel, which an interrupt may have entered, it would be fatal.
	 */
	snprintf(command, sizeof(command),
		 "vm-monitor \"!step there at=%#llx "
		 "'command=mce -b 0 1 0xbd80000000000134 7 %#llx 0x8c'\"",
		 CODE, (long long)page);
	result(system(command) == 0, "a machine check is injected", command);
	pthread_join(job.thread, NULL);
	snprintf(detail, sizeof(detail), "vector %llu after %.1f s", (long long)job.run.vector,
		 job.run.ns * 1e-9);
	result(!job.error && job.run.vector == 18, "a failing page of the domain ends the stay",
	       detail);
	/* The session is left open: its page is not to be used again. */
	again = open_device();
	job.run = PREPARE(gates);
	job.run.max_gates = 1000;
	result(!run_on(again, &job.run) && job.run.gates == 1000, "another domain goes on", "");
	close(again);
	close(fd);
}

/* No test: where the CPUs' counts of NMIs are, for step.py. */
static void counts(void)
{
	int fd = open_device(), cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		uint64_t value = cpu;

		if (ioctl(fd, NMI_COUNT, &value))
			exit(1);
		printf("counts %#llx\n", (long long)value);
	}
	close(fd);
}

#include "switcher_state.h"

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "faults", faults }, { "walk", walking }, { "unmap", unmapping }, { "state", state },
	{ "cost", cost }, { "gates", crossing }, { "spin", spinning },
	{ "mce", machine_check }, { "counts", counts },
};

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc > 2)
		seconds = atoi(argv[2]);
	printf("TAP version 13\n");
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || (!strcmp(argv[1], "all") && strcmp(tests[i].name, "counts") &&
		     strcmp(tests[i].name, "mce")) || !strcmp(argv[1], tests[i].name))
			tests[i].run();
	printf("1..%d\n", number);
	return failures != 0;
}

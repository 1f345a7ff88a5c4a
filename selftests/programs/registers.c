// SPDX-License-Identifier: GPL-2.0
/*
 * Fills its registers, writes a text to a file by one system call, and says whether any register
 * has changed: x87, vector, MXCSR, and the general ones that a system call keeps. The file is
 * /sys/kernel/side/load, so in between a payload runs on this very CPU that attacks them.
 *
 * usage: registers FILE TEXT     status 0: all kept; 1: changed; 2: wrong use
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct state {
	uint8_t vector[16][32];
	uint8_t x87[8][10];
	uint32_t mxcsr;
	uint64_t general[8]; /* rbx, rbp, r9, r10, r12 to r15 */
	uint64_t fs, gs;
};

static struct state before, after;

#define EACH_VECTOR(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n) "vmovdqu before+" #n "*32(%%rip), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", after+" #n "*32(%%rip)\n"
#define LOAD_SSE(n) "movdqu before+" #n "*32(%%rip), %%xmm" #n "\n"
#define STORE_SSE(n) "movdqu %%xmm" #n ", after+" #n "*32(%%rip)\n"

static long call(int file, const char *text, long length, int wide)
{
	long result = 1; /* write */
	int n;

	if (wide)
		asm volatile(EACH_VECTOR(LOAD) ::: "memory");
	else
		asm volatile(EACH_VECTOR(LOAD_SSE) ::: "memory");
	asm volatile("ldmxcsr %0" :: "m"(before.mxcsr));
	asm volatile("fninit");
	for (n = 7; n >= 0; n--)
		asm volatile("fldt %0" :: "m"(before.x87[n]));
	asm volatile(
		"push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
		"lea before+%c[g](%%rip), %%rcx\n"
		"mov 0(%%rcx), %%rbx; mov 8(%%rcx), %%rbp; mov 16(%%rcx), %%r9; mov 24(%%rcx), %%r10\n"
		"mov 32(%%rcx), %%r12; mov 40(%%rcx), %%r13; mov 48(%%rcx), %%r14; mov 56(%%rcx), %%r15\n"
		"syscall\n"
		"lea after+%c[g](%%rip), %%rcx\n"
		"mov %%rbx, 0(%%rcx); mov %%rbp, 8(%%rcx); mov %%r9, 16(%%rcx); mov %%r10, 24(%%rcx)\n"
		"mov %%r12, 32(%%rcx); mov %%r13, 40(%%rcx); mov %%r14, 48(%%rcx); mov %%r15, 56(%%rcx)\n"
		"pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
		: "+a"(result)
		: "D"((long)file), "S"(text), "d"(length), [g] "i"(__builtin_offsetof(struct state, general))
		: "rcx", "r8", "r9", "r10", "r11", "memory");
	for (n = 0; n < 8; n++)
		asm volatile("fstpt %0" : "=m"(after.x87[n]));
	asm volatile("stmxcsr %0" : "=m"(after.mxcsr));
	if (wide)
		asm volatile(EACH_VECTOR(STORE) ::: "memory");
	else
		asm volatile(EACH_VECTOR(STORE_SSE) ::: "memory");
	return result;
}

int main(int argc, char **argv)
{
	int wide = __builtin_cpu_supports("avx"), file, n;
	unsigned int seed = 1;
	long result;

	if (argc != 3 || (file = open(argv[1], O_WRONLY)) < 0)
		return 2;
	for (n = 0; n < (int)sizeof(before.vector); n++) {
		seed = seed * 1103515245 + 12345;
		before.vector[n / 32][n % 32] = wide || n % 32 < 16 ? seed >> 16 : 0;
	}
	for (n = 0; n < 8; n++) {
		long double value = 1.0L / (n + 3);

		memcpy(before.x87[n], &value, 10);
		before.general[n] = 0x0123456789abcdefull * (n + 1);
	}
	/* Rounding upward, the inexact flag set: not what a fresh program has. */
	before.mxcsr = 0x5fa0;
	asm volatile("rdfsbase %0; rdgsbase %1" : "=r"(before.fs), "=r"(before.gs));
	result = call(file, argv[2], strlen(argv[2]), wide);
	asm volatile("rdfsbase %0; rdgsbase %1" : "=r"(after.fs), "=r"(after.gs));
	printf("%s registers, write returned %ld\n", wide ? "256-bit" : "128-bit", result);
	if (!memcmp(&before, &after, sizeof(before)))
		return 0;
	for (n = 0; n < (int)sizeof(before); n++)
		if (((uint8_t *)&before)[n] != ((uint8_t *)&after)[n])
			printf("byte %d: %02x became %02x\n", n, ((uint8_t *)&before)[n], ((uint8_t *)&after)[n]);
	return 1;
}

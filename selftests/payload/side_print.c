// SPDX-License-Identifier: GPL-2.0
/*
 * Formats the same things in the kernel and under SIDE, for selftests/tests/print.sh to compare. It
 * is harmless in either.
 */
#include <linux/errno.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

/* Each line of the log carries the mark that the test looks for. */
#define show(format, ...) printk(KERN_INFO "print|" format "|\n", ##__VA_ARGS__)

static const u8 mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0xaf };
static const u8 ipv4[4] = { 10, 9, 0, 255 };
static const u8 ipv6[16] = { 0xfd, 0x09, [15] = 2 };
static const u8 mapped[16] = { [10] = 0xff, 0xff, 10, 9, 0, 2 };
static struct resource memory = {
	.start = 0xfebc0000, .end = 0xfebdffff,
	.flags = IORESOURCE_MEM | IORESOURCE_PREFETCH | IORESOURCE_MEM_64,
};

static __printf(1, 2) void nested(const char *format, ...)
{
	struct va_format nested;
	va_list list;

	va_start(list, format);
	nested.fmt = format;
	nested.va = &list;
	show("<%pV> %d", &nested, 9);
	va_end(list);
}

static __printf(4, 5) int through_list(char *to, size_t size, const char *what, const char *format, ...)
{
	va_list list;
	int len;

	va_start(list, format);
	len = vsnprintf(to, size, format, list);
	va_end(list);
	show("%s: %d %s", what, len, to);
	return len;
}

static void numbers(void)
{
	/* The compiler must not know what is printed, or it does the work. */
	volatile long values[] = { 0, 1, -1, 42, 255, -255, 0x7fffffff, LONG_MIN };
	int n;

	for (n = 0; n < ARRAY_SIZE(values); n++) {
		long v = values[n];

		show("%ld %5ld %-5ld| %05ld %+ld % ld", v, v, v, v, v, v);
		show("%d %hd %hhd %u %hu", (int)v, (short)v, (signed char)v, (int)v, (unsigned short)v);
		show("%lx %#lx %#lX %08lx %#012lx %-#12lx|", v, v, v, v, v, v);
		show("%lo %#lo %zu %td %lld", v, v, (size_t)v, (ptrdiff_t)v, (long long)v);
		show("%.3ld %8.3ld %-8.3ld| %.0ld", v, v, v, v);
		show("%*ld %-*ld| %.*ld", 7, v, 7, v, 4, v);
		show("%*ld|", -7, v);
	}
}

static void pointers(void)
{
	volatile void *nothing = NULL;

	show("%pM %pm %pMF %pMR [%20pM]", mac, mac, mac, mac, mac);
	show("%pI4 %pi4 %pI4h %pI4n", ipv4, ipv4, ipv4, ipv4);
	show("%pI6 %pI6c %pi6 %pI6c", ipv6, ipv6, ipv6, mapped);
	show("%6ph %6phC %6phD %6phN %*ph", mac, mac, mac, mac, 3, mac);
	show("%pR %pr", &memory, &memory);
	show("%pa %pad", &memory.start, &memory.end);
	show("%pUb %pUL", ipv6, ipv6);
	show("%pe %pe %pe", ERR_PTR(-ENOMEM), ERR_PTR(-EPROBE_DEFER), ERR_PTR(-4000));
	show("%s [%10s] [%.3s]", (char *)nothing, (char *)nothing, (char *)nothing);
	show("%pM [%20pI4] %px", nothing, nothing, nothing);
	show("%p", nothing);
	nested("n=%d x=%#x s=%s", 7, 0xbeef, "text");
}

static int strings(void)
{
	static const char word[] = "string";
	char *long_text = kmalloc(6000, GFP_KERNEL);
	char *to = kmalloc(6000, GFP_KERNEL);
	char small[8];
	int len;

	if (!long_text || !to)
		return -ENOMEM;
	memset(long_text, 'a', 5000);
	long_text[5000] = 0;
	show("%s [%10s] [%-10s] [%.3s] [%10.3s] %c%%", word, word, word, word, word, 'x');
	len = snprintf(small, sizeof(small), "%s-%d", word, 12345);
	show("%d %s", len, small);
	len = scnprintf(small, sizeof(small), "%s-%d", word, 12345);
	show("%d %s", len, small);
	len = snprintf(NULL, 0, "%s %s", long_text, word);
	show("%d", len);
	len = snprintf(to, 6000, "%s %s", long_text, word);
	show("%d %zu %s", len, strlen(to), to + 4998);
	len = snprintf(to, 2000, "%s", long_text);
	show("%d %zu", len, strlen(to));
	len = sprintf(to, "%5d|%-5s|", 42, "ab");
	show("%d %s", len, to);
	through_list(to, 6000, "list", "%d %s %lx %d %d %d %d", 1, "two", 3L, 4, 5, 6, 7);
	through_list(small, sizeof(small), "cut", "%s %d", word, 7);
	/* Bytes that a log does not show are text like any other. */
	snprintf(to, 100, "\x01\xff%c", 0x80);
	show("%4ph", to);
	kfree(long_text);
	kfree(to);
	return 0;
}

static int flood;
module_param(flood, int, 0444);
MODULE_PARM_DESC(flood, "lines to print instead");

static int __init side_print_init(void)
{
	for (int n = 0; n < flood; n++)
		pr_info("flooded|%d|\n", n);
	if (flood)
		return 0;
	numbers();
	pointers();
	return strings();
}

static void __exit side_print_exit(void)
{
}

module_init(side_print_init);
module_exit(side_print_exit);
MODULE_DESCRIPTION("Formats for a comparison");
MODULE_LICENSE("GPL");

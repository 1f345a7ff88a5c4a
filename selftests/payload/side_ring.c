// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that forges what it shares with the kernel in the optimised mode: the ring of deferred
 * calls and the pools of buffers in its CPU's area (side_stubs/rings.rs, contract.rs). `forge` says
 * what; selftests/tests/rings.sh expects the rule that ends the domain. It does so in a timer, half a
 * second after it was loaded, since a ring is looked at when an atomic upcall leaves. It refuses to
 * run in the kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/timer.h>

/* Places in a CPU's area, and the numbers of deferrable imports, as contract.rs and rings.rs say. */
#define AREA 0x11000000ul
#define RING_COUNT (AREA + 56)
#define SMALL_COUNT (AREA + 64)
#define FOLLOWED (AREA + 88)
#define RING (AREA + 0x1000)
#define SMALL_POOL (AREA + 0x3000)
#define SLOT 248
enum { SKB_PUT = 0, GRO_RECEIVE = 14, NETIF_RX = 16, COMPLETE = 17, PREP = 18, SCHEDULE = 19,
	KFREE_ANY = 21 };

static int forge;
module_param(forge, int, 0444);
static struct timer_list timer;

static void store(unsigned long place, unsigned long value)
{
	asm volatile("movq %0, %%gs:(%1)" :: "r"(value), "r"(place) : "memory");
}

static void entry(int n, unsigned long number, unsigned long a, unsigned long b, unsigned long c)
{
	store(RING + n * 32, number);
	store(RING + n * 32 + 8, a);
	store(RING + n * 32 + 16, b);
	store(RING + n * 32 + 24, c);
}

static void count(unsigned long n)
{
	store(RING_COUNT, n);
}

static void on_timer(struct timer_list *unused)
{
	struct sk_buff *skb = __netdev_alloc_skb(NULL, 256, GFP_ATOMIC);
	unsigned long slot = *(u32 *)((char *)skb + SLOT);
	int n;

	switch (forge) {
	case 1: /* no import has that number */
		entry(0, ~0ul, 0, 0, 0);
		count(1);
		break;
	case 2: /* an import that is never deferred */
		entry(0, SKB_PUT, (unsigned long)skb, 1, 0);
		count(1);
		break;
	case 3: /* one between those that are */
		entry(0, PREP, (unsigned long)skb, 1, 0);
		count(1);
		break;
	case 4: /* more than there is room for, all of it entries that name nothing */
		for (n = 0; n < 256; n++)
			entry(n, 1ul << 40, 0, 0, 0);
		count(~0ul);
		break;
	case 5: /* an import that this driver has not got */
		entry(0, NETIF_RX, (unsigned long)skb, 0, 0);
		count(1);
		break;
	case 6: /* the same buffer twice */
		entry(0, KFREE_ANY, (unsigned long)skb, 1, slot);
		entry(1, KFREE_ANY, (unsigned long)skb, 1, slot);
		count(2);
		break;
	case 7: /* a buffer that is in another slot, or in none */
		entry(0, KFREE_ANY, (unsigned long)skb, 1, slot + 1);
		count(1);
		break;
	case 8: /* a full ring of frees of one buffer: the count is believed up to the bound */
		for (n = 0; n < 256; n++)
			entry(n, KFREE_ANY, (unsigned long)skb, 1, slot);
		count(1ul << 63 | 2);
		break;
	case 9: /* addresses of the kernel */
		entry(0, KFREE_ANY, 0xffffffff81000000, 1, ~0ul);
		count(1);
		break;
	case 10:
		entry(0, GRO_RECEIVE, 0xffff888000000000, (unsigned long)skb, slot);
		count(1);
		break;
	case 11:
		entry(0, SCHEDULE, 0xffff888000000000, 0, 0);
		count(1);
		break;
	case 12:
		entry(0, COMPLETE, (unsigned long)skb, 64, 0);
		count(1);
		break;
	case 13: /* a pool whose buffer is the kernel's */
		store(SMALL_POOL, 0xffffffff81000000);
		store(SMALL_COUNT, 1);
		skb = __netdev_alloc_skb(NULL, 256, GFP_ATOMIC);
		break;
	case 14: /* more buffers than a pool has */
		store(SMALL_COUNT, ~0ul);
		break;
	case 15: /* what is allowed: a call by the ring like one by the gate */
		entry(0, KFREE_ANY, (unsigned long)skb, 1, slot);
		count(1);
		break;
	case 16: /* a poll is said to follow that does not: the schedule is the driver's own loss */
		store(FOLLOWED, (unsigned long)skb);
		__napi_schedule((void *)skb);
		break;
	case 17: /* the kernel is said to poll an instance of its own */
		store(FOLLOWED, 0xffffffff81000000);
		break;
	case 99: /* never: so that the imports are there */
		gro_receive_skb((void *)skb, skb);
		__napi_schedule((void *)skb);
		napi_complete_done((void *)skb, 0);
		dev_kfree_skb_any(skb);
		break;
	}
}

static int __init ring_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	timer_setup(&timer, on_timer, 0);
	mod_timer(&timer, jiffies + HZ / 2);
	return 0;
}

static void __exit ring_exit(void)
{
	timer_shutdown_sync(&timer);
}

module_init(ring_init);
module_exit(ring_exit);
MODULE_DESCRIPTION("Forges the rings that it shares with the kernel, for SIDE's selftests");
MODULE_LICENSE("GPL");

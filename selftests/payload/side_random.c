// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that calls imports at random, from two CPUs at once, with arguments that are random or
 * nearly right: live objects, pointers into them and beside them, small numbers, sizes, addresses of
 * the kernel. What another CPU does to memory that a call is about is part of it: one of the callers
 * keeps writing over the objects. Each load goes on until the domain is ended; the test loads it
 * again with another seed. It refuses to run in the kernel itself.
 *
 * The imports are the gates of the table, by the list that the build makes of the documentation.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

static ulong seed = 1;
module_param(seed, ulong, 0444);
static int calls = 20000;
module_param(calls, int, 0444);

#define GATE(name) extern char side_gate_##name[] asm(#name);
#include "gates.h"
#undef GATE
#define GATE(name) side_gate_##name,
static char *const gates[] = {
#include "gates.h"
};

typedef unsigned long (*gate)(unsigned long, unsigned long, unsigned long, unsigned long,
			      unsigned long, unsigned long);

static unsigned long pool[64];
static unsigned int pooled;
static struct timer_list timer;
static struct work_struct work;
static struct napi_struct napi;
static struct net_device_ops ops;
static char memory[8192];
static struct net_device *netdev;

/* xorshift64*: the callers' states differ, so that a seed gives the same calls on each CPU. */
static unsigned long next(unsigned long *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dul;
}

static unsigned long argument(unsigned long *state)
{
	static const unsigned long odd[] = {
		0, 1, 2, 3, 4, 8, 14, 60, 64, 1500, 4095, 4096, 4097, 65535, 65536, 0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
		0xfffffffffffffff0, -1ul, 0xffffffff81000000, 0xffff888000000000, 0xfee00000,
		0x20000000, 0x30000000, 0x70000000, 0x7ffff000,
	};
	unsigned long r = next(state);

	switch (r & 7) {
	case 0:
		return odd[(r >> 8) % ARRAY_SIZE(odd)];
	case 1:
		return r >> 56;
	case 2:
		return pool[(r >> 8) % pooled] + ((r >> 16) & 0xff8);
	case 3:
		return (unsigned long)memory + ((r >> 8) & 0x1fff);
	case 4:
		return r;
	default:
		return pool[(r >> 8) % pooled];
	}
}

static void keep(unsigned long value)
{
	/* What a call answered is a good argument for the next one. */
	if (value > 4096 && value < 0x80000000)
		pool[8 + value / 64 % 56] = value;
	pooled = ARRAY_SIZE(pool);
}

static noinline void storm(unsigned long *state)
{
	int n;

	for (n = 0; n < calls; n++) {
		unsigned long r = next(state);
		gate f = (gate)gates[(r >> 16) % ARRAY_SIZE(gates)];

		keep(f(argument(state), argument(state), argument(state), argument(state),
		       argument(state), argument(state)));
		if (!(r & 0xf))
			*(unsigned long *)(memory + ((r >> 32) & 0x1ff8)) = argument(state);
		/* Inside the objects too, now and then. */
		if (!(r & 0xff0)) {
			unsigned long at = pool[(r >> 40) % 8];

			if (at)
				*(unsigned long *)(at + ((r >> 48) & 0xff8)) = argument(state);
		}
	}
}

static void storm_here(struct work_struct *w)
{
	unsigned long state = seed * 0x9e3779b97f4a7c15ul | 1;

	storm(&state);
}

static void on_timer(struct timer_list *t)
{
	unsigned long state = seed + jiffies + 1;
	int n;

	for (n = 0; n < 20; n++)
		((gate)gates[next(&state) % ARRAY_SIZE(gates)])(argument(&state), argument(&state),
			argument(&state), argument(&state), argument(&state), argument(&state));
}

static int poll(struct napi_struct *n, int budget)
{
	return 0;
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	unsigned long state = seed * 0xd1342543de82ef95ul + 1;

	netdev = alloc_etherdev(1024);
	if (!netdev)
		return -ENOMEM;
	netdev->netdev_ops = &ops;
	SET_NETDEV_DEV(netdev, &pdev->dev);
	netif_napi_add(netdev, &napi, poll);
	timer_setup(&timer, on_timer, 0);
	INIT_WORK(&work, storm_here);
	pool[0] = (unsigned long)pdev;
	pool[1] = (unsigned long)&pdev->dev;
	pool[2] = (unsigned long)netdev;
	pool[3] = (unsigned long)&napi;
	pool[4] = (unsigned long)&timer;
	pool[5] = (unsigned long)&work;
	pool[6] = (unsigned long)netdev_alloc_skb(netdev, 2000);
	pool[7] = (unsigned long)kmalloc(4096, GFP_KERNEL);
	pooled = 8;
	if (seed & 1)
		if (pci_enable_device_mem(pdev))
			return -EIO;
	if (seed & 2)
		if (register_netdev(netdev))
			return -EIO;
	queue_work_on(seed & 4 ? 1 : 0, system_wq, &work);
	mod_timer(&timer, jiffies + 2);
	storm(&state);
	return -ENODEV;
}

static void remove(struct pci_dev *pdev)
{
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x8086, 0x10d3) },
	{ }
};

static struct pci_driver driver = {
	.name = "side_random",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};

static int __init caller_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	return pci_register_driver(&driver);
}

static void __exit caller_exit(void)
{
	pci_unregister_driver(&driver);
}

module_init(caller_init);
module_exit(caller_exit);
MODULE_DESCRIPTION("Calls imports at random, for SIDE's selftests");
MODULE_LICENSE("GPL");

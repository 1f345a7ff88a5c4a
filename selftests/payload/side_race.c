// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that changes what a call is about while the call is in progress. `race` names what: its
 * probe makes the calls, and a work item that runs meanwhile, on another CPU once the scheduler has
 * moved one of the two, keeps writing into the structures that they name or makes the opposite
 * calls. With wild=0 it writes only what is right by itself, and no call may fail by a rule; what
 * comes of the calls is checked here. With wild=1 it also writes what no call may accept.
 *
 * The log says how many calls were made, how many changes fell into one, and how many answers were
 * wrong. It refuses to run in the kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

static char *race = "";
module_param(race, charp, 0444);
static int wild;
module_param(wild, int, 0444);
static int ms = 400;
module_param(ms, int, 0444);

static struct pci_dev *pdev;
static struct device *dev;
static struct work_struct changer;
static unsigned long calls, changes, inside, wrong;
static ulong random = 1;
module_param(random, ulong, 0444);
/* What the changer is to write to, now. */
static bool in_call, stop, stopped;
static void *volatile target;

static unsigned long next(void)
{
	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return random;
}

static const unsigned long odd[] = {
	0, 1, 8, 0xfff, 0x7fffffff, 0x80000000, 0xffffffff, 0x20000000, 0x70000000, 0x7ffffffffff8,
	0x7fffffffffffffff, 0x8000000000000000, 0xffff888000000000, 0xffffea0000000000,
	0xffffffff81000000, -0x1000ul, -9ul, -8ul, -1ul,
};

static unsigned long any(void)
{
	return odd[next() % ARRAY_SIZE(odd)];
}

/* Each call of the side under test is between these. */
#define CALL(what) do { WRITE_ONCE(in_call, true); what; WRITE_ONCE(in_call, false); calls++; } while (0)

struct kind {
	const char *name;
	/* One round of calls, and one change. */
	void (*call)(void);
	void (*change)(void);
	void (*begin)(void);
};

/* Timers and work items that no import has initialised: the function is read when one is used. */
static unsigned int fired;
static struct timer_list timers[2000];
static struct work_struct works[64];
static unsigned int turn;

static void on_timer(struct timer_list *t) { fired++; }
static void on_other_timer(struct timer_list *t) { fired++; }
static void on_work(struct work_struct *w) { fired++; }
static void on_other_work(struct work_struct *w) { fired++; }

static void call_timer(void)
{
	struct timer_list *t = &timers[turn++ % ARRAY_SIZE(timers)];

	t->function = on_timer;
	target = t;
	CALL(mod_timer(t, jiffies + 1));
	if (!(turn & 7))
		CALL(timer_delete_sync(t));
}

static void change_timer(void)
{
	struct timer_list *t = target;
	unsigned long r = next();

	if (!t)
		return;
	WRITE_ONCE(t->function, r & 1 ? on_timer : on_other_timer);
	if (wild && !(r & 0x300))
		WRITE_ONCE(t->function, (void *)(r & 2 ? (unsigned long)timers : any()));
	if (wild)
		WRITE_ONCE(t->expires, r & 4 ? any() : jiffies);
}

static void call_work(void)
{
	struct work_struct *w = &works[turn++ % ARRAY_SIZE(works)];

	w->func = on_work;
	target = w;
	CALL(schedule_work(w));
	if (!(turn & 7))
		CALL(cancel_work_sync(w));
}

static void change_work(void)
{
	struct work_struct *w = target;
	unsigned long r = next();

	if (!w)
		return;
	WRITE_ONCE(w->func, r & 1 ? on_work : on_other_work);
	if (wild && !(r & 0x300))
		WRITE_ONCE(w->func, (void *)(r & 2 ? (unsigned long)works : any()));
	if (wild)
		*(volatile unsigned long *)w = any();
}

/* A net_device whose tables, sizes, name and lists change while it is registered. */
static struct net_device *netdev;
static struct net_device_ops ops[2];
static struct ethtool_ops tools[2];

static netdev_tx_t transmit(struct sk_buff *skb, struct net_device *unused)
{
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

static int open(struct net_device *unused) { return 0; }

static void info(struct net_device *unused, struct ethtool_drvinfo *i) { }

static void make_netdev(void)
{
	netdev = alloc_etherdev(64);
	if (!netdev)
		return;
	SET_NETDEV_DEV(netdev, dev);
	eth_hw_addr_set(netdev, "\2\0\0\0\0\1");
	netdev->netdev_ops = &ops[0];
	netdev->ethtool_ops = &tools[0];
}

static void begin_netdev(void)
{
	int n;

	for (n = 0; n < 2; n++) {
		ops[n].ndo_open = open;
		ops[n].ndo_stop = open;
		ops[n].ndo_start_xmit = transmit;
		tools[n].get_drvinfo = info;
	}
	tools[1].supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS;
	make_netdev();
}

static void call_netdev(void)
{
	int result;

	make_netdev();
	if (!netdev)
		return;
	target = netdev;
	CALL(result = register_netdev(netdev));
	if (!result)
		CALL(unregister_netdev(netdev));
	else if (!wild)
		wrong++;
	target = NULL;
	CALL(free_netdev(netdev));
}

static void change_netdev(void)
{
	struct net_device *d = target;
	unsigned long r = next();

	if (!d)
		return;
	WRITE_ONCE(d->netdev_ops, &ops[r & 1]);
	WRITE_ONCE(d->ethtool_ops, &tools[r >> 1 & 1]);
	WRITE_ONCE(d->mtu, r & 4 ? 1500 : 1400);
	if (!wild)
		return;
	switch (r >> 8 & 0xf) {
	case 0: WRITE_ONCE(d->netdev_ops, (void *)any()); break;
	case 1: WRITE_ONCE(d->ethtool_ops, (void *)any()); break;
	case 2: WRITE_ONCE(*(void **)&ops[r & 1].ndo_open, (void *)any()); break;
	case 3: WRITE_ONCE(*(unsigned long *)&d->features, any()); break;
	case 4: WRITE_ONCE(*(u8 *)&d->name[r >> 16 & 0xf], r >> 24); break;
	case 5: WRITE_ONCE(d->max_mtu, any()); break;
	case 6: WRITE_ONCE(d->min_mtu, any()); break;
	case 7: WRITE_ONCE(d->watchdog_timeo, any()); break;
	case 8: WRITE_ONCE(*(void **)&d->dev_addr, (void *)any()); break;
	case 9: d->priv_flags = any(); break;
	case 10: WRITE_ONCE(d->hw_features, any()); break;
	case 11: WRITE_ONCE(*(void **)&d->dev.parent, (void *)any()); break;
	}
}

/* The same device registered by one and freed by the other. */
static void call_owner(void)
{
	struct net_device *d;
	int result;

	make_netdev();
	d = netdev;
	if (!d)
		return;
	target = d;
	CALL(result = register_netdev(d));
	if (!result)
		CALL(unregister_netdev(d));
	target = NULL;
	CALL(free_netdev(d));
}

static void change_owner(void)
{
	struct net_device *d = target;

	if (wild && d && !(next() & 0x3f))
		free_netdev(d);
	else if (wild && d)
		netif_carrier_on(d);
	else if (d)
		WRITE_ONCE(d->mtu, next() & 1 ? 1500 : 1400);
}

/* A packet that is handed over while its lengths and pointers change. */
static void call_packet(void)
{
	struct sk_buff *skb = netdev_alloc_skb(netdev, 256);

	if (!skb)
		return;
	memset(skb_put(skb, 60), 0, 60);
	target = skb;
	skb->protocol = eth_type_trans(skb, netdev);
	CALL(netif_rx(skb));
}

static void change_packet(void)
{
	struct sk_buff *skb = target;
	unsigned long r = next();

	if (!skb)
		return;
	/* Right in itself: less of the same buffer. */
	WRITE_ONCE(skb->hash, r);
	WRITE_ONCE(skb->queue_mapping, r & 1);
	if (!wild)
		return;
	switch (r >> 8 & 0xf) {
	case 0: WRITE_ONCE(skb->len, any()); break;
	case 1: WRITE_ONCE(skb->data_len, any()); break;
	case 2: WRITE_ONCE(*(void **)&skb->data, (void *)any()); break;
	case 3: WRITE_ONCE(skb->tail, any()); break;
	case 4: WRITE_ONCE(*(void **)&skb->head, (void *)any()); break;
	case 5: WRITE_ONCE(skb->dev, (void *)any()); break;
	case 6: WRITE_ONCE(*(int *)&skb->users, any()); break;
	case 7: WRITE_ONCE(skb->mac_header, any()); break;
	case 8:
		if ((unsigned long)skb == (unsigned long)target)
			*(volatile u8 *)((char *)skb + 256 + 320) = r;
		break;
	}
}

/* Buffers around pages, used by one and given back by the other. */
static void call_built(void)
{
	void *data = netdev_alloc_frag(2048);
	struct sk_buff *skb = data ? napi_build_skb(data, 2048) : NULL;

	if (!skb)
		return;
	target = skb;
	CALL(skb_put(skb, 100));
	CALL(skb_push(skb, 0));
	target = NULL;
	CALL(consume_skb(skb));
}

static void change_built(void)
{
	struct sk_buff *skb = target;

	if (!skb)
		return;
	if (wild && !(next() & 0x3f))
		consume_skb(skb);
	else if (wild)
		skb_put(skb, 0);
	else
		WRITE_ONCE(skb->hash, next());
}

/* Mappings that one makes and both undo. */
static char *page;
static dma_addr_t bus;

static void call_dma(void)
{
	dma_addr_t at;

	CALL(at = dma_map_single(dev, page, 256, DMA_TO_DEVICE));
	bus = at;
	target = page;
	__dma_sync_single_for_cpu(dev, at, 256, DMA_TO_DEVICE);
	target = NULL;
	CALL(dma_unmap_single(dev, at, 256, DMA_TO_DEVICE));
}

static void change_dma(void)
{
	if (!target)
		return;
	if (wild && !(next() & 0x3f))
		dma_unmap_single(dev, bus, 256, DMA_TO_DEVICE);
	else
		WRITE_ONCE(*(unsigned long *)page, next());
}

/* Strings and formats that change while they are read, and a table of devices. */
static char text[64] = "side", format[64];
static struct pci_device_id ids[3];
static int second_probe(struct pci_dev *p, const struct pci_device_id *id) { return -ENODEV; }
static struct pci_driver second;

static int registered;

/* Outside of the probe, in which no driver may be registered. */
static void register_second(struct work_struct *unused)
{
	CALL(registered = pci_register_driver(&second));
	if (!registered)
		CALL(pci_unregister_driver(&second));
}
static DECLARE_WORK(registrar, register_second);

static void call_string(void)
{
	char out[128];
	int n;

	second.name = text;
	second.id_table = ids;
	second.probe = second_probe;
	strcpy(format, "<7>%s\n");
	target = text;
	CALL(n = snprintf(out, sizeof(out), format, text));
	if (!wild && (strnlen(out, sizeof(out)) >= sizeof(out)))
		wrong++;
	CALL(_printk(format, text));
	ids[0].vendor = 0xdead;
	ids[0].device = 0xbeef;
	memset(&ids[1], 0, sizeof(ids[1]));
	if (!(turn++ & 15)) {
		schedule_work(&registrar);
		flush_work(&registrar);
		if (registered && !wild)
			wrong++;
	}
}

static void change_string(void)
{
	unsigned long r = next();

	text[4 + (r & 7)] = r & 8 ? 'x' : 0;
	if (!wild)
		return;
	switch (r >> 8 & 0x3f) {
	case 0: memset(text, 'x', sizeof(text)); break;
	case 1: text[0] = 0; break;
	case 2: text[1] = '/'; break;
	case 3: strcpy(format, "<7>%pM %pI6 %99999d %n\n"); break;
	case 4: memset(format, '%', sizeof(format)); break;
	case 5: ids[1].vendor = any(); break;
	case 6: memset(ids, 0xff, sizeof(ids)); break;
	case 7: WRITE_ONCE(second.name, (void *)any()); break;
	case 8: WRITE_ONCE(second.id_table, (void *)any()); break;
	case 9: WRITE_ONCE(*(void **)&second.probe, (void *)any()); break;
	case 10: WRITE_ONCE(*(void **)&second.driver.pm, (void *)any()); break;
	default: strcpy(text, "side");
	}
}

/* Another CPU's virtual state and its ring of deferred calls (side_stubs/contract.rs). */
#define AREA 0x11000000ul
#define STRIDE 0x10000ul
static struct timer_list beat;

static void on_beat(struct timer_list *t)
{
	struct sk_buff *skb = netdev_alloc_skb(netdev, 200);

	calls++;
	target = skb;
	if (skb)
		dev_kfree_skb_any(skb);
	mod_timer(t, jiffies + 1);
}

static void begin_area(void)
{
	begin_netdev();
	timer_setup(&beat, on_beat, 0);
	mod_timer(&beat, jiffies + 1);
}

static void call_area(void)
{
	CALL(msleep(1));
}

static void change_area(void)
{
	unsigned long r = next(), at = AREA + (r >> 60 & 1) * STRIDE;

	/* Right in itself: the other CPU's counts as they are. */
	if (!wild) {
		WRITE_ONCE(*(unsigned long *)(at + 0x1000 + (r & 0xff8)), r);
		return;
	}
	switch (r >> 8 & 7) {
	case 0: WRITE_ONCE(*(unsigned long *)(at + 56), r >> 16 & 0x1ff); break;
	case 1: WRITE_ONCE(*(unsigned long *)(at + 56), any()); break;
	case 2: WRITE_ONCE(*(unsigned long *)(at + (r >> 16 & 0xf8)), any()); break;
	case 3: WRITE_ONCE(*(unsigned long *)(at + 0x1000 + (r >> 16 & 0x1ff8)), (unsigned long)target); break;
	default: WRITE_ONCE(*(unsigned long *)(at + 0x1000 + (r >> 16 & 0x1ff8)), r >> 32 & 0x1f);
	}
}

static const struct kind kinds[] = {
	{ "timer", call_timer, change_timer },
	{ "work", call_work, change_work },
	{ "netdev", call_netdev, change_netdev, begin_netdev },
	{ "owner", call_owner, change_owner, begin_netdev },
	{ "packet", call_packet, change_packet, begin_netdev },
	{ "built", call_built, change_built },
	{ "dma", call_dma, change_dma },
	{ "string", call_string, change_string },
	{ "area", call_area, change_area, begin_area },
};
static const struct kind *kind;

static void keep_changing(struct work_struct *unused)
{
	while (!READ_ONCE(stop)) {
		bool during = READ_ONCE(in_call);

		kind->change();
		changes++;
		inside += during && READ_ONCE(in_call);
	}
	WRITE_ONCE(stopped, true);
}

static int probe(struct pci_dev *p, const struct pci_device_id *id)
{
	static bool second_time;
	unsigned long end;
	int n;

	/* The test chooses the mode before it binds the device. */
	if (!second_time) {
		second_time = true;
		return -ENODEV;
	}
	pdev = p;
	dev = &p->dev;
	for (n = 0; n < ARRAY_SIZE(kinds); n++)
		if (!strcmp(race, kinds[n].name))
			kind = &kinds[n];
	if (!kind || pci_enable_device_mem(pdev))
		return -EIO;
	dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	if (kind->begin)
		kind->begin();
	random = random * 0x9e3779b97f4a7c15ul | 1;
	INIT_WORK(&changer, keep_changing);
	schedule_work(&changer);
	end = jiffies + msecs_to_jiffies(ms);
	while (time_before(jiffies, end))
		kind->call();
	WRITE_ONCE(stop, true);
	while (!READ_ONCE(stopped))
		msleep(1);
	if (timer_pending(&beat))
		timer_delete_sync(&beat);
	pr_info("race %s: calls %lu changes %lu inside %lu wrong %lu\n", race, calls, changes, inside,
		wrong);
	return -ENODEV;
}

static const struct pci_device_id own_ids[] = {
	{ PCI_DEVICE(0x8086, 0x10d3) },
	{ }
};

static struct pci_driver driver = {
	.name = "side_race",
	.id_table = own_ids,
	.probe = probe,
};

static int __init race_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	return pci_register_driver(&driver);
}

static void __exit race_exit(void)
{
	pci_unregister_driver(&driver);
}

module_init(race_init);
module_exit(race_exit);
MODULE_DESCRIPTION("Changes what its calls are about, for SIDE's selftests");
MODULE_LICENSE("GPL");

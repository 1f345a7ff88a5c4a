// SPDX-License-Identifier: GPL-2.0
/*
 * A network driver without a device. Honest, it checks that numbered datagrams come once and in order;
 * or it forges what the loop that hands several packets over (side_gather in
 * side_stubs/ring3/local.S) keeps in its registers. `forge` says what; selftests/tests/gather.sh
 * expects the rule that ends the domain. It refuses to run in the kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/timer.h>

static int forge;
module_param(forge, int, 0444);
static struct net_device *netdev;
static struct timer_list timer;
static u32 expected;
static int calls;

/* In the loop r15 is the packet that follows, and ebp the count. */
#define following(value) asm volatile("movq %%r15, %0" : "=r"(value))
#define count_is(value) asm volatile("movl %0, %%ebp" :: "i"(value))
#define follows(value) asm volatile("movq %0, %%r15" :: "r"(value))

/* A numbered datagram: Ethernet, IPv4 without options, UDP, the number. */
static void look(struct sk_buff *skb)
{
	u32 number;

	if (skb->len < 46 || skb->data[23] != IPPROTO_UDP)
		return;
	number = get_unaligned_be32(skb->data + 42);
	if (number != expected)
		netdev->stats.tx_errors++;
	expected = number + 1;
	netdev->stats.tx_packets++;
}

static void on_timer(struct timer_list *unused)
{
	netif_wake_queue(netdev);
}

static netdev_tx_t honest(struct sk_buff *skb, struct net_device *dev)
{
	calls++;
	if (forge == 2 && calls % 2) /* no room each second time, and the queue goes on */
		return NETDEV_TX_BUSY;
	look(skb);
	dev_kfree_skb_any(skb);
	if (forge == 1 && calls % 3 == 0) { /* no more room after three, for a while */
		netif_stop_queue(dev);
		mod_timer(&timer, jiffies + 2);
	}
	return NETDEV_TX_OK;
}

/* More packets than there were. */
static netdev_tx_t counts(struct sk_buff *skb, struct net_device *dev)
{
	count_is(1000);
	return NETDEV_TX_OK;
}

/* Packets linked in a circle. */
static netdev_tx_t circle(struct sk_buff *skb, struct net_device *dev)
{
	struct sk_buff *next;

	following(next);
	if (next && calls++ < 100)
		next->next = next;
	return NETDEV_TX_OK;
}

/* Frees a packet before it has it, and then again. */
static netdev_tx_t too_early(struct sk_buff *skb, struct net_device *dev)
{
	struct sk_buff *next;

	following(next);
	if (next)
		dev_kfree_skb_any(next);
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

/* A packet of the kernel's. */
static netdev_tx_t wild(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb_any(skb);
	follows(0xffffffff81000000);
	return NETDEV_TX_OK;
}

/* Says that it has no room, and frees the packet all the same. */
static netdev_tx_t replayed(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb_any(skb);
	return NETDEV_TX_BUSY;
}

static int open(struct net_device *dev)
{
	netif_start_queue(dev);
	return 0;
}

static int stop(struct net_device *dev)
{
	netif_stop_queue(dev);
	return 0;
}

#define OPS(function) { .ndo_open = open, .ndo_stop = stop, .ndo_start_xmit = function }
static const struct net_device_ops ops[] = {
	OPS(honest), OPS(honest), OPS(honest), OPS(counts), OPS(circle), OPS(too_early), OPS(wild),
	OPS(replayed),
};

static int __init gather_init(void)
{
	unsigned int cs;
	int result;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3 || forge < 0 || forge >= ARRAY_SIZE(ops))
		return -EPERM;
	netdev = alloc_etherdev(0);
	if (!netdev)
		return -ENOMEM;
	strscpy(netdev->name, "gather%d", IFNAMSIZ);
	netdev->netdev_ops = &ops[forge];
	netdev->watchdog_timeo = 60 * HZ;
	eth_hw_addr_set(netdev, (const u8[]){ 2, 0, 0, 0, 0, 7 });
	timer_setup(&timer, on_timer, 0);
	result = register_netdev(netdev);
	if (result)
		free_netdev(netdev);
	return result;
}

static void __exit gather_exit(void)
{
	unregister_netdev(netdev);
	timer_shutdown_sync(&timer);
	free_netdev(netdev);
}

module_init(gather_init);
module_exit(gather_exit);
MODULE_DESCRIPTION("Takes packets by groups, honestly or not, for SIDE's selftests");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose queue comes to a stand: it takes packets and completes none. `repair` says what it
 * does when the stack's watchdog calls it: 0 nothing, 1 it drops what it has and stops again, 2 it
 * completes everything and works from then on; 3 it completes every packet from the beginning, and hears nothing; 4 it
 * never stops the queue, and completes nothing; 5 as 1, and says of what it drops that it was sent. It refuses to run in the kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci.h>

static int repair;
module_param(repair, int, 0444);

static struct net_device *netdev;
static struct sk_buff *taken[4];
static struct sk_buff_head hoard;
static unsigned int count;
static bool repaired;

static netdev_tx_t transmit(struct sk_buff *skb, struct net_device *unused)
{
	if (repaired || repair == 3) {
		dev_consume_skb_any(skb);
		return NETDEV_TX_OK;
	}
	if (repair == 4) {
		__skb_queue_tail(&hoard, skb);
		return NETDEV_TX_OK;
	}
	taken[count++] = skb;
	if (count == ARRAY_SIZE(taken))
		netif_stop_queue(netdev);
	return NETDEV_TX_OK;
}

static void let_go(void)
{
	while (count)
		dev_kfree_skb_any(taken[--count]);
	while (!skb_queue_empty(&hoard))
		dev_kfree_skb_any(__skb_dequeue(&hoard));
}

static void timed_out(struct net_device *unused, unsigned int queue)
{
	netdev_info(netdev, "stalled\n");
	switch (repair) {
	case 1:
		let_go();
		netif_wake_queue(netdev);
		break;
	case 2:
	case 5:
		while (count)
			dev_consume_skb_any(taken[--count]);
		repaired = repair == 2;
		netif_wake_queue(netdev);
		break;
	}
}

static int open(struct net_device *unused)
{
	netif_carrier_on(netdev);
	netif_start_queue(netdev);
	return 0;
}

static int stop(struct net_device *unused)
{
	netif_stop_queue(netdev);
	let_go();
	return 0;
}

static const struct net_device_ops ops = {
	.ndo_open = open,
	.ndo_stop = stop,
	.ndo_start_xmit = transmit,
	.ndo_tx_timeout = timed_out,
};

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int status;

	__skb_queue_head_init(&hoard);
	netdev = alloc_etherdev(0);
	if (!netdev)
		return -ENOMEM;
	netdev->netdev_ops = &ops;
	netdev->watchdog_timeo = HZ / 2;
	SET_NETDEV_DEV(netdev, &pdev->dev);
	eth_hw_addr_set(netdev, "\2\0\0\0\0\1");
	status = register_netdev(netdev);
	if (status)
		free_netdev(netdev);
	return status;
}

static void remove(struct pci_dev *pdev)
{
	unregister_netdev(netdev);
	free_netdev(netdev);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x8086, 0x10d3) },
	{ }
};

static struct pci_driver driver = {
	.name = "side_stall",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};

static int __init stall_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	return pci_register_driver(&driver);
}

static void __exit stall_exit(void)
{
	pci_unregister_driver(&driver);
}

module_init(stall_init);
module_exit(stall_exit);
MODULE_DESCRIPTION("Takes packets and completes none, for SIDE's selftests");
MODULE_LICENSE("GPL");

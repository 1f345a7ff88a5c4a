/* SPDX-License-Identifier: GPL-2.0 */
/* Attacks of side_attack.c on what the kernel takes at its word. */

/* What is done on top of itself, at the wrong time, or with answers that the kernel takes at their word. */
static void nest(struct net_device *d)
{
	alloc_netdev_mqs(64, "attack%d", NET_NAME_ENUM, nest, 1, 1);
}
ATTACK(nested) { nest(NULL); }
ATTACK(wake_unregistered)
{
	netif_tx_stop_all_queues(netdev);
	netif_tx_wake_queue(netdev_get_tx_queue(netdev, 0));
	netif_schedule_queue(netdev_get_tx_queue(netdev, 0));
}
ATTACK(carrier_unregistered)
{
	register_netdev(netdev);
	unregister_netdev(netdev);
	netif_carrier_off(netdev);
	netif_carrier_on(netdev);
}
ATTACK(queue_napi_unlocked)
{
	register_netdev(netdev);
	netif_queue_set_napi(netdev, 0, NETDEV_QUEUE_TYPE_RX, NULL);
}
ATTACK(napi_claimed)
{
	netif_napi_add(netdev, &napi, poll);
	napi_enable(&napi);
	napi_schedule_prep(&napi);
	napi_disable(&napi);
}
ATTACK(napis)
{
	char *many = vmalloc(8 * PAGE_SIZE);
	int n;

	for (n = 0; n < 1100; n++)
		netif_napi_add(netdev, (void *)(many + 16 * n), poll);
}
ATTACK(sum_lengths)
{
	struct sk_buff *skb = frame();

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb);
	skb->csum_offset = 0;
	skb->len = 100;
	skb->data_len = 101;
	skb_checksum_help(skb);
}
static int sync_again(struct net_device *d, const unsigned char *address)
{
	return __hw_addr_sync_dev(&netdev->uc, netdev, sync_address, sync_again);
}
ATTACK(address_list_again)
{
	struct list_head *node = (void *)page;

	node->next = &netdev->uc.list;
	netdev->uc.list.next = node;
	__hw_addr_sync_dev(&netdev->uc, netdev, sync_address, sync_again);
	__hw_addr_unsync_dev(&netdev->uc, netdev, sync_again);
}
static struct ptp_clock *clock;
static int get_time(struct ptp_clock_info *info, struct timespec64 *time)
{
	ptp_clock_unregister(clock);
	return 0;
}
static int set_time(struct ptp_clock_info *info, const struct timespec64 *time) { return 0; }
/* Without the operations that the kernel does not look for. */
static struct ptp_clock_info clock_info = {
	.owner = THIS_MODULE,
	.name = "attack",
	.gettime64 = get_time,
	.settime64 = set_time,
};
ATTACK(ptp_alarms)
{
	clock_info.n_alarm = 5;
	ptp_clock_register(&clock_info, dev);
}
ATTACK(ptp_clocks)
{
	int n;

	for (n = 0; n < 32; n++)
		ptp_clock_register(&clock_info, dev);
}
ATTACK(ptp_self_wait)
{
	clock = ptp_clock_register(&clock_info, dev);
	answer = 0;
}
static int open(struct net_device *d) { return 0; }
static int stop_closes(struct net_device *d)
{
	dev_close(d);
	return 0;
}
/* Also without an ndo_start_xmit: what the interface sends when it comes up is lost. */
ATTACK(close_in_stop)
{
	ops.ndo_open = open;
	ops.ndo_stop = stop_closes;
	answer = register_netdev(netdev);
	netif_carrier_on(netdev);
}
static int open_locks(struct net_device *d)
{
	rtnl_lock();
	return 0;
}
/* The stack holds it for this task. */
ATTACK(rtnl_in_open)
{
	ops.ndo_open = open_locks;
	answer = register_netdev(netdev);
}
static void hold_rtnl(struct work_struct *work)
{
	rtnl_lock();
	msleep(500);
	rtnl_unlock();
}
static DECLARE_WORK(holder, hold_rtnl);
/* It is held, by another task. */
ATTACK(rtnl_of_another)
{
	schedule_work(&holder);
	msleep(200);
	register_netdevice(netdev);
}
static int count_strings(struct net_device *d, int set) { return set == ETH_SS_PRIV_FLAGS ? 1000 : 0; }
static u32 private_flags(struct net_device *d) { return 0; }
static void silly_ring(struct net_device *d, struct ethtool_ringparam *ring,
		       struct kernel_ethtool_ringparam *more, struct netlink_ext_ack *extack)
{
	more->tcp_data_split = 0xff;
}
static void silly_channels(struct net_device *d, struct ethtool_channels *channels)
{
	channels->max_combined = 0xfffffff0;
	channels->combined_count = 0xfffffff0;
}
static int set_channels(struct net_device *d, struct ethtool_channels *channels) { return 0; }
static const struct ethtool_ops silly_ethtool = {
	.get_sset_count = count_strings,
	.get_priv_flags = private_flags,
	.get_ringparam = silly_ring,
	.get_channels = silly_channels,
	.set_channels = set_channels,
};
ATTACK(ethtool_answers)
{
	netdev->ethtool_ops = &silly_ethtool;
	answer = register_netdev(netdev);
}

/* What keeps a CPU or a task for ever by small steps. */
#define TEN(x) x, x, x, x, x, x, x, x, x, x
#define HUNDRED(x) TEN(x), TEN(x), TEN(x), TEN(x), TEN(x), TEN(x), TEN(x), TEN(x), TEN(x), TEN(x)
#define TEN_TIMES(text) text text text text text text text text text text
#define HUNDRED_TIMES(text) TEN_TIMES(TEN_TIMES(text))
/* A hundred formats, each of them a hundred, each of them a hundred numbers of 64 KiB. */
static noinline void deepen(int more, const char *format, ...)
{
	struct va_format nested;
	va_list list;

	va_start(list, format);
	nested.fmt = format;
	nested.va = &list;
	if (more)
		deepen(more - 1, HUNDRED_TIMES("%pV"), HUNDRED(&nested));
	else
		pr_info(HUNDRED_TIMES("%pV") "\n", HUNDRED(&nested));
	va_end(list);
}
ATTACK(format_deep) { deepen(1, HUNDRED_TIMES("%*d"), HUNDRED(65536), HUNDRED(65536)); }
/* By steps of 50 ms: one delay that SIDE makes. */
static void spin_ms(int ms)
{
	for (; ms > 0; ms -= 50)
		__const_udelay(50000UL * 0x10c7);
}
/* Has expired again whenever it ends. */
static void use_up(struct timer_list *t)
{
	mod_timer(t, jiffies + 1);
	spin_ms(250);
}
static void run_timer(void (*function)(struct timer_list *))
{
	timer_setup(&timer, function, 0);
	mod_timer(&timer, jiffies + 1);
	msleep(3000);
}
ATTACK(timer_hog) { run_timer(use_up); }
static void spin_long(struct timer_list *t) { spin_ms(10000); }
ATTACK(timer_spins) { run_timer(spin_long); }
static DEFINE_SPINLOCK(list_lock);
static int sync_slowly(struct net_device *d, const unsigned char *address)
{
	spin_ms(300);
	return 0;
}
/* Many short calls of its own by one that may not sleep. */
ATTACK(address_list_slow)
{
	struct netdev_hw_addr *entries = (void *)page;
	int n;

	for (n = 0; n < 16; n++) {
		entries[n].list.next = n < 15 ? &entries[n + 1].list : &netdev->uc.list;
		entries[n].addr[0] = n;
	}
	netdev->uc.list.next = &entries[0].list;
	spin_lock_bh(&list_lock);
	__hw_addr_sync_dev(&netdev->uc, netdev, sync_slowly, sync_slowly);
	spin_unlock_bh(&list_lock);
}
/* Its thread is woken again before it ends, each time. */
static void __iomem *card;
static void raise_again(void)
{
	/* The 82574's cause, which goes when it is read, and mask of "link status change". */
	readl(card + 0xc0);
	writel(4, card + 0xd0);
	writel(4, card + 0xc8);
}
static irqreturn_t never_rests(int irq, void *data)
{
	msleep(100);
	raise_again();
	msleep(20);
	return IRQ_HANDLED;
}
ATTACK(irq_never_rests)
{
	card = pci_ioremap_bar(pdev, 0);
	pci_set_master(pdev);
	if (!card || pci_enable_msi(pdev) ||
	    request_threaded_irq(pdev->irq, NULL, never_rests, IRQF_ONESHOT, "side_attack", page))
		return;
	writel(~0, card + 0xd8);
	raise_again();
	msleep(50);
	synchronize_irq(pdev->irq);
}

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
/* Ends the domain by a rule that attack.sh does not expect. */
static void expect(bool right)
{
	if (!right)
		pci_set_master((void *)pdev + 64);
}
static bool line_is_on(void)
{
	u16 command;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	return !(command & PCI_COMMAND_INTX_DISABLE);
}
static irqreturn_t no_interrupt(int irq, void *data) { return IRQ_NONE; }
/* What the card would raise while nobody serves its line, other devices on it would suffer from. */
ATTACK(line_unserved)
{
	expect(!line_is_on());
	pci_save_state(pdev);
	if (request_irq(pdev->irq, no_interrupt, IRQF_SHARED, "side_attack", page))
		return;
	expect(line_is_on());
	pci_restore_state(pdev);
	expect(line_is_on());
	pci_save_state(pdev);
	free_irq(pdev->irq, page);
	expect(!line_is_on());
	pci_restore_state(pdev);
	expect(!line_is_on());
	if (!pci_enable_msi(pdev))
		pci_disable_msi(pdev);
	expect(!line_is_on());
	pci_enable_device_mem(pdev);
	expect(!line_is_on());
}
/* The kernel warns in the log of each. */
ATTACK(flags_mismatch)
{
	if (request_irq(pdev->irq, no_interrupt, IRQF_SHARED, "side_attack", page))
		return;
	expect(request_irq(pdev->irq, no_interrupt, 0, "side_attack", page + 8) == -EBUSY);
}
ATTACK(regions_twice)
{
	if (!pci_request_selected_regions(pdev, 1, "side_attack"))
		expect(pci_request_selected_regions(pdev, 1, "side_attack") == -EBUSY);
}
ATTACK(pm_count_taken)
{
	int n;

	for (n = 0; n < 100; n++)
		__pm_runtime_resume(dev, RPM_GET_PUT);
}
ATTACK(pm_count_dropped)
{
	int n;

	for (n = 0; n < 3; n++)
		__pm_runtime_idle(dev, RPM_GET_PUT | RPM_ASYNC);
}
/* The kernel notes a card whose PME signal it has to poll for once each time. */
ATTACK(pme_twice)
{
	int n;

	for (n = 0; n < 1000; n++)
		pci_pme_active(pdev, true);
}
static void suspend_by(void (*function)(void));
/* A card that sleeps has nothing to restore. */
static void lower_and_restore(void)
{
	pci_set_power_state(pdev, PCI_D3hot);
	pci_restore_state(pdev);
}
ATTACK(power_restored) { suspend_by(lower_and_restore); }
/* Two CPUs at once add and remove the same file of the card's. */
static void toggle_wakeup(struct work_struct *work)
{
	int n;

	for (n = 0; n < 2000; n++)
		device_set_wakeup_capable(dev, n & 1);
}
static DECLARE_WORK(toggler, toggle_wakeup);
ATTACK(wakeup_raced)
{
	schedule_work(&toggler);
	toggle_wakeup(NULL);
	flush_work(&toggler);
}

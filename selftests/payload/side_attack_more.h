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
/* Nobody but this task could give it back. */
ATTACK(rtnl_left) { rtnl_lock(); }
ATTACK(netdev_lock_left) { register_netdev(netdev); netdev_lock(netdev); }

/* What is done outside of the driver core's calls: the probe waits for it. */
static void (*outside)(void);
static void call_outside(struct work_struct *work) { outside(); }
static DECLARE_WORK(outside_work, call_outside);
static void from_outside(void (*function)(void))
{
	outside = function;
	schedule_work(&outside_work);
	flush_work(&outside_work);
}
static bool probed;
static int note_probe(struct pci_dev *p, const struct pci_device_id *id) { probed = true; return -ENODEV; }
static const struct pci_device_id card_ids[] = { { PCI_DEVICE(0x8086, 0x10d3) }, { } };
static struct pci_driver another = { .name = "another", .id_table = card_ids, .probe = note_probe };
static int register_another(void) { return pci_register_driver(&another); }
static void register_under_rtnl(void)
{
	rtnl_lock();
	register_another();
}
/* The core holds the lock of the device that is probed, and would take it again. */
ATTACK(driver_in_probe) { register_another(); }
ATTACK(driver_under_rtnl) { from_outside(register_under_rtnl); }
/* Devices would go, and interfaces with them. */
static void unregister_locked(void)
{
	netdev_lock(netdev);
	pci_unregister_driver(&another);
}
ATTACK(driver_under_lock)
{
	register_netdev(netdev);
	from_outside(unregister_locked);
}
/* The host bridge, of which nobody said that the driver may have it. */
static const struct pci_device_id bridge_ids[] = { { PCI_DEVICE(0x8086, 0x29c0) }, { } };
static void register_for_bridge(void)
{
	another.id_table = bridge_ids;
	register_another();
	if (probed)
		rtnl_unlock();
}
ATTACK(driver_for_bridge) { from_outside(register_for_bridge); }
static void register_many(void)
{
	static struct pci_driver many[40];
	static char names[40][4];
	int n;

	for (n = 0; n < ARRAY_SIZE(many); n++) {
		names[n][0] = 'a' + n / 10;
		names[n][1] = '0' + n % 10;
		many[n].name = names[n];
		many[n].id_table = bridge_ids;
		many[n].probe = note_probe;
		if (pci_register_driver(&many[n]) == -ENOSPC)
			return;
	}
	rtnl_unlock();
}
ATTACK(drivers) { from_outside(register_many); }
/* Written by another CPU while it is given back, since the probe fails: the memory is another's by then. */
static u64 *coherent;
static void scribble(struct work_struct *work)
{
	int n;

	for (n = 0;; n = (n + 1) % 16)
		WRITE_ONCE(coherent[n * PAGE_SIZE / sizeof(*coherent)], 0x5151515151515151);
}
static DECLARE_WORK(scribbler, scribble);
ATTACK(coherent_stale)
{
	coherent = dma_alloc_coherent(dev, 16 * PAGE_SIZE, &bus, GFP_KERNEL);
	schedule_work(&scribbler);
	msleep(50);
}
/* It goes with its own device; for the mapping another one could be named. */
ATTACK(coherent_mapped)
{
	coherent = dma_alloc_coherent(dev, PAGE_SIZE, &bus, GFP_KERNEL);
	dma_map_single(dev, coherent, 64, DMA_TO_DEVICE);
}
/* Work without end in one call that may be made in atomic context. */
ATTACK(random_long) { get_random_bytes(vmalloc(8 << 20), 8 << 20); }
static void allocate_in_timer(struct timer_list *t) { vmalloc(4096); }
ATTACK(vmalloc_atomic)
{
	timer_setup(&timer, allocate_in_timer, 0);
	mod_timer(&timer, jiffies + 1);
	msleep(100);
}
/* The kernel asks for the features of a device that it has just registered before it makes the queues' disciplines. */
static netdev_features_t wakes(struct net_device *d, netdev_features_t features)
{
	netif_tx_stop_all_queues(d);
	netif_tx_wake_queue(netdev_get_tx_queue(d, 0));
	netif_schedule_queue(netdev_get_tx_queue(d, 0));
	if (netif_set_real_num_tx_queues(d, 1))
		netif_tx_stop_all_queues(d);
	netif_tx_wake_all_queues(d);
	return features;
}
ATTACK(wake_in_register)
{
	ops.ndo_fix_features = wakes;
	answer = register_netdev(netdev);
}
/* Removed while another task waits for the device's lock to enable it. */
static void enable_napi(struct work_struct *work) { napi_enable(&napi); }
static DECLARE_WORK(enabler, enable_napi);
ATTACK(napi_enable_removed)
{
	netif_napi_add(netdev, &napi, poll);
	netdev_lock(netdev);
	schedule_work(&enabler);
	msleep(100);
	__netif_napi_del_locked(&napi);
	netdev_unlock(netdev);
	flush_work(&enabler);
}
static void hold_netdev(struct work_struct *work)
{
	netdev_lock(netdev);
	msleep(1000);
	netdev_unlock(netdev);
}
static DECLARE_WORK(netdev_holder, hold_netdev);
ATTACK(free_locked_elsewhere)
{
	netif_napi_add(netdev, &napi, poll);
	schedule_work(&netdev_holder);
	msleep(200);
	rtnl_lock();
	free_netdev(netdev);
}
/* Each costs the kernel more than the driver. */
ATTACK(many_devices)
{
	while (alloc_etherdev_mqs(0, 1, 256))
		;
}
/* The kernel is not done with it before RTNL is let go. */
ATTACK(free_under_rtnl)
{
	answer = register_netdev(netdev);
	rtnl_lock();
	unregister_netdevice(netdev);
	free_netdev(netdev);
	rtnl_unlock();
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
	if (pci_enable_device_mem(pdev))
		return;
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

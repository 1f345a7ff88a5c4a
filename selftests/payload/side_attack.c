// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that breaks one rule of the audit: `attack` names which. Each entry of the table must end
 * the domain by the rule that selftests/tests/attack.sh expects. It refuses to run in the kernel
 * itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/dmi.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/pm_qos.h>
#include <linux/pm_runtime.h>
#include <linux/ptp_clock_kernel.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/page_pool/helpers.h>

static char *attack = "";
module_param(attack, charp, 0444);

static struct pci_dev *pdev;
static struct device *dev;
static struct net_device *netdev;
static struct napi_struct napi;
static struct net_device_ops ops;
static struct timer_list timer;
static char *page;
static dma_addr_t bus;
/* What the probe answers: 0 for an attack that begins with something that attack.sh does. */
static int answer = -ENODEV;

static int poll(struct napi_struct *n, int budget)
{
	return 0;
}

static irqreturn_t on_interrupt(int irq, void *data)
{
	return IRQ_NONE;
}

static void on_timer(struct timer_list *t)
{
}

static struct sk_buff *packet(void)
{
	return netdev_alloc_skb(netdev, 256);
}

/* With the shortest frame in it. */
static struct sk_buff *frame(void)
{
	struct sk_buff *skb = packet();

	skb_put(skb, 60);
	return skb;
}

static void map(void)
{
	bus = dma_map_single(dev, page, 256, DMA_TO_DEVICE);
}

#define ATTACK(name) static void attack_##name(void)

/* Network devices. */
ATTACK(register_twice) { register_netdev(netdev); register_netdev(netdev); }
ATTACK(register_again) { register_netdev(netdev); unregister_netdev(netdev); register_netdev(netdev); }
ATTACK(free_registered) { register_netdev(netdev); free_netdev(netdev); }
ATTACK(unregister_unregistered) { unregister_netdev(netdev); }
ATTACK(free_twice) { free_netdev(netdev); free_netdev(netdev); }
ATTACK(use_after_free) { free_netdev(netdev); netif_carrier_on(netdev); }
ATTACK(register_without_rtnl) { register_netdevice(netdev); }
ATTACK(rtnl_twice) { rtnl_lock(); rtnl_lock(); }
ATTACK(rtnl_unheld) { rtnl_unlock(); }
ATTACK(device_too_large) { alloc_etherdev_mqs(1 << 30, 1, 1); }
ATTACK(too_many_queues) { alloc_etherdev_mqs(64, 1 << 20, 1); }
/* A setup function that makes no Ethernet device of it, and one that is no function. */
static void no_setup(struct net_device *dev) {}
ATTACK(not_ethernet) { alloc_netdev_mqs(64, "attack%d", NET_NAME_ENUM, no_setup, 1, 1); }
ATTACK(setup_not_text)
{
	alloc_netdev_mqs(64, "attack%d", NET_NAME_ENUM, (void *)netdev, 1, 1);
}
/* A table whose operations lie past the end of all addresses. */
ATTACK(ethtool_beyond)
{
	netdev->ethtool_ops = (void *)-8ul;
	register_netdev(netdev);
}
ATTACK(netdev_ops_beyond)
{
	netdev->netdev_ops = (void *)-8ul;
	register_netdev(netdev);
}
ATTACK(address_too_long) { dev_addr_mod(netdev, 0, page, 64); }
static int sync_address(struct net_device *dev, const unsigned char *address) { return 0; }
ATTACK(address_list) { __hw_addr_sync_dev((void *)page, netdev, sync_address, sync_address); }
/* An entry that follows itself. */
ATTACK(address_list_endless)
{
	struct list_head *node = (void *)page;

	node->next = node;
	netdev->uc.list.next = node;
	__hw_addr_sync_dev(&netdev->uc, netdev, sync_address, sync_address);
}
ATTACK(queue_unknown) { netif_queue_set_napi(netdev, 77, NETDEV_QUEUE_TYPE_RX, NULL); }
ATTACK(queue_kind) { netif_queue_set_napi(netdev, 0, 7, NULL); }
ATTACK(not_a_queue) { netif_tx_wake_queue((void *)page); }
/* The kernel's function for a table of operations, called by hand. */
ATTACK(native_called) { eth_validate_addr(netdev); }
ATTACK(denied_called) { page_pool_alloc_pages((void *)page, GFP_KERNEL); }
ATTACK(page_pool_unknown) { page_pool_destroy((void *)page + 8); }
ATTACK(ptp_unknown) { ptp_clock_unregister((void *)page); }

/* NAPI. */
ATTACK(netdev_lock_held)
{
	netif_napi_add(netdev, &napi, poll);
	netdev_lock(netdev);
	napi_enable(&napi);
}
/* The kernel takes that lock itself in these, and would wait for this task for ever. */
ATTACK(netdev_lock_register) { netdev_lock(netdev); register_netdev(netdev); }
ATTACK(netdev_lock_unregister) { register_netdev(netdev); netdev_lock(netdev); unregister_netdev(netdev); }
ATTACK(netdev_lock_free) { netdev_lock(netdev); free_netdev(netdev); }
ATTACK(netdev_lock_missing) { netif_napi_add(netdev, &napi, poll); napi_enable_locked(&napi); }
ATTACK(no_fragments) { netif_napi_add(netdev, &napi, poll); napi_gro_frags(&napi); }
ATTACK(napi_add_twice) { netif_napi_add(netdev, &napi, poll); netif_napi_add(netdev, &napi, poll); }
ATTACK(napi_enable_twice)
{
	netif_napi_add(netdev, &napi, poll);
	napi_enable(&napi);
	napi_enable(&napi);
}
ATTACK(napi_disable_disabled) { netif_napi_add(netdev, &napi, poll); napi_disable(&napi); }
ATTACK(napi_unknown) { napi_enable(&napi); }
ATTACK(napi_unprepared)
{
	netif_napi_add(netdev, &napi, poll);
	napi_enable(&napi);
	__napi_schedule(&napi);
}
ATTACK(napi_complete_outside)
{
	netif_napi_add(netdev, &napi, poll);
	napi_enable(&napi);
	napi_complete_done(&napi, 0);
}
ATTACK(gro_outside)
{
	netif_napi_add(netdev, &napi, poll);
	napi_enable(&napi);
	napi_gro_receive(&napi, packet());
}

/* The poll of a CPU that a timer wakes from idle never ends. */
static int poll_for_ever(struct napi_struct *n, int budget)
{
	pr_info("side_attack: polls for ever\n");
	for (;;)
		cpu_relax();
	return 0;
}

static void schedule_poll(struct timer_list *t)
{
	napi_schedule(&napi);
}

ATTACK(poll_for_ever)
{
	netif_napi_add(netdev, &napi, poll_for_ever);
	napi_enable(&napi);
	timer_setup(&timer, schedule_poll, 0);
	mod_timer(&timer, jiffies + 2 * HZ);
}

/* Runs `function` as the poll of an instance, once. */
static void poll_by(int (*function)(struct napi_struct *, int))
{
	netif_napi_add(netdev, &napi, function);
	napi_enable(&napi);
	timer_setup(&timer, schedule_poll, 0);
	mod_timer(&timer, jiffies + 1);
	msleep(500);
}
static int poll_over(struct napi_struct *n, int budget) { return budget + 1; }
ATTACK(poll_over_budget) { poll_by(poll_over); }

/* Packets. */
static int receive_length(struct napi_struct *n, int budget)
{
	struct sk_buff *skb = frame();

	skb->data_len = 100;
	napi_gro_receive(n, skb);
	return 0;
}
ATTACK(skb_length) { poll_by(receive_length); }
static int receive_outside(struct napi_struct *n, int budget)
{
	struct sk_buff *skb = frame();

	skb->data -= 8192;
	napi_gro_receive(n, skb);
	return 0;
}
ATTACK(skb_outside) { poll_by(receive_outside); }
static int receive_long(struct napi_struct *n, int budget)
{
	struct sk_buff *skb = frame();

	skb->data_len = 1 << 20;
	skb->len += skb->data_len;
	napi_gro_receive(n, skb);
	return 0;
}
ATTACK(skb_long) { poll_by(receive_long); }
ATTACK(skb_fragments)
{
	struct sk_buff *skb = packet();

	skb_shinfo(skb)->nr_frags = 200;
	dev_kfree_skb_any(skb);
}
ATTACK(skb_sum_outside)
{
	struct sk_buff *skb = frame();

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = 60000;
	skb->csum_offset = 16;
	skb_checksum_help(skb);
}
ATTACK(skb_received_stamped) { skb_tstamp_tx(packet(), NULL); }
ATTACK(skb_around_object) { napi_build_skb(page + 64, 2048); }
ATTACK(skb_free_twice) { struct sk_buff *skb = packet(); dev_kfree_skb_any(skb); dev_kfree_skb_any(skb); }
ATTACK(skb_over_end) { skb_put(packet(), 1 << 20); }
ATTACK(skb_under_head) { skb_push(packet(), 4096); }
ATTACK(skb_by_kfree) { kfree(packet()->head); }
ATTACK(skb_short) { struct sk_buff *skb = packet(); skb_put(skb, 4); eth_type_trans(skb, netdev); }
ATTACK(skb_inside) { dev_kfree_skb_any((void *)packet() + 8); }
/* A buffer around a page, which lies below it, and which it loses when it is freed. */
ATTACK(skb_put_after_free)
{
	void *data = netdev_alloc_frag(2048);
	struct sk_buff *skb = napi_build_skb(data, 2048);

	consume_skb(skb);
	skb_put(skb, 8);
}
ATTACK(skb_push_after_free) { struct sk_buff *skb = packet(); dev_kfree_skb_any(skb); skb_push(skb, 8); }

/* DMA. */
ATTACK(dma_direction) { dma_map_page_attrs(dev, virt_to_page(page), 0, 64, 7, 0); }
ATTACK(dma_length) { dma_map_page_attrs(dev, virt_to_page(page), 0, 1 << 30, DMA_TO_DEVICE, 0); }
ATTACK(dma_empty) { dma_map_page_attrs(dev, virt_to_page(page), 0, 0, DMA_TO_DEVICE, 0); }
ATTACK(dma_outside) { dma_map_page_attrs(dev, virt_to_page(page), 0, 1 << 20, DMA_TO_DEVICE, 0); }
ATTACK(dma_kernel_page) { dma_map_page_attrs(dev, (void *)0xffffea0000000000, 0, 64, DMA_TO_DEVICE, 0); }
ATTACK(dma_own_text) { dma_map_single(dev, (void *)on_timer, 64, DMA_FROM_DEVICE); }
ATTACK(dma_unmap_unknown) { dma_unmap_single(dev, 0x12345000, 64, DMA_TO_DEVICE); }
ATTACK(dma_unmap_twice)
{
	map();
	dma_unmap_single(dev, bus, 256, DMA_TO_DEVICE);
	dma_unmap_single(dev, bus, 256, DMA_TO_DEVICE);
}
ATTACK(dma_unmap_length) { map(); dma_unmap_single(dev, bus, 64, DMA_TO_DEVICE); }
ATTACK(dma_unmap_direction) { map(); dma_unmap_single(dev, bus, 256, DMA_FROM_DEVICE); }
ATTACK(dma_sync_unknown) { __dma_sync_single_for_cpu(dev, 0x12345000, 64, DMA_TO_DEVICE); }
ATTACK(dma_sync_beyond) { map(); __dma_sync_single_for_cpu(dev, bus, 4096, DMA_TO_DEVICE); }
ATTACK(dma_free_unknown) { dma_free_coherent(dev, 4096, page, 0); }
ATTACK(dma_free_twice)
{
	void *memory = dma_alloc_coherent(dev, 4096, &bus, GFP_KERNEL);

	dma_free_coherent(dev, 4096, memory, bus);
	dma_free_coherent(dev, 4096, memory, bus);
}
ATTACK(dma_free_length)
{
	dma_free_coherent(dev, 8192, dma_alloc_coherent(dev, 4096, &bus, GFP_KERNEL), bus);
}
/* Two mappings of one place that do not agree. */
ATTACK(dma_overlap) { map(); dma_map_single(dev, page, 128, DMA_TO_DEVICE); }
/* More than the page allocator has in one piece. */
ATTACK(dma_large) { dma_alloc_coherent(dev, 16 << 20, &bus, GFP_KERNEL); }
/* Masks that the kernel's bounce buffers do not fit, or nothing at all. */
ATTACK(dma_mask_narrow)
{
	dma_set_mask_and_coherent(dev, DMA_BIT_MASK(24));
	map();
}
ATTACK(dma_mask_empty)
{
	dma_set_coherent_mask(dev, 0);
	dma_alloc_coherent(dev, 4096, &bus, GFP_KERNEL);
}
ATTACK(dma_pool_unknown) { dma_pool_alloc((void *)page, GFP_KERNEL, &bus); }
ATTACK(dma_pool_in_use)
{
	struct dma_pool *pool = dma_pool_create("side_attack", dev, 64, 64, 0);

	dma_pool_alloc(pool, GFP_KERNEL, &bus);
	dma_pool_destroy(pool);
}

/* Memory and strings. */
static bool managed_in_softirq;
static void use_managed(struct timer_list *t)
{
	devm_kfree(dev, devm_kmalloc(dev, 8, GFP_ATOMIC));
	managed_in_softirq = true;
}
/* Of which there is an end, also where sleeping is not allowed. */
ATTACK(managed)
{
	int n;

	timer_setup(&timer, use_managed, 0);
	mod_timer(&timer, jiffies + 1);
	msleep(100);
	for (n = 0; n < 5000 && devm_kmalloc(dev, 8, GFP_KERNEL); n++)
		;
	if (n == 5000 || !managed_in_softirq)
		rtnl_unlock();
}
ATTACK(size_of_no_object) { ksize(page + 8); }
static struct dmi_system_id machines[2] = { { .matches[0].slot = 64 } };
ATTACK(dmi_field) { dmi_check_system(machines); }

#include "side_attack_more.h"
ATTACK(string_endless) { memset(page, 'a', PAGE_SIZE); kstrdup(page, GFP_KERNEL); }

/* PCI. */
static struct pci_driver other;
static int other_probe(struct pci_dev *p, const struct pci_device_id *id) { return -ENODEV; }
static void unregister_other(void) { pci_unregister_driver(&other); }
static int register_other(void)
{
	other.probe = other_probe;
	return pci_register_driver(&other);
}
ATTACK(driver_unknown) { from_outside(unregister_other); }
ATTACK(driver_name)
{
	other.name = "side/attack";
	from_outside((void *)register_other);
}
/* A table of devices without an end. */
ATTACK(driver_table)
{
	struct pci_device_id *table = vmalloc(5000 * sizeof(*table));

	memset(table, 0x11, 5000 * sizeof(*table));
	other.name = "side_attack_other";
	other.id_table = table;
	from_outside((void *)register_other);
}
ATTACK(ports_foreign) { ioport_map(0x60, 1); }
ATTACK(region_foreign) { request_region(0x60, 1, "side_attack"); }
ATTACK(region_unclaimed) { release_region(pci_resource_start(pdev, 2), 32); }
ATTACK(pm_unknown) { __pm_runtime_suspend((void *)page, 0); }
ATTACK(pm_request) { __pm_runtime_suspend(dev, 0x7700); }
ATTACK(config_bar) { pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0, 0xfee00000); }
ATTACK(config_msi_address)
{
	pci_write_config_dword(pdev, pdev->msi_cap + PCI_MSI_ADDRESS_LO, 0xfee01000);
}
ATTACK(config_msi_data) { pci_write_config_word(pdev, pdev->msi_cap + PCI_MSI_DATA_64, 0x30); }
ATTACK(config_msix_enable) { pci_write_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, 0x8000); }
ATTACK(config_master)
{
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}
ATTACK(config_rom) { pci_write_config_dword(pdev, PCI_ROM_ADDRESS, 0xfffff801); }
ATTACK(config_power) { pci_write_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, 3); }
ATTACK(config_bridge)
{
	if (pdev->bus->self)
		pci_write_config_byte(pdev->bus->self, PCI_SECONDARY_BUS, 0x55);
	else
		pci_write_config_byte(pdev, PCI_INTERRUPT_LINE, 0x55);
}
/* The page of the messages of other devices' interrupts stays a hole. */
ATTACK(msix_table)
{
	char __iomem *table = pci_ioremap_bar(pdev, 3);

	if (table)
		writel(0xfee01000, table);
}
ATTACK(foreign_registers) { ioremap(0xfee00000, 4096); }
ATTACK(foreign_memory) { ioremap(0x100000, 4096); }
ATTACK(unmap_unknown) { iounmap((void __iomem *)page); }
ATTACK(disable_twice) { pci_disable_device(pdev); pci_disable_device(pdev); }
ATTACK(power_state) { pci_set_power_state(pdev, 77); }
ATTACK(pm_count) { atomic_add(1000, &dev->power.usage_count); }
ATTACK(pm_flags) { dev->power.driver_flags = ~0; }
ATTACK(not_a_device) { pci_set_master((void *)pdev + 64); }

/* For the function of runtime power management that attack.sh has called. */
static void (*suspend)(void);
static int runtime_suspend(struct device *d)
{
	suspend();
	return 0;
}
static const struct dev_pm_ops power = { .runtime_suspend = runtime_suspend };
static void suspend_by(void (*function)(void))
{
	suspend = function;
	answer = 0;
	pm_runtime_put_noidle(dev);
}
static void resume_device(void) { __pm_runtime_resume(dev, 0); }
ATTACK(pm_self_wait) { suspend_by(resume_device); }
static void lower_power(void) { pci_set_power_state(pdev, PCI_D3hot); }
ATTACK(power_unsaved) { suspend_by(lower_power); }

/* Interrupts. */
static int request(int irq, void *handler)
{
	return request_irq(irq, handler, IRQF_SHARED, "side_attack", page);
}
ATTACK(foreign_irq) { request(1, on_interrupt); }
ATTACK(irq_not_text) { request(pdev->irq, page); }
ATTACK(free_unknown_irq) { free_irq(pdev->irq, page); }
ATTACK(free_irq_twice)
{
	if (request_irq(pdev->irq, on_interrupt, IRQF_SHARED, "side_attack", page))
		return;
	free_irq(pdev->irq, page);
	free_irq(pdev->irq, page);
}
ATTACK(disable_msi_in_use)
{
	if (pci_enable_msi(pdev) || request_irq(pdev->irq, on_interrupt, 0, "side_attack", page))
		return;
	pci_disable_msi(pdev);
}
ATTACK(enable_irq_unbalanced)
{
	if (!request_irq(pdev->irq, on_interrupt, IRQF_SHARED, "side_attack", page))
		enable_irq(pdev->irq);
}
static void raise(void __iomem *registers)
{
	/* What an attack before this has left: only a new cause is raised. */
	writel(~0, registers + 0xd8);
	readl(registers + 0xc0);
	/* The 82574's mask and cause of "link status change". */
	writel(4, registers + 0xd0);
	writel(4, registers + 0xc8);
	msleep(500);
}
/* The thread of an interrupt that the card is told to raise. */
static irqreturn_t wait_for_itself(int irq, void *data)
{
	synchronize_irq(irq);
	return IRQ_HANDLED;
}
ATTACK(irq_waits)
{
	void __iomem *registers = pci_ioremap_bar(pdev, 0);

	pci_set_master(pdev);
	if (!registers || pci_enable_msi(pdev) ||
	    request_threaded_irq(pdev->irq, NULL, wait_for_itself, IRQF_ONESHOT, "side_attack", page))
		return;
	raise(registers);
}
/* As before, with another handler of the same number, for which the kernel's wait is the same. */
static irqreturn_t free_neighbour(int irq, void *data)
{
	free_irq(irq, page + 8);
	return IRQ_HANDLED;
}
ATTACK(irq_frees_neighbour)
{
	void __iomem *registers = pci_ioremap_bar(pdev, 0);

	pci_set_master(pdev);
	if (!registers || pci_enable_msi(pdev) ||
	    request_threaded_irq(pdev->irq, NULL, free_neighbour, IRQF_SHARED, "side_attack", page) ||
	    request_irq(pdev->irq, on_interrupt, IRQF_SHARED, "side_attack", page + 8))
		return;
	raise(registers);
}
/* One that is never enabled before the domain ends. */
ATTACK(irq_not_started)
{
	if (pci_enable_msi(pdev) ||
	    request_irq(pdev->irq, on_interrupt, IRQF_NO_AUTOEN, "side_attack", page))
		return;
}
/* Two that share a number and do not agree whether it stays on during a suspend. */
ATTACK(irq_no_suspend)
{
	if (request_irq(pdev->irq, on_interrupt, IRQF_SHARED, "side_attack", page + 8) ||
	    request_irq(pdev->irq, on_interrupt, IRQF_SHARED | IRQF_NO_SUSPEND, "side_attack", page))
		return;
}
ATTACK(vector_number) { if (!pci_enable_msi(pdev)) pci_irq_vector(pdev, 0x10000); }

/* Locks. */
static struct mutex lock;
ATTACK(mutex_init_held) { mutex_init(&lock); mutex_lock(&lock); mutex_init(&lock); }
ATTACK(mutexes)
{
	struct mutex *many = vmalloc(1000 * sizeof(*many));
	int n;

	for (n = 0; n < 1000; n++) {
		mutex_init(&many[n]);
		mutex_lock(&many[n]);
	}
}

/* Timers and time. */
ATTACK(timers)
{
	struct timer_list *many = vmalloc(5000 * sizeof(*many));
	int n;

	for (n = 0; n < 5000; n++) {
		timer_setup(&many[n], on_timer, 0);
		mod_timer(&many[n], jiffies + 1000 * HZ);
	}
}
static void on_work(struct work_struct *work) {}
ATTACK(work_items)
{
	struct delayed_work *many = vmalloc(5000 * sizeof(*many));
	int n;

	for (n = 0; n < 5000; n++) {
		INIT_DELAYED_WORK(&many[n], on_work);
		schedule_delayed_work(&many[n], 1000 * HZ);
	}
}
static struct pm_qos_request latency;
ATTACK(latency_twice)
{
	cpu_latency_qos_add_request(&latency, 10);
	cpu_latency_qos_add_request(&latency, 10);
}
ATTACK(latency_unknown) { cpu_latency_qos_update_request(&latency, 10); }
/* A value that the kernel passes over in silence. */
ATTACK(latency_negative) { cpu_latency_qos_add_request(&latency, -2); }
ATTACK(latency_update)
{
	cpu_latency_qos_add_request(&latency, 10);
	cpu_latency_qos_update_request(&latency, -2);
}
ATTACK(latency_requests)
{
	struct pm_qos_request *many = vzalloc(1000 * sizeof(*many));
	int n;

	for (n = 0; n < 1000; n++)
		cpu_latency_qos_add_request(&many[n], 1000000);
}
static struct system_time_snapshot now;
static struct system_device_crosststamp cross;
/* In the time that this takes the clock changes, and the kernel asks again. */
static int read_device(ktime_t *time, struct system_counterval_t *counter, void *data)
{
	mdelay(10);
	counter->cs_id = now.cs_id;
	counter->cycles = now.cycles;
	return 0;
}
ATTACK(cross_clock)
{
	cross.clock_id = 77;
	get_device_system_crosststamp(read_device, NULL, NULL, &cross);
}
ATTACK(cross_endless)
{
	ktime_get_snapshot_id(CLOCK_REALTIME, &now);
	cross.clock_id = CLOCK_REALTIME;
	get_device_system_crosststamp(read_device, NULL, NULL, &cross);
}
ATTACK(clock_unknown) { ktime_get_with_offset(77); }
ATTACK(sleep_range) { usleep_range_state(100, 10, TASK_UNINTERRUPTIBLE); }
ATTACK(timer_add_twice)
{
	timer_setup(&timer, on_timer, 0);
	timer.expires = jiffies + 1000;
	add_timer(&timer);
	add_timer(&timer);
}
/* Two timers on two CPUs that wait for each other's function. */
static struct mutual { struct timer_list timer; bool runs; } mutual[2];
static void stop_the_other(struct timer_list *t)
{
	int n, which = t == &mutual[1].timer;
	struct mutual *own = &mutual[which], *other = &mutual[!which];

	WRITE_ONCE(own->runs, true);
	for (n = 0; n < 50 && !READ_ONCE(other->runs); n++)
		udelay(100);
	if (n < 50)
		timer_delete_sync(&other->timer);
	WRITE_ONCE(own->runs, false);
	/* With pauses, or they would be taken for what uses up the CPU. */
	mod_timer(t, jiffies + HZ / 20);
}
ATTACK(timers_wait)
{
	int n;

	timer_setup(&mutual[0].timer, stop_the_other, 0);
	timer_setup(&mutual[1].timer, stop_the_other, 0);
	mod_timer(&mutual[0].timer, jiffies + 1);
	/* The task goes where the first timer is not. */
	for (n = 0; n < 100; n++) {
		mod_timer(&mutual[1].timer, jiffies + 1);
		msleep(20);
	}
}
ATTACK(timer_setup_not_text) { timer_setup(&timer, (void *)page, 0); }
/* A timer that no import has initialised: its function is known by what lies in memory. */
ATTACK(timer_not_text) { timer.function = (void *)page; mod_timer(&timer, jiffies); }
ATTACK(delay_too_long) { __const_udelay(~0ul); }
/* Longer than an upcall may take. */
ATTACK(sleep_too_long) { msleep(61000); }
ATTACK(sleep_interruptible_too_long) { msleep_interruptible(61000); }
ATTACK(usleep_too_long) { usleep_range(61000000, 62000000); }
ATTACK(schedule_too_long) { schedule_timeout_uninterruptible(61 * HZ); }

static const struct { const char *name; void (*make)(void); } attacks[] = {
#define A(name) { #name, attack_##name }
	A(register_twice), A(free_registered), A(unregister_unregistered), A(free_twice),
	A(use_after_free), A(register_without_rtnl), A(rtnl_twice), A(rtnl_unheld),
	A(register_again), A(ethtool_beyond), A(netdev_ops_beyond), A(skb_put_after_free), A(skb_push_after_free),
	A(device_too_large), A(too_many_queues), A(not_ethernet), A(setup_not_text),
	A(napi_add_twice), A(napi_enable_twice), A(napi_disable_disabled), A(napi_unknown), A(napi_unprepared), A(napi_complete_outside),
	A(gro_outside), A(poll_for_ever), A(skb_free_twice), A(skb_over_end), A(skb_under_head),
	A(skb_by_kfree),
	A(skb_short), A(skb_inside), A(dma_direction), A(dma_length), A(dma_empty), A(dma_outside),
	A(dma_kernel_page), A(dma_own_text), A(dma_unmap_unknown), A(dma_unmap_twice),
	A(dma_unmap_length), A(dma_unmap_direction), A(dma_sync_unknown), A(dma_sync_beyond),
	A(dma_free_unknown), A(dma_free_twice), A(dma_free_length), A(config_bar),
	A(config_msi_address), A(config_msi_data), A(config_msix_enable), A(config_master),
	A(config_rom), A(config_power), A(config_bridge), A(msix_table), A(foreign_registers),
	A(foreign_memory), A(unmap_unknown), A(disable_twice), A(power_state), A(pm_count),
	A(pm_flags), A(not_a_device), A(foreign_irq), A(irq_not_text), A(free_unknown_irq),
	A(free_irq_twice), A(disable_msi_in_use), A(enable_irq_unbalanced), A(timer_add_twice),
	A(timer_setup_not_text), A(timer_not_text), A(delay_too_long),
	A(sleep_too_long), A(sleep_interruptible_too_long), A(usleep_too_long),
	A(schedule_too_long),
	A(address_too_long), A(address_list), A(address_list_endless), A(queue_unknown), A(queue_kind),
	A(not_a_queue), A(native_called), A(denied_called), A(page_pool_unknown), A(ptp_unknown),
	A(netdev_lock_held), A(netdev_lock_register), A(netdev_lock_unregister),
	A(netdev_lock_free), A(netdev_lock_missing), A(no_fragments), A(poll_over_budget),
	A(skb_length), A(skb_outside), A(skb_long), A(skb_fragments), A(skb_sum_outside),
	A(skb_received_stamped), A(skb_around_object), A(dma_overlap), A(dma_pool_unknown),
	A(dma_pool_in_use), A(size_of_no_object), A(dmi_field), A(nested),
	A(wake_unregistered), A(carrier_unregistered), A(queue_napi_unlocked), A(napi_claimed), A(napis),
	A(sum_lengths), A(address_list_again), A(ptp_alarms), A(ptp_clocks), A(ptp_self_wait), A(close_in_stop), A(rtnl_in_open),
	A(ethtool_answers), A(string_endless), A(driver_unknown), A(driver_name),
	A(driver_table), A(ports_foreign), A(region_foreign), A(region_unclaimed), A(pm_request), A(pm_unknown),
	A(rtnl_of_another), A(rtnl_left), A(netdev_lock_left), A(driver_in_probe), A(driver_under_rtnl), A(driver_under_lock),
	A(driver_for_bridge), A(drivers), A(coherent_stale), A(coherent_mapped), A(random_long), A(vmalloc_atomic),
	A(wake_in_register), A(napi_enable_removed), A(free_locked_elsewhere), A(many_devices), A(free_under_rtnl), A(irq_waits), A(mutex_init_held), A(mutexes), A(timers), A(work_items), A(latency_twice),
	A(latency_unknown), A(clock_unknown), A(sleep_range),
	A(dma_large), A(dma_mask_narrow), A(dma_mask_empty), A(managed), A(pm_self_wait), A(power_unsaved),
	A(irq_frees_neighbour), A(irq_not_started), A(irq_no_suspend),
	A(vector_number), A(latency_negative), A(latency_update), A(latency_requests), A(cross_clock),
	A(cross_endless), A(timers_wait), A(format_deep), A(timer_hog), A(timer_spins), A(address_list_slow),
	A(irq_never_rests),
	A(line_unserved), A(flags_mismatch), A(regions_twice), A(pm_count_taken), A(pm_count_dropped), A(pme_twice),
	A(power_restored), A(wakeup_raced),
};

static int probe(struct pci_dev *p, const struct pci_device_id *id)
{
	int n;

	pdev = p;
	dev = &p->dev;
	if (pci_enable_device_mem(pdev))
		return -EIO;
	dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	netdev = alloc_etherdev(64);
	if (!page || !netdev)
		return -ENOMEM;
	netdev->netdev_ops = &ops;
	SET_NETDEV_DEV(netdev, dev);
	eth_hw_addr_set(netdev, "\2\0\0\0\0\1");
	for (n = 0; n < ARRAY_SIZE(attacks); n++)
		if (!strcmp(attack, attacks[n].name))
			attacks[n].make();
	return answer;
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x8086, 0x10d3) },
	{ }
};

static struct pci_driver driver = {
	.name = "side_attack",
	.id_table = ids,
	.probe = probe,
	.driver.pm = &power,
};

static int __init attack_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	return pci_register_driver(&driver);
}

static void __exit attack_exit(void)
{
	pci_unregister_driver(&driver);
	/* The device is no longer this driver's since the probe failed. */
	if (!strcmp(attack, "device_gone"))
		pci_set_master(pdev);
}

module_init(attack_init);
module_exit(attack_exit);
MODULE_DESCRIPTION("Breaks one rule of the audit, for SIDE's selftests");
MODULE_LICENSE("GPL");

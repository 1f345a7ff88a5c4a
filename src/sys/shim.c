// SPDX-License-Identifier: GPL-2.0
/* See shim.h. */
#define INCLUDE_VERMAGIC
#include <linux/pci.h>
#include <linux/bottom_half.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kobject.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/suspend.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/timer.h>
#include <linux/vermagic.h>
#include <asm/cpuid/api.h>
#include <asm/msr.h>
#include "shim.h"

void side_local_bh_disable(void)
{
	local_bh_disable();
}

void side_local_bh_enable(void)
{
	local_bh_enable();
}

bool side_in_hardirq(void)
{
	return in_hardirq() || in_nmi();
}

u32 side_port_read(u16 port, u8 size)
{
	switch (size) {
	case 1:
		return inb(port);
	case 2:
		return inw(port);
	default:
		return inl(port);
	}
}

void side_port_write(u16 port, u8 size, u32 value)
{
	switch (size) {
	case 1:
		outb(value, port);
		break;
	case 2:
		outw(value, port);
		break;
	default:
		outl(value, port);
	}
}

u64 side_time_stamp(void)
{
	return rdtsc_ordered();
}

void side_cpuid(u32 leaf, u32 subleaf, u32 registers[4])
{
	cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2], &registers[3]);
}

bool side_in_task(void)
{
	return in_task();
}

bool side_in_atomic(void)
{
	return in_atomic() || irqs_disabled();
}

void side_cond_resched(void)
{
	cond_resched();
}

bool side_cpu_possible(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_possible(cpu);
}

static void side_kick(void *info)
{
}

void side_kick_all(void)
{
	on_each_cpu(side_kick, NULL, 0);
}

void *side_phys_to_virt(phys_addr_t phys)
{
	return phys_to_virt(phys);
}

phys_addr_t side_page_to_phys(struct page *page)
{
	return page_to_phys(page);
}

struct page *side_alloc_pages(unsigned int order)
{
	return alloc_pages(GFP_ATOMIC | __GFP_ZERO | __GFP_NOWARN, order);
}

void side_copy(void *to, const void *from, size_t bytes)
{
	unsigned long words = bytes / 8;

	/*
	 * memcpy() of a CPU without fast byte copies is a loop of three instructions a word; this is one on
	 * any, and the same microcode where copies are fast.
	 */
	asm volatile("rep movsq" : "+D" (to), "+S" (from), "+c" (words) : : "memory");
	words = bytes % 8;
	asm volatile("rep movsb" : "+D" (to), "+S" (from), "+c" (words) : : "memory");
}

static char *driver;
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Path of the driver file to load: .ko, .ko.xz or .ko.zst");

static char *params;
module_param(params, charp, 0444);
MODULE_PARM_DESC(params, "The driver's own module parameters, as \"name=value name=value\"");

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "Only this PCI device, for instance 0000:00:02.0 (default: every device that matches)");

static bool takeover;
module_param(takeover, bool, 0444);
MODULE_PARM_DESC(takeover, "Unbind devices that another driver holds (default: leave them alone)");

static bool allow_missing;
module_param(allow_missing, bool, 0444);
MODULE_PARM_DESC(allow_missing, "Load a driver with unknown imports; a call of one ends its domain");

const char *side_param_string(unsigned int which)
{
	char *const values[] = { driver, params, device };

	return which < ARRAY_SIZE(values) ? values[which] : NULL;
}

bool side_param_takeover(void)
{
	return takeover;
}

bool side_param_allow_missing(void)
{
	return allow_missing;
}

const char *side_vermagic(void)
{
	return VERMAGIC_STRING;
}

/* A folder with a number in it; freed by the last reference, files may still be open then. */
struct side_folder {
	struct kobject kobj;
	u64 key;
};

static void side_folder_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct side_folder, kobj));
}

static const struct kobj_type side_folder_type = {
	.release = side_folder_release,
	.sysfs_ops = &kobj_sysfs_ops,
};

struct side_folder *side_folder_create(const char *name, struct kobject *parent, u64 key)
{
	struct side_folder *folder = kzalloc(sizeof(*folder), GFP_KERNEL);

	if (!folder)
		return NULL;
	folder->key = key;
	if (kobject_init_and_add(&folder->kobj, &side_folder_type, parent, "%s", name)) {
		kobject_put(&folder->kobj);
		return NULL;
	}
	return folder;
}

void side_ndelay(u64 ns)
{
	if (ns >= 1000)
		udelay(ns / 1000);
	ndelay(ns % 1000);
}

bool side_timer_pending(const struct timer_list *timer)
{
	return timer_pending(timer);
}

void side_work_init(struct delayed_work *work, void (*function)(struct work_struct *))
{
	INIT_DELAYED_WORK(work, function);
}

bool side_work_queue(struct delayed_work *work, unsigned long delay)
{
	return queue_delayed_work(system_percpu_wq, work, delay);
}

bool side_work_requeue(struct delayed_work *work, unsigned long delay)
{
	return mod_delayed_work(system_percpu_wq, work, delay);
}

bool side_work_cancel(struct delayed_work *work)
{
	return cancel_delayed_work(work);
}

bool side_work_pending(const struct delayed_work *work)
{
	return work_pending(&work->work);
}

/* Deferred calls. */
struct side_later {
	struct work_struct work;
	void (*function)(void *domain, size_t extra);
	void *domain;
	size_t extra;
};

static struct workqueue_struct *side_later_queue;

/* The machine goes to sleep, sleeps, or wakes. */
static bool side_asleep;

bool side_is_asleep(void)
{
	return READ_ONCE(side_asleep);
}

static int side_sleep(struct notifier_block *unused, unsigned long event, void *data)
{
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(side_asleep, true);
		side_wait_for_loading();
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		WRITE_ONCE(side_asleep, false);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block side_sleep_notifier = { .notifier_call = side_sleep };

int side_later_init(void)
{
	int status;

	side_later_queue = alloc_workqueue("side", WQ_UNBOUND, 0);
	if (!side_later_queue)
		return -ENOMEM;
	status = register_pm_notifier(&side_sleep_notifier);
	if (status)
		destroy_workqueue(side_later_queue);
	return status;
}

struct side_elsewhere {
	struct work_struct work;
	void (*function)(void *data);
	void *data;
};

static void side_elsewhere_run(struct work_struct *work)
{
	struct side_elsewhere *elsewhere = container_of(work, struct side_elsewhere, work);

	elsewhere->function(elsewhere->data);
}

void side_elsewhere(void (*function)(void *), void *data)
{
	struct side_elsewhere elsewhere = { .function = function, .data = data };

	INIT_WORK_ONSTACK(&elsewhere.work, side_elsewhere_run);
	queue_work(side_later_queue, &elsewhere.work);
	flush_work(&elsewhere.work);
	destroy_work_on_stack(&elsewhere.work);
}

static void side_later_run(struct work_struct *work)
{
	struct side_later *later = container_of(work, struct side_later, work);

	later->function(later->domain, later->extra);
	kfree(later);
}

struct side_later *side_later_new(bool may_sleep)
{
	struct side_later *later = kmalloc(sizeof(*later), may_sleep ? GFP_KERNEL : GFP_ATOMIC);

	if (later)
		INIT_WORK(&later->work, side_later_run);
	return later;
}

void side_later_go(struct side_later *later, void (*function)(void *, size_t), void *domain, size_t extra)
{
	later->function = function;
	later->domain = domain;
	later->extra = extra;
	queue_work(side_later_queue, &later->work);
}

void side_later_free(struct side_later *later)
{
	kfree(later);
}

void side_later_exit(void)
{
	unregister_pm_notifier(&side_sleep_notifier);
	destroy_workqueue(side_later_queue);
}

int side_pci_choose_state(struct pci_dev *dev, int event)
{
	return (__force int)pci_choose_state(dev, (pm_message_t){ .event = event });
}

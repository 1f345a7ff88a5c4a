// SPDX-License-Identifier: GPL-2.0
/* See shim.h. */
#include <linux/bottom_half.h>
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include "shim.h"

#if defined(CONFIG_DEBUG_SPINLOCK) || defined(CONFIG_LOCKDEP)
#error "SIDE's locks are moved while unlocked, which lock debugging does not allow"
#endif

void side_local_bh_disable(void)
{
	local_bh_disable();
}

void side_local_bh_enable(void)
{
	local_bh_enable();
}

void side_local_irq_disable(void)
{
	local_irq_disable();
}

void side_local_irq_enable(void)
{
	local_irq_enable();
}

bool side_irqs_disabled(void)
{
	return irqs_disabled();
}

bool side_in_hardirq(void)
{
	return in_hardirq() || in_nmi();
}

bool side_in_atomic(void)
{
	return in_atomic() || irqs_disabled();
}

void side_cond_resched(void)
{
	cond_resched();
}

unsigned int side_smp_processor_id(void)
{
	return raw_smp_processor_id();
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

void side_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void side_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
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
	memcpy(to, from, bytes);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel as real functions: what Rust cannot call.
 * Nothing is decided here.
 */
#ifndef SIDE_SHIM_H
#define SIDE_SHIM_H

#include <linux/types.h>
#include <linux/spinlock_types.h>

/* Context of this CPU. */
void side_local_bh_disable(void);
void side_local_bh_enable(void);
void side_local_irq_disable(void);
void side_local_irq_enable(void);
bool side_irqs_disabled(void);
bool side_in_hardirq(void);
bool side_in_task(void);
bool side_in_atomic(void);
void side_cond_resched(void);
unsigned int side_smp_processor_id(void);
bool side_cpu_possible(unsigned int cpu);
void side_kick_all(void);

/* Locks. */
void side_spin_lock_bh(spinlock_t *lock);
void side_spin_unlock_bh(spinlock_t *lock);

/* Memory. */
struct page *side_alloc_pages(unsigned int order);
void side_copy(void *to, const void *from, size_t bytes);
void *side_phys_to_virt(phys_addr_t phys);
phys_addr_t side_page_to_phys(struct page *page);

/* Messages. */
bool side_print_allowed(void);

/* Time. */
struct timer_list;
struct delayed_work;
struct work_struct;
void side_ndelay(u64 ns);
bool side_timer_pending(const struct timer_list *timer);
void side_work_init(struct delayed_work *work, void (*function)(struct work_struct *));
bool side_work_queue(struct delayed_work *work, unsigned long delay);
bool side_work_requeue(struct delayed_work *work, unsigned long delay);
bool side_work_cancel(struct delayed_work *work);
bool side_work_pending(const struct delayed_work *work);

/* Module parameters and build facts. */
const char *side_param_string(unsigned int which);
bool side_param_takeover(void);
bool side_param_allow_missing(void);
const char *side_vermagic(void);

/* Deferred calls. */
bool side_later(void (*function)(void *, size_t), void *domain, size_t extra);
int side_later_init(void);
void side_later_flush(void);
void side_later_exit(void);

/* sysfs. */
struct kobject;
struct side_folder *side_folder_create(const char *name, struct kobject *parent, u64 key);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel as real functions: what Rust cannot call.
 * Nothing is decided here.
 */
#ifndef SIDE_SHIM_H
#define SIDE_SHIM_H

#include <linux/types.h>
#include <linux/preempt.h>

/* Context of this CPU. */
void side_local_bh_disable(void);
void side_local_bh_enable(void);
bool side_in_hardirq(void);
bool side_in_task(void);
bool side_in_atomic(void);
void side_cond_resched(void);
bool side_cpu_possible(unsigned int cpu);
void side_kick_all(void);

/* The part of the preempt count that counts bottom halves and what holds them off. */
static const u32 side_softirq_mask = SOFTIRQ_MASK;
static const unsigned long side_thread_size = THREAD_SIZE;

/* Memory. */
struct page *side_alloc_pages(unsigned int order);
void side_copy(void *to, const void *from, size_t bytes);
void *side_phys_to_virt(phys_addr_t phys);
phys_addr_t side_page_to_phys(struct page *page);

/* Instructions that the kernel carries out for a driver. Sizes: 1, 2 or 4 bytes. */
u32 side_port_read(u16 port, u8 size);
void side_port_write(u16 port, u8 size, u32 value);
u64 side_time_stamp(void);
void side_cpuid(u32 leaf, u32 subleaf, u32 registers[4]);

/* Tracepoints. */
void side_trace_fault(const char *driver, u8 vector, u64 error, u64 address, u64 ip);
void side_trace_death(const char *driver, const char *rule, const char *upcall, u64 value, u64 ip);
void side_trace_recovery(const char *driver, u64 took_ns);
struct device;
void side_coredump(struct device *device, void *data, size_t length);

/* Messages. */

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
void side_elsewhere(void (*function)(void *), void *data);
struct side_later;
struct side_later *side_later_new(bool may_sleep);
void side_later_go(struct side_later *later, void (*function)(void *, size_t), void *domain, size_t extra);
void side_later_free(struct side_later *later);
int side_later_init(void);
void side_later_exit(void);
/* Between the begin of a system transition and its end. No load is in progress then. */
bool side_is_asleep(void);
/* In src/sys/defer.rs. */
void side_wait_for_loading(void);

/* sysfs. */
struct pci_dev;
struct kobject;
struct side_folder *side_folder_create(const char *name, struct kobject *parent, u64 key);

int side_pci_choose_state(struct pci_dev *dev, int event);
#endif

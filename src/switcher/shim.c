// SPDX-License-Identifier: GPL-2.0
/* See shim.h. */
#include <linux/cc_platform.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/percpu.h>
#include <linux/pgtable.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/gsseg.h>
#include <asm/segment.h>
#include "shim.h"

void side_switch_processor_read(struct side_processor *out)
{
	out->fred = boot_cpu_has(X86_FEATURE_FRED);
	out->xen_pv = boot_cpu_has(X86_FEATURE_XENPV);
	out->memory_encryption = cc_platform_has(CC_ATTR_MEM_ENCRYPT);
	out->tdx_guest = boot_cpu_has(X86_FEATURE_TDX_GUEST);
	out->encrypted_state = cc_platform_has(CC_ATTR_GUEST_STATE_ENCRYPT);
	out->apx = boot_cpu_has(X86_FEATURE_APX);
	out->amx = boot_cpu_has(X86_FEATURE_AMX_TILE);
	out->fsgsbase = boot_cpu_has(X86_FEATURE_FSGSBASE);
	out->protection_keys = boot_cpu_has(X86_FEATURE_OSPKE);
	out->user_shadow_stack = boot_cpu_has(X86_FEATURE_USER_SHSTK);
	out->kernel_ibrs = boot_cpu_has(X86_FEATURE_KERNEL_IBRS);
	out->intel_sysenter = boot_cpu_data.x86_vendor != X86_VENDOR_AMD &&
			      boot_cpu_data.x86_vendor != X86_VENDOR_HYGON;
	out->debug_store = boot_cpu_has(X86_FEATURE_DS) &&
			   boot_cpu_data.x86_vendor == X86_VENDOR_INTEL;
	out->umip = boot_cpu_has(X86_FEATURE_UMIP);
	out->lass = boot_cpu_has(X86_FEATURE_LASS);
}

void side_switch_places_read(unsigned int cpu, struct side_places *out)
{
	struct cpu_entry_area *area = get_cpu_entry_area(cpu);

	out->gdt = (u64)&area->gdt;
	out->tss = (u64)&area->tss;
	out->tss_rw = (u64)per_cpu_ptr(&cpu_tss_rw, cpu);
	out->dr7 = (u64)per_cpu_ptr(&cpu_dr7, cpu);
	out->spec_ctrl = (u64)per_cpu_ptr(&x86_spec_ctrl_current, cpu);
	out->sp0 = (u64)(cpu_entry_stack(cpu) + 1);
	out->gs_base = cpu_kernelmode_gs_base(cpu);
	out->entry_area = (u64)area;
}

bool side_switch_cpu_possible(unsigned int cpu)
{
	return cpu_possible(cpu);
}

unsigned int side_switch_cpu_ids(void)
{
	return nr_cpu_ids;
}

void *side_switch_page_alloc(bool may_sleep)
{
	return (void *)get_zeroed_page(may_sleep ? GFP_KERNEL : GFP_ATOMIC | __GFP_NOWARN);
}

void side_switch_page_free(void *page)
{
	free_page((unsigned long)page);
}

void side_switch_load_ds(u16 selector)
{
	loadsegment(ds, selector);
}

void side_switch_load_es(u16 selector)
{
	loadsegment(es, selector);
}

void side_switch_load_fs(u16 selector)
{
	loadsegment(fs, selector);
}

void side_switch_load_gs(u16 selector)
{
	native_load_gs_index(selector);
}

bool side_switch_kernel_executes(void *address)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)address, &level);

	/* At a higher level the entry's bits have the same places. */
	return pte && pte_present(*pte) && !(pte_flags(*pte) & _PAGE_NX);
}

static void side_switch_kick(void *info)
{
}

void side_switch_kick_all(void)
{
	smp_call_function(side_switch_kick, NULL, 1);
}

/* The clock of a stay in ring 3; see tick.rs. */
#define TICK_NS (1 * NSEC_PER_MSEC)

static DEFINE_PER_CPU(struct hrtimer, side_tick);

static enum hrtimer_restart side_switch_tick(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

void side_switch_tick_setup(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_setup(per_cpu_ptr(&side_tick, cpu), side_switch_tick, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_HARD);
}

void side_switch_tick_arm(void)
{
	struct hrtimer *timer = this_cpu_ptr(&side_tick);

	if (!hrtimer_is_queued(timer))
		hrtimer_start(timer, ns_to_ktime(TICK_NS), HRTIMER_MODE_REL_PINNED_HARD);
}

void side_switch_tick_cancel(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(per_cpu_ptr(&side_tick, cpu));
}

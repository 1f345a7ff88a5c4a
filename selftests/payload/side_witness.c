// SPDX-License-Identifier: GPL-2.0
/*
 * An ordinary module, for the kernel itself: tells the tests where the structures lie that hostile
 * payloads attack, and changes nothing. Its parameters are addresses.
 */
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/processor.h>

static ulong idt, gdt, tss, percpu, task, stack;
module_param(idt, ulong, 0444);
module_param(gdt, ulong, 0444);
module_param(tss, ulong, 0444);
module_param(percpu, ulong, 0444);
module_param(task, ulong, 0444);
module_param(stack, ulong, 0444);

static int __init witness_init(void)
{
	struct desc_ptr table;

	store_idt(&table);
	idt = table.address;
	gdt = (ulong)&get_cpu_entry_area(0)->gdt;
	tss = (ulong)&get_cpu_entry_area(0)->tss;
	percpu = (ulong)per_cpu_ptr(&cpu_tss_rw, 0);
	task = (ulong)current;
	stack = (ulong)&table;
	return 0;
}

static void __exit witness_exit(void)
{
}

module_init(witness_init);
module_exit(witness_exit);
MODULE_DESCRIPTION("Addresses for SIDE's selftests");
MODULE_LICENSE("GPL");

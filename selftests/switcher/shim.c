// SPDX-License-Identifier: GPL-2.0
/* The production source, compiled into the test module. */
#include "../../src/switcher/shim.c"

#include <linux/hardirq.h>
#include <asm/nmi.h>

u64 side_selftest_nmi_count(unsigned int cpu);

/* Where this CPU's count of NMIs is, for a reader outside of the guest. */
u64 side_selftest_nmi_count(unsigned int cpu)
{
	return slow_virt_to_phys(&per_cpu_ptr(&irq_stat, cpu)->counts[IRQ_COUNT_NMI]);
}

/* The injected NMIs are nobody's: without this each would print three lines on the console. */
int side_selftest_claim_nmis(void);
void side_selftest_leave_nmis(void);

static int side_selftest_nmi(unsigned int type, struct pt_regs *regs)
{
	return NMI_HANDLED;
}

int side_selftest_claim_nmis(void)
{
	return register_nmi_handler(NMI_LOCAL, side_selftest_nmi, 0, "side_selftest");
}

void side_selftest_leave_nmis(void)
{
	unregister_nmi_handler(NMI_LOCAL, "side_selftest");
}

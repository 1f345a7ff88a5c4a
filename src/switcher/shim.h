/* SPDX-License-Identifier: GPL-2.0 */
/* What the switcher needs of the kernel's inline functions and macros. Nothing is decided here. */
#ifndef SIDE_SWITCHER_SHIM_H
#define SIDE_SWITCHER_SHIM_H

#include <linux/types.h>

/* What the CPU, as Linux uses it, has. Mirrored in processor.rs. */
struct side_processor {
	bool fred;
	bool xen_pv;
	bool memory_encryption;
	bool tdx_guest;
	bool encrypted_state;
	bool apx;
	bool amx;
	bool fsgsbase;
	bool protection_keys;
	bool user_shadow_stack;
	bool kernel_ibrs;
	bool intel_sysenter;
	bool debug_store;
	bool umip;
	bool lass;
};

/* Where one CPU keeps what a crossing touches. Mirrored in processor.rs. */
struct side_places {
	u64 gdt;
	u64 tss;		/* as the CPU sees it: read-only */
	u64 tss_rw;		/* the same memory, writable */
	u64 dr7;		/* address of cpu_dr7 */
	u64 spec_ctrl;		/* address of x86_spec_ctrl_current */
	u64 sp0;		/* what Linux keeps in the TSS */
	u64 gs_base;
	u64 entry_area;
};

void side_switch_processor_read(struct side_processor *out);
void side_switch_places_read(unsigned int cpu, struct side_places *out);
bool side_switch_cpu_possible(unsigned int cpu);
unsigned int side_switch_cpu_ids(void);
void *side_switch_page_alloc(bool may_sleep);
void side_switch_page_free(void *page);
void side_switch_load_ds(u16 selector);
void side_switch_load_es(u16 selector);
void side_switch_load_fs(u16 selector);
void side_switch_load_gs(u16 selector);
bool side_switch_kernel_executes(void *address);
void side_switch_kick_all(void);
void side_switch_tick_setup(void);
void side_switch_tick_arm(void);
void side_switch_tick_cancel(void);

#endif

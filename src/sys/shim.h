/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel as real functions: what Rust cannot call.
 * Nothing is decided here.
 */
#ifndef SIDE_SHIM_H
#define SIDE_SHIM_H

#include <linux/types.h>

struct page;

void side_local_bh_disable(void);
void side_local_bh_enable(void);

#endif

// SPDX-License-Identifier: GPL-2.0
/* See shim.h. */
#include <linux/bottom_half.h>
#include "shim.h"

void side_local_bh_disable(void)
{
	local_bh_disable();
}

void side_local_bh_enable(void)
{
	local_bh_enable();
}

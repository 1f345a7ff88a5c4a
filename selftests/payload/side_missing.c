// SPDX-License-Identifier: GPL-2.0
/*
 * A driver with two imports that SIDE will never have, for `allow_missing`. With call=1 its
 * initialisation calls one of them. It refuses to run in the kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/fs.h>
#include <linux/module.h>

static int call;
module_param(call, int, 0444);

static int __init missing_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	if (call)
		filp_close(filp_open("/etc/shadow", O_RDONLY, 0), NULL);
	return 0;
}

static void __exit missing_exit(void)
{
}

module_init(missing_init);
module_exit(missing_exit);
MODULE_DESCRIPTION("Has imports that SIDE does not know, for SIDE's selftests");
MODULE_LICENSE("GPL");

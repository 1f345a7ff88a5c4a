// SPDX-License-Identifier: GPL-2.0
/*
 * Makes one allocation of another module fail, for tests on a kernel that has no fault injection of its own.
 *
 * Probes sit on the functions that give memory. A call that comes from the text between `from` and `to` counts;
 * the one with number `nth` answers as if there were no memory, and never gets to the function. Writing 0 to
 * `seen` begins to count anew.
 */

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static unsigned long from, to;
module_param(from, ulong, 0);
MODULE_PARM_DESC(from, "address of the text whose calls count");
module_param(to, ulong, 0);
MODULE_PARM_DESC(to, "address behind it");

static int nth;
module_param(nth, int, 0644);
MODULE_PARM_DESC(nth, "number of the call that fails; 0: none");

static atomic_t calls;

static int seen_set(const char *text, const struct kernel_param *kp)
{
	int value, error = kstrtoint(text, 0, &value);

	if (!error)
		atomic_set(&calls, value);
	return error;
}

static int seen_get(char *text, const struct kernel_param *kp)
{
	return sysfs_emit(text, "%d\n", atomic_read(&calls));
}

static const struct kernel_param_ops seen_ops = { .set = seen_set, .get = seen_get };
module_param_cb(seen, &seen_ops, NULL, 0644);
MODULE_PARM_DESC(seen, "how many calls there were");

static char last[64] = "none";
module_param_string(last, last, sizeof(last), 0444);
MODULE_PARM_DESC(last, "the function that failed last");

/* What a probed function would have returned to: a return to its caller, with the answer in rax. */
asmlinkage void side_failing_return(void);
asm(".pushsection .text\n"
    ".globl side_failing_return\n"
    ".type side_failing_return, @function\n"
    "side_failing_return:\n"
    ANNOTATE_NOENDBR "\n"
    ASM_RET
    ".size side_failing_return, . - side_failing_return\n"
    ".popsection\n");

struct point {
	struct kprobe probe;
	long answer;
	/* The argument that is the size, counted from 1: a size of 0 asks for a free. */
	int size;
};

static int before(struct kprobe *probe, struct pt_regs *regs)
{
	struct point *point = container_of(probe, struct point, probe);
	unsigned long caller = *(unsigned long *)regs->sp;

	if (caller < from || caller >= to)
		return 0;
	if (point->size && !regs_get_kernel_argument(regs, point->size - 1))
		return 0;
	if (atomic_inc_return(&calls) != READ_ONCE(nth))
		return 0;
	strscpy(last, probe->symbol_name, sizeof(last));
	regs->ax = point->answer;
	regs->ip = (unsigned long)side_failing_return;
	return 1;
}
NOKPROBE_SYMBOL(before);

#define POINT(name, what, number) \
	{ .probe = { .symbol_name = name, .pre_handler = before }, .answer = what, .size = number }

static struct point points[] = {
	POINT("rust_helper_krealloc_node_align", 0, 2),
	POINT("rust_helper_vrealloc_node_align", 0, 2),
	POINT("rust_helper_kvrealloc_node_align", 0, 2),
	POINT("alloc_pages_noprof", 0, 0),
	POINT("__kmalloc_cache_noprof", 0, 0),
	POINT("dma_alloc_attrs", 0, 0),
	POINT("alloc_etherdev_mqs", 0, 0),
	POINT("__netdev_alloc_skb", 0, 0),
	POINT("napi_alloc_skb", 0, 0),
	POINT("iommu_paging_domain_alloc_flags", -ENOMEM, 0),
	POINT("pci_alloc_irq_vectors", -ENOSPC, 0),
	POINT("register_netdevice", -ENOMEM, 0),
	POINT("__pci_register_driver", -ENOMEM, 0),
	POINT("sysfs_create_file_ns", -ENOMEM, 0),
	POINT("request_threaded_irq", -ENOMEM, 0),
};

static int __init failing_init(void)
{
	int n, error = 0;

	for (n = 0; n < ARRAY_SIZE(points); n++) {
		error = register_kprobe(&points[n].probe);
		if (error) {
			pr_err("side_failing: no probe on %s (%d)\n", points[n].probe.symbol_name, error);
			break;
		}
	}
	if (error)
		while (n--)
			unregister_kprobe(&points[n].probe);
	return error;
}

static void __exit failing_exit(void)
{
	for (int n = 0; n < ARRAY_SIZE(points); n++)
		unregister_kprobe(&points[n].probe);
}

module_init(failing_init);
module_exit(failing_exit);
MODULE_DESCRIPTION("Makes allocations of another module fail");
MODULE_LICENSE("GPL");

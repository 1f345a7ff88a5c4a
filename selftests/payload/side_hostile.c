// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile driver. Its parameter `attack` chooses what init_module tries; each try must end the
 * domain with the report that selftests/tests/hostile.sh expects, and leave the machine as it was.
 * Never to be loaded into the kernel itself: it refuses there, since it looks at its own CPL.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

static int attack;
module_param(attack, int, 0444);
static ulong address;
module_param(address, ulong, 0444);

static struct timer_list spinner;
static char data_page[64] = { 0xc3 };

static noinline void spin(struct timer_list *unused)
{
	for (;;)
		asm volatile("" ::: "memory");
}

static noinline int recurse(int depth)
{
	volatile char room[512];

	room[0] = depth;
	return recurse(depth + 1) + room[0];
}

/* Not inline, nor unrolled: each copy of the warning would be one of its own. */
static noinline void warn_once(void)
{
	WARN_ON_ONCE(attack == 9);
}

/* What a driver may do: each is reported or emulated, and the driver goes on. */
static noinline void harmless(void)
{
	unsigned long flags;
	int n;

	WARN_ON(attack == 9);
	WARN(attack == 9, "the answer is %d", 42);
	for (n = 0; n < 3; n++)
		warn_once();
	asm volatile("pushfq; pop %0; cli; nop; push %0; popfq; sti; stac; clac"
		     : "=&r"(flags) :: "memory");
	asm volatile("rdpmc" :: "c"(0) : "eax", "edx");
	_printk(KERN_INFO "side_hostile: went on\n");
}

static noinline void attack_memory(void)
{
	volatile unsigned long *target = (void *)address;

	switch (attack) {
	case 1:
		*target;
		break;
	case 2:
		*target = 1;
		break;
	case 3:
		asm volatile("call *%0" :: "r"(target) : "memory");
		break;
	case 4:
		asm volatile("call *%0" :: "r"(data_page) : "memory");
		break;
	case 5:
		recurse(0);
		break;
	case 6:
		spin(NULL);
		break;
	case 7:
		asm volatile("cli");
		spin(NULL);
		break;
	case 8:
		timer_setup(&spinner, spin, 0);
		mod_timer(&spinner, jiffies);
		break;
	case 9:
		harmless();
		break;
	case 10:
		BUG_ON(attack == 10);
		break;
	case 11:
		/* All of the state that belongs to the interrupted program, one after the other. */
		asm volatile("pxor %%xmm0, %%xmm0" ::: "memory");
		break;
	case 12:
		asm volatile("fninit");
		break;
	case 13:
		asm volatile("fxrstor (%0)" :: "r"(data_page) : "memory");
		break;
	}
}

static noinline void attack_instruction(void)
{
	unsigned long word = 0;
	struct { u16 limit; u64 base; } __packed table = { 0, 0 };
	struct { u32 offset; u16 selector; } __packed far = { 0, 0x23 };

	switch (attack) {
	case 20: asm volatile("hlt"); break;
	case 21: asm volatile("mov %%cr3, %0" : "=r"(word)); break;
	case 22: asm volatile("mov %0, %%cr0" :: "r"(word)); break;
	case 23: asm volatile("rdmsr" :: "c"(0xc0000080) : "eax", "edx"); break;
	case 24: asm volatile("wrmsr" :: "c"(0xc0000080), "a"(0), "d"(0)); break;
	case 25: asm volatile("lgdt %0" :: "m"(table)); break;
	case 26: asm volatile("lidt %0" :: "m"(table)); break;
	case 27: asm volatile("invlpg (%0)" :: "r"(data_page)); break;
	case 28: asm volatile("wbinvd"); break;
	case 29: asm volatile("swapgs"); break;
	case 30: asm volatile("mov %0, %%dr7" :: "r"(word)); break;
	case 31: asm volatile("inb $0x60, %%al" ::: "eax"); break;
	case 32: asm volatile("outb %%al, $0x80" ::: "memory"); break;
	case 33: asm volatile("ltr %w0" :: "r"(0)); break;
	case 34: asm volatile("lldt %w0" :: "r"(0)); break;
	case 35: asm volatile("clts"); break;
	case 36: asm volatile("xsetbv" :: "c"(0), "a"(1), "d"(0)); break;
	case 40: asm volatile("syscall" ::: "rcx", "r11", "memory"); break;
	case 41: asm volatile("sysenter"); break;
	case 42: asm volatile("int $0x80"); break;
	case 43: asm volatile("int3"); break;
	case 44: asm volatile("int $0x20"); break;
	case 45: asm volatile("ljmpl *%0" :: "m"(far)); break;
	case 46: asm volatile("pushq $0x23; pushq $0; lretq"); break;
	case 47: asm volatile("pushfq; orl $0x100, (%%rsp); popfq; nop" ::: "memory"); break;
	case 48: asm volatile("ud2"); break;
	case 49: asm volatile("int $2"); break;
	case 50: asm volatile("movaps %%xmm0, %%xmm1" ::: "memory"); break;
	case 51: asm volatile("fld1"); break;
	case 52: asm volatile("iretq"); break;
	case 53: asm volatile("sysretq"); break;
	}
}

/* Bad pointers as arguments of each kind of import. */
static noinline void attack_argument(void)
{
	void *bad = (void *)address;
	u32 sink;

	switch (attack) {
	case 60: _printk(bad); break;
	case 61: kfree(bad); break;
	case 62: netif_carrier_on(bad); break;
	case 63: pci_set_master(bad); break;
	case 64: mod_timer(bad, jiffies); break;
	case 65: dma_free_coherent(bad, 4096, bad, 0); break;
	case 66: consume_skb(bad); break;
	case 67: iounmap(bad); break;
	case 68: free_netdev(bad); break;
	case 69: napi_enable(bad); break;
	case 70: unregister_netdev(bad); break;
	case 71: pci_unregister_driver(bad); break;
	case 72: free_irq(11, bad); break;
	case 73: queue_work_on(0, bad, bad); break;
	case 74: mutex_lock(bad); break;
	case 76: vfree(bad); break;
	case 77: asm volatile("" :: "r"(strlen(bad))); break;
	case 78: netif_receive_skb(bad); break;
	case 79: register_netdev(bad); break;
	case 80: pci_read_config_dword(bad, 0, &sink); break;
	case 81: cancel_work_sync(bad); break;
	case 82: sink = __pci_register_driver(bad, THIS_MODULE, "side_hostile"); break;
	case 83: netif_napi_del(bad); break;
	case 84: memcpy(bad, data_page, sizeof(data_page)); break;
	}
}

static int __init hostile_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	_printk(KERN_INFO "side_hostile: attack %d at %lx\n", attack, address);
	if (attack < 20)
		attack_memory();
	else if (attack < 60)
		attack_instruction();
	else
		attack_argument();
	return 0;
}

static void __exit hostile_exit(void)
{
}

module_init(hostile_init);
module_exit(hostile_exit);
MODULE_DESCRIPTION("Hostile payloads for SIDE's selftests");
MODULE_LICENSE("GPL");

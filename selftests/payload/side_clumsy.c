// SPDX-License-Identifier: GPL-2.0
/*
 * A clumsy driver: what its parameter `mistake` names breaks a rule of timers, work, locks, memory
 * or time, and must end the domain by the rule that selftests/tests/clumsy.sh expects. Mistake 0 is
 * a round of correct use. It refuses to run in the kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/crc32.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timecounter.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

static int mistake;
module_param(mistake, int, 0444);

static struct timer_list timer;
static struct work_struct work;
static struct delayed_work later;
static DEFINE_MUTEX(mutex);
static DEFINE_MUTEX(other);
static DEFINE_SPINLOCK(lock);
static unsigned int fired, worked;

/* Dies in the way of a null pointer. */
static void fail(void)
{
	WRITE_ONCE(*(volatile int *)8, 1);
}

static void on_timer(struct timer_list *t)
{
	switch (mistake) {
	case 1:
		for (;;)
			mdelay(5);
	case 2:
		timer_delete_sync(t);
		break;
	case 3:
		msleep(1);
		break;
	case 4:
		for (;;)
			kfree(kmalloc(64, GFP_ATOMIC));
	}
	fired++;
	if (mistake == 20)
		mod_timer(t, jiffies);
}

static void on_work(struct work_struct *w)
{
	switch (mistake) {
	case 5:
		cancel_work_sync(w);
		break;
	case 6:
		mutex_unlock(&mutex);
		break;
	case 7:
		mutex_lock(&other);
		mutex_lock(&mutex);
		break;
	case 21:
		rtnl_lock();
		msleep(50000);
		break;
	case 22:
		rtnl_lock();
		fail();
		break;
	case 23:
		mutex_lock(&mutex);
		fail();
		break;
	case 24:
		spin_lock_irq(&lock);
		fail();
		break;
	case 25:
		rtnl_lock();
		break;
	}
	worked++;
	if (mistake == 20)
		schedule_work(w);
}

static u64 no_cycles(struct cyclecounter *cc)
{
	return 1000;
}

/* Correct use: what each call answers is checked. Returns the number of the first that is wrong. */
static int correct(void)
{
	struct cyclecounter cc = { .read = no_cycles, .mask = ~0ull, .mult = 1 << 4, .shift = 4 };
	struct timecounter tc;
	char text[64], *copy;
	u8 *page;
	int n, waits;

	if (snprintf(text, sizeof(text), "%5d|%-4x|%s|%pM", -12, 0xab, "word", "\1\2\3\4\5\6") != 33)
		return 1;
	if (strcmp(text, "  -12|ab  |word|01:02:03:04:05:06"))
		return 2;
	copy = kstrdup(text, GFP_KERNEL);
	if (!copy || strcmp(copy, text))
		return 3;
	copy = krealloc(copy, 5000, GFP_KERNEL | __GFP_ZERO);
	if (!copy || strcmp(copy, text))
		return 4;
	kfree(copy);
	page = vzalloc(3 * PAGE_SIZE);
	if (!page || memchr_inv(page, 0, 3 * PAGE_SIZE))
		return 5;
	vfree(page);
	if (crc32_le(~0, "123456789", 9) != ~0xcbf43926)
		return 6;
	timecounter_init(&tc, &cc, 5);
	if (timecounter_read(&tc) != 5)
		return 7;
	for (n = 0; n < 3; n++) {
		fired = 0;
		/* Late enough for a machine that loses its CPU for a while. */
		mod_timer(&timer, jiffies + 60 * HZ);
		if (!timer_pending(&timer) || !mod_timer(&timer, jiffies + 2))
			return 8;
		for (waits = 0; waits < 1000 && !fired; waits++)
			msleep(10);
		if (fired != 1 || timer_pending(&timer) || timer_delete_sync(&timer))
			return 9;
		mod_timer(&timer, jiffies + 60 * HZ);
		if (timer_delete_sync(&timer) != 1 || timer_pending(&timer))
			return 10;
		worked = 0;
		if (!schedule_work(&work))
			return 11;
		flush_work(&work);
		if (worked != 1 || work_pending(&work) || cancel_work_sync(&work))
			return 12;
		if (!schedule_delayed_work(&later, 60 * HZ) || !delayed_work_pending(&later))
			return 13;
		if (!cancel_delayed_work_sync(&later) || worked != 1)
			return 14;
		schedule_delayed_work(&later, 60 * HZ);
		flush_delayed_work(&later);
		if (worked != 2)
			return 15;
	}
	timer_shutdown_sync(&timer);
	fired = 0;
	mod_timer(&timer, jiffies);
	msleep(20);
	if (fired)
		return 16;
	mutex_lock(&mutex);
	if (!mutex_is_locked(&mutex) || !mutex_trylock(&other))
		return 17;
	mutex_unlock(&other);
	mutex_unlock(&mutex);
	if (mutex_is_locked(&mutex))
		return 18;
	return 0;
}

static int __init clumsy_init(void)
{
	unsigned int cs;
	char *memory;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	timer_setup(&timer, on_timer, 0);
	INIT_WORK(&work, on_work);
	INIT_DELAYED_WORK(&later, on_work);
	memory = kmalloc(100, GFP_KERNEL);
	switch (mistake) {
	case 0:
		kfree(memory);
		return -correct();
	case 1 ... 4:
		mod_timer(&timer, jiffies);
		break;
	case 6:
		mutex_lock(&mutex);
		fallthrough;
	case 5:
		schedule_work(&work);
		msleep(2000);
		break;
	case 7:
		mutex_lock(&mutex);
		schedule_work(&work);
		msleep(100);
		mutex_lock(&other);
		break;
	case 8:
		mutex_lock(&mutex);
		mutex_lock(&mutex);
		break;
	case 9:
		kfree(memory);
		kfree(memory);
		break;
	case 10:
		kfree(memory + 32);
		break;
	case 11:
		spin_lock(&lock);
		break;
	case 12:
		spin_lock(&lock);
		msleep(1);
		break;
	case 13:
		work.func = (void *)&timer;
		schedule_work(&work);
		break;
	case 14:
		spin_lock(&lock);
		spin_lock(&lock);
		break;
	case 15:
		for (;;)
			msleep(1000);
	case 16:
		free_pages((unsigned long)memory + 0x100000, 0);
		break;
	case 17:
		spin_lock_bh(&lock);
		for (;;)
			mdelay(5);
	case 21 ... 25:
		/* After the load, so that the test can set a bound. */
		schedule_delayed_work(&later, HZ / 2);
		return 0;
	case 20:
		mod_timer(&timer, jiffies);
		schedule_work(&work);
		return 0;
	}
	return 0;
}

/* Leaves a timer and a work item that start themselves again. */
static void __exit clumsy_exit(void)
{
}

module_init(clumsy_init);
module_exit(clumsy_exit);
MODULE_DESCRIPTION("Wrong use of timers, work, locks and memory for SIDE's selftests");
MODULE_LICENSE("GPL");

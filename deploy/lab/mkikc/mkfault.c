// SPDX-License-Identifier: GPL-2.0
/*
 * mkfault: real faults on command.  One command per write to /sys/kernel/mkfault/inject.  Those marked * happen in a kernel
 * thread "mkfault", and the write returns at once.  As seen on 6.1 cloud, 6.12 cloud and 6.12 rt under TCG:
 *
 *	command          what happens                     what it leaves in the log
 *	panic            panic()                          Kernel panic - not syncing: mkfault: panic on command
 *	oops *           write to address 0x10            BUG: kernel NULL pointer dereference, address: 0000000000000010
 *	bug *            BUG()                            kernel BUG at mkfault.c:53!    6.1: invalid opcode: 0000 [#1] ...
 *	                                                  6.12: Oops: invalid opcode: 0000 [#1] ...
 *	warn N           WARN() N times                   mkfault: warning 1 of N
 *	                                                  WARNING: CPU: 1 PID: 1 at mkfault.c:61 fault_warn+0x22/0x40 [mkfault]
 *	softlockup S *   spins, preemption off            watchdog: BUG: soft lockup - CPU#1 stuck for 8s! [mkfault:96]
 *	rcustall S *     spins in rcu_read_lock()         rcu: INFO: rcu_preempt self-detected stall on CPU
 *	                                                  rt: rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
 *	hungtask S *     sleeps uninterruptibly           INFO: task mkfault:95 blocked for more than 3 seconds.
 *	hardlockup S *   spins, interrupts off            no NMI watchdog under TCG.  From another CPU: rcu: INFO:
 *	                                                  rcu_preempt detected stalls on CPUs/tasks; rt: a soft lockup
 *	                                                  afterwards; with one CPU: nothing
 *	printkflood N    N lines at info                  mkfault: flood 1 of N
 *
 * S is in seconds.  The detectors wait long; shorten them from user space before, and let S be twice as much or more:
 *
 *	softlockup    echo 3 > /proc/sys/kernel/watchdog_thresh        reported after twice this (10)
 *	rcustall      echo 4 > /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout     (21)
 *	hungtask      echo 3 > /proc/sys/kernel/hung_task_timeout_secs                   (120)
 *	              echo 1 > /proc/sys/kernel/hung_task_check_interval_secs
 *
 * A stall of 4 s that RCU reports resets the soft lockup's watchdog: shorten one of the two.  After an oops the kernel looks
 * for hung tasks no more.  With panic_on_oops, softlockup_panic, hung_task_panic and so on each can be made a panic.
 * Out of memory needs no help: `tail /dev/zero` leaves "Out of memory: Killed process 101 (tail) ...".
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/nmi.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#define MAX_NUMBER 1000000

static void fault_panic(unsigned int unused)
{
	panic("mkfault: panic on command");
}

static void fault_oops(unsigned int unused)
{
	/* Where a member of a NULL structure would lie; hidden from the compiler, which would make it a trap. */
	unsigned long address = 0x10;

	OPTIMIZER_HIDE_VAR(address);
	WRITE_ONCE(*(int *)address, 1);
}

static void fault_bug(unsigned int unused)
{
	BUG();
}

static void fault_warn(unsigned int count)
{
	unsigned int i;

	for (i = 1; i <= count; i++)
		WARN(1, "mkfault: warning %u of %u\n", i, count);
}

static void spin(unsigned int seconds, void (*each)(void))
{
	u64 until = ktime_get_mono_fast_ns() + seconds * NSEC_PER_SEC;

	while (ktime_get_mono_fast_ns() < until) {
		if (each)
			each();
		cpu_relax();
	}
}

static void fault_softlockup(unsigned int seconds)
{
	preempt_disable();
	spin(seconds, NULL);
	preempt_enable();
}

/*
 * An idle kernel has no grace period that could stall.  One that is begun just before is not under way yet where the only CPU
 * is about to be taken from RCU's thread: so they follow each other, from a while before until it is over.
 */
struct grace_periods {
	struct rcu_head head;
	bool is_over;
};

static void next_grace_period(struct rcu_head *head)
{
	struct grace_periods *periods = container_of(head, struct grace_periods, head);

	if (READ_ONCE(periods->is_over))
		kfree(periods);
	else
		call_rcu(head, next_grace_period);
}

static struct grace_periods *begin_grace_periods(void)
{
	struct grace_periods *periods = kzalloc(sizeof(*periods), GFP_KERNEL);

	if (periods)
		call_rcu(&periods->head, next_grace_period);
	msleep(100);
	return periods;
}

static void end_grace_periods(struct grace_periods *periods)
{
	if (periods)
		WRITE_ONCE(periods->is_over, true);
}

static void fault_hardlockup(unsigned int seconds)
{
	struct grace_periods *periods = begin_grace_periods();

	local_irq_disable();
	spin(seconds, NULL);
	local_irq_enable();
	end_grace_periods(periods);
}

static void fault_rcustall(unsigned int seconds)
{
	struct grace_periods *periods = begin_grace_periods();

	rcu_read_lock();
	spin(seconds, touch_softlockup_watchdog);
	rcu_read_unlock();
	end_grace_periods(periods);
}

static void fault_hungtask(unsigned int seconds)
{
	schedule_timeout_uninterruptible(seconds * HZ);
}

static void fault_printkflood(unsigned int count)
{
	unsigned int i;

	for (i = 1; i <= count; i++)
		pr_info("mkfault: flood %u of %u\n", i, count);
}

struct fault {
	const char *name;
	void (*run)(unsigned int number);
	bool has_number;
	bool in_thread;
};

static const struct fault faults[] = {
	{ "panic", fault_panic },
	{ "oops", fault_oops, .in_thread = true },
	{ "bug", fault_bug, .in_thread = true },
	{ "warn", fault_warn, .has_number = true },
	{ "softlockup", fault_softlockup, .has_number = true, .in_thread = true },
	{ "hardlockup", fault_hardlockup, .has_number = true, .in_thread = true },
	{ "rcustall", fault_rcustall, .has_number = true, .in_thread = true },
	{ "hungtask", fault_hungtask, .has_number = true, .in_thread = true },
	{ "printkflood", fault_printkflood, .has_number = true },
};

/* Lives until its thread took it: one at a time is handed over. */
struct order {
	const struct fault *fault;
	unsigned int number;
	struct completion taken;
};

static int run_order(void *ctx)
{
	struct order *order = ctx;
	const struct fault *fault = order->fault;
	unsigned int number = order->number;

	complete(&order->taken);
	fault->run(number);
	return 0;
}

static int inject(const struct fault *fault, unsigned int number)
{
	struct order order = { .fault = fault, .number = number };
	struct task_struct *thread;

	if (!fault->in_thread) {
		fault->run(number);
		return 0;
	}
	init_completion(&order.taken);
	thread = kthread_run(run_order, &order, "mkfault");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	wait_for_completion(&order.taken);
	return 0;
}

static ssize_t inject_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text, size_t size)
{
	unsigned int number = 0;
	char name[16];
	int i, words = sscanf(text, "%15s %u", name, &number);

	for (i = 0; words > 0 && i < ARRAY_SIZE(faults); i++) {
		int err;

		if (strcmp(name, faults[i].name))
			continue;
		if (faults[i].has_number != (words == 2) || number > MAX_NUMBER)
			return -EINVAL;
		err = inject(&faults[i], number);
		return err ?: size;
	}
	return -EINVAL;
}
static struct kobj_attribute inject_attribute = __ATTR_WO(inject);

static struct kobject *folder;

static int __init mkfault_init(void)
{
	int err;

	folder = kobject_create_and_add("mkfault", kernel_kobj);
	if (!folder)
		return -ENOMEM;
	err = sysfs_create_file(folder, &inject_attribute.attr);
	if (err)
		kobject_put(folder);
	return err;
}
module_init(mkfault_init);

static void __exit mkfault_exit(void)
{
	kobject_put(folder);
	rcu_barrier();
}
module_exit(mkfault_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Real kernel faults on command, for the lab");

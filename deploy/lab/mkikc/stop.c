// SPDX-License-Identifier: GPL-2.0
/*
 * The ways a kernel stops, and what the others see of it.
 *
 *	panic      first notifier: every other kernel's reboot_vector = 1 and a doorbell; each of their CPUs prints
 *	           "Ignoring REBOOT_VECTOR ...".  Last notifier (after "Kernel Offset"): "shutting down", SYS_HALTED.
 *	power-off  after "reboot: Power down": "shutting down", SYS_HALTED, or SYS_SHUTDOWN_ACK if the host asked.
 *	reboot     the same, from the reboot notifier, before "reboot: Restarting system".
 *	kill       force_halt in our ring: each CPU prints "Forcible shutdown via NMI" and halts for good, without a word.
 *
 * The forced halt comes with the doorbell's interrupt, and also with a real NMI (QMP: inject-nmi), which reaches the boot
 * CPU even if it spins with interrupts off (then its line stays in the log: no console writes in an NMI).  The virtual
 * machine goes on, halted: whoever started QEMU ends it.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/ratelimit.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <linux/workqueue.h>
#include <asm/irqflags.h>
#include <asm/nmi.h>
#include "mkikc.h"

/* How long a stopping kernel tries to tell the host when the host's ring is full. */
#define NOTIFY_TRIES	1000
#define NOTIFY_PAUSE_US	100
#define VECTOR_WAIT_MS	200

static bool down_notified;
static bool halt_requested;
static struct sys_off_handler *power_off_handler;

static DEFINE_PER_CPU(call_single_data_t, vector_csd);
static DEFINE_PER_CPU(call_single_data_t, halt_csd);
static atomic_t vectors_pending = ATOMIC_INIT(0);
static bool force_halted;

/* The last thing a spawn does for the channel.  Any context, also panic. */
mk_probed void mk_notify_down_and_park(int target, u32 subtype)
{
	struct mk_shutdown_payload payload = {
		.flags = subtype == MK_SYS_SHUTDOWN_ACK, .sender_instance_id = mk_self.id,
	};
	int tries;

	pr_info("Multikernel instance %d shutting down\n", mk_self.id);
	for (tries = 0; tries < NOTIFY_TRIES; tries++) {
		if (mk_send_message(target, MK_MSG_SYSTEM, subtype, &payload, sizeof(payload)) != -ENOSPC)
			return;
		udelay(NOTIFY_PAUSE_US);
	}
}

static void notify_down_once(void)
{
	if (mk_is_host() || !READ_ONCE(mk_self.linked) || xchg(&down_notified, true))
		return;
	mk_notify_down_and_park(MK_HOST_ID, READ_ONCE(halt_requested) ? MK_SYS_SHUTDOWN_ACK : MK_SYS_HALTED);
}

/* ---- orderly ends ---- */

static int power_off(struct sys_off_data *data)
{
	notify_down_once();
	return NOTIFY_DONE;
}

static int reboot_begins(struct notifier_block *block, unsigned long action, void *command)
{
	if (action != SYS_POWER_OFF)
		notify_down_once();
	return NOTIFY_DONE;
}
static struct notifier_block reboot_notifier = { .notifier_call = reboot_begins, .priority = INT_MIN };

static void shut_down(struct work_struct *work)
{
	kernel_power_off();
}
static DECLARE_WORK(shutdown_work, shut_down);

/* SYS_SHUTDOWN came, in interrupt context. */
void mk_shutdown_requested(int sender)
{
	pr_info("Shutdown requested by instance %d\n", sender);
	if (!xchg(&halt_requested, true))
		schedule_work(&shutdown_work);
}

/* ---- panic, at home and elsewhere ---- */

static int panic_begins(struct notifier_block *block, unsigned long event, void *reason)
{
	int id;

	if (!READ_ONCE(mk_self.linked))
		return NOTIFY_DONE;
	WRITE_ONCE(mk_table_entry(mk_self.id)->panicking, 1);
	smp_wmb();
	for (id = 0; id < MK_MAX_INSTANCES; id++) {
		if (id == mk_self.id || READ_ONCE(mk_table_entry(id)->state) != MK_STATE_ACTIVE)
			continue;
		WRITE_ONCE(mk_table_entry(id)->reboot_vector, 1);
		mk_ring_doorbell(id);
	}
	return NOTIFY_DONE;
}
static struct notifier_block panic_first = { .notifier_call = panic_begins, .priority = INT_MAX };

static int panic_ends(struct notifier_block *block, unsigned long event, void *reason)
{
	notify_down_once();
	return NOTIFY_DONE;
}
static struct notifier_block panic_last = { .notifier_call = panic_ends, .priority = INT_MIN };

static void print_vector(void *unused)
{
	pr_emerg("CPU %d: Ignoring REBOOT_VECTOR from other kernel instance (stopping_cpu=-1)\n", raw_smp_processor_id());
	atomic_dec(&vectors_pending);
}

static void see_reboot_vector(void)
{
	int cpu, self = raw_smp_processor_id();

	for_each_online_cpu(cpu) {
		atomic_inc(&vectors_pending);
		if (cpu == self)
			continue;
		if (smp_call_function_single_async(cpu, per_cpu_ptr(&vector_csd, cpu)))
			atomic_dec(&vectors_pending);
	}
	print_vector(NULL);
}

/* So that the host says "halted" after all its CPUs saw the vector, as on real hardware. */
void mk_stop_await_reboot_vector(void)
{
	int waited;

	mk_stop_check();
	for (waited = 0; waited < VECTOR_WAIT_MS && atomic_read(&vectors_pending) > 0; waited++)
		usleep_range(1000, 1100);
}

/* ---- forced halt ---- */

static void print_forced_halt(void)
{
	pr_emerg("CPU %d: Forcible shutdown via NMI (instance %d)\n", raw_smp_processor_id(), mk_self.id);
}

/* Multikernel's CPU goes back to the host's pool from here; ours is halted until QEMU ends. */
mk_probed void mk_halt_to_pool(void)
{
	local_irq_disable();
	for (;;)
		halt();
}

static void halt_this_cpu(void *unused)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		print_forced_halt();
	mk_halt_to_pool();
}

static void halt_all_cpus(void)
{
	int cpu;

	for_each_online_cpu(cpu)
		if (cpu != raw_smp_processor_id())
			smp_call_function_single_async(cpu, per_cpu_ptr(&halt_csd, cpu));
	halt_this_cpu(NULL);
}

/* On PREEMPT_RT a thread writes to the console: it gets a moment before the CPUs are gone. */
static void print_then_halt(struct work_struct *work)
{
	int cpu;

	for_each_online_cpu(cpu)
		pr_emerg("CPU %d: Forcible shutdown via NMI (instance %d)\n", cpu, mk_self.id);
	msleep(50);
	preempt_disable();
	halt_all_cpus();
}
static DECLARE_WORK(halt_work, print_then_halt);

static int nmi_came(unsigned int reason, struct pt_regs *regs)
{
	if (mk_is_host() || !READ_ONCE(mk_self.linked) || !READ_ONCE(mk_self.inbox->force_halt))
		return NMI_DONE;
	print_forced_halt();
	mk_halt_to_pool();
	return NMI_HANDLED;
}

/* What the doorbell may mean besides a message.  Called from its interrupt and from the poll. */
void mk_stop_check(void)
{
	unsigned long flags;

	local_irq_save(flags);
	if (READ_ONCE(mk_table_entry(mk_self.id)->reboot_vector) && xchg(&mk_table_entry(mk_self.id)->reboot_vector, 0))
		see_reboot_vector();
	if (!mk_is_host() && READ_ONCE(mk_self.inbox->force_halt) && !xchg(&force_halted, true)) {
		if (IS_ENABLED(CONFIG_PREEMPT_RT))
			queue_work(system_highpri_wq, &halt_work);
		else
			halt_all_cpus();
	}
	local_irq_restore(flags);
}

int __init mk_stop_init(void)
{
	int cpu, err;

	for_each_possible_cpu(cpu) {
		INIT_CSD(per_cpu_ptr(&vector_csd, cpu), print_vector, NULL);
		INIT_CSD(per_cpu_ptr(&halt_csd, cpu), halt_this_cpu, NULL);
	}
	power_off_handler = register_sys_off_handler(SYS_OFF_MODE_POWER_OFF, SYS_OFF_PRIO_FIRMWARE + 1, power_off, NULL);
	if (IS_ERR(power_off_handler))
		return PTR_ERR(power_off_handler);
	err = register_nmi_handler(NMI_LOCAL, nmi_came, 0, "mkikc");
	if (err) {
		unregister_sys_off_handler(power_off_handler);
		return err;
	}
	register_reboot_notifier(&reboot_notifier);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_first);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_last);
	pr_info("Multikernel NMI stop handler registered\n");
	return 0;
}

void mk_stop_exit(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_last);
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_first);
	unregister_reboot_notifier(&reboot_notifier);
	unregister_nmi_handler(NMI_LOCAL, "mkikc");
	unregister_sys_off_handler(power_off_handler);
	cancel_work_sync(&shutdown_work);
	cancel_work_sync(&halt_work);
}

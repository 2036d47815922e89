// SPDX-License-Identifier: GPL-2.0
/*
 * The message generator: kernel threads that send to one instance.
 *
 *	gen 1 count=5000 rate=2000 size=16-512 senders=2 burst=10 kind=user onfull=retry
 *
 *	count    messages in all; 0 = until `gen stop`
 *	rate     messages per second in all; 0 = as fast as possible
 *	size     payload bytes of user messages, fixed or a range; the first 8 are a 64-bit sequence number.  Above 4072 the
 *	         send fails, as it should
 *	senders  threads, 1..16
 *	burst    this many back to back, then the pause that keeps the rate
 *	kind     user     0x4000, subtype 0, no answer
 *	         request  RES_QUERY with its own resource id, waits for the ack, prints nothing
 *	         hotplug  cycles CPU add/remove, memory add/remove, device add/remove: prints the hot-plug lines
 *	onfull   retry    a full ring is tried again after 200 us until it takes the message
 *	         drop     a full ring counts as a failed message
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include "mkikc.h"

#define MAX_SENDERS	16
#define MAX_SIZE	8192
#define FULL_PAUSE_US	200

enum gen_kind { GEN_USER, GEN_REQUEST, GEN_HOTPLUG };
static const char * const kind_names[] = { "user", "request", "hotplug" };

static struct {
	int destination;
	u64 count;
	u32 rate;
	u32 size_min;
	u32 size_max;
	u32 senders;
	u32 burst;
	enum gen_kind kind;
	bool drop_when_full;
} plan;

static DEFINE_MUTEX(generator_mutex);
static struct task_struct *threads[MAX_SENDERS];
static atomic_t running = ATOMIC_INIT(0);
static atomic64_t claimed, sequence, sent, failed, ring_full;
static bool started;

static u32 payload_size(u64 number)
{
	u32 span = plan.size_max - plan.size_min + 1;

	/* Knuth's multiplicative hash: spread over the range, the same in every run. */
	return plan.size_min + (u32)((number * 2654435761u) >> 7) % span;
}

static int send_user(u8 *payload, u64 number)
{
	u32 size = payload_size(number);

	memcpy(payload, &number, sizeof(number));
	return mk_send_message(plan.destination, MK_MSG_USER, 0, payload, size);
}

static int send_hotplug(u64 number)
{
	int id = plan.destination;
	u64 cycle = number / 6;
	u64 cpu = id * MK_PHYS_CPUS_PER_ID + 2 + cycle % 8;
	u64 pfn = 0x100000 + (cycle % 64) * 0x8000;

	switch (number % 6) {
	case 0: return mk_send_cpu_add(id, cpu, -1, 0);
	case 1: return mk_send_cpu_remove(id, cpu);
	case 2: return mk_send_mem_add(id, pfn, 0x8000, 0, 1);
	case 3: return mk_send_mem_remove(id, pfn, 0x8000);
	case 4: return mk_send_device_add(id, 0, 1 + cycle % 4, 0x10, "vfio-pci", 1);
	default: return mk_send_device_remove(id, 0, 1 + cycle % 4, 0x10);
	}
}

static int send_one(u8 *payload, u64 number)
{
	switch (plan.kind) {
	case GEN_REQUEST:
		return mk_send_query(plan.destination, number);
	case GEN_HOTPLUG:
		return send_hotplug(number);
	default:
		return send_user(payload, number);
	}
}

static void send_counted(u8 *payload, u64 number)
{
	int err;

	while ((err = send_one(payload, number)) == -ENOSPC) {
		atomic64_inc(&ring_full);
		if (plan.drop_when_full || kthread_should_stop())
			break;
		usleep_range(FULL_PAUSE_US, FULL_PAUSE_US + 50);
	}
	atomic64_inc(err ? &failed : &sent);
}

/* Sleeps to the nanosecond that is due; a thread that is behind does not sleep, but lets others run. */
static void sleep_until(ktime_t due)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (kthread_should_stop() || ktime_before(due, ktime_get())) {
		__set_current_state(TASK_RUNNING);
		cond_resched();
		return;
	}
	schedule_hrtimeout_range(&due, 0, HRTIMER_MODE_ABS);
}

static int run_sender(void *ctx)
{
	u8 *payload = ctx;
	u64 pause_ns = plan.rate ? div_u64((u64)NSEC_PER_SEC * plan.senders * plan.burst, plan.rate) : 0;
	ktime_t due = ktime_get();
	bool more = true;

	while (more && !kthread_should_stop()) {
		u32 i;

		for (i = 0; i < plan.burst && more && !kthread_should_stop(); i++) {
			more = !plan.count || atomic64_inc_return(&claimed) <= plan.count;
			if (more)
				send_counted(payload, atomic64_inc_return(&sequence) - 1);
		}
		due = ktime_add_ns(due, pause_ns);
		sleep_until(due);
	}
	kfree(payload);
	atomic_dec(&running);
	/* The thread is there until `gen stop` or the next `gen` collects it. */
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static int parse_size(const char *text)
{
	int err;

	if (sscanf(text, "%u-%u", &plan.size_min, &plan.size_max) == 2)
		return 0;
	err = kstrtou32(text, 10, &plan.size_min);
	plan.size_max = plan.size_min;
	return err;
}

static int parse_option(char *option)
{
	char *value = strchr(option, '=');
	int found;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (!strcmp(option, "count"))
		return kstrtou64(value, 10, &plan.count);
	if (!strcmp(option, "rate"))
		return kstrtou32(value, 10, &plan.rate);
	if (!strcmp(option, "size"))
		return parse_size(value);
	if (!strcmp(option, "senders"))
		return kstrtou32(value, 10, &plan.senders);
	if (!strcmp(option, "burst"))
		return kstrtou32(value, 10, &plan.burst);
	if (!strcmp(option, "onfull")) {
		plan.drop_when_full = !strcmp(value, "drop");
		return plan.drop_when_full || !strcmp(value, "retry") ? 0 : -EINVAL;
	}
	if (strcmp(option, "kind"))
		return -EINVAL;
	found = match_string(kind_names, ARRAY_SIZE(kind_names), value);
	plan.kind = found;
	return found < 0 ? found : 0;
}

static int parse_plan(int destination, char **options, int count)
{
	int i, err;

	memset(&plan, 0, sizeof(plan));
	plan.destination = destination;
	plan.count = 1;
	plan.size_min = plan.size_max = 64;
	plan.senders = 1;
	plan.burst = 1;
	for (i = 0; i < count; i++) {
		err = parse_option(options[i]);
		if (err)
			return err;
	}
	if (!plan.senders || plan.senders > MAX_SENDERS || !plan.burst || plan.size_min < sizeof(u64) ||
	    plan.size_max < plan.size_min || plan.size_max > MAX_SIZE)
		return -EINVAL;
	return 0;
}

static void stop_locked(void)
{
	int i;

	for (i = 0; i < MAX_SENDERS; i++) {
		if (!threads[i])
			continue;
		kthread_stop(threads[i]);
		threads[i] = NULL;
	}
}

static int start_sender(int number)
{
	u8 *payload = kzalloc(MAX_SIZE, GFP_KERNEL);
	struct task_struct *thread;

	if (!payload)
		return -ENOMEM;
	atomic_inc(&running);
	thread = kthread_run(run_sender, payload, "mk_gen/%d", number);
	if (IS_ERR(thread)) {
		atomic_dec(&running);
		kfree(payload);
		return PTR_ERR(thread);
	}
	threads[number] = thread;
	return 0;
}

/* Ends a generator that runs, and starts anew with counters at 0. */
int mk_generator_start(int destination, char **options, int count)
{
	int i, err;

	mutex_lock(&generator_mutex);
	stop_locked();
	err = parse_plan(destination, options, count);
	atomic64_set(&claimed, 0);
	atomic64_set(&sent, 0);
	atomic64_set(&failed, 0);
	atomic64_set(&ring_full, 0);
	started = !err;
	for (i = 0; !err && i < plan.senders; i++)
		err = start_sender(i);
	mutex_unlock(&generator_mutex);
	return err;
}

void mk_generator_stop(void)
{
	mutex_lock(&generator_mutex);
	stop_locked();
	mutex_unlock(&generator_mutex);
}

int mk_generator_status(char *text, int size)
{
	const char *state = !started ? "idle" : atomic_read(&running) ? "running" : "done";

	return scnprintf(text, size, "gen %s sent=%lld failed=%lld full=%lld\n", state,
			 atomic64_read(&sent), atomic64_read(&failed), atomic64_read(&ring_full));
}

static void user_message_came(u32 type, u32 subtype, void *payload, u32 length, void *ctx)
{
	atomic64_inc(&mk_counters.user_received);
}

int __init mk_generator_init(void)
{
	return mk_register_msg_handler(MK_MSG_USER, user_message_came, NULL);
}

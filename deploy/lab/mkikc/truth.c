// SPDX-License-Identifier: GPL-2.0
/*
 * Ground truth: one record per send, receive and failed send, into this kernel's truth ring, from where mkbus takes it.
 *
 *	head (cmpxchg) ──▶ record[head % capacity] filled ──▶ record.sequence = head + 1 (store-release)
 *
 * No lock, no allocation: any context.  A full ring counts in `lost`, and mkbus writes that into its file.
 * docs/formats/lab_truth.md says what each field means.
 */
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/sched/clock.h>
#include <linux/timekeeping.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "mkikc.h"

#define CLOCK_READ_TRIES	16
#define CLOCK_TICK_WAIT_NS	(2 * NSEC_PER_MSEC)
#define CLOCK_TICKS		4

static struct mk_truth_ring *own_ring(void)
{
	return (struct mk_truth_ring *)((u8 *)mk_self.shm + MK_TRUTH_OFFSET + (size_t)mk_self.id * mk_self.truth_stride);
}

/* `tail` is read before `head`, so that head - tail is never negative. */
static struct mk_truth_record *claim_record(u64 *position)
{
	struct mk_truth_ring *ring = own_ring();
	u64 head, tail;

	do {
		tail = smp_load_acquire(&ring->tail);
		head = READ_ONCE(ring->head);
		if (head - tail >= mk_self.truth_capacity) {
			xadd(&ring->lost, 1);
			atomic64_inc(&mk_counters.truth_lost);
			return NULL;
		}
	} while (cmpxchg(&ring->head, head, head + 1) != head);
	*position = head;
	return &ring->records[head & (mk_self.truth_capacity - 1)];
}

static void read_host_clock(struct mk_truth_record *record)
{
	const struct mk_shm_clock *clock = &mk_self.shm->clock;
	int tries;

	for (tries = 0; tries < CLOCK_READ_TRIES; tries++) {
		u32 before = smp_load_acquire(&clock->seq);

		record->host_tsc = READ_ONCE(clock->host_tsc);
		record->host_raw_ns = READ_ONCE(clock->host_raw_ns);
		record->host_real_ns = READ_ONCE(clock->host_real_ns);
		smp_rmb();
		if (!(before & 1) && before == READ_ONCE(clock->seq))
			return;
		cpu_relax();
	}
	record->flags |= MK_TRUTH_NO_HOST_CLOCK;
	record->host_tsc = 0;
	record->host_raw_ns = 0;
	record->host_real_ns = 0;
}

static void stamp(struct mk_truth_record *event)
{
	event->flags = 0;
	read_host_clock(event);
	/* After the page: guest_tsc - host_tsc is then never below the constant between the two counters. */
	event->guest_tsc = rdtsc_ordered();
	event->printk_ns = local_clock();
	event->mono_ns = ktime_get_mono_fast_ns();
}

static void write_event(u8 kind, struct mk_truth_record *event)
{
	struct mk_truth_record *record;
	u64 position;

	event->kind = kind;
	event->kernel = mk_self.id;
	event->kernel_epoch = mk_self.epoch;
	event->cpu = raw_smp_processor_id();
	record = claim_record(&position);
	if (!record)
		return;
	event->sequence = READ_ONCE(record->sequence);
	memcpy(record, event, sizeof(*record));
	smp_store_release(&record->sequence, (u32)position + 1);
	atomic64_inc(&mk_counters.truth_written);
}

/*
 * Stamps `event` and writes it.  The ticket is taken first: for a send, that is after all its probes and before the slot
 * is published; for a receive, before its callbacks.
 */
void mk_truth_event(u8 kind, struct mk_truth_record *event)
{
	if (!READ_ONCE(mk_self.shm->truth_on))
		return;
	event->guest_tsc_before = rdtsc_ordered();
	event->ticket = xadd(&mk_self.shm->ticket, 1);
	stamp(event);
	write_event(kind, event);
}

void mk_truth_message(u8 kind, int destination, u32 epoch, u32 index, u64 sender_cpu, const struct mk_message *message)
{
	struct mk_truth_record event = {
		.destination = destination,
		.slot = index % MK_RING_SLOTS,
		.epoch = epoch,
		.index = index,
		.type = READ_ONCE(message->msg_type),
		.subtype = READ_ONCE(message->msg_subtype),
		.length = READ_ONCE(message->payload_len),
		.sender_cpu = sender_cpu,
	};

	if (event.length >= sizeof(event.payload_key) && event.length <= MK_MAX_PAYLOAD)
		memcpy(&event.payload_key, message->payload, sizeof(event.payload_key));
	mk_truth_event(kind, &event);
}

void mk_truth_failure(int destination, u32 type, u32 subtype, const void *payload, u32 length, int error)
{
	struct mk_truth_record event = {
		.destination = destination,
		.type = type,
		.subtype = subtype,
		.length = length,
		.error = error,
		.sender_cpu = mk_phys_cpu(raw_smp_processor_id()),
	};

	if (payload && length >= sizeof(event.payload_key))
		memcpy(&event.payload_key, payload, sizeof(event.payload_key));
	mk_truth_event(MK_TRUTH_SEND_FAILED, &event);
}

/* Takes the clocks right after the host's clock page changed; false if it does not. */
static bool stamp_at_tick(struct mk_truth_record *event)
{
	const struct mk_shm_clock *clock = &mk_self.shm->clock;
	u64 give_up = ktime_get_mono_fast_ns() + CLOCK_TICK_WAIT_NS;
	u32 before = READ_ONCE(clock->seq) | 1;
	unsigned long flags;

	while ((READ_ONCE(clock->seq) | 1) == before) {
		if (ktime_get_mono_fast_ns() > give_up)
			return false;
		cpu_relax();
	}
	local_irq_save(flags);
	stamp(event);
	local_irq_restore(flags);
	return !(event->flags & MK_TRUTH_NO_HOST_CLOCK);
}

/* The best of some pairs (guest TSC, host TSC), about a microsecond apart, also when no messages flow. */
void mk_truth_sample_clock(void)
{
	struct mk_truth_record best = { .destination = mk_self.id }, event = best;
	bool found = false;
	int i;

	if (!READ_ONCE(mk_self.shm->truth_on))
		return;
	preempt_disable();
	for (i = 0; i < CLOCK_TICKS && stamp_at_tick(&event); i++) {
		if (found && event.guest_tsc - event.host_tsc >= best.guest_tsc - best.host_tsc)
			continue;
		best = event;
		found = true;
	}
	if (found)
		write_event(MK_TRUTH_CLOCK, &best);
	preempt_enable();
}

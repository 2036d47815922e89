// SPDX-License-Identifier: GPL-2.0
/*
 * The inbox rings: claim, fill, publish, ring the doorbell; and the consumer.
 *
 *	producers (any kernel)                    consumer (the ring's owner, in interrupt context)
 *	head: cmpxchg n -> n+1                    data_size of slot tail: load-acquire, 0 = nothing yet
 *	fill slot n % 64                          ticket, truth record
 *	ticket, truth record                      mk_message_type_ipi_callback(slot)
 *	data_size: store-release                  data_size = 0, tail + 1: store-release
 *	doorbell
 *
 * A producer that dies between claim and publish would stop the ring for ever.  After two seconds its slot is given up,
 * counted, and said in the log and in the truth.  (Multikernel has no such way out.)
 */
#include <linux/interrupt.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/ratelimit.h>
#include "mkikc.h"

#define IVSHMEM_DOORBELL	12
#define USABLE_SLOTS		(MK_RING_SLOTS - 1)
/* Messages per interrupt; more make the kernel ring its own doorbell, so that a busy ring does not starve the CPU. */
#define BUDGET			256
#define ABANDON_AFTER		(2 * HZ)

static DEFINE_RAW_SPINLOCK(consume_lock);
static u32 tail;			/* ours; the copy in the ring is for the producers only */
static bool drain = true;
static u32 stuck_tail;
static unsigned long stuck_since;
static u32 polled_tail;
static bool polled_full;

/* Star topology: a spawn knows the host, the host knows its active spawns. */
static int check_destination(int instance_id)
{
	if (instance_id < 0 || instance_id >= MK_MAX_INSTANCES || instance_id == mk_self.id)
		return -EINVAL;
	if (!READ_ONCE(mk_self.linked))
		return -ENODEV;
	if (!mk_is_host())
		return instance_id == MK_HOST_ID ? 0 : -EINVAL;
	return READ_ONCE(mk_table_entry(instance_id)->state) == MK_STATE_ACTIVE ? 0 : -ENODEV;
}

/* `tail` is read before `head`, so that head - tail is never negative. */
static int claim_slot(struct mk_shared_data *ring, int instance_id, u32 *index)
{
	u32 head, consumed;

	do {
		consumed = smp_load_acquire(&ring->tail);
		head = READ_ONCE(ring->head);
		if (head - consumed >= USABLE_SLOTS) {
			pr_warn_ratelimited("multikernel: IPI ring full for instance %d (head=%u, tail=%u)\n",
					    instance_id, head % MK_RING_SLOTS, consumed % MK_RING_SLOTS);
			return -ENOSPC;
		}
	} while (cmpxchg(&ring->head, head, head + 1) != head);
	*index = head;
	return 0;
}

/*
 * Puts one message into the inbox of an instance.  Any context, also NMI and panic: no lock, no allocation.
 * Returns 0, -EINVAL (no such way), -ENODEV (not active), -EMSGSIZE or -ENOSPC.
 */
mk_probed int multikernel_send_ipi_data(int instance_id, void *data, size_t size, unsigned long type)
{
	struct mk_shared_data *ring;
	struct mk_ipi_data *slot;
	unsigned long flags;
	u32 epoch, index;
	int err;

	if (!size || size > MK_MAX_DATA_SIZE)
		return -EMSGSIZE;
	err = check_destination(instance_id);
	if (err)
		return err;
	ring = mk_inbox_of(instance_id);

	/* From claim to publish this CPU does nothing else: the ring stands still behind a claimed slot. */
	local_irq_save(flags);
	err = claim_slot(ring, instance_id, &index);
	if (err) {
		local_irq_restore(flags);
		return err;
	}
	epoch = READ_ONCE(mk_table_entry(instance_id)->epoch);
	slot = &ring->entries[index % MK_RING_SLOTS];
	slot->sender_cpu = mk_phys_cpu(raw_smp_processor_id());
	slot->type = type;
	memcpy(slot->buffer, data, size);
	mk_truth_message(MK_TRUTH_SEND, instance_id, epoch, index, slot->sender_cpu, data);
	smp_store_release(&slot->data_size, size);
	local_irq_restore(flags);

	mk_ring_doorbell(instance_id);
	return 0;
}
EXPORT_SYMBOL_GPL(multikernel_send_ipi_data);

/* Interrupts the kernel that is attached to an instance, if any.  QEMU ignores peers that are gone. */
void mk_ring_doorbell(int instance_id)
{
	u32 peer = READ_ONCE(mk_table_entry(instance_id)->peer);

	if (peer && peer - 1 <= U16_MAX)
		writel((peer - 1) << 16, mk_self.registers + IVSHMEM_DOORBELL);
}

static void finish_slot(struct mk_ipi_data *slot)
{
	smp_store_release(&slot->data_size, 0);
	tail++;
	smp_store_release(&mk_self.inbox->tail, tail);
}

static bool consume_one(void)
{
	struct mk_ipi_data *slot = &mk_self.inbox->entries[tail % MK_RING_SLOTS];
	u64 size = smp_load_acquire(&slot->data_size);

	if (!size)
		return false;
	if (size > MK_MAX_DATA_SIZE) {
		pr_warn_ratelimited("Multikernel IPI slot %u has bad size %zu\n", tail % MK_RING_SLOTS, (size_t)size);
		atomic64_inc(&mk_counters.bad_slots);
	} else {
		mk_truth_message(MK_TRUTH_RECEIVE, mk_self.id, mk_self.epoch, tail, READ_ONCE(slot->sender_cpu),
				 (struct mk_message *)slot->buffer);
		atomic64_inc(&mk_counters.received);
		atomic64_add(size, &mk_counters.received_bytes);
		mk_message_dispatch(slot);
	}
	finish_slot(slot);
	return true;
}

/* The receiver of the IPI: takes all messages out of this kernel's inbox.  Hard interrupt context. */
mk_probed void generic_multikernel_interrupt(void)
{
	unsigned int budget = BUDGET;

	atomic64_inc(&mk_counters.interrupts);
	raw_spin_lock(&consume_lock);
	if (READ_ONCE(drain) && READ_ONCE(mk_table_entry(mk_self.id)->epoch) == mk_self.epoch)
		while (budget && consume_one())
			budget--;
	raw_spin_unlock(&consume_lock);
	if (!budget)
		mk_ring_doorbell(mk_self.id);
}

void mk_ring_consume_now(void)
{
	unsigned long flags;

	local_irq_save(flags);
	generic_multikernel_interrupt();
	local_irq_restore(flags);
}

/* Gives up the slot at the tail if it has been claimed and empty for too long. */
static void abandon_stuck_slot(void)
{
	struct mk_truth_record event = { .destination = mk_self.id, .epoch = mk_self.epoch };
	struct mk_ipi_data *slot;
	unsigned long flags;

	raw_spin_lock_irqsave(&consume_lock, flags);
	slot = &mk_self.inbox->entries[tail % MK_RING_SLOTS];
	if (READ_ONCE(mk_self.inbox->head) == tail || READ_ONCE(slot->data_size)) {
		stuck_since = 0;
	} else if (!stuck_since || stuck_tail != tail) {
		stuck_tail = tail;
		stuck_since = jiffies | 1;
	} else if (time_after(jiffies, stuck_since + ABANDON_AFTER)) {
		pr_warn("Multikernel IPI slot %u has bad size %zu\n", tail % MK_RING_SLOTS, (size_t)0);
		atomic64_inc(&mk_counters.abandoned_slots);
		event.index = tail;
		event.slot = tail % MK_RING_SLOTS;
		mk_truth_event(MK_TRUTH_ABANDONED, &event);
		finish_slot(slot);
		stuck_since = 0;
	}
	raw_spin_unlock_irqrestore(&consume_lock, flags);
}

/* A message that is still there at the second look had no doorbell: its sender died first. */
void mk_ring_poll(void)
{
	u32 now = READ_ONCE(tail);
	bool full = READ_ONCE(mk_self.inbox->entries[now % MK_RING_SLOTS].data_size) != 0;

	if (!READ_ONCE(drain))
		return;
	if (full && polled_full && polled_tail == now)
		mk_ring_consume_now();
	else if (!full)
		abandon_stuck_slot();
	polled_full = full;
	polled_tail = now;
}

/* Before the first interrupt: the ring was zeroed by the host, or by us if we are the host. */
void mk_ring_attach(void)
{
	tail = READ_ONCE(mk_self.inbox->tail);
}

/* Fault: an owner that ignores its interrupts lets the ring fill up. */
void mk_ring_set_drain(bool on)
{
	WRITE_ONCE(drain, on);
	if (on && mk_self.linked)
		mk_ring_consume_now();
}

bool mk_ring_drains(void)
{
	return READ_ONCE(drain);
}

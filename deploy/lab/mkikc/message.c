// SPDX-License-Identifier: GPL-2.0
/*
 * Messages over the rings: mk_send_message, the table of handlers, and requests that wait for an answer.
 *
 *	mk_msg_pending_add(type, operation, resource)   before the request is sent
 *	mk_send_message(...)
 *	mk_msg_pending_wait(pending, timeout)           sleeps; frees
 *	        ▲ mk_msg_pending_complete(type, operation, resource, result), from the receiver's interrupt
 *
 * Nothing on the wire names a request: the answer finds it by (type, operation, resource), oldest first.
 */
#include <linux/completion.h>
#include <linux/irqflags.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include "mkikc.h"

#define MAX_HANDLERS 8

struct mk_msg_handler {
	u32 msg_type;
	mk_msg_handler_t handler;
	void *ctx;
};

struct mk_pending_msg {
	struct list_head list;
	u32 type;
	u32 operation;
	u64 resource_id;
	int result;
	struct completion done;
};

static struct mk_msg_handler handlers[MAX_HANDLERS];
static LIST_HEAD(pending_list);
static DEFINE_RAW_SPINLOCK(pending_lock);

/* Built here rather than on the heap, so that a panicking kernel can send. */
static DEFINE_PER_CPU(u8 [MK_MAX_DATA_SIZE], outgoing) __aligned(8);

static int build_and_send(int instance_id, u32 msg_type, u32 subtype, void *payload, u32 payload_len)
{
	struct mk_message *message;
	unsigned long flags;
	int err;

	local_irq_save(flags);
	message = (struct mk_message *)this_cpu_ptr(outgoing);
	message->msg_type = msg_type;
	message->msg_subtype = subtype;
	message->msg_id = 0;
	message->payload_len = payload_len;
	if (payload_len)
		memcpy(message->payload, payload, payload_len);
	err = multikernel_send_ipi_data(instance_id, message, MK_MESSAGE_HEADER + payload_len, msg_type);
	local_irq_restore(flags);
	return err;
}

/* Sends a message.  Any context.  Returns 0 or -errno as multikernel_send_ipi_data does. */
mk_probed int mk_send_message(int instance_id, u32 msg_type, u32 subtype, void *payload, u32 payload_len)
{
	size_t size = (size_t)MK_MESSAGE_HEADER + payload_len;
	int err;

	if (size > MK_MAX_DATA_SIZE) {
		pr_err_ratelimited("Multikernel message too large: %zu > %d bytes\n", size, MK_MAX_DATA_SIZE);
		err = -EMSGSIZE;
	} else {
		err = build_and_send(instance_id, msg_type, subtype, payload, payload_len);
	}
	if (err) {
		pr_err_ratelimited("Failed to send multikernel message: %d\n", err);
		atomic64_inc(&mk_counters.failed[min_t(u32, -err, ARRAY_SIZE(mk_counters.failed) - 1)]);
		mk_truth_failure(instance_id, msg_type, subtype, payload, payload_len, err);
		return err;
	}
	atomic64_inc(&mk_counters.sent);
	atomic64_add(size, &mk_counters.sent_bytes);
	pr_debug("Multikernel message sent: type=0x%x, subtype=0x%x, len=%u to instance %d\n",
		 msg_type, subtype, payload_len, instance_id);
	return 0;
}
EXPORT_SYMBOL_GPL(mk_send_message);

/* At module load only: the table is not locked. */
int mk_register_msg_handler(u32 msg_type, mk_msg_handler_t handler, void *ctx)
{
	int i;

	for (i = 0; i < MAX_HANDLERS; i++) {
		if (handlers[i].handler)
			continue;
		handlers[i] = (struct mk_msg_handler){ .msg_type = msg_type, .handler = handler, .ctx = ctx };
		pr_info("Registered multikernel message handler for type 0x%x\n", msg_type);
		return 0;
	}
	return -ENOSPC;
}

static void count_bad_message(void)
{
	atomic64_inc(&mk_counters.bad_messages);
}

/*
 * One call per message; `slot` points into the ring, where the sender may still write: every field is read once and
 * checked, and handlers copy the payload before they look at it.
 */
mk_probed void mk_message_type_ipi_callback(struct mk_ipi_data *slot, void *ctx)
{
	struct mk_message *message = (struct mk_message *)slot->buffer;
	struct mk_msg_handler *handler = ctx;
	size_t size = READ_ONCE(slot->data_size);
	u32 type = READ_ONCE(message->msg_type);
	u32 subtype = READ_ONCE(message->msg_subtype);
	u32 length = READ_ONCE(message->payload_len);

	if (size < MK_MESSAGE_HEADER || size > MK_MAX_DATA_SIZE) {
		pr_warn_ratelimited("Multikernel message too small: %zu < %d bytes\n", size, MK_MESSAGE_HEADER);
		return count_bad_message();
	}
	if (type != handler->msg_type) {
		pr_warn_ratelimited("Multikernel message type mismatch: expected 0x%x, got 0x%x\n", handler->msg_type, type);
		return count_bad_message();
	}
	if (length > size - MK_MESSAGE_HEADER) {
		pr_warn_ratelimited("Multikernel message payload length invalid: %u > %zu\n", length, size - MK_MESSAGE_HEADER);
		return count_bad_message();
	}
	pr_debug("Multikernel message received: type=0x%x, subtype=0x%x, len=%u from CPU %llu\n",
		 type, subtype, length, READ_ONCE(slot->sender_cpu));
	handler->handler(type, subtype, message->payload, length, handler->ctx);
}

void mk_message_dispatch(struct mk_ipi_data *slot)
{
	u32 type = READ_ONCE(slot->type);
	int i;

	for (i = 0; i < MAX_HANDLERS; i++)
		if (handlers[i].handler && handlers[i].msg_type == type)
			return mk_message_type_ipi_callback(slot, &handlers[i]);
	pr_warn_ratelimited("Multikernel message received but no handler registered\n");
	count_bad_message();
}

/* Remembers a request before it is sent.  Process context.  Returns NULL without memory. */
mk_probed struct mk_pending_msg *mk_msg_pending_add(u32 type, u32 operation, u64 resource_id)
{
	struct mk_pending_msg *pending = kzalloc(sizeof(*pending), GFP_KERNEL);
	unsigned long flags;

	if (!pending)
		return NULL;
	pending->type = type;
	pending->operation = operation;
	pending->resource_id = resource_id;
	init_completion(&pending->done);
	raw_spin_lock_irqsave(&pending_lock, flags);
	list_add_tail(&pending->list, &pending_list);
	raw_spin_unlock_irqrestore(&pending_lock, flags);
	return pending;
}

mk_probed void mk_msg_pending_complete(u32 type, u32 operation, u64 resource_id, int result)
{
	struct mk_pending_msg *pending;
	unsigned long flags;
	bool found = false;

	raw_spin_lock_irqsave(&pending_lock, flags);
	list_for_each_entry(pending, &pending_list, list) {
		if (pending->type != type || pending->operation != operation || pending->resource_id != resource_id ||
		    completion_done(&pending->done))
			continue;
		pending->result = result;
		complete(&pending->done);
		found = true;
		break;
	}
	raw_spin_unlock_irqrestore(&pending_lock, flags);
	if (!found)
		atomic64_inc(&mk_counters.acks_unexpected);
}

/* Forgets a request that could not be sent. */
void mk_msg_pending_cancel(struct mk_pending_msg *pending)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pending_lock, flags);
	list_del(&pending->list);
	raw_spin_unlock_irqrestore(&pending_lock, flags);
	kfree(pending);
}

/* Sleeps until the answer is there.  Returns its result, or -ETIMEDOUT.  Frees `pending`. */
mk_probed int mk_msg_pending_wait(struct mk_pending_msg *pending, unsigned long timeout_ms)
{
	bool answered;
	int result;

	if (mk_timeout_ms)
		timeout_ms = mk_timeout_ms;
	answered = wait_for_completion_timeout(&pending->done, msecs_to_jiffies(timeout_ms)) != 0;
	result = answered ? pending->result : -ETIMEDOUT;
	if (!answered) {
		pr_err("Timeout waiting for operation 0x%x on resource %llu\n", pending->operation, pending->resource_id);
		atomic64_inc(&mk_counters.timeouts);
	}
	mk_msg_pending_cancel(pending);
	return result;
}

int __init mk_message_init(void)
{
	pr_info("Multikernel messaging system initialized\n");
	return 0;
}

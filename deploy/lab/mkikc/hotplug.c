// SPDX-License-Identifier: GPL-2.0
/*
 * Resource requests and their acks.
 *
 *	host: mk_send_cpu_add ── RES_CPU_ADD ──▶ spawn: mk_resource_msg_handler (interrupt) ─▶ queue ─▶ worker
 *	      mk_msg_pending_wait ◀── RES_ACK (operation, result, resource) ── mk_do_cpu_add ◀──────────┘
 *
 * Nothing is plugged in or out: the spawn prints what Multikernel prints and answers.  RES_QUERY, which Multikernel defines
 * without using, is here a request that prints nothing, for load tests.  Faults: acks that are dropped or delayed.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/ratelimit.h>
#include <linux/workqueue.h>
#include "mkikc.h"

#define QUEUE_SLOTS	64
#define PAGES_PER_MB	(1 << (20 - PAGE_SHIFT))

struct mk_request {
	u32 operation;
	union {
		u8 bytes[sizeof(struct mk_device_payload)];	/* the largest */
		struct mk_cpu_payload cpu;
		struct mk_mem_payload mem;
		struct mk_device_payload device;
	};
};

static DEFINE_RAW_SPINLOCK(queue_lock);
static struct mk_request queue[QUEUE_SLOTS];
static unsigned int queue_head, queue_tail;
static struct workqueue_struct *worker;

static atomic_t acks_to_drop = ATOMIC_INIT(0);
static atomic_t acks_to_delay = ATOMIC_INIT(0);
static u32 ack_delay_ms;

static u64 device_resource_id(u16 domain, u8 bus, u8 devfn)
{
	return ((u64)domain << 16) | (bus << 8) | devfn;
}

static int request(int id, u32 operation, u64 resource_id, void *payload, u32 length)
{
	struct mk_pending_msg *pending = mk_msg_pending_add(MK_MSG_RESOURCE, operation, resource_id);
	int err;

	if (!pending)
		return -ENOMEM;
	err = mk_send_message(id, MK_MSG_RESOURCE, operation, payload, length);
	if (err) {
		mk_msg_pending_cancel(pending);
		return err;
	}
	return mk_msg_pending_wait(pending, MK_HOTPLUG_TIMEOUT_MS);
}

static int request_cpu(int id, u32 operation, u64 cpu, u32 numa_node, u32 flags)
{
	struct mk_cpu_payload payload = {
		.cpu_id = cpu, .numa_node = numa_node, .flags = flags, .sender_instance_id = mk_self.id,
	};

	return request(id, operation, cpu, &payload, sizeof(payload));
}

static int request_mem(int id, u32 operation, u64 pfn, u64 nr_pages, u32 numa_node, u32 mem_type)
{
	struct mk_mem_payload payload = {
		.start_pfn = pfn, .nr_pages = nr_pages, .numa_node = numa_node, .mem_type = mem_type,
		.sender_instance_id = mk_self.id,
	};

	return request(id, operation, pfn, &payload, sizeof(payload));
}

static int request_device(int id, u32 operation, u16 domain, u8 bus, u8 devfn, const char *driver, u32 flags)
{
	struct mk_device_payload payload = {
		.domain = domain, .bus = bus, .devfn = devfn, .flags = flags, .sender_instance_id = mk_self.id,
	};

	strscpy(payload.driver_override, driver, sizeof(payload.driver_override));
	return request(id, operation, device_resource_id(domain, bus, devfn), &payload, sizeof(payload));
}

/* Each asks instance `id` and waits: 0, the other's -errno, -ETIMEDOUT, or why it could not be sent. */
mk_probed int mk_send_cpu_add(int id, u64 cpu, u32 numa_node, u32 flags)
{
	return request_cpu(id, MK_RES_CPU_ADD, cpu, numa_node, flags);
}

mk_probed int mk_send_cpu_remove(int id, u64 cpu)
{
	return request_cpu(id, MK_RES_CPU_REMOVE, cpu, 0, 0);
}

mk_probed int mk_send_mem_add(int id, u64 pfn, u64 nr_pages, u32 numa_node, u32 mem_type)
{
	return request_mem(id, MK_RES_MEM_ADD, pfn, nr_pages, numa_node, mem_type);
}

mk_probed int mk_send_mem_remove(int id, u64 pfn, u64 nr_pages)
{
	return request_mem(id, MK_RES_MEM_REMOVE, pfn, nr_pages, 0, 0);
}

mk_probed int mk_send_device_add(int id, u16 domain, u8 bus, u8 devfn, const char *driver, u32 flags)
{
	return request_device(id, MK_RES_DEVICE_ADD, domain, bus, devfn, driver, flags);
}

mk_probed int mk_send_device_remove(int id, u16 domain, u8 bus, u8 devfn)
{
	return request_device(id, MK_RES_DEVICE_REMOVE, domain, bus, devfn, "", 0);
}

int mk_send_query(int id, u64 resource_id)
{
	return request_cpu(id, MK_RES_QUERY, resource_id, 0, 0);
}

mk_probed int mk_do_cpu_add(u64 cpu, u32 numa_node, u32 flags)
{
	pr_info("Multikernel hotplug: Adding CPU %llu (numa=%d, flags=0x%x)\n", cpu, numa_node, flags);
	pr_err("Multikernel hotplug: Physical CPU %llu not found in present CPUs\n", cpu);
	pr_info("Multikernel hotplug: Successfully added CPU %d (phys %llu)\n", (int)(cpu % MK_PHYS_CPUS_PER_ID), cpu);
	return 0;
}

mk_probed int mk_do_cpu_remove(u64 cpu)
{
	pr_info("Multikernel hotplug: Successfully removed CPU %d (phys %llu)\n", (int)(cpu % MK_PHYS_CPUS_PER_ID), cpu);
	return 0;
}

mk_probed int mk_do_mem_add(u64 pfn, u64 nr_pages, u32 numa_node, u32 mem_type)
{
	u64 start = pfn << PAGE_SHIFT;

	pr_info("Multikernel hotplug: Adding memory 0x%llx-0x%llx (%llu MB) numa=%d type=0x%x\n",
		start, start + (nr_pages << PAGE_SHIFT) - 1, nr_pages / PAGES_PER_MB, numa_node, mem_type);
	pr_info("Multikernel hotplug: Successfully added and onlined memory at 0x%llx\n", start);
	return 0;
}

mk_probed int mk_do_mem_remove(u64 pfn, u64 nr_pages)
{
	u64 start = pfn << PAGE_SHIFT;

	pr_info("Multikernel hotplug: Removing memory 0x%llx-0x%llx (%llu MB)\n",
		start, start + (nr_pages << PAGE_SHIFT) - 1, nr_pages / PAGES_PER_MB);
	pr_info("Multikernel hotplug: Successfully removed memory at 0x%llx\n", start);
	return 0;
}

mk_probed int mk_do_device_add(u16 domain, u8 bus, u8 devfn, const char *driver, u32 flags)
{
	pr_info("Multikernel hotplug: Adding device %04x:%02x:%02x.%x driver=%s flags=0x%x\n",
		domain, bus, PCI_SLOT(devfn), PCI_FUNC(devfn), driver, flags);
	pr_info("Multikernel hotplug: Successfully configured device %04x:%02x:%02x.%x\n",
		domain, bus, PCI_SLOT(devfn), PCI_FUNC(devfn));
	return 0;
}

mk_probed int mk_do_device_remove(u16 domain, u8 bus, u8 devfn)
{
	pr_info("Multikernel hotplug: Successfully removed device %04x:%02x:%02x.%x\n",
		domain, bus, PCI_SLOT(devfn), PCI_FUNC(devfn));
	return 0;
}

/* Takes one from a budget of faults. */
static bool take(atomic_t *budget)
{
	return atomic_dec_if_positive(budget) >= 0;
}

static void send_ack(int target, u32 operation, u64 resource_id, int result)
{
	struct mk_ack_payload ack = { .operation = operation, .result = result, .resource_id = resource_id };
	int err;

	if (take(&acks_to_drop)) {
		atomic64_inc(&mk_counters.acks_suppressed);
		return;
	}
	if (take(&acks_to_delay))
		msleep(READ_ONCE(ack_delay_ms));
	pr_debug("Multikernel hotplug: ACK op=0x%x resource=%llu result=%d\n", operation, resource_id, result);
	err = mk_send_message(target, MK_MSG_RESOURCE, MK_RES_ACK, &ack, sizeof(ack));
	if (err)
		pr_err("Multikernel hotplug: Failed to send ACK for operation 0x%x: %d\n", operation, err);
	else
		atomic64_inc(&mk_counters.acks_sent);
}

static void serve_cpu(const struct mk_request *req)
{
	const struct mk_cpu_payload *cpu = &req->cpu;
	int result = 0;

	if (req->operation == MK_RES_CPU_ADD)
		result = mk_do_cpu_add(cpu->cpu_id, cpu->numa_node, cpu->flags);
	else if (req->operation == MK_RES_CPU_REMOVE)
		result = mk_do_cpu_remove(cpu->cpu_id);
	send_ack(cpu->sender_instance_id, req->operation, cpu->cpu_id, result);
}

static void serve_mem(const struct mk_request *req)
{
	const struct mk_mem_payload *mem = &req->mem;
	int result;

	if (req->operation == MK_RES_MEM_ADD)
		result = mk_do_mem_add(mem->start_pfn, mem->nr_pages, mem->numa_node, mem->mem_type);
	else
		result = mk_do_mem_remove(mem->start_pfn, mem->nr_pages);
	send_ack(mem->sender_instance_id, req->operation, mem->start_pfn, result);
}

static void serve_device(struct mk_request *req)
{
	struct mk_device_payload *dev = &req->device;
	int result;

	dev->driver_override[sizeof(dev->driver_override) - 1] = '\0';
	if (req->operation == MK_RES_DEVICE_ADD)
		result = mk_do_device_add(dev->domain, dev->bus, dev->devfn, dev->driver_override, dev->flags);
	else
		result = mk_do_device_remove(dev->domain, dev->bus, dev->devfn);
	send_ack(dev->sender_instance_id, req->operation, device_resource_id(dev->domain, dev->bus, dev->devfn), result);
}

static bool pop_request(struct mk_request *req)
{
	unsigned long flags;
	bool found;

	raw_spin_lock_irqsave(&queue_lock, flags);
	found = queue_tail != queue_head;
	if (found)
		*req = queue[queue_tail++ % QUEUE_SLOTS];
	raw_spin_unlock_irqrestore(&queue_lock, flags);
	return found;
}

static void serve_requests(struct work_struct *work)
{
	struct mk_request req;

	while (pop_request(&req)) {
		switch (req.operation) {
		case MK_RES_MEM_ADD:
		case MK_RES_MEM_REMOVE:
			serve_mem(&req);
			break;
		case MK_RES_DEVICE_ADD:
		case MK_RES_DEVICE_REMOVE:
			serve_device(&req);
			break;
		default:
			serve_cpu(&req);
		}
	}
}
static DECLARE_WORK(serve_work, serve_requests);

/* The payload's size of a request, 0 for what is none. */
static u32 request_size(u32 subtype)
{
	switch (subtype) {
	case MK_RES_CPU_ADD:
	case MK_RES_CPU_REMOVE:
	case MK_RES_QUERY:
		return sizeof(struct mk_cpu_payload);
	case MK_RES_MEM_ADD:
	case MK_RES_MEM_REMOVE:
		return sizeof(struct mk_mem_payload);
	case MK_RES_DEVICE_ADD:
	case MK_RES_DEVICE_REMOVE:
		return sizeof(struct mk_device_payload);
	default:
		return 0;
	}
}

static void queue_request(u32 operation, const void *payload, u32 length)
{
	bool full;

	raw_spin_lock(&queue_lock);
	full = queue_head - queue_tail >= QUEUE_SLOTS;
	if (!full) {
		queue[queue_head % QUEUE_SLOTS].operation = operation;
		memcpy(queue[queue_head % QUEUE_SLOTS].bytes, payload, length);
		queue_head++;
	}
	raw_spin_unlock(&queue_lock);
	if (full) {
		pr_err_ratelimited("Multikernel hotplug: Handler failed with error: %d\n", -ENOBUFS);
		atomic64_inc(&mk_counters.requests_dropped);
		return;
	}
	atomic64_inc(&mk_counters.requests_received);
	queue_work(worker, &serve_work);
}

static void accept_ack(const void *payload, u32 length)
{
	struct mk_ack_payload ack;

	if (length < sizeof(ack))
		return atomic64_inc(&mk_counters.bad_messages);
	memcpy(&ack, payload, sizeof(ack));
	pr_debug("Multikernel hotplug: ACK op=0x%x resource=%llu result=%d\n", ack.operation, ack.resource_id, ack.result);
	atomic64_inc(&mk_counters.acks_received);
	mk_msg_pending_complete(MK_MSG_RESOURCE, ack.operation, ack.resource_id, ack.result);
}

/* In the receiver's interrupt. */
mk_probed void mk_resource_msg_handler(u32 type, u32 subtype, void *payload, u32 length, void *ctx)
{
	u32 size = request_size(subtype);

	if (subtype == MK_RES_ACK) {
		accept_ack(payload, length);
	} else if (!size) {
		pr_warn_ratelimited("Multikernel hotplug: Unknown resource subtype: 0x%x\n", subtype);
		atomic64_inc(&mk_counters.bad_messages);
	} else if (length < size) {
		pr_err_ratelimited("Multikernel hotplug: Handler failed with error: %d\n", -EINVAL);
		atomic64_inc(&mk_counters.bad_messages);
	} else {
		queue_request(subtype, payload, size);
	}
}

/* Fault: the next `count` acks are not sent. */
void mk_hotplug_drop_acks(u32 count)
{
	atomic_set(&acks_to_drop, count);
}

/* Fault: the next `count` acks are sent late. */
void mk_hotplug_delay_acks(u32 delay_ms, u32 count)
{
	WRITE_ONCE(ack_delay_ms, delay_ms);
	atomic_set(&acks_to_delay, count);
}

int __init mk_hotplug_init(void)
{
	pr_info("Initializing multikernel hotplug subsystem\n");
	worker = alloc_ordered_workqueue("mk_hotplug", WQ_HIGHPRI);
	if (!worker)
		return -ENOMEM;
	mk_register_msg_handler(MK_MSG_RESOURCE, mk_resource_msg_handler, NULL);
	pr_info("Multikernel hotplug subsystem initialized\n");
	return 0;
}

void mk_hotplug_exit(void)
{
	destroy_workqueue(worker);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mkikc: Multikernel's messaging between QEMU guests.  What the module's files share.
 *
 *	control.c ──▶ lifecycle.c ─┐                        ┌─▶ hotplug.c (requests, acks)
 *	          ──▶ generator.c ─┼─▶ message.c ─▶ ring.c ─┤   lifecycle.c (halted)
 *	stop.c (panic, power-off) ─┘    │  ▲         │      └─▶ generator.c (user messages)
 *	                                └──┘ receive └─▶ truth.c
 *
 * Names, argument lists and printk texts of the functions marked `mk_probed` are Multikernel's own (tag v7.0-mk2), so that
 * probes and patterns made for it work here unchanged.  They live in files other than their callers or are marked
 * noinline, noclone, so each is one symbol in /proc/kallsyms.
 */
#ifndef MKIKC_H
#define MKIKC_H

#include <linux/atomic.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/smp.h>
#include <linux/types.h>
#include "mkikc_shm.h"

#define mk_probed noinline __noclone

#define MK_HOST_ID	0

/* Message types and subtypes (Multikernel's numbers). */
#define MK_MSG_RESOURCE		0x2000
#define MK_RES_CPU_ADD		0x2001
#define MK_RES_CPU_REMOVE	0x2002
#define MK_RES_MEM_ADD		0x2003
#define MK_RES_MEM_REMOVE	0x2004
#define MK_RES_QUERY		0x2005
#define MK_RES_DEVICE_ADD	0x2006
#define MK_RES_DEVICE_REMOVE	0x2007
#define MK_RES_ACK		0x2100
#define MK_MSG_SYSTEM		0x3000
#define MK_SYS_SHUTDOWN		0x3002
#define MK_SYS_SHUTDOWN_ACK	0x3003
#define MK_SYS_HALTED		0x3004
#define MK_MSG_USER		0x4000

#define MK_HOTPLUG_TIMEOUT_MS	10000
#define MK_HALT_TIMEOUT_MS	30000

/* Payloads.  They start at offset 20 of a message, so they are copied out before use. */
struct mk_cpu_payload {
	u64 cpu_id;
	u32 numa_node;
	u32 flags;
	int sender_instance_id;
};

struct mk_mem_payload {
	u64 start_pfn;
	u64 nr_pages;
	u32 numa_node;
	u32 mem_type;
	int sender_instance_id;
};

struct mk_device_payload {
	u16 domain;
	u8 bus;
	u8 devfn;
	u32 flags;
	char driver_override[64];
	int sender_instance_id;
};

struct mk_ack_payload {
	u32 operation;
	s32 result;
	u64 resource_id;
};

struct mk_shutdown_payload {
	u32 flags;		/* 1: graceful */
	int sender_instance_id;
};

static_assert(offsetof(struct mk_cpu_payload, sender_instance_id) == 16);
static_assert(offsetof(struct mk_mem_payload, sender_instance_id) == 24);
static_assert(offsetof(struct mk_device_payload, sender_instance_id) == 72);
static_assert(sizeof(struct mk_ack_payload) == 16);
static_assert(sizeof(struct mk_shutdown_payload) == 8);

/* The first three fields lie as in Multikernel: probes read id @0, name @8, state @16. */
struct mk_instance {
	int id;
	char *name;
	int state;		/* enum mk_instance_state */
	u32 cpus;
	u32 memory_mb;
	char name_text[64];
};

static_assert(offsetof(struct mk_instance, name) == 8);
static_assert(offsetof(struct mk_instance, state) == 16);

/* This kernel. */
struct mk_self {
	int id;
	char name[64];
	struct pci_dev *pci;
	void __iomem *registers;
	struct mk_shm_header *shm;
	struct mk_shared_data *inbox;
	u32 peer;		/* our ivshmem peer id */
	u32 epoch;		/* of our inbox, as we attached */
	u32 truth_capacity;
	u32 truth_stride;
	bool linked;		/* attached: we may send and consume */
};

struct mk_counters {
	atomic64_t sent;
	atomic64_t sent_bytes;
	atomic64_t received;
	atomic64_t received_bytes;
	atomic64_t user_received;
	atomic64_t interrupts;
	atomic64_t bad_slots;
	atomic64_t bad_messages;
	atomic64_t abandoned_slots;
	atomic64_t requests_received;
	atomic64_t requests_dropped;
	atomic64_t acks_sent;
	atomic64_t acks_received;
	atomic64_t acks_unexpected;
	atomic64_t acks_suppressed;
	atomic64_t timeouts;
	atomic64_t truth_written;
	atomic64_t truth_lost;
	atomic64_t failed[128];	/* by errno */
};

extern struct mk_self mk_self;
extern struct mk_counters mk_counters;
extern unsigned int mk_timeout_ms;
extern const char * const mk_state_names[MK_STATE_COUNT];

static inline struct mk_shm_instance *mk_table_entry(int id)
{
	return (struct mk_shm_instance *)((u8 *)mk_self.shm + MK_TABLE_OFFSET) + id;
}

static inline struct mk_shared_data *mk_inbox_of(int id)
{
	return (struct mk_shared_data *)((u8 *)mk_self.shm + MK_INBOX_OFFSET + (size_t)id * MK_INBOX_STRIDE);
}

static inline bool mk_is_host(void)
{
	return mk_self.id == MK_HOST_ID;
}

static inline bool mk_is_spawn_id(int id)
{
	return id > MK_HOST_ID && id < MK_MAX_INSTANCES;
}

static inline u64 mk_phys_cpu(unsigned int cpu)
{
	return mk_self.id * MK_PHYS_CPUS_PER_ID + (cpu_physical_id(cpu) & (MK_PHYS_CPUS_PER_ID - 1));
}

/* ring.c */
int multikernel_send_ipi_data(int instance_id, void *data, size_t size, unsigned long type);
void generic_multikernel_interrupt(void);
void mk_ring_doorbell(int instance_id);
void mk_ring_consume_now(void);
void mk_ring_poll(void);
void mk_ring_attach(void);
void mk_ring_set_drain(bool on);
bool mk_ring_drains(void);

/* truth.c */
void mk_truth_event(u8 kind, struct mk_truth_record *event);
void mk_truth_message(u8 kind, int destination, u32 epoch, u32 index, u64 sender_cpu, const struct mk_message *message);
void mk_truth_failure(int destination, u32 type, u32 subtype, const void *payload, u32 length, int error);
void mk_truth_sample_clock(void);

/* message.c */
typedef void (*mk_msg_handler_t)(u32 type, u32 subtype, void *payload, u32 length, void *ctx);
struct mk_pending_msg;

int mk_send_message(int instance_id, u32 msg_type, u32 subtype, void *payload, u32 payload_len);
int mk_register_msg_handler(u32 msg_type, mk_msg_handler_t handler, void *ctx);
void mk_message_dispatch(struct mk_ipi_data *slot);
void mk_message_type_ipi_callback(struct mk_ipi_data *slot, void *ctx);
struct mk_pending_msg *mk_msg_pending_add(u32 type, u32 operation, u64 resource_id);
void mk_msg_pending_complete(u32 type, u32 operation, u64 resource_id, int result);
int mk_msg_pending_wait(struct mk_pending_msg *pending, unsigned long timeout_ms);
void mk_msg_pending_cancel(struct mk_pending_msg *pending);
int mk_message_init(void);

/* hotplug.c */
int mk_send_cpu_add(int id, u64 cpu, u32 numa_node, u32 flags);
int mk_send_cpu_remove(int id, u64 cpu);
int mk_send_mem_add(int id, u64 pfn, u64 nr_pages, u32 numa_node, u32 mem_type);
int mk_send_mem_remove(int id, u64 pfn, u64 nr_pages);
int mk_send_device_add(int id, u16 domain, u8 bus, u8 devfn, const char *driver, u32 flags);
int mk_send_device_remove(int id, u16 domain, u8 bus, u8 devfn);
int mk_send_query(int id, u64 resource_id);
int mk_do_cpu_add(u64 cpu, u32 numa_node, u32 flags);
int mk_do_cpu_remove(u64 cpu);
int mk_do_mem_add(u64 pfn, u64 nr_pages, u32 numa_node, u32 mem_type);
int mk_do_mem_remove(u64 pfn, u64 nr_pages);
int mk_do_device_add(u16 domain, u8 bus, u8 devfn, const char *driver, u32 flags);
int mk_do_device_remove(u16 domain, u8 bus, u8 devfn);
void mk_resource_msg_handler(u32 type, u32 subtype, void *payload, u32 length, void *ctx);
void mk_hotplug_drop_acks(u32 count);
void mk_hotplug_delay_acks(u32 delay_ms, u32 count);
int mk_hotplug_init(void);
void mk_hotplug_exit(void);

/* lifecycle.c */
void mk_instance_set_state(struct mk_instance *instance, int state);
int mk_instance_create(int id, const char *name, u32 cpus, u32 memory_mb);
int mk_instance_load(int id);
void mk_instance_set_kexec_active(int id);
int multikernel_kexec_by_id(int id);
int multikernel_halt_by_id(int id);
int multikernel_force_halt_by_id(int id);
int mk_instance_unload(int id);
int mk_instance_remove(int id);
void mk_system_msg_handler(u32 type, u32 subtype, void *payload, u32 length, void *ctx);
int mk_lifecycle_init(void);
void mk_lifecycle_exit(void);

/* stop.c */
void mk_notify_down_and_park(int target, u32 subtype);
void mk_halt_to_pool(void);
void mk_shutdown_requested(int sender);
void mk_stop_check(void);
void mk_stop_await_reboot_vector(void);
int mk_stop_init(void);
void mk_stop_exit(void);

/* generator.c */
int mk_generator_start(int destination, char **options, int count);
void mk_generator_stop(void);
int mk_generator_status(char *text, int size);
int mk_generator_init(void);

/* control.c */
int mk_control_init(void);
void mk_control_exit(void);

#endif

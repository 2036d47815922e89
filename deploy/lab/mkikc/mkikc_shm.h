/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shared region of the lab: what mkbus (host process) lays out and every mkikc.ko (guest kernel) maps through ivshmem.
 *
 *	0x000000 +-----------------------------+ struct mk_shm_header, one page, written by mkbus
 *	         | magic version sizes         |   fixed once `magic` is there
 *	         | clock  (seqlock, 500 us)    |   host TSC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME
 *	         | ticket (atomic)             |   one global order of all sends and receives
 *	         | table_generation            |   moves on every change of the table
 *	0x001000 +-----------------------------+ struct mk_shm_instance[16], 256 bytes each
 *	         | [0] host  [1] spawn 1  ...  |   first half by the host kernel, second half by the instance itself
 *	0x010000 +-----------------------------+ struct mk_shared_data[16], 65 pages apart: the inbox rings
 *	         | head tail entries[64]       |   Multikernel's own layout (G2/G3), byte for byte
 *	         | force_halt @263688          |
 *	0x420000 +-----------------------------+ truth ring[16], truth_stride apart, filled by the kernels, drained by mkbus
 *	         | page: head lost tail        |
 *	         | records, 128 bytes each     |   struct mk_truth_record; docs/formats/lab_truth.md
 *	         +-----------------------------+
 *
 * Little-endian, x86-64 only. Every kernel is its own security domain: whoever reads a number from here checks it.
 */
#ifndef MKIKC_SHM_H
#define MKIKC_SHM_H

#include <linux/types.h>

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif

#define MK_SHM_MAGIC		0x4d4853434b494b4dULL	/* "MKIKCSHM" */
#define MK_SHM_VERSION		1
#define MK_MAX_INSTANCES	16
#define MK_PHYS_CPUS_PER_ID	16	/* physical CPU id = 16 * instance id + local APIC id */

#define MK_PAGE			4096
#define MK_TABLE_OFFSET		0x1000
#define MK_INBOX_OFFSET		0x10000
#define MK_INBOX_STRIDE		(65 * MK_PAGE)
#define MK_TRUTH_OFFSET		0x420000

/* ---- Multikernel's ring (facts: kernel/multikernel, G2/G3) ---- */

#define MK_RING_SLOTS		64
#define MK_MAX_DATA_SIZE	4096

/*
 * One slot.  `data_size` is stored last, with release: 0 means free, or claimed and not filled yet.
 *
 *	0          8      12    16          24                        4120
 *	| sender_cpu | type | pad | data_size | buffer: struct mk_message |
 */
struct mk_ipi_data {
	__u64 sender_cpu;	/* physical id */
	__u32 type;
	__u32 pad;
	__u64 data_size;
	__u8 buffer[MK_MAX_DATA_SIZE];
};

/*
 * `head` and `tail` run freely here; the slot is the number modulo 64.  At most 63 slots are in use, as in the original.
 * The free-running number, with the epoch of the ring, is what pairs a send with its receive in the truth.
 */
struct mk_shared_data {
	__u32 head;		/* producers, cmpxchg */
	__u32 tail;		/* consumer */
	struct mk_ipi_data entries[MK_RING_SLOTS];
	__u32 force_halt;
	__u32 pad;
};

/*
 * The message in a slot's buffer.  The payload starts at 20 although the header's size is 24, so data_size = 24 + payload_len.
 *
 *	0          4             8        16            20
 *	| msg_type | msg_subtype | msg_id | payload_len | payload ...
 */
struct mk_message {
	__u32 msg_type;
	__u32 msg_subtype;
	__u64 msg_id;		/* always 0 */
	__u32 payload_len;
	__u8 payload[];
};

#define MK_MESSAGE_HEADER	24
#define MK_MAX_PAYLOAD		(MK_MAX_DATA_SIZE - MK_MESSAGE_HEADER)

/* ---- the lab's own parts ---- */

/* Seqlock: odd while mkbus writes. */
struct mk_shm_clock {
	__u32 seq;
	__u32 pad;
	__u64 host_tsc;
	__u64 host_raw_ns;	/* CLOCK_MONOTONIC_RAW of the machine QEMU runs on */
	__u64 host_real_ns;	/* CLOCK_REALTIME of the same moment */
};

struct mk_shm_header {
	__u64 magic;
	__u32 version;
	__u32 max_instances;
	__u64 region_size;
	__u32 inbox_offset;
	__u32 inbox_stride;
	__u32 truth_offset;
	__u32 truth_stride;
	__u32 truth_capacity;	/* records per ring, a power of two */
	__u32 truth_on;		/* 0: the kernels write no truth */
	__u8 pad0[16];
	struct mk_shm_clock clock;	/* @64, alone in its cache line */
	__u8 pad1[32];
	__u64 ticket;			/* @128 */
	__u8 pad2[56];
	__u32 table_generation;		/* @192 */
	__u8 pad3[MK_PAGE - 196];
};

/* Values of Multikernel's enum; the texts are in mk_state_names. */
enum mk_instance_state {
	MK_STATE_EMPTY = 0,
	MK_STATE_READY = 1,
	MK_STATE_LOADED = 2,
	MK_STATE_ACTIVE = 3,
	MK_STATE_COUNT
};

#define MK_STATE_NAMES { "empty", "ready", "loaded", "active" }

/* How the last life of an instance ended, as the lab knows it.  Multikernel itself does not tell. */
enum mk_halt_kind {
	MK_HALT_NONE = 0,	/* not started yet, or running */
	MK_HALT_GRACEFUL = 1,	/* asked by `halt` and acknowledged */
	MK_HALT_POWEROFF = 2,	/* of its own will: power-off, reboot */
	MK_HALT_PANIC = 3,
	MK_HALT_KILLED = 4,	/* `kill` */
	MK_HALT_LOST = 5,	/* started again without ever having said that it stopped */
	MK_HALT_COUNT
};

#define MK_HALT_NAMES { "none", "graceful", "poweroff", "panic", "killed", "lost" }

struct mk_shm_instance {
	/* written by the host kernel */
	__u32 id;
	__u32 state;		/* enum mk_instance_state */
	__u32 halt;		/* enum mk_halt_kind */
	__u32 epoch;		/* incarnation of the inbox ring, from 1; moves whenever the ring is zeroed */
	__u32 cpus;
	__u32 memory_mb;
	char name[64];
	__u8 pad0[40];
	/* @128: written by the instance, `peer` cleared by the host at start */
	__u32 peer;		/* ivshmem peer id + 1; 0: no kernel is attached */
	__u32 online_cpus;
	__u32 panicking;	/* 1 from the first panic notifier on */
	__u32 reboot_vector;	/* set by another kernel that panics: "you saw its REBOOT_VECTOR" */
	char release[64];
	__u8 pad1[48];
};

enum mk_truth_kind {
	MK_TRUTH_SEND = 1,
	MK_TRUTH_RECEIVE = 2,
	MK_TRUTH_SEND_FAILED = 3,	/* error = -errno */
	MK_TRUTH_CLOCK = 4,		/* no message: a pair of clocks, taken as the host's clock page changed */
	MK_TRUTH_STATE = 5,		/* host kernel: instance `destination` goes type -> subtype */
	MK_TRUTH_ABANDONED = 6,		/* the consumer gave up a slot that was claimed and never filled */
	MK_TRUTH_LOST = 7,		/* written by mkbus: `length` records of `kernel` did not fit in its ring */
};

#define MK_TRUTH_NO_HOST_CLOCK	1	/* flags: the clock page was being written for too long */

/* docs/formats/lab_truth.md draws this. */
struct mk_truth_record {
	__u32 sequence;		/* 1 + position in this kernel's truth ring; stored last */
	__u8 kind;
	__u8 flags;
	__u16 kernel;		/* who writes */
	__u16 destination;	/* whose inbox ring */
	__u16 slot;		/* index % 64 */
	__u32 epoch;		/* of the destination's ring */
	__u32 index;		/* absolute, in this epoch */
	__u32 type;
	__u32 subtype;
	__u32 length;		/* payload bytes */
	__s32 error;
	__u32 sender_cpu;	/* physical, as on the wire */
	__u64 ticket;
	__u64 guest_tsc;
	__u64 host_tsc;		/* the clock page as read right before guest_tsc */
	__u64 host_raw_ns;
	__u64 host_real_ns;
	__u64 printk_ns;	/* local_clock(): the stamp a printk would get */
	__u64 mono_ns;		/* CLOCK_MONOTONIC of this kernel */
	__u64 payload_key;	/* first 8 bytes of the payload */
	__u32 cpu;		/* logical, of this kernel */
	__u32 kernel_epoch;	/* incarnation of the kernel that writes */
	__u64 guest_tsc_before;	/* the ticket was taken between this and guest_tsc */
	__u8 pad[8];
};

/* First page of a truth ring; the records follow. */
struct mk_truth_ring {
	__u64 head;		/* kernels: claimed so far, cmpxchg */
	__u8 pad0[56];
	__u64 lost;		/* @64, kernels: records for which there was no room */
	__u8 pad1[56];
	__u64 tail;		/* @128, mkbus */
	__u8 pad2[MK_PAGE - 136];
	struct mk_truth_record records[];
};

static_assert(sizeof(struct mk_ipi_data) == 4120);
static_assert(offsetof(struct mk_ipi_data, data_size) == 16);
static_assert(offsetof(struct mk_ipi_data, buffer) == 24);
static_assert(sizeof(struct mk_shared_data) == 263696);
static_assert(offsetof(struct mk_shared_data, entries) == 8);
static_assert(offsetof(struct mk_shared_data, force_halt) == 263688);
static_assert(sizeof(struct mk_message) == MK_MESSAGE_HEADER);
static_assert(offsetof(struct mk_message, payload) == 20);
static_assert(sizeof(struct mk_shm_header) == MK_PAGE);
static_assert(offsetof(struct mk_shm_header, clock) == 64);
static_assert(offsetof(struct mk_shm_header, ticket) == 128);
static_assert(offsetof(struct mk_shm_header, table_generation) == 192);
static_assert(sizeof(struct mk_shm_instance) == 256);
static_assert(offsetof(struct mk_shm_instance, peer) == 128);
static_assert(sizeof(struct mk_truth_record) == 128);
static_assert(offsetof(struct mk_truth_record, ticket) == 40);
static_assert(offsetof(struct mk_truth_record, cpu) == 104);
static_assert(offsetof(struct mk_truth_record, guest_tsc_before) == 112);
static_assert(offsetof(struct mk_truth_ring, records) == MK_PAGE);
static_assert(MK_INBOX_OFFSET + MK_MAX_INSTANCES * MK_INBOX_STRIDE <= MK_TRUTH_OFFSET);

#endif

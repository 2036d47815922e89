// SPDX-License-Identifier: GPL-2.0
/*
 * The lives of the instances, as the host kernel keeps them.
 *
 *	create ─▶ ready ─ load ─▶ loaded ─ start ─▶ active ─ halt | kill | power-off | panic ─▶ loaded ─ unload ─▶ ready ─ remove
 *
 * Each step prints what Multikernel's host prints (G2).  What a spawn says of its own end comes as SYS_HALTED or
 * SYS_SHUTDOWN_ACK in interrupt context and is finished by a worker.  A spawn that dies without a word stays `active`.
 */
#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/workqueue.h>
#include "mkikc.h"

#define KEXEC_FLAGS(id)		(((id) << 5) | 0x10)
#define POOL_BASE		0xdf9600000ULL

static struct mk_instance instances[MK_MAX_INSTANCES];
static DEFINE_MUTEX(instances_mutex);
static int next_overlay = 2;

static unsigned long halted_mask;	/* said SYS_HALTED */
static unsigned long acked_mask;	/* said SYS_SHUTDOWN_ACK */
static unsigned long asked_mask;	/* multikernel_halt_by_id waits for it */
static void finish_halts(struct work_struct *work);
static DECLARE_WORK(halt_work, finish_halts);

static struct mk_instance *find_instance(int id)
{
	if (!mk_is_host() || !mk_is_spawn_id(id) || instances[id].state == MK_STATE_EMPTY)
		return NULL;
	return &instances[id];
}

static void announce_change(void)
{
	smp_wmb();
	xadd(&mk_self.shm->table_generation, 1);
}

mk_probed void mk_instance_set_state(struct mk_instance *instance, int state)
{
	struct mk_truth_record event = {
		.destination = instance->id,
		.epoch = READ_ONCE(mk_table_entry(instance->id)->epoch),
		.type = instance->state,
		.subtype = state,
	};

	pr_debug("Instance %d (%s) state: %s -> %s\n", instance->id, instance->name,
		 mk_state_names[instance->state], mk_state_names[state]);
	instance->state = state;
	WRITE_ONCE(mk_table_entry(instance->id)->state, state);
	announce_change();
	mk_truth_event(MK_TRUTH_STATE, &event);
}

static void set_halt_kind(int id, enum mk_halt_kind kind)
{
	WRITE_ONCE(mk_table_entry(id)->halt, kind);
}

/* "17,18": the physical CPUs of an instance. */
static const char *cpu_list(const struct mk_instance *instance, char *text, size_t size)
{
	size_t used = 0;
	u32 i;

	for (i = 0; i < instance->cpus; i++)
		used += scnprintf(text + used, size - used, "%s%u", i ? "," : "", instance->id * MK_PHYS_CPUS_PER_ID + i);
	return text;
}

static u64 pool_bytes(const struct mk_instance *instance)
{
	return (u64)instance->memory_mb << 20;
}

static u64 inbox_phys(int id)
{
	return (u64)pci_resource_start(mk_self.pci, 2) + MK_INBOX_OFFSET + (u64)id * MK_INBOX_STRIDE;
}

static void print_created(const struct mk_instance *instance, int overlay)
{
	char cpus[80];

	cpu_list(instance, cpus, sizeof(cpus));
	pr_info("Applying overlay transaction %d (target=/instances, resources=unknown)\n", overlay);
	pr_info("Overlay tx%d: Creating instance '%s'\n", overlay, instance->name);
	pr_info("Successfully parsed memory size: %llu bytes (%u MB)\n", pool_bytes(instance), instance->memory_mb);
	pr_info("Successfully parsed %u physical CPUs: %s\n", instance->cpus, cpus);
	pr_info("Successfully parsed instance '%s': %llu bytes memory, %u CPUs, 0 PCI devices, 0 platform devices\n",
		instance->name, pool_bytes(instance), instance->cpus);
	pr_info("Created instance pool %d: 1 chunks, total size=%llu bytes\n", instance->id, pool_bytes(instance));
	pr_info("Transferred 0x%llx bytes from root to instance %d (%s)\n", pool_bytes(instance), instance->id, instance->name);
	pr_info("Created instance pool %d: 1 chunks, total size=%llu bytes\n", instance->id, pool_bytes(instance));
	pr_info("Transferred %u CPUs from pool to instance %d (%s): %s\n", instance->cpus, instance->id, instance->name, cpus);
	pr_info("Overlay tx%d: Instance '%s' created successfully\n", overlay, instance->name);
	pr_info("Overlay transaction %d applied successfully\n", overlay);
}

static int create_locked(int id, const char *name, u32 cpus, u32 memory_mb)
{
	struct mk_instance *instance = &instances[id];
	struct mk_shm_instance *entry = mk_table_entry(id);
	int other, overlay = next_overlay;

	if (instance->state != MK_STATE_EMPTY)
		return -EEXIST;
	for (other = 1; other < MK_MAX_INSTANCES; other++)
		if (instances[other].state != MK_STATE_EMPTY && !strcmp(instances[other].name, name))
			return -EEXIST;
	next_overlay++;
	instance->id = id;
	strscpy(instance->name_text, name, sizeof(instance->name_text));
	instance->name = instance->name_text;
	instance->cpus = cpus;
	instance->memory_mb = memory_mb;
	entry->id = id;
	entry->cpus = cpus;
	entry->memory_mb = memory_mb;
	strscpy(entry->name, name, sizeof(entry->name));
	set_halt_kind(id, MK_HALT_NONE);
	print_created(instance, overlay);
	mk_instance_set_state(instance, MK_STATE_READY);
	return 0;
}

/* Returns -EEXIST for an id or name in use. */
int mk_instance_create(int id, const char *name, u32 cpus, u32 memory_mb)
{
	int err;

	if (!mk_is_host() || !mk_is_spawn_id(id) || !name[0] || strlen(name) >= sizeof(instances[0].name_text) ||
	    !cpus || cpus > MK_PHYS_CPUS_PER_ID || !memory_mb)
		return -EINVAL;
	mutex_lock(&instances_mutex);
	err = create_locked(id, name, cpus, memory_mb);
	mutex_unlock(&instances_mutex);
	return err;
}

static void print_loaded(const struct mk_instance *instance)
{
	int id = instance->id;

	pr_info("kexec_file: kexec_file_load: multikernel load - flags=0x%x, extracted mk_id=%d\n", KEXEC_FLAGS(id), id);
	pr_info("kexec_file: Associated kimage with multikernel instance %d\n", id);
	pr_info("kexec_file: Allocated IPI ring buffer: phys=0x%llx, size=%zu bytes (order 7)\n",
		inbox_phys(id), sizeof(struct mk_shared_data));
	pr_info("kexec_file: Allocated %u bytes from multikernel pool at 0x%llx\n", MK_PAGE, POOL_BASE);
	pr_info("kexec-vmlinux: Loading ELF vmlinux (type=2)\n");
	pr_info("kexec-vmlinux: Multikernel: entry=0x%llx boot_params=0x%llx\n", POOL_BASE + 0x465efd4, POOL_BASE + 0x11000);
	pr_info("mk_e820: instance %d: %u MB RAM in 1 regions\n", id, instance->memory_mb);
}

/* An instance that has no image; -ENOENT or -EBUSY otherwise.  The mutex is held. */
static int find_ready(int id, struct mk_instance **found)
{
	*found = find_instance(id);
	if (!*found)
		return -ENOENT;
	return (*found)->state == MK_STATE_READY ? 0 : -EBUSY;
}

int mk_instance_load(int id)
{
	struct mk_instance *instance;
	int err;

	mutex_lock(&instances_mutex);
	err = find_ready(id, &instance);
	if (!err) {
		print_loaded(instance);
		mk_instance_set_state(instance, MK_STATE_LOADED);
	}
	mutex_unlock(&instances_mutex);
	return err;
}

/* A new incarnation: a zeroed ring that no kernel is attached to yet. */
static void reset_inbox(int id)
{
	struct mk_shm_instance *entry = mk_table_entry(id);

	WRITE_ONCE(entry->epoch, entry->epoch + 1);
	WRITE_ONCE(entry->peer, 0);
	entry->panicking = 0;
	entry->reboot_vector = 0;
	memset(mk_inbox_of(id), 0, sizeof(struct mk_shared_data));
	clear_bit(id, &halted_mask);
	clear_bit(id, &acked_mask);
	smp_wmb();
}

static void print_started(const struct mk_instance *instance)
{
	int id = instance->id;

	pr_info("kexec_core: multikernel kexec: using physical CPU %d (logical 0), %u CPUs assigned\n",
		id * MK_PHYS_CPUS_PER_ID, instance->cpus);
	pr_info("Preserving multikernel DTB for instance %d\n", id);
	pr_info("Preserved DTB for instance %d (%zu bytes)\n", id, sizeof(struct mk_shm_instance));
	pr_info("Preserving host IPI buffer: phys=0x%llx, pages=65\n", inbox_phys(MK_HOST_ID));
	pr_info("Added host IPI buffer to manifest\n");
	pr_info("multikernel: added IPI buffer to manifest: phys=0x%llx, pages=65 (%zu bytes)\n",
		inbox_phys(id), sizeof(struct mk_shared_data));
	pr_info("multikernel: finalized manifest for instance %d (size: 594 bytes)\n", id);
	pr_info("kexec_core: Manifest finalized for multikernel instance\n");
	pr_info("mk_e820: instance %d: %u MB RAM in 1 regions\n", id, instance->memory_mb);
	pr_info("Initialized IPI ring buffer for instance %d: phys=0x%llx\n", id, inbox_phys(id));
}

mk_probed void mk_instance_set_kexec_active(int id)
{
	set_halt_kind(id, MK_HALT_NONE);
	mk_instance_set_state(&instances[id], MK_STATE_ACTIVE);
	pr_info("Multikernel instance %d is now active\n", id);
}

static int start_locked(int id)
{
	struct mk_instance *instance = find_instance(id);

	if (!instance || instance->state == MK_STATE_READY) {
		pr_err("No multikernel image found with ID %d\n", id);
		return -ENOENT;
	}
	if (instance->state == MK_STATE_ACTIVE) {
		pr_warn("Multikernel instance %d stopped without a halt notification; recovering it\n", id);
		set_halt_kind(id, MK_HALT_LOST);
		mk_instance_set_state(instance, MK_STATE_LOADED);
	}
	reset_inbox(id);
	print_started(instance);
	mk_instance_set_kexec_active(id);
	return 0;
}

mk_probed int multikernel_kexec_by_id(int id)
{
	int err;

	mutex_lock(&instances_mutex);
	err = start_locked(id);
	mutex_unlock(&instances_mutex);
	return err;
}

/* Asks the spawn to shut down and waits until it has.  Up to 30 s. */
mk_probed int multikernel_halt_by_id(int id)
{
	struct mk_shutdown_payload payload = { .flags = 1, .sender_instance_id = mk_self.id };
	struct mk_pending_msg *pending;
	int err;

	if (!find_instance(id))
		return -ENOENT;
	pending = mk_msg_pending_add(MK_MSG_SYSTEM, MK_SYS_SHUTDOWN, id);
	if (!pending)
		return -ENOMEM;
	set_bit(id, &asked_mask);
	err = mk_send_message(id, MK_MSG_SYSTEM, MK_SYS_SHUTDOWN, &payload, sizeof(payload));
	if (err) {
		clear_bit(id, &asked_mask);
		mk_msg_pending_cancel(pending);
		return err;
	}
	err = mk_msg_pending_wait(pending, MK_HALT_TIMEOUT_MS);
	clear_bit(id, &asked_mask);
	if (!err)
		pr_info("Multikernel instance %d halted (graceful)\n", id);
	return err;
}

static void finish_halt_locked(int id, enum mk_halt_kind kind)
{
	struct mk_instance *instance = &instances[id];

	if (instance->state != MK_STATE_ACTIVE)
		return;
	pr_info("Instance %d (%s) halted, CPUs parking in pool\n", id, instance->name);
	set_halt_kind(id, kind);
	WRITE_ONCE(mk_table_entry(id)->peer, 0);
	mk_instance_set_state(instance, MK_STATE_LOADED);
}

/* Stops the spawn's CPUs wherever they are, and does not wait for them. */
mk_probed int multikernel_force_halt_by_id(int id)
{
	struct mk_instance *instance;
	int err = -ENOENT;

	mutex_lock(&instances_mutex);
	instance = find_instance(id);
	if (instance && instance->state == MK_STATE_ACTIVE) {
		pr_info("Force halting multikernel instance %d via NMI\n", id);
		WRITE_ONCE(mk_inbox_of(id)->force_halt, 1);
		smp_wmb();
		mk_ring_doorbell(id);
		pr_info("Sent NMI to %u CPUs in instance %d\n", instance->cpus, id);
		finish_halt_locked(id, MK_HALT_KILLED);
		err = 0;
	}
	mutex_unlock(&instances_mutex);
	return err;
}

int mk_instance_unload(int id)
{
	struct mk_instance *instance;
	int err = 0;

	mutex_lock(&instances_mutex);
	instance = find_instance(id);
	if (!instance || instance->state == MK_STATE_READY) {
		err = -ENOENT;
	} else if (instance->state == MK_STATE_ACTIVE) {
		pr_err("Multikernel instance %d is still active\n", id);
		err = -EBUSY;
	} else {
		pr_info("kexec_file: Unloading kernel from multikernel instance %d\n", id);
		mk_instance_set_state(instance, MK_STATE_READY);
	}
	mutex_unlock(&instances_mutex);
	return err;
}

static void remove_locked(struct mk_instance *instance)
{
	int overlay = next_overlay++;
	char cpus[80];

	pr_info("Applying overlay transaction %d (target=/instances, resources=unknown)\n", overlay);
	pr_info("Overlay tx%d: Removing instance '%s' (ID: %d)\n", overlay, instance->name, instance->id);
	pr_info("Releasing multikernel instance %d (%s), returning resources to root\n", instance->id, instance->name);
	pr_info("Returned %u CPUs from instance %d (%s) to the pool: %s\n", instance->cpus, instance->id, instance->name,
		cpu_list(instance, cpus, sizeof(cpus)));
	pr_info("Returning 0x%llx bytes from instance %d (%s) back to multikernel pool\n",
		pool_bytes(instance), instance->id, instance->name);
	pr_info("Overlay tx%d: Instance '%s' removed successfully\n", overlay, instance->name);
	pr_info("Overlay transaction %d applied successfully\n", overlay);
	mk_instance_set_state(instance, MK_STATE_EMPTY);
}

int mk_instance_remove(int id)
{
	struct mk_instance *instance;
	int err;

	mutex_lock(&instances_mutex);
	err = find_ready(id, &instance);
	if (!err)
		remove_locked(instance);
	mutex_unlock(&instances_mutex);
	return err;
}

static void finish_halts(struct work_struct *work)
{
	int id;

	mutex_lock(&instances_mutex);
	for (id = 1; id < MK_MAX_INSTANCES; id++) {
		bool acked = test_and_clear_bit(id, &acked_mask);
		bool halted = test_and_clear_bit(id, &halted_mask);
		bool panicked = READ_ONCE(mk_table_entry(id)->panicking) != 0;

		if (!acked && !halted)
			continue;
		if (panicked)
			mk_stop_await_reboot_vector();
		finish_halt_locked(id, acked ? MK_HALT_GRACEFUL : panicked ? MK_HALT_PANIC : MK_HALT_POWEROFF);
		/* A spawn that panics or powers off while it is asked to halt has halted all the same. */
		if (test_bit(id, &asked_mask))
			mk_msg_pending_complete(MK_MSG_SYSTEM, MK_SYS_SHUTDOWN, id, 0);
	}
	mutex_unlock(&instances_mutex);
}

static void note_halt(u32 subtype, int sender)
{
	if (!mk_is_host() || !mk_is_spawn_id(sender) || READ_ONCE(instances[sender].state) == MK_STATE_EMPTY) {
		pr_warn_ratelimited("Shutdown ACK from unknown instance %d\n", sender);
		return;
	}
	set_bit(sender, subtype == MK_SYS_HALTED ? &halted_mask : &acked_mask);
	queue_work(system_highpri_wq, &halt_work);
}

/* In the receiver's interrupt. */
mk_probed void mk_system_msg_handler(u32 type, u32 subtype, void *payload, u32 length, void *ctx)
{
	struct mk_shutdown_payload shutdown;

	if (length < sizeof(shutdown)) {
		atomic64_inc(&mk_counters.bad_messages);
		return;
	}
	memcpy(&shutdown, payload, sizeof(shutdown));
	switch (subtype) {
	case MK_SYS_SHUTDOWN:
		if (!mk_is_host())
			mk_shutdown_requested(shutdown.sender_instance_id);
		break;
	case MK_SYS_SHUTDOWN_ACK:
	case MK_SYS_HALTED:
		note_halt(subtype, shutdown.sender_instance_id);
		break;
	default:
		atomic64_inc(&mk_counters.bad_messages);
	}
}

/* The host starts with an empty table.  Kernels of an earlier host see their epoch move and leave. */
static void __init reset_table(void)
{
	int i;

	for (i = 0; i < MK_MAX_INSTANCES; i++) {
		struct mk_shm_instance *entry = mk_table_entry(i);

		reset_inbox(i);
		entry->id = i;
		entry->state = i == MK_HOST_ID ? MK_STATE_ACTIVE : MK_STATE_EMPTY;
		entry->halt = MK_HALT_NONE;
		memset(entry->name, 0, sizeof(entry->name));
	}
	strscpy(mk_table_entry(MK_HOST_ID)->name, "/", sizeof(instances[0].name_text));
	mk_table_entry(MK_HOST_ID)->cpus = num_online_cpus();
	announce_change();
}

int __init mk_lifecycle_init(void)
{
	mk_register_msg_handler(MK_MSG_SYSTEM, mk_system_msg_handler, NULL);
	if (!mk_is_host())
		return 0;
	reset_table();
	pr_info("No manifest available for multikernel DTB restoration\n");
	pr_info("Allocated IPI buffer for instance 0: phys=0x%llx, virt=%px, pages=65\n", inbox_phys(0), mk_self.inbox);
	pr_info("Root instance initialized with CPUs (physical): %*pbl\n", cpumask_pr_args(cpu_online_mask));
	pr_info("Initialized root instance (id=0, name='/')\n");
	pr_info("Initializing multikernel overlay subsystem\n");
	pr_info("Multikernel overlay subsystem initialized\n");
	return 0;
}

void mk_lifecycle_exit(void)
{
	cancel_work_sync(&halt_work);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * mkikc: the ivshmem device, the module's parameters, and how a kernel joins the channel.
 *
 *	BAR 0   +0 mask  +4 status  +8 our peer id  +12 doorbell: (peer << 16) | vector
 *	BAR 2   the shared region (mkikc_shm.h), mapped write-back so that locked instructions work on it
 *	MSI-X   one vector: "look at your inbox, your force_halt, your reboot_vector"
 *
 * The host kernel (id 0) joins at once and starts the table anew.  A spawn joins when the host has made its instance
 * `active` and no other kernel is attached to that incarnation; until then sends fail with -ENODEV and it looks again
 * every 50 ms.  So all kernels of a lab may boot at the same time.
 */
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/utsname.h>
#include <linux/workqueue.h>
#include "mkikc.h"

#define IVSHMEM_VENDOR		0x1af4
#define IVSHMEM_DEVICE		0x1110
#define IVSHMEM_REGISTERS_BAR	0
#define IVSHMEM_MEMORY_BAR	2
#define IVSHMEM_PEER_ID		8

#define POLL_MS			50
#define CLOCK_SAMPLE_MS		250

struct mk_self mk_self;
struct mk_counters mk_counters;
unsigned int mk_timeout_ms;
const char * const mk_state_names[MK_STATE_COUNT] = MK_STATE_NAMES;

static int id;
module_param(id, int, 0444);
MODULE_PARM_DESC(id, "instance id of this kernel: 0 = host, 1..15 = spawn");

static char *name = "";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "instance name; a spawn without one takes the name the host gave it");

module_param_named(timeout_ms, mk_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "wait this long for every answer instead of 10 s (hot-plug) and 30 s (halt); 0 = the real times");

static void poll_inbox(struct work_struct *work);
static DECLARE_DELAYED_WORK(poll_work, poll_inbox);
static unsigned long next_clock_sample;

/* Unlike all other fields, name and release of the table come from another kernel as text. */
static void copy_shared_text(char *to, size_t size, const char *from)
{
	memcpy(to, from, size);
	to[size - 1] = '\0';
}

static void print_identity(void)
{
	pr_info("DTB contains instance ID %d, name '%s'\n", mk_self.id, mk_self.name);
	pr_info("Before restriction: cpu_possible=%*pbl, cpu_present=%*pbl\n",
		cpumask_pr_args(cpu_possible_mask), cpumask_pr_args(cpu_present_mask));
	pr_info("After restriction: cpu_possible=%*pbl, cpu_present=%*pbl\n",
		cpumask_pr_args(cpu_possible_mask), cpumask_pr_args(cpu_online_mask));
	pr_info("Restored IPI buffer for root instance: phys=0x%llx, virt=%px, pages=65, size=%d\n",
		(u64)pci_resource_start(mk_self.pci, IVSHMEM_MEMORY_BAR) + MK_INBOX_OFFSET + mk_self.id * MK_INBOX_STRIDE,
		mk_self.inbox, MK_INBOX_STRIDE);
	pr_info("Restored host IPI buffer: phys=0x%llx, virt=%px, pages=65\n",
		(u64)pci_resource_start(mk_self.pci, IVSHMEM_MEMORY_BAR) + MK_INBOX_OFFSET, mk_inbox_of(MK_HOST_ID));
	pr_info("Registered host instance (ID 0) for spawn→host communication\n");
	pr_info("Successfully restored multikernel root instance %d ('%s') from manifest (%zu bytes)\n",
		mk_self.id, mk_self.name, sizeof(struct mk_shm_instance));
}

static void publish_self(struct mk_shm_instance *entry)
{
	entry->online_cpus = num_online_cpus();
	entry->panicking = 0;
	entry->reboot_vector = 0;
	strscpy(entry->release, init_utsname()->release, sizeof(entry->release));
}

/* A spawn's side of joining.  The compare-and-swap keeps a second kernel with the same id out. */
static bool try_attach(void)
{
	struct mk_shm_instance *entry = mk_table_entry(mk_self.id);
	u32 epoch = READ_ONCE(entry->epoch);

	if (READ_ONCE(entry->state) != MK_STATE_ACTIVE || cmpxchg(&entry->peer, 0, mk_self.peer + 1) != 0)
		return false;
	if (!mk_self.name[0])
		copy_shared_text(mk_self.name, sizeof(mk_self.name), entry->name);
	mk_self.epoch = epoch;
	publish_self(entry);
	mk_ring_attach();
	print_identity();
	smp_store_release(&mk_self.linked, true);
	xadd(&mk_self.shm->table_generation, 1);
	mk_ring_consume_now();
	return true;
}

static void attach_host(void)
{
	struct mk_shm_instance *entry = mk_table_entry(MK_HOST_ID);

	strscpy(mk_self.name, name[0] ? name : "/", sizeof(mk_self.name));
	mk_self.epoch = READ_ONCE(entry->epoch);
	publish_self(entry);
	WRITE_ONCE(entry->peer, mk_self.peer + 1);
	mk_ring_attach();
	smp_store_release(&mk_self.linked, true);
	xadd(&mk_self.shm->table_generation, 1);
}

/*
 * Makes up for what no interrupt tells: that we may join, a message whose sender died before its doorbell, a slot that
 * was claimed and never filled, and that the host gave our id to a new incarnation.
 */
static void poll_inbox(struct work_struct *work)
{
	if (!mk_self.linked) {
		if (!mk_is_host() && !mk_self.epoch)
			try_attach();
	} else if (READ_ONCE(mk_table_entry(mk_self.id)->epoch) != mk_self.epoch) {
		pr_err("mkikc: instance %d was started anew elsewhere; this kernel leaves the channel\n", mk_self.id);
		WRITE_ONCE(mk_self.linked, false);
	} else {
		mk_stop_check();
		mk_ring_poll();
	}
	if (mk_self.linked && time_after(jiffies, next_clock_sample)) {
		mk_truth_sample_clock();
		next_clock_sample = jiffies + msecs_to_jiffies(CLOCK_SAMPLE_MS);
	}
	schedule_delayed_work(&poll_work, msecs_to_jiffies(POLL_MS));
}

static irqreturn_t doorbell_rang(int irq, void *ctx)
{
	if (!READ_ONCE(mk_self.linked))
		return IRQ_HANDLED;
	mk_stop_check();
	generic_multikernel_interrupt();
	return IRQ_HANDLED;
}

static bool is_region_sound(const struct mk_shm_header *shm, resource_size_t size)
{
	u32 capacity = READ_ONCE(shm->truth_capacity);
	u32 stride = READ_ONCE(shm->truth_stride);

	if (READ_ONCE(shm->magic) != MK_SHM_MAGIC || shm->version != MK_SHM_VERSION ||
	    shm->max_instances != MK_MAX_INSTANCES || shm->inbox_offset != MK_INBOX_OFFSET ||
	    shm->inbox_stride != MK_INBOX_STRIDE || shm->truth_offset != MK_TRUTH_OFFSET)
		return false;
	if (!is_power_of_2(capacity) || stride != sizeof(struct mk_truth_ring) + (u64)capacity * sizeof(struct mk_truth_record))
		return false;
	mk_self.truth_capacity = capacity;
	mk_self.truth_stride = stride;
	return MK_TRUTH_OFFSET + (u64)stride * MK_MAX_INSTANCES <= size;
}

static int map_region(struct pci_dev *pci)
{
	resource_size_t size = pci_resource_len(pci, IVSHMEM_MEMORY_BAR);

	if (size < MK_TRUTH_OFFSET)
		return dev_err_probe(&pci->dev, -ENODEV, "shared region of %pa bytes is too small\n", &size);
	mk_self.registers = pcim_iomap(pci, IVSHMEM_REGISTERS_BAR, 0);
	mk_self.shm = devm_memremap(&pci->dev, pci_resource_start(pci, IVSHMEM_MEMORY_BAR), size, MEMREMAP_WB);
	if (!mk_self.registers || IS_ERR_OR_NULL(mk_self.shm))
		return dev_err_probe(&pci->dev, -ENOMEM, "cannot map the region\n");
	if (!is_region_sound(mk_self.shm, size))
		return dev_err_probe(&pci->dev, -EPROTO, "the region was not laid out by this version of mkbus\n");
	mk_self.inbox = mk_inbox_of(mk_self.id);
	mk_self.peer = readl(mk_self.registers + IVSHMEM_PEER_ID);
	if (mk_self.peer > U16_MAX)
		return dev_err_probe(&pci->dev, -ENODEV, "no peer id: use ivshmem-doorbell, not ivshmem-plain\n");
	return 0;
}

static int mkikc_probe(struct pci_dev *pci, const struct pci_device_id *unused)
{
	int err;

	if (mk_self.pci)
		return -EBUSY;
	err = pcim_enable_device(pci);
	if (err)
		return err;
	pci_set_master(pci);
	err = map_region(pci);
	if (err)
		return err;
	mk_self.pci = pci;
	err = pci_alloc_irq_vectors(pci, 1, 1, PCI_IRQ_MSIX);
	if (err < 0)
		goto fail;
	/* Hard interrupt context also on PREEMPT_RT, as the IPI has in Multikernel. */
	err = request_irq(pci_irq_vector(pci, 0), doorbell_rang, IRQF_NO_THREAD, "mkikc", &mk_self);
	if (err)
		goto free_vectors;
	return 0;

free_vectors:
	pci_free_irq_vectors(pci);
fail:
	mk_self.pci = NULL;
	return err;
}

static void mkikc_remove(struct pci_dev *pci)
{
	/* A module that is loaded again may join the same incarnation. */
	if (READ_ONCE(mk_self.linked))
		cmpxchg(&mk_table_entry(mk_self.id)->peer, mk_self.peer + 1, 0);
	WRITE_ONCE(mk_self.linked, false);
	free_irq(pci_irq_vector(pci, 0), &mk_self);
	pci_free_irq_vectors(pci);
	mk_self.pci = NULL;
}

static const struct pci_device_id mkikc_ids[] = {
	{ PCI_DEVICE(IVSHMEM_VENDOR, IVSHMEM_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, mkikc_ids);

static struct pci_driver mkikc_driver = {
	.name = "mkikc",
	.id_table = mkikc_ids,
	.probe = mkikc_probe,
	.remove = mkikc_remove,
};

static int __init join(void)
{
	int err;

	pr_info("platform-quirks: hardware_subarch=%d (MULTIKERNEL=5)\n", mk_is_host() ? 0 : 5);
	err = mk_message_init();

	if (err)
		return err;
	err = mk_hotplug_init();
	if (err)
		return err;
	err = mk_lifecycle_init();
	if (err)
		goto hotplug;
	err = mk_stop_init();
	if (err)
		goto lifecycle;
	err = mk_generator_init();
	if (err)
		goto stop;
	err = mk_control_init();
	if (err)
		goto stop;
	if (mk_is_host())
		attach_host();
	else
		strscpy(mk_self.name, name, sizeof(mk_self.name));
	pr_info("Multikernel support initialized\n");
	schedule_delayed_work(&poll_work, 0);
	return 0;

stop:
	mk_stop_exit();
lifecycle:
	mk_lifecycle_exit();
hotplug:
	mk_hotplug_exit();
	return err;
}

static int __init mkikc_init(void)
{
	int err;

	if (id < 0 || id >= MK_MAX_INSTANCES)
		return -EINVAL;
	mk_self.id = id;
	err = pci_register_driver(&mkikc_driver);
	if (err)
		return err;
	err = mk_self.pci ? join() : -ENODEV;
	if (err)
		pci_unregister_driver(&mkikc_driver);
	return err;
}
module_init(mkikc_init);

static void __exit mkikc_exit(void)
{
	mk_control_exit();
	mk_generator_stop();
	mk_stop_exit();
	cancel_delayed_work_sync(&poll_work);
	pci_unregister_driver(&mkikc_driver);
	mk_lifecycle_exit();
	mk_hotplug_exit();
}
module_exit(mkikc_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Multikernel's inter-kernel messages between QEMU guests, over ivshmem");

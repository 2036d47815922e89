// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/mkikc/ctl: one command per write; the write fails with the command's errno.  /sys/kernel/mkikc/status.
 *
 *	host      create ID NAME [CPUS [MEM_MB]] | load ID | start ID | halt ID | kill ID | unload ID | remove ID
 *	          cpu add|remove ID CPU | mem add|remove ID PFN PAGES | device add|remove ID DOMAIN:BUS:DEV.FN
 *	any       gen DESTINATION [key=value...]   (generator.c) | gen stop
 *	          drain on|off | ack drop N | ack delay MS N
 *
 * status is `name value` lines; `instance` lines (host only) and the `gen` line carry several values.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include "mkikc.h"

static struct kobject *folder;

static int parse_id(const char *text, int *id)
{
	return kstrtoint(text, 10, id);
}

static int run_create(int argc, char **argv)
{
	u32 cpus = 2, memory_mb = 256;
	int id, err;

	if (argc < 3 || argc > 5)
		return -EINVAL;
	err = parse_id(argv[1], &id);
	if (!err && argc > 3)
		err = kstrtou32(argv[3], 10, &cpus);
	if (!err && argc > 4)
		err = kstrtou32(argv[4], 10, &memory_mb);
	return err ?: mk_instance_create(id, argv[2], cpus, memory_mb);
}

static const struct {
	const char *name;
	int (*run)(int id);
} lifecycle_commands[] = {
	{ "load", mk_instance_load },
	{ "start", multikernel_kexec_by_id },
	{ "halt", multikernel_halt_by_id },
	{ "kill", multikernel_force_halt_by_id },
	{ "unload", mk_instance_unload },
	{ "remove", mk_instance_remove },
};

static int run_lifecycle(int argc, char **argv)
{
	int i, id, err;

	for (i = 0; i < ARRAY_SIZE(lifecycle_commands); i++) {
		if (strcmp(argv[0], lifecycle_commands[i].name))
			continue;
		if (argc != 2)
			return -EINVAL;
		err = parse_id(argv[1], &id);
		return err ?: lifecycle_commands[i].run(id);
	}
	return -EINVAL;
}

static int run_cpu(bool add, int id, int argc, char **argv)
{
	u64 cpu;

	if (argc != 1 || kstrtou64(argv[0], 0, &cpu))
		return -EINVAL;
	return add ? mk_send_cpu_add(id, cpu, -1, 0) : mk_send_cpu_remove(id, cpu);
}

static int run_mem(bool add, int id, int argc, char **argv)
{
	u64 pfn, pages;

	if (argc != 2 || kstrtou64(argv[0], 0, &pfn) || kstrtou64(argv[1], 0, &pages))
		return -EINVAL;
	return add ? mk_send_mem_add(id, pfn, pages, 0, 1) : mk_send_mem_remove(id, pfn, pages);
}

static int run_device(bool add, int id, int argc, char **argv)
{
	unsigned int domain, bus, slot, function;

	if (argc != 1 || sscanf(argv[0], "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4 ||
	    domain > U16_MAX || bus > U8_MAX || slot > 31 || function > 7)
		return -EINVAL;
	return add ? mk_send_device_add(id, domain, bus, PCI_DEVFN(slot, function), "vfio-pci", 1) :
		     mk_send_device_remove(id, domain, bus, PCI_DEVFN(slot, function));
}

/* cpu|mem|device add|remove ID ... */
static int run_hotplug(int argc, char **argv)
{
	bool add;
	int id;

	if (argc < 4 || parse_id(argv[2], &id))
		return -EINVAL;
	add = !strcmp(argv[1], "add");
	if (!add && strcmp(argv[1], "remove"))
		return -EINVAL;
	if (!strcmp(argv[0], "cpu"))
		return run_cpu(add, id, argc - 3, argv + 3);
	if (!strcmp(argv[0], "mem"))
		return run_mem(add, id, argc - 3, argv + 3);
	return run_device(add, id, argc - 3, argv + 3);
}

static int run_generator(int argc, char **argv)
{
	int id;

	if (argc == 2 && !strcmp(argv[1], "stop")) {
		mk_generator_stop();
		return 0;
	}
	if (argc < 2 || parse_id(argv[1], &id))
		return -EINVAL;
	return mk_generator_start(id, argv + 2, argc - 2);
}

static int run_drain(int argc, char **argv)
{
	bool on;

	if (argc != 2 || kstrtobool(argv[1], &on))
		return -EINVAL;
	mk_ring_set_drain(on);
	return 0;
}

static int run_ack(int argc, char **argv)
{
	u32 first, second;

	if (argc == 3 && !strcmp(argv[1], "drop") && !kstrtou32(argv[2], 10, &first)) {
		mk_hotplug_drop_acks(first);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "delay") && !kstrtou32(argv[2], 10, &first) && !kstrtou32(argv[3], 10, &second)) {
		mk_hotplug_delay_acks(first, second);
		return 0;
	}
	return -EINVAL;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "create", run_create },
	{ "cpu", run_hotplug },
	{ "mem", run_hotplug },
	{ "device", run_hotplug },
	{ "gen", run_generator },
	{ "drain", run_drain },
	{ "ack", run_ack },
};

static int run_command(int argc, char **argv)
{
	int i;

	if (!argc)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[0], commands[i].name))
			return commands[i].run(argc, argv);
	return run_lifecycle(argc, argv);
}

static ssize_t ctl_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text, size_t size)
{
	int argc, err;
	char **argv = argv_split(GFP_KERNEL, text, &argc);

	if (!argv)
		return -ENOMEM;
	err = run_command(argc, argv);
	argv_free(argv);
	return err ?: size;
}
static struct kobj_attribute ctl_attribute = __ATTR_WO(ctl);

static int print_counters(char *text, int used)
{
	struct mk_counters *c = &mk_counters;
	const struct {
		const char *name;
		atomic64_t *value;
	} rows[] = {
		{ "sent", &c->sent }, { "sent_bytes", &c->sent_bytes },
		{ "received", &c->received }, { "received_bytes", &c->received_bytes },
		{ "user_received", &c->user_received }, { "interrupts", &c->interrupts },
		{ "bad_slots", &c->bad_slots }, { "bad_messages", &c->bad_messages },
		{ "abandoned_slots", &c->abandoned_slots },
		{ "requests_received", &c->requests_received }, { "requests_dropped", &c->requests_dropped },
		{ "acks_sent", &c->acks_sent }, { "acks_received", &c->acks_received },
		{ "acks_unexpected", &c->acks_unexpected }, { "acks_suppressed", &c->acks_suppressed },
		{ "timeouts", &c->timeouts },
		{ "truth_written", &c->truth_written }, { "truth_lost", &c->truth_lost },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		used += sysfs_emit_at(text, used, "%s %lld\n", rows[i].name, atomic64_read(rows[i].value));
	for (i = 0; i < ARRAY_SIZE(c->failed); i++)
		if (atomic64_read(&c->failed[i]))
			used += sysfs_emit_at(text, used, "failed.%d %lld\n", i, atomic64_read(&c->failed[i]));
	return used;
}

static int print_instances(char *text, int used)
{
	static const char * const halts[MK_HALT_COUNT] = MK_HALT_NAMES;
	int id;

	for (id = 1; mk_is_host() && id < MK_MAX_INSTANCES; id++) {
		struct mk_shm_instance *entry = mk_table_entry(id);
		u32 state = READ_ONCE(entry->state), halt = READ_ONCE(entry->halt);

		if (state == MK_STATE_EMPTY || state >= MK_STATE_COUNT || halt >= MK_HALT_COUNT)
			continue;
		used += sysfs_emit_at(text, used, "instance %d name=%.63s state=%s halt=%s epoch=%u attached=%d\n", id,
				      entry->name, mk_state_names[state], halts[halt], entry->epoch, entry->peer != 0);
	}
	return used;
}

static ssize_t status_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	int cpu, used = 0;

	used += sysfs_emit_at(text, used, "id %d\nname %s\nlink %s\npeer %u\nepoch %u\ndrain %s\nphys_cpus", mk_self.id,
			      mk_self.name, mk_self.linked ? "up" : mk_self.epoch ? "left" : "waiting", mk_self.peer,
			      mk_self.epoch, mk_ring_drains() ? "on" : "off");
	for_each_online_cpu(cpu)
		used += sysfs_emit_at(text, used, " %d:%llu", cpu, mk_phys_cpu(cpu));
	used += sysfs_emit_at(text, used, "\n");
	used = print_counters(text, used);
	used += mk_generator_status(text + used, PAGE_SIZE - used);
	return print_instances(text, used);
}
static struct kobj_attribute status_attribute = __ATTR_RO(status);

static struct attribute *attributes[] = { &ctl_attribute.attr, &status_attribute.attr, NULL };
static const struct attribute_group attribute_group = { .attrs = attributes };

int __init mk_control_init(void)
{
	int err;

	folder = kobject_create_and_add("mkikc", kernel_kobj);
	if (!folder)
		return -ENOMEM;
	err = sysfs_create_group(folder, &attribute_group);
	if (err)
		kobject_put(folder);
	return err;
}

void mk_control_exit(void)
{
	kobject_put(folder);
}

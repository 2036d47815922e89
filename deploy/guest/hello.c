/* Who this kernel is, and what could not be opened: the text of HELLO, `key=value` lines. */
#include "mkfwd.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TREE "/sys/firmware/devicetree/base"
#define MAX_KERNEL_ID 511

static struct buffer problems;

void problem(const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say("%s", text);
	if (problems.length < 4096)
		add_text(&problems, "problem=%s\n", text);
}

/* An arm64 board has a `model` too; only a multikernel tree has the resources or a `chosen/multikernel,…` property. */
static bool is_multikernel_tree(void)
{
	if (access(TREE "/resources/cpus", F_OK) == 0)
		return true;
	DIR *folder = opendir(TREE "/chosen");
	bool found = false;
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		if (strncmp(entry->d_name, "multikernel,", 12) == 0)
			found = true;
	if (folder)
		closedir(folder);
	return found;
}

static void discover_in_tree(void)
{
	char text[64];
	if (read_text(TREE "/id", text, sizeof text) != 4 || !is_multikernel_tree())
		return;
	const uint8_t *id = (const uint8_t *)text;
	int value = id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3];
	if (value <= 0 || value > MAX_KERNEL_ID)
		return;
	if (options.kernel_id < 0)
		options.kernel_id = value;
	if (!options.kernel_name[0] && read_text(TREE "/model", text, sizeof text) > 0)
		snprintf(options.kernel_name, sizeof options.kernel_name, "%s", text);
}

static const char *argument(const char *command_line, const char *name, char *value, size_t capacity)
{
	size_t length = strlen(name);
	for (const char *at = command_line; (at = strstr(at, name)); at += length) {
		if (at != command_line && at[-1] != ' ')
			continue;
		size_t count = strcspn(at + length, " \n");
		if (count >= capacity)
			count = capacity - 1;
		memcpy(value, at + length, count);
		value[count] = 0;
		return value;
	}
	return NULL;
}

/* Flags win over the device tree, this over the command line. */
void discover_identity(void)
{
	char line[4096], value[64];
	discover_in_tree();
	if (read_text("/proc/cmdline", line, sizeof line) < 0)
		line[0] = 0;
	if (options.kernel_id < 0 &&
	    (argument(line, "multikernel.id=", value, sizeof value) || argument(line, "multikernel_id=", value, sizeof value)))
		options.kernel_id = atoi(value);
	if (!options.kernel_name[0] && argument(line, "multikernel.name=", value, sizeof value))
		snprintf(options.kernel_name, sizeof options.kernel_name, "%s", value);
	if (!options.kernel_name[0] && options.kernel_id > 0)
		snprintf(options.kernel_name, sizeof options.kernel_name, "kernel-%d", options.kernel_id);
}

static void add_line(struct buffer *to, const char *key, const char *value)
{
	char clean[256];
	size_t length = 0;
	for (; value[length] && length + 1 < sizeof clean; length++)
		clean[length] = (unsigned char)value[length] < ' ' ? '?' : value[length];
	clean[length] = 0;
	add_text(to, "%s=%s\n", key, clean);
}

const char *boot_id(void)
{
	static char text[64];
	if (!text[0])
		read_text("/proc/sys/kernel/random/boot_id", text, sizeof text);
	return text;
}

void send_hello(void)
{
	static struct buffer hello;
	static const uint16_t one = 1;
	struct utsname name;
	uname(&name);
	reset(&hello);
	add_text(&hello, "version=1\nsession=%llu\n", (unsigned long long)session);
	if (options.kernel_id >= 0)
		add_text(&hello, "kernel_id=%d\n", options.kernel_id);
	if (options.kernel_name[0])
		add_line(&hello, "kernel_name", options.kernel_name);
	add_line(&hello, "boot_id", boot_id());
	add_line(&hello, "release", name.release);
	add_line(&hello, "machine", name.machine);
	add_text(&hello, "word_bytes=%d\nendian=%s\n", (int)sizeof(long), *(const uint8_t *)&one ? "little" : "big");
	add_text(&hello, "first_frame=%llu\n", (unsigned long long)first_kept_seq());
	add_text(&hello, "kmsg=%s\n", kmsg_fd >= 0 ? "open" : "closed");
	if (tracing) {
		add_line(&hello, "clock", options.clock);
		add_line(&hello, "instance", options.instance);
		add_text(&hello, "generation=%llu\npage_bytes=%zu\n", (unsigned long long)instance_generation, page_bytes);
		add_base(&hello);
	}
	if (problems.length)
		memcpy(extend(&hello, problems.length), problems.bytes, problems.length);
	send_urgent(FRAME_HELLO, &hello);
}

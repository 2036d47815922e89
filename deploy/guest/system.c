/*
 * SYSTEM: a sample of the files in /proc that the collector makes metrics of (collector/system-metrics.ts), as they are but for
 * what it does not use. A sample is of the moment at which it goes out: it waits nowhere, is not numbered, and is not sent again.
 */
#include "mkfwd.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* `cpu0` and its ten numbers; the thousand numbers behind `intr` and its sum are not used. */
#define MAX_WORDS 11
/* 1024 CPUs, and within what the collector takes as a frame. */
#define MAX_SYSTEM_BYTES (120 << 10)

/* `lines`: how the lines begin that are sent; NULL = all. */
static const struct {
	const char *name, *lines;
} files[] = {
	{ "uptime", NULL },
	{ "loadavg", NULL },
	{ "meminfo", "MemTotal: MemFree: MemAvailable: Buffers: Cached: SReclaimable: SUnreclaim:" },
	{ "vmstat", "pgfault pgmajfault" },
	{ "pressure/cpu", NULL },
	{ "pressure/memory", NULL },
	{ "pressure/io", NULL },
	{ "stat", "cpu intr ctxt processes procs_running procs_blocked" },
};

static bool asked;

static bool is_wanted(const char *line, const char *lines)
{
	while (lines) {
		size_t length = strcspn(lines, " ");
		if (strncmp(line, lines, length) == 0)
			return true;
		lines = lines[length] ? lines + length + 1 : NULL;
	}
	return false;
}

static size_t words_length(const char *line)
{
	size_t length = 0;
	for (int word = 0; word < MAX_WORDS; word++) {
		length += strspn(line + length, " ");
		length += strcspn(line + length, " ");
	}
	return length;
}

static void add_lines(struct buffer *to, char *text, const char *lines)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		if (lines && !is_wanted(line, lines))
			continue;
		size_t length = words_length(line);
		if (to->length + length + 1 > MAX_SYSTEM_BYTES)
			return;
		uint8_t *at = extend(to, length + 1);
		memcpy(at, line, length);
		at[length] = '\n';
	}
}

/* A file that is not there is not in the sample. */
static void add_file(struct buffer *to, const char *name, const char *lines)
{
	static char text[256 << 10];
	char path[64] = "/proc/";
	strcat(path, name);
	if (read_text(path, text, sizeof text) <= 0)
		return;
	size_t name_length = strlen(name), head = to->length;
	memcpy(extend(to, 6 + name_length) + 6, name, name_length);
	add_lines(to, text, lines);
	put_u16(to->bytes + head, (uint16_t)name_length);
	put_u32(to->bytes + head + 2, (uint32_t)(to->length - head - 6 - name_length));
}

/* What /proc does not have: a file of our own. */
static void add_probes(struct buffer *to)
{
	static const char name[] = "kprobes";
	size_t name_length = sizeof name - 1, head = to->length;
	memcpy(extend(to, 6 + name_length) + 6, name, name_length);
	add_probe_misses(to);
	size_t length = to->length - head - 6 - name_length;
	if (length == 0) {
		to->length = head;
		return;
	}
	put_u16(to->bytes + head, (uint16_t)name_length);
	put_u32(to->bytes + head + 2, (uint32_t)length);
}

void system_start(void)
{
	if (!options.system_ms)
		return;
	if (access("/proc/stat", R_OK) < 0)
		problem("no samples of the system: /proc/stat: %s", strerror(errno));
	else if (access("/proc/pressure", F_OK) < 0)
		problem("no pressure metrics: the kernel runs without PSI (psi=1 on its command line enables it)");
}

/* A sample is due: it is taken when the link has room for it. */
void system_ask(void)
{
	asked = true;
}

/* The payload of the SYSTEM frame that is due; false where none is. */
bool system_next(struct buffer *to)
{
	if (!asked)
		return false;
	asked = false;
	reset(to);
	uint8_t *head = extend(to, 16);
	put_u64(head, session);
	put_u64(head + 8, mono_ns());
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		add_file(to, files[i].name, files[i].lines);
	add_probes(to);
	return to->length > 16;
}

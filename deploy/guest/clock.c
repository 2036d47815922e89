/*
 * CLOCK: the clocks of this kernel against CLOCK_MONOTONIC, each as a bracket: monotonic before, the other clock, monotonic
 * after; the narrowest of some rounds. The tracer's clocks are read with the tracer: a marker in an instance on that clock, with
 * the smallest buffer and no event. printk's clock is the trace clock `perf`.
 */
#include "mkfwd.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 6

struct tool {
	char path[256];
	int marker, pages[MAX_CPUS];
	bool open;
};

static struct tool perf_tool, trace_tool;
static uint64_t round_number;
static unsigned print_id, text_offset = 16;
static struct buffer first_sample;

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool write_tool(const struct tool *tool, const char *file, const char *text)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", tool->path, file);
	return write_text(path, text, 0) == 0;
}

static void open_tool(struct tool *tool, const char *tag, const char *clock)
{
	char path[512];
	/* The name's form is one that a collector on this kernel removes when its owner is dead. */
	snprintf(tool->path, sizeof tool->path, "%s/instances/mkscope-%s-%d", tracefs, tag, (int)getpid());
	if (mkdir(tool->path, 0750) < 0 || !write_tool(tool, "trace_clock", clock)) {
		problem("the trace clock %s cannot be sampled: %s", clock, strerror(errno));
		rmdir(tool->path);
		return;
	}
	write_tool(tool, "buffer_size_kb", "8");
	snprintf(path, sizeof path, "%s/trace_marker", tool->path);
	tool->marker = open(path, O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < trace_cpu_count; i++) {
		snprintf(path, sizeof path, "%s/per_cpu/cpu%d/trace_pipe_raw", tool->path, trace_cpus[i]);
		tool->pages[i] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	}
	tool->open = tool->marker >= 0;
}

static void close_tool(struct tool *tool)
{
	if (!tool->open)
		return;
	close(tool->marker);
	for (int i = 0; i < trace_cpu_count; i++)
		close(tool->pages[i]);
	rmdir(tool->path);
	tool->open = false;
}

static void read_print_format(void)
{
	char path[128], text[2048];
	snprintf(path, sizeof path, "%s/events/ftrace/print/format", tracefs);
	if (read_text(path, text, sizeof text) < 0)
		return;
	const char *id = strstr(text, "ID: "), *field = strstr(text, "char buf[]");
	print_id = id ? (unsigned)atoi(id + 4) : 0;
	field = field ? strstr(field, "offset:") : NULL;
	text_offset = field ? (unsigned)atoi(field + 7) : text_offset;
}

/* The stamps of this sample's markers, by round. */
static void read_stamps(struct tool *tool, uint64_t first, uint64_t stamps[ROUNDS])
{
	static uint8_t *page;
	static size_t capacity;
	if (capacity < page_bytes) {
		free(page);
		page = must_alloc(capacity = page_bytes);
	}
	for (int i = 0; i < trace_cpu_count; i++) {
		while (read(tool->pages[i], page, page_bytes) > 0) {
			uint64_t time, number;
			memcpy(&time, page, 8);
			size_t at = layout.data_offset, end = at + page_data_bytes(page), bytes;
			const uint8_t *event;
			uint16_t type;
			while (next_event(page, &at, end, &time, &event, &bytes)) {
				if (bytes < 2 || (memcpy(&type, event, 2), type) != print_id || bytes <= text_offset)
					continue;
				number = strtoull((const char *)event + text_offset, NULL, 10);
				if (number >= first && number < first + ROUNDS)
					stamps[number - first] = time;
			}
		}
	}
}

static void sample_tool(struct tool *tool, const char *name, struct buffer *to)
{
	uint64_t before[ROUNDS], after[ROUNDS], stamps[ROUNDS] = { 0 }, first = round_number + 1;
	int best = -1;
	if (!tool->open)
		return;
	for (int round = 0; round < ROUNDS; round++) {
		char mark[32];
		int length = snprintf(mark, sizeof mark, "%llu\n", (unsigned long long)++round_number);
		before[round] = mono_ns();
		ssize_t count = write(tool->marker, mark, (size_t)length);
		after[round] = mono_ns();
		if (count < 0)
			return;
	}
	read_stamps(tool, first, stamps);
	for (int round = 0; round < ROUNDS; round++)
		if (stamps[round] && (best < 0 || after[round] - before[round] < after[best] - before[best]))
			best = round;
	if (best >= 0)
		add_text(to, "%s0=%llu\n%s=%llu\n%s1=%llu\n", name, (unsigned long long)before[best], name, (unsigned long long)stamps[best],
			 name, (unsigned long long)after[best]);
}

#if defined(__x86_64__) || defined(__i386__)
static uint64_t read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}
#else
static uint64_t read_tsc(void)
{
	return 0;
}
#endif

static void sample(struct buffer *to)
{
	uint64_t best[6] = { 0 }, width = UINT64_MAX;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before = mono_ns(), real = read_ns(CLOCK_REALTIME), raw = read_ns(CLOCK_MONOTONIC_RAW),
			 boot = read_ns(CLOCK_BOOTTIME), tsc = read_tsc(), after = mono_ns();
		if (after - before >= width)
			continue;
		width = after - before;
		memcpy(best, (uint64_t[]){ before, real, raw, boot, tsc, after }, sizeof best);
	}
	reset(to);
	add_text(to, "mono0=%llu\nreal=%llu\nraw=%llu\nboot=%llu\n", (unsigned long long)best[0], (unsigned long long)best[1],
		 (unsigned long long)best[2], (unsigned long long)best[3]);
	if (best[4])
		add_text(to, "tsc=%llu\n", (unsigned long long)best[4]);
	add_text(to, "mono1=%llu\n", (unsigned long long)best[5]);
	sample_tool(&perf_tool, "perf", to);
	sample_tool(&trace_tool, "trace", to);
}

/* Left by a forwarder that was killed: `mkscope-fwd…-<pid>` without a living owner. */
static void remove_left_over_tools(void)
{
	char path[512];
	int pid, end;
	snprintf(path, sizeof path, "%s/instances", tracefs);
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		end = 0;
		sscanf(entry->d_name, "mkscope-fwd%*[a-z]-%d%n", &pid, &end);
		if (end == 0 || entry->d_name[end] || kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof path, "%s/instances/%s", tracefs, entry->d_name);
		rmdir(path);
	}
	if (folder)
		closedir(folder);
}

/* Called when the trace instance is there: its CPUs and page layout are known. */
void clock_start(void)
{
	if (tracing) {
		remove_left_over_tools();
		read_print_format();
		open_tool(&perf_tool, "fwdclock", "perf");
		if (strcmp(options.clock, "mono") != 0 && strcmp(options.clock, "perf") != 0)
			open_tool(&trace_tool, "fwdtrace", options.clock);
	}
	sample(&first_sample);
}

void clock_sample(void)
{
	static struct buffer payload;
	sample(&payload);
	keep_frame(FRAME_CLOCK, &payload);
}

/* For a host that has just come: the sample of our start and one of now give it the rates at once. */
void clock_resend(void)
{
	keep_frame(FRAME_CLOCK, &first_sample);
	clock_sample();
}

void clock_stop(void)
{
	close_tool(&perf_tool);
	close_tool(&trace_tool);
}

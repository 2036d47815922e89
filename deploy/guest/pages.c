/*
 * Pages of trace_pipe_raw, verbatim but for the zeros at their ends, and the kernel's own books of them. All CPUs in turn, each
 * within its budget. Nothing is read while the queue is full: then it is the kernel that overwrites, and counts it.
 */
#include "mkfwd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGES_PER_TURN 64
/* Low 27 bits of the commit word: bytes of data. The others are flags, sign-extended on 64-bit kernels. */
#define COMMIT_MASK 0x07ffffffu
#define PAGES_HEAD_BYTES 12
#define MAX_COMMS 8192

struct cpu {
	int pages_fd, stats_fd;
	uint64_t read;     /* events that this process took out of the ring */
	uint64_t base;     /* events that the session does not send: read before it, or acknowledged to another host */
	uint64_t acked;    /* events that the host has acknowledged in this session */
	char stats[256];
};

struct page_layout layout = { 8, 8, 16 };

static struct cpu cpus[MAX_CPUS];
static int next_cpu;
static uint8_t *page;
static struct buffer payload;
static uint64_t total_read;
static uint32_t comms[MAX_COMMS][2];
static char tracefs_comms[128];

static unsigned field_of(const char *text, const char *field, const char *what, unsigned otherwise)
{
	const char *at = strstr(text, field);
	at = at ? strstr(at, what) : NULL;
	return at ? (unsigned)strtoul(at + strlen(what), NULL, 10) : otherwise;
}

static void read_layout(void)
{
	char text[2048], path[128];
	snprintf(path, sizeof path, "%s/events/header_page", tracefs);
	if (read_text(path, text, sizeof text) < 0)
		text[0] = 0;
	layout.commit_offset = field_of(text, " commit;", "offset:", 8);
	layout.commit_bytes = field_of(text, " commit;", "size:", sizeof(long));
	layout.data_offset = field_of(text, "char data;", "offset:", 8 + sizeof(long));
	page_bytes = layout.data_offset + field_of(text, "char data;", "size:", 4096 - layout.data_offset);
	if (read_trace_file("buffer_subbuf_size_kb", text, sizeof text) && strtoul(text, NULL, 10) * 1024 > page_bytes)
		page_bytes = strtoul(text, NULL, 10) * 1024;
}

static uint64_t stat_of(const char *stats, const char *name)
{
	const char *at = strncmp(stats, name, strlen(name)) == 0 ? stats : NULL;
	char line[48];
	snprintf(line, sizeof line, "\n%s", name);
	if (!at && (at = strstr(stats, line)))
		at++;
	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void read_stats(struct cpu *of)
{
	ssize_t length = pread(of->stats_fd, of->stats, sizeof of->stats - 1, 0);
	of->stats[length > 0 ? length : 0] = 0;
}

void pages_open(void)
{
	char path[512];
	read_layout();
	page = must_alloc(page_bytes);
	snprintf(tracefs_comms, sizeof tracefs_comms, "%s/saved_cmdlines", tracefs);
	for (int i = 0; i < trace_cpu_count; i++) {
		trace_file(path, sizeof path, "per_cpu/cpu%d/trace_pipe_raw", trace_cpus[i]);
		cpus[i].pages_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (cpus[i].pages_fd < 0)
			problem("%s: %s", path, strerror(errno));
		trace_file(path, sizeof path, "per_cpu/cpu%d/stats", trace_cpus[i]);
		cpus[i].stats_fd = open(path, O_RDONLY | O_CLOEXEC);
		read_stats(&cpus[i]);
		cpus[i].base = stat_of(cpus[i].stats, "read events: ");
	}
}

void pages_close(void)
{
	for (int i = 0; i < trace_cpu_count; i++) {
		close(cpus[i].pages_fd);
		close(cpus[i].stats_fd);
	}
}

size_t page_data_bytes(const uint8_t *from)
{
	uint64_t commit;
	if (layout.commit_bytes == 8) {
		memcpy(&commit, from + layout.commit_offset, 8);
	} else {
		uint32_t word;
		memcpy(&word, from + layout.commit_offset, 4);
		commit = word;
	}
	size_t count = (uint32_t)commit & COMMIT_MASK;
	return count > page_bytes - layout.data_offset ? page_bytes - layout.data_offset : count;
}

/*
 * The next event behind `*at`, with its time; false at the end of the data. A record is a word of 5 bits type and 27 bits time
 * delta (on big-endian machines the 5 bits are on top): 1 … 28 words of payload, 0 = length in the next word, 29 padding,
 * 30 time extension, 31 absolute time.
 */
bool next_event(const uint8_t *from, size_t *at, size_t end, uint64_t *time, const uint8_t **event, size_t *event_bytes)
{
	static const uint16_t one = 1;
	const bool little = *(const uint8_t *)&one;
	while (*at + 4 <= end) {
		uint32_t word, more = 0;
		memcpy(&word, from + *at, 4);
		uint32_t type = little ? word & 31 : word >> 27, delta = little ? word >> 5 : word & 0x07ffffff;
		if (*at + 8 <= end)
			memcpy(&more, from + *at + 4, 4);
		if (type == 31) {
			*time = (((uint64_t)more << 27) + delta) | (*time & 0xf8ull << 56);
			*at += 8;
			continue;
		}
		*time += delta;
		if (type == 30) {
			*time += (uint64_t)more << 27;
			*at += 8;
		} else if (type == 29) {
			if (delta == 0 || *at + 8 > end)
				return false;
			*at += 4 + ((more + 3) & ~3u);
		} else {
			size_t count = type == 0 ? more : 4 * type;
			if (type == 0 && more < 4)
				return false;
			*event = from + *at + (type == 0 ? 8 : 4);
			*event_bytes = type == 0 ? count - 4 : count;
			*at += 4 + ((count + 3) & ~(size_t)3);
			return true;
		}
	}
	return false;
}

static uint32_t count_events(const uint8_t *from)
{
	size_t at = layout.data_offset, end = layout.data_offset + page_data_bytes(from), bytes;
	uint64_t time = 0;
	const uint8_t *event;
	uint32_t count = 0;
	while (next_event(from, &at, end, &time, &event, &bytes))
		count++;
	return count;
}

static size_t bytes_without_zeros(const uint8_t *from)
{
	size_t count = page_bytes;
	while (count > 0 && from[count - 1] == 0)
		count--;
	return count;
}

static void flush(int cpu, unsigned pages, uint32_t events)
{
	if (pages == 0)
		return;
	put_u16(payload.bytes, (uint16_t)trace_cpus[cpu]);
	put_u16(payload.bytes + 2, (uint16_t)pages);
	put_u32(payload.bytes + 4, events);
	put_u32(payload.bytes + 8, (uint32_t)page_bytes);
	struct frame *frame = keep_frame(FRAME_PAGES, &payload);
	frame->cpu = cpu;
	frame->events = events;
	cpus[cpu].read += events;
	total_read += events;
}

/* The pages of one CPU, within its budget; true when there is more. */
static bool read_cpu(int cpu)
{
	unsigned pages = 0, taken = 0;
	uint32_t events = 0;
	bool more = true;
	while (more && taken < PAGES_PER_TURN && queue_has_room(3)) {
		ssize_t count = read(cpus[cpu].pages_fd, page, page_bytes);
		if (count <= 0) {
			more = false;
			break;
		}
		if ((size_t)count < page_bytes)
			memset(page + count, 0, page_bytes - (size_t)count);
		size_t used = bytes_without_zeros(page);
		if (pages > 0 && payload.length + 4 + used > MAX_FRAME_BYTES) {
			flush(cpu, pages, events);
			pages = events = 0;
		}
		if (pages == 0) {
			reset(&payload);
			extend(&payload, PAGES_HEAD_BYTES);
		}
		uint8_t *at = extend(&payload, 4 + used);
		put_u32(at, (uint32_t)used);
		memcpy(at + 4, page, used);
		events += count_events(page);
		pages++;
		taken++;
		/* Less than half a page is what the writer has at hand: reading on would chase it event by event. */
		more = page_data_bytes(page) >= page_bytes / 2;
	}
	flush(cpu, pages, events);
	return more;
}

/* One round over the CPUs; true when there is more to read. `all`: until nothing comes, for the end. */
bool pages_read(bool all)
{
	bool more = false;
	for (int i = 0; i < trace_cpu_count; i++) {
		if (!queue_has_room(3))
			return true;
		uint64_t before = total_read;
		if (read_cpu(next_cpu) || (all && total_read != before))
			more = true;
		next_cpu = (next_cpu + 1) % trace_cpu_count;
	}
	return more;
}

void pages_acknowledged(int cpu, uint32_t events)
{
	cpus[cpu].acked += events;
}

/* Another session: what was read so far is not sent in it. */
void pages_restart(void)
{
	for (int i = 0; i < trace_cpu_count; i++) {
		cpus[i].base += cpus[i].read;
		cpus[i].read = cpus[i].acked = 0;
	}
}

uint64_t events_read(void)
{
	return total_read;
}

/* What a host that knows nothing of this instance does not get: read before this session, or acknowledged to another host. */
void add_base(struct buffer *to)
{
	for (int i = 0; i < trace_cpu_count; i++)
		add_text(to, "cpu=%d base=%llu\n", trace_cpus[i], (unsigned long long)(cpus[i].base + cpus[i].acked));
}

/* All that was read is framed before this frame, so the counters are of one moment with the pages in front of it. */
void send_stats(void)
{
	struct rusage used;
	static struct buffer stats;
	reset(&stats);
	for (int i = 0; tracing && i < trace_cpu_count; i++) {
		read_stats(&cpus[i]);
		const char *text = cpus[i].stats;
		add_text(&stats, "cpu=%d entries=%llu overrun=%llu commit_overrun=%llu dropped=%llu read=%llu\n", trace_cpus[i],
			 (unsigned long long)stat_of(text, "entries: "), (unsigned long long)stat_of(text, "overrun: "),
			 (unsigned long long)stat_of(text, "commit overrun: "), (unsigned long long)stat_of(text, "dropped events: "),
			 (unsigned long long)stat_of(text, "read events: "));
	}
	getrusage(RUSAGE_SELF, &used);
	add_text(&stats, "kmsg=%lld queue_bytes=%zu cpu_us=%llu\n", (long long)kmsg_last(), queued_bytes(),
		 (unsigned long long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000u +
			 (unsigned long long)(used.ru_utime.tv_usec + used.ru_stime.tv_usec));
	keep_frame(FRAME_STATS, &stats);
}

/* Another host knows no name yet. */
void forget_comms(void)
{
	memset(comms, 0, sizeof comms);
}

/* Task names that changed since the last call: lines of saved_cmdlines as they are. */
void send_comms(void)
{
	static struct buffer changed;
	static char text[256 << 10];
	if (!tracing || read_text(tracefs_comms, text, sizeof text) < 0)
		return;
	reset(&changed);
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		unsigned pid = (unsigned)strtoul(line, NULL, 10);
		if (!strchr(line, ' ') || strstr(line, " <...>"))
			continue;
		uint32_t hash = crc32(0, (const uint8_t *)line, strlen(line));
		uint32_t *known = comms[pid % MAX_COMMS];
		if (known[0] == pid && known[1] == hash)
			continue;
		known[0] = pid;
		known[1] = hash;
		if (changed.length + strlen(line) + 1 > MAX_FRAME_BYTES / 2) {
			keep_frame(FRAME_COMMS, &changed);
			reset(&changed);
		}
		add_text(&changed, "%s\n", line);
	}
	if (changed.length)
		keep_frame(FRAME_COMMS, &changed);
}

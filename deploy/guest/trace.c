/*
 * The tracefs instance: made or taken over, with its clock, buffer, probes and events. An instance of this name without a
 * living owner was left by a forwarder that was killed: it went on recording, and its counters go on.
 */
#include "mkfwd.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool tracing;
char tracefs[64], instance_path[256];
int trace_cpus[MAX_CPUS], trace_cpu_count;
size_t page_bytes;
char **trace_events;
int trace_event_count;
uint64_t instance_generation;

static const char *places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
static char installed[MAX_PROBES][80];
static int installed_count;

bool find_tracefs(void)
{
	char path[128];
	if (options.mount)
		mount("nodev", places[0], "tracefs", 0, NULL);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, sizeof path, "%s/instances", places[i]);
		if (access(path, W_OK | X_OK) == 0) {
			snprintf(tracefs, sizeof tracefs, "%s", places[i]);
			return true;
		}
	}
	problem("no tracefs at %s: %s", places[0], strerror(errno));
	return false;
}

int trace_file(char *path, size_t capacity, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = snprintf(path, capacity, "%s/", instance_path);
	length += vsnprintf(path + length, capacity - (size_t)length, format, args);
	va_end(args);
	return length;
}

bool read_trace_file(const char *name, char *text, size_t capacity)
{
	char path[512];
	trace_file(path, sizeof path, "%s", name);
	return read_text(path, text, capacity) >= 0;
}

static bool write_instance(const char *name, const char *text)
{
	char path[512];
	trace_file(path, sizeof path, "%s", name);
	return write_text(path, text, 0) == 0;
}

/* Two readers of one instance steal each other's events: the name of an abstract socket says that one is there. */
static bool lock_instance(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "mkfwd-%s", options.instance);
	if (fd < 0)
		return true;
	return bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0 ||
	       errno != EADDRINUSE;
}

/* The clock that stands in brackets. */
static bool has_clock(const char *clock)
{
	char text[512], wanted[64];
	snprintf(wanted, sizeof wanted, "[%s]", clock);
	return read_trace_file("trace_clock", text, sizeof text) && strstr(text, wanted);
}

static bool make_instance(void)
{
	char size[32];
	if (mkdir(instance_path, 0750) < 0 && errno != EEXIST) {
		problem("%s cannot be made: %s", instance_path, strerror(errno));
		return false;
	}
	/* Setting the clock empties the buffer, so it is left alone where it is right. */
	if (!has_clock(options.clock) && !write_instance("trace_clock", options.clock)) {
		problem("the kernel refuses the trace clock %s: %s", options.clock, strerror(errno));
		rmdir(instance_path);
		return false;
	}
	return snprintf(size, sizeof size, "%d", options.buffer_kb) > 0 && write_instance("buffer_size_kb", size);
}

static void remove_instance(void)
{
	write_instance("tracing_on", "0");
	write_instance("events/enable", "0");
	if (rmdir(instance_path) < 0)
		say("%s cannot be removed: %s", instance_path, strerror(errno));
}

/* An instance with another clock holds stamps that nobody could read beside ours. */
static bool open_instance(void)
{
	struct stat found;
	snprintf(instance_path, sizeof instance_path, "%s/instances/%s", tracefs, options.instance);
	if (stat(instance_path, &found) == 0 && !has_clock(options.clock)) {
		note("a left-over trace instance runs on another clock; it is made anew");
		remove_instance();
	}
	bool left_over = stat(instance_path, &found) == 0;
	if (left_over)
		write_instance("tracing_on", "1");
	else if (!make_instance())
		return false;
	if (stat(instance_path, &found) < 0)
		return false;
	/* The inode lives as long as the instance: what tells it from the next one of its name. */
	uint64_t made_ns = (uint64_t)found.st_mtim.tv_sec * 1000000000u + (uint64_t)found.st_mtim.tv_nsec;
	instance_generation = ((made_ns ^ (uint64_t)found.st_ino << 40) >> 4) & ((1ull << 52) - 1);
	return true;
}

/* `p:group/name` of a definition as `group/name`; without a group the kernel's default. */
static bool probe_name(const char *definition, char *name, size_t capacity)
{
	const char *colon = strchr(definition, ':');
	const char *space = strpbrk(definition, " \t");
	if (!colon || !space || colon > space)
		return false;
	int length = (int)(space - colon - 1);
	bool grouped = memchr(colon, '/', (size_t)length + 1) || memchr(colon, '.', (size_t)length + 1);
	snprintf(name, capacity, "%s%.*s", grouped ? "" : "kprobes/", length, colon + 1);
	for (char *at = name; *at; at++)
		if (*at == '.')
			*at = '/';
	return true;
}

/* One definition per write: the kernel takes all of a write or none. What it refuses is said and left out. */
static void install_probes(void)
{
	char path[128], name[80], line[96];
	snprintf(path, sizeof path, "%s/kprobe_events", tracefs);
	for (int i = 0; i < options.probe_count; i++) {
		if (!probe_name(options.probes[i], name, sizeof name)) {
			note("probe without a name: %s", options.probes[i]);
			continue;
		}
		int error = write_text(path, options.probes[i], O_APPEND) < 0 ? errno : 0;
		if (error == EEXIST) {
			/* Left by a forwarder that was killed: anew where it is not in use, else as it is. */
			snprintf(line, sizeof line, "-:%s", name);
			if (write_text(path, line, O_APPEND) == 0)
				error = write_text(path, options.probes[i], O_APPEND) < 0 ? errno : 0;
			else
				error = 0;
		}
		if (error) {
			note("probe %s skipped: %s", name, error == ENOENT || error == EINVAL ? "no such function or argument here" : strerror(error));
			continue;
		}
		snprintf(installed[installed_count++], sizeof installed[0], "%s", name);
	}
}

static void remove_probes(void)
{
	char path[128], line[96];
	snprintf(path, sizeof path, "%s/kprobe_events", tracefs);
	for (int i = 0; i < installed_count; i++) {
		snprintf(line, sizeof line, "-:%.79s", installed[i]);
		if (write_text(path, line, O_APPEND) < 0)
			say("probe %s cannot be removed: %s", installed[i], strerror(errno));
	}
}

/*
 * `group/name missed` of each probe of ours that was hit and not traced: the kernel does not run a probe's handler while
 * another probe's runs on the same CPU, and counts that where nobody looks.
 */
void add_probe_misses(struct buffer *to)
{
	char path[128], text[32 << 10];
	snprintf(path, sizeof path, "%s/kprobe_profile", tracefs);
	if (!installed_count || read_text(path, text, sizeof text) <= 0)
		return;
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char name[80];
		unsigned long long hits, missed;
		if (sscanf(line, "%79s %llu %llu", name, &hits, &missed) != 3 || missed == 0)
			continue;
		for (int i = 0; i < installed_count; i++)
			if (strcmp(strchr(installed[i], '/') + 1, name) == 0)
				add_text(to, "%s %llu\n", installed[i], missed);
	}
}

static bool is_known(const char *name)
{
	for (int i = 0; i < trace_event_count; i++)
		if (strcmp(trace_events[i], name) == 0)
			return true;
	return false;
}

static void add_event(const char *name)
{
	static int capacity;
	if (is_known(name))
		return;
	if (trace_event_count == capacity) {
		capacity = capacity ? capacity * 2 : 64;
		trace_events = realloc(trace_events, (size_t)capacity * sizeof *trace_events);
		if (!trace_events)
			_exit(1);
	}
	trace_events[trace_event_count++] = strdup(name);
}

static void enable_event(const char *system, const char *event)
{
	char file[300], name[256];
	snprintf(name, sizeof name, "%s:%s", system, event);
	snprintf(file, sizeof file, "events/%s/%s/enable", system, event);
	if (write_instance(file, "1"))
		add_event(name);
	else
		note("event %s refused: %s", name, strerror(errno));
}

static void enable_in_system(const char *system, const char *pattern, int *found)
{
	char path[512];
	trace_file(path, sizeof path, "events/%s", system);
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "enable") == 0 || strcmp(entry->d_name, "filter") == 0)
			continue;
		if (fnmatch(pattern, entry->d_name, 0) != 0)
			continue;
		(*found)++;
		enable_event(system, entry->d_name);
	}
	if (folder)
		closedir(folder);
}

/* `system:event` with `*` in either part, or a bare `system`, as the collector's patterns. */
static void enable_pattern(const char *pattern)
{
	char system[128], path[512];
	const char *colon = strchr(pattern, ':');
	int found = 0;
	snprintf(system, sizeof system, "%.*s", colon ? (int)(colon - pattern) : (int)strlen(pattern), pattern);
	trace_file(path, sizeof path, "events");
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		if (entry->d_name[0] != '.' && entry->d_type == DT_DIR && strcmp(entry->d_name, "ftrace") != 0 &&
		    fnmatch(system, entry->d_name, 0) == 0)
			enable_in_system(entry->d_name, colon ? colon + 1 : "*", &found);
	if (folder)
		closedir(folder);
	if (!found)
		note("no event %s on this kernel", pattern);
}

static void enable_events(void)
{
	char *patterns = strdup(options.events), *rest = patterns;
	for (char *pattern; (pattern = strsep(&rest, ", \n"));)
		if (*pattern)
			enable_pattern(pattern);
	free(patterns);
	for (int i = 0; i < installed_count; i++) {
		char *slash = strchr(installed[i], '/');
		char system[64];
		snprintf(system, sizeof system, "%.*s", (int)(slash - installed[i]), installed[i]);
		enable_event(system, slash + 1);
	}
	/* What a left-over instance has recorded besides must be readable too. */
	static char enabled[64 << 10];
	if (!read_trace_file("set_event", enabled, sizeof enabled))
		return;
	rest = enabled;
	for (char *name; (name = strsep(&rest, "\n"));)
		if (strchr(name, ':'))
			add_event(name);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void list_cpus(void)
{
	char path[512];
	trace_file(path, sizeof path, "per_cpu");
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		if (strncmp(entry->d_name, "cpu", 3) == 0 && trace_cpu_count < MAX_CPUS)
			trace_cpus[trace_cpu_count++] = atoi(entry->d_name + 3);
	if (folder)
		closedir(folder);
	qsort(trace_cpus, (size_t)trace_cpu_count, sizeof *trace_cpus, by_number);
}

void trace_start(void)
{
	if (!find_tracefs())
		return;
	if (!lock_instance()) {
		problem("the trace instance %s belongs to another mkfwd", options.instance);
		return;
	}
	if (!open_instance())
		return;
	install_probes();
	enable_events();
	list_cpus();
	tracing = true;
	pages_open();
}

void trace_stop_recording(void)
{
	write_instance("tracing_on", "0");
}

void trace_remove(void)
{
	if (!tracing)
		return;
	pages_close();
	remove_instance();
	remove_probes();
	tracing = false;
}

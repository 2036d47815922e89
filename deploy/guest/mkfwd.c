/* Options, and the loop: wait, read what the host says, read the kernel log, read pages, send. */
#include "mkfwd.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_TICK_MS 25
#define IDLE_TICK_MS 250
#define STATS_MS 1000
#define IDLE_STATS_MS 10000
#define COMMS_MS 4000
/* Each second at first, until the rates are known. */
#define FIRST_CLOCKS 20
#define CLOCK_MS 10000
#define STOP_GRACE_MS 2000

struct options options = {
	.kernel_id = -1,
	.events = "sched:sched_switch,sched:sched_wakeup,sched:sched_process_fork,sched:sched_process_exec,sched:sched_process_exit,"
		  "irq:irq_handler_entry,irq:irq_handler_exit,irq:softirq_entry,irq:softirq_exit,signal:signal_generate,oom:mark_victim",
	.clock = "mono",
	.buffer_kb = 1024,
	.queue_bytes = 1024 << 10,
	.system_ms = 1000,
	.kmsg = true,
	.trace = true,
	.instance = "mkscope-guest",
};

static volatile sig_atomic_t stopping;
/* Signals are let in only while we wait, so that none comes between the question and the waiting. */
static sigset_t waiting_mask;

static const char usage[] =
	"usage: mkfwd --to ADDRESS [options]\n"
	"\n"
	"Streams the log, the raw trace pages and the event formats of this kernel to an mkscope collector (its source `stream`).\n"
	"\n"
	"  --to ADDRESS       /dev/vport0p1, /dev/mktty0, /dev/ttyS1: a device; unix:PATH; tcp:IP:PORT; vsock:CID:PORT; -: stdin, stdout\n"
	"  --mk-vsock         use the multikernel transport of vsock\n"
	"  --one-way          nobody answers: send without being asked, keep nothing\n"
	"  --id N             kernel id (default: device tree, then multikernel.id= of the command line)\n"
	"  --name NAME        kernel name (likewise)\n"
	"  --events LIST      sched:sched_switch,irq,block:* … (default: scheduling, interrupts, task life)\n"
	"  --clock NAME       trace clock (default mono)\n"
	"  --instance NAME    trace instance (default mkscope-guest)\n"
	"  --buffer-kb N      ring buffer of each CPU (default 1024)\n"
	"  --queue-kb N       most memory of what is not acknowledged (default 1024)\n"
	"  --system-ms N      between two samples of CPUs, memory and pressure; 0 = none (default 1000)\n"
	"  --probe DEFINITION a kprobe: 'p:GROUP/NAME FUNCTION ARGUMENTS'; skipped where there is no such function (repeatable)\n"
	"  --probes FILE      definitions, one a line\n"
	"  --mount            mount tracefs where it is not\n"
	"  --no-kmsg, --no-trace\n";

static void ask_stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static void refuse(const char *what, const char *value)
{
	say("%s: %s (mkfwd --help)", what, value);
	exit(2);
}

static int number(const char *text, int least, int most, const char *name)
{
	char *end;
	long value = strtol(text, &end, 10);
	if (*end || end == text || value < least || value > most)
		refuse(name, text);
	return (int)value;
}

static void add_probe(const char *definition)
{
	if (options.probe_count == MAX_PROBES)
		refuse("too many probes", definition);
	options.probes[options.probe_count++] = strdup(definition);
}

static void read_probes(const char *path)
{
	static char text[64 << 10];
	if (read_text(path, text, sizeof text) < 0)
		refuse(path, strerror(errno));
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		line += strspn(line, " \t");
		if (*line && *line != '#')
			add_probe(line);
	}
}

static void parse_options(int count, char **arguments)
{
	enum { TO = 256, ID, NAME, EVENTS, CLOCK, BUFFER, QUEUE, SYSTEM, INSTANCE, PROBE, PROBES, NO_KMSG, NO_TRACE, ONE_WAY, MOUNT, MK_VSOCK, HELP };
	static const struct option known[] = {
		{ "to", 1, 0, TO },           { "id", 1, 0, ID },             { "name", 1, 0, NAME },         { "events", 1, 0, EVENTS },
		{ "clock", 1, 0, CLOCK },     { "buffer-kb", 1, 0, BUFFER },  { "queue-kb", 1, 0, QUEUE },    { "instance", 1, 0, INSTANCE },
		{ "probe", 1, 0, PROBE },     { "probes", 1, 0, PROBES },     { "no-kmsg", 0, 0, NO_KMSG },   { "no-trace", 0, 0, NO_TRACE },
		{ "one-way", 0, 0, ONE_WAY }, { "mount", 0, 0, MOUNT },       { "mk-vsock", 0, 0, MK_VSOCK }, { "help", 0, 0, HELP },
		{ "system-ms", 1, 0, SYSTEM }, { 0, 0, 0, 0 },
	};
	for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) {
		switch (option) {
		case TO: options.to = optarg; break;
		case ID: options.kernel_id = number(optarg, 0, 65535, "--id"); break;
		case NAME: snprintf(options.kernel_name, sizeof options.kernel_name, "%s", optarg); break;
		case EVENTS: options.events = optarg; break;
		case CLOCK: options.clock = optarg; break;
		case BUFFER: options.buffer_kb = number(optarg, 1, 1 << 20, "--buffer-kb"); break;
		case QUEUE: options.queue_bytes = (size_t)number(optarg, 256, 1 << 20, "--queue-kb") << 10; break;
		case SYSTEM: options.system_ms = number(optarg, 0, 3600 * 1000, "--system-ms"); break;
		case INSTANCE: options.instance = optarg; break;
		case PROBE: add_probe(optarg); break;
		case PROBES: read_probes(optarg); break;
		case NO_KMSG: options.kmsg = false; break;
		case NO_TRACE: options.trace = false; break;
		case ONE_WAY: options.one_way = true; break;
		case MOUNT: options.mount = true; break;
		case MK_VSOCK: options.mk_vsock = true; break;
		case HELP: fputs(usage, stdout); exit(0);
		default: exit(2);
		}
	}
	if (optind < count)
		refuse("unknown argument", arguments[optind]);
	if (!options.to || !link_parse(options.to))
		refuse("--to", options.to ? options.to : "is missing");
	if (strchr(options.instance, '/') || !options.instance[0])
		refuse("--instance", options.instance);
}

static struct {
	uint64_t pages_at, stats_at, comms_at, clock_at, system_at;
	uint64_t stats_events;
	int clocks;
	unsigned tick_ms;
} due = { .tick_ms = IDLE_TICK_MS };

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When there is something to do without being woken. */
static int wait_ms(uint64_t now)
{
	uint64_t at = now + IDLE_STATS_MS;
	if (!link_is_up())
		at = earliest(at, link_retry_ms());
	if (ever_opened && tracing)
		at = earliest(at, due.pages_at);
	if (opened)
		at = earliest(at, earliest(due.clock_at, due.stats_at));
	if (opened && options.system_ms)
		at = earliest(at, due.system_at);
	return at <= now ? 0 : (int)(at - now);
}

static void read_pages(uint64_t now)
{
	bool more = pages_read(false);
	static uint64_t before;
	bool busy = events_read() - before > 200;
	before = events_read();
	/* Slowly longer, at once shorter. */
	due.tick_ms = busy ? due.tick_ms / 2 : due.tick_ms + 10;
	if (due.tick_ms < BUSY_TICK_MS)
		due.tick_ms = BUSY_TICK_MS;
	if (due.tick_ms > IDLE_TICK_MS)
		due.tick_ms = IDLE_TICK_MS;
	due.pages_at = now + (more && queue_has_room(3) ? 1 : due.tick_ms);
}

/* Once a second while something happens; the pages in front of the counters are all that was read. */
static void tell(uint64_t now)
{
	if (now >= due.clock_at) {
		clock_sample();
		due.clock_at = now + (due.clocks++ < FIRST_CLOCKS ? STATS_MS : CLOCK_MS);
	}
	if (now >= due.comms_at && events_read() != due.stats_events) {
		send_comms();
		due.comms_at = now + COMMS_MS;
	}
	static uint64_t told_at;
	if (now >= due.stats_at) {
		due.stats_at = now + STATS_MS;
		if (events_read() == due.stats_events && now - told_at < IDLE_STATS_MS)
			return;
		due.stats_events = events_read();
		told_at = now;
		send_stats();
	}
}

static void turn(void)
{
	uint64_t now = mono_ms();
	link_poll_open(now);
	struct pollfd wait[3];
	int count = 0, in = -1, kmsg = -1;
	if (link_is_up() && !options.one_way)
		wait[in = count++] = (struct pollfd){ .fd = link_in(), .events = POLLIN };
	if (link_wants_out())
		wait[count++] = (struct pollfd){ .fd = link_out(), .events = POLLOUT };
	if (ever_opened && kmsg_fd >= 0 && queue_has_room(4))
		wait[kmsg = count++] = (struct pollfd){ .fd = kmsg_fd, .events = POLLIN };
	int delay_ms = wait_ms(now);
	struct timespec delay = { .tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000L };
	if (ppoll(wait, (nfds_t)count, &delay, &waiting_mask) < 0)
		return;
	now = mono_ms();
	if (in >= 0 && wait[in].revents)
		read_commands();
	if (kmsg >= 0 && wait[kmsg].revents)
		kmsg_read();
	if (ever_opened && tracing && now >= due.pages_at)
		read_pages(now);
	/* What says how things are waits for room, so that a host that is away for long finds a queue of data. */
	if (opened && queue_has_room(3))
		tell(now);
	if (opened && options.system_ms && now >= due.system_at) {
		system_ask();
		due.system_at = now + (uint64_t)options.system_ms;
	}
	send_frames();
}

/* Takes the rest out of the kernel as far as the host follows, and says farewell. */
static void finish(void)
{
	uint64_t until = mono_ms() + STOP_GRACE_MS;
	static struct buffer bye;
	if (tracing)
		trace_stop_recording();
	bool more = true, said = false;
	while (ever_opened && mono_ms() < until && !link_ended()) {
		if (more && queue_has_room(3))
			more = (tracing && pages_read(true));
		if (kmsg_fd >= 0 && queue_has_room(4))
			kmsg_read();
		if (!more && !said && opened) {
			said = true;
			send_stats();
		}
		link_poll_open(mono_ms());
		send_frames();
		if (said && all_sent() && (options.one_way || all_acknowledged()))
			break;
		struct pollfd wait = { .fd = link_in(), .events = POLLIN };
		poll(&wait, link_is_up() && !options.one_way ? 1 : 0, 10);
		if (link_is_up() && !options.one_way)
			read_commands();
	}
	if (opened) {
		add_text(&bye, "ended\n");
		send_urgent(FRAME_BYE, &bye);
		send_frames();
	}
	clock_stop();
	trace_remove();
	link_close();
}

int main(int count, char **arguments)
{
	parse_options(count, arguments);
	struct sigaction stop = { .sa_handler = ask_stop };
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigset_t held;
	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGHUP);
	sigprocmask(SIG_BLOCK, &held, &waiting_mask);
	begin_session();
	discover_identity();
	if (options.kmsg)
		kmsg_open();
	if (options.trace)
		trace_start();
	clock_start();
	system_start();
	while (!stopping && !link_ended())
		turn();
	finish();
	return 0;
}

/*
 * mkbus: the host side of the lab's inter-kernel channel.  One static program, no files left behind.
 *
 *	mkbus --socket PATH [--truth FILE] [--size-mb N] [--clock-us N]       cc -O2 -static -Wall -Wextra -o mkbus mkbus.c
 *
 *	            ┌───────────────── mkbus ──────────────────┐
 *	QEMU ──────▶│ ivshmem server: memfd + eventfds of all  │    chardev socket, one connection per kernel ("peer")
 *	 guest ◀═══▶│ region: clock page every 500 us          │══▶ read by the guests with each message
 *	 guest ═══▶ │ truth rings, drained every ms            │──▶ FILE (docs/formats/lab_truth.md)
 *	 host  ═══▶ │ instance table                           │──▶ stdout, one JSON object per line
 *	            └──────────────────────────────────────────┘
 *
 * ivshmem server protocol, version 0 (QEMU: docs/specs/ivshmem-spec), 8-byte little-endian numbers, some with a file
 * descriptor:  0 | own id | -1 + memory fd | (id of other + its eventfd)... | own id + own eventfd.  Afterwards: id + eventfd
 * of a peer that joins, the bare id of one that leaves.  One vector per peer.
 *
 * stdout:  {"event":"ready"}
 *          {"event":"peer","id":3,"state":"up"}                                     "down" when QEMU is gone
 *          {"event":"instance","id":1,"name":"web","state":"active","halt":"none","epoch":2,"attached":true,
 *           "release":"6.12.117+deb12-cloud-amd64","cpus":2,"memoryMb":256}        release: "" while no kernel is attached
 *          {"event":"truth","records":N,"lost":N}                                   answer to `truth stop`, and at the end
 * stdin:   truth stop | truth start
 * Ends with 0 on end of stdin, SIGTERM, SIGINT or the parent's death.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include "../mkikc/mkikc_shm.h"

#define MAX_PEERS		16
/*
 * A timed sleep costs 20 us of CPU in a virtual machine (measured: 21 % of a core at 50 us, 4 % at 500 us).  The guests wait
 * for a change of the page when they sample their clocks, so a slower page costs no precision.
 */
#define DEFAULT_CLOCK_US	500
#define BURST_PERIOD_NS		1000000000LL
#define BURST_NS		2000000
#define DRAIN_PERIOD_NS		1000000
/* A record that was claimed this long ago and is still empty: its kernel is gone. */
#define STUCK_NS		1000000000LL
#define FILE_BUFFER_RECORDS	1024
#define COMMAND_BYTES		256

struct peer {
	int connection;		/* -1: free */
	int doorbell;
	uint16_t id;
};

/* The file's first 64 bytes. */
struct truth_file_header {
	char magic[8];
	uint32_t version;
	uint32_t record_bytes;
	uint64_t start_tsc;
	uint64_t start_raw_ns;
	uint64_t start_real_ns;
	uint8_t pad[24];
};
static_assert(sizeof(struct truth_file_header) == 64);

/* What mkbus needs it keeps here: the region can be written by every guest. */
struct ring_reader {
	uint64_t tail;
	uint64_t lost_seen;
	int64_t stuck_since_ns;	/* 0: not stuck */
};

static const char *socket_path, *truth_path;
static uint64_t region_mb = 32, clock_us = DEFAULT_CLOCK_US;

static uint8_t *region;
static struct mk_shm_header *shm;
static uint32_t truth_capacity, truth_stride;
static int region_fd = -1, listener = -1, signals = -1, epoll_fd = -1, truth_fd = -1;

static struct peer peers[MAX_PEERS];
static uint16_t next_peer_id;

static struct ring_reader readers[MK_MAX_INSTANCES];
static struct mk_truth_record file_buffer[FILE_BUFFER_RECORDS];
static unsigned int file_buffered;
static uint64_t records_written, records_lost;

static struct mk_shm_instance table_seen[MK_MAX_INSTANCES];
static uint32_t table_generation_seen;
static char command[COMMAND_BYTES];
static size_t command_used;
static bool ending, bound;

static void fail(const char *what)
{
	fprintf(stderr, "mkbus: %s: %s\n", what, strerror(errno));
	if (bound)
		unlink(socket_path);
	exit(1);
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void report(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (fflush(stdout))
		ending = true;
}

/* ---- the region ---- */

static uint32_t largest_truth_capacity(uint64_t bytes)
{
	uint64_t room = (bytes - MK_TRUTH_OFFSET) / MK_MAX_INSTANCES;
	uint32_t capacity = 1;

	while (sizeof(struct mk_truth_ring) + 2ULL * capacity * sizeof(struct mk_truth_record) <= room)
		capacity *= 2;
	return capacity;
}

static void make_region(void)
{
	uint64_t bytes = region_mb << 20;

	region_fd = memfd_create("mkbus", MFD_CLOEXEC);
	if (region_fd < 0 || ftruncate(region_fd, bytes))
		fail("shared memory");
	region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd, 0);
	if (region == MAP_FAILED)
		fail("mmap");
	shm = (struct mk_shm_header *)region;
	shm->version = MK_SHM_VERSION;
	shm->max_instances = MK_MAX_INSTANCES;
	shm->region_size = bytes;
	shm->inbox_offset = MK_INBOX_OFFSET;
	shm->inbox_stride = MK_INBOX_STRIDE;
	shm->truth_offset = MK_TRUTH_OFFSET;
	truth_capacity = largest_truth_capacity(bytes);
	truth_stride = sizeof(struct mk_truth_ring) + truth_capacity * sizeof(struct mk_truth_record);
	shm->truth_capacity = truth_capacity;
	shm->truth_stride = truth_stride;
	shm->truth_on = truth_path != NULL;
	shm->ticket = 1;
	__atomic_store_n(&shm->magic, MK_SHM_MAGIC, __ATOMIC_RELEASE);
}

/*
 * TSC and CLOCK_MONOTONIC_RAW of one moment: the TSC is read on both sides of the clock, and the middle is taken.
 * Returns CLOCK_MONOTONIC_RAW.
 */
static int64_t write_clock(void)
{
	struct mk_shm_clock *clock = &shm->clock;
	uint32_t seq = clock->seq;
	unsigned int cpu;
	uint64_t real = real_ns();
	uint64_t before = __rdtscp(&cpu);
	uint64_t raw = monotonic_ns();
	uint64_t after = __rdtscp(&cpu);

	__atomic_store_n(&clock->seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&clock->host_tsc, before + (after - before) / 2, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->host_raw_ns, raw, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->host_real_ns, real, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->seq, seq + 2, __ATOMIC_RELEASE);
	return raw;
}

/* ---- ivshmem peers ---- */

static bool send_number(int connection, int64_t number, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec data = { &number, sizeof(number) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(connection, &message, MSG_NOSIGNAL) == sizeof(number);
}

static struct peer *find_peer_by_id(uint16_t id)
{
	for (int i = 0; i < MAX_PEERS; i++)
		if (peers[i].connection >= 0 && peers[i].id == id)
			return &peers[i];
	return NULL;
}

/* Ids are not used again until all 65536 were: a kernel that comes back is another peer. */
static uint16_t new_peer_id(void)
{
	while (find_peer_by_id(next_peer_id))
		next_peer_id++;
	return next_peer_id++;
}

static void watch(int fd, uint64_t tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = tag };

	/* EPERM: stdin is /dev/null or a file, which gives no commands and never ends. */
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) && errno != EPERM)
		fail("epoll_ctl");
}

static void drop_peer(struct peer *peer)
{
	uint16_t id = peer->id;

	close(peer->connection);
	close(peer->doorbell);
	peer->connection = -1;
	for (int i = 0; i < MAX_PEERS; i++)
		if (peers[i].connection >= 0)
			send_number(peers[i].connection, id, -1);
	report("{\"event\":\"peer\",\"id\":%u,\"state\":\"down\"}", id);
}

static bool introduce(struct peer *peer)
{
	bool ok = send_number(peer->connection, 0, -1) && send_number(peer->connection, peer->id, -1) &&
		  send_number(peer->connection, -1, region_fd);

	for (int i = 0; i < MAX_PEERS; i++) {
		if (peers[i].connection < 0 || &peers[i] == peer)
			continue;
		ok = ok && send_number(peer->connection, peers[i].id, peers[i].doorbell);
		send_number(peers[i].connection, peer->id, peer->doorbell);
	}
	return ok && send_number(peer->connection, peer->id, peer->doorbell);
}

static void accept_peer(void)
{
	int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer = NULL;

	if (connection < 0)
		return;
	for (int i = 0; i < MAX_PEERS && !peer; i++)
		if (peers[i].connection < 0)
			peer = &peers[i];
	if (!peer) {
		fprintf(stderr, "mkbus: more than %d peers: refused\n", MAX_PEERS);
		close(connection);
		return;
	}
	peer->id = new_peer_id();
	peer->connection = connection;
	peer->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (peer->doorbell < 0)
		fail("eventfd");
	watch(connection, peer - peers);
	report("{\"event\":\"peer\",\"id\":%u,\"state\":\"up\"}", peer->id);
	if (!introduce(peer))
		drop_peer(peer);
}

/* QEMU sends nothing: whatever is readable is the end. */
static void read_peer(struct peer *peer)
{
	char byte;

	if (peer->connection >= 0 && (recv(peer->connection, &byte, 1, 0) >= 0 || errno != EAGAIN))
		drop_peer(peer);
}

/* ---- truth ---- */

static void flush_truth(void)
{
	const uint8_t *bytes = (const uint8_t *)file_buffer;
	size_t left = file_buffered * sizeof(file_buffer[0]);

	while (left && truth_fd >= 0) {
		ssize_t written = write(truth_fd, bytes, left);

		if (written < 0) {
			if (errno == EINTR)
				continue;
			fail(truth_path);
		}
		bytes += written;
		left -= written;
	}
	file_buffered = 0;
}

static void write_record(const struct mk_truth_record *record)
{
	file_buffer[file_buffered++] = *record;
	records_written++;
	if (file_buffered == FILE_BUFFER_RECORDS)
		flush_truth();
}

static void write_loss(int kernel, uint64_t count)
{
	struct mk_truth_record record = {
		.kind = MK_TRUTH_LOST,
		.kernel = kernel,
		.length = count > UINT32_MAX ? UINT32_MAX : count,
		.guest_tsc = shm->clock.host_tsc,
		.host_tsc = shm->clock.host_tsc,
		.host_raw_ns = shm->clock.host_raw_ns,
		.host_real_ns = shm->clock.host_real_ns,
	};

	records_lost += count;
	write_record(&record);
}

/* Whether the claimed but empty record at the tail has been so for too long. */
static bool is_stuck(struct ring_reader *reader, int64_t now)
{
	if (!reader->stuck_since_ns)
		reader->stuck_since_ns = now;
	return now - reader->stuck_since_ns > STUCK_NS;
}

static void drain_ring(int kernel, int64_t now)
{
	struct mk_truth_ring *ring = (struct mk_truth_ring *)(region + MK_TRUTH_OFFSET + (size_t)kernel * truth_stride);
	struct ring_reader *reader = &readers[kernel];
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	uint64_t lost = __atomic_load_n(&ring->lost, __ATOMIC_RELAXED);
	uint64_t tail = reader->tail;

	if (head - tail > truth_capacity) {
		write_loss(kernel, 1);
		tail = head;
	}
	while (tail != head) {
		struct mk_truth_record *record = &ring->records[tail & (truth_capacity - 1)];

		if (__atomic_load_n(&record->sequence, __ATOMIC_ACQUIRE) == (uint32_t)(tail + 1))
			write_record(record);
		else if (is_stuck(reader, now))
			write_loss(kernel, 1);
		else
			break;
		reader->stuck_since_ns = 0;
		tail++;
	}
	reader->tail = tail;
	__atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
	if (lost != reader->lost_seen) {
		write_loss(kernel, lost - reader->lost_seen);
		reader->lost_seen = lost;
	}
}

static void drain_all(int64_t now)
{
	if (truth_fd < 0)
		return;
	for (int kernel = 0; kernel < MK_MAX_INSTANCES; kernel++)
		drain_ring(kernel, now);
	flush_truth();
}

static void open_truth(void)
{
	struct truth_file_header header = { .magic = "MKTRUTH1", .version = 1, .record_bytes = sizeof(struct mk_truth_record) };
	unsigned int cpu;

	if (!truth_path)
		return;
	truth_fd = open(truth_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (truth_fd < 0)
		fail(truth_path);
	header.start_tsc = __rdtscp(&cpu);
	header.start_raw_ns = monotonic_ns();
	header.start_real_ns = real_ns();
	/* A file of an earlier run goes on with a second header, which a reader knows by its magic. */
	if (write(truth_fd, &header, sizeof(header)) != sizeof(header))
		fail(truth_path);
}

/* ---- the instance table ---- */

/* Printable ASCII, and nothing that would need an escape in JSON: the text comes from a guest. */
static void copy_text(char *to, const char *from, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = from[i] < ' ' || from[i] > '~' || from[i] == '"' || from[i] == '\\' ? '?' : from[i];
	to[i] = '\0';
}

static void report_instance(int id, const struct mk_shm_instance *now)
{
	static const char *const states[] = MK_STATE_NAMES, *const halts[] = MK_HALT_NAMES;
	char name[sizeof(now->name)], release[sizeof(now->release)];

	if (now->state >= MK_STATE_COUNT || now->halt >= MK_HALT_COUNT)
		return;
	copy_text(name, now->name, sizeof(name));
	copy_text(release, now->peer ? now->release : "", sizeof(release));
	report("{\"event\":\"instance\",\"id\":%d,\"name\":\"%s\",\"state\":\"%s\",\"halt\":\"%s\",\"epoch\":%u,\"attached\":%s,"
	       "\"release\":\"%s\",\"cpus\":%u,\"memoryMb\":%u}",
	       id, name, states[now->state], halts[now->halt], now->epoch, now->peer ? "true" : "false",
	       release, now->cpus, now->memory_mb);
}

static void watch_table(void)
{
	uint32_t generation = __atomic_load_n(&shm->table_generation, __ATOMIC_ACQUIRE);

	if (generation == table_generation_seen)
		return;
	table_generation_seen = generation;
	for (int id = 0; id < MK_MAX_INSTANCES; id++) {
		struct mk_shm_instance now = ((struct mk_shm_instance *)(region + MK_TABLE_OFFSET))[id];
		struct mk_shm_instance *seen = &table_seen[id];
		bool changed = now.state != seen->state || now.halt != seen->halt || (now.peer != 0) != (seen->peer != 0) ||
			       (now.state != MK_STATE_EMPTY && now.epoch != seen->epoch);

		*seen = now;
		if (changed)
			report_instance(id, &now);
	}
}

/* ---- commands and the loop ---- */

static void report_truth(void)
{
	report("{\"event\":\"truth\",\"records\":%llu,\"lost\":%llu}",
	       (unsigned long long)records_written, (unsigned long long)records_lost);
}

static void run_command(const char *line)
{
	if (!strcmp(line, "truth stop")) {
		__atomic_store_n(&shm->truth_on, 0, __ATOMIC_SEQ_CST);
		drain_all(monotonic_ns());
		report_truth();
	} else if (!strcmp(line, "truth start")) {
		__atomic_store_n(&shm->truth_on, truth_fd >= 0, __ATOMIC_SEQ_CST);
	} else {
		fprintf(stderr, "mkbus: unknown command: %s\n", line);
	}
}

static void read_commands(void)
{
	ssize_t got = read(STDIN_FILENO, command + command_used, sizeof(command) - 1 - command_used);
	char *end;

	if (got <= 0) {
		ending = true;
		return;
	}
	command_used += got;
	command[command_used] = '\0';
	while ((end = strchr(command, '\n'))) {
		*end = '\0';
		run_command(command);
		command_used -= end + 1 - command;
		memmove(command, end + 1, command_used + 1);
	}
	if (command_used == sizeof(command) - 1)
		command_used = 0;
}

enum { TAG_LISTENER = MAX_PEERS, TAG_STDIN, TAG_SIGNALS };

static void serve(uint64_t tag)
{
	if (tag == TAG_LISTENER)
		accept_peer();
	else if (tag == TAG_STDIN)
		read_commands();
	else if (tag == TAG_SIGNALS)
		ending = true;
	else
		read_peer(&peers[tag]);
}

static void burst_clock(void)
{
	int64_t until = monotonic_ns() + BURST_NS;

	while (monotonic_ns() < until)
		write_clock();
}

static void run(void)
{
	struct timespec period = { .tv_nsec = clock_us * 1000 };
	int64_t next_drain = 0, next_burst = monotonic_ns();
	struct epoll_event events[8];

	while (!ending) {
		int count = epoll_pwait2(epoll_fd, events, 8, &period, NULL);
		int64_t now;

		if (count < 0 && errno != EINTR)
			fail("epoll_pwait2 (needs Linux 5.11)");
		now = write_clock();
		for (int i = 0; i < count; i++)
			serve(events[i].data.u64);
		if (now >= next_drain) {
			watch_table();
			drain_all(now);
			next_drain = now + DRAIN_PERIOD_NS;
		}
		if (now >= next_burst) {
			burst_clock();
			next_burst = now + BURST_PERIOD_NS;
		}
	}
}

/* A socket file that nobody listens on is left from a run that was killed. */
static void listen_on_path(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(socket_path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		fail(socket_path);
	}
	strcpy(address.sun_path, socket_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0)
		fail("socket");
	if (connect(listener, (struct sockaddr *)&address, sizeof(address)) == 0) {
		errno = EADDRINUSE;
		fail(socket_path);
	}
	if (errno == ECONNREFUSED)
		unlink(socket_path);
	close(listener);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)))
		fail(socket_path);
	bound = true;
	if (listen(listener, MAX_PEERS))
		fail(socket_path);
}

static void watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_TIMERSLACK, 1);
}

static void usage(void)
{
	fprintf(stderr, "usage: mkbus --socket PATH [--truth FILE] [--size-mb 8..1024, a power of two] [--clock-us 1..100000]\n");
	exit(2);
}

static void parse_arguments(int count, char **arguments)
{
	for (int i = 1; i + 1 < count; i += 2) {
		if (!strcmp(arguments[i], "--socket"))
			socket_path = arguments[i + 1];
		else if (!strcmp(arguments[i], "--truth"))
			truth_path = arguments[i + 1];
		else if (!strcmp(arguments[i], "--size-mb"))
			region_mb = strtoull(arguments[i + 1], NULL, 10);
		else if (!strcmp(arguments[i], "--clock-us"))
			clock_us = strtoull(arguments[i + 1], NULL, 10);
		else
			usage();
	}
	if (!socket_path || count % 2 == 0 || region_mb < 8 || region_mb > 1024 || (region_mb & (region_mb - 1)) ||
	    clock_us < 1 || clock_us > 100000)
		usage();
}

int main(int count, char **arguments)
{
	pid_t parent = getppid();

	parse_arguments(count, arguments);
	watch_signals();
	if (getppid() != parent)
		return 0;
	for (int i = 0; i < MAX_PEERS; i++)
		peers[i].connection = -1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		fail("epoll_create1");
	make_region();
	write_clock();
	open_truth();
	listen_on_path();
	watch(listener, TAG_LISTENER);
	watch(STDIN_FILENO, TAG_STDIN);
	watch(signals, TAG_SIGNALS);
	report("{\"event\":\"ready\"}");
	run();
	__atomic_store_n(&shm->truth_on, 0, __ATOMIC_SEQ_CST);
	drain_all(monotonic_ns());
	report_truth();
	unlink(socket_path);
	return 0;
}

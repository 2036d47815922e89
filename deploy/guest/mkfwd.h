/*
 * mkfwd: streams the kernel log, raw trace pages, event formats and samples of the system of this kernel over any byte pipe. The
 * frames are drawn in docs/formats/guest_stream.md; the reader is the collector's `stream` source.
 *
 *   /dev/kmsg ────────────┐
 *   trace_pipe_raw, stats ─┼─► numbered frames ─► bounded queue ─► link ─► host        kept until the host acknowledges them
 *   clocks ───────────────┘                        hello, formats, pong, /proc ┘         jump the queue
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_BYTES 28
#define MAX_FRAME_BYTES (64 << 10)
#define MAX_CPUS 1024
#define MAX_PROBES 256

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_FORMATS = 2,
	FRAME_KMSG = 3,
	FRAME_KMSG_LOST = 4,
	FRAME_PAGES = 5,
	FRAME_STATS = 6,
	FRAME_COMMS = 7,
	FRAME_CLOCK = 8,
	FRAME_PONG = 9,
	FRAME_NOTE = 10,
	FRAME_BYE = 11,
	FRAME_SYSTEM = 12,
	FRAME_OPEN = 64,
	FRAME_ACK = 65,
	FRAME_PING = 66,
};

struct options {
	const char *to;
	int kernel_id; /* -1 = not known */
	char kernel_name[64];
	const char *events;
	const char *clock;
	int buffer_kb;
	size_t queue_bytes;
	int system_ms; /* 0 = no samples */
	bool kmsg;
	bool trace;
	bool one_way;
	bool mount;
	bool mk_vsock;
	const char *instance;
	char *probes[MAX_PROBES];
	int probe_count;
};

/* Growing is not needed: a payload is at most one frame, but for a page that is larger than that. */
struct buffer {
	uint8_t *bytes;
	size_t length, capacity;
};

extern struct options options;
extern uint64_t session;

/* base.c */
uint64_t mono_ns(void);
uint64_t mono_ms(void);
void *must_alloc(size_t bytes);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int read_text(const char *path, char *text, size_t capacity);
int write_text(const char *path, const char *text, int flags);
uint32_t crc32(uint32_t before, const uint8_t *bytes, size_t count);
void put_u16(uint8_t *at, uint16_t value);
void put_u32(uint8_t *at, uint32_t value);
void put_u64(uint8_t *at, uint64_t value);
uint32_t get_u32(const uint8_t *at);
uint64_t get_u64(const uint8_t *at);
void reset(struct buffer *of);
uint8_t *extend(struct buffer *of, size_t count);
void add_text(struct buffer *of, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* queue.c: numbered frames, kept until acknowledged */
struct frame {
	struct frame *next;
	uint64_t seq;
	int type;
	int cpu;            /* of PAGES */
	uint32_t events;    /* of PAGES */
	int64_t kmsg_seq;   /* last SEQ of KMSG, -1 of others */
	size_t size;
	uint8_t bytes[];
};
void encode_header(uint8_t *at, int type, uint64_t seq, const uint8_t *payload, size_t length);
struct frame *keep_frame(int type, const struct buffer *payload);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
size_t queued_bytes(void);
bool queue_has_room(unsigned quarters);
void acknowledge(uint64_t seq);
uint64_t acknowledged_seq(void);
uint64_t first_kept_seq(void);
uint64_t last_seq(void);
int64_t acknowledged_kmsg_seq(void);
void rewind_queue(uint64_t seq);
bool all_sent(void);
bool all_acknowledged(void);
void begin_session(void);

/* link.c: the byte pipe */
bool link_parse(const char *address);
bool link_is_up(void);
void link_poll_open(uint64_t now_ms);
uint64_t link_retry_ms(void);
int link_in(void);
int link_out(void);
bool link_wants_out(void);
void link_lost(const char *why);
long link_read(uint8_t *bytes, size_t capacity);
long link_write(const uint8_t *bytes, size_t count);
void link_close(void);
bool link_ended(void);

/* send.c: what goes out next, and what comes in */
extern bool opened;      /* the host at the other end has asked for the stream */
extern bool ever_opened;
void send_frames(void);
void send_urgent(int type, const struct buffer *payload);
void read_commands(void);
void reset_exchange(void);
void open_stream(const char *request);

/* hello.c */
void discover_identity(void);
const char *boot_id(void);
void send_hello(void);
void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* kernel-log.c */
extern int kmsg_fd;
void kmsg_open(void);
void kmsg_begin(int64_t have);
void kmsg_read(void);
int64_t kmsg_last(void);

/* trace.c: the instance, its events and probes */
extern bool tracing;
extern char tracefs[64], instance_path[256];
extern int trace_cpus[MAX_CPUS], trace_cpu_count;
extern size_t page_bytes;
extern char **trace_events;
extern int trace_event_count;
extern uint64_t instance_generation;
bool find_tracefs(void);
void add_probe_misses(struct buffer *to);
void trace_start(void);
void trace_stop_recording(void);
void trace_remove(void);
bool read_trace_file(const char *name, char *text, size_t capacity);
int trace_file(char *path, size_t capacity, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* pages.c: what is read from the instance */
void pages_open(void);
void pages_close(void);
bool pages_read(bool all);
void pages_acknowledged(int cpu, uint32_t events);
void pages_restart(void);
void add_base(struct buffer *to);
void send_stats(void);
void send_comms(void);
void forget_comms(void);
uint64_t events_read(void);
struct page_layout {
	unsigned commit_offset, commit_bytes, data_offset;
};
extern struct page_layout layout;
size_t page_data_bytes(const uint8_t *page);
bool next_event(const uint8_t *page, size_t *at, size_t end, uint64_t *time, const uint8_t **payload, size_t *payload_bytes);

/* formats.c */
void formats_rewind(void);
bool formats_next(struct buffer *to);

/* system.c */
void system_start(void);
void system_ask(void);
bool system_next(struct buffer *to);

/* clock.c */
void clock_start(void);
void clock_sample(void);
void clock_resend(void);
void clock_stop(void);

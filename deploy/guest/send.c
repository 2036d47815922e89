/*
 * What goes out next, and what comes in. In order: the frame that is half written, answers and hellos, formats, a sample of the
 * system that is due, kept frames.
 * Nothing goes out before the host has asked with OPEN, but for the answers to its PINGs: so it can learn our clock first.
 */
#include "mkfwd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES 16
#define MAX_COMMAND_BYTES 2048
#define MAX_PONGS 64

bool opened, ever_opened;

struct urgent {
	struct urgent *next;
	size_t size;
	uint8_t bytes[];
};

extern struct frame *sending;
struct frame *next_unsent(void);

static struct urgent *first_urgent, *last_urgent;
static struct {
	uint8_t token[TOKEN_BYTES];
	uint64_t received_ns;
} pongs[MAX_PONGS];
static unsigned pong_first, pong_count;
static bool formats_pending;
/* What is being written: a kept frame (`sending`), or a copy of our own. */
static const uint8_t *current;
static size_t current_size, written;
static struct buffer scratch;
static uint8_t input[8192];
static size_t input_length;

void send_urgent(int type, const struct buffer *payload)
{
	struct urgent *frame = must_alloc(sizeof *frame + FRAME_HEADER_BYTES + payload->length);
	frame->next = NULL;
	frame->size = FRAME_HEADER_BYTES + payload->length;
	memcpy(frame->bytes + FRAME_HEADER_BYTES, payload->bytes, payload->length);
	encode_header(frame->bytes, type, 0, frame->bytes + FRAME_HEADER_BYTES, payload->length);
	if (last_urgent)
		last_urgent->next = frame;
	else
		first_urgent = frame;
	last_urgent = frame;
}

static void use_scratch(int type, const struct buffer *payload)
{
	reset(&scratch);
	uint8_t *at = extend(&scratch, FRAME_HEADER_BYTES + payload->length);
	memcpy(at + FRAME_HEADER_BYTES, payload->bytes, payload->length);
	encode_header(at, type, 0, at + FRAME_HEADER_BYTES, payload->length);
	current = scratch.bytes;
	current_size = scratch.length;
}

/* The answer is stamped when it goes out, so that the time it waited here is known. */
static void use_pong(void)
{
	static struct buffer payload;
	reset(&payload);
	uint8_t *at = extend(&payload, TOKEN_BYTES + 24);
	memcpy(at, pongs[pong_first].token, TOKEN_BYTES);
	put_u64(at + TOKEN_BYTES, session);
	put_u64(at + TOKEN_BYTES + 8, pongs[pong_first].received_ns);
	put_u64(at + TOKEN_BYTES + 16, mono_ns());
	pong_first = (pong_first + 1) % MAX_PONGS;
	pong_count--;
	use_scratch(FRAME_PONG, &payload);
}

static bool choose_next(void)
{
	static struct buffer payload;
	written = 0;
	if (pong_count > 0) {
		use_pong();
		return true;
	}
	if (first_urgent) {
		struct urgent *frame = first_urgent;
		first_urgent = frame->next;
		if (!first_urgent)
			last_urgent = NULL;
		reset(&scratch);
		memcpy(extend(&scratch, frame->size), frame->bytes, frame->size);
		current = scratch.bytes;
		current_size = frame->size;
		free(frame);
		return true;
	}
	if (!opened)
		return false;
	if (formats_pending) {
		if (formats_next(&payload)) {
			use_scratch(FRAME_FORMATS, &payload);
			return true;
		}
		formats_pending = false;
	}
	if (system_next(&payload)) {
		use_scratch(FRAME_SYSTEM, &payload);
		return true;
	}
	sending = next_unsent();
	if (!sending)
		return false;
	current = sending->bytes;
	current_size = sending->size;
	return true;
}

void send_frames(void)
{
	while (link_is_up()) {
		if (!current && !choose_next())
			return;
		long count = link_write(current + written, current_size - written);
		if (count <= 0)
			return;
		written += (size_t)count;
		if (written < current_size)
			continue;
		uint64_t done = sending ? sending->seq : 0;
		current = NULL;
		sending = NULL;
		if (done && options.one_way)
			acknowledge(done);
	}
}

/* The link is new or lost: what was half written is gone, and the host has to ask anew. */
void reset_exchange(void)
{
	opened = false;
	formats_pending = false;
	current = NULL;
	sending = NULL;
	input_length = 0;
	pong_count = 0;
	while (first_urgent) {
		struct urgent *frame = first_urgent;
		first_urgent = frame->next;
		free(frame);
	}
	last_urgent = NULL;
	if (options.one_way && link_is_up())
		open_stream("");
}

/* The decimal behind `key=` at the start of a line, or `otherwise`. */
static int64_t number_of(const char *text, const char *key, int64_t otherwise)
{
	size_t length = strlen(key);
	for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, key, length) == 0 && line[length] == '=')
			return strtoll(line + length + 1, NULL, 10);
	return otherwise;
}

/*
 * `session`, `frame`: the host is safe through that frame of that session. `kmsg`: it has the kernel log of the boot
 * `boot` through that SEQ. A host that knows less than another one has acknowledged gets a session of its own, with the kernel log from
 * where it has it.
 */
void open_stream(const char *request)
{
	const char *boot = strstr(request, "boot=");
	bool same = number_of(request, "session", 0) == (int64_t)session;
	/* What it has of another boot is nothing of this one. */
	bool other_boot = boot && strncmp(boot + 5, boot_id(), strlen(boot_id())) != 0;
	int64_t kmsg_have = other_boot ? -1 : number_of(request, "kmsg", -1);
	uint64_t frame = same ? (uint64_t)number_of(request, "frame", 0) : 0;
	if (frame > last_seq())
		frame = 0;
	if (ever_opened && !options.one_way && acknowledged_kmsg_seq() > kmsg_have) {
		pages_restart();
		begin_session();
		kmsg_begin(kmsg_have);
		same = false;
	}
	if (!ever_opened)
		kmsg_begin(kmsg_have);
	ever_opened = opened = true;
	rewind_queue(frame);
	if (!same || frame == 0)
		forget_comms();
	send_hello();
	formats_rewind();
	formats_pending = true;
	clock_resend();
}

static void take_command(int type, const uint8_t *payload, size_t length, uint64_t now_ns)
{
	char text[MAX_COMMAND_BYTES + 1];
	switch (type) {
	case FRAME_PING:
		if (length < TOKEN_BYTES || pong_count == MAX_PONGS)
			return;
		memcpy(pongs[(pong_first + pong_count) % MAX_PONGS].token, payload, TOKEN_BYTES);
		pongs[(pong_first + pong_count) % MAX_PONGS].received_ns = now_ns;
		pong_count++;
		return;
	case FRAME_ACK:
		if (length >= 16 && get_u64(payload) == session)
			acknowledge(get_u64(payload + 8));
		return;
	case FRAME_OPEN:
		memcpy(text, payload, length);
		text[length] = 0;
		open_stream(text);
		return;
	default:
		return;
	}
}

/* Looks for frames in what has come; returns the bytes that are done with. */
static size_t take_commands(uint64_t now_ns)
{
	size_t at = 0;
	while (input_length - at >= FRAME_HEADER_BYTES) {
		const uint8_t *head = input + at;
		uint32_t length = get_u32(head + 16);
		uint32_t check = crc32(0, head, 20);
		if (memcmp(head, "MKGF", 4) != 0 || check != get_u32(head + 20) || length > MAX_COMMAND_BYTES) {
			at++;
			continue;
		}
		if (input_length - at < FRAME_HEADER_BYTES + length)
			break;
		if (crc32(check, head + FRAME_HEADER_BYTES, length) != get_u32(head + 24)) {
			at++;
			continue;
		}
		take_command(head[4], head + FRAME_HEADER_BYTES, length, now_ns);
		at += FRAME_HEADER_BYTES + length;
	}
	return at;
}

void read_commands(void)
{
	while (link_is_up()) {
		long count = link_read(input + input_length, sizeof input - input_length);
		uint64_t now_ns = mono_ns();
		if (count <= 0)
			return;
		input_length += (size_t)count;
		size_t done = take_commands(now_ns);
		/* A lost link has emptied the input. */
		if (done > input_length)
			return;
		memmove(input, input + done, input_length - done);
		input_length -= done;
	}
}

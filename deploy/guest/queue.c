/* Numbered frames, oldest first, kept until the host has them: what is behind the cursor was sent and may be asked for again. */
#include "mkfwd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint64_t session;

static struct frame *oldest, *newest, *unsent;
static size_t bytes_kept;
static uint64_t next_seq = 1, acknowledged;
static int64_t acknowledged_kmsg = -1;

/* The queue's frame that send.c is in the middle of. */
struct frame *sending;

void encode_header(uint8_t *at, int type, uint64_t seq, const uint8_t *payload, size_t length)
{
	memcpy(at, "MKGF", 4);
	at[4] = (uint8_t)type;
	at[5] = seq ? 1 : 0;
	put_u16(at + 6, 0);
	put_u64(at + 8, seq);
	put_u32(at + 16, (uint32_t)length);
	uint32_t head = crc32(0, at, 20);
	put_u32(at + 20, head);
	put_u32(at + 24, crc32(head, payload, length));
}

struct frame *keep_frame(int type, const struct buffer *payload)
{
	struct frame *frame = must_alloc(sizeof *frame + FRAME_HEADER_BYTES + payload->length);
	*frame = (struct frame){
		.seq = next_seq++, .type = type, .cpu = -1, .kmsg_seq = -1, .size = FRAME_HEADER_BYTES + payload->length,
	};
	memcpy(frame->bytes + FRAME_HEADER_BYTES, payload->bytes, payload->length);
	encode_header(frame->bytes, type, frame->seq, frame->bytes + FRAME_HEADER_BYTES, payload->length);
	if (newest)
		newest->next = frame;
	else
		oldest = frame;
	newest = frame;
	if (!unsent)
		unsent = frame;
	bytes_kept += sizeof *frame + frame->size;
	return frame;
}

/* Tells the host what it should know; before there is a host the text waits with the others. */
void note(const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say("%s", text);
	static struct buffer payload;
	reset(&payload);
	add_text(&payload, "%s", text);
	keep_frame(FRAME_NOTE, &payload);
}

size_t queued_bytes(void)
{
	return bytes_kept;
}

/* Pages stop at three quarters of the bound, so that the kernel log always has the last one. */
bool queue_has_room(unsigned quarters)
{
	return bytes_kept + MAX_FRAME_BYTES <= options.queue_bytes / 4 * quarters;
}

static void drop_oldest(void)
{
	struct frame *frame = oldest;
	oldest = frame->next;
	if (!oldest)
		newest = NULL;
	if (unsent == frame)
		unsent = frame->next;
	bytes_kept -= sizeof *frame + frame->size;
	free(frame);
}

/* The host has everything through `seq`; what is on its way at this moment goes with the next acknowledgement. */
void acknowledge(uint64_t seq)
{
	while (oldest && oldest->seq <= seq && oldest != sending && oldest != unsent) {
		acknowledged = oldest->seq;
		if (oldest->kmsg_seq >= 0)
			acknowledged_kmsg = oldest->kmsg_seq;
		if (oldest->type == FRAME_PAGES)
			pages_acknowledged(oldest->cpu, oldest->events);
		drop_oldest();
	}
}

uint64_t acknowledged_seq(void)
{
	return acknowledged;
}

int64_t acknowledged_kmsg_seq(void)
{
	return acknowledged_kmsg;
}

uint64_t first_kept_seq(void)
{
	return oldest ? oldest->seq : next_seq;
}

uint64_t last_seq(void)
{
	return next_seq - 1;
}

/* A host that has everything through `seq` is to get the rest (again). */
void rewind_queue(uint64_t seq)
{
	unsent = oldest;
	while (unsent && unsent->seq <= seq)
		unsent = unsent->next;
	acknowledge(seq);
}

struct frame *next_unsent(void)
{
	struct frame *frame = unsent;
	if (frame)
		unsent = frame->next;
	return frame;
}

bool all_sent(void)
{
	return !unsent && !sending;
}

bool all_acknowledged(void)
{
	return !oldest;
}

/* Another session: what was kept goes, the numbers start anew. */
void begin_session(void)
{
	while (oldest)
		drop_oldest();
	next_seq = 1;
	acknowledged = 0;
	acknowledged_kmsg = -1;
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		random = mono_ns() * 0x9e3779b97f4a7c15u;
	/* 52 bits: a number that every language holds exactly. */
	session = random >> 12 | 1;
}

/* /dev/kmsg: one read() is one record, which goes on verbatim. While the queue is full the records wait in the kernel's ring. */
#include "mkfwd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel refuses (EINVAL) a buffer smaller than the record. */
#define MAX_RECORD_BYTES 8192
#define FRAME_BYTES (32 << 10)
#define RECORDS_PER_TURN 1024

int kmsg_fd = -1;

static int64_t last = -1, skip_through = -1;
static struct buffer payload;

void kmsg_open(void)
{
	kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg_fd < 0)
		problem("/dev/kmsg: %s", strerror(errno));
}

/* Reads from the oldest record on, and skips what the host has. */
void kmsg_begin(int64_t have)
{
	skip_through = have;
	last = have;
	if (kmsg_fd >= 0)
		lseek(kmsg_fd, 0, SEEK_SET);
}

int64_t kmsg_last(void)
{
	return last;
}

static void flush(int64_t through)
{
	if (payload.length == 0)
		return;
	keep_frame(FRAME_KMSG, &payload)->kmsg_seq = through;
	reset(&payload);
}

/* SEQ is behind the first comma. */
static int64_t sequence_of(const char *record)
{
	const char *comma = strchr(record, ',');
	return comma ? strtoll(comma + 1, NULL, 10) : -1;
}

void kmsg_read(void)
{
	char record[MAX_RECORD_BYTES + 1];
	for (int count = 0; count < RECORDS_PER_TURN && queue_has_room(4); count++) {
		ssize_t length = read(kmsg_fd, record, MAX_RECORD_BYTES);
		if (length < 0 && errno == EPIPE) {
			static struct buffer empty;
			flush(last);
			extend(&empty, 0);
			keep_frame(FRAME_KMSG_LOST, &empty);
			continue;
		}
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			break;
		record[length] = 0;
		int64_t sequence = sequence_of(record);
		if (sequence < 0 || sequence <= skip_through)
			continue;
		if (payload.length + 4 + (size_t)length > FRAME_BYTES)
			flush(last);
		uint8_t *at = extend(&payload, 4 + (size_t)length);
		put_u32(at, (uint32_t)length);
		memcpy(at + 4, record, (size_t)length);
		last = sequence;
	}
	flush(last);
}

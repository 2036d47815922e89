#include "mkfwd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t mono_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mono_ms(void)
{
	return mono_ns() / 1000000;
}

void *must_alloc(size_t bytes)
{
	void *got = malloc(bytes);
	if (!got) {
		say("out of memory");
		_exit(1);
	}
	return got;
}

void say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("mkfwd: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* The text of a small file, ended by NUL and without its last line end; its length, or -1 with errno. */
int read_text(const char *path, char *text, size_t capacity)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t length = 0;
	while (length + 1 < capacity) {
		ssize_t count = read(fd, text + length, capacity - 1 - length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			break;
		length += (size_t)count;
	}
	close(fd);
	text[length] = 0;
	while (length > 0 && text[length - 1] == '\n')
		text[--length] = 0;
	return (int)length;
}

/* One write() of the whole text: what tracefs takes as one command. 0, or -1 with errno. */
int write_text(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -1;
	size_t length = strlen(text);
	ssize_t count = write(fd, text, length);
	int why = errno;
	close(fd);
	errno = why;
	return count == (ssize_t)length ? 0 : -1;
}

/* CRC-32 (IEEE 802.3) that goes on from `before`, as zlib's does. */
uint32_t crc32(uint32_t before, const uint8_t *bytes, size_t count)
{
	static uint32_t table[4][256];
	if (table[0][1] == 0) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t value = i;
			for (int bit = 0; bit < 8; bit++)
				value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
			table[0][i] = value;
		}
		for (int t = 1; t < 4; t++)
			for (int i = 0; i < 256; i++)
				table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
	}
	uint32_t crc = ~before;
	for (; count >= 4; count -= 4, bytes += 4) {
		crc ^= get_u32(bytes);
		crc = table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^ table[0][crc >> 24];
	}
	while (count-- > 0)
		crc = crc >> 8 ^ table[0][(crc ^ *bytes++) & 255];
	return ~crc;
}

void put_u16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

void put_u32(uint8_t *at, uint32_t value)
{
	put_u16(at, (uint16_t)value);
	put_u16(at + 2, (uint16_t)(value >> 16));
}

void put_u64(uint8_t *at, uint64_t value)
{
	put_u32(at, (uint32_t)value);
	put_u32(at + 4, (uint32_t)(value >> 32));
}

uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t get_u64(const uint8_t *at)
{
	return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

void reset(struct buffer *of)
{
	of->length = 0;
}

/* Room for `count` more bytes, which the caller fills. */
uint8_t *extend(struct buffer *of, size_t count)
{
	if (of->length + count > of->capacity) {
		size_t capacity = of->capacity ? of->capacity : 4096;
		while (capacity < of->length + count)
			capacity *= 2;
		uint8_t *grown = must_alloc(capacity);
		if (of->length)
			memcpy(grown, of->bytes, of->length);
		free(of->bytes);
		of->bytes = grown;
		of->capacity = capacity;
	}
	uint8_t *at = of->bytes + of->length;
	of->length += count;
	return at;
}

void add_text(struct buffer *of, const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (length < 0)
		return;
	if ((size_t)length >= sizeof line)
		length = sizeof line - 1;
	memcpy(extend(of, (size_t)length), line, (size_t)length);
}

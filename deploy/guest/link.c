/*
 * The byte pipe: a character device, a socket, or standard input and output. Opened again for ever, less often the longer it
 * stays away. A virtio-serial port without a client at the host's end reads as ended and hangs up: asked again on a timer, since
 * poll() would return at once.
 */
#include "mkfwd.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define FIRST_RETRY_MS 100
#define MAX_RETRY_MS 2000
/* multikernel: `setsockopt(AF_VSOCK, SO_VM_SOCKETS_TRANSPORT, VSOCK_TRANSPORT_MULTIKERNEL)`, not in any header of ours. */
#define SO_VM_SOCKETS_TRANSPORT_MK 9
#define VSOCK_TRANSPORT_MULTIKERNEL 1

static enum { TO_STDIO, TO_PATH, TO_SOCKET } kind;
static const char *path;
static union {
	struct sockaddr any;
	struct sockaddr_un unix_;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_vm vm;
} target;
static socklen_t target_bytes;
static int in_fd = -1, out_fd = -1;
static bool up, connecting, wants_out, ended;
static uint64_t retry_at, retry_ms = FIRST_RETRY_MS;

static bool parse_tcp(const char *address)
{
	char host[128];
	const char *colon = strrchr(address, ':');
	if (!colon || (size_t)(colon - address) >= sizeof host)
		return false;
	const char *from = address;
	size_t length = (size_t)(colon - address);
	if (length >= 2 && from[0] == '[' && from[length - 1] == ']') {
		from++;
		length -= 2;
	}
	memcpy(host, from, length);
	host[length] = 0;
	int port = atoi(colon + 1);
	if (inet_pton(AF_INET, host, &target.in4.sin_addr) == 1) {
		target.in4.sin_family = AF_INET;
		target.in4.sin_port = htons((uint16_t)port);
		target_bytes = sizeof target.in4;
	} else if (inet_pton(AF_INET6, host, &target.in6.sin6_addr) == 1) {
		target.in6.sin6_family = AF_INET6;
		target.in6.sin6_port = htons((uint16_t)port);
		target_bytes = sizeof target.in6;
	} else {
		return false;
	}
	return port > 0;
}

/* Addresses are numeric: a static program has no name service. */
bool link_parse(const char *address)
{
	unsigned cid, port;
	if (strcmp(address, "-") == 0) {
		kind = TO_STDIO;
		return true;
	}
	kind = TO_SOCKET;
	if (strncmp(address, "unix:", 5) == 0) {
		if (strlen(address + 5) >= sizeof target.unix_.sun_path)
			return false;
		target.unix_.sun_family = AF_UNIX;
		strcpy(target.unix_.sun_path, address + 5);
		target_bytes = sizeof target.unix_;
		return true;
	}
	if (strncmp(address, "tcp:", 4) == 0)
		return parse_tcp(address + 4);
	if (sscanf(address, "vsock:%u:%u", &cid, &port) == 2) {
		target.vm = (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
		target_bytes = sizeof target.vm;
		return true;
	}
	kind = TO_PATH;
	path = address;
	return address[0] == '/' || address[0] == '.';
}

static void set_up(void)
{
	up = true;
	connecting = false;
	retry_ms = FIRST_RETRY_MS;
	reset_exchange();
}

static int open_path(void)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct termios mode;
	if (fd >= 0 && tcgetattr(fd, &mode) == 0) {
		cfmakeraw(&mode);
		mode.c_cflag |= CLOCAL;
		tcsetattr(fd, TCSANOW, &mode);
	}
	return fd;
}

static int open_socket(void)
{
	int fd = socket(target.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int one = 1;
	if (target.any.sa_family == AF_INET || target.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (target.any.sa_family == AF_VSOCK && options.mk_vsock) {
		int transport = VSOCK_TRANSPORT_MULTIKERNEL;
		if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_TRANSPORT_MK, &transport, sizeof transport) < 0)
			say("the multikernel vsock transport is refused: %s", strerror(errno));
	}
	if (connect(fd, &target.any, target_bytes) == 0)
		return fd;
	if (errno == EINPROGRESS) {
		connecting = true;
		return fd;
	}
	close(fd);
	return -1;
}

/* Opens the pipe when it is time to, and finds out whether a connection under way or a port that had hung up is there now. */
void link_poll_open(uint64_t now_ms)
{
	if (up || ended || now_ms < retry_at)
		return;
	if (in_fd < 0) {
		if (kind == TO_STDIO) {
			in_fd = STDIN_FILENO;
			out_fd = STDOUT_FILENO;
			fcntl(in_fd, F_SETFL, fcntl(in_fd, F_GETFL) | O_NONBLOCK);
			fcntl(out_fd, F_SETFL, fcntl(out_fd, F_GETFL) | O_NONBLOCK);
			set_up();
			return;
		}
		in_fd = out_fd = kind == TO_PATH ? open_path() : open_socket();
		if (in_fd < 0) {
			link_lost(strerror(errno));
			return;
		}
	}
	struct pollfd ask = { .fd = in_fd, .events = connecting ? POLLOUT : POLLIN };
	int ready = poll(&ask, 1, 0);
	if (connecting) {
		int error = 0;
		socklen_t size = sizeof error;
		if (ready == 0) {
			retry_at = now_ms + 50;
			return;
		}
		getsockopt(in_fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error != 0) {
			link_lost(strerror(error));
			return;
		}
	} else if (ready > 0 && (ask.revents & (POLLHUP | POLLERR)) != 0 && (ask.revents & POLLIN) == 0) {
		/* Kept open: the port of a host that is not there yet. */
		retry_at = now_ms + (retry_ms = retry_ms * 2 > MAX_RETRY_MS / 4 ? MAX_RETRY_MS / 4 : retry_ms * 2);
		return;
	}
	set_up();
}

bool link_is_up(void)
{
	return up;
}

uint64_t link_retry_ms(void)
{
	return up || ended ? UINT64_MAX : retry_at;
}

int link_in(void)
{
	return in_fd;
}

int link_out(void)
{
	return out_fd;
}

bool link_wants_out(void)
{
	return up && wants_out;
}

/* True when standard input and output are gone: there is nothing to open again. */
bool link_ended(void)
{
	return ended;
}

void link_lost(const char *why)
{
	static char said[64];
	if (strcmp(said, why) != 0) {
		snprintf(said, sizeof said, "%s", why);
		say("%s: %s; trying again", options.to, why);
	}
	up = wants_out = connecting = false;
	reset_exchange();
	if (kind == TO_STDIO) {
		ended = true;
		return;
	}
	/* A device stays open: it is the same port when its other end comes back. A socket is another one. */
	if (in_fd >= 0 && kind != TO_PATH) {
		close(in_fd);
		in_fd = out_fd = -1;
	} else if (in_fd >= 0 && (strcmp(why, "hung up") != 0 && strcmp(why, "nobody is there") != 0)) {
		close(in_fd);
		in_fd = out_fd = -1;
	}
	retry_at = mono_ms() + retry_ms;
	retry_ms = retry_ms * 2 > MAX_RETRY_MS ? MAX_RETRY_MS : retry_ms * 2;
}

/* Bytes read; 0 = none now; -1 = the link was lost. */
long link_read(uint8_t *bytes, size_t capacity)
{
	ssize_t count = read(in_fd, bytes, capacity);
	if (count > 0)
		return count;
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* One way: what nobody writes to us is no reason to end. */
	if (count == 0 && options.one_way && kind == TO_STDIO)
		return 0;
	link_lost(count == 0 ? "hung up" : strerror(errno));
	return -1;
}

/* Bytes taken; 0 = the pipe is full; -1 = the link was lost. */
long link_write(const uint8_t *bytes, size_t count)
{
	ssize_t taken = write(out_fd, bytes, count);
	wants_out = taken < (ssize_t)count;
	if (taken >= 0)
		return taken;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return 0;
	/* virtio-serial and multikernel's ring say so while nobody is at the other end, or while it is full. */
	link_lost(errno == EPIPE || errno == ENOSPC ? "nobody is there" : strerror(errno));
	return -1;
}

void link_close(void)
{
	if (in_fd >= 0 && kind != TO_STDIO)
		close(in_fd);
	in_fd = out_fd = -1;
	up = false;
}

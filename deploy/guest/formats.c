/* The `format` files, one per frame, read when they are sent: header_page, the enabled events, and the tracer's own. */
#include "mkfwd.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **names;
static int name_count, next_name;

static void add_name(const char *name)
{
	static int capacity;
	if (name_count == capacity) {
		capacity = capacity ? capacity * 2 : 64;
		names = realloc(names, (size_t)capacity * sizeof *names);
		if (!names)
			abort();
	}
	names[name_count++] = strdup(name);
}

void formats_rewind(void)
{
	char path[128], name[300];
	next_name = 0;
	if (!tracing || name_count > 0)
		return;
	add_name("header_page");
	for (int i = 0; i < trace_event_count; i++)
		add_name(trace_events[i]);
	snprintf(path, sizeof path, "%s/events/ftrace", tracefs);
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "enable") == 0 || strcmp(entry->d_name, "filter") == 0)
			continue;
		snprintf(name, sizeof name, "ftrace:%s", entry->d_name);
		add_name(name);
	}
	if (folder)
		closedir(folder);
}

/* The payload of the next FORMATS frame; false behind the last. A file that is gone is sent empty: a module may have unloaded. */
bool formats_next(struct buffer *to)
{
	static char text[MAX_FRAME_BYTES - 1024];
	char path[512];
	if (next_name >= name_count)
		return false;
	const char *name = names[next_name];
	const char *colon = strchr(name, ':');
	if (colon)
		snprintf(path, sizeof path, "%s/events/%.*s/%s/format", tracefs, (int)(colon - name), name, colon + 1);
	else
		snprintf(path, sizeof path, "%s/events/%s", tracefs, name);
	int length = read_text(path, text, sizeof text - 1);
	if (length < 0)
		length = 0;
	/* Its last line end, which read_text takes off: the host names a set by its text. */
	if (length > 0)
		text[length++] = '\n';
	reset(to);
	uint8_t *at = extend(to, 6 + strlen(name) + (size_t)length);
	put_u16(at, (uint16_t)next_name);
	put_u16(at + 2, (uint16_t)name_count);
	put_u16(at + 4, (uint16_t)strlen(name));
	memcpy(at + 6, name, strlen(name));
	memcpy(at + 6 + strlen(name), text, (size_t)length);
	next_name++;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <stdio.h>

#include "base/str.h"

#define PATH_BYTES 512

static size_t format_into(const struct api_place *at, char *to, size_t size)
{
	size_t len = at->up ? format_into(at->up, to, size) : 0;
	size_t room = len < size ? size - len : 0;
	int add;

	if (!at->up)
		return len;
	if (!at->name)
		add = snprintf(to + len, room, "[%zu]", at->index);
	else if (at->is_key)
		add = snprintf(to + len, room, "[%s]", at->name);
	else
		add = snprintf(to + len, room, "%s%s", len ? "." : "", at->name);
	len += add > 0 ? (size_t)add : 0;
	return len < size ? len : size - 1;
}

void api_place_format(const struct api_place *at, char *to, size_t size)
{
	to[0] = '\0';
	(void)format_into(at, to, size);
}

void api_fault_text(struct api_faults *faults, const char *text)
{
	const char *separator = faults->count ? faults->separator : "";
	size_t need = strlen(separator) + strlen(text);

	faults->count++;
	if (faults->hidden || need >= sizeof(faults->text) - faults->len) {
		faults->hidden++;
		return;
	}
	(void)snprintf(faults->text + faults->len, sizeof(faults->text) - faults->len, "%s%s", separator, text);
	faults->len += need;
}

void api_fault(struct api_faults *faults, const struct api_place *at, const char *name, const char *format, ...)
{
	struct api_place below = {.up = at, .name = name};
	char text[PATH_BYTES + 512], path[PATH_BYTES];
	va_list args;
	size_t len;

	if (faults->hidden) {
		faults->count++;
		faults->hidden++;
		return;
	}
	api_place_format(name ? &below : at, path, sizeof(path));
	(void)snprintf(text, sizeof(text), "%s: ", path[0] ? path : "<nil>");
	len = strlen(text);
	va_start(args, format);
	(void)vsnprintf(text + len, sizeof(text) - len, format, args);
	va_end(args);
	api_fault_text(faults, text);
}

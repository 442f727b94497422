/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/device_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char letters[] = "rwm";

static unsigned int read_access(const char *access)
{
	unsigned int bits = 0;

	for (size_t i = 0; letters[i]; i++)
		bits |= strchr(access, letters[i]) ? 1u << i : 0;
	return bits;
}

static struct device_list_entry *find(const struct device_list *list, const struct device_list_entry *entry)
{
	for (size_t i = 0; i < list->count; i++) {
		struct device_list_entry *at = &list->items[i];

		if (at->type == entry->type && at->major == entry->major && at->minor == entry->minor)
			return at;
	}
	return NULL;
}

unsigned int device_list_find(const struct device_list *list, const struct device_list_entry *entry)
{
	const struct device_list_entry *found = find(list, entry);

	return found ? found->access : 0;
}

static int append(struct device_list *list, const struct device_list_entry *entry)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct device_list_entry *grown = realloc(list->items, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->items = grown;
		list->room = room;
	}
	list->items[list->count++] = *entry;
	return 0;
}

int device_list_add(struct device_list *list, const struct spec_device_rule *rule)
{
	const struct device_list_entry entry = {rule->type, rule->major, rule->minor, read_access(rule->access)};
	struct device_list_entry *same = find(list, &entry);

	if (rule->type == 'a') {
		list->open = rule->allow;
		list->count = 0;
		return 0;
	}
	if (rule->allow != list->open) {
		if (!same)
			return append(list, &entry);
		same->access |= entry.access;
		return 0;
	}
	if (same) {
		same->access &= ~entry.access;
		if (!same->access)
			*same = list->items[--list->count];
	}
	return 0;
}

static int read_number(const char *text, int64_t *ret)
{
	*ret = -1;
	return str_eq(text, "*") ? 0 : str_parse_i64(text, 0, UINT32_MAX, ret);
}

/* "c 10:200 rw"; of an open list nothing else is told than "a *:* rwm". */
static int parse_line(struct device_list *list, char *line)
{
	struct spec_device_rule rule = {.allow = true, .type = line[0], .access = "rwm"};
	char *save = NULL, *type = strtok_r(line, " ", &save), *major = strtok_r(NULL, ":", &save),
	     *minor = strtok_r(NULL, " ", &save), *access = strtok_r(NULL, " ", &save);

	if (!access || !strchr("abc", type[0]) || type[1] || read_number(major, &rule.major) < 0 ||
	    read_number(minor, &rule.minor) < 0)
		return ERR_SYNTAX;
	rule.access = access;
	return device_list_add(list, &rule);
}

int device_list_parse(struct device_list *list, const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *save = NULL;
	int r = copy ? 0 : -ENOMEM;

	for (char *line = r == 0 ? strtok_r(copy, "\n", &save) : NULL; r == 0 && line;
	     line = strtok_r(NULL, "\n", &save))
		r = parse_line(list, line);
	return r;
}

static void put_number(char *to, size_t size, int64_t number)
{
	if (number < 0)
		(void)snprintf(to, size, "*");
	else
		(void)snprintf(to, size, "%" PRId64, number);
}

void device_list_format(const struct device_list_entry *entry, char *to, size_t size)
{
	char major[24], minor[24], access[sizeof(letters)] = "";
	size_t len = 0;

	put_number(major, sizeof(major), entry->major);
	put_number(minor, sizeof(minor), entry->minor);
	for (size_t i = 0; letters[i]; i++)
		if (entry->access >> i & 1)
			access[len++] = letters[i];
	access[len] = '\0';
	(void)snprintf(to, size, "%c %s:%s %s", entry->type, major, minor, access);
}

void device_list_done(struct device_list *list)
{
	free(list->items);
	*list = (struct device_list){0};
}

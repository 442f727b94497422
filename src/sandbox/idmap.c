/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/idmap.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

/* The next number of a line; at is left behind it. */
static int next_number(const char **at, const char *end, uint32_t *to)
{
	char word[16];
	size_t len = 0;
	uint64_t number;

	while (*at < end && **at == ' ')
		(*at)++;
	while (*at < end && **at != ' ' && len < sizeof(word) - 1)
		word[len++] = *(*at)++;
	word[len] = '\0';
	if (str_parse_u64(word, UINT32_MAX, &number) < 0 || strlen(word) != len)
		return -EINVAL;
	*to = (uint32_t)number;
	return 0;
}

static int read_line(const char *at, const char *end, struct spec_idmap *to)
{
	uint32_t *numbers[] = {&to->container, &to->host, &to->size};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (next_number(&at, end, numbers[i]) < 0)
			return -EINVAL;
	return at == end && to->size > 0 && to->size - 1 <= UINT32_MAX - to->host ? 0 : -EINVAL;
}

int idmap_parse(const char *text, size_t len, struct idmap *ret_map)
{
	const char *at = text, *end = text + len;

	ret_map->count = 0;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (!stop)
			stop = end;
		if (ret_map->count == IDMAP_LINES_MAX || read_line(at, stop, &ret_map->lines[ret_map->count]) < 0)
			return -EINVAL;
		ret_map->count++;
		at = stop + 1;
	}
	return 0;
}

int idmap_find(const struct idmap *map, uint32_t inside, uint32_t *ret_outside)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct spec_idmap *line = &map->lines[i];

		if (inside >= line->container && inside - line->container < line->size) {
			*ret_outside = line->host + (inside - line->container);
			return 0;
		}
	}
	return -ERANGE;
}

void idmap_copy(struct idmap *to, const struct spec_idmaps *from)
{
	to->count = from->count < IDMAP_LINES_MAX ? from->count : IDMAP_LINES_MAX;
	if (to->count)
		memcpy(to->lines, from->items, to->count * sizeof(*to->lines));
}

bool idmap_has(const struct idmap *map, uint32_t outside)
{
	for (size_t i = 0; i < map->count; i++)
		if (outside >= map->lines[i].host && outside - map->lines[i].host < map->lines[i].size)
			return true;
	return false;
}

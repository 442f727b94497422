/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of a user namespace, and what is looked up in them. */
#include <stdint.h>
#include <stdlib.h>

#include "sandbox/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t ids[] = {0, 1, 999, 65535, 65536, UINT32_MAX - 1, UINT32_MAX};
	struct idmap map;
	uint32_t outside;

	if (idmap_parse((const char *)data, size, &map) < 0)
		return 0;
	if (map.count > IDMAP_LINES_MAX)
		abort();
	for (size_t i = 0; i < map.count; i++)
		if (idmap_find(&map, map.lines[i].container, &outside) < 0)
			abort();
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		(void)!idmap_find(&map, ids[i], &outside);
	return 0;
}

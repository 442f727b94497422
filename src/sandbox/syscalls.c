/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/syscalls.h"

#include <string.h>

#include "sandbox/syscalls_table.h"

#define NONE 0xffff
#define ORDINARY 0x400
#define ARM_PRIVATE 0xf0000u

int syscalls_find(const char *name)
{
	uint32_t hash = 0;

	for (const char *at = name; *at; at++)
		hash = hash * 31 + (unsigned char)*at;
	hash ^= hash >> 10 ^ hash >> 20;
	for (uint32_t at = hash % TABLE_BUCKETS; table_buckets[at] != NONE; at = (at + 1) % TABLE_BUCKETS)
		if (strcmp(name, table_names + table_offsets[table_buckets[at]]) == 0)
			return table_buckets[at];
	return -1;
}

int syscalls_count(void)
{
	return TABLE_NAMES;
}

const char *syscalls_name(int index)
{
	return table_names + table_offsets[index];
}

int syscalls_code(int index, enum syscalls_abi abi)
{
	uint16_t code = table_codes[abi][index];

	return code == NONE ? -1 : code;
}

uint32_t syscalls_code_number(int code, enum syscalls_abi abi)
{
	uint32_t number = code < ORDINARY ? (uint32_t)code : ARM_PRIVATE + (uint32_t)(code - ORDINARY);

	return abi == SYSCALLS_X32 ? number | SYSCALLS_X32_BIT : number;
}

int syscalls_number(const char *name)
{
	int index = syscalls_find(name);

	return index < 0 ? -1 : syscalls_code(index, SYSCALLS_NATIVE);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon takes of the machine. */
#ifndef CLI_PARTINFO_H
#define CLI_PARTINFO_H

#include "cli/part.h"

struct partinfo {
	uint64_t uptime_s;
	uint64_t memory_bytes; /* its proportional share; what it shares with others is divided */
};

/* Reads it from /proc. Zeroes for what cannot be read. */
void partinfo_read(const struct part_process *process, struct partinfo *ret_info);

/* "3 d 4 h", "12 m", "7 s". */
#define PARTINFO_UPTIME_SIZE 32
void partinfo_format_uptime(uint64_t seconds, char to[static PARTINFO_UPTIME_SIZE]);

#endif

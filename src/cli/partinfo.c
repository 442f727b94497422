/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/partinfo.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fdio.h"
#include "base/str.h"

/* The number of kB behind a word that begins a line. */
static uint64_t find_kb(const char *text, const char *word)
{
	const char *at = strstr(text, word);
	char digits[24];
	uint64_t kb;
	size_t len;

	if (!at)
		return 0;
	at += strlen(word);
	at += strspn(at, " \t");
	len = strspn(at, "0123456789");
	if (len >= sizeof(digits))
		return 0;
	memcpy(digits, at, len);
	digits[len] = '\0';
	return str_parse_u64(digits, UINT64_MAX / 1024, &kb) < 0 ? 0 : kb;
}

static uint64_t read_kb(int pid, const char *file, const char *word)
{
	struct buf text CLEANUP(buf_done) = buf_of(65536);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	if (fdio_read_file(AT_FDCWD, path, &text, NULL) < 0 || !text.data)
		return 0;
	return find_kb(text.data, word);
}

void partinfo_read(const struct part_process *process, struct partinfo *ret_info)
{
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK), kb = read_kb(process->pid, "smaps_rollup", "\nPss:");
	struct timespec now;

	*ret_info = (struct partinfo){0};
	if (!kb)
		kb = read_kb(process->pid, "status", "\nVmRSS:");
	ret_info->memory_bytes = kb * 1024;
	if (clock_gettime(CLOCK_BOOTTIME, &now) == 0 && ticks && (uint64_t)now.tv_sec > process->start_ticks / ticks)
		ret_info->uptime_s = (uint64_t)now.tv_sec - process->start_ticks / ticks;
}

void partinfo_format_uptime(uint64_t seconds, char to[static PARTINFO_UPTIME_SIZE])
{
	unsigned long long s = seconds;

	if (s >= 86400)
		(void)snprintf(to, PARTINFO_UPTIME_SIZE, "%llu d %llu h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		(void)snprintf(to, PARTINFO_UPTIME_SIZE, "%llu h %llu m", s / 3600, s / 60 % 60);
	else if (s >= 60)
		(void)snprintf(to, PARTINFO_UPTIME_SIZE, "%llu m", s / 60);
	else
		(void)snprintf(to, PARTINFO_UPTIME_SIZE, "%llu s", s);
}

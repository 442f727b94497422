/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the spawner: bytes as they are (after a 0), or a valid one with bytes changed (offset, offset, value). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/spawn_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touch(const struct spec_strings *strings)
{
	size_t sum = 0;

	for (size_t i = 0; i < strings->count; i++)
		sum += strlen(strings->items[i]);
	return strings->items[strings->count] ? 0 : sum + 1;
}

/* Everything that was accepted can be read, and written again. */
static void check(const struct spawn_request *request)
{
	const struct spec_process *process = &request->process;
	CLEANUP_BUF struct buf again = {0};
	size_t sum = strlen(process->cwd);

	if (!touch(&process->args) || !touch(&process->env) || !process->args.count)
		abort();
	for (size_t i = 0; i < process->rlimits.count; i++)
		sum += strlen(process->rlimits.items[i].name);
	for (size_t i = 0; i < process->user.additional.count; i++)
		sum += process->user.additional.items[i];
	for (size_t i = 0; i < request->filter.len; i++)
		sum += request->filter.code[i].k;
	if (sum == 1 || spawn_request_format(request, &again) == 0)
		return;
}

static void parse(const void *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct spawn_request request;
	struct err err = {0};

	if (!copy)
		abort();
	memcpy(copy, bytes, len);
	if (spawn_request_parse(copy, len, &request, &err) == 0)
		check(&request);
	else if (err.code != ERR_SYNTAX)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *args[] = {"/bin/sh", "-c", "true", NULL}, *env[] = {"PATH=/bin", "A=b", NULL};
	struct spec_rlimit limits[] = {{1, "RLIMIT_FSIZE", 2, 3}, {7, "RLIMIT_NOFILE", 10, 20}};
	struct sock_filter code[] = {{6, 0, 0, 0x7fff0000}, {6, 0, 0, 0}};
	uint32_t gids[] = {5, 6, 7};
	const struct spawn_request valid = {
		.process = {.args = {args, 3},
			    .env = {env, 2},
			    .cwd = "/tmp",
			    .rlimits = {limits, 2},
			    .user = {.additional = {gids, 3}}},
		.filter = {.code = code, .len = 2},
	};
	CLEANUP_BUF struct buf bytes = {0};

	if (size && data[0] == 0) {
		parse(data + 1, size - 1);
		return 0;
	}
	if (spawn_request_format(&valid, &bytes) < 0)
		abort();
	for (size_t i = 1; i + 2 < size; i += 3)
		bytes.data[(data[i] << 8 | data[i + 1]) % bytes.len] = (char)data[i + 2];
	parse(bytes.data, bytes.len);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spawn_request.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define MAGIC (0x00584842u | (uint32_t)('0' + SPAWN_REQUEST_FORM) << 24) /* "BHX2" */

/*
 * Numbers and flags of the process travel as they are. What points somewhere is written for itself: a new member that
 * does must be added below, which this reminds of.
 */
_Static_assert(sizeof(struct spec_process) == 232, "members of spec_process: does a new one point somewhere?");

/* A place in the request: `count` things from `offset` on. */
struct span {
	uint32_t offset;
	uint32_t count;
};

struct head {
	uint32_t magic;
	uint32_t size; /* of this structure: another version's is another */
	uint32_t preserve_fds;
	uint32_t filter_flags;
	struct span args, env; /* offsets of strings, uint64_t each, as many as count and one more */
	struct span cwd, rlimits, gids, filter;
	struct spec_process process;
};

static int align(struct buf *to)
{
	static const char zeros[8];
	size_t over = to->len % 8;

	return over ? buf_append(to, zeros, 8 - over) : 0;
}

static int put(struct buf *to, const void *bytes, size_t count, size_t size, struct span *span)
{
	int r = align(to);

	*span = (struct span){(uint32_t)to->len, (uint32_t)count};
	return r == 0 && count ? buf_append(to, bytes, count * size) : r;
}

static int put_string(struct buf *to, const char *string, uint64_t *ret_offset)
{
	*ret_offset = to->len;
	return buf_append(to, string, strlen(string) + 1);
}

static int put_strings(struct buf *to, const struct spec_strings *strings, struct span *span)
{
	uint64_t none = 0;
	int r = put(to, NULL, 0, 0, span);

	span->count = (uint32_t)strings->count;
	for (size_t i = 0; r == 0 && i <= strings->count; i++)
		r = buf_append(to, &none, sizeof(none));
	for (size_t i = 0; r == 0 && i < strings->count; i++) {
		uint64_t offset;

		r = put_string(to, strings->items[i], &offset);
		if (r == 0)
			memcpy(to->data + span->offset + i * sizeof(offset), &offset, sizeof(offset));
	}
	return r;
}

static int put_cwd(struct buf *to, const char *cwd, struct span *span)
{
	uint64_t offset;
	int r = put_string(to, cwd, &offset);

	*span = (struct span){(uint32_t)offset, 1};
	return r;
}

/* Each limit's name is for messages; it travels as the offset of a string. */
static int put_rlimits(struct buf *to, const struct spec_rlimits *rlimits, struct span *span)
{
	int r = put(to, rlimits->items, rlimits->count, sizeof(*rlimits->items), span);

	for (size_t i = 0; r == 0 && i < rlimits->count; i++) {
		size_t place = span->offset + i * sizeof(*rlimits->items) + offsetof(struct spec_rlimit, name);
		uint64_t offset;

		r = put_string(to, rlimits->items[i].name, &offset);
		if (r == 0)
			memcpy(to->data + place, &offset, sizeof(offset));
	}
	return r;
}

static int put_parts(const struct spawn_request *request, struct head *head, struct buf *to)
{
	const struct spec_process *process = &request->process;
	int r = put_strings(to, &process->args, &head->args);

	if (r == 0)
		r = put_strings(to, &process->env, &head->env);
	if (r == 0)
		r = put_cwd(to, process->cwd, &head->cwd);
	if (r == 0)
		r = put_rlimits(to, &process->rlimits, &head->rlimits);
	if (r == 0)
		r = put(to, process->user.additional.items, process->user.additional.count, sizeof(uint32_t),
			&head->gids);
	if (r == 0)
		r = put(to, request->filter.code, request->filter.len, sizeof(*request->filter.code), &head->filter);
	/* The last byte ends every string. */
	return r == 0 ? buf_putc(to, '\0') : r;
}

int spawn_request_format(const struct spawn_request *request, struct buf *to)
{
	struct head head = {
		.magic = MAGIC,
		.size = sizeof(head),
		.preserve_fds = request->preserve_fds,
		.filter_flags = request->filter.flags,
		.process = request->process,
	};
	int r;

	/* Who has a profile or processors of its own does not come this way. */
	head.process.apparmor_profile = head.process.affinity_initial = head.process.affinity_final = NULL;
	*to = buf_of(SPAWN_REQUEST_MAX);
	r = buf_append(to, &head, sizeof(head));
	if (r == 0)
		r = put_parts(request, &head, to);
	if (r == 0)
		memcpy(to->data, &head, sizeof(head));
	return r;
}

struct reader {
	char *bytes;
	size_t len;
};

/* The place of a span, or NULL when it does not lie within. One byte is left behind it: the last ends strings. */
static void *at(const struct reader *reader, const struct span *span, size_t size)
{
	if (span->offset % 8 || span->offset >= reader->len || span->count > (reader->len - span->offset - 1) / size)
		return NULL;
	return reader->bytes + span->offset;
}

static char *string_at(const struct reader *reader, uint64_t offset)
{
	return offset < reader->len ? reader->bytes + offset : NULL;
}

static bool take_strings(const struct reader *reader, const struct span *span, struct spec_strings *to)
{
	struct span whole = {span->offset, span->count + 1};
	char **items = span->count < SPAWN_REQUEST_MAX ? at(reader, &whole, sizeof(uint64_t)) : NULL;

	if (!items)
		return false;
	for (size_t i = 0; i < span->count; i++) {
		uint64_t offset;

		memcpy(&offset, &items[i], sizeof(offset));
		items[i] = string_at(reader, offset);
		if (!items[i])
			return false;
	}
	items[span->count] = NULL;
	*to = (struct spec_strings){(const char **)items, span->count};
	return true;
}

static bool take_rlimits(const struct reader *reader, const struct span *span, struct spec_rlimits *to)
{
	*to = (struct spec_rlimits){at(reader, span, sizeof(*to->items)), span->count};
	for (size_t i = 0; to->items && i < to->count; i++) {
		uint64_t offset;

		memcpy(&offset, &to->items[i].name, sizeof(offset));
		to->items[i].name = string_at(reader, offset);
		if (!to->items[i].name)
			return false;
	}
	return to->items;
}

static bool take_parts(const struct reader *reader, const struct head *head, struct spawn_request *request)
{
	struct spec_process *process = &request->process;

	process->cwd = string_at(reader, head->cwd.offset);
	process->user.additional = (struct spec_gids){at(reader, &head->gids, sizeof(uint32_t)), head->gids.count};
	request->filter.code = at(reader, &head->filter, sizeof(*request->filter.code));
	request->filter.len = head->filter.count;
	request->filter.flags = head->filter_flags;
	return process->cwd && process->user.additional.items && request->filter.code &&
	       take_rlimits(reader, &head->rlimits, &process->rlimits) &&
	       take_strings(reader, &head->args, &process->args) && process->args.count &&
	       take_strings(reader, &head->env, &process->env);
}

int spawn_request_parse(void *bytes, size_t len, struct spawn_request *ret_request, struct err *err)
{
	const struct reader reader = {bytes, len};
	struct head head;

	if (len <= sizeof(head) || len > SPAWN_REQUEST_MAX || reader.bytes[len - 1] != '\0')
		return err_set(err, ERR_SYNTAX, "not a request of this version");
	memcpy(&head, bytes, sizeof(head));
	if (head.magic != MAGIC || head.size != sizeof(head) || head.filter.count > SECCOMP_PROGRAM_MAX)
		return err_set(err, ERR_SYNTAX, "not a request of this version");
	*ret_request = (struct spawn_request){.process = head.process, .preserve_fds = head.preserve_fds};
	ret_request->process.apparmor_profile = NULL;
	ret_request->process.affinity_initial = ret_request->process.affinity_final = NULL;
	if (!take_parts(&reader, &head, ret_request))
		return err_set(err, ERR_SYNTAX, "not a request of this version");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/marks.h"

#define MARK_MS 10000
#define MARK_REVISIONS 500

void marks_init(struct marks *marks, const struct store_history *limits)
{
	struct store_history *own = &marks->limits;

	*marks = (struct marks){.limits = limits ? *limits : (struct store_history){0}};
	own->revisions = own->revisions ? own->revisions : 10000;
	own->age_ms = own->age_ms ? own->age_ms : 300000;
	own->bytes = own->bytes ? own->bytes : UINT64_C(256) << 20;
	own->ring_events = own->ring_events ? own->ring_events : 4096;
	own->ring_bytes = own->ring_bytes ? own->ring_bytes : (size_t)64 << 20;
}

static size_t place_of(const struct marks *marks, size_t index)
{
	return (marks->first + index) % MARKS_MAX;
}

void marks_note(struct marks *marks, uint64_t now_ms, uint64_t revision, uint64_t bytes)
{
	if (marks->count) {
		const struct mark *last = &marks->marks[place_of(marks, marks->count - 1)];

		if (now_ms - last->ms < MARK_MS && revision - last->revision < MARK_REVISIONS &&
		    bytes - last->bytes < marks->limits.bytes / 16)
			return;
	}
	if (marks->count == MARKS_MAX) {
		marks->first = (marks->first + 1) % MARKS_MAX;
		marks->count--;
	}
	marks->marks[place_of(marks, marks->count++)] = (struct mark){now_ms, revision, bytes};
}

static uint64_t less_or_zero(uint64_t from, uint64_t amount)
{
	return from > amount ? from - amount : 0;
}

uint64_t marks_target(const struct marks *marks, uint64_t now_ms, uint64_t revision, uint64_t bytes)
{
	const struct store_history *limits = &marks->limits;
	uint64_t target = less_or_zero(revision, limits->revisions);
	uint64_t newest = less_or_zero(revision, limits->revisions / 10);

	for (size_t i = 0; i < marks->count; i++) {
		const struct mark *mark = &marks->marks[place_of(marks, i)];
		bool old = now_ms - mark->ms >= limits->age_ms && mark->revision <= newest;

		if ((old || bytes - mark->bytes >= limits->bytes) && mark->revision > target)
			target = mark->revision;
	}
	return target;
}

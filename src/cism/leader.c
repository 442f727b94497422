/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/leader.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/call.h"

#define LEASE "/leader/lease"
#define BEAT "/leader/beat"
#define BEAT_MS 2000
#define SILENT_MS 10000

struct leader {
	struct cism *cism;
	char self[37];
	atomic_uint_fast64_t held;               /* revision of the lease while this replica leads; else 0 */
	uint64_t beat_ms;                        /* when it last wrote its beat */
	uint64_t lease_seen, beat_seen, seen_ms; /* of another's, and since when they are so */
};

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

int leader_new(struct cism *cism, struct leader **ret_leader, struct err *err)
{
	struct leader *leader = calloc(1, sizeof(*leader));

	if (!leader)
		return err_sys(err, -ENOMEM, "cannot take part in leading");
	leader->cism = cism;
	call_uid(leader->self);
	*ret_leader = leader;
	return 0;
}

static void set_held(struct leader *leader, uint64_t revision)
{
	if (!leader->held != !revision)
		log_info(revision ? "leads the controllers" : "does not lead the controllers any more", "replica",
			 leader->self);
	leader->held = revision;
	leader->beat_ms = now_ms();
	atomic_store(&leader->cism->leading, revision != 0);
}

static int revision_of(struct store *store, const char *key, uint64_t *ret_revision, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	int r = store_get(store, key, &entry, err);

	*ret_revision = entry.mod_revision;
	return r == ERR_NOT_FOUND ? 0 : r;
}

static int take(struct leader *leader, uint64_t lease, uint64_t beat, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision = 0;
	int r;

	change_init(&change);
	change_compare(&change, LEASE, lease);
	change_compare(&change, BEAT, beat);
	change_put_bytes(&change, LEASE, leader->self, strlen(leader->self));
	change_put_bytes(&change, BEAT, leader->self, strlen(leader->self));
	r = change_commit(&change, leader->cism->store, &revision, err);
	if (r == 0)
		set_held(leader, revision);
	return r == ERR_CONFLICT ? 0 : r;
}

/* A store that only one process can open has nobody else who leads. */
static bool is_alone(const struct leader *leader)
{
	return leader->cism->config.etcd.endpoint_count == 0;
}

static int follow(struct leader *leader, struct err *err)
{
	uint64_t lease = 0, beat = 0;
	int r = revision_of(leader->cism->store, LEASE, &lease, err);

	if (r == 0)
		r = revision_of(leader->cism->store, BEAT, &beat, err);
	if (r < 0)
		return r;
	if (lease && !is_alone(leader) && (lease != leader->lease_seen || beat != leader->beat_seen)) {
		leader->lease_seen = lease;
		leader->beat_seen = beat;
		leader->seen_ms = now_ms();
	}
	if (lease && !is_alone(leader) && now_ms() - leader->seen_ms < SILENT_MS)
		return 0;
	return take(leader, lease, beat, err);
}

static int renew(struct leader *leader, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision;
	int r;

	if (now_ms() - leader->beat_ms < BEAT_MS)
		return 0;
	change_init(&change);
	leader_compare(leader->cism, &change);
	change_put_bytes(&change, BEAT, leader->self, strlen(leader->self));
	r = change_commit(&change, leader->cism->store, &revision, err);
	if (r == 0)
		leader->beat_ms = now_ms();
	else if (r == ERR_CONFLICT)
		set_held(leader, 0);
	return r == ERR_CONFLICT ? 0 : r;
}

bool leader_step(struct leader *leader)
{
	struct err err = {0};
	int r = leader->held ? renew(leader, &err) : follow(leader, &err);

	if (r < 0)
		log_failure("cannot find out who leads the controllers", &err);
	return leader->held != 0;
}

void leader_compare(const struct cism *cism, struct change *change)
{
	change_compare(change, LEASE, cism->leader->held);
}

void leader_free(struct leader *leader)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision;
	struct err ignored;

	if (!leader)
		return;
	change_init(&change);
	if (leader->held && store_health(leader->cism->store, &ignored) == 0) {
		leader_compare(leader->cism, &change);
		change_delete(&change, LEASE);
		change_delete(&change, BEAT);
		(void)!change_commit(&change, leader->cism->store, &revision, &ignored);
	}
	free(leader);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The revisioned key-value store: one interface, an engine behind it (SQLite here, etcd in a cluster). Every committed
 * transaction gets the next revision; keys keep the revision that created them and the one that last changed them.
 * Thread-safe. Nothing is acknowledged before it is on disk. docs/adr/0003.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define STORE_KEY_MAX 1024                    /* bytes, without NUL */
#define STORE_VALUE_MAX ((size_t)1400 * 1024) /* bytes */
#define STORE_TXN_MAX \
	((size_t)1500 * 1024) /* bytes of keys and values in a transaction; etcd takes requests of 1.5 MiB */
#define STORE_OPS_MAX 120     /* compares and operations each in a transaction; etcd's default is 128 */

struct store;

struct store_entry {
	char *key;
	char *value; /* value_len bytes and a NUL that is not counted */
	size_t value_len;
	uint64_t create_revision;
	uint64_t mod_revision;
};

struct store_range {
	struct store_entry *entries; /* ascending by key */
	size_t count;
	bool more;         /* limit cut it: there are further keys */
	uint64_t revision; /* the store's revision the whole answer is from */
};

/* Frees what a range returned; the range is empty then. */
void store_range_done(struct store_range *range);
#define CLEANUP_STORE_RANGE __attribute__((cleanup(store_range_done)))

/* Opens or creates the SQLite engine in the file below dir; one process at a time (-EBUSY names the file). */
int store_sqlite_open(int dir, const char *file, struct store **ret_store, struct err *err) MUST_CHECK;

/* How much of the past is kept for watches and lists at a revision; zero members take the defaults. */
struct store_history {
	uint64_t revisions; /* at most (10,000); the newest tenth is kept whatever its age */
	uint64_t age_ms;    /* at most (300,000) */
	uint64_t bytes;     /* of superseded values, about (256 MiB) */
	size_t ring_events; /* in memory (4,096) */
	size_t ring_bytes;  /* in memory (64 MiB) */
};
int store_sqlite_open_with(int dir, const char *file, const struct store_history *history, struct store **ret_store,
			   struct err *err) MUST_CHECK;

/* A cluster of etcd, 3.4 or later, through its JSON gateway. All texts are copied. */
struct store_etcd_config {
	const char *const *endpoints; /* "https://host:port", 1 to STORE_ENDPOINTS_MAX */
	size_t endpoint_count;
	const char *prefix;      /* of all keys, so that a cluster may serve others too: "/bulkhead/" */
	const char *ca;          /* PEM; NULL: the system's */
	const char *certificate; /* PEM with key, or NULL */
	const char *key;
};
#define STORE_ENDPOINTS_MAX 16

/*
 * Opens it; any number of processes may. ERR_UNAVAILABLE when no member answers. Transactions return when the process' own
 * watches know of them. A transaction happens once or not at all, and whose answer is lost is asked about; it fails with
 * "a transaction may have happened or not" (ERR_UNAVAILABLE, -ETIMEDOUT) only when the store does not answer that either.
 * Every call returns within about 20 s.
 */
int store_etcd_open(const struct store_etcd_config *config, const struct store_history *history,
		    struct store **ret_store, struct err *err) MUST_CHECK;

/* Waits for transactions under way and closes; every watch must be closed before. NULL is accepted. */
void store_close(struct store *store);

struct store_compare {
	const char *key;
	uint64_t mod_revision; /* the key's last change is this revision; 0: the key does not exist */
};

enum store_op_kind { STORE_PUT, STORE_DELETE };
struct store_op {
	enum store_op_kind kind;
	const char *key;
	const void *value; /* STORE_PUT */
	size_t value_len;
};

/*
 * If every compare holds, applies all operations in one transaction and returns 0 with its revision, on disk. Otherwise
 * ERR_CONFLICT, nothing changed, and ret_failed (may be NULL) is the index of the first compare that did not hold.
 * Deleting a key that is not there is no error. With no operation it is a pure check and ret_revision the current one.
 */
int store_txn(struct store *store, const struct store_compare *compares, size_t compare_count,
	      const struct store_op *ops, size_t op_count, uint64_t *ret_revision, size_t *ret_failed,
	      struct err *err) MUST_CHECK;

/* Reads one key; ERR_NOT_FOUND when it does not exist. The entry is freed with store_entry_done. */
int store_get(struct store *store, const char *key, struct store_entry *ret_entry, struct err *err) MUST_CHECK;
void store_entry_done(struct store_entry *entry);
#define CLEANUP_STORE_ENTRY __attribute__((cleanup(store_entry_done)))

/*
 * All keys that start with prefix and are greater than after (NULL: all), at most limit (0: no limit), as of one revision:
 * at_revision, or the newest for 0. ERR_EXPIRED when at_revision is compacted away.
 */
int store_list(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at_revision,
	       struct store_range *ret_range, struct err *err) MUST_CHECK;

/* The newest revision. */
uint64_t store_revision(struct store *store);

/*
 * Waits until the store's watches know of a revision that another process may have been given. ERR_INVALID when there was
 * none such yet, -ETIMEDOUT when they do not come to know of it, or what a read fails with.
 */
int store_reach(struct store *store, uint64_t revision, struct err *err) MUST_CHECK;

/*
 * Whether the store serves, answered at once: 0; ERR_UNAVAILABLE when it has not answered for some seconds; ERR_CORRUPT when
 * it is not the one it was, or went back behind what was told (an older copy was restored): then nothing is served any more,
 * and the process has to begin anew.
 */
int store_health(struct store *store, struct err *err) MUST_CHECK;

enum store_event_kind { STORE_EVENT_PUT, STORE_EVENT_DELETE };
struct store_event {
	enum store_event_kind kind;
	uint64_t revision;
	uint64_t create_revision; /* equals revision when the put created the key */
	const char *key;
	const char *value; /* the new value; for a deletion NULL */
	size_t value_len;
	const char *previous; /* the value before, NULL when there was none */
	size_t previous_len;
};

struct store_watch;

/*
 * Watches the prefix for every change after from_revision (0: from now on). All watches read one shared ring of events;
 * ready (may be NULL) is called from the store's thread, without locks held, whenever store_watch_next may have more: it
 * must not block. ERR_EXPIRED when from_revision is older than the ring and the history.
 */
int store_watch_open(struct store *store, const char *prefix, uint64_t from_revision, void (*ready)(void *user),
		     void *user, struct store_watch **ret_watch, struct err *err) MUST_CHECK;
/* After it returns, ready is not called any more; not to be called from ready itself. NULL is accepted. */
void store_watch_close(struct store_watch *watch);

/*
 * Calls each(user, event) for at most limit events in order of revision, without loss or doubling; returns how many.
 * ERR_EXPIRED when the watcher fell behind the kept history: close it and list again (410 Gone). Event memory is valid in the
 * call. One thread at a time a watch.
 */
int store_watch_next(struct store_watch *watch, size_t limit, void (*each)(void *user, const struct store_event *event),
		     void *user, struct err *err) MUST_CHECK;

/* The revision up to which the watcher has seen everything: what a bookmark says. */
uint64_t store_watch_position(struct store_watch *watch);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite engine's parts. Internal to the folder. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/engine.h"
#include "store/marks.h"

#define SQLITE_READERS 4

/* A connection and the statements it keeps. */
struct sqlite_link {
	sqlite3 *db;
	sqlite3_stmt *meta;      /* revision, compacted */
	sqlite3_stmt *newest;    /* ?1 key → id, create_revision, value */
	sqlite3_stmt *before;    /* ?1 key, ?2 id → value of the version before */
	sqlite3_stmt *list;      /* ?1 from, ?2 end, ?3 id, ?4 limit → key, value, create_revision, id */
	sqlite3_stmt *history;   /* ?1 id, ?2 until, ?3 prefix, ?4 end, ?5 limit → id, key, value, create_revision */
	sqlite3_stmt *insert;    /* ?1 id, ?2 key, ?3 create_revision, ?4 value */
	sqlite3_stmt *advance;   /* ?1 revision */
	sqlite3_stmt *compact;   /* ?1 old id, ?2 new id: superseded versions go */
	sqlite3_stmt *bury;      /* the same: deletions go */
	sqlite3_stmt *compacted; /* ?1 revision */
};

/* One waiting transaction; lies on its caller's stack. */
struct sqlite_request {
	const struct store_transaction *transaction;
	struct ring_event *events[STORE_OPS_MAX];
	size_t event_count;
	uint64_t revision;
	size_t failed;
	int code;
	struct err *err;
	bool done;
	pthread_cond_t finished;
	struct sqlite_request *next;
};

struct sqlite_store {
	struct store store; /* first */
	char *file;         /* for messages */
	int lock_fd;

	struct sqlite_link writer; /* the writer thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct sqlite_request *first, **last;
	bool closing;

	uint64_t revision, compacted, bytes; /* the writer thread's */
	struct marks marks;

	struct sqlite_link readers[SQLITE_READERS];
	bool reader_busy[SQLITE_READERS];
	pthread_mutex_t reader_lock;
	pthread_cond_t reader_free;
};

/* Sets the error for a result of SQLite: what could not be done ("write"), and why. Returns the code. */
int sqlite_fail(const struct sqlite_store *sqlite, sqlite3 *db, int result, const char *what, struct err *err);

/* Opens a connection and prepares its statements; sqlite_link_done accepts a half-made one. */
int sqlite_link_open(const struct sqlite_store *sqlite, const char *path, bool for_writing, struct sqlite_link *link,
		     struct err *err) MUST_CHECK;
void sqlite_link_done(struct sqlite_link *link);

/* Reads the newest and the compacted revision as the connection sees them. */
int sqlite_read_meta(const struct sqlite_store *sqlite, struct sqlite_link *link, uint64_t *ret_revision,
		     uint64_t *ret_compacted, struct err *err) MUST_CHECK;

/* The writer thread. */
void *sqlite_write_loop(void *store);
int sqlite_txn(struct store *store, const struct store_transaction *transaction, uint64_t *ret_revision,
	       size_t *ret_failed, struct err *err);

/* Forgets the past beyond the limits, a bounded piece at a time; true when more is left to do. The writer thread's. */
bool sqlite_compact(struct sqlite_store *sqlite);

int sqlite_get(struct store *store, const char *key, struct store_entry *ret_entry, struct err *err);
int sqlite_list(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at_revision,
		struct store_range *ret_range, struct err *err);
int sqlite_history(struct store *store, const char *prefix, uint64_t *seen, uint64_t until, size_t limit,
		   struct ring_event **ret_events, size_t *ret_count, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/paths.h"
#include "base/str.h"

#define APPLICATION_ID 0x62686b64 /* "bhkd" */
#define FORM 1                    /* of the tables below */

/*
 * One table holds the present and the kept past: a row a change, its id being the revision and the place in the
 * transaction. A deletion has no value. A key's newest row is its present; the index finds it.
 */
static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE log (id INTEGER PRIMARY KEY, key BLOB NOT NULL, create_revision INTEGER NOT NULL, value BLOB);"
	"CREATE INDEX log_key ON log (key);"
	"CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, compacted INTEGER NOT "
	"NULL);"
	"INSERT INTO meta VALUES (1, 1, 1);"
	"PRAGMA application_id = 1651010404;"
	"PRAGMA user_version = 1;"
	"COMMIT;";
_Static_assert(APPLICATION_ID == 1651010404 && FORM == 1, "the schema above names them");

static const char settings[] = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
			       "PRAGMA journal_size_limit = 67108864;"
			       "PRAGMA cache_size = -16384; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;";

static int code_of(int result)
{
	switch (result & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

int sqlite_fail(const struct sqlite_store *sqlite, sqlite3 *db, int result, const char *what, struct err *err)
{
	int code = code_of(result);
	int system = db ? sqlite3_system_errno(db) : 0;

	if (code == -ENOSPC) {
		(void)err_set(err, code, "cannot %s store '%s': no space left on its file system", what, sqlite->file);
		return err_hint(
			err, "free space; what was acknowledged is safe, and writing goes on as soon as there is room");
	}
	return err_set(err, code, "cannot %s store '%s': %s%s%s", what, sqlite->file, sqlite3_errstr(result),
		       system ? ": " : "", system ? strerrordesc_np(system) : "");
}

static const struct {
	size_t place;
	bool for_writing;
	const char *sql;
} statements[] = {
	{offsetof(struct sqlite_link, meta), false, "SELECT revision, compacted FROM meta"},
	{offsetof(struct sqlite_link, newest), false,
	 "SELECT id, create_revision, value FROM log WHERE key = ?1 ORDER BY id DESC LIMIT 1"},
	{offsetof(struct sqlite_link, before), false,
	 "SELECT value FROM log WHERE key = ?1 AND id < ?2 ORDER BY id DESC LIMIT 1"},
	{offsetof(struct sqlite_link, list), false,
	 "SELECT log.key, log.value, log.create_revision, log.id FROM"
	 " (SELECT key AS k, MAX(id) AS newest FROM log WHERE key >= ?1 AND key < ?2 AND id <= ?3 GROUP BY key) CROSS "
	 "JOIN log"
	 " ON log.id = newest WHERE log.value IS NOT NULL ORDER BY k LIMIT ?4"},
	{offsetof(struct sqlite_link, history), false,
	 "SELECT id, key, value, create_revision FROM log WHERE id > ?1 AND id <= ?2 AND +key >= ?3 AND +key < ?4 "
	 "ORDER BY id LIMIT ?5"},
	{offsetof(struct sqlite_link, insert), true,
	 "INSERT INTO log (id, key, create_revision, value) VALUES (?1, ?2, ?3, ?4)"},
	{offsetof(struct sqlite_link, advance), true, "UPDATE meta SET revision = ?1"},
	{offsetof(struct sqlite_link, compact), true,
	 "DELETE FROM log WHERE id IN (SELECT old.id FROM log AS new CROSS JOIN log AS old ON old.key = new.key AND "
	 "old.id < new.id"
	 " WHERE new.id > ?1 AND new.id <= ?2)"},
	{offsetof(struct sqlite_link, bury), true, "DELETE FROM log WHERE id > ?1 AND id <= ?2 AND value IS NULL"},
	{offsetof(struct sqlite_link, compacted), true, "UPDATE meta SET compacted = ?1"},
};

static sqlite3_stmt **statement_at(struct sqlite_link *link, size_t place)
{
	return (sqlite3_stmt **)((char *)link + place);
}

static int read_number(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement;
	int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (result != SQLITE_OK)
		return result;
	if (sqlite3_step(statement) == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	return sqlite3_finalize(statement);
}

/* Makes the tables of an empty file; refuses a file that is something else. */
static int prepare_tables(const struct sqlite_store *sqlite, sqlite3 *db, struct err *err)
{
	int64_t application = 0, form = 0, tables = 0;
	int result = read_number(db, "PRAGMA application_id", &application);

	if (result == SQLITE_OK)
		result = read_number(db, "PRAGMA user_version", &form);
	if (result == SQLITE_OK)
		result = read_number(db, "SELECT COUNT(*) FROM sqlite_schema", &tables);
	if (result != SQLITE_OK)
		return sqlite_fail(sqlite, db, result, "read", err);
	if (application == 0 && tables == 0) {
		result = sqlite3_exec(db, schema, NULL, NULL, NULL);
		return result == SQLITE_OK ? 0 : sqlite_fail(sqlite, db, result, "create", err);
	}
	if (application != APPLICATION_ID)
		return err_set(err, ERR_CORRUPT, "file '%s' is a database of another program", sqlite->file);
	if (form != FORM)
		return err_set(err, -EOPNOTSUPP, "store '%s' has form %lld, this program knows form %d", sqlite->file,
			       (long long)form, FORM);
	return 0;
}

int sqlite_link_open(const struct sqlite_store *sqlite, const char *path, bool for_writing, struct sqlite_link *link,
		     struct err *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (for_writing ? SQLITE_OPEN_CREATE : 0);
	int result = sqlite3_open_v2(path, &link->db, flags, NULL);
	int r;

	if (result == SQLITE_OK)
		result = sqlite3_extended_result_codes(link->db, 1);
	if (result == SQLITE_OK)
		result = sqlite3_exec(link->db, settings, NULL, NULL, NULL);
	if (result != SQLITE_OK)
		return sqlite_fail(sqlite, link->db, result, "open", err);
	r = for_writing ? prepare_tables(sqlite, link->db, err) : 0;
	for (size_t i = 0; i < ARRAY_SIZE(statements) && r == 0; i++) {
		if (statements[i].for_writing && !for_writing)
			continue;
		result = sqlite3_prepare_v3(link->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
					    statement_at(link, statements[i].place), NULL);
		if (result != SQLITE_OK)
			r = sqlite_fail(sqlite, link->db, result, "read", err);
	}
	return r;
}

void sqlite_link_done(struct sqlite_link *link)
{
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++)
		(void)sqlite3_finalize(*statement_at(link, statements[i].place));
	(void)sqlite3_close(link->db);
	*link = (struct sqlite_link){0};
}

int sqlite_read_meta(const struct sqlite_store *sqlite, struct sqlite_link *link, uint64_t *ret_revision,
		     uint64_t *ret_compacted, struct err *err)
{
	int result = sqlite3_step(link->meta);
	int r = 0;

	if (result == SQLITE_ROW) {
		*ret_revision = (uint64_t)sqlite3_column_int64(link->meta, 0);
		*ret_compacted = (uint64_t)sqlite3_column_int64(link->meta, 1);
	} else {
		r = sqlite_fail(sqlite, link->db, result == SQLITE_DONE ? SQLITE_CORRUPT : result, "read", err);
	}
	(void)sqlite3_reset(link->meta);
	return r;
}

/* One process at a time: a lock on a file beside the store, since SQLite's own locks must stay free for its readers. */
static int take_lock(struct sqlite_store *sqlite, int dir, const char *file, struct err *err)
{
	char name[PATHS_MAX];
	int length = snprintf(name, sizeof(name), "%s.lock", file);

	if (length < 0 || (size_t)length >= sizeof(name))
		return err_set(err, -ENAMETOOLONG, "store name '%.64s' is too long", file);
	sqlite->lock_fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (sqlite->lock_fd < 0)
		return err_sys(err, -errno, "cannot open '%s'", name);
	if (flock(sqlite->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(err, -errno, "cannot lock '%s'", name);
	(void)err_set(err, ERR_BUSY, "store '%s' is in use by another process", file);
	return err_hint(err, "stop the other process first");
}

/* The path of the file below dir, independent of the descriptor: privileges may be gone when SQLite opens a sibling. */
static int resolve(int dir, const char *file, char *to, size_t size, struct err *err)
{
	char link[32], folder[PATHS_MAX];
	ssize_t len;
	int length;

	if (dir == AT_FDCWD || file[0] == '/')
		return str_copy(to, size, file) < 0
			       ? err_set(err, -ENAMETOOLONG, "store name '%.64s' is too long", file)
			       : 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	len = readlink(link, folder, sizeof(folder) - 1);
	if (len < 0)
		return err_sys(err, -errno, "cannot find the folder of store '%s'", file);
	folder[len] = '\0';
	length = snprintf(to, size, "%s/%s", folder, file);
	return length < 0 || (size_t)length >= size
		       ? err_set(err, -ENAMETOOLONG, "store name '%.64s' is too long", file)
		       : 0;
}

/* SQLite would make the file readable to all; its log and index take over the mode it finds. */
static int make_private(const char *path, const struct sqlite_store *sqlite, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, -errno, "cannot open store '%s'", sqlite->file);
	(void)close(fd);
	return 0;
}

static int open_links(struct sqlite_store *sqlite, int dir, struct err *err)
{
	char path[2 * PATHS_MAX];
	uint64_t revision, compacted;
	int r = resolve(dir, sqlite->file, path, sizeof(path), err);

	if (r == 0)
		r = make_private(path, sqlite, err);
	if (r == 0)
		r = sqlite_link_open(sqlite, path, true, &sqlite->writer, err);
	if (r == 0)
		r = sqlite_read_meta(sqlite, &sqlite->writer, &sqlite->revision, &sqlite->compacted, err);
	/* Each reader reads once now: every file is open before the process may give up the right to open them. */
	for (size_t i = 0; i < SQLITE_READERS && r == 0; i++) {
		r = sqlite_link_open(sqlite, path, false, &sqlite->readers[i], err);
		if (r == 0)
			r = sqlite_read_meta(sqlite, &sqlite->readers[i], &revision, &compacted, err);
	}
	return r;
}

static void free_parts(struct sqlite_store *sqlite)
{
	for (size_t i = 0; i < SQLITE_READERS; i++)
		sqlite_link_done(&sqlite->readers[i]);
	sqlite_link_done(&sqlite->writer);
	if (sqlite->lock_fd >= 0)
		(void)close(sqlite->lock_fd);
	(void)pthread_cond_destroy(&sqlite->reader_free);
	(void)pthread_mutex_destroy(&sqlite->reader_lock);
	(void)pthread_cond_destroy(&sqlite->wake);
	(void)pthread_mutex_destroy(&sqlite->lock);
	free(sqlite->file);
	free(sqlite);
}

static void close_store(struct store *store)
{
	struct sqlite_store *sqlite = (struct sqlite_store *)store;

	(void)pthread_mutex_lock(&sqlite->lock);
	sqlite->closing = true;
	(void)pthread_cond_signal(&sqlite->wake);
	(void)pthread_mutex_unlock(&sqlite->lock);
	(void)pthread_join(sqlite->thread, NULL);
	free_parts(sqlite);
}

/* Nobody else gives revisions. */
static int reach(struct store *store, uint64_t revision, struct err *err)
{
	return store_future(revision, store_revision(store), err);
}

static int health(struct store *store, struct err *err)
{
	(void)store;
	(void)err;
	return 0;
}

static const struct store_engine engine = {sqlite_txn, sqlite_get, sqlite_list, sqlite_history,
					   reach,      health,     close_store};

static struct sqlite_store *new_store(const char *file)
{
	struct sqlite_store *sqlite = calloc(1, sizeof(*sqlite));
	pthread_condattr_t monotonic;

	if (!sqlite)
		return NULL;
	sqlite->file = strdup(file);
	if (!sqlite->file) {
		free(sqlite);
		return NULL;
	}
	sqlite->store.engine = &engine;
	sqlite->lock_fd = -1;
	sqlite->last = &sqlite->first;
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&sqlite->wake, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	(void)pthread_cond_init(&sqlite->reader_free, NULL);
	(void)pthread_mutex_init(&sqlite->lock, NULL);
	(void)pthread_mutex_init(&sqlite->reader_lock, NULL);
	return sqlite;
}

int store_sqlite_open_with(int dir, const char *file, const struct store_history *history, struct store **ret_store,
			   struct err *err)
{
	struct sqlite_store *sqlite = new_store(file);
	int r;

	if (!sqlite)
		return err_set(err, -ENOMEM, "out of memory");
	marks_init(&sqlite->marks, history);
	r = take_lock(sqlite, dir, file, err);
	if (r == 0)
		r = open_links(sqlite, dir, err);
	if (r == 0) {
		sqlite->store.ring = ring_new(sqlite->marks.limits.ring_events, sqlite->marks.limits.ring_bytes,
					      sqlite->revision);
		if (!sqlite->store.ring)
			r = err_set(err, -ENOMEM, "out of memory");
	}
	if (r == 0) {
		marks_note(&sqlite->marks, clock_monotonic_ns() / 1000000, sqlite->revision, sqlite->bytes);
		r = -pthread_create(&sqlite->thread, NULL, sqlite_write_loop, sqlite);
		if (r < 0)
			(void)err_sys(err, r, "cannot start the writer of store '%s'", file);
	}
	if (r < 0) {
		ring_free(sqlite->store.ring);
		free_parts(sqlite);
		return r;
	}
	*ret_store = &sqlite->store;
	return 0;
}

int store_sqlite_open(int dir, const char *file, struct store **ret_store, struct err *err)
{
	return store_sqlite_open_with(dir, file, NULL, ret_store, err);
}

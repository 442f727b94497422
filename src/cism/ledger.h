/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The placement ledger: for each physical server the pods it is charged with, from the commit of the decision until the
 * instance confirms the stop (PLC-6). Deleting an API object releases nothing.
 *   /ledger/servers/SERVER     {"holders":[{uid,namespace,name,domain,subFunction,instance,epoch,cpuMilli,memoryBytes}]}
 *   /ledger/pods/UID           {"server","instance","namespace","name"}
 *   /ledger/namespaces/NS      {"holders":N}
 *   /ledger/domains/DOMAIN     {"servers":N}, on how many servers the domain has holders
 *   /ledger/affinity/DOMAIN    {"binds":N}, of pods whose places rest on each other's by affinity or a spread
 * They change in the transaction that binds or releases. The last is written, and compared, only where a domain comes to a
 * server or leaves it, so that it is no key that every bind of the domain waits for.
 */
#ifndef CISM_LEDGER_H
#define CISM_LEDGER_H

#include "cism/change.h"
#include "policy/separation.h"

/*
 * Other than 2 only in programs of tests/programs, to show that the histories of tests/separation find what the ledger
 * prevents: with 1 a bind does not compare the server it charges, with 0 decisions do not see who is charged.
 */
#ifndef BULKHEAD_LEDGER
#define BULKHEAD_LEDGER 2
#endif

#define LEDGER_SERVERS "/ledger/servers/"   /* the server's name follows */
#define LEDGER_AFFINITY "/ledger/affinity/" /* the domain's name follows */

struct ledger_holder {
	const char *uid, *namespace, *name, *domain, *subfunction, *instance, *server;
	uint64_t epoch;
	int64_t cpu_milli, memory_bytes;
};

/* All server records as of one revision; the holders borrow from it. */
struct ledger {
	struct store_range range;
	json_t **records;              /* one an entry of range */
	struct ledger_holder *holders; /* of all servers */
	size_t holder_count;
};
int ledger_read(struct store *store, struct ledger *ret_ledger, struct err *err) MUST_CHECK;
void ledger_done(struct ledger *ledger);
#define CLEANUP_LEDGER __attribute__((cleanup(ledger_done)))

/* The revision of a server's record, 0 when it has none: what a bind compares. */
uint64_t ledger_revision(const struct ledger *ledger, const char *server);

/*
 * Adds the charge to a change: the server's record must still be as read in ledger, the uid must hold nothing, the
 * namespace's count goes up, and the domain's when it had nothing on the server.
 */
int ledger_hold(const struct ledger *ledger, struct store *store, const struct ledger_holder *holder,
		struct change *change, struct err *err) MUST_CHECK;

/*
 * Adds the release of a uid that instance holds to a change, with what it compares. ERR_NOT_FOUND when the uid holds
 * nothing, ERR_DENIED when it holds on another instance.
 */
int ledger_release(struct store *store, const char *instance, const char *uid, struct change *change,
		   struct err *err) MUST_CHECK;

/*
 * Whether the uid holds a place, and where (an object with server, instance, namespace, name; NULL when it does not). A
 * change (may be NULL) compares what was found: what is decided by it must not miss a bind or a release.
 */
int ledger_find(struct store *store, const char *uid, struct change *change, json_t **ret_place,
		struct err *err) MUST_CHECK;

/* On how many servers a domain has holders, and the revision of that count to compare. */
int ledger_domain(struct store *store, const char *domain, uint64_t *ret_servers, uint64_t *ret_revision,
		  struct err *err) MUST_CHECK;
/* The key of that count. */
void ledger_domain_key(const char *domain, char key[static STORE_KEY_MAX + 1]);

/* Whether a domain has holders on a server. */
bool ledger_has_domain(const struct ledger *ledger, const char *server, const char *domain);

/* --- records as a watch tells of them --- */

void ledger_server_key(const char *server, char key[static STORE_KEY_MAX + 1]);
/* The rows of a server's record (NULL: none); a row borrows from it. */
size_t ledger_rows(const json_t *record);
struct ledger_holder ledger_row(const json_t *record, size_t index, const char *server);
/* Whether a record has a row of the uid; ret_row may be NULL. */
bool ledger_find_row(const json_t *record, const char *uid, const char *server, struct ledger_holder *ret_row);

/*
 * Charges of one change: the records that they touch, each compared once as it was known and written once. known() gives the
 * value and revision of a key as last heard of (NULL and 0: none).
 */
struct ledger_sum {
	char key[STORE_KEY_MAX + 1];
	json_t *json; /* as it will be */
	uint64_t revision;
};
struct ledger_sums {
	const json_t *(*known)(void *user, const char *key, uint64_t *ret_revision);
	void *user;
	struct ledger_sum *items;
	size_t count, room;
};
void ledger_sums_done(struct ledger_sums *sums);
/* Adds a charge. -ENOMEM. */
int ledger_sums_hold(struct ledger_sums *sums, const struct ledger_holder *holder, struct err *err) MUST_CHECK;
/* Adds a bind of a domain whose pods rest on each other's places. */
int ledger_sums_tie(struct ledger_sums *sums, const char *domain, struct err *err) MUST_CHECK;
void ledger_affinity_key(const char *domain, char key[static STORE_KEY_MAX + 1]);
/* A record with the charges so far, or as known. Borrowed; NULL: there is none. */
const json_t *ledger_sums_latest(struct ledger_sums *sums, const char *key);
/* On how many servers the domain is with the charges so far; whether it is on the server. */
uint64_t ledger_sums_servers(struct ledger_sums *sums, const char *domain, const char *server, bool *ret_there);
/* Adds what the charges touch to a change; those of the pods themselves are the caller's (ledger_sums_pod). */
void ledger_sums_put(const struct ledger_sums *sums, struct change *change);
/* Adds that the uid, which must hold nothing yet, holds its place. */
int ledger_sums_pod(const struct ledger_holder *holder, struct change *change) MUST_CHECK;

/* How many holders a namespace has, and the revision of that count to compare. */
int ledger_namespace(struct store *store, const char *namespace, uint64_t *ret_count, uint64_t *ret_revision,
		     struct err *err) MUST_CHECK;
/* The key of that count. */
void ledger_namespace_key(const char *namespace, char key[static STORE_KEY_MAX + 1]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/board.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/domains_read.h"
#include "cism/placefacts.h"
#include "cism/quarantines.h"
#include "cism/shared_topology.h"

#define BATCH 1000
#define OWN_MAX 4096   /* uids that are remembered as created here */
#define SPARE_MAX 4096 /* kinds of pods that are remembered though none is there */

struct value {
	char *key; /* NULL: free */
	json_t *json;
	uint64_t revision;
};

/* Somebody whom the ledger charges, or a bound pod whom it may charge yet. */
struct holder {
	char *uid; /* NULL: free */
	char *instance, *server;
	uint64_t epoch;         /* of the bind */
	uint32_t shape, charge; /* SCHEDULE_NONE: not known, not charged */
	bool bare;              /* the shape is made from the ledger alone */
	bool moved;
};

struct table {
	struct schedule_map map;
	uint32_t count, room;
};

struct board {
	struct cism *cism;
	pthread_mutex_t lock;
	pthread_mutex_t ready_lock;
	void (*ready)(void *user); /* under ready_lock */
	void *user;
	struct store_watch *watches[16];
	bool loaded;

	struct schedule *schedule;
	struct object_list quarantines; /* of the revision `rules` too */
	json_t *domains;                /* name: the TrustDomain object, of the revision `rules` */
	uint64_t rules, topology, changes;
	bool rules_stale, image_policies;

	struct value *values;
	struct table value_table;
	struct holder *holders;
	struct table holder_table;
	size_t moved;
	struct board_pod **pods;
	char **pod_keys;
	struct table pod_table;

	pthread_mutex_t own_lock;
	char own[OWN_MAX][40]; /* under own_lock: a ring */
	size_t own_count;
};

/* --- tables: a map to an array, with holes that are filled by the last --- */

static uint32_t find(const struct table *table, const char *key)
{
	return schedule_map_find(&table->map, key, strlen(key));
}

static int append(struct table *table, void **array, size_t size, const char *key, uint32_t *ret)
{
	if (table->count == table->room) {
		uint32_t room = table->room ? table->room * 2 : 64;
		void *fresh = reallocarray(*array, room, size);

		if (!fresh)
			return -ENOMEM;
		*array = fresh;
		table->room = room;
	}
	memset((char *)*array + table->count * size, 0, size);
	if (schedule_map_put(&table->map, key, strlen(key), table->count) < 0)
		return -ENOMEM;
	*ret = table->count++;
	return 0;
}

/* Takes a row out; the last one takes its place, known by last_key. */
static int take_out(struct table *table, void *array, size_t size, const char *key, const char *last_key)
{
	uint32_t at = find(table, key), last = table->count - 1;

	schedule_map_remove(&table->map, key, strlen(key));
	if (at != last) {
		memcpy((char *)array + at * size, (char *)array + last * size, size);
		schedule_map_remove(&table->map, last_key, strlen(last_key));
		if (schedule_map_put(&table->map, last_key, strlen(last_key), at) < 0)
			return -ENOMEM;
	}
	table->count--;
	return 0;
}

/* --- values --- */

struct board_value board_value(const struct board *board, const char *key)
{
	uint32_t at = find(&board->value_table, key);

	return at == SCHEDULE_NONE ? (struct board_value){0}
				   : (struct board_value){board->values[at].json, board->values[at].revision};
}

static int put_value(struct board *board, const char *key, json_t *json, uint64_t revision)
{
	uint32_t at = find(&board->value_table, key);

	if (at == SCHEDULE_NONE) {
		if (append(&board->value_table, (void **)&board->values, sizeof(*board->values), key, &at) < 0)
			return -ENOMEM;
		board->values[at].key = strdup(key);
		if (!board->values[at].key)
			return -ENOMEM;
	}
	json_decref(board->values[at].json);
	board->values[at].json = json_incref(json);
	board->values[at].revision = revision;
	return 0;
}

static int drop_value(struct board *board, const char *key)
{
	uint32_t at = find(&board->value_table, key);
	struct value *last = &board->values[board->value_table.count - 1];
	struct value gone;
	int r;

	if (at == SCHEDULE_NONE)
		return 0;
	gone = board->values[at];
	r = take_out(&board->value_table, board->values, sizeof(*board->values), key, last->key);
	free(gone.key);
	json_decref(gone.json);
	return r;
}

/* --- who is charged --- */

static int make_holder(struct board *board, const char *uid, struct holder **ret)
{
	uint32_t at = find(&board->holder_table, uid);

	if (at == SCHEDULE_NONE) {
		if (append(&board->holder_table, (void **)&board->holders, sizeof(*board->holders), uid, &at) < 0)
			return -ENOMEM;
		board->holders[at] =
			(struct holder){.uid = strdup(uid), .shape = SCHEDULE_NONE, .charge = SCHEDULE_NONE};
		if (!board->holders[at].uid)
			return -ENOMEM;
	}
	*ret = &board->holders[at];
	return 0;
}

static struct holder *find_holder(const struct board *board, const char *uid)
{
	uint32_t at = find(&board->holder_table, uid);

	return at == SCHEDULE_NONE ? NULL : &board->holders[at];
}

static void free_holder(struct holder *holder)
{
	free(holder->uid);
	free(holder->instance);
	free(holder->server);
}

static int drop_holder(struct board *board, const char *uid)
{
	struct holder *holder = find_holder(board, uid);
	struct holder gone = *holder;
	int r = take_out(&board->holder_table, board->holders, sizeof(*board->holders), gone.uid,
			 board->holders[board->holder_table.count - 1].uid);

	free_holder(&gone);
	return r;
}

static bool is_moved(const struct board *board, const struct holder *holder)
{
	uint32_t instance = schedule_find(board->schedule, holder->instance);
	const struct schedule_instance *at = instance == SCHEDULE_NONE ? NULL
								       : schedule_instance(board->schedule, instance);

	return !at || !at->server || !str_eq(at->server, holder->server) ||
	       cism_topology_has_left(board->cism, holder->instance, holder->epoch, holder->server);
}

static void note_moved(struct board *board, struct holder *holder, bool moved)
{
	board->moved += moved && !holder->moved;
	board->moved -= !moved && holder->moved;
	holder->moved = moved;
}

/* An instance that pods are charged to and that there is no Node of: nothing is known of it. */
static int make_instance(struct board *board, const char *name, uint32_t *ret)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;

	*ret = schedule_find(board->schedule, name);
	if (*ret != SCHEDULE_NONE)
		return 0;
	facts = schedule_facts_new();
	if (!facts)
		return -ENOMEM;
	facts->instance.name = schedule_facts_text(facts, name);
	if (facts->failed || schedule_put(board->schedule, facts) < 0)
		return -ENOMEM;
	*ret = schedule_find(board->schedule, name);
	return 0;
}

static int charge(struct board *board, struct holder *holder)
{
	uint32_t instance;

	if (make_instance(board, holder->instance, &instance) < 0 ||
	    schedule_charge(board->schedule, holder->shape, instance, holder->server, &holder->charge) < 0)
		return -ENOMEM;
	note_moved(board, holder, is_moved(board, holder));
	return 0;
}

static void discharge(struct board *board, struct holder *holder)
{
	if (holder->charge != SCHEDULE_NONE)
		schedule_release(board->schedule, holder->charge);
	holder->charge = SCHEDULE_NONE;
	note_moved(board, holder, false);
}

static int set_text(char **to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* What the ledger alone knows of a holder whose pod is gone. */
static int bare_shape(struct board *board, const struct ledger_holder *row, uint32_t *ret)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = schedule_facts_new();
	struct schedule_amount *asked = facts ? schedule_facts_take(facts, 2, sizeof(*asked)) : NULL;

	if (!asked)
		return -ENOMEM;
	asked[0] = (struct schedule_amount){"cpu", row->cpu_milli};
	asked[1] = (struct schedule_amount){"memory", row->memory_bytes};
	facts->pod = (struct schedule_pod){.namespace = schedule_facts_text(facts, row->namespace),
					   .domain = schedule_facts_text(facts, row->domain),
					   .subfunction = schedule_facts_text(facts, row->subfunction),
					   .requests = {asked, 2}};
	return schedule_shape(board->schedule, facts, ret);
}

static int shape_of_pod(struct board *board, const json_t *pod, const char *domain, const char *subfunction,
			uint32_t *ret, struct err *err)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;
	int r = placefacts_pod(pod, domain, subfunction, &facts, err);

	if (r == 0 && schedule_shape(board->schedule, facts, ret) < 0)
		r = err_sys(err, -ENOMEM, "cannot remember a pod");
	return r;
}

/* The shape of a holder by its pod, if that is still there. */
static int find_shape(struct board *board, const struct ledger_holder *row, struct holder *holder)
{
	CLEANUP_OBJECT struct object pod = {0};
	struct err err = {0};

	holder->bare = records_get(board->cism->store, records_pods(), row->namespace, row->name, &pod, &err) < 0 ||
		       !str_eq(api_string(pod.json, "metadata.uid"), row->uid) ||
		       shape_of_pod(board, pod.json, row->domain, row->subfunction, &holder->shape, &err) < 0;
	return holder->bare ? bare_shape(board, row, &holder->shape) : 0;
}

static int take_row(struct board *board, const struct ledger_holder *row)
{
	struct holder *holder;

	if (make_holder(board, row->uid, &holder) < 0)
		return -ENOMEM;
	if (holder->charge != SCHEDULE_NONE && str_eq(holder->server, row->server) &&
	    str_eq(holder->instance, row->instance))
		return 0;
	discharge(board, holder);
	holder->epoch = row->epoch;
	if (set_text(&holder->instance, row->instance) < 0 || set_text(&holder->server, row->server) < 0 ||
	    find_shape(board, row, holder) < 0)
		return -ENOMEM;
	return charge(board, holder);
}

/* Rows of the old record that the new one does not have were released. */
static int take_record(struct board *board, const char *server, const json_t *old, const json_t *now)
{
	size_t rows = ledger_rows(now);

	for (size_t i = 0; i < ledger_rows(old); i++) {
		struct ledger_holder row = ledger_row(old, i, server);
		struct holder *holder = ledger_find_row(now, row.uid, server, NULL) ? NULL
										    : find_holder(board, row.uid);

		if (!holder || !holder->server || !str_eq(holder->server, server))
			continue;
		discharge(board, holder);
		if (drop_holder(board, row.uid) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < rows; i++) {
		struct ledger_holder row = ledger_row(now, i, server);

		if (take_row(board, &row) < 0)
			return -ENOMEM;
	}
	return 0;
}

int board_charge(struct board *board, const struct ledger_holder *row, uint32_t shape)
{
	struct holder *holder;

	if (make_holder(board, row->uid, &holder) < 0 || set_text(&holder->instance, row->instance) < 0 ||
	    set_text(&holder->server, row->server) < 0)
		return -ENOMEM;
	holder->epoch = row->epoch;
	holder->shape = shape;
	return charge(board, holder);
}

void board_discharge(struct board *board, const char *uid)
{
	struct holder *holder = find_holder(board, uid);

	if (!holder)
		return;
	discharge(board, holder);
	(void)drop_holder(board, uid);
}

/* --- pods --- */

static bool is_waiting(const json_t *pod)
{
	const char *phase = api_string(pod, "status.phase"), *node = api_string(pod, "spec.nodeName");

	return (!node || !node[0]) && !api_string(pod, "metadata.deletionTimestamp") &&
	       (!phase || str_eq(phase, "Pending")) && json_array_size(api_value(pod, "spec.schedulingGates")) == 0;
}

static int drop_pod(struct board *board, const char *key)
{
	uint32_t at = find(&board->pod_table, key);
	char *gone;
	int r;

	if (at == SCHEDULE_NONE)
		return 0;
	json_decref(board->pods[at]->json);
	free(board->pods[at]);
	gone = board->pod_keys[at];
	board->pods[at] = board->pods[board->pod_table.count - 1];
	r = take_out(&board->pod_table, board->pod_keys, sizeof(*board->pod_keys), gone,
		     board->pod_keys[board->pod_table.count - 1]);
	free(gone);
	return r;
}

static bool is_own(struct board *board, const char *uid)
{
	bool own = false;

	pthread_mutex_lock(&board->own_lock);
	for (size_t i = 0; i < OWN_MAX && i < board->own_count && !own; i++)
		own = str_eq(board->own[i], uid);
	pthread_mutex_unlock(&board->own_lock);
	return own;
}

void board_own(struct board *board, const char *uid)
{
	pthread_mutex_lock(&board->own_lock);
	(void)snprintf(board->own[board->own_count++ % OWN_MAX], sizeof(board->own[0]), "%s", uid);
	pthread_mutex_unlock(&board->own_lock);
}

static int put_pod(struct board *board, const char *key, json_t *json, uint64_t revision)
{
	uint32_t at = find(&board->pod_table, key), room = board->pod_table.room;
	struct board_pod *pod;

	if (at == SCHEDULE_NONE) {
		if (append(&board->pod_table, (void **)&board->pod_keys, sizeof(*board->pod_keys), key, &at) < 0)
			return -ENOMEM;
		if (board->pod_table.room != room) {
			struct board_pod **pods = reallocarray(board->pods, board->pod_table.room,
							       sizeof(struct board_pod *));

			if (!pods)
				return -ENOMEM;
			board->pods = pods;
		}
		board->pod_keys[at] = strdup(key);
		board->pods[at] = calloc(1, sizeof(**board->pods));
		if (!board->pod_keys[at] || !board->pods[at])
			return -ENOMEM;
		board->pods[at]->seen_ns = clock_monotonic_ns();
		board->pods[at]->own = is_own(board, api_string(json, "metadata.uid"));
	}
	pod = board->pods[at];
	json_decref(pod->json);
	pod->json = json_incref(json);
	pod->revision = revision;
	pod->priority = api_integer(json, "spec.priority", 0);
	pod->tried = 0;
	return 0;
}

/* A bound pod whose labels may have changed, or whom the ledger charges before it was seen. */
static int refresh_holder(struct board *board, const json_t *pod)
{
	const char *uid = api_string(pod, "metadata.uid");
	struct holder *holder = uid ? find_holder(board, uid) : NULL;
	char key[STORE_KEY_MAX + 1];
	struct ledger_holder row;
	uint32_t shape;

	if (!holder || holder->charge == SCHEDULE_NONE)
		return 0;
	ledger_server_key(holder->server, key);
	if (!ledger_find_row(board_value(board, key).json, uid, holder->server, &row) ||
	    shape_of_pod(board, pod, row.domain, row.subfunction, &shape, NULL) < 0 || shape == holder->shape)
		return 0;
	discharge(board, holder);
	holder->shape = shape;
	holder->bare = false;
	return charge(board, holder);
}

static int take_pod(struct board *board, const char *key, json_t *json, uint64_t revision)
{
	if (!json || !is_waiting(json)) {
		if (drop_pod(board, key) < 0)
			return -ENOMEM;
		return json ? refresh_holder(board, json) : 0;
	}
	return put_pod(board, key, json, revision);
}

/* --- nodes and namespaces --- */

static bool is_quarantined(const struct board *board, const json_t *node)
{
	return quarantines_find(&board->quarantines, api_string(node, "metadata.name"),
				api_label(node, POLICY_LABEL_SERVER));
}

static int take_node(struct board *board, const json_t *node)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;
	struct topology_instance mapping;
	const char *name = api_string(node, "metadata.name");
	bool known = name && cism_topology_find(board->cism, name, &mapping) == 0 && bindfacts_agrees(node, &mapping);
	struct err err = {0};

	if (!name)
		return 0;
	if (placefacts_node(node, known ? &mapping : NULL, is_quarantined(board, node), &facts, &err) < 0)
		return err.code;
	return schedule_put(board->schedule, facts);
}

static int take_nodes(struct board *board)
{
	for (uint32_t i = 0; i < board->value_table.count; i++)
		if (str_starts(board->values[i].key, "/registry/core/nodes/") &&
		    take_node(board, board->values[i].json) < 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < board->holder_table.count; i++)
		if (board->holders[i].charge != SCHEDULE_NONE)
			note_moved(board, &board->holders[i], is_moved(board, &board->holders[i]));
	return 0;
}

static int take_namespace(struct board *board, const char *name, const json_t *json)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;
	struct err err = {0};

	if (json && placefacts_namespace(json, &facts, &err) < 0)
		return err.code;
	return schedule_namespace(board->schedule, name, facts);
}

static int read_image_policies(struct board *board, struct err *err)
{
	CLEANUP_STORE_RANGE struct store_range range = {0};
	int r = store_list(board->cism->store, "/registry/trust.bulkhead.dev/imagepolicies/", NULL, 1, 0, &range, err);

	board->image_policies = r < 0 || range.count > 0;
	return r;
}

/* Behind the revision of the rules, which every write of a quarantine moves. */
static int read_quarantines(struct board *board, struct err *err)
{
	struct object_list list = {0};
	int r = quarantines_read(board->cism->store, &list, err);

	if (r < 0)
		return r;
	records_list_done(&board->quarantines);
	board->quarantines = list;
	return take_nodes(board) < 0 ? err_sys(err, -ENOMEM, "cannot keep what the placement knows") : 0;
}

static int read_rules(struct board *board, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct policy_domains domains = {0};
	json_t *objects = json_object();
	int r = objects ? domains_read_objects(board->cism->store, &domains, &board->rules, &list, err)
			: err_sys(err, -ENOMEM, "cannot read the trust domains");

	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (json_object_set(objects, api_string(list.items[i], "metadata.name"), list.items[i]) < 0)
			r = err_sys(err, -ENOMEM, "cannot read the trust domains");
	if (r == 0 && schedule_rules(board->schedule, &domains) < 0)
		r = err_sys(err, -ENOMEM, "cannot read the trust domains");
	if (r < 0) {
		policy_domains_done(&domains);
		json_decref(objects);
		return r;
	}
	json_decref(board->domains);
	board->domains = objects;
	board->rules_stale = false;
	r = read_quarantines(board, err);
	return r < 0 ? r : read_image_policies(board, err);
}

/* --- taking in --- */

#define PODS "/registry/core/pods/"
#define NODES "/registry/core/nodes/"
#define NAMESPACES "/registry/core/namespaces/"
#define INSTANCES "/instances/"

/* In this order they are read at first: pods before who is charged, so that a holder's pod is known. */
static const char *const prefixes[] = {RECORDS_RULES_KEY,
				       NAMESPACES,
				       NODES,
				       INSTANCES,
				       PODS,
				       LEDGER_SERVERS,
				       "/ledger/namespaces/",
				       LEDGER_AFFINITY,
				       "/ledger/domains/",
				       SHARED_TOPOLOGY_KEY,
				       "/registry/trust.bulkhead.dev/"};

/* A changed value; json NULL: it is gone. */
static int take(struct board *board, const char *key, json_t *json, uint64_t revision)
{
	struct board_value old = board_value(board, key);
	int r = 0;

	if (str_starts(key, PODS))
		return take_pod(board, key, json, revision);
	board->changes++;
	if (str_eq(key, RECORDS_RULES_KEY) || str_starts(key, "/registry/trust.bulkhead.dev/")) {
		board->rules_stale = true;
		return 0;
	}
	if (revision <= old.revision && old.json)
		return 0; /* written by this process, and known since */
	if (str_starts(key, LEDGER_SERVERS))
		r = take_record(board, key + strlen(LEDGER_SERVERS), old.json, json);
	else if (str_starts(key, NODES))
		r = json ? take_node(board, json) : schedule_remove(board->schedule, key + strlen(NODES));
	else if (str_starts(key, NAMESPACES))
		r = take_namespace(board, key + strlen(NAMESPACES), json);
	if (r < 0)
		return r;
	return json ? put_value(board, key, json, revision) : drop_value(board, key);
}

int board_wrote(struct board *board, const char *key, json_t *json, uint64_t revision)
{
	return take(board, key, json, revision);
}

struct taking {
	struct board *board;
	int failed;
};

static int take_bytes(struct board *board, const char *key, const char *value, size_t len, uint64_t revision)
{
	CLEANUP_JSON json_t *json = NULL;
	int r;

	if (!value)
		return take(board, key, NULL, revision);
	if (str_starts(key, "/registry/"))
		r = records_parse(key, value, len, revision, &json, NULL);
	else /* records of this service, which are written as they were read */
		r = (json = json_loadb(value, len, 0, NULL)) ? 0 : ERR_CORRUPT;
	/* An object that cannot be read is none; a record of the ledger that cannot be read stops the placement. */
	if (r == -ENOMEM || (r < 0 && str_starts(key, "/ledger/")))
		return r;
	return take(board, key, json, revision);
}

static void on_event(void *user, const struct store_event *event)
{
	struct taking *taking = user;

	if (taking->failed == 0)
		taking->failed = take_bytes(taking->board, event->key,
					    event->kind == STORE_EVENT_PUT ? event->value : NULL, event->value_len,
					    event->revision);
}

static int list_prefix(struct board *board, const char *prefix, struct err *err)
{
	CLEANUP_STORE_RANGE struct store_range range = {0};
	int r = store_list(board->cism->store, prefix, NULL, 0, 0, &range, err);

	for (size_t i = 0; r == 0 && i < range.count; i++) {
		r = take_bytes(board, range.entries[i].key, range.entries[i].value, range.entries[i].value_len,
			       range.entries[i].mod_revision);
		if (r < 0)
			r = err_sys(err, r, "cannot keep what the placement knows");
	}
	return r;
}

static void forget(struct board *board)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		store_watch_close(board->watches[i]);
		board->watches[i] = NULL;
	}
	for (uint32_t i = 0; i < board->value_table.count; i++) {
		free(board->values[i].key);
		json_decref(board->values[i].json);
	}
	for (uint32_t i = 0; i < board->holder_table.count; i++)
		free_holder(&board->holders[i]);
	for (uint32_t i = 0; i < board->pod_table.count; i++) {
		json_decref(board->pods[i]->json);
		free(board->pods[i]);
		free(board->pod_keys[i]);
	}
	schedule_map_done(&board->value_table.map);
	schedule_map_done(&board->holder_table.map);
	schedule_map_done(&board->pod_table.map);
	board->value_table.count = board->holder_table.count = board->pod_table.count = 0;
	board->moved = 0;
	schedule_free(board->schedule);
	board->schedule = NULL;
	board->loaded = false;
}

static void on_ready(void *user);

/* The watch first: what is heard twice is known by its revision. */
static int load(struct board *board, struct err *err)
{
	int r = 0;

	board->schedule = schedule_new(clock_monotonic_ns());
	if (!board->schedule)
		return err_sys(err, -ENOMEM, "cannot keep what the placement knows");
	board->topology = cism_topology_revision(board->cism);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(prefixes); i++)
		r = store_watch_open(board->cism->store, prefixes[i], 0, on_ready, board, &board->watches[i], err);
	if (r == 0)
		r = read_rules(board, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(prefixes); i++)
		r = list_prefix(board, prefixes[i], err);
	board->loaded = r == 0;
	return r;
}

static int drain(struct board *board, struct err *err)
{
	struct taking taking = {.board = board};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		int r;

		do
			r = store_watch_next(board->watches[i], BATCH, on_event, &taking, err);
		while (r > 0 && taking.failed == 0);
		if (r < 0 || taking.failed < 0)
			return r < 0 ? r : err_sys(err, taking.failed, "cannot keep what the placement knows");
	}
	return 0;
}

/* What does not come by a watch of its own. */
static int follow_rest(struct board *board, struct err *err)
{
	uint64_t topology = cism_topology_revision(board->cism);
	int r = board->rules_stale ? read_rules(board, err) : 0;

	if (r == 0 && topology != board->topology) {
		board->topology = topology;
		board->changes++;
		if (take_nodes(board) < 0)
			r = err_sys(err, -ENOMEM, "cannot keep what the placement knows");
	}
	if (r == 0 && schedule_spare(board->schedule) > SPARE_MAX)
		schedule_trim(board->schedule);
	return r;
}

int board_follow(struct board *board, struct err *err)
{
	int r = board->loaded ? drain(board, err) : -EAGAIN;

	if (r < 0) { /* it fell behind, or was never begun */
		forget(board);
		r = load(board, err);
	}
	if (r == 0)
		r = follow_rest(board, err);
	if (r < 0)
		forget(board);
	return r;
}

/* --- for the placer --- */

uint64_t board_changes(const struct board *board)
{
	return board->changes;
}

struct schedule *board_schedule(struct board *board)
{
	return board->schedule;
}

bool board_has_moved(const struct board *board)
{
	return board->moved > 0;
}

static int by_urgency(const void *a, const void *b)
{
	const struct board_pod *x = *(struct board_pod *const *)a, *y = *(struct board_pod *const *)b;
	int order;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	order = strcmp(api_string(x->json, "metadata.creationTimestamp"),
		       api_string(y->json, "metadata.creationTimestamp"));
	return order ? order : strcmp(api_string(x->json, "metadata.uid"), api_string(y->json, "metadata.uid"));
}

struct board_pod **board_waiting(struct board *board, size_t *ret_count)
{
	size_t count = board->pod_table.count;
	struct board_pod **list = reallocarray(NULL, count + 1, sizeof(struct board_pod *));

	*ret_count = list ? count : 0;
	if (!list || count == 0)
		return list;
	memcpy((void *)list, (void *)board->pods, count * sizeof(struct board_pod *));
	qsort((void *)list, count, sizeof(struct board_pod *), by_urgency);
	return list;
}

struct board_pod *board_find(struct board *board, const char *namespace, const char *name)
{
	char key[STORE_KEY_MAX + 1];
	uint32_t at;

	if (!board->loaded || records_key(records_pods(), namespace, name, key, NULL) < 0)
		return NULL;
	at = find(&board->pod_table, key);
	return at == SCHEDULE_NONE ? NULL : board->pods[at];
}

bool board_has_image_policies(const struct board *board)
{
	return board->image_policies;
}

int board_facts(struct board *board, const struct board_pod *pod, struct bindfacts *ret_facts, struct err *err)
{
	struct bindfacts facts = {.cism = board->cism,
				  .pod = {json_incref(pod->json), pod->revision},
				  .rules = board->rules,
				  .topology = board->topology};
	const char *namespace = api_string(pod->json, "metadata.namespace");
	char key[STORE_KEY_MAX + 1];
	struct board_value value;
	int r = records_key(records_namespaces(), NULL, namespace, key, err);

	value = r == 0 ? board_value(board, key) : (struct board_value){0};
	if (!value.json) {
		bindfacts_done(&facts);
		return r < 0 ? r : err_set(err, ERR_NOT_FOUND, "namespaces \"%s\" not found", namespace);
	}
	facts.admission.namespace = (struct object){json_incref(value.json), value.revision};
	facts.admission.domain_name = api_label(value.json, POLICY_LABEL_DOMAIN);
	if (facts.admission.domain_name && !facts.admission.domain_name[0])
		facts.admission.domain_name = NULL;
	if (facts.admission.domain_name) {
		facts.admission.domain.json = json_incref(json_object_get(board->domains, facts.admission.domain_name));
		facts.domain = policy_domains_find(schedule_domains(board->schedule), facts.admission.domain_name);
	}
	bindfacts_describe(&facts);
	*ret_facts = facts;
	return 0;
}

int board_shape(struct board *board, const struct bindfacts *facts, uint32_t *ret_shape, struct err *err)
{
	return shape_of_pod(board, facts->pod.json, facts->who.domain, facts->who.subfunction, ret_shape, err);
}

int board_judge(struct board *board, const struct bindfacts *facts, const char *instance,
		struct schedule_verdict *ret_verdict, struct err *err)
{
	uint32_t shape, number = schedule_find(board->schedule, instance);
	int r = board_shape(board, facts, &shape, err);

	*ret_verdict = (struct schedule_verdict){.reason = SCHEDULE_NOT_READY};
	if (r < 0 || number == SCHEDULE_NONE)
		return r;
	if (schedule_judge(board->schedule, shape, number, ret_verdict) < 0)
		return err_sys(err, -ENOMEM, "cannot judge instance '%s'", instance);
	return 0;
}

void board_tie(struct board *board, struct bindfacts *facts)
{
	char key[STORE_KEY_MAX + 1];
	struct board_value value;
	uint32_t shape;

	if (board_shape(board, facts, &shape, NULL) < 0 || !schedule_is_tied(board->schedule, shape))
		return;
	ledger_affinity_key(facts->who.domain, key);
	value = board_value(board, key);
	facts->tied = true;
	facts->tie_revision = value.revision;
	facts->tie_binds = json_integer_value(json_object_get(value.json, "binds"));
}

/* --- life --- */

void board_lock(struct board *board)
{
	pthread_mutex_lock(&board->lock);
}

void board_unlock(struct board *board)
{
	pthread_mutex_unlock(&board->lock);
}

/* From the store's thread, which must not wait: the lock here is never held for long. */
static void on_ready(void *user)
{
	struct board *board = user;

	pthread_mutex_lock(&board->ready_lock);
	if (board->ready)
		board->ready(board->user);
	pthread_mutex_unlock(&board->ready_lock);
}

void board_wakes(struct board *board, void (*ready)(void *user), void *user)
{
	pthread_mutex_lock(&board->ready_lock);
	board->ready = ready;
	board->user = user;
	pthread_mutex_unlock(&board->ready_lock);
}

int board_new(struct cism *cism, struct board **ret_board, struct err *err)
{
	struct board *board = calloc(1, sizeof(*board));

	if (!board)
		return err_sys(err, -ENOMEM, "cannot start the placement");
	board->cism = cism;
	board->changes = 1;
	(void)pthread_mutex_init(&board->lock, NULL);
	(void)pthread_mutex_init(&board->own_lock, NULL);
	(void)pthread_mutex_init(&board->ready_lock, NULL);
	*ret_board = board;
	return 0;
}

void board_free(struct board *board)
{
	if (!board)
		return;
	forget(board);
	records_list_done(&board->quarantines);
	free(board->values);
	free(board->holders);
	free(board->pods);
	free(board->pod_keys);
	json_decref(board->domains);
	(void)pthread_mutex_destroy(&board->lock);
	(void)pthread_mutex_destroy(&board->own_lock);
	(void)pthread_mutex_destroy(&board->ready_lock);
	free(board);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Instances, their servers and room, and the pods that are charged to them. */
#include "base/str.h"
#include "policy/schedule_state.h"

static const char *const sized_names[] =
	{[SCHEDULE_CPU] = "cpu", [SCHEDULE_MEMORY] = "memory", [SCHEDULE_PODS] = "pods"};

/* --- room by steps --- */

unsigned schedule_place_step(unsigned resource, int64_t amount)
{
	/* Memory is told apart from a megabyte on. */
	uint64_t units = amount <= 0 ? 0 : (uint64_t)amount >> (resource == SCHEDULE_MEMORY ? 20 : 0);
	unsigned top, step;

	if (units == 0)
		return 0;
	top = 63 - (unsigned)__builtin_clzll(units);
	step = 1 + top * 4 + (top >= 2 ? (unsigned)(units >> (top - 2) & 3) : 0);
	return step < SCHEDULE_LEVELS ? step : SCHEDULE_LEVELS - 1;
}

static void put_free(struct schedule *schedule, uint32_t resource, uint32_t place, int64_t amount)
{
	struct schedule_place *at = &schedule->places[place];
	unsigned step;

	schedule->free[resource][place] = amount;
	if (resource >= SCHEDULE_SIZED) {
		schedule_bits_put(&schedule->some[resource], place, amount > 0);
		return;
	}
	step = schedule_place_step(resource, amount);
	for (unsigned i = at->steps[resource] + 1; i <= step; i++)
		schedule_bits_put(&schedule->fits[resource][i], place, true);
	for (unsigned i = at->steps[resource]; i > step; i--)
		schedule_bits_put(&schedule->fits[resource][i], place, false);
	at->steps[resource] = (uint8_t)step;
}

static void put_room(struct schedule *schedule, uint32_t resource, uint32_t place, int64_t amount)
{
	int64_t used = schedule->room[resource][place] - schedule->free[resource][place];

	schedule->room[resource][place] = amount;
	if (resource < SCHEDULE_SIZED)
		schedule->inverse[resource][place] = amount > 0 ? 1.0f / (float)amount : 0;
	put_free(schedule, resource, place, amount - used);
}

/* --- growth --- */

static int grow_one(struct schedule_bits *bits, const struct schedule *schedule)
{
	return schedule_bits_grow(bits, schedule_words(schedule));
}

static int grow_resource(struct schedule *schedule, uint32_t resource, uint32_t before)
{
	uint32_t room = schedule->place_room;
	int64_t *free_now = reallocarray(schedule->free[resource], room, sizeof(*free_now)), *room_now;

	if (!free_now)
		return -ENOMEM;
	schedule->free[resource] = free_now;
	room_now = reallocarray(schedule->room[resource], room, sizeof(*room_now));
	if (!room_now)
		return -ENOMEM;
	schedule->room[resource] = room_now;
	memset(free_now + before, 0, (room - before) * sizeof(*free_now));
	memset(room_now + before, 0, (room - before) * sizeof(*room_now));
	return grow_one(&schedule->some[resource], schedule);
}

static int grow_sized(struct schedule *schedule, uint32_t before)
{
	for (unsigned resource = 0; resource < SCHEDULE_SIZED; resource++) {
		float *inverse = reallocarray(schedule->inverse[resource], schedule->place_room, sizeof(*inverse));

		if (!inverse)
			return -ENOMEM;
		memset(inverse + before, 0, (schedule->place_room - before) * sizeof(*inverse));
		schedule->inverse[resource] = inverse;
		for (unsigned step = 0; step < SCHEDULE_LEVELS; step++)
			if (grow_one(&schedule->fits[resource][step], schedule) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int grow_labels(struct schedule *schedule, uint32_t before)
{
	for (uint32_t i = 0; i < schedule->topology_count; i++) {
		struct schedule_topology *topology = &schedule->topologies[i];
		uint32_t *value = reallocarray(topology->value, schedule->place_room, sizeof(*value));

		if (!value || grow_one(&topology->having, schedule) < 0)
			return -ENOMEM;
		topology->value = value;
		memset(value + before, 0xff, (schedule->place_room - before) * sizeof(*value));
	}
	for (uint32_t i = 0; i < schedule->meant_count; i++)
		if (grow_one(&schedule->meant[i].matched, schedule) < 0 ||
		    grow_one(&schedule->meant[i].carried, schedule) < 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < schedule->filter_count; i++) {
		struct schedule_filter *filter = &schedule->filters[i];
		int *liking = filter->liking ? reallocarray(filter->liking, schedule->place_room, sizeof(*liking))
					     : NULL;

		if ((filter->liking && !liking) || grow_one(&filter->selected, schedule) < 0 ||
		    grow_one(&filter->fit, schedule) < 0 || grow_one(&filter->liked, schedule) < 0)
			return -ENOMEM;
		filter->liking = liking;
	}
	return 0;
}

static int grow(struct schedule *schedule)
{
	uint32_t before = schedule->place_room;

	if (schedule->place_count < before)
		return 0;
	if (SCHEDULE_ROOM(schedule->places, schedule->place_count, schedule->place_room) < 0 ||
	    grow_one(&schedule->open, schedule) < 0 || grow_one(&schedule->busy, schedule) < 0 ||
	    grow_sized(schedule, before) < 0 || grow_labels(schedule, before) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < schedule->resource_count; i++)
		if (grow_resource(schedule, i, before) < 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < schedule->domain_count; i++)
		if (grow_one(&schedule->domains[i].near, schedule) < 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < schedule->class_count; i++)
		if (grow_one(&schedule->classes[i].here, schedule) < 0 ||
		    grow_one(&schedule->classes[i].allowed, schedule) < 0 ||
		    grow_one(&schedule->classes[i].stale, schedule) < 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < schedule->image_count; i++)
		if (grow_one(schedule->images[i], schedule) < 0)
			return -ENOMEM;
	return 0;
}

int schedule_place_resource(struct schedule *schedule, const char *name, bool make, uint32_t *ret)
{
	uint32_t resource = schedule->resource_count;

	if (resource == 0) /* the three that come first */
		for (unsigned i = 0; i < SCHEDULE_NAMED; i++) {
			schedule->resources[i] = strdup(sized_names[i]);
			if (!schedule->resources[i] || grow_resource(schedule, i, 0) < 0)
				return -ENOMEM;
			schedule->resource_count++;
		}
	for (resource = 0; resource < schedule->resource_count; resource++)
		if (str_eq(schedule->resources[resource], name)) {
			*ret = resource;
			return 0;
		}
	*ret = SCHEDULE_NONE;
	if (!make || resource == SCHEDULE_RESOURCES_MAX)
		return 0;
	schedule->resources[resource] = strdup(name);
	if (!schedule->resources[resource] || grow_resource(schedule, resource, 0) < 0)
		return -ENOMEM;
	*ret = schedule->resource_count++;
	return 0;
}

void schedule_place_done(struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->place_count; i++) {
		schedule_facts_drop(schedule->places[i].facts);
		free(schedule->places[i].occupants.rows);
	}
	for (uint32_t i = 0; i < schedule->server_count; i++) {
		free(schedule->servers[i].name);
		free(schedule->servers[i].places.items);
		free(schedule->servers[i].occupants.rows);
	}
	for (uint32_t i = 0; i < schedule->resource_count; i++) {
		free(schedule->resources[i]);
		free(schedule->free[i]);
		free(schedule->room[i]);
		schedule_bits_done(&schedule->some[i]);
	}
	for (unsigned i = 0; i < SCHEDULE_SIZED; i++) {
		free(schedule->inverse[i]);
		for (unsigned step = 0; step < SCHEDULE_LEVELS; step++)
			schedule_bits_done(&schedule->fits[i][step]);
	}
	free(schedule->everywhere.rows);
	free(schedule->places);
	free(schedule->servers);
	free(schedule->pods);
	schedule_bits_done(&schedule->open);
	schedule_bits_done(&schedule->busy);
	schedule_map_done(&schedule->place_names);
	schedule_map_done(&schedule->server_names);
}

/* --- who is where --- */

/* Counts one more or less of a class; whether the class is newly there, or no longer. */
static int count_occupant(struct schedule_occupants *occupants, uint32_t class, bool up, bool *ret_turned)
{
	uint32_t i = 0;

	while (i < occupants->count && occupants->rows[i].class != class)
		i++;
	*ret_turned = false;
	if (i < occupants->count) {
		occupants->rows[i].count += up ? 1 : -1;
		if (occupants->rows[i].count == 0) {
			occupants->rows[i] = occupants->rows[--occupants->count];
			*ret_turned = true;
		}
		return 0;
	}
	if (!up)
		return 0;
	if (SCHEDULE_ROOM(occupants->rows, occupants->count, occupants->room) < 0)
		return -ENOMEM;
	occupants->rows[occupants->count++] = (struct schedule_occupant){class, 1};
	*ret_turned = true;
	return 0;
}

static bool has_domain(const struct schedule *schedule, const struct schedule_occupants *occupants, uint32_t domain)
{
	for (uint32_t i = 0; i < occupants->count; i++)
		if (schedule->classes[occupants->rows[i].class].own == domain)
			return true;
	return false;
}

/* What is known of a place by who is on its server. */
static void mark_place(struct schedule *schedule, uint32_t place, bool in)
{
	const struct schedule_occupants *occupants = &schedule->servers[schedule->places[place].server].occupants;

	schedule_bits_put(&schedule->busy, place, in && occupants->count > 0);
	for (uint32_t i = 0; i < occupants->count; i++)
		schedule_bits_put(&schedule->domains[schedule->classes[occupants->rows[i].class].own].near, place, in);
}

static int count_server(struct schedule *schedule, uint32_t server, uint32_t class, bool up)
{
	struct schedule_server *at = &schedule->servers[server];
	uint32_t domain = schedule->classes[class].own;
	bool turned, is_there;

	if (count_occupant(&at->occupants, class, up, &turned) < 0)
		return -ENOMEM;
	if (!turned)
		return 0;
	schedule_class_note(schedule, class, server);
	is_there = has_domain(schedule, &at->occupants, domain);
	for (uint32_t i = 0; i < at->places.count; i++) {
		schedule_bits_put(&schedule->domains[domain].near, at->places.items[i], is_there);
		schedule_bits_put(&schedule->busy, at->places.items[i], at->occupants.count > 0);
	}
	return 0;
}

static int count_everywhere(struct schedule *schedule, uint32_t class, bool up)
{
	bool turned;

	if (count_occupant(&schedule->everywhere, class, up, &turned) < 0)
		return -ENOMEM;
	if (turned)
		schedule_class_reset(schedule, false);
	return 0;
}

/* Where it was charged, and where its instance is now; what is not known may be anywhere. */
static int count_servers(struct schedule *schedule, uint32_t class, uint32_t place, uint32_t charged, bool up)
{
	uint32_t now = schedule->places[place].server;
	int r = 0;

	if (charged == SCHEDULE_NONE || now == SCHEDULE_NONE)
		r = count_everywhere(schedule, class, up);
	if (r == 0 && charged != SCHEDULE_NONE)
		r = count_server(schedule, charged, class, up);
	if (r == 0 && now != SCHEDULE_NONE && now != charged)
		r = count_server(schedule, now, class, up);
	return r;
}

static int count_pod(struct schedule *schedule, const struct schedule_charged *pod, bool up)
{
	const struct schedule_like *shape = &schedule->shapes[pod->shape];
	struct schedule_place *at = &schedule->places[pod->place];
	bool turned;

	for (size_t i = 0; i < shape->request_count; i++) {
		const struct schedule_request *request = &shape->requests[i];
		int64_t now = schedule->free[request->resource][pod->place];

		put_free(schedule, request->resource, pod->place, up ? now - request->amount : now + request->amount);
	}
	if (count_occupant(&at->occupants, shape->class, up, &turned) < 0)
		return -ENOMEM;
	if (turned)
		schedule_bits_put(&schedule->classes[shape->class].here, pod->place, up);
	if (turned && at->server != SCHEDULE_NONE)
		schedule_class_note(schedule, shape->class, at->server);
	if (count_servers(schedule, shape->class, pod->place, pod->server, up) < 0)
		return -ENOMEM;
	return schedule_meant_count(schedule, pod->shape, pod->place, up);
}

int schedule_place_attach(struct schedule *schedule, uint32_t pod)
{
	return count_pod(schedule, &schedule->pods[pod], true);
}

void schedule_place_detach(struct schedule *schedule, uint32_t pod)
{
	(void)count_pod(schedule, &schedule->pods[pod], false); /* nothing grows downwards */
}

/* --- instances --- */

static int server_of(struct schedule *schedule, const char *name, uint32_t *ret)
{
	struct schedule_server *server;
	size_t len = name ? strlen(name) : 0;

	*ret = SCHEDULE_NONE;
	if (len == 0)
		return 0;
	*ret = schedule_map_find(&schedule->server_names, name, len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	if (SCHEDULE_ROOM(schedule->servers, schedule->server_count, schedule->server_room) < 0)
		return -ENOMEM;
	server = &schedule->servers[schedule->server_count];
	*server = (struct schedule_server){.name = strdup(name)};
	if (!server->name || schedule_map_put(&schedule->server_names, name, len, schedule->server_count) < 0) {
		free(server->name);
		return -ENOMEM;
	}
	*ret = schedule->server_count++;
	return 0;
}

/* Takes a place off its server, or puts it on one. */
static int move_place(struct schedule *schedule, uint32_t place, uint32_t server)
{
	struct schedule_place *at = &schedule->places[place];

	if (at->server == server)
		return 0;
	if (at->server != SCHEDULE_NONE) {
		mark_place(schedule, place, false);
		schedule_numbers_remove(&schedule->servers[at->server].places, place);
		schedule_class_note(schedule, SCHEDULE_NONE, at->server);
	}
	at->server = server;
	if (server == SCHEDULE_NONE)
		return 0;
	if (schedule_numbers_add(&schedule->servers[server].places, place) < 0)
		return -ENOMEM;
	mark_place(schedule, place, true);
	schedule_class_note(schedule, SCHEDULE_NONE, server);
	return 0;
}

static int put_allocatable(struct schedule *schedule, uint32_t place, const struct schedule_amounts *amounts)
{
	uint32_t resource;

	for (resource = 0; resource < schedule->resource_count; resource++)
		if (schedule->room[resource][place] != 0)
			put_room(schedule, resource, place, 0);
	for (size_t i = 0; amounts && i < amounts->count; i++) {
		if (schedule_place_resource(schedule, amounts->items[i].resource, true, &resource) < 0)
			return -ENOMEM;
		if (resource != SCHEDULE_NONE)
			put_room(schedule, resource, place, amounts->items[i].amount);
	}
	return 0;
}

static int count_all(struct schedule *schedule, uint32_t place, bool up)
{
	int r = 0;

	for (uint32_t pod = schedule->places[place].first; r == 0 && pod != SCHEDULE_NONE;
	     pod = schedule->pods[pod].next)
		r = count_pod(schedule, &schedule->pods[pod], up);
	return r;
}

static bool same_labels(const struct schedule_pairs *a, const struct schedule_pairs *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = str_eq(a->items[i].key, b->items[i].key) && str_eq(a->items[i].value, b->items[i].value);
	return same;
}

/* Everything that turns on what the instance is; facts NULL: it is gone. */
static int change_place(struct schedule *schedule, uint32_t place, struct schedule_facts *facts)
{
	struct schedule_place *at = &schedule->places[place];
	const struct schedule_instance *now = facts ? &facts->instance : NULL;
	const struct schedule_instance *old = at->facts ? &at->facts->instance : NULL;
	bool labels = !old || !now || !same_labels(&old->labels, &now->labels), moves;
	uint32_t server;

	if (server_of(schedule, now && now->epoch ? now->server : NULL, &server) < 0)
		return -ENOMEM;
	moves = server != at->server || labels;
	if (moves && count_all(schedule, place, false) < 0)
		return -ENOMEM;
	if ((labels && schedule_meant_place(schedule, place, false) < 0) ||
	    schedule_filter_images(schedule, place, false) < 0 || move_place(schedule, place, server) < 0)
		return -ENOMEM;
	schedule_facts_drop(at->facts);
	at->facts = facts ? schedule_facts_keep(facts) : NULL;
	if ((labels && schedule_meant_place(schedule, place, true) < 0) ||
	    put_allocatable(schedule, place, now ? &now->allocatable : NULL) < 0 ||
	    schedule_filter_place(schedule, place) < 0 || schedule_filter_images(schedule, place, true) < 0)
		return -ENOMEM;
	schedule_bits_put(&schedule->open, place,
			  now && now->ready && !now->unschedulable && !now->quarantined && server != SCHEDULE_NONE);
	return moves ? count_all(schedule, place, true) : 0;
}

int schedule_put(struct schedule *schedule, struct schedule_facts *instance)
{
	const char *name = instance->instance.name;
	uint32_t place = schedule_find(schedule, name), pods;

	if (place == SCHEDULE_NONE) {
		if (grow(schedule) < 0 || schedule_place_resource(schedule, "pods", true, &pods) < 0 ||
		    schedule_map_put(&schedule->place_names, name, strlen(name), schedule->place_count) < 0)
			return -ENOMEM;
		place = schedule->place_count++;
		schedule->places[place] = (struct schedule_place){.server = SCHEDULE_NONE, .first = SCHEDULE_NONE};
	}
	return change_place(schedule, place, instance);
}

int schedule_remove(struct schedule *schedule, const char *name)
{
	uint32_t place = schedule_find(schedule, name);

	return place == SCHEDULE_NONE ? 0 : change_place(schedule, place, NULL);
}

uint32_t schedule_find(const struct schedule *schedule, const char *name)
{
	return schedule_map_find(&schedule->place_names, name, strlen(name));
}

const struct schedule_instance *schedule_instance(const struct schedule *schedule, uint32_t instance)
{
	const struct schedule_facts *facts = schedule->places[instance].facts;

	return facts ? &facts->instance : NULL;
}

uint32_t schedule_count(const struct schedule *schedule)
{
	return schedule->place_count;
}

/* --- pods --- */

static uint32_t take_slot(struct schedule *schedule)
{
	uint32_t pod = schedule->pod_free;

	if (pod != SCHEDULE_NONE) {
		schedule->pod_free = schedule->pods[pod].next;
		return pod;
	}
	if (SCHEDULE_ROOM(schedule->pods, schedule->pod_count, schedule->pod_room) < 0)
		return SCHEDULE_NONE;
	return schedule->pod_count++;
}

static void link_pod(struct schedule *schedule, uint32_t pod)
{
	struct schedule_charged *at = &schedule->pods[pod];
	struct schedule_place *place = &schedule->places[at->place];
	struct schedule_group *group = &schedule->groups[schedule->shapes[at->shape].group];

	at->previous = at->group_previous = SCHEDULE_NONE;
	at->next = place->first;
	at->group_next = group->first;
	if (at->next != SCHEDULE_NONE)
		schedule->pods[at->next].previous = pod;
	if (at->group_next != SCHEDULE_NONE)
		schedule->pods[at->group_next].group_previous = pod;
	place->first = group->first = pod;
}

static void unlink_pod(struct schedule *schedule, uint32_t pod)
{
	const struct schedule_charged *at = &schedule->pods[pod];
	struct schedule_group *group = &schedule->groups[schedule->shapes[at->shape].group];

	if (at->next != SCHEDULE_NONE)
		schedule->pods[at->next].previous = at->previous;
	if (at->previous != SCHEDULE_NONE)
		schedule->pods[at->previous].next = at->next;
	else
		schedule->places[at->place].first = at->next;
	if (at->group_next != SCHEDULE_NONE)
		schedule->pods[at->group_next].group_previous = at->group_previous;
	if (at->group_previous != SCHEDULE_NONE)
		schedule->pods[at->group_previous].group_next = at->group_next;
	else
		group->first = at->group_next;
}

int schedule_charge(struct schedule *schedule, uint32_t shape, uint32_t instance, const char *server, uint32_t *ret_pod)
{
	uint32_t charged = schedule->places[instance].server, pod;

	if (server && server_of(schedule, server, &charged) < 0)
		return -ENOMEM;
	pod = take_slot(schedule);
	if (pod == SCHEDULE_NONE)
		return -ENOMEM;
	schedule->pods[pod] = (struct schedule_charged){.shape = shape, .place = instance, .server = charged};
	schedule->spare -= schedule->shapes[shape].pods++ == 0;
	link_pod(schedule, pod);
	*ret_pod = pod;
	return schedule_place_attach(schedule, pod);
}

void schedule_release(struct schedule *schedule, uint32_t pod)
{
	struct schedule_charged *at = &schedule->pods[pod];

	schedule_place_detach(schedule, pod);
	unlink_pod(schedule, pod);
	schedule->spare += --schedule->shapes[at->shape].pods == 0;
	*at = (struct schedule_charged){.shape = SCHEDULE_NONE, .next = schedule->pod_free};
	schedule->pod_free = pod;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Separation, compiled: which instances it leaves to the pods of a class, kept up to date from the journal of servers. */
#include "base/str.h"
#include "policy/schedule_state.h"

#define NOT_ASKED 3 /* a level that is not known yet */

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static int domain_of(struct schedule *schedule, const char *name, uint32_t *ret)
{
	size_t len = strlen(name);

	*ret = schedule_map_find(&schedule->domain_names, name, len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	if (SCHEDULE_ROOM(schedule->domains, schedule->domain_count, schedule->domain_room) < 0 ||
	    schedule_bits_grow(&schedule->domains[schedule->domain_count].near, schedule_words(schedule)) < 0 ||
	    schedule_map_put(&schedule->domain_names, name, len, schedule->domain_count) < 0)
		return -ENOMEM;
	*ret = schedule->domain_count++;
	return 0;
}

int schedule_class_of(struct schedule *schedule, const char *domain, const char *subfunction, uint32_t *ret)
{
	struct buf *key = &schedule->key;
	struct schedule_class *class;
	uint32_t own;

	domain = text_or_empty(domain);
	subfunction = text_or_empty(subfunction);
	buf_clear(key);
	if (buf_append(key, domain, strlen(domain) + 1) < 0 || buf_puts(key, subfunction) < 0)
		return -ENOMEM;
	*ret = schedule_map_find(&schedule->class_names, key->data, key->len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	if (domain_of(schedule, domain, &own) < 0 ||
	    SCHEDULE_ROOM(schedule->classes, schedule->class_count, schedule->class_room) < 0)
		return -ENOMEM;
	class = &schedule->classes[schedule->class_count];
	*class = (struct schedule_class){.domain = strdup(domain), .subfunction = strdup(subfunction), .own = own};
	schedule->class_count++;
	if (!class->domain || !class->subfunction || schedule_bits_grow(&class->here, schedule_words(schedule)) < 0 ||
	    schedule_bits_grow(&class->allowed, schedule_words(schedule)) < 0 ||
	    schedule_bits_grow(&class->stale, schedule_words(schedule)) < 0 ||
	    schedule_map_put(&schedule->class_names, key->data, key->len, schedule->class_count - 1) < 0 ||
	    schedule_numbers_add(&schedule->domains[own].classes, schedule->class_count - 1) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < schedule->domains[own].classes.count; i++)
		schedule->classes[schedule->domains[own].classes.items[i]].sorted = false;
	*ret = schedule->class_count - 1;
	return 0;
}

void schedule_class_reset(struct schedule *schedule, bool rules)
{
	for (uint32_t i = 0; i < schedule->class_count; i++) {
		struct schedule_class *class = &schedule->classes[i];

		class->compiled = false;
		if (!rules)
			continue;
		class->enemies.count = class->enemies_known = 0;
		class->asked = class->sorted = false;
		if (class->levels)
			memset(class->levels, 0xff, class->level_room / 4);
	}
}

void schedule_class_done(struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->class_count; i++) {
		free(schedule->classes[i].domain);
		free(schedule->classes[i].subfunction);
		free(schedule->classes[i].levels);
		free(schedule->classes[i].siblings.items);
		free(schedule->classes[i].enemies.items);
		schedule_bits_done(&schedule->classes[i].stale);
		schedule_bits_done(&schedule->classes[i].here);
		schedule_bits_done(&schedule->classes[i].allowed);
	}
	for (uint32_t i = 0; i < schedule->domain_count; i++) {
		schedule_bits_done(&schedule->domains[i].near);
		free(schedule->domains[i].classes.items);
	}
	free(schedule->classes);
	free(schedule->domains);
	schedule_map_done(&schedule->class_names);
	schedule_map_done(&schedule->domain_names);
}

/* --- levels --- */

static enum policy_level ask(const struct schedule *schedule, const struct schedule_class *a,
			     const struct schedule_class *b)
{
	const struct policy_pod one = {.domain = a->domain, .subfunction = a->subfunction};
	const struct policy_pod other = {.domain = b->domain, .subfunction = b->subfunction};

	return policy_separation_level(&one, &other, &schedule->rules);
}

/* Room for the levels from all classes there are; false without memory. */
static bool make_levels(struct schedule *schedule, struct schedule_class *class)
{
	uint32_t room = (schedule->class_room + 3) & ~UINT32_C(3);
	uint8_t *levels;

	if (class->level_room >= schedule->class_count)
		return true;
	levels = realloc(class->levels, room / 4);
	if (!levels)
		return false;
	memset(levels + class->level_room / 4, 0xff, (room - class->level_room) / 4);
	class->levels = levels;
	class->level_room = room;
	return true;
}

enum policy_level schedule_class_level(struct schedule *schedule, uint32_t a, uint32_t b)
{
	struct schedule_class *class = &schedule->classes[a];
	unsigned shift = b % 4 * 2, level;

	if (!make_levels(schedule, class))
		return ask(schedule, class, &schedule->classes[b]);
	level = class->levels[b / 4] >> shift & 3;
	if (level == NOT_ASKED) {
		level = (unsigned)ask(schedule, class, &schedule->classes[b]);
		class->levels[b / 4] &= (uint8_t) ~(3u << shift);
		class->levels[b / 4] |= (uint8_t)(level << shift);
	}
	return (enum policy_level)level;
}

int schedule_class_siblings(struct schedule *schedule, uint32_t number)
{
	struct schedule_class *class = &schedule->classes[number];
	const struct schedule_numbers *all = &schedule->domains[class->own].classes;

	if (class->sorted)
		return 0;
	class->siblings.count = 0;
	for (uint32_t i = 0; i < all->count; i++)
		if (schedule_class_level(schedule, number, all->items[i]) >= POLICY_LEVEL_INSTANCE &&
		    schedule_numbers_add(&class->siblings, all->items[i]) < 0)
			return -ENOMEM;
	class->sorted = true;
	return 0;
}

enum policy_reason schedule_class_refusal(struct schedule *schedule, uint32_t number)
{
	struct schedule_class *class = &schedule->classes[number];
	const struct policy_pod pod = {.uid = "",
				       .namespace = "",
				       .name = "",
				       .domain = class->domain,
				       .subfunction = class->subfunction};
	const struct policy_place place = {.instance = "any", .server = "any", .epoch = 1};
	struct policy_decision decision;

	if (class->asked)
		return class->refusal;
	policy_separation_decide(&pod, &place, NULL, 0, &schedule->rules, &decision);
	class->refusal = decision.reason;
	class->asked = true;
	return class->refusal;
}

/* --- what is in the way --- */

static const struct schedule_occupant *obstacle_of(struct schedule *schedule, uint32_t class,
						   const struct schedule_occupants *occupants, enum policy_level least,
						   enum policy_level *ret_level)
{
	const struct schedule_class *own = &schedule->classes[class];

	for (uint32_t i = 0; i < occupants->count; i++) {
		uint32_t other = occupants->rows[i].class;

		/* What is known to be less is passed over at once; what is not known reads as more. */
		if (other < own->level_room && (own->levels[other / 4] >> other % 4 * 2 & 3) < (unsigned)least)
			continue;
		*ret_level = schedule_class_level(schedule, class, other);
		if (*ret_level >= least)
			return &occupants->rows[i];
	}
	return NULL;
}

const struct schedule_occupant *schedule_class_obstacle(struct schedule *schedule, uint32_t class, uint32_t place,
							enum policy_level *ret_level)
{
	const struct schedule_place *at = &schedule->places[place];
	const struct schedule_occupant *found;

	found = obstacle_of(schedule, class, &at->occupants, POLICY_LEVEL_INSTANCE, ret_level);
	/* Who is on the instance is on its server too: where there are no more, nobody is left to be asked about. */
	if (!found && at->server != SCHEDULE_NONE &&
	    schedule->servers[at->server].occupants.count > at->occupants.count)
		found = obstacle_of(schedule, class, &schedule->servers[at->server].occupants, POLICY_LEVEL_SERVER,
				    ret_level);
	if (!found)
		found = obstacle_of(schedule, class, &schedule->everywhere, POLICY_LEVEL_SERVER, ret_level);
	return found;
}

bool schedule_class_allows(struct schedule *schedule, uint32_t class, uint32_t place)
{
	enum policy_level level;

	return !schedule_class_obstacle(schedule, class, place, &level);
}

static void refresh_server(struct schedule *schedule, uint32_t number, uint32_t server)
{
	struct schedule_class *class = &schedule->classes[number];
	const struct schedule_server *at = &schedule->servers[server];
	enum policy_level level;
	bool whole = !obstacle_of(schedule, number, &at->occupants, POLICY_LEVEL_SERVER, &level);

	for (uint32_t i = 0; i < at->places.count; i++) {
		uint32_t place = at->places.items[i];

		schedule_bits_put(&class->allowed, place,
				  whole && !obstacle_of(schedule, number, &schedule->places[place].occupants,
							POLICY_LEVEL_INSTANCE, &level));
	}
}

static void refresh_all(struct schedule *schedule, uint32_t number)
{
	struct schedule_class *class = &schedule->classes[number];
	enum policy_level level;

	schedule_bits_clear(&class->allowed);
	if (obstacle_of(schedule, number, &schedule->everywhere, POLICY_LEVEL_SERVER, &level))
		return;
	for (uint32_t server = 0; server < schedule->server_count; server++)
		refresh_server(schedule, number, server);
}

/* Those of the classes that have come since whom the class may not stand beside. */
static int find_enemies(struct schedule *schedule, uint32_t number)
{
	struct schedule_class *class = &schedule->classes[number];

	for (; class->enemies_known < schedule->class_count; class->enemies_known++)
		if (schedule_class_level(schedule, number, class->enemies_known) != POLICY_LEVEL_NONE &&
		    schedule_numbers_add(&class->enemies, class->enemies_known) < 0)
			return -ENOMEM;
	return 0;
}

static void mark_stale(struct schedule_class *class, uint32_t place)
{
	if (class->compiled)
		schedule_bits_put(&class->stale, place, true);
}

void schedule_class_note(struct schedule *schedule, uint32_t number, uint32_t server)
{
	const struct schedule_numbers *places = &schedule->servers[server].places;
	const struct schedule_numbers *enemies;

	if (places->count == 0)
		return;
	if (number == SCHEDULE_NONE) {
		for (uint32_t i = 0; i < schedule->class_count; i++)
			mark_stale(&schedule->classes[i], places->items[0]);
		return;
	}
	if (find_enemies(schedule, number) < 0) {
		schedule_class_reset(schedule, false); /* without memory for who is concerned, all are */
		return;
	}
	enemies = &schedule->classes[number].enemies;
	for (uint32_t i = 0; i < enemies->count; i++)
		mark_stale(&schedule->classes[enemies->items[i]], places->items[0]);
}

int schedule_class_refresh(struct schedule *schedule, uint32_t number)
{
	struct schedule_class *class = &schedule->classes[number];
	uint64_t *tops = schedule_bits_tops(&class->stale);
	enum policy_level level;

	if (!class->compiled) {
		refresh_all(schedule, number);
	} else if (!obstacle_of(schedule, number, &schedule->everywhere, POLICY_LEVEL_SERVER, &level)) {
		for (uint32_t word = 0; word < class->stale.count; word++) {
			if (!(tops[word / 64] >> word % 64 & 1))
				continue;
			for (uint64_t bits = class->stale.words[word]; bits; bits &= bits - 1) {
				uint32_t place = word * 64 + (uint32_t)__builtin_ctzll(bits);

				if (schedule->places[place].server != SCHEDULE_NONE)
					refresh_server(schedule, number, schedule->places[place].server);
			}
		}
	}
	schedule_bits_clear(&class->stale);
	class->compiled = true;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: a walk over the intersection of what each filter leaves, best prospects first. */
#include "policy/schedule_state.h"
#include "policy/schedule_weights.h"

#define SETS_MAX 48    /* a pod with more conditions is asked about each instance */
#define COMPARED 8     /* candidates of one kind that are compared with each other */
#define SIBLINGS_MAX 8 /* of classes of the own domain that are taken into the walk */
#define HINTS_MAX 4    /* preferences by which candidates are looked for */
#define PARTED_MOST 12 /* candidates that separation may refuse until its set is brought up to date */

struct sets {
	const struct schedule_bits *with[SETS_MAX], *without[SETS_MAX];
	size_t with_count, without_count;
	bool full; /* there were more */
	bool none; /* nothing can be in the intersection */
};

static void add_with(struct sets *sets, const struct schedule_bits *bits)
{
	if (sets->with_count < SETS_MAX)
		sets->with[sets->with_count++] = bits;
	else
		sets->full = true;
}

static void add_without(struct sets *sets, const struct schedule_bits *bits)
{
	if (sets->without_count < SETS_MAX)
		sets->without[sets->without_count++] = bits;
	else
		sets->full = true;
}

static void by_resources(const struct schedule *schedule, const struct schedule_like *shape, struct sets *sets)
{
	for (size_t i = 0; i < shape->request_count; i++) {
		const struct schedule_request *request = &shape->requests[i];
		unsigned step;

		if (request->resource >= SCHEDULE_SIZED) {
			add_with(sets, &schedule->some[request->resource]);
			continue;
		}
		step = schedule_place_step(request->resource, request->amount);
		if (step > 0)
			add_with(sets, &schedule->fits[request->resource][step]);
	}
	sets->none |= shape->unknown != NULL;
}

static void by_affinity(const struct schedule *schedule, const struct schedule_like *shape, struct sets *sets)
{
	const struct schedule_group *group = &schedule->groups[shape->group];

	for (size_t i = 0; i < shape->near_count; i++) {
		const struct schedule_meant *meant = &schedule->meant[shape->near[i].meant];

		/* The first of pods that want to be together may begin anywhere. */
		if (meant->matching_total == 0 && shape->near[i].self)
			add_with(sets, &schedule->topologies[meant->topology].having);
		else
			add_with(sets, &meant->matched);
		sets->none |= meant->matching_total == 0 && !shape->near[i].self;
	}
	for (size_t i = 0; i < shape->apart_count; i++)
		if (schedule->meant[shape->apart[i].meant].matching_total > 0)
			add_without(sets, &schedule->meant[shape->apart[i].meant].matched);
	for (uint32_t i = 0; i < group->meant.count; i++)
		if (schedule->meant[group->meant.items[i]].carrying_total > 0)
			add_without(sets, &schedule->meant[group->meant.items[i]].carried);
}

static int by_siblings(struct schedule *schedule, const struct schedule_like *shape, struct sets *sets)
{
	const struct schedule_numbers *siblings = &schedule->classes[shape->class].siblings;

	if (schedule_class_siblings(schedule, shape->class) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < siblings->count && i < SIBLINGS_MAX; i++)
		add_without(sets, &schedule->classes[siblings->items[i]].here);
	return 0;
}

static int by_spreads(struct schedule *schedule, const struct schedule_like *shape, struct sets *sets)
{
	for (size_t i = 0; i < shape->spread_count; i++) {
		if (schedule_spread_refresh(schedule, shape, &shape->spreads[i]) < 0)
			return -ENOMEM;
		if (shape->spreads[i].facts->required)
			add_with(sets, &shape->spreads[i].allowed);
	}
	return 0;
}

/* --- the walk --- */

struct search {
	struct schedule *schedule;
	unsigned parted;                  /* candidates that separation refused */
	const struct schedule_bits *left; /* those it leaves; NULL: it is asked of each candidate */
	bool failed;
	const struct schedule_like *shape;
	struct sets sets;
	struct schedule_choice best;
};

static bool has_room(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place)
{
	for (size_t i = 0; i < shape->request_count; i++)
		if (schedule->free[shape->requests[i].resource][place] < shape->requests[i].amount)
			return false;
	return true;
}

/*
 * Separation is asked of each candidate: most often the first is left. Where it refuses many, its set is brought up to date
 * and taken into the walk.
 */
static bool is_left(struct search *search, uint32_t place)
{
	uint32_t class = search->shape->class;

	if (search->left || schedule_class_allows(search->schedule, class, place))
		return true;
	if (++search->parted < PARTED_MOST)
		return false;
	search->failed = schedule_class_refresh(search->schedule, class) < 0;
	if (!search->failed)
		search->left = &search->schedule->classes[class].allowed;
	return false;
}

static void consider(struct search *search, uint32_t place)
{
	int score = schedule_score(search->schedule, search->shape, place);

	if (search->best.instance == SCHEDULE_NONE || score > search->best.score ||
	    (score == search->best.score && place < search->best.instance))
		search->best = (struct schedule_choice){place, score};
}

static uint64_t word_of(const struct sets *sets, uint32_t word)
{
	uint64_t bits = sets->with[0]->words[word];

	for (size_t i = 1; bits && i < sets->with_count; i++)
		bits &= sets->with[i]->words[word];
	for (size_t i = 0; bits && i < sets->without_count; i++)
		bits &= ~sets->without[i]->words[word];
	return bits;
}

/* Considers the candidates of one word, as long as there are fewer than COMPARED. */
static unsigned walk_word(struct search *search, uint32_t word, unsigned found)
{
	uint64_t bits = word_of(&search->sets, word);

	for (; bits && found < COMPARED; bits &= bits - 1) {
		uint32_t place;

		if (search->left)
			bits &= search->left->words[word];
		if (!bits)
			break;
		place = word * 64 + (uint32_t)__builtin_ctzll(bits);
		if (!has_room(search->schedule, search->shape, place) || !is_left(search, place))
			continue;
		consider(search, place);
		found++;
	}
	return found;
}

/* Considers the first few candidates of the intersection; how many there were. */
static unsigned walk(struct search *search)
{
	const struct sets *sets = &search->sets;
	uint32_t words = schedule_words(search->schedule);
	unsigned found = 0;

	for (uint32_t top = 0; top < words / 64; top++) {
		uint64_t tops = schedule_bits_tops(sets->with[0])[top];

		for (size_t i = 1; tops && i < sets->with_count; i++)
			tops &= schedule_bits_tops(sets->with[i])[top];
		for (; tops && found < COMPARED; tops &= tops - 1)
			found = walk_word(search, top * 64 + (uint32_t)__builtin_ctzll(tops), found);
	}
	return found;
}

/* --- what is looked for first --- */

struct hint {
	const struct schedule_bits *bits;
	bool with; /* in the set, or not in it */
};

/* Where preferences hold. Returns how many. */
static size_t find_hints(const struct schedule *schedule, const struct schedule_like *shape,
			 struct hint hints[static HINTS_MAX])
{
	const struct schedule_filter *filter = &schedule->filters[shape->filter];
	size_t count = 0;

	if (filter->liking && filter->most > 0)
		hints[count++] = (struct hint){&filter->liked, true};
	for (size_t i = 0; i < shape->wish_count && count < HINTS_MAX; i++)
		hints[count++] = (struct hint){&schedule->meant[shape->wishes[i].meant].matched,
					       shape->wishes[i].weight > 0};
	return count;
}

/* The walk narrowed by some preferences. */
static unsigned walk_hints(struct search *search, const struct hint *hints, size_t count)
{
	struct sets *sets = &search->sets;
	size_t with_count = sets->with_count, without_count = sets->without_count;
	unsigned found;

	for (size_t i = 0; i < count; i++)
		if (hints[i].with)
			add_with(sets, hints[i].bits);
		else
			add_without(sets, hints[i].bits);
	found = walk(search);
	sets->with_count = with_count;
	sets->without_count = without_count;
	return found;
}

/* Where all preferences hold; unless that is so somewhere (worth `all`), anywhere, and where any of them holds. */
static void walk_all(struct search *search, int all)
{
	struct hint hints[HINTS_MAX];
	size_t count = find_hints(search->schedule, search->shape, hints);
	unsigned found = 0;

	if (count > 0) {
		found = walk_hints(search, hints, count);
		if (found > 0 && search->best.score >= all)
			return;
	}
	/* Where there were few, all of them have been compared. */
	if (walk(search) < COMPARED)
		return;
	for (size_t i = 0; count > 1 && i < count; i++)
		(void)walk_hints(search, &hints[i], 1);
}

/* The most that preferences can add to what a place is worth. */
static int most_liked(const struct schedule *schedule, const struct schedule_like *shape)
{
	const struct schedule_filter *filter = &schedule->filters[shape->filter];
	int most = filter->liking && filter->most > 0 ? filter->most : 0;

	for (size_t i = 0; i < shape->wish_count; i++)
		if (shape->wishes[i].weight > 0)
			most += SCHEDULE_WEIGHT_PREFERENCE * shape->wishes[i].weight;
	return most;
}

/*
 * Instances with pods of the same class, servers of the same domain, those in use, fresh ones: one kind after the other, as
 * long as what follows can be worth more.
 */
static void search_all(struct search *search)
{
	const struct schedule *schedule = search->schedule;
	const struct schedule_class *class = &schedule->classes[search->shape->class];
	const struct schedule_bits *near = &schedule->domains[class->own].near;
	const struct kind {
		const struct schedule_bits *with, *without[2];
		int worth; /* by stacking */
	} kinds[] = {
		{&class->here,
		 {NULL, NULL},
		 SCHEDULE_WEIGHT_USED_SERVER + SCHEDULE_WEIGHT_SAME_SERVER + SCHEDULE_WEIGHT_SAME_INSTANCE},
		{near, {&class->here, NULL}, SCHEDULE_WEIGHT_USED_SERVER + SCHEDULE_WEIGHT_SAME_SERVER},
		{&schedule->busy, {near, NULL}, SCHEDULE_WEIGHT_USED_SERVER},
		{&schedule->open, {near, &schedule->busy}, 0},
	};
	struct sets *sets = &search->sets;
	size_t without_count = sets->without_count;
	int liked = most_liked(schedule, search->shape);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int most = kinds[i].worth + liked + SCHEDULE_WEIGHT_FULL + SCHEDULE_WEIGHT_IMAGES;

		if (search->best.instance != SCHEDULE_NONE && search->best.score >= most)
			return;
		sets->with[0] = kinds[i].with;
		for (size_t j = 0; j < 2 && kinds[i].without[j]; j++)
			add_without(sets, kinds[i].without[j]);
		walk_all(search, kinds[i].worth + liked);
		sets->without_count = without_count;
	}
}

/* What came into the cluster since the shape was made. */
static void find_images(struct schedule *schedule, struct schedule_like *shape)
{
	const struct schedule_texts *images = &shape->facts->pod.images;

	if (shape->images_seen == schedule->image_changes)
		return;
	for (size_t i = 0; i < images->count; i++) {
		uint32_t image = schedule_map_find(&schedule->image_names, images->items[i], strlen(images->items[i]));

		shape->images[i] = image == SCHEDULE_NONE ? NULL : schedule->images[image];
	}
	shape->images_seen = schedule->image_changes;
}

/* For a pod that brings more conditions than the walk takes. */
static int search_one_by_one(struct search *search, uint32_t shape)
{
	for (uint32_t place = 0; place < search->schedule->place_count; place++) {
		struct schedule_verdict verdict;

		if (schedule_judge(search->schedule, shape, place, &verdict) < 0)
			return -ENOMEM;
		if (verdict.reason == SCHEDULE_ALLOWED)
			consider(search, place);
	}
	return 0;
}

int schedule_decide(struct schedule *schedule, uint32_t number, struct schedule_choice *ret_choice)
{
	struct schedule_like *shape = &schedule->shapes[number];
	struct search search = {.schedule = schedule, .shape = shape, .best = {.instance = SCHEDULE_NONE}};
	struct sets *sets = &search.sets;
	int r = 0;

	*ret_choice = search.best;
	if (schedule_class_refusal(schedule, shape->class) != POLICY_REASON_ALLOWED || schedule->place_count == 0)
		return 0;
	find_images(schedule, shape);
	add_with(sets, &schedule->open); /* this one's place is for the kind that is looked for */
	add_with(sets, &schedule->open);
	add_with(sets, &schedule->filters[shape->filter].fit);
	if (by_siblings(schedule, shape, sets) < 0)
		return -ENOMEM;
	by_resources(schedule, shape, sets);
	by_affinity(schedule, shape, sets);
	if (by_spreads(schedule, shape, sets) < 0)
		return -ENOMEM;
	if (sets->none)
		return 0;
	if (sets->full || sets->with_count + 8 > SETS_MAX || sets->without_count + 8 > SETS_MAX)
		r = search_one_by_one(&search, number);
	else
		search_all(&search);
	*ret_choice = search.best;
	return search.failed ? -ENOMEM : r;
}

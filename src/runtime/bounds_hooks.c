/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks below the ceiling: judged as what they really are, and that is what is run, also long after. */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "runtime/bounds.h"
#include "runtime/bounds_facts.h"

static const char *const phases[SPEC_HOOK_PHASES] = {
	[SPEC_PRESTART] = "prestart",
	[SPEC_CREATE_RUNTIME] = "createRuntime",
	[SPEC_CREATE_CONTAINER] = "createContainer",
	[SPEC_START_CONTAINER] = "startContainer",
	[SPEC_POSTSTART] = "poststart",
	[SPEC_POSTSTOP] = "poststop",
};

/* Inside of the container's root the path means something else; the host's file is not run. */
static bool is_inside(size_t phase)
{
	return phase == SPEC_START_CONTAINER;
}

static void add_phase(struct bounds_facts *facts, struct runtime_ceiling_hook *hooks, const struct spec_hook_list *list,
		      size_t phase)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct spec_hook *hook = &list->items[i];

		hooks[facts->facts.hook_count++] = (struct runtime_ceiling_hook){
			.phase = phases[phase],
			.index = i,
			.path = is_inside(phase) ? hook->path : bounds_facts_keep(facts, realpath(hook->path, NULL)),
			.env = {.items = hook->env.items, .count = hook->env.count},
		};
	}
}

int bounds_facts_add_hooks(struct bounds_facts *facts, const struct spec *spec, struct err *err)
{
	struct runtime_ceiling_hook *hooks;
	size_t count = 0;

	for (size_t i = 0; i < SPEC_HOOK_PHASES; i++)
		count += spec->hooks[i].count;
	hooks = bounds_facts_keep(facts, calloc(count + 1, sizeof(*hooks)));
	if (!hooks)
		return err_set(err, -ENOMEM, "no memory");
	facts->facts.hooks = hooks;
	for (size_t i = 0; i < SPEC_HOOK_PHASES; i++)
		add_phase(facts, hooks, &spec->hooks[i], i);
	return 0;
}

static bool are_bounded(const struct bounds *bounds)
{
	for (size_t i = 0; i < bounds->count; i++)
		if (bounds->ceilings[i].hooks || bounds->ceilings[i].hook_environment)
			return true;
	return false;
}

/* Replaces the paths in a phase's list; 1 when one was another. */
static int pin_phase(json_t *list, size_t phase)
{
	int changed = 0;

	for (size_t i = 0; !is_inside(phase) && i < json_array_size(list); i++) {
		json_t *hook = json_array_get(list, i);
		const char *path = json_string_value(json_object_get(hook, "path"));
		CLEANUP_FREE char *real = path ? realpath(path, NULL) : NULL;

		if (!real || str_eq(real, path))
			continue;
		if (json_object_set_new(hook, "path", json_string(real)) < 0)
			return -ENOMEM;
		changed = 1;
	}
	return changed;
}

int bounds_hooks_pin(const struct bounds *bounds, struct buf *text, struct spec *spec, struct err *err)
{
	json_t *config, *hooks;
	int r = 0, changed = 0;

	if (!are_bounded(bounds) || !json_object_get(spec->json, "hooks"))
		return 0;
	config = json_deep_copy(spec->json);
	hooks = json_object_get(config, "hooks");
	for (size_t i = 0; hooks && r >= 0 && i < SPEC_HOOK_PHASES; i++) {
		r = pin_phase(json_object_get(hooks, phases[i]), i);
		changed |= r;
	}
	if (!config || r < 0)
		r = err_set(err, -ENOMEM, "no memory");
	else
		r = changed ? bounds_take_config(text, spec, config, err) : 0;
	json_decref(config);
	return r < 0 ? r : changed;
}

static bool is_over(const struct bounds *bounds, const struct runtime_ceiling_hook *hook)
{
	const struct runtime_ceiling_facts facts = {.document = "config.json", .hooks = hook, .hook_count = 1};
	struct runtime_ceiling_findings findings CLEANUP(runtime_ceiling_findings_done) = {0};
	struct err ignored;

	for (size_t i = 0; i < bounds->count; i++)
		if (runtime_ceiling_check(&bounds->ceilings[i], &facts, &bounds->machine, &findings, &ignored) < 0 ||
		    findings.count)
			return true;
	return false;
}

int bounds_hooks_later(const char *folder, struct spec *spec, struct err *err)
{
	struct bounds bounds CLEANUP(bounds_done) = {0};
	struct bounds_facts facts CLEANUP(bounds_facts_done) = {0};
	const struct runtime_ceiling_hook *judged;
	int r = bounds_load(&bounds, folder, err);

	if (r == 0)
		r = bounds_facts_add_hooks(&facts, spec, err);
	if (r < 0)
		return r;
	judged = facts.facts.hooks;
	for (size_t i = 0; i < SPEC_HOOK_PHASES; i++) {
		struct spec_hook_list *list = &spec->hooks[i];
		size_t count = list->count;

		list->count = 0;
		for (size_t j = 0; j < count; j++, judged++)
			if (!is_over(&bounds, judged))
				list->items[list->count++] = list->items[j];
	}
	return 0;
}

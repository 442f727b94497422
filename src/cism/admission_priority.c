/* SPDX-License-Identifier: Apache-2.0 */
/* Priorities come from PriorityClasses, which the platform alone writes: a pod names one, and cannot say a number of its own. */
#include "cism/admission.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"

#define MOST INT64_C(1000000000) /* what Kubernetes lets users have */

/* The class that pods without one have; NULL json: none is marked so. Of several the least counts. */
static int find_default(struct store *store, struct object *ret_class, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct records_query query = {.kind = records_priorities()};
	int r = records_list(store, &query, &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		if (!json_is_true(json_object_get(list.items[i], "globalDefault")) ||
		    (ret_class->json &&
		     api_integer(ret_class->json, "value", 0) <= api_integer(list.items[i], "value", 0)))
			continue;
		json_decref(ret_class->json);
		ret_class->json = json_incref(list.items[i]);
	}
	return r;
}

static int find_class(struct admission *admission, const char *name, struct object *ret_class, struct err *err)
{
	struct store *store = admission->call->cism->store;
	int r;

	if (!name || !name[0])
		return find_default(store, ret_class, err);
	r = records_get(store, records_priorities(), NULL, name, ret_class, err);
	if (r == ERR_NOT_FOUND)
		return err_set(err, ERR_DENIED, "pods \"%s\" is forbidden: no PriorityClass with name %s was found",
			       api_string(admission->object, "metadata.name"), name);
	return r;
}

int admission_pod_priority(struct admission *admission, struct err *err)
{
	CLEANUP_OBJECT struct object class = {0};
	const json_t *given = api_value(admission->object, "spec.priority");
	int r = find_class(admission, api_string(admission->object, "spec.priorityClassName"), &class, err);
	int64_t value = api_integer(class.json, "value", 0);

	if (r < 0)
		return r;
	if (given && json_integer_value(given) != value)
		return err_set(err, ERR_DENIED,
			       "pods \"%s\" is forbidden: spec.priority: must not be provided (%" PRId64
			       " is what its PriorityClass says)",
			       api_string(admission->object, "metadata.name"), value);
	if (!class.json)
		return 0;
	if (api_set(admission->object, "spec.priorityClassName", json_string(api_string(class.json, "metadata.name"))) <
		    0 ||
	    api_set(admission->object, "spec.priority", json_integer(value)) < 0)
		return err_sys(err, -ENOMEM, "cannot complete the pod");
	return 0;
}

int admission_priority_class(struct admission *admission, struct err *err)
{
	int64_t value = api_integer(admission->object, "value", 0);

	if (value > MOST || value < -MOST)
		return err_set(err, ERR_INVALID,
			       "value: Invalid value: %" PRId64 ": must be from %" PRId64 " to %" PRId64, value, -MOST,
			       MOST);
	if (admission->old && api_integer(admission->old, "value", 0) != value)
		return err_set(err, ERR_INVALID, "value: Forbidden: may not be changed in an update.");
	return 0;
}

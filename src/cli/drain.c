/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/drain.h"

#include "cli/nodecall.h"

int drain_pods(const struct paths *paths, unsigned *ret_pods, struct err *err)
{
	json_t *answer = NULL;
	int r = nodecall(paths, "{\"op\":\"drain-local\"}", &answer, err);
	json_int_t pods = json_integer_value(json_object_get(answer, "stopped"));

	json_decref(answer);
	if (r < 0) {
		(void)err_prefix(err, "cannot stop the pods");
		return err_hint(err, "'bulkhead down --keep-pods' stops the daemons without asking it"), r;
	}
	*ret_pods = pods > 0 && pods < 1000000 ? (unsigned)pods : 0;
	return 0;
}

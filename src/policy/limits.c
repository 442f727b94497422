/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/limits.h"

#include <errno.h>

#include "base/str.h"
#include "policy/domain.h"

int policy_limits_pids(const char *annotation, uint32_t *ret_pids, struct err *err)
{
	uint64_t pids = POLICY_LIMIT_PIDS;

	if (annotation && (str_parse_u64(annotation, POLICY_LIMIT_PIDS_MOST, &pids) < 0 || pids == 0))
		return err_set(err, ERR_INVALID, "annotation %s '%.32s' is not a number from 1 to %d",
			       POLICY_ANNOTATION_PIDS, annotation, POLICY_LIMIT_PIDS_MOST);
	*ret_pids = (uint32_t)pids;
	return 0;
}

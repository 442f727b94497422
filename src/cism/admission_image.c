/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/admission.h"

#include "crypto/imagetrust.h"

/* What could not be read when a pod is placed would keep every pod from starting: it is refused when it is written. */
int admission_image_policy(struct admission *admission, struct err *err)
{
	CLEANUP(cleanup_policy_image) struct policy_image *policy = NULL;
	int r = policy_image_parse(admission->object, &policy, err);

	return r < 0 ? r : imagetrust_check_keys(policy, err);
}

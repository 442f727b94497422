/* SPDX-License-Identifier: Apache-2.0 */
/* The fields a pod may have here, as tables: used, none of the instance's business, or refused. */
#ifndef CIS_PODFIELDS_H
#define CIS_PODFIELDS_H

#include <jansson.h>

#include "base/err.h"

/* Walks spec with its containers, volumes and mounts. -EOPNOTSUPP "field 'spec.hostNetwork' is not supported …" */
int podfields_check(const json_t *pod, struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Takes out of a configuration what the policy found to be over the ceiling. */
#ifndef RUNTIME_BOUNDS_NARROW_H
#define RUNTIME_BOUNDS_NARROW_H

#include "oci/spec.h"
#include "policy/runtime_ceiling.h"

/* Edits a whole config.json. */
int bounds_narrow_config(json_t *config, const struct runtime_ceiling_facts *facts,
			 const struct runtime_ceiling_findings *findings, struct err *err) MUST_CHECK;

/* The same for a process and for resources that are read already. */
void bounds_narrow_process(struct spec_process *process, const struct runtime_ceiling_findings *findings);
void bounds_narrow_resources(struct spec_resources *resources, const struct runtime_ceiling_findings *findings);

#endif

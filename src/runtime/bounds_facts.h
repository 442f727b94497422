/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration asks for, as the ceiling's policy wants to know it. */
#ifndef RUNTIME_BOUNDS_FACTS_H
#define RUNTIME_BOUNDS_FACTS_H

#include <sys/stat.h>

#include "runtime/bounds.h"

struct bounds_facts {
	struct runtime_ceiling_facts facts;
	void **blocks; /* owns every array and string of the facts that is not the spec's */
	size_t block_count;
};

/* Looks at a whole configuration; sources, namespaces and hooks are opened, and what they are is noted in bounds. */
int bounds_facts_of_spec(struct bounds_facts *facts, struct bounds *bounds, int bundle, const struct spec *spec,
			 struct err *err) MUST_CHECK;

/* Adds what a process asks for, and what resources ask for. */
int bounds_facts_add_process(struct bounds_facts *facts, const struct spec_process *process,
			     struct err *err) MUST_CHECK;
int bounds_facts_add_resources(struct bounds_facts *facts, const struct spec_resources *resources,
			       struct err *err) MUST_CHECK;

/* Adds its hooks, as what they really are. */
int bounds_facts_add_hooks(struct bounds_facts *facts, const struct spec *spec, struct err *err) MUST_CHECK;

/* Keeps a block until bounds_facts_done; NULL stays NULL. */
void *bounds_facts_keep(struct bounds_facts *facts, void *block);

void bounds_facts_done(struct bounds_facts *facts);

/* Whether it is the namespace of this process or of the machine's first one. */
bool bounds_is_host_namespace(const struct stat *namespace, enum spec_namespace_type type);

/*
 * Whether a root is no image but the machine itself: /, what holds or lies in the kernel's file systems and the ceiling,
 * or what holds the state of the containers. path: what it really is; NULL when it cannot be told.
 */
bool bounds_root_is_system(const struct bounds_identity *root, const char *path);

/* The types of one namespace on both sides. */
enum spec_namespace_type bounds_namespace_type(enum runtime_ceiling_namespace which);

#endif

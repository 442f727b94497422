/* SPDX-License-Identifier: Apache-2.0 */
/* Folders and configuration files of a machine. Files that exist are the operator's and are left alone. */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

#include <jansson.h>

#include "cli/settings.h"

/* Makes the folders of configuration, state and run time, those of unprivileged parts owned by them. */
int setup_folders(const struct paths *paths, struct err *err) MUST_CHECK;

/* Writes the configuration of an instance alone, for the CISM at these addresses and the registries of those hosts. */
int setup_instance(const struct paths *paths, const struct settings *settings, const char *runtime,
		   const char *const *cism, size_t cism_count, const json_t *registries, struct err *err) MUST_CHECK;

/*
 * Writes the configuration of the daemons, the kubeconfig and the registry's first user, as far as they are missing. The
 * kubeconfig is written anew when certificates were.
 */
int setup_files(const struct paths *paths, const struct settings *settings, const char *runtime, bool renewed,
		struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* ConfigMaps and Secrets a pod names, and single values out of them and of the pod itself. */
#ifndef CIS_PODSOURCE_H
#define CIS_PODSOURCE_H

#include <jansson.h>

#include "base/buf.h"
#include "cis/podspec.h"

#define PODSOURCE_VALUE_MAX ((size_t)2 * 1024 * 1024)

/* What is only known on the instance. */
struct podsource_place {
	const char *node;
	const char *pod_ip;
};

/*
 * The objects a pod needs: {"configmaps/NAME": optional?, "secrets/NAME": …}, optional true when every use is. The caller
 * drops the reference; NULL without memory.
 */
json_t *podsource_wanted(const struct podspec *spec);

/*
 * Appends one value of "configmaps/NAME" or "secrets/NAME" out of objects (those fetched, by the same names).
 * ERR_NOT_FOUND for a missing object or key, ERR_INVALID for malformed base64.
 */
int podsource_value(const json_t *objects, const char *object, const char *key, struct buf *to,
		    struct err *err) MUST_CHECK;

/* Calls each(user, key) for every key of an object; none when it is missing. */
int podsource_keys(const json_t *objects, const char *object, int (*each)(void *user, const char *key, struct err *err),
		   void *user, struct err *err) MUST_CHECK;

/* Appends a field by the path of the downward API ("metadata.name", "metadata.labels['a']", "status.podIP"). -EOPNOTSUPP. */
int podsource_field(const struct podspec *spec, const struct podsource_place *place, const char *path, struct buf *to,
		    struct err *err) MUST_CHECK;

/* Appends "CONFIGMAPS-OR-SECRETS/NAME". -ENAMETOOLONG. */
int podsource_name(char *to, size_t size, const char *list, const char *name) MUST_CHECK;

#endif

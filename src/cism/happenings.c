/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/happenings.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/call.h"
#include "cism/records.h"

static const char *text_or(const char *text, const char *otherwise)
{
	return text ? text : otherwise;
}

/* Equal events have equal names. */
static void name_of(const json_t *about, const char *reason, const char *message, char to[static 254])
{
	uint8_t digest[CRYPTO_SHA256_SIZE];
	char text[1600];
	char hex[17];

	(void)snprintf(text, sizeof(text), "%s|%s|%s", text_or(api_string(about, "metadata.uid"), ""), reason, message);
	crypto_sha256(text, strlen(text), digest);
	str_hex(hex, digest, 8);
	(void)snprintf(to, 254, "%.230s.%s", text_or(api_string(about, "metadata.name"), ""), hex);
}

static json_t *fresh(const json_t *about, const char *name, const char *namespace, const char *type, const char *reason,
		     const char *message, const char *stamp)
{
	char uid[37];

	call_uid(uid);
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s*}, s:s, s:s, s:s, "
			 "s:{s:s}, s:s, s:s, s:i, "
			 "s:s, s:s}",
			 "kind", "Event", "apiVersion", "v1", "metadata", "name", name, "namespace", namespace, "uid",
			 uid, "creationTimestamp", stamp, "involvedObject", "kind",
			 text_or(api_string(about, "kind"), "Pod"), "apiVersion",
			 text_or(api_string(about, "apiVersion"), "v1"), "name",
			 text_or(api_string(about, "metadata.name"), ""), "uid",
			 text_or(api_string(about, "metadata.uid"), ""), "namespace",
			 text_or(api_string(about, "metadata.namespace"), ""), "resourceVersion",
			 api_string(about, "metadata.resourceVersion"), "type", type, "reason", reason, "message",
			 message, "source", "component", "bulkhead-cism", "firstTimestamp", stamp, "lastTimestamp",
			 stamp, "count", 1, "reportingComponent", "bulkhead-cism", "reportingInstance", "");
}

int happenings_put(struct cism *cism, const json_t *about, const char *type, const char *reason, const char *message,
		   struct change *change, struct err *err)
{
	CLEANUP_OBJECT struct object event = {0};
	const char *namespace = text_or(api_string(about, "metadata.namespace"), "default");
	char stamp[CLOCK_STAMP_SIZE];
	char name[254];
	int r;

	name_of(about, reason, message, name);
	clock_format(stamp, clock_wall_ms());
	r = records_get(cism->store, records_events(), namespace, name, &event, err);
	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	if (r == ERR_NOT_FOUND)
		event.json = fresh(about, name, namespace, type, reason, message, stamp);
	else if (api_set(event.json, "count", json_integer(api_integer(event.json, "count", 1) + 1)) < 0 ||
		 api_set(event.json, "lastTimestamp", json_string(stamp)) < 0)
		return err_sys(err, -ENOMEM, "cannot count the event");
	records_put(change, records_events(), event.json, event.revision);
	return 0;
}

int happenings_first(const json_t *about, const char *type, const char *reason, const char *message,
		     struct change *change, struct err *err)
{
	CLEANUP_JSON json_t *event = NULL;
	char stamp[CLOCK_STAMP_SIZE];
	char name[254];

	name_of(about, reason, message, name);
	clock_format(stamp, clock_wall_ms());
	event = fresh(about, name, text_or(api_string(about, "metadata.namespace"), "default"), type, reason, message,
		      stamp);
	if (!event)
		return err_sys(err, -ENOMEM, "cannot record an event");
	records_put(change, records_events(), event, 0);
	return 0;
}

static int record(struct cism *cism, const json_t *about, const char *type, const char *reason, const char *message,
		  struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision;
	int r;

	change_init(&change);
	r = happenings_put(cism, about, type, reason, message, &change, err);
	return r < 0 ? r : change_commit(&change, cism->store, &revision, err);
}

void happenings_record(struct cism *cism, const json_t *about, const char *type, const char *reason,
		       const char *message)
{
	struct err err = {0};

	if (record(cism, about, type, reason, message, &err) < 0 && err.code != ERR_CONFLICT)
		log_failure("cannot record an event", &err);
}

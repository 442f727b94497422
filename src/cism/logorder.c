/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/logorder.h"

#include <errno.h>
#include <stdio.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/str.h"
#include "cism/podfacts.h"

static const char *const switches[] = {"follow", "previous", "timestamps"};
static const char *const numbers[] = {"tailLines", "sinceSeconds", "limitBytes"};

static int choose_container(const json_t *pod, const char *asked, const char **ret_name, struct err *err)
{
	const char *preferred = api_annotation(pod, "kubectl.kubernetes.io/default-container");
	struct podfacts_walk walk = {0};
	const json_t *container;
	const char *name = NULL;
	char names[512] = "";
	size_t count = 0;

	asked = asked && asked[0] ? asked : preferred;
	while ((container = podfacts_next(pod, &walk))) {
		const char *this_name = api_string(container, "name");

		if (asked && this_name && str_eq(asked, this_name)) {
			*ret_name = this_name;
			return 0;
		}
		if (str_starts(walk.path, "spec.containers")) {
			(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", count ? " " : "",
				       this_name);
			name = this_name;
			count++;
		}
	}
	if (asked)
		return err_set(err, ERR_SYNTAX, "container %s is not valid for pod %s", asked,
			       api_string(pod, "metadata.name"));
	if (count != 1)
		return err_set(err, ERR_SYNTAX, "a container name must be specified for pod %s, choose one of: [%s]",
			       api_string(pod, "metadata.name"), names);
	*ret_name = name;
	return 0;
}

static int read_switches(const struct http_request *request, json_t *order, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		const char *text = http_query(request, switches[i]);
		bool on = text && (str_eq(text, "true") || str_eq(text, "1"));

		if (text && text[0] && !on && !str_eq(text, "false") && !str_eq(text, "0"))
			return err_set(err, ERR_SYNTAX, "%s: '%.40s' is neither true nor false", switches[i], text);
		if (json_object_set_new(order, switches[i], json_boolean(on)) < 0)
			return err_sys(err, -ENOMEM, "cannot ask for the log");
	}
	return 0;
}

static int read_numbers(const struct http_request *request, json_t *order, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const char *text = http_query(request, numbers[i]);
		int64_t number;

		if (!text || !text[0])
			continue;
		if (str_parse_i64(text, -1, INT64_MAX, &number) < 0)
			return err_set(err, ERR_SYNTAX, "%s: '%.40s' is no number", numbers[i], text);
		if (number < 0)
			continue; /* kubectl's word for "all of them" */
		if (json_object_set_new(order, numbers[i], json_integer(number)) < 0)
			return err_sys(err, -ENOMEM, "cannot ask for the log");
	}
	return 0;
}

/* A time is made to seconds here, where the clock is the cluster's. */
static int read_since(const struct http_request *request, json_t *order, struct err *err)
{
	const char *text = http_query(request, "sinceTime");
	int64_t since, seconds;

	if (!text || !text[0])
		return 0;
	if (clock_parse(text, &since) < 0)
		return err_set(err, ERR_SYNTAX, "sinceTime: '%.60s' is no RFC 3339 time", text);
	seconds = (clock_wall_ms() - since + 999) / 1000;
	if (json_object_set_new(order, "sinceSeconds", json_integer(seconds < 1 ? 1 : seconds)) < 0)
		return err_sys(err, -ENOMEM, "cannot ask for the log");
	return 0;
}

int logorder_make(const struct http_request *request, const json_t *pod, const char *id, json_t **ret_order,
		  struct err *err)
{
	const char *container = NULL;
	json_t *order;
	int r;

	if (!api_string(pod, "spec.nodeName"))
		return err_set(err, ERR_SYNTAX, "pod %s does not have a host assigned",
			       api_string(pod, "metadata.name"));
	r = choose_container(pod, http_query(request, "container"), &container, err);
	if (r < 0)
		return r;
	order = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "kind", "Log", "namespace",
			  api_string(pod, "metadata.namespace"), "pod", api_string(pod, "metadata.name"), "uid",
			  api_string(pod, "metadata.uid"), "container", container);
	r = order ? read_switches(request, order, err) : err_sys(err, -ENOMEM, "cannot ask for the log");
	if (r == 0)
		r = read_numbers(request, order, err);
	if (r == 0)
		r = read_since(request, order, err);
	if (r < 0) {
		json_decref(order);
		return r;
	}
	*ret_order = order;
	return 0;
}

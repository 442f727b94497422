/* SPDX-License-Identifier: Apache-2.0 */
#include "api/columns.h"

#include <stdio.h>

#include "api/schema.h"
#include "base/clock.h"
#include "base/str.h"

#define CELL_MAX 1024

#define AGE_DOC "How long ago it was made."
#define NAME_DOC "The name, unique among its kind in a namespace."

void api_age_format(char to[static API_AGE_SIZE], int64_t ms)
{
	long long s = ms / 1000, m = s / 60, h = m / 60, d = h / 24, y = d / 365;

	if (ms < -1000)
		(void)snprintf(to, API_AGE_SIZE, "<invalid>");
	else if (s < 120)
		(void)snprintf(to, API_AGE_SIZE, "%llds", s < 0 ? 0 : s);
	else if (m < 10 && s % 60)
		(void)snprintf(to, API_AGE_SIZE, "%lldm%llds", m, s % 60);
	else if (m < 180)
		(void)snprintf(to, API_AGE_SIZE, "%lldm", m);
	else if (h < 8 && m % 60)
		(void)snprintf(to, API_AGE_SIZE, "%lldh%lldm", h, m % 60);
	else if (h < 48)
		(void)snprintf(to, API_AGE_SIZE, "%lldh", h);
	else if (d < 8 && h % 24)
		(void)snprintf(to, API_AGE_SIZE, "%lldd%lldh", d, h % 24);
	else if (y < 2)
		(void)snprintf(to, API_AGE_SIZE, "%lldd", d);
	else if (y < 8 && d % 365)
		(void)snprintf(to, API_AGE_SIZE, "%lldy%lldd", y, d % 365);
	else
		(void)snprintf(to, API_AGE_SIZE, "%lldy", y);
}

json_t *api_age_cell(const json_t *object, const char *path, int64_t now_ms)
{
	const char *stamp = api_string(object, path);
	char text[API_AGE_SIZE];
	int64_t then;

	if (!stamp || clock_parse(stamp, &then) < 0)
		return json_string("<unknown>");
	api_age_format(text, now_ms - then);
	return api_text(text);
}

static json_t *age_cell(const json_t *object, int64_t now_ms)
{
	return api_age_cell(object, "metadata.creationTimestamp", now_ms);
}

static json_t *text_or(const char *text, const char *otherwise)
{
	return api_text(text && *text ? text : otherwise);
}

const struct api_column api_columns_default[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

const struct api_column api_columns_namespace[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Status", "string", 0, "status.phase", NULL, "Active or Terminating."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

static json_t *data_cell(const json_t *object, int64_t now_ms)
{
	size_t count = json_object_size(json_object_get(object, "data")) +
		       json_object_size(json_object_get(object, "binaryData"));

	(void)now_ms;
	return json_integer((json_int_t)count);
}

const struct api_column api_columns_config_map[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Data", "integer", 0, NULL, data_cell, "How many entries it holds."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

const struct api_column api_columns_secret[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Type", "string", 0, "type", NULL, "What the entries are for."},
	{"Data", "integer", 0, NULL, data_cell, "How many entries it holds."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

static json_t *secrets_cell(const json_t *object, int64_t now_ms)
{
	(void)now_ms;
	return json_integer((json_int_t)json_array_size(json_object_get(object, "secrets")));
}

const struct api_column api_columns_service_account[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Secrets", "integer", 0, NULL, secrets_cell, "How many secrets it names."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

const struct api_column api_columns_lease[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Holder", "string", 0, "spec.holderIdentity", NULL, "Who holds it."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

static json_t *global_cell(const json_t *object, int64_t now_ms)
{
	(void)now_ms;
	return json_boolean(json_is_true(json_object_get(object, "globalDefault")));
}

const struct api_column api_columns_priority_class[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Value", "integer", 0, "value", NULL, "The larger is placed first."},
	{"Global-Default", "boolean", 0, NULL, global_cell, "Whether pods without a class have it."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

/* "cpu: 1/4, pods: 2/10" */
static json_t *quota_cell(const json_t *object, int64_t now_ms)
{
	const json_t *hard = api_value(object, "status.hard"), *used = api_value(object, "status.used");
	char text[CELL_MAX] = "";
	const char *name;
	size_t len = 0;
	json_t *value;

	(void)now_ms;
	if (!json_object_size(hard))
		hard = api_value(object, "spec.hard");
	json_object_foreach((json_t *)hard, name, value) {
		const char *in_use = json_string_value(json_object_get(used, name));

		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s: %s/%s", len ? ", " : "", name,
						in_use ? in_use : "0", json_string_value(value));
	}
	return api_text(text);
}

const struct api_column api_columns_resource_quota[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Request", "string", 0, NULL, quota_cell, "What is used of what may be."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

static json_t *external_ip_cell(const json_t *object, int64_t now_ms)
{
	const json_t *ingress = json_array_get(api_value(object, "status.loadBalancer.ingress"), 0);
	const char *address = api_string(ingress, "ip");

	(void)now_ms;
	if (!address)
		address = json_string_value(json_array_get(api_value(object, "spec.externalIPs"), 0));
	return text_or(address, "<none>");
}

static json_t *ports_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	size_t len = 0, i;
	json_t *port;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.ports"), i, port) {
		const char *protocol = api_string(port, "protocol");

		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lld/%s", len ? "," : "",
						(long long)api_integer(port, "port", 0), protocol ? protocol : "TCP");
	}
	return text_or(text, "<none>");
}

static json_t *selector_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	const char *key;
	size_t len = 0;
	json_t *value;

	(void)now_ms;
	json_object_foreach(api_value(object, "spec.selector"), key, value)
		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%s", len ? "," : "", key,
						json_string_value(value));
	return text_or(text, "<none>");
}

const struct api_column api_columns_service[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Type", "string", 0, "spec.type", NULL, "How it is reached."},
	{"Cluster-IP", "string", 0, "spec.clusterIP", NULL, "Its address in the cluster."},
	{"External-IP", "string", 0, NULL, external_ip_cell, "Its address outside."},
	{"Port(s)", "string", 0, NULL, ports_cell, "What it opens."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{"Selector", "string", 1, NULL, selector_cell, "The labels of its pods."},
	{0},
};

/* Appends "word" to a list in text, ", "-less as the tables have it. */
static size_t add_word(char *text, size_t size, size_t len, const char *separator, const char *word)
{
	int add;

	if (len >= size)
		return len;
	add = snprintf(text + len, size - len, "%s%s", len ? separator : "", word);
	return len + (add > 0 ? (size_t)add : 0);
}

static json_t *node_status_cell(const json_t *object, int64_t now_ms)
{
	const char *status = "Unknown";
	char text[64];
	json_t *condition;
	size_t i;

	(void)now_ms;
	json_array_foreach(api_value(object, "status.conditions"), i, condition) {
		const char *type = api_string(condition, "type"), *is = api_string(condition, "status");

		if (type && is && str_eq(type, "Ready"))
			status = str_eq(is, "True") ? "Ready" : "NotReady";
	}
	(void)snprintf(text, sizeof(text), "%s%s", status,
		       json_is_true(api_value(object, "spec.unschedulable")) ? ",SchedulingDisabled" : "");
	return api_text(text);
}

static json_t *node_roles_cell(const json_t *object, int64_t now_ms)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	char text[CELL_MAX] = "";
	const char *key;
	size_t len = 0;
	json_t *value;

	(void)now_ms;
	json_object_foreach(api_value(object, "metadata.labels"), key, value)
		if (str_starts(key, prefix))
			len = add_word(text, sizeof(text), len, ",", key + strlen(prefix));
	return text_or(text, "<none>");
}

static json_t *node_address_cell(const json_t *object, int64_t now_ms)
{
	json_t *address;
	size_t i;

	(void)now_ms;
	json_array_foreach(api_value(object, "status.addresses"), i, address) {
		const char *type = api_string(address, "type");

		if (type && str_eq(type, "InternalIP"))
			return text_or(api_string(address, "address"), "<none>");
	}
	return json_string("<none>");
}

static json_t *node_server_cell(const json_t *object, int64_t now_ms)
{
	(void)now_ms;
	return text_or(api_label(object, "nfv.bulkhead.dev/server"), "<unknown>");
}

static json_t *node_deployment_cell(const json_t *object, int64_t now_ms)
{
	(void)now_ms;
	return text_or(api_label(object, "nfv.bulkhead.dev/deployment"), "<unknown>");
}

const struct api_column api_columns_node[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Status", "string", 0, NULL, node_status_cell, "Whether the instance is ready."},
	{"Roles", "string", 0, NULL, node_roles_cell, "What the instance is for."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{"Version", "string", 0, "status.nodeInfo.kubeletVersion", NULL, "The version of the instance service."},
	{"Server", "string", 1, NULL, node_server_cell, "The physical server it stands on."},
	{"Deployment", "string", 1, NULL, node_deployment_cell, "BareMetal, Nested or Hybrid."},
	{"Internal-IP", "string", 1, NULL, node_address_cell, "Its address."},
	{"OS-Image", "string", 1, "status.nodeInfo.osImage", NULL, "Its operating system."},
	{"Kernel-Version", "string", 1, "status.nodeInfo.kernelVersion", NULL, "Its kernel."},
	{"Container-Runtime", "string", 1, "status.nodeInfo.containerRuntimeVersion", NULL, "Its container runtime."},
	{0},
};

static json_t *event_last_seen_cell(const json_t *object, int64_t now_ms)
{
	static const char *const paths[] = {"series.lastObservedTime", "lastTimestamp", "eventTime"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (api_string(object, paths[i]))
			return api_age_cell(object, paths[i], now_ms);
	return age_cell(object, now_ms);
}

static json_t *event_first_seen_cell(const json_t *object, int64_t now_ms)
{
	return api_age_cell(object, api_string(object, "firstTimestamp") ? "firstTimestamp" : "eventTime", now_ms);
}

static json_t *event_object_cell(const json_t *object, int64_t now_ms)
{
	const char *kind = api_string(object, "involvedObject.kind"), *name = api_string(object, "involvedObject.name");
	char text[512];

	(void)now_ms;
	(void)snprintf(text, sizeof(text), "%.100s/%.253s", kind ? kind : "", name ? name : "");
	for (char *at = text; *at && *at != '/'; at++)
		*at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	return api_text(text);
}

static json_t *event_source_cell(const json_t *object, int64_t now_ms)
{
	const char *component = api_string(object, "source.component"), *host = api_string(object, "source.host");
	char text[512];

	(void)now_ms;
	if (!component)
		component = api_string(object, "reportingComponent");
	(void)snprintf(text, sizeof(text), "%.200s%s%.200s", component ? component : "", host ? ", " : "",
		       host ? host : "");
	return api_text(text);
}

static json_t *event_count_cell(const json_t *object, int64_t now_ms)
{
	json_int_t count = api_integer(object, "series.count", api_integer(object, "count", 1));

	(void)now_ms;
	return json_integer(count ? count : 1);
}

const struct api_column api_columns_event[] = {
	{"Last Seen", "string", 0, NULL, event_last_seen_cell, "How long ago it happened last."},
	{"Type", "string", 0, "type", NULL, "Normal or Warning."},
	{"Reason", "string", 0, "reason", NULL, "What happened, as a word."},
	{"Object", "string", 0, NULL, event_object_cell, "To what."},
	{"Subobject", "string", 1, "involvedObject.fieldPath", NULL, "To which part of it."},
	{"Source", "string", 1, NULL, event_source_cell, "Who says so."},
	{"Message", "string", 0, "message", NULL, "What happened, as a sentence."},
	{"First Seen", "string", 1, NULL, event_first_seen_cell, "How long ago it happened first."},
	{"Count", "integer", 1, NULL, event_count_cell, "How often."},
	{"Name", "string", 1, "metadata.name", NULL, NAME_DOC},
	{0},
};

/* "Server:all,Instance:edge+core" */
static json_t *separation_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	size_t len = 0, i, j;
	json_t *rule, *domain;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.separation"), i, rule) {
		const char *level = api_string(rule, "level");
		size_t names = 0;

		len = add_word(text, sizeof(text), len, ",", level ? level : "?");
		len = add_word(text, sizeof(text), len, ":", json_is_true(api_value(rule, "from.all")) ? "all" : "");
		json_array_foreach(api_value(rule, "from.domains"), j, domain)
			len = add_word(text, sizeof(text), len, names++ ? "+" : "", json_string_value(domain));
	}
	return text_or(text, "<none>");
}

static json_t *interfaces_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	size_t len = 0, i;
	json_t *interface;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.interfaces"), i, interface) {
		const char *name = api_string(interface, "name");

		len = add_word(text, sizeof(text), len, ",", name ? name : "?");
	}
	return text_or(text, "<none>");
}

static json_t *sub_functions_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	size_t len = 0, i;
	json_t *function;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.subFunctions"), i, function) {
		const char *name = api_string(function, "name");

		len = add_word(text, sizeof(text), len, ",", name ? name : "?");
	}
	return text_or(text, "<none>");
}

const struct api_column api_columns_trust_domain[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Isolation", "string", 0, "spec.isolation", NULL, "Container, VM or Dedicated."},
	{"Separation", "string", 0, NULL, separation_cell, "From whom it is kept apart, and at which level."},
	{"Interfaces", "string", 0, NULL, interfaces_cell, "What may come in from outside."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{"Sub-Functions", "string", 1, NULL, sub_functions_cell,
	 "Which parts of a network function its rules tell apart."},
	{0},
};

const struct api_column api_columns_quarantine[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Reason", "string", 0, "spec.reason", NULL, "Why it is not believed."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

static json_t *image_default_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	size_t len = 0, i;
	json_t *requirement;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.default"), i, requirement) {
		const char *type = api_string(requirement, "type");

		len = add_word(text, sizeof(text), len, ",", type ? type : "?");
	}
	return text_or(text, "<none>");
}

static json_t *image_scopes_cell(const json_t *object, int64_t now_ms)
{
	const json_t *transports = api_value(object, "spec.transports");

	(void)now_ms;
	return json_integer((json_int_t)json_object_size(json_object_get(transports, "docker")));
}

static json_t *image_domains_cell(const json_t *object, int64_t now_ms)
{
	char text[CELL_MAX] = "";
	size_t len = 0, i;
	json_t *domain;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.domains"), i, domain)
		len = add_word(text, sizeof(text), len, ",", json_string_value(domain));
	return text_or(text, "<all>");
}

const struct api_column api_columns_image_policy[] = {
	{"Name", "string", 0, "metadata.name", NULL, NAME_DOC},
	{"Domains", "string", 0, NULL, image_domains_cell, "Trust domains whose pods it is for."},
	{"Default", "string", 0, NULL, image_default_cell, "What images must meet that no scope is for."},
	{"Scopes", "integer", 0, NULL, image_scopes_cell, "For how many scopes it says something of its own."},
	{"Age", "string", 0, NULL, age_cell, AGE_DOC},
	{0},
};

const struct api_column api_columns_join_token[] = {
	{"Name", "string", 0, "metadata.name", NULL, "The instance that may join with it."},
	{"Server", "string", 0, "spec.server", NULL, "The physical server it is on."},
	{"Deployment", "string", 0, "spec.deployment", NULL, "BareMetal, Nested or Hybrid."},
	{"Expires", "string", 0, "spec.expires", NULL, "When the token ends."},
	{"Used", "string", 0, "status.usedAt", NULL, "When it was used."},
	{0},
};

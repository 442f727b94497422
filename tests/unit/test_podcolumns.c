/* SPDX-License-Identifier: Apache-2.0 */
#include "api/columns.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"

#define POD(more, status) \
	"{\"metadata\":{\"name\":\"p\"" more "},\"spec\":{\"containers\":[{},{}]},\"status\":{" status "}}"
#define RUNNING "{\"ready\":true,\"state\":{\"running\":{}}}"

static void test_status(void **state)
{
	static const struct {
		const char *pod, *ready, *status, *restarts;
	} rows[] = {
		{POD("", "\"phase\":\"Pending\""), "0/2", "Pending", "0"},
		{POD("", "\"phase\":\"Pending\",\"containerStatuses\":[{\"state\":{\"waiting\":{\"reason\":"
			 "\"ContainerCreating\"}}}]"),
		 "0/2", "ContainerCreating", "0"},
		{POD("", "\"phase\":\"Running\",\"containerStatuses\":[" RUNNING "," RUNNING "]"), "2/2", "Running",
		 "0"},
		{POD("", "\"phase\":\"Running\",\"containerStatuses\":[{\"restartCount\":3,\"state\":{\"waiting\":"
			 "{\"reason\":\"CrashLoopBackOff\"}}}," RUNNING "]"),
		 "1/2", "CrashLoopBackOff", "3"},
		{POD("", "\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"reason\":"
			 "\"OOMKilled\",\"exitCode\":137}}}]"),
		 "0/2", "OOMKilled", "0"},
		{POD("", "\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":3}}}]"),
		 "0/2", "ExitCode:3", "0"},
		{POD("", "\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"reason\":\"Error\","
			 "\"exitCode\":1}}}]"),
		 "0/2", "Error", "0"},
		{POD("", "\"phase\":\"Succeeded\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"reason\":"
			 "\"Completed\"}}}]"),
		 "0/2", "Completed", "0"},
		{POD("", "\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],"
			 "\"containerStatuses\":["
			 "{\"state\":{\"terminated\":{\"reason\":\"Completed\"}}}," RUNNING "]"),
		 "1/2", "Running", "0"},
		{POD(",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"",
		     "\"phase\":\"Running\",\"containerStatuses\":[" RUNNING "]"),
		 "1/2", "Terminating", "0"},
		{POD("",
		     "\"phase\":\"Pending\",\"initContainerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":2}}}]"),
		 "0/2", "Init:ExitCode:2", "0"},
	};
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_JSON json_t *pod = json_loads(rows[i].pod, 0, NULL);
		CLEANUP_JSON json_t *table = NULL;
		struct err err = {0};
		json_t *cells;

		assert_non_null(pod);
		assert_int_equal(api_table(kind, &pod, 1, "None", false, &table, &err), 0);
		cells = api_value(json_array_get(json_object_get(table, "rows"), 0), "cells");
		assert_string_equal(json_string_value(json_array_get(cells, 1)), rows[i].ready);
		assert_string_equal(json_string_value(json_array_get(cells, 2)), rows[i].status);
		assert_string_equal(json_string_value(json_array_get(cells, 3)), rows[i].restarts);
		assert_int_equal(json_array_size(json_object_get(table, "columnDefinitions")), 0);
	}
}

/* A name that is cut inside a character must not make the whole table fail. */
static void test_cut(void **state)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Event");
	CLEANUP_JSON json_t *event = json_pack("{s:{s:s, s:s}}", "involvedObject", "kind", "Pod", "name", "");
	CLEANUP_JSON json_t *table = NULL;
	struct err err = {0};
	char name[400];
	json_t *cells;

	(void)state;
	memset(name, 0, sizeof(name));
	for (size_t i = 0; i + 2 < sizeof(name) - 1; i += 2)
		memcpy(name + i, "\xc3\xa9", 2);
	assert_int_equal(api_set(event, "involvedObject.name", json_string(name)), 0);
	assert_int_equal(api_table(kind, &event, 1, "None", false, &table, &err), 0);
	cells = api_value(json_array_get(json_object_get(table, "rows"), 0), "cells");
	assert_non_null(strstr(json_string_value(json_array_get(cells, 3)), "pod/???"));
}

static void test_age(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{-5, "<invalid>"}, {0, "0s"},       {119, "119s"},    {120, "2m"},         {130, "2m10s"},
		{3000, "50m"},     {10800, "3h"},   {11460, "3h11m"}, {86400, "24h"},      {180000, "2d2h"},
		{172800, "2d"},    {864000, "10d"}, {63072000, "2y"}, {64800000, "2y20d"}, {315360000, "10y"},
	};
	char text[API_AGE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		api_age_format(text, rows[i].seconds * 1000);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

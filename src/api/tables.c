/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "api/columns.h"
#include "base/clock.h"
#include "base/str.h"

static int add_definition(json_t *list, const struct api_column *column)
{
	json_t *definition = json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", column->name, "type", column->type,
				       "format", str_eq(column->name, "Name") ? "name" : "", "description",
				       column->doc ? column->doc : "", "priority", column->priority);

	return json_array_append_new(list, definition);
}

static json_t *cell_of(const struct api_column *column, const json_t *object, int64_t now_ms)
{
	const char *text;

	if (column->cell)
		return column->cell(object, now_ms);
	text = api_string(object, column->path);
	return json_string(text && *text ? text : "<none>");
}

/* What stands beside the cells of a row. */
static json_t *row_object(json_t *object, const char *include)
{
	json_t *metadata;

	if (str_eq(include, "None"))
		return json_null();
	if (str_eq(include, "Object"))
		return json_incref(object);
	metadata = json_object_get(object, "metadata");
	return json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1", "metadata",
			 metadata ? metadata : json_null());
}

static int add_row(json_t *rows, const struct api_column *columns, json_t *object, const char *include, int64_t now_ms)
{
	json_t *cells = json_array();
	int r = cells ? 0 : -1;

	for (const struct api_column *column = columns; r == 0 && column->name; column++)
		r = json_array_append_new(cells, cell_of(column, object, now_ms));
	if (r < 0) {
		json_decref(cells);
		return r;
	}
	return json_array_append_new(rows,
				     json_pack("{s:o, s:o}", "cells", cells, "object", row_object(object, include)));
}

int api_table(const struct api_kind *kind, json_t *const *objects, size_t count, const char *include, bool headers,
	      json_t **ret_table, struct err *err)
{
	const struct api_column *columns = kind->columns ? kind->columns : api_columns_default;
	json_t *definitions = json_array(), *rows = json_array();
	CLEANUP_JSON json_t *table = json_pack("{s:s, s:s, s:{}, s:o, s:o}", "kind", "Table", "apiVersion",
					       "meta.k8s.io/v1", "metadata", "columnDefinitions", definitions, "rows",
					       rows);
	int64_t now_ms = clock_wall_ms();
	int r = table ? 0 : -1;

	if (!include || !*include)
		include = "Metadata";
	if (!str_eq(include, "None") && !str_eq(include, "Metadata") && !str_eq(include, "Object"))
		return err_set(err, ERR_SYNTAX,
			       "includeObject: Unsupported value: \"%.60s\": supported values: "
			       "\"Metadata\", \"None\", \"Object\"",
			       include);
	for (const struct api_column *column = columns; r == 0 && headers && column->name; column++)
		r = add_definition(definitions, column);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_row(rows, columns, objects[i], include, now_ms);
	if (r < 0)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_table = take_ptr(table);
	return 0;
}

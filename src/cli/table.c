/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int table_add(struct table *table, const char *const *cells)
{
	char **grown = reallocarray(table->cells, table->count + table->columns, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	table->cells = grown;
	for (size_t i = 0; i < table->columns; i++) {
		grown[table->count] = strdup(cells[i] && *cells[i] ? cells[i] : "-");
		if (!grown[table->count]) {
			for (; i > 0; i--)
				free(grown[--table->count]);
			return -ENOMEM;
		}
		table->count++;
	}
	return 0;
}

int table_begin(struct table *table, const char *const *headers, size_t columns)
{
	*table = (struct table){.columns = columns};
	return columns > TABLE_COLUMNS_MAX ? -E2BIG : table_add(table, headers);
}

/* Characters, not bytes: the following bytes of UTF-8 take no room. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void table_print(const struct table *table)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < table->count; i++) {
		size_t width = width_of(table->cells[i]);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;

		if (column + 1 == table->columns)
			(void)printf("%s\n", table->cells[i]);
		else
			(void)printf("%s%*s", table->cells[i], (int)(widths[column] - width_of(table->cells[i]) + 2),
				     "");
	}
}

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}

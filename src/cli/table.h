/* SPDX-License-Identifier: Apache-2.0 */
/* The one printer of tables: columns as wide as their widest cell, two blanks between, no blanks at the end. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

#include "base/cleanup.h"

#define TABLE_COLUMNS_MAX 64

struct table {
	size_t columns;
	char **cells; /* row by row, the first row being the headers */
	size_t count;
};

/* Begins a table with its headers. -ENOMEM; -E2BIG over TABLE_COLUMNS_MAX. */
int table_begin(struct table *table, const char *const *headers, size_t columns) MUST_CHECK;
/* Appends a row of `columns` cells, copied; NULL and empty cells are shown as "-". -ENOMEM. */
int table_add(struct table *table, const char *const *cells) MUST_CHECK;
/* Prints it on standard output. */
void table_print(const struct table *table);
void table_done(struct table *table);
#define CLEANUP_TABLE __attribute__((cleanup(table_done)))

#endif

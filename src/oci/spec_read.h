/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of spec.c and spec_linux.c: the reader that walks tables of fields and knows the JSON path it is at. */
#ifndef OCI_SPEC_READ_H
#define OCI_SPEC_READ_H

#include "oci/spec.h"

#define SPEC_FIELD(type, member, reader)                       \
	{                                                      \
#member, reader, offsetof(type, member), false \
	}

/* One step of the way to a value: the member's name, or NULL and the item's index. */
struct spec_step {
	const char *name;
	size_t index;
};

/* The way is spelled out for errors alone: nearly all of a profile's many values have none. */
struct spec_reader {
	struct spec *spec;
	struct err *err;
	const char *file; /* what errors begin with: "config.json" */
	size_t depth;
	struct spec_step way[16];
};

typedef int (*spec_read_fn)(struct spec_reader *reader, const json_t *value, void *to);

struct spec_field {
	const char *name;
	spec_read_fn read;
	size_t offset; /* of the member that read fills */
	bool required;
};

/* Sets an error that begins with the file and the present path; returns code. */
int spec_read_fail(struct spec_reader *reader, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Reads an object by its table into a struct: to + offset of each row. */
int spec_read_object(struct spec_reader *reader, const json_t *value, const struct spec_field *fields, size_t count,
		     void *to) MUST_CHECK;

/*
 * Reads an array into a {items, count} pair at `to`, each item of `size` bytes filled by read. One zeroed item more than
 * counted is allocated. At most `most` items.
 */
int spec_read_array(struct spec_reader *reader, const json_t *value, size_t size, size_t most, spec_read_fn read,
		    void *to) MUST_CHECK;

/* Calls read for one member with the way extended by its name. */
int spec_read_member(struct spec_reader *reader, const char *name, const json_t *value, spec_read_fn read,
		     void *to) MUST_CHECK;

/* Zeroed memory that lives as long as the spec. NULL without memory. */
void *spec_read_alloc(struct spec_reader *reader, size_t bytes);

/* An integer within the range, else an error with the path. */
int spec_read_integer(struct spec_reader *reader, const json_t *value, int64_t least, int64_t most,
		      int64_t *ret) MUST_CHECK;

/* The index of a string value in a list of words; an error that quotes the word with `what` when it is not there. */
int spec_read_word(struct spec_reader *reader, const json_t *value, const char *const *words, size_t count,
		   const char *what, size_t *ret) MUST_CHECK;

/* Readers of single values; `to` is the type in the name. */
int spec_read_bool(struct spec_reader *reader, const json_t *value, void *to_bool) MUST_CHECK;
int spec_read_string(struct spec_reader *reader, const json_t *value, void *to_string) MUST_CHECK;
int spec_read_path(struct spec_reader *reader, const json_t *value, void *to_string) MUST_CHECK; /* absolute */
int spec_read_u32(struct spec_reader *reader, const json_t *value, void *to_u32) MUST_CHECK;
int spec_read_number(struct spec_reader *reader, const json_t *value,
		     void *to_number) MUST_CHECK; /* spec_number, -1… */
int spec_read_strings(struct spec_reader *reader, const json_t *value, void *to_strings) MUST_CHECK;
int spec_read_paths(struct spec_reader *reader, const json_t *value, void *to_strings) MUST_CHECK;
int spec_read_pairs(struct spec_reader *reader, const json_t *value, void *to_pairs) MUST_CHECK;
int spec_read_idmaps(struct spec_reader *reader, const json_t *value, void *to_idmaps) MUST_CHECK;

/* Whole strings NAME=VALUE, as for environments. */
int spec_read_envs(struct spec_reader *reader, const json_t *value, void *to_strings) MUST_CHECK;

/* Refuses a field that is set to anything but null, "", false, 0 or an empty list or object. */
int spec_read_refuse(struct spec_reader *reader, const json_t *value, void *unused) MUST_CHECK;

/* The whole "process" object. */
int spec_process_read(struct spec_reader *reader, const json_t *value, void *to_process) MUST_CHECK;

/* The whole "linux" object; and its "resources" alone. */
int spec_linux_read(struct spec_reader *reader, const json_t *value, void *to_linux) MUST_CHECK;
int spec_linux_read_resources(struct spec_reader *reader, const json_t *value, void *to_resources) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a table says about a kind. A message is a list of fields that ends with a row without name; a kind (api.h) is a
 * message plus its place in the paths. Everything in src/api walks these; nothing there asks for a kind by name.
 */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H

#include "api/api.h"

enum api_type {
	API_STRING,
	API_BOOL,
	API_INT32,
	API_INT64,
	API_BYTES,         /* base64 in JSON */
	API_TIME,          /* RFC 3339, whole seconds */
	API_MICRO_TIME,    /* RFC 3339 with microseconds */
	API_QUANTITY,      /* "500m", "64Mi" */
	API_INT_OR_STRING, /* 80 or "http" */
	API_OBJECT,        /* .of says which message */
	API_ANY,           /* any JSON object, not looked into */
};

enum {
	API_LIST = 1 << 0,
	API_MAP = 1 << 1,     /* string keys */
	API_POINTER = 1 << 2, /* a zero value that is present means something */
	API_REQUIRED = 1 << 3,
	API_INLINE = 1 << 4, /* a message of its own in protobuf, but its fields stand in the outer object in JSON */
	API_MERGE = 1 << 5,  /* strategic merge patch merges the list by merge_key, or as a set when it has none */
	API_RETAIN = 1 << 6, /* strategic merge patch: $retainKeys is meant */
	API_ATOMIC = 1 << 7, /* server-side apply owns it as a whole */
	API_SET = 1 << 8,    /* server-side apply owns each value */
	API_UNION = 1 << 9,  /* of the fields so marked in a message exactly one is set */
	API_IMMUTABLE = 1 << 10,
};

/* Checks of one value; their messages are those of Kubernetes (checks.c). */
enum api_check {
	API_CHECK_NONE,
	API_CHECK_LABEL,       /* DNS label */
	API_CHECK_LABEL_1035,  /* DNS label that begins with a letter */
	API_CHECK_SUBDOMAIN,   /* DNS subdomain */
	API_CHECK_LABEL_KEY,   /* [prefix/]name */
	API_CHECK_LABELS,      /* a map of labels: keys and values */
	API_CHECK_ANNOTATIONS, /* keys, and 256 KiB in all */
	API_CHECK_ENV_NAME,
	API_CHECK_PORT, /* 1 to 65535; as a string a port name */
	API_CHECK_PORT_NAME,
	API_CHECK_IP,
	API_CHECK_CIDR,
	API_CHECK_IMAGE,         /* no blank at either end */
	API_CHECK_NO_BACKSTEP,   /* a path without '..' */
	API_CHECK_RELATIVE_PATH, /* and not absolute */
	API_CHECK_FILE_MODE,     /* 0 to 0777 */
	API_CHECK_NOT_NEGATIVE,
	API_CHECK_POSITIVE,
	API_CHECK_WEIGHT, /* 1 to 100 */
	API_CHECK_ID,     /* a uid or gid */
	API_CHECK_SYSCTL,
	API_CHECK_CAPABILITY, /* a capability's name without CAP_ */
	API_CHECK_UNIQUE,     /* a list: no two items with the same merge_key */
};

struct api_message;

struct api_field {
	const char *name;
	int number; /* protobuf field number; 0 for what has none */
	enum api_type type;
	unsigned int flags;
	const struct api_message *of; /* API_OBJECT */
	const char *merge_key;        /* key of the items of an API_MERGE list */
	const char *keys; /* server-side apply: keys of the items, separated by commas, where they are not merge_key */
	const char *const *words; /* the only values allowed, NULL-terminated */
	const char *initial;      /* default: text for strings and numbers, JSON for lists and objects */
	enum api_check check;
	size_t most;     /* items of a list, bytes of a string; 0 for no limit of its own */
	const char *doc; /* what kubectl explain says */
};

struct api_place;
struct api_faults;

struct api_message {
	const char *name; /* "io.k8s.api.core.v1.Pod" */
	const struct api_field *fields;
	const char *one_of; /* what the API_UNION fields are: "volume type" */
	/* Defaults that turn on other fields; runs before those of the fields. -ENOMEM. */
	int (*fill)(json_t *object);
	/* Checks that concern several fields. */
	void (*check)(struct api_faults *faults, const struct api_place *at, const json_t *object);
	const char *doc;
};

/* Where the walk is: a chain of fields, list indices and map keys on the stack. */
struct api_place {
	const struct api_place *up; /* NULL at the root */
	const char *name;           /* field or key; NULL for an index */
	size_t index;
	bool is_key; /* written as [name] */
};

/* Writes "spec.containers[0].name"; cut when longer. */
void api_place_format(const struct api_place *at, char *to, size_t size);

/* Faults found by a walk, joined by a separator; the text stays below ERR_MESSAGE_MAX, what does not fit is counted. */
struct api_faults {
	const char *separator;
	size_t count;
	size_t hidden;
	size_t len;
	char text[ERR_MESSAGE_MAX - 256];
};

/* Adds "PATH: message". name may be NULL, or a field below the place. */
void api_fault(struct api_faults *faults, const struct api_place *at, const char *name, const char *format, ...)
	PRINTF_LIKE(4, 5);

/* Adds one entry as it stands. */
void api_fault_text(struct api_faults *faults, const char *text);

/* The row of a JSON field, inline messages looked through; NULL when there is none. */
const struct api_field *api_field_find(const struct api_message *message, const char *name);

/* The next row in JSON's order with inline messages opened; begin with *at zeroed. NULL at the end. */
struct api_cursor {
	const struct api_field *stack[4];
	int depth;
	bool begun;
};
const struct api_field *api_field_next(const struct api_message *message, struct api_cursor *at);

/* Whether a field may be written as absent: null, or zero where zero says nothing. */
bool api_is_absent(const struct api_field *field, const json_t *value);

/* Checks a value by a row's check and words; adds what is wrong to faults. */
void api_check_value(const struct api_field *field, struct api_faults *faults, const struct api_place *at,
		     const json_t *value);
/* What is wrong with a string in the eyes of a check, or NULL. */
const char *api_check_string(enum api_check check, const char *text);

/*
 * Bytes to JSON values. Duplicate keys are an error by path, "duplicate field \"a.b\"", unless allow_duplicates (the last one
 * counts). Nesting over API_DEPTH_MAX and aliases in YAML are refused.
 */
int api_json_parse(const char *bytes, size_t len, bool allow_duplicates, json_t **ret_value,
		   struct err *err) MUST_CHECK;
int api_yaml_parse(const char *bytes, size_t len, bool allow_duplicates, json_t **ret_value,
		   struct err *err) MUST_CHECK;

/* A body in protobuf's envelope (k8s\0) to JSON values by the tables; fields no table knows are skipped as protobuf wants it. */
int api_wire_parse(const struct api_kind *kind, const char *bytes, size_t len, json_t **ret_value,
		   struct err *err) MUST_CHECK;

/* Checks names and types of an object against the tables in place, and drops nulls. As api_decode. */
int api_conform(const struct api_kind *kind, json_t *object, enum api_strictness strictness, struct buf *warnings,
		struct err *err) MUST_CHECK;

/* A string value of text that may be cut inside a character or be no UTF-8 at all: '?' stands for what is not ASCII then. */
json_t *api_text(const char *text);

/* "v1" or "group/version" into to. */
#define API_VERSION_MAX 320
void api_version_format(const struct api_kind *kind, char to[static API_VERSION_MAX]);

#endif

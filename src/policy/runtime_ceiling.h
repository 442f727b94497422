/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceiling of the container runtime on one machine (ISO-3): whatever a config.json asks, the container never gets more.
 * A ceiling file is read into rules; facts about what is asked go in, and out come findings, each with a sentence that
 * names the field of config.json and the key of the file. docs/ceiling.md describes the files.
 */
#ifndef POLICY_RUNTIME_CEILING_H
#define POLICY_RUNTIME_CEILING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RUNTIME_CEILING_BYTES_MAX (1u << 20)
#define RUNTIME_CEILING_FILES_MAX 64
#define RUNTIME_CEILING_FINDINGS_MAX 4096
#define RUNTIME_CEILING_IDS 65536 /* ids of one range for an added user namespace */

enum runtime_ceiling_namespace {
	RUNTIME_CEILING_NETWORK,
	RUNTIME_CEILING_PID,
	RUNTIME_CEILING_IPC,
	RUNTIME_CEILING_UTS,
	RUNTIME_CEILING_CGROUP,
	RUNTIME_CEILING_TIME,
	RUNTIME_CEILING_NAMESPACES
};

/* What a namespace is shared with, from the least to the most. */
enum runtime_ceiling_share { RUNTIME_CEILING_OWN, RUNTIME_CEILING_JOINED, RUNTIME_CEILING_HOST };

/* Where mount events go, from the least to the most. */
enum runtime_ceiling_propagation { RUNTIME_CEILING_PRIVATE, RUNTIME_CEILING_SLAVE, RUNTIME_CEILING_SHARED };

enum runtime_ceiling_family {
	RUNTIME_CEILING_UNIX = 1 << 0,
	RUNTIME_CEILING_INET = 1 << 1,
	RUNTIME_CEILING_INET6 = 1 << 2,
	RUNTIME_CEILING_NETLINK = 1 << 3,
	RUNTIME_CEILING_PACKET = 1 << 4
};

/* CPU in thousandths of a processor, memory and swap (memory and swap together, as in config.json) in bytes. */
enum runtime_ceiling_limit_kind {
	RUNTIME_CEILING_CPU,
	RUNTIME_CEILING_MEMORY,
	RUNTIME_CEILING_SWAP,
	RUNTIME_CEILING_PIDS,
	RUNTIME_CEILING_LIMITS
};

struct runtime_ceiling_limit {
	bool has_default;
	bool has_most;
	bool default_percent; /* of the machine */
	bool most_percent;
	uint64_t value; /* the default */
	uint64_t most;
};

struct runtime_ceiling_source {
	const char *path;
	bool read_only;
};

struct runtime_ceiling_device {
	char type;          /* 'c', 'b', or 'a' for both */
	int64_t major;      /* -1: any */
	int64_t minor;      /* -1: any */
	const char *access; /* of "rwm" */
};

struct runtime_ceiling_rlimit {
	const char *name; /* "RLIMIT_NOFILE" */
	uint64_t most;
};

/* One file. Lists are NULL when the file has no such key; strings belong to json. */
struct runtime_ceiling {
	json_t *json;
	char file[256]; /* as errors name it */
	bool narrow;
	bool has_capabilities;
	uint64_t capabilities;
	bool has_namespace[RUNTIME_CEILING_NAMESPACES];
	enum runtime_ceiling_share namespaces[RUNTIME_CEILING_NAMESPACES];
	bool has_user_add;
	bool user_add; /* where it is possible */
	bool user_demand;
	bool has_user_ids;
	uint32_t user_first_id;
	uint32_t user_ranges;
	struct runtime_ceiling_source *sources;
	size_t source_count;
	struct runtime_ceiling_source *root_sources;
	size_t root_source_count;
	bool has_propagation;
	enum runtime_ceiling_propagation propagation;
	struct runtime_ceiling_device *devices;
	size_t device_count;
	const json_t *syscalls_deny;
	const json_t *syscalls_allow;
	bool has_families;
	uint32_t families; /* enum runtime_ceiling_family */
	const json_t *sysctls;
	struct runtime_ceiling_limit limits[RUNTIME_CEILING_LIMITS];
	struct runtime_ceiling_rlimit *rlimits;
	size_t rlimit_count;
	bool no_new_privileges;
	bool root_read_only;
	bool no_terminal;
	const json_t *masked_paths;
	const json_t *readonly_paths;
	const json_t *hooks;
	const json_t *hook_environment;
	const json_t *annotations;
	const json_t *cgroups_paths;
};

/*
 * Reads a ceiling file. ERR_SYNTAX when it is no JSON object (duplicate keys included), ERR_INVALID with the field's path
 * otherwise; every error begins with the file. The caller ends with runtime_ceiling_done, also after an error.
 */
int runtime_ceiling_parse(struct runtime_ceiling *ceiling, const char *file, const char *bytes, size_t len,
			  struct err *err) MUST_CHECK;
void runtime_ceiling_done(struct runtime_ceiling *ceiling);

struct runtime_ceiling_words {
	const char *const *items;
	size_t count;
};

struct runtime_ceiling_set {
	const char *name; /* "bounding" */
	uint64_t mask;
};

struct runtime_ceiling_mount {
	bool bind;          /* of the host's files; the others do not count */
	const char *source; /* what it really is: absolute, without links; NULL when it cannot be told */
	bool writable;
	enum runtime_ceiling_propagation propagation;
	char device; /* 'c' or 'b' when the source is a device, else 0 */
	uint32_t major;
	uint32_t minor;
};

struct runtime_ceiling_rule_call {
	struct runtime_ceiling_words names;
	bool permits;     /* the call is made: allowed, logged, traced or decided by a listener */
	bool conditional; /* on its arguments */
};

struct runtime_ceiling_asked_rlimit {
	const char *name;
	uint64_t soft;
	uint64_t hard;
};

struct runtime_ceiling_hook {
	const char *phase;
	size_t index;                     /* in its phase */
	const char *path;                 /* what it really is; NULL when it cannot be told */
	struct runtime_ceiling_words env; /* "NAME=value" */
};

struct runtime_ceiling_asked_limit {
	bool present;
	bool unlimited; /* asked for without a limit */
	bool raw;       /* set through linux.resources.unified */
	uint64_t value;
};

/* What a configuration asks for. Arrays and strings are the caller's. */
struct runtime_ceiling_facts {
	const char *document; /* what the sentences begin with: "config.json" */
	struct runtime_ceiling_set capabilities[5];
	size_t set_count;
	bool has_namespaces; /* false for a process that is added */
	enum runtime_ceiling_share namespaces[RUNTIME_CEILING_NAMESPACES];
	const struct runtime_ceiling_mount *mounts;
	size_t mount_count;
	enum runtime_ceiling_propagation root_propagation;
	const struct runtime_ceiling_device *nodes; /* linux.devices */
	size_t node_count;
	const struct runtime_ceiling_device *rules; /* linux.resources.devices; access NULL for those that deny */
	size_t rule_count;
	bool has_profile;
	bool profile_permits; /* its default action */
	const struct runtime_ceiling_rule_call *calls;
	size_t call_count;
	struct runtime_ceiling_words sysctls;
	bool has_limits; /* limits and unified count */
	bool all_limits; /* and one that is not there is none: false for an update, which leaves the others */
	struct runtime_ceiling_asked_limit limits[RUNTIME_CEILING_LIMITS];
	const struct runtime_ceiling_asked_rlimit *rlimits;
	size_t rlimit_count;
	bool has_process;
	bool no_new_privileges;
	bool terminal;
	bool has_root; /* root, paths, hooks, annotations and the control group's path count */
	bool root_read_only;
	const char *root;   /* what it really is, as a mount's source */
	bool root_writable; /* the host's files are written */
	bool root_is_system; /* it is, holds or lies in what is the machine's own and no image: /, /proc, /etc/bulkhead */
	struct runtime_ceiling_words masked_paths;
	struct runtime_ceiling_words readonly_paths;
	const struct runtime_ceiling_hook *hooks;
	size_t hook_count;
	struct runtime_ceiling_words annotations;
	const char *cgroups_path; /* NULL: the runtime's own choice */
};

enum runtime_ceiling_rule {
	RUNTIME_CEILING_RULE_CAPABILITY,  /* set: part, capability: number */
	RUNTIME_CEILING_RULE_NAMESPACE,   /* part */
	RUNTIME_CEILING_RULE_SOURCE,      /* mount: index */
	RUNTIME_CEILING_RULE_WRITABLE,    /* mount: index */
	RUNTIME_CEILING_RULE_PROPAGATION, /* mount: index; number: at most */
	RUNTIME_CEILING_RULE_ROOT_PROPAGATION,
	RUNTIME_CEILING_RULE_NODE,             /* linux.devices: index */
	RUNTIME_CEILING_RULE_DEVICE,           /* linux.resources.devices: index */
	RUNTIME_CEILING_RULE_CALL,             /* linux.seccomp.syscalls: index, name: word */
	RUNTIME_CEILING_RULE_CALLS_BY_DEFAULT, /* the profile's default action permits; all that may be permitted: list */
	RUNTIME_CEILING_RULE_SYSCTL,           /* word */
	RUNTIME_CEILING_RULE_LIMIT,            /* kind of the field: part, at most: number */
	RUNTIME_CEILING_RULE_RAW_LIMIT,        /* kind: part, key: word */
	RUNTIME_CEILING_RULE_RLIMIT,           /* index; at most: number */
	RUNTIME_CEILING_RULE_NO_NEW_PRIVILEGES,
	RUNTIME_CEILING_RULE_ROOT_READ_ONLY,
	RUNTIME_CEILING_RULE_ROOT_SOURCE,      /* always refused: there is no container without a root */
	RUNTIME_CEILING_RULE_TERMINAL,         /* always refused: the caller waits for it */
	RUNTIME_CEILING_RULE_MASKED_PATH,      /* word */
	RUNTIME_CEILING_RULE_READONLY_PATH,    /* word */
	RUNTIME_CEILING_RULE_HOOK,             /* index in facts->hooks */
	RUNTIME_CEILING_RULE_HOOK_ENVIRONMENT, /* index in facts->hooks; word: the whole variable */
	RUNTIME_CEILING_RULE_ANNOTATION,       /* word */
	RUNTIME_CEILING_RULE_CGROUPS_PATH
};

/* One thing that is over a ceiling, and what narrowing needs to know. word belongs to the facts or to the ceiling. */
struct runtime_ceiling_finding {
	enum runtime_ceiling_rule rule;
	size_t index;
	size_t part;
	uint64_t number;
	const char *word;
	const json_t *list; /* the file's */
	char sentence[512];
};

struct runtime_ceiling_findings {
	struct runtime_ceiling_finding *items;
	size_t count;
};
void runtime_ceiling_findings_done(struct runtime_ceiling_findings *findings);

/* What the machine has, for limits that are a share of it. */
struct runtime_ceiling_machine {
	uint64_t cpu_milli;
	uint64_t memory;
	uint64_t pids;
};

/*
 * Holds what is asked against one file's rules. A file that refuses: ERR_DENIED with the first finding's sentence. A
 * file that narrows: its findings are appended. The caller frees them with runtime_ceiling_findings_done.
 */
int runtime_ceiling_check(const struct runtime_ceiling *ceiling, const struct runtime_ceiling_facts *facts,
			  const struct runtime_ceiling_machine *machine, struct runtime_ceiling_findings *findings,
			  struct err *err) MUST_CHECK;

/*
 * The limit of a container that asks for none: the least of the files' defaults and maxima; without any default in them
 * the built-in one (three quarters of the processors, half of the memory, 4096 processes; none for swap). What memory and
 * swap together may be at most bounds memory as well. False: none.
 */
bool runtime_ceiling_default(const struct runtime_ceiling *ceilings, size_t count, enum runtime_ceiling_limit_kind kind,
			     const struct runtime_ceiling_machine *machine, uint64_t *ret_value);

/* What speaks for and against a user namespace that the caller did not ask for. */
struct runtime_ceiling_user_facts {
	bool given;          /* config.json has one that is not the host's */
	const char *exposed; /* the field of one that is given and what of the machine it maps; NULL: nothing */
	const char *shared;  /* a namespace that is not new, which the container would lose its rights in; NULL: none */
	uint64_t capabilities; /* of the bounding set */
	uint32_t greatest_id;  /* that config.json names */
	const char *obstacle;  /* why owners cannot be mapped, or why there are no ids; NULL: nothing */
};

/*
 * Whether a container without a user namespace gets one: where it is possible unless every file that speaks of it says
 * never. 1: it gets one. 0: it has one or does without; reason says why, empty when there is nothing to say. ERR_DENIED
 * when a file demands one and none can be had, or the one that is given maps what is the machine's.
 */
int runtime_ceiling_user_decide(const struct runtime_ceiling *ceilings, size_t count,
				const struct runtime_ceiling_user_facts *facts, char *reason, size_t size,
				struct err *err) MUST_CHECK;

/* The file that gives ids for added user namespaces, NULL: none. ERR_INVALID when two do. */
int runtime_ceiling_user_ids(const struct runtime_ceiling *ceilings, size_t count,
			     const struct runtime_ceiling **ret_ceiling, struct err *err) MUST_CHECK;

/* The word of a limit in a file ("cpu"), and of a namespace ("network"). */
const char *runtime_ceiling_limit_name(enum runtime_ceiling_limit_kind kind);
const char *runtime_ceiling_namespace_name(enum runtime_ceiling_namespace which);

/* Whether any of an array of strings, as patterns of '*', matches. */
bool runtime_ceiling_matches(const json_t *patterns, const char *string);

#endif

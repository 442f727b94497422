/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime specification's config.json, read strictly: bounded, every known field checked for type and range, and
 * each error names the JSON path. A field that is not known is ignored as the specification asks; a known one that this
 * runtime cannot honour, and whose loss would weaken the container, is refused.
 */
#ifndef OCI_SPEC_H
#define OCI_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SPEC_BYTES_MAX (1u << 20)

/* A list of strings; the array ends with NULL so that it can serve as argv. */
struct spec_strings {
	const char **items;
	size_t count;
};

struct spec_pair {
	const char *key;
	const char *value;
};

struct spec_pairs {
	struct spec_pair *items;
	size_t count;
};

struct spec_rlimit {
	int resource; /* RLIMIT_* */
	const char *name;
	uint64_t soft;
	uint64_t hard;
};

struct spec_rlimits {
	struct spec_rlimit *items;
	size_t count;
};

struct spec_gids {
	uint32_t *items;
	size_t count;
};

enum spec_capability_set {
	SPEC_BOUNDING,
	SPEC_EFFECTIVE,
	SPEC_PERMITTED,
	SPEC_INHERITABLE,
	SPEC_AMBIENT,
	SPEC_CAPABILITY_SETS
};

struct spec_user {
	uint32_t uid;
	uint32_t gid;
	uint32_t umask;
	bool has_umask;
	struct spec_gids additional;
};

/* As sched_setattr(2) takes it. */
struct spec_scheduler {
	bool present;
	uint32_t policy;
	uint32_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

struct spec_process {
	bool present;
	bool terminal;
	uint32_t console_width;
	uint32_t console_height;
	bool no_new_privileges;
	bool has_oom_score_adj;
	int32_t oom_score_adj;
	struct spec_user user;
	struct spec_strings args;
	struct spec_strings env;
	const char *cwd;
	const char *apparmor_profile; /* NULL when absent */
	struct spec_scheduler scheduler;
	uint32_t io_class;            /* IOPRIO_CLASS_*, 0 when absent */
	uint32_t io_priority;         /* within the class */
	const char *affinity_initial; /* processors of a process added later, while it joins; NULL when absent */
	const char *affinity_final;   /* and when it executes its program */
	uint64_t capabilities[SPEC_CAPABILITY_SETS]; /* bit n: capability n */
	struct spec_rlimits rlimits;
};

struct spec_idmap {
	uint32_t container;
	uint32_t host;
	uint32_t size;
};

struct spec_idmaps {
	struct spec_idmap *items;
	size_t count;
};

struct spec_mount {
	const char *destination;
	const char *type;   /* NULL when absent */
	const char *source; /* NULL when absent */
	struct spec_strings options;
	struct spec_idmaps uid_maps;
	struct spec_idmaps gid_maps;
};

struct spec_mounts {
	struct spec_mount *items;
	size_t count;
};

struct spec_hook {
	const char *path;
	struct spec_strings args;
	struct spec_strings env;
	int32_t timeout_s; /* 0: none */
};

struct spec_hook_list {
	struct spec_hook *items;
	size_t count;
};

enum spec_hook_phase {
	SPEC_PRESTART,
	SPEC_CREATE_RUNTIME,
	SPEC_CREATE_CONTAINER,
	SPEC_START_CONTAINER,
	SPEC_POSTSTART,
	SPEC_POSTSTOP,
	SPEC_HOOK_PHASES
};

enum spec_namespace_type {
	SPEC_NS_USER,
	SPEC_NS_MOUNT,
	SPEC_NS_PID,
	SPEC_NS_NETWORK,
	SPEC_NS_IPC,
	SPEC_NS_UTS,
	SPEC_NS_CGROUP,
	SPEC_NS_TIME,
	SPEC_NS_TYPES
};

struct spec_namespace {
	bool wanted;
	const char *path; /* NULL: a new one */
};

struct spec_device {
	const char *path;
	char type; /* 'c', 'b' or 'p' */
	uint32_t major;
	uint32_t minor;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
};

struct spec_devices {
	struct spec_device *items;
	size_t count;
};

struct spec_device_rule {
	bool allow;
	char type;     /* 'a', 'c' or 'b' */
	int64_t major; /* -1: any */
	int64_t minor; /* -1: any */
	const char *access;
};

struct spec_device_rules {
	struct spec_device_rule *items;
	size_t count;
};

/* A number that may be absent. */
struct spec_number {
	bool present;
	int64_t value;
};

/* Rates of I/O that are bounded for each device. */
enum spec_io_rate {
	SPEC_IO_READ_BYTES,
	SPEC_IO_WRITE_BYTES,
	SPEC_IO_READ_OPERATIONS,
	SPEC_IO_WRITE_OPERATIONS,
	SPEC_IO_RATES
};

/* A disk with its weights or its rate; which of them count depends on the list it is in. */
struct spec_io_device {
	uint32_t major;
	uint32_t minor;
	struct spec_number weight;
	struct spec_number leaf_weight;
	struct spec_number rate;
};

struct spec_io_devices {
	struct spec_io_device *items;
	size_t count;
};

struct spec_huge_page {
	const char *size; /* "2MB" */
	struct spec_number limit;
};

struct spec_huge_pages {
	struct spec_huge_page *items;
	size_t count;
};

struct spec_net_priority {
	const char *name;
	uint32_t priority;
};

struct spec_net_priorities {
	struct spec_net_priority *items;
	size_t count;
};

struct spec_rdma {
	const char *name;
	struct spec_number handles;
	struct spec_number objects;
};

struct spec_resources {
	struct spec_number memory_limit;
	struct spec_number memory_reservation;
	struct spec_number memory_swap;
	struct spec_number memory_swappiness;
	struct spec_number cpu_shares;
	struct spec_number cpu_quota;
	struct spec_number cpu_period;
	struct spec_number cpu_burst;
	struct spec_number cpu_idle;
	struct spec_number cpu_rt_runtime;
	struct spec_number cpu_rt_period;
	struct spec_number pids_limit;
	struct spec_number io_weight;
	struct spec_number io_leaf_weight;
	struct spec_io_devices io_weights;
	struct spec_io_devices io_rates[SPEC_IO_RATES];
	struct spec_huge_pages huge_pages;
	struct spec_number net_class;
	struct spec_net_priorities net_priorities;
	struct spec_rdma *rdma;
	size_t rdma_count;
	const char *cpus;
	const char *mems;
	bool disable_oom_killer;
	bool memory_check; /* refuse a memory limit below what is used */
	struct spec_device_rules devices;
	struct spec_pairs unified;
};

/* Actions as the kernel's SECCOMP_RET_* without their data. */
struct spec_seccomp_arg {
	uint32_t index;
	uint64_t value;
	uint64_t value_two;
	enum spec_seccomp_op {
		SPEC_OP_NE,
		SPEC_OP_LT,
		SPEC_OP_LE,
		SPEC_OP_EQ,
		SPEC_OP_GE,
		SPEC_OP_GT,
		SPEC_OP_MASKED_EQ
	} op;
};

struct spec_seccomp_args {
	struct spec_seccomp_arg *items;
	size_t count;
};

struct spec_seccomp_rule {
	struct spec_strings names;
	uint32_t action;
	struct spec_number errno_ret;
	struct spec_seccomp_args args;
};

struct spec_seccomp_rules {
	struct spec_seccomp_rule *items;
	size_t count;
};

struct spec_seccomp {
	bool present;
	uint32_t default_action;
	struct spec_number default_errno_ret;
	struct spec_strings architectures;
	struct spec_strings flags;
	struct spec_seccomp_rules rules;
	const char *listener_path;     /* absolute; NULL when absent */
	const char *listener_metadata; /* NULL when absent */
};

enum spec_propagation {
	SPEC_PROPAGATION_DEFAULT,
	SPEC_PROPAGATION_PRIVATE,
	SPEC_PROPAGATION_SLAVE,
	SPEC_PROPAGATION_SHARED,
	SPEC_PROPAGATION_UNBINDABLE,
};

/* How far the clocks of a time namespace are ahead. */
struct spec_time_offset {
	bool present;
	int64_t seconds;
	uint32_t nanoseconds;
};

struct spec_linux {
	struct spec_namespace namespaces[SPEC_NS_TYPES];
	struct spec_idmaps uid_maps;
	struct spec_idmaps gid_maps;
	struct spec_devices devices;
	const char *cgroups_path;
	struct spec_resources resources;
	struct spec_pairs sysctl;
	struct spec_seccomp seccomp;
	enum spec_propagation propagation;
	bool has_personality;
	uint32_t personality; /* PER_* */
	struct spec_time_offset monotonic;
	struct spec_time_offset boottime;
	struct spec_strings masked_paths;
	struct spec_strings readonly_paths;
};

struct spec {
	const char *version;
	const char *root_path; /* NULL when there is no root */
	bool root_readonly;
	const char *hostname;
	const char *domainname;
	struct spec_process process;
	struct spec_mounts mounts;
	struct spec_hook_list hooks[SPEC_HOOK_PHASES];
	struct spec_pairs annotations;
	struct spec_linux linux_;
	json_t *json;            /* owns every string above */
	struct spec_block *heap; /* owns every array above */
};

/*
 * Reads a config.json. ERR_TOO_LARGE over SPEC_BYTES_MAX, ERR_SYNTAX when it is no JSON object (duplicate keys and
 * embedded NULs included), ERR_INVALID with the path of the field otherwise. The caller ends with spec_done, also after
 * an error.
 */
int spec_parse(struct spec *spec, const char *bytes, size_t len, struct err *err) MUST_CHECK;

/* Reads a bare process object, as `exec --process` takes it. Errors and ownership as spec_parse. */
int spec_parse_process(struct spec *spec, const char *bytes, size_t len, struct err *err) MUST_CHECK;

/* Reads a bare resources object, as `update --resources` takes it. Errors and ownership as spec_parse. */
int spec_parse_resources(struct spec *spec, const char *bytes, size_t len, struct err *err) MUST_CHECK;

/* Frees what the parser allocated. */
void spec_done(struct spec *spec);
#define CLEANUP_SPEC __attribute__((cleanup(spec_done)))

/* The value of an annotation, or NULL. */
const char *spec_annotation(const struct spec *spec, const char *key);

/* The number of a capability ("CAP_CHOWN"), -1 when unknown; and its name, NULL when unknown. */
int spec_capability_number(const char *name);
const char *spec_capability_name(int number);

/* The number of a limit ("RLIMIT_NOFILE"), -1 when unknown. */
int spec_rlimit_number(const char *name);

/* The word of the specification for a namespace ("network"). */
const char *spec_namespace_name(enum spec_namespace_type type);

#endif

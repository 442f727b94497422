/* SPDX-License-Identifier: Apache-2.0 */
/* Confinement probes: each tries one way out of a container and stops where it would begin to harm. */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a probe answers: 0 when it got out, -errno of the step that was refused, or that there was nothing to try. */
#define PROBE_INAPPLICABLE 1

/* What the test's side outside knows and has made for the probes; each is named so on the command line. */
struct facts {
	pid_t victim;         /* a process of the test's own, by the host's number */
	uint64_t address;     /* eight bytes of its memory that say PROBE_SECRET */
	const char *secret;   /* a file that holds PROBE_SECRET, by the host's path */
	const char *socket;   /* a listening socket, by the host's path */
	const char *open;     /* the name of a file that anyone may read and that holds PROBE_SECRET */
	const char *handle;   /* the secret's file handle: type:hexadecimal */
	const char *abstract; /* a listening socket's abstract name */
	const char *network;  /* the host's network namespace as /proc/self/ns/net shows it */
	const char *names;    /* the host's uts namespace */
	int segment;          /* the key of a shared memory segment of the test's own */
	unsigned int major;   /* a block device of the test's own, its first bytes PROBE_SECRET; 0: none */
	unsigned int minor;
	unsigned int processes; /* the container's limits */
	uint64_t memory;
	uint64_t program;      /* the inode of the runtime's program */
	unsigned int refusals; /* by how many of its processes a way is refused before it counts as held */
};

#define PROBE_SECRET "BULKHEAD"

struct probe {
	const char *name;
	const char *about; /* the class of escapes */
	const char *shape; /* where the shape comes from */
	int (*run)(const struct facts *facts);
};

struct probe_list {
	const struct probe *items;
	size_t count;
};

extern const struct probe_list probe_calls, probe_sockets, probe_spaces, probe_files, probe_mounts, probe_host,
	probe_limits, probe_scenes;

/* Looks at whatever process of the runtime appears in this pid namespace, until /volume/stop is there; prints results. */
void probe_watch(const struct facts *facts);
void probe_print(const char *name, const char *result, const char *error);

/* 0 for a result that is not negative, else -errno. */
int probe_result(long result);

/* Opens the path and reads the secret from it: 0 when it is there. */
int probe_read_secret(int dir, const char *path);

/* Opens for reading and writing and writes back what it read. */
int probe_rewrite(const char *path);

/* Opens for writing a file that must be procfs's own, not what covers it. */
int probe_open_proc(const char *path, int flags);

#endif

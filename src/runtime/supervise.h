/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor of one pod; its protocol is in docs/protocols.md, "Supervisor". */
#ifndef RUNTIME_SUPERVISE_H
#define RUNTIME_SUPERVISE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "runtime/supervise_log.h"
#include "runtime/supervise_spec.h"

#define SUPERVISE_CONTAINERS_MAX 64
#define SUPERVISE_CLIENTS_MAX 16
#define SUPERVISE_PACKET_MAX 65536

struct supervise;

struct supervise_container {
	struct supervise *supervise;
	char *name;
	char *id;
	uint64_t attempt;
	pid_t pid;          /* 0 when it has ended */
	bool held;          /* the runtime still has the container */
	int64_t started_ms; /* wall clock */
	int64_t finished_ms;
	int exit_code; /* 128 + signal when one ended it */
	int signal;    /* 0: none */
	bool oom_killed;
	struct supervise_log log;
	struct supervise_stream streams[2];
	struct loop_source *sources[2];
};

struct supervise {
	struct supervise_spec spec;
	struct loop *loop;
	struct loop_source *calm; /* the timer that lets it rest */
	int dir;                  /* --dir */
	char *ceiling;            /* the folder of the ceiling, NULL: the machine's */
	int listener;
	int namespaces[SPEC_NS_TYPES]; /* held by descriptor, -1: none */
	struct supervise_container *containers[SUPERVISE_CONTAINERS_MAX];
	size_t container_count;
	struct {
		int fd;
		struct loop_source *source;
	} clients[SUPERVISE_CLIENTS_MAX];
};

/*
 * The command: starts the supervisor of the pod described by DIR/pod.json in the background and returns when it serves,
 * or with what kept it from doing so. ceiling is the folder that bounds the containers, NULL: the machine's.
 */
int supervise_command(const char *dir, const char *ceiling, struct err *err) MUST_CHECK;

/* Makes the pod's user, network, ipc and uts namespaces and keeps them by descriptor. */
int supervise_make_namespaces(struct supervise *supervise, struct err *err) MUST_CHECK;

/* Creates and starts a container of the pod, its output going to the pod's logs. */
int supervise_start(struct supervise *supervise, const char *name, const char *id, const char *bundle, uint64_t attempt,
		    struct err *err) MUST_CHECK;

/* The container of that name, or NULL. */
struct supervise_container *supervise_find(struct supervise *supervise, const char *name);

/* Kills what runs of it and takes it out of the runtime and the list. */
int supervise_delete(struct supervise *supervise, struct supervise_container *container, struct err *err) MUST_CHECK;

/* Notes the end of processes that died, writes exit records and tells the clients. */
void supervise_reap(struct supervise *supervise);

/* The container as status and events show it. The caller owns the object. */
json_t *supervise_describe(const struct supervise_container *container);

/* Sends an object to every client. Takes the object over. */
void supervise_tell(struct supervise *supervise, json_t *event);

#endif

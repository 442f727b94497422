/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner: a process of the container that forks those added later, so that they live in the container's own
 * Landlock domain, which only a fork passes on. It is a copy of this program taken when the container's first process
 * has confined itself and is about to drop its rights. It waits at a socket in the container's state folder, which
 * cannot be reached from inside, and reads nothing itself. For each connection it makes a child, which says who it is,
 * reads the request (spawn_request) and becomes what that says; at the end the spawner tells how it ended.
 * docs/adr/0009-exec-spawner.md.
 */
#ifndef RUNTIME_SPAWNER_H
#define RUNTIME_SPAWNER_H

#include <sys/un.h>

#include "runtime/container.h"

/*
 * What comes with a request, in this order: the child's end of the channel, standard input, output and error, the
 * descriptors to preserve, and the console socket when the process has a terminal.
 */
#define SPAWNER_FDS_MAX 250

/* The address of the socket through the state folder's descriptor. */
void spawner_address(const struct state *state, struct sockaddr_un *ret_address);

/*
 * Parent: makes the socket, container->spawner; it stays -1 where there shall be no spawner: without an own user and pid
 * namespace, without Landlock, and where the limits leave no room for it.
 */
int spawner_listen(struct container *container, struct err *err) MUST_CHECK;

/*
 * Container's first process, confined and with no_new_privs: makes the spawner, which uses this process's memory until
 * this executes a program and so closes what is returned, close-on-exec. -1 when there is none; where making it fails
 * the container goes without it.
 */
int spawner_start(const struct container *container);

/* Waits until a spawner holds nothing of this process's. The program finds one that stopping holds nobody up. */
void spawner_await(int spawner);

#endif

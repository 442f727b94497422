/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of which there is one a pod or one a container sleep for most of their lives: asleep they keep no code. */
#ifndef RUNTIME_REST_H
#define RUNTIME_REST_H

#include <poll.h>
#include <stddef.h>

/* Finds out what can be given back. Allocates nothing, and what it notes stays for children. */
void rest_prepare(void);

/*
 * Gives memory back: what the program's file has, and the stack below the caller that others used before. Then sleeps
 * until one of the descriptors is ready. Waking up costs some page faults, of which the page cache has the contents.
 */
void rest_until(struct pollfd *wait, size_t count);

#endif

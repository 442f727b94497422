/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals. A process with a terminal gets a pty out of the container's own devpts instance: opened by descriptor, its
 * other end through the kernel (TIOCGPTPEER) and never by name. The master end goes over a Unix stream socket, to the
 * caller's --console-socket or to this program, which then passes the bytes on to the terminal it has itself.
 */
#ifndef RUNTIME_CONSOLE_H
#define RUNTIME_CONSOLE_H

#include <stdbool.h>

#include "base/err.h"
#include "oci/spec.h"
#include "runtime/child.h"

/*
 * Where the master end shall go. With a path: that socket. Without: a pair of sockets, one end in *ret_own for
 * console_receive. ret_own NULL means that the caller does not stay, and a path is needed. ret_socket stays -1 for a
 * process without a terminal.
 */
int console_prepare(const struct spec_process *process, const char *path, int *ret_own, int *ret_socket,
		    struct err *err) MUST_CHECK;

/*
 * In the container's process, after its mounts and its own session: opens the pty below root, gives it owner and size,
 * sends the master end over the socket, and becomes standard input, output and error of this process with the rest.
 * dev is the container's /dev, where "console" gets the terminal bound upon it; -1 for further processes.
 */
int console_attach(int root, int dev, const struct spec_process *process, int socket, struct err *err) MUST_CHECK;

/* Takes the master end from the own socket of console_prepare. */
int console_receive(int own, int *ret_master, struct err *err) MUST_CHECK;

/*
 * Passes bytes between the caller's terminal, which is in raw mode meanwhile, and the master end until the child ends;
 * signals of the descriptor go to the child, window sizes to the pty. The child's exit status becomes ret_exit.
 */
int console_relay(int master, struct child *child, int signals, int *ret_exit, struct err *err) MUST_CHECK;

#endif

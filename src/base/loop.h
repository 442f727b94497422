/* SPDX-License-Identifier: Apache-2.0 */
/* A single-threaded event loop over epoll: descriptors, timers, signals, and wake-ups from other threads. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <signal.h>
#include <stdint.h>
#include <sys/signalfd.h>

#include "base/err.h"

struct loop;
struct loop_source;

/* A new loop; the caller frees it with loop_free, which frees its sources too but closes no descriptor it was given. */
int loop_new(struct loop **ret_loop, struct err *err) MUST_CHECK;
void loop_free(struct loop *loop);
CLEANUP_DEFINE(loop, struct loop *, loop_free)

typedef void (*loop_fd_fn)(void *user, int fd, uint32_t events);
typedef void (*loop_timer_fn)(void *user);
typedef void (*loop_signal_fn)(void *user, const struct signalfd_siginfo *info);

/* Calls fn whenever one of the epoll events holds. The source lives until loop_remove or loop_free. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *user,
		struct loop_source **ret_source) MUST_CHECK;
int loop_set_events(struct loop_source *source, uint32_t events) MUST_CHECK;

/* Calls fn once at a time of clock_monotonic_ns, then the timer rests until it is set again; 0 disarms. */
int loop_add_timer(struct loop *loop, uint64_t at_ns, loop_timer_fn fn, void *user,
		   struct loop_source **ret_source) MUST_CHECK;
void loop_set_timer(struct loop_source *source, uint64_t at_ns);

/* Blocks the signals for this thread and delivers them through the loop. */
int loop_add_signals(struct loop *loop, const sigset_t *signals, loop_signal_fn fn, void *user,
		     struct loop_source **ret_source) MUST_CHECK;

/* Has fn(user) called once from the loop's thread, from any thread. -ENOMEM, or -ENOSPC over 65,536 calls that wait. */
int loop_post(struct loop *loop, loop_timer_fn fn, void *user) MUST_CHECK;

/* Takes a source away, also from inside its own callback. NULL is accepted. */
void loop_remove(struct loop_source *source);

/* Runs until loop_stop, which any thread may call; returns the value given there, or a negative errno. */
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop, int value);

/* The descriptor that is readable while there is something to do, for who waits elsewhere for a time. The loop's own. */
int loop_descriptor(const struct loop *loop);

#endif

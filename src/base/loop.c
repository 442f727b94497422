/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"

#define POSTS_MAX 65536
#define BATCH 64

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNALS };

struct loop_source {
	struct loop *loop;
	struct loop_source *previous, *next;
	enum source_kind kind;
	bool dead; /* removed during a batch; freed behind it */
	int fd;
	void *user;
	union {
		loop_fd_fn on_fd;
		loop_timer_fn on_timer;
		loop_signal_fn on_signal;
	};
	uint64_t at_ns;
	size_t heap_index; /* place in the heap plus one; 0 while the timer rests */
};

struct post {
	struct post *next;
	loop_timer_fn fn;
	void *user;
};

struct loop {
	int epoll;
	int wake;                    /* eventfd: posts wait or the loop is to stop */
	struct loop_source *sources; /* all that live */
	struct loop_source *dead;    /* removed during the current batch */
	bool in_batch;
	struct loop_source **heap; /* armed timers, earliest first */
	size_t heap_len, heap_cap, timer_count;
	atomic_bool stopping;
	atomic_int value;
	pthread_mutex_t lock; /* guards the posts */
	struct post *first_post, **last_post;
	size_t post_count;
};

int loop_new(struct loop **ret_loop, struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!loop)
		return err_sys(err, -ENOMEM, "cannot make an event loop");
	loop->wake = -1;
	loop->last_post = &loop->first_post;
	(void)pthread_mutex_init(&loop->lock, NULL);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll >= 0)
		loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) < 0) {
		r = -errno;
		loop_free(loop);
		return err_sys(err, r, "cannot make an event loop");
	}
	*ret_loop = loop;
	return 0;
}

/* Frees a source that is in no list any more. */
static void source_free(struct loop_source *source)
{
	if (source->kind == SOURCE_SIGNALS && source->fd >= 0)
		(void)close(source->fd);
	free(source);
}

static void list_free(struct loop_source *source)
{
	while (source) {
		struct loop_source *next = source->next;

		source_free(source);
		source = next;
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	list_free(loop->sources);
	list_free(loop->dead);
	while (loop->first_post) {
		struct post *post = loop->first_post;

		loop->first_post = post->next;
		free(post);
	}
	free(loop->heap);
	(void)pthread_mutex_destroy(&loop->lock);
	if (loop->wake >= 0)
		(void)close(loop->wake);
	if (loop->epoll >= 0)
		(void)close(loop->epoll);
	free(loop);
}

static struct loop_source *source_new(struct loop *loop, enum source_kind kind, int fd, void *user)
{
	struct loop_source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->loop = loop;
	source->kind = kind;
	source->fd = fd;
	source->user = user;
	return source;
}

static void source_link(struct loop_source *source)
{
	struct loop *loop = source->loop;

	source->next = loop->sources;
	if (loop->sources)
		loop->sources->previous = source;
	loop->sources = source;
}

static void source_unlink(struct loop_source *source)
{
	if (source->previous)
		source->previous->next = source->next;
	else
		source->loop->sources = source->next;
	if (source->next)
		source->next->previous = source->previous;
	source->previous = source->next = NULL;
}

static int watch(struct loop_source *source, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(source->loop->epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *user, struct loop_source **ret_source)
{
	struct loop_source *source = source_new(loop, SOURCE_FD, fd, user);
	int r;

	if (!source)
		return -ENOMEM;
	source->on_fd = fn;
	r = watch(source, EPOLL_CTL_ADD, events);
	if (r < 0) {
		source_free(source);
		return r;
	}
	source_link(source);
	*ret_source = source;
	return 0;
}

int loop_set_events(struct loop_source *source, uint32_t events)
{
	return watch(source, EPOLL_CTL_MOD, events);
}

static void heap_put(struct loop *loop, size_t index, struct loop_source *source)
{
	loop->heap[index] = source;
	source->heap_index = index + 1;
}

/* Lets the timer find its place from index, upwards and downwards. */
static void heap_sift(struct loop *loop, size_t index, struct loop_source *source)
{
	while (index && loop->heap[(index - 1) / 2]->at_ns > source->at_ns) {
		heap_put(loop, index, loop->heap[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	while (true) {
		size_t child = 2 * index + 1;

		if (child + 1 < loop->heap_len && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (child >= loop->heap_len || loop->heap[child]->at_ns >= source->at_ns)
			break;
		heap_put(loop, index, loop->heap[child]);
		index = child;
	}
	heap_put(loop, index, source);
}

static void heap_remove(struct loop *loop, struct loop_source *source)
{
	size_t index = source->heap_index;
	struct loop_source *last;

	if (!index)
		return;
	source->heap_index = 0;
	last = loop->heap[--loop->heap_len];
	if (last != source)
		heap_sift(loop, index - 1, last);
}

void loop_set_timer(struct loop_source *source, uint64_t at_ns)
{
	struct loop *loop = source->loop;

	heap_remove(loop, source);
	source->at_ns = at_ns;
	/* Room was made when the timer was added. */
	if (at_ns && !source->dead)
		heap_sift(loop, loop->heap_len++, source);
}

int loop_add_timer(struct loop *loop, uint64_t at_ns, loop_timer_fn fn, void *user, struct loop_source **ret_source)
{
	struct loop_source *source;

	if (loop->timer_count == loop->heap_cap) {
		size_t cap = loop->heap_cap ? loop->heap_cap * 2 : 8;
		struct loop_source **heap = reallocarray(loop->heap, cap, sizeof(struct loop_source *));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->heap_cap = cap;
	}
	source = source_new(loop, SOURCE_TIMER, -1, user);
	if (!source)
		return -ENOMEM;
	source->on_timer = fn;
	loop->timer_count++;
	source_link(source);
	loop_set_timer(source, at_ns);
	*ret_source = source;
	return 0;
}

int loop_add_signals(struct loop *loop, const sigset_t *signals, loop_signal_fn fn, void *user,
		     struct loop_source **ret_source)
{
	struct loop_source *source = source_new(loop, SOURCE_SIGNALS, -1, user);
	int r;

	if (!source)
		return -ENOMEM;
	source->on_signal = fn;
	r = -pthread_sigmask(SIG_BLOCK, signals, NULL);
	if (r == 0) {
		source->fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
		r = source->fd < 0 ? -errno : watch(source, EPOLL_CTL_ADD, EPOLLIN);
	}
	if (r < 0) {
		source_free(source);
		return r;
	}
	source_link(source);
	*ret_source = source;
	return 0;
}

static void wake_up(struct loop *loop)
{
	uint64_t one = 1;

	/* Only fails when the counter is full, and then the loop wakes anyway. */
	if (write(loop->wake, &one, sizeof(one)) < 0)
		return;
}

int loop_post(struct loop *loop, loop_timer_fn fn, void *user)
{
	struct post *post = malloc(sizeof(*post));
	bool full;

	if (!post)
		return -ENOMEM;
	*post = (struct post){.fn = fn, .user = user};
	(void)pthread_mutex_lock(&loop->lock);
	full = loop->post_count >= POSTS_MAX;
	if (!full) {
		*loop->last_post = post;
		loop->last_post = &post->next;
		loop->post_count++;
	}
	(void)pthread_mutex_unlock(&loop->lock);
	if (full) {
		free(post);
		return -ENOSPC;
	}
	wake_up(loop);
	return 0;
}

void loop_remove(struct loop_source *source)
{
	struct loop *loop;

	if (!source || source->dead)
		return;
	loop = source->loop;
	if (source->kind == SOURCE_TIMER) {
		heap_remove(loop, source);
		loop->timer_count--;
	} else {
		(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	}
	source_unlink(source);
	if (!loop->in_batch) {
		source_free(source);
		return;
	}
	source->dead = true;
	source->next = loop->dead;
	loop->dead = source;
}

static void run_posts(struct loop *loop)
{
	struct post *post;
	uint64_t count;

	if (read(loop->wake, &count, sizeof(count)) < 0)
		return;
	(void)pthread_mutex_lock(&loop->lock);
	post = loop->first_post;
	loop->first_post = NULL;
	loop->last_post = &loop->first_post;
	loop->post_count = 0;
	(void)pthread_mutex_unlock(&loop->lock);
	while (post) {
		struct post *next = post->next;

		post->fn(post->user);
		free(post);
		post = next;
	}
}

static void run_timers(struct loop *loop)
{
	uint64_t now = clock_monotonic_ns();

	/* A timer set anew from its callback to a past time waits for the next round, so that descriptors are not starved. */
	for (size_t left = loop->heap_len; left && loop->heap_len && loop->heap[0]->at_ns <= now; left--) {
		struct loop_source *source = loop->heap[0];

		heap_remove(loop, source);
		source->on_timer(source->user);
	}
}

static void run_signals(struct loop_source *source)
{
	struct signalfd_siginfo info;

	while (!source->dead && read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		source->on_signal(source->user, &info);
}

static void run_source(struct loop_source *source, uint32_t events)
{
	switch (source->kind) {
	case SOURCE_FD:
		source->on_fd(source->user, source->fd, events);
		break;
	case SOURCE_SIGNALS:
		run_signals(source);
		break;
	case SOURCE_TIMER:
		break;
	}
}

static int wait_events(struct loop *loop, struct epoll_event *events)
{
	struct timespec left, *timeout = NULL;
	int count;

	if (loop->heap_len) {
		uint64_t now = clock_monotonic_ns(), at = loop->heap[0]->at_ns;
		uint64_t ns = at > now ? at - now : 0;

		left = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
		timeout = &left;
	}
	count = epoll_pwait2(loop->epoll, events, BATCH, timeout, NULL);
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	return count;
}

static void run_batch(struct loop *loop, const struct epoll_event *events, int count)
{
	loop->in_batch = true;
	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].data.ptr;

		if (!source)
			run_posts(loop);
		else if (!source->dead)
			run_source(source, events[i].events);
	}
	run_timers(loop);
	loop->in_batch = false;
	list_free(loop->dead);
	loop->dead = NULL;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[BATCH];

	while (!atomic_load(&loop->stopping)) {
		int count = wait_events(loop, events);

		if (count < 0)
			return count;
		run_batch(loop, events, count);
	}
	atomic_store(&loop->stopping, false);
	return atomic_load(&loop->value);
}

void loop_stop(struct loop *loop, int value)
{
	atomic_store(&loop->value, value);
	atomic_store(&loop->stopping, true);
	wake_up(loop);
}

int loop_descriptor(const struct loop *loop)
{
	return loop->epoll;
}

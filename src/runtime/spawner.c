/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fdpass.h"
#include "base/str.h"
#include "runtime/channel.h"
#include "runtime/console.h"
#include "runtime/launch.h"
#include "runtime/rest.h"
#include "runtime/scratch.h"
#include "runtime/spawn_request.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"

#define SPAWNER_ANNOTATION "dev.bulkhead.exec.spawner"
#define CHILDREN_MAX 64
#define PIDS_LEAST 8
#define MEMORY_LEAST (4 << 20)
#define LISTENER 3
#define MAKER 4 /* the container's first process, until it has executed its program */
#define AWAKE_MS 500
#define STACK_SIZE (128u << 10)
#define STACK_GUARD (16u << 10)
#define STACK_MOST (1u << 20)
#define STACK_BELOW (256u << 10)

struct spawner {
	int signals;
	struct {
		pid_t pid; /* 0: free */
		int session;
	} children[CHILDREN_MAX];
};

/* What the spawner begins with: nothing on the stack of the process that makes it, which goes on meanwhile. */
static struct {
	int listener, maker;
	uintptr_t stack; /* where the maker's stack stands */
} beginning;

/* The heap that the container's first process used: what the C library's start left of it, and what it grew by. */
static struct {
	char *start, *grown;
} heap;

/* The words it was called with. */
static char *words, *words_end;

__attribute__((constructor)) static void note_beginning(int argc, char **argv)
{
	heap.start = malloc(1);
	heap.grown = sbrk(0);
	if (argc > 0) {
		words = argv[0];
		words_end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
	}
}

void spawner_address(const struct state *state, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/spawner", state->dir);
}

static bool leaves(const struct spec_number *limit, int64_t least)
{
	return !limit->present || limit->value <= 0 || limit->value >= least;
}

static bool is_wanted(const struct container *container)
{
	const struct spec_resources *resources = &container->spec->linux_.resources;
	const char *asked = spec_annotation(container->spec, SPAWNER_ANNOTATION);

	if (asked && str_eq(asked, "false"))
		return false;
	/* Outside of a user namespace it would have the machine's rights, outside of a pid namespace it would stay. */
	return container->own[SPEC_NS_USER] && container->own[SPEC_NS_PID] && container->join[SPEC_NS_PID] < 0 &&
	       leaves(&resources->pids_limit, PIDS_LEAST) && leaves(&resources->memory_limit, MEMORY_LEAST) &&
	       landlock_abi() > 0;
}

int spawner_listen(struct container *container, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct sockaddr_un address;

	if (!is_wanted(container))
		return 0;
	spawner_address(container->state, &address);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* The caller's umask may be anything, and what is bound has the mode of the socket. */
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 16) < 0)
		return err_sys(err, -errno, "cannot make the spawner's socket");
	container->spawner = take_fd(&fd);
	return 0;
}

/* Puts the descriptors where the program expects them. None of them is in another's place meanwhile. */
static int place(int *fds, size_t count, unsigned int preserve)
{
	int above = 3 + (int)preserve;

	for (size_t i = 0; i < count; i++) {
		int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, above);

		if (moved < 0)
			return -errno;
		fds[i] = moved;
	}
	for (int fd = 0; fd < above; fd++)
		if (dup2(fds[1 + fd], fd) < 0)
			return -errno;
	return 0;
}

/* Tells who this is: the number comes from the kernel, the descriptor stands for this very process. */
static int introduce(int session)
{
	const struct channel_packet packet = {.kind = CHANNEL_PID, .value = SPAWN_REQUEST_VERSION};
	CLEANUP_CLOSE int self = pidfd_open(getpid(), 0);
	ssize_t n = self < 0 ? -errno : fdpass_send(session, &packet, sizeof(packet), &self, 1);

	return n < 0 ? (int)n : 0;
}

static int attach_console(const struct spec_process *process, int console, struct err *err)
{
	CLEANUP_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(err, -errno, "cannot open the root");
	return console_attach(root, -1, process, console, err);
}

static int become(const struct spawn_request *request, int channel, int console, struct err *err)
{
	const struct launch launch = {.process = &request->process,
				      .filter = &request->filter,
				      .preserve_fds = (int)request->preserve_fds,
				      .channel = channel,
				      .apparmor = -1};
	int r = request->process.terminal ? attach_console(&request->process, console, err) : 0;

	if (r == 0)
		r = launch_enter_cwd(&request->process, err);
	if (r == 0 && channel_send(channel, CHANNEL_READY, 0) < 0)
		r = err_set(err, -EPIPE, "nobody waits for the program");
	return r == 0 ? launch_execute(&launch, err) : r;
}

static int take_request(void *bytes, size_t len, int *fds, size_t count, struct spawn_request *request, struct err *err)
{
	int r = spawn_request_parse(bytes, len, request, err);

	if (r < 0)
		return r;
	if (count != 4 + (size_t)request->preserve_fds + request->process.terminal)
		return err_set(err, ERR_SYNTAX, "the request's descriptors are not those it names");
	r = place(fds, count, request->preserve_fds);
	return r < 0 ? err_sys(err, r, "cannot pass descriptors on") : 0;
}

/* A child of the spawner, up to the program. Nothing is allocated: the heap is gone. */
static _Noreturn void run_child(int session)
{
	void *bytes = mmap(NULL, SPAWN_REQUEST_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fds[SPAWNER_FDS_MAX];
	struct fdpass message = {.bytes = bytes, .len = SPAWN_REQUEST_MAX, .fds = fds, .count = SPAWNER_FDS_MAX};
	struct spawn_request request;
	struct err err = {0};
	ssize_t len;

	(void)setsid();
	/* Whoever waits no longer must not get the process later. */
	if (bytes == MAP_FAILED || introduce(session) < 0)
		_exit(1);
	len = fdpass_receive(session, &message, 0);
	if (len <= 0 || message.count < 4)
		_exit(1);
	if (take_request(bytes, (size_t)len, fds, message.count, &request, &err) == 0)
		(void)become(&request, fds[0], fds[message.count - 1], &err);
	(void)channel_send_error(fds[0], &err);
	_exit(1);
}

static bool credentials(int socket, struct ucred *ret_peer)
{
	socklen_t len = sizeof(*ret_peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, ret_peer, &len) == 0;
}

/*
 * Only the owner of the container's state reaches the socket, by its mode and that of its folder. This makes sure that
 * nothing of the container did: the peer must have no number here, as everything inside has. Who made the socket has no
 * user inside, and looks like all others that have none.
 */
static bool is_from_outside(int session)
{
	struct ucred peer, owner;

	return credentials(session, &peer) && credentials(LISTENER, &owner) && peer.uid == owner.uid && peer.pid == 0;
}

/* Who comes while all places are taken is sent away, and goes another way. */
static void take_session(struct spawner *spawner)
{
	int session = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; session >= 0 && is_from_outside(session) && i < CHILDREN_MAX; i++) {
		pid_t pid;

		if (spawner->children[i].pid)
			continue;
		pid = namespaces_clone(0, -1);
		if (pid == 0)
			run_child(session);
		if (pid < 0)
			break;
		spawner->children[i].pid = pid;
		spawner->children[i].session = session;
		return;
	}
	if (session >= 0)
		(void)close(session);
	else
		/* Without room for a descriptor it stays in the queue, and whoever asks goes another way in time. */
		(void)poll(NULL, 0, AWAKE_MS);
}

static void tell_end(int session, int status)
{
	struct channel_packet packet = {.kind = CHANNEL_END, .value = status};

	(void)send(session, &packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(session);
}

static void reap(struct spawner *spawner)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)!read(spawner->signals, &info, sizeof(info));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < CHILDREN_MAX; i++)
			if (spawner->children[i].pid == pid) {
				spawner->children[i].pid = 0;
				tell_end(spawner->children[i].session, status);
			}
}

static void give_back(uintptr_t start, uintptr_t end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	start = (start + page - 1) & ~(page - 1);
	end &= ~(page - 1);
	if (start < end)
		(void)madvise((void *)start, end - start, MADV_DONTNEED);
}

/* Memory that was written to and will not be read again: the heap, and the stack of the first process. */
static void shed_memory(void)
{
	uintptr_t top = (uintptr_t)program_invocation_name;

	/* It was used from the words upon which it stands down to somewhere; below that nothing is mapped. */
	if (top - beginning.stack < STACK_MOST)
		give_back(beginning.stack - STACK_BELOW, top);
	if (syscall(SYS_brk, heap.grown) != (long)heap.grown)
		_exit(1);
	give_back((uintptr_t)heap.start, (uintptr_t)heap.grown);
	scratch_forget();
}

/* Memory and the C library's state are the maker's until it has executed its program. */
static void await_maker(void)
{
	struct pollfd maker = {.fd = MAKER, .events = POLLIN};

	while (poll(&maker, 1, -1) < 0)
		;
	(void)close(MAKER);
	shed_memory();
	rest_prepare();
}

static _Noreturn void serve(struct spawner *spawner)
{
	await_maker();
	while (true) {
		struct pollfd ready[] = {
			{.fd = spawner->signals, .events = POLLIN},
			{.fd = LISTENER, .events = POLLIN},
		};

		int r = poll(ready, ARRAY_SIZE(ready), AWAKE_MS);

		/* Health checks and the like come one after the other; after that it may take long. */
		if (r == 0)
			rest_until(ready, ARRAY_SIZE(ready));
		/* Somebody took its limit of descriptors away. */
		if (r < 0)
			(void)poll(NULL, 0, AWAKE_MS);
		if (ready[0].revents)
			reap(spawner);
		if (ready[1].revents)
			take_session(spawner);
	}
}

/* What is readable of this process in the container's /proc says nothing of the machine. */
static void forget_words(void)
{
	static const char name[] = "bulkhead-exec";
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = ((uintptr_t)words + page - 1) & ~(page - 1), last = (uintptr_t)words_end & ~(page - 1);
	size_t len = (size_t)(words_end - words);

	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	if (!words)
		return;
	/* Whole pages of them are given back, which leaves zeros, and takes no memory for as many as there may be. */
	if (first < last && madvise((void *)first, last - first, MADV_DONTNEED) == 0) {
		memset(words, 0, first - (uintptr_t)words);
		memset((void *)last, 0, (uintptr_t)words_end - last);
	} else {
		memset(words, 0, len);
	}
	memcpy(words, name, len < sizeof(name) ? len : sizeof(name));
}

/* Its own two descriptors to their places, by way of others that are neither's. */
static int settle(void)
{
	int listener = fcntl(beginning.listener, F_DUPFD_CLOEXEC, MAKER + 1);
	int maker = fcntl(beginning.maker, F_DUPFD_CLOEXEC, MAKER + 1);

	if (listener < 0 || maker < 0 || dup3(listener, LISTENER, O_CLOEXEC) < 0 || dup3(maker, MAKER, O_CLOEXEC) < 0)
		return -errno;
	return close_range(0, LISTENER - 1, 0) < 0 || close_range(MAKER + 1, ~0u, 0) < 0 ? -errno : 0;
}

/*
 * Everything the container's first process had at hand goes: the session with its terminal, words, and last the
 * descriptors. That process is told then, for its program is to find nothing else.
 */
static int shed(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || setsid() < 0 || chdir("/") < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	forget_words();
	return settle();
}

/*
 * Until the maker's program is executed this shares its memory, the C library's variables among it: no more is done than
 * calls of the kernel that do not fail, and nothing is allocated.
 */
static int run(void *user)
{
	struct spawner spawner = {0};
	sigset_t child;

	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	if (shed() < 0)
		return 1;
	spawner.signals = signalfd(-1, &child, SFD_CLOEXEC);
	if (spawner.signals < 0 || shutdown(MAKER, SHUT_WR) < 0)
		return 1;
	serve(&spawner);
}

/* On a stack of its own, so that all of the other can be given back. */
static int clone_spawner(void)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED || mprotect(stack, STACK_GUARD, PROT_NONE) < 0)
		return -errno;
	/*
	 * A child of the first process, so that the kernel ends and reaps it with the pid namespace and nobody outside
	 * need know of it; one that signals nothing at its end, and so is no child to a program's wait(). The memory is
	 * not copied: executing the program leaves it to the spawner alone.
	 */
	return clone(run, stack + STACK_SIZE, CLONE_VM, NULL);
}

int spawner_start(const struct container *container)
{
	int ends[2];

	if (container->spawner < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	beginning.listener = container->spawner;
	beginning.maker = ends[1];
	beginning.stack = (uintptr_t)__builtin_frame_address(0);
	(void)clone_spawner();
	(void)close(ends[1]);
	return ends[0];
}

void spawner_await(int spawner)
{
	char byte;

	/* Its end, too, is one: then there is none. The descriptor stays open until the program is executed. */
	if (spawner >= 0)
		(void)!read(spawner, &byte, 1);
}

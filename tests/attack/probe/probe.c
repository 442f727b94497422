/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe list: prints every probe as a line of JSON.
 * probe run [NAME...] [FACT=VALUE...]: tries the named ones or all, each in a process of its own, and prints how it went.
 * probe watch [FACT=VALUE...]: tries what can be done to the runtime's processes while they are inside (watch.c).
 * probe wait: does nothing until it is killed.
 */
#include "probe.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 10
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const struct probe_list *const lists[] = {&probe_calls,  &probe_sockets, &probe_spaces, &probe_files,
						 &probe_mounts, &probe_host,    &probe_limits, &probe_scenes};

int probe_result(long result)
{
	return result < 0 ? -errno : 0;
}

int probe_read_secret(int dir, const char *path)
{
	char text[sizeof(PROBE_SECRET)] = "";
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) < 0)
		return -errno;
	(void)close(fd);
	return strcmp(text, PROBE_SECRET) == 0 ? 0 : -ENOMSG;
}

int probe_rewrite(const char *path)
{
	char text[512];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return errno == ENOENT ? PROBE_INAPPLICABLE : -errno;
	got = read(fd, text, sizeof(text));
	if (got < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return probe_result(write(fd, text, (size_t)got));
}

int probe_open_proc(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == PROC_SUPER_MAGIC ? fd : -EMEDIUMTYPE;
}

void probe_print(const char *name, const char *result, const char *error)
{
	printf("{\"name\":\"%s\",\"result\":\"%s\",\"error\":\"%s\"}\n", name, result, error);
	(void)fflush(stdout);
}

/* Whether the command line names it; without any name all are meant but those that need a scene of their own. */
static bool is_named(const struct probe_list *list, const struct probe *probe, int argc, char **argv)
{
	bool any = list == &probe_scenes;

	for (int i = 2; i < argc; i++) {
		if (strchr(argv[i], '='))
			continue;
		if (strcmp(argv[i], probe->name) == 0)
			return true;
		any = true;
	}
	return !any;
}

static const char *value_of(int argc, char **argv, const char *key)
{
	size_t len = strlen(key);

	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=')
			return argv[i] + len + 1;
	return "";
}

static uint64_t number_of(int argc, char **argv, const char *key)
{
	return strtoull(value_of(argc, argv, key), NULL, 0);
}

static struct facts read_facts(int argc, char **argv)
{
	return (struct facts){
		.victim = (pid_t)number_of(argc, argv, "victim"),
		.address = number_of(argc, argv, "address"),
		.secret = value_of(argc, argv, "secret"),
		.socket = value_of(argc, argv, "socket"),
		.open = value_of(argc, argv, "open"),
		.handle = value_of(argc, argv, "handle"),
		.abstract = value_of(argc, argv, "abstract"),
		.network = value_of(argc, argv, "network"),
		.names = value_of(argc, argv, "names"),
		.segment = (int)number_of(argc, argv, "segment"),
		.major = (unsigned int)number_of(argc, argv, "major"),
		.minor = (unsigned int)number_of(argc, argv, "minor"),
		.processes = (unsigned int)number_of(argc, argv, "processes"),
		.memory = number_of(argc, argv, "memory"),
		.program = number_of(argc, argv, "program"),
		.refusals = (unsigned int)number_of(argc, argv, "refusals"),
	};
}

static void report(const struct probe *probe, int answer, int status)
{
	const char *name;

	/* The filter kills with SIGSYS, a limit with SIGKILL; any other end proves nothing. */
	if (WIFSIGNALED(status)) {
		bool refused = WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGKILL;

		name = sigabbrev_np(WTERMSIG(status));
		probe_print(probe->name, refused ? "held" : "unclear", name ? name : "?");
	} else if (WEXITSTATUS(status) != 0) {
		probe_print(probe->name, "unclear", "?");
	} else if (answer == PROBE_INAPPLICABLE) {
		probe_print(probe->name, "inapplicable", "");
	} else {
		name = answer < 0 ? strerrorname_np(-answer) : "";
		probe_print(probe->name, answer < 0 ? "held" : "escaped", name ? name : "?");
	}
}

static void run(const struct probe *probe, const struct facts *facts)
{
	int ends[2], answer = -ENODATA, status = 0;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	child = fork();
	if (child < 0)
		exit(1);
	if (child == 0) {
		(void)alarm(SECONDS);
		answer = probe->run(facts);
		_exit(write(ends[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	(void)close(ends[1]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (read(ends[0], &answer, sizeof(answer)) < 0)
		answer = -ENODATA;
	(void)close(ends[0]);
	report(probe, answer, status);
}

static void print_about(const struct probe *probe)
{
	printf("{\"name\":\"%s\",\"about\":\"%s\",\"shape\":\"%s\"}\n", probe->name, probe->about, probe->shape);
}

static void for_each(int argc, char **argv, const struct facts *facts)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; k < lists[i]->count; k++)
			if (is_named(lists[i], &lists[i]->items[k], argc, argv))
				run(&lists[i]->items[k], facts);
}

static void list_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; k < lists[i]->count && lists[i] != &probe_scenes; k++)
			print_about(&lists[i]->items[k]);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct facts facts = read_facts(argc, argv);

	if (strcmp(verb, "list") == 0) {
		list_all();
	} else if (strcmp(verb, "run") == 0) {
		for_each(argc, argv, &facts);
	} else if (strcmp(verb, "watch") == 0) {
		probe_watch(&facts);
	} else if (strcmp(verb, "wait") == 0) {
		while (true)
			(void)pause();
	} else {
		fprintf(stderr, "Usage: probe list | wait | watch [FACT=VALUE...] | run [NAME...] [FACT=VALUE...]\n");
		return 2;
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marker: prints how it is confined, one "KEY VALUE" a line, seen from inside of a container. Its last line is "end",
 * so that a report that was cut off does not count as one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The lines of a file that begin with one of the words; all without words. */
static void show(const char *path, const char *key, const char *const *words)
{
	FILE *from = fopen(path, "re");
	char line[512];

	while (from && fgets(line, sizeof(line), from)) {
		bool wanted = !words;

		for (size_t i = 0; words && words[i]; i++)
			wanted = wanted || strncmp(line, words[i], strlen(words[i])) == 0;
		line[strcspn(line, "\n")] = '\0';
		if (wanted)
			printf("%s %s\n", key, line);
	}
	if (from)
		(void)fclose(from);
}

static void show_namespaces(void)
{
	static const char *const types[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		char path[64], to[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", types[i]);
		if (readlink(path, to, sizeof(to) - 1) < 0)
			(void)snprintf(to, sizeof(to), "unreadable %d", errno);
		printf("ns %s\n", to);
	}
}

static void show_descriptors(void)
{
	DIR *entries = opendir("/proc/self/fd");
	struct dirent *entry;

	while (entries && (entry = readdir(entries)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(entries))
			printf("fd %s\n", entry->d_name);
	if (entries)
		(void)closedir(entries);
}

/* Nothing but Landlock keeps a file that was just written from being executed: without it the interpreter is missing. */
static void try_landlock(void)
{
	static char *const none[] = {NULL};
	int fd = open("/tmp/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, "#!/none\n", 8) != 8) {
		printf("execute cannot write %d\n", errno);
		return;
	}
	(void)close(fd);
	(void)execve("/tmp/written", none, none);
	printf("execute %s\n", strerror(errno));
	(void)unlink("/tmp/written");
}

static void try_filter(void)
{
	printf("packet socket %s\n", socket(AF_PACKET, SOCK_RAW, 0) < 0 ? strerror(errno) : "made");
}

int main(void)
{
	static const char *const status[] = {"Uid:",    "Gid:",    "Groups:",     "CapInh:",  "CapPrm:", "CapEff:",
					     "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", NULL};
	char where[512];

	(void)setvbuf(stdout, NULL, _IOFBF, 65536);
	show("/proc/self/status", "status", status);
	show("/proc/self/uid_map", "uid_map", NULL);
	show("/proc/self/cgroup", "cgroup", NULL);
	show("/sys/fs/cgroup/memory/memory.limit_in_bytes", "memory", NULL);
	show("/sys/fs/cgroup/pids/pids.max", "pids", NULL);
	show("/sys/fs/cgroup/memory.max", "memory", NULL);
	show("/sys/fs/cgroup/pids.max", "pids", NULL);
	printf("securebits %#x\n", (unsigned int)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	show_namespaces();
	show_descriptors();
	printf("cwd %s\n", getcwd(where, sizeof(where)) ? where : "none");
	printf("root %s\n", access("/bin/marker", F_OK) == 0 ? "own" : "other");
	try_landlock();
	try_filter();
	puts("end");
	return fflush(stdout) != 0;
}

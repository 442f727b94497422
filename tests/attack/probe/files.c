/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the host and of the kernel: opened round the back, made, or written where they decide for all. */
#include "probe.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HANDLE_MAX 128

static size_t read_hex(unsigned char *to, size_t size, const char *text)
{
	size_t len = 0;

	for (; text[0] && text[1] && len < size; text += 2) {
		const char pair[3] = {text[0], text[1], '\0'};

		to[len++] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return len;
}

/* By its handle a file of the same file system is opened without any path, from outside of every root. */
static int by_handle(const struct facts *facts)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + HANDLE_MAX];
	} made = {0};
	const char *colon = strchr(facts->handle, ':');
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	char text[sizeof(PROBE_SECRET)] = "";

	if (!colon)
		return PROBE_INAPPLICABLE;
	made.handle.handle_type = atoi(facts->handle);
	made.handle.handle_bytes = (unsigned int)read_hex(made.handle.f_handle, HANDLE_MAX, colon + 1);
	fd = open_by_handle_at(root, &made.handle, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -errno;
	return strcmp(text, PROBE_SECRET) == 0 ? 0 : -ENOMSG;
}

static int make_node(const char *path, mode_t type, unsigned int major, unsigned int minor)
{
	(void)unlink(path);
	return probe_result(mknod(path, type | 0600, makedev(major, minor)));
}

static int node_block(const struct facts *facts)
{
	int r;

	if (facts->major == 0)
		return PROBE_INAPPLICABLE;
	r = make_node("/tmp/disk", S_IFBLK, facts->major, facts->minor);
	return r < 0 ? r : probe_read_secret(AT_FDCWD, "/tmp/disk");
}

static int open_node(mode_t type, unsigned int major, unsigned int minor)
{
	int r = make_node("/tmp/node", type, major, minor);

	return r < 0 ? r : probe_result(open("/tmp/node", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

static int node_memory(const struct facts *facts)
{
	return open_node(S_IFCHR, 1, 1);
}

static int node_log(const struct facts *facts)
{
	return open_node(S_IFCHR, 1, 11);
}

/* On /dev, the one place where device nodes work. */
static int node_in_dev(const struct facts *facts)
{
	int r = make_node("/dev/node", S_IFCHR, 1, 11);

	return r < 0 ? r : probe_result(open("/dev/node", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

static int core_pattern(const struct facts *facts)
{
	return probe_rewrite("/proc/sys/kernel/core_pattern");
}

static int module_helper(const struct facts *facts)
{
	return probe_rewrite("/proc/sys/kernel/modprobe");
}

static int kernel_setting(const struct facts *facts)
{
	return probe_rewrite("/proc/sys/kernel/randomize_va_space");
}

static int memory_setting(const struct facts *facts)
{
	return probe_rewrite("/proc/sys/vm/overcommit_memory");
}

/* Opening is enough: a byte written would act. */
static int sysrq(const struct facts *facts)
{
	int fd = probe_open_proc("/proc/sysrq-trigger", O_WRONLY);

	return fd < 0 ? fd : 0;
}

static int read_memory(const char *path)
{
	int fd = probe_open_proc(path, O_RDONLY);
	char byte;

	if (fd < 0)
		return fd == -ENOENT ? PROBE_INAPPLICABLE : fd;
	return read(fd, &byte, 1) == 1 ? 0 : -ENODATA;
}

static int kernel_memory(const struct facts *facts)
{
	return read_memory("/proc/kcore");
}

/* The path masked, reached by another name. */
static int kernel_memory_again(const struct facts *facts)
{
	return read_memory("/proc/self/root/proc/../proc/kcore");
}

static int uevent_helper(const struct facts *facts)
{
	return probe_rewrite("/sys/kernel/uevent_helper");
}

static int driver_setting(const struct facts *facts)
{
	return probe_rewrite("/sys/module/printk/parameters/time");
}

/* A page of the image, which all containers of it share. */
static int image_write(const struct facts *facts)
{
	return probe_result(open("/data/file", O_WRONLY | O_CLOEXEC));
}

static int copy_self(const char *path)
{
	char buffer[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to;
	ssize_t got;

	(void)unlink(path);
	to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (from < 0 || to < 0)
		return -errno;
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)got) != got)
			return -ENOSPC;
	(void)close(to);
	return got < 0 ? -errno : 0;
}

/* Writes a program and runs it: what nearly every attack does second. */
static int write_and_run(const char *path)
{
	static char *const none[] = {NULL};
	char *const words[] = {(char *)"probe", (char *)"list", NULL};
	int r = copy_self(path), status;
	int ends[2];
	pid_t pid;

	if (r < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return r < 0 ? r : -errno;
	pid = fork();
	if (pid == 0) {
		(void)close(STDOUT_FILENO);
		(void)execve(path, words, none);
		r = -errno;
		_exit(write(ends[1], &r, sizeof(r)) < 0);
	}
	(void)close(ends[1]);
	if (read(ends[0], &r, sizeof(r)) != sizeof(r))
		r = 0;
	(void)waitpid(pid, &status, 0);
	(void)unlink(path);
	return r;
}

static int run_written(const struct facts *facts)
{
	return write_and_run("/tmp/program");
}

static int run_written_volume(const struct facts *facts)
{
	return write_and_run("/volume/program");
}

static int run_written_shared(const struct facts *facts)
{
	return write_and_run("/dev/shm/program");
}

static int group_file(char *to, size_t size, const char *controller, const char *name)
{
	(void)snprintf(to, size, "/sys/fs/cgroup/%s", name);
	if (access(to, F_OK) < 0)
		(void)snprintf(to, size, "/sys/fs/cgroup/%s/%s", controller, name);
	return access(to, F_OK) < 0 ? -errno : 0;
}

/* The limit raised from inside. */
static int group_limit(const struct facts *facts)
{
	char path[128];
	int r = group_file(path, sizeof(path), "pids", "pids.max");

	return r < 0 ? PROBE_INAPPLICABLE : probe_rewrite(path);
}

/* A group of the container's own making, whose limits would be its own. */
static int group_make(const struct facts *facts)
{
	char path[128];
	int r = group_file(path, sizeof(path), "pids", "cgroup.procs");

	if (r < 0)
		return PROBE_INAPPLICABLE;
	(void)snprintf(strrchr(path, '/'), 16, "/probe");
	if (mkdir(path, 0755) < 0)
		return -errno;
	return probe_result(rmdir(path));
}

/* A descriptor that came along from outside. */
static int descriptor(const struct facts *facts)
{
	const char *name = strrchr(facts->secret, '/');
	int error = ENOENT;

	if (!name)
		return PROBE_INAPPLICABLE;
	for (int fd = 3; fd < 1024; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (probe_read_secret(fd, name + 1) == 0)
			return 0;
		error = errno;
	}
	return -error;
}

/* Asks the file system below a volume, which is the host's, to do something: an empty range is refused after the gate. */
static int volume_trim(const struct facts *facts)
{
	struct fstrim_range range = {0};
	int fd = open("/volume", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FITRIM, &range) < 0 && (errno == EPERM || errno == EACCES))
		return -errno;
	return 0;
}

/* Attributes that only the host's root sets, and that overlay file systems believe. */
static int volume_attribute(const struct facts *facts)
{
	int fd = open("/volume/attribute", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : probe_result(fsetxattr(fd, "trusted.probe", "x", 1, 0));
}

/* A folder of the host, handed over by a friend outside through a socket that both can see. */
static int receive(int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/volume/friend"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header)
		return -ENODATA;
	memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
	return 0;
}

static int folder_passed(const struct facts *facts)
{
	const char *name = strrchr(facts->secret, '/');
	int fd = -1, r = receive(&fd);

	return r < 0 ? r : probe_read_secret(fd, name ? name + 1 : "");
}

/* The same with a file that anyone on the host may read. */
static int folder_passed_open(const struct facts *facts)
{
	int fd = -1, r = receive(&fd);

	return r < 0 ? r : probe_read_secret(fd, facts->open);
}

#define HOST_FILES "files of the host"
#define KERNEL_FILES "files of the kernel"
#define GROUPS "control groups"
#define WRITTEN "run what was written"

static const struct probe probes[] = {
	{"open_by_handle", HOST_FILES, "open_by_handle_at (2014)", by_handle},
	{"node_block", HOST_FILES, "mknod", node_block},
	{"node_memory", HOST_FILES, "mknod", node_memory},
	{"node_log", HOST_FILES, "mknod", node_log},
	{"node_in_dev", HOST_FILES, "mknod", node_in_dev},
	{"image_write", HOST_FILES, "CVE-2016-5195", image_write},
	{"descriptor", HOST_FILES, "CVE-2024-21626", descriptor},
	{"folder_passed", HOST_FILES, "SCM_RIGHTS", folder_passed},
	{"folder_passed_open", HOST_FILES, "SCM_RIGHTS", folder_passed_open},
	{"volume_trim", HOST_FILES, "ioctl of a file system", volume_trim},
	{"volume_attribute", HOST_FILES, "trusted attributes", volume_attribute},
	{"core_pattern", KERNEL_FILES, "CVE-2022-0811", core_pattern},
	{"module_helper", KERNEL_FILES, "modprobe_path", module_helper},
	{"kernel_setting", KERNEL_FILES, "/proc/sys", kernel_setting},
	{"memory_setting", KERNEL_FILES, "/proc/sys", memory_setting},
	{"sysrq", KERNEL_FILES, "CVE-2025-31133", sysrq},
	{"kernel_memory", KERNEL_FILES, "/proc/kcore", kernel_memory},
	{"kernel_memory_again", KERNEL_FILES, "masked path by another name", kernel_memory_again},
	{"uevent_helper", KERNEL_FILES, "uevent_helper", uevent_helper},
	{"driver_setting", KERNEL_FILES, "/sys/module", driver_setting},
	{"group_limit", GROUPS, "CVE-2023-25809", group_limit},
	{"group_make", GROUPS, "CVE-2023-25809", group_make},
	{"run_written", WRITTEN, "W^X of files", run_written},
	{"run_written_volume", WRITTEN, "W^X of files", run_written_volume},
	{"run_written_shared", WRITTEN, "W^X of files", run_written_shared},
};

const struct probe_list probe_files = {probes, sizeof(probes) / sizeof(probes[0])};

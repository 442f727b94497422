/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/console.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>

#include "base/fdpass.h"
#include "base/str.h"
#include "sandbox/inroot.h"
#include "sandbox/mountfd.h"

/* Unix98 ptys have eight major numbers from here on. */
#define SLAVE_MAJOR 136

/* A socket's path may be longer than an address holds: its folder is named by a descriptor. */
static int connect_to(const char *path, int *ret_fd)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), folder = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char copy[4096], name[4096];
	int n;

	if (fd < 0)
		return -errno;
	if (str_copy(copy, sizeof(copy), path) < 0 || str_copy(name, sizeof(name), path) < 0)
		return -ENAMETOOLONG;
	folder = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder, basename(name));
	if ((size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int console_prepare(const struct spec_process *process, const char *path, int *ret_own, int *ret_socket,
		    struct err *err)
{
	int ends[2], r;

	if (!process->terminal)
		return path ? err_set(err, ERR_INVALID, "--console-socket: the process has no terminal") : 0;
	if (path) {
		r = connect_to(path, ret_socket);
		return r < 0 ? err_sys(err, r, "--console-socket: cannot connect to '%s'", path) : 0;
	}
	if (!ret_own)
		return err_set(err, ERR_INVALID, "config.json: process.terminal: needs --console-socket");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, -errno, "cannot make a socket");
	*ret_own = ends[0];
	*ret_socket = ends[1];
	return 0;
}

/* The multiplexer below /dev/pts; no link on the way, and nothing but the devpts' own device. */
static int open_master(int root, int *ret_fd, struct stat *ret_folder)
{
	CLEANUP_CLOSE int folder = -1, fd = -1;
	struct statfs fs;
	struct stat st;
	int r = inroot_open_plain(root, "/dev/pts", O_PATH | O_DIRECTORY, false, &folder);

	if (r < 0)
		return r;
	if (fstatfs(folder, &fs) < 0 || fstat(folder, ret_folder) < 0)
		return -errno;
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return -EMEDIUMTYPE;
	r = inroot_open_plain(folder, "ptmx", O_RDWR | O_NOCTTY, true, &fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || st.st_dev != ret_folder->st_dev)
		return -EMEDIUMTYPE;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_slave(int master, const struct stat *folder, int *ret_fd)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int unlocked = 0;

	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || major(st.st_rdev) < SLAVE_MAJOR || major(st.st_rdev) > SLAVE_MAJOR + 7 ||
	    st.st_dev != folder->st_dev)
		return -EMEDIUMTYPE;
	*ret_fd = take_fd(&fd);
	return 0;
}

/*
 * Group and mode are those the devpts mount was made with; the user is the one who will use it. Without a size in
 * config.json it is that of the terminal the caller has.
 */
static int furnish(int slave, const struct spec_process *process, struct err *err)
{
	struct winsize size = {
		.ws_col = (unsigned short)process->console_width,
		.ws_row = (unsigned short)process->console_height,
	};

	if (!size.ws_col && !size.ws_row && ioctl(0, TIOCGWINSZ, &size) < 0)
		size = (struct winsize){0};
	if (fchown(slave, process->user.uid, (gid_t)-1) < 0)
		return err_sys(err, -errno, "cannot give the terminal to user %u", process->user.uid);
	if ((size.ws_col || size.ws_row) && ioctl(slave, TIOCSWINSZ, &size) < 0)
		return err_sys(err, -errno, "config.json: process.consoleSize");
	return 0;
}

/* Onto the empty file that the runtime put into its own /dev for this. */
static int bind_console(int slave, int dev)
{
	CLEANUP_CLOSE int copy = -1, target = -1;
	int r = mountfd_clone(slave, "", false, &copy);

	if (r < 0)
		return r;
	target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return -errno;
	return mountfd_attach(copy, target);
}

int console_attach(int root, int dev, const struct spec_process *process, int socket, struct err *err)
{
	static const char name[] = "/dev/ptmx";
	CLEANUP_CLOSE int master = -1, slave = -1;
	struct stat folder;
	int r = open_master(root, &master, &folder);
	ssize_t n;

	if (r == 0)
		r = open_slave(master, &folder, &slave);
	if (r < 0) {
		(void)err_sys(err, r, "config.json: process.terminal: cannot open a terminal in /dev/pts");
		return err_hint(err, "the container needs a mount of type devpts on /dev/pts");
	}
	r = furnish(slave, process, err);
	if (r < 0)
		return r;
	r = dev >= 0 ? bind_console(slave, dev) : 0;
	if (r < 0)
		return err_sys(err, r, "cannot mount the terminal on /dev/console");
	n = fdpass_send(socket, name, strlen(name), &master, 1);
	if (n < 0)
		return err_sys(err, (int)n, "cannot send the terminal to the console socket");
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return err_sys(err, -errno, "cannot make the terminal the controlling one");
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(slave, fd) < 0)
			return err_sys(err, -errno, "cannot use the terminal");
	return 0;
}

int console_receive(int own, int *ret_master, struct err *err)
{
	char name[64];
	int master;
	struct fdpass message = {.bytes = name, .len = sizeof(name), .fds = &master, .count = 1};
	ssize_t n = fdpass_receive(own, &message, 0);

	if (n < 0)
		return err_sys(err, (int)n, "cannot receive the terminal");
	if (message.count != 1)
		return err_set(err, -EPROTO, "cannot receive the terminal: the process sent something else");
	*ret_master = master;
	return 0;
}

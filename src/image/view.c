/* SPDX-License-Identifier: Apache-2.0 */
#include "image/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fdio.h"
#include "base/fdpass.h"
#include "base/proc.h"
#include "base/str.h"
#include "image/image.h"
#include "sandbox/mountfd.h"

#define SOCKET ".view-"
#define FOLDER ".files-"
#define WORD_SIZE 32 /* either of these, 16 hexadecimal digits, NUL */
#define ANSWER_S 30

/* Names in the folder of mounts, from a hash of the domain's name. */
static int name_of(char to[static WORD_SIZE], const char *prefix, const char *domain)
{
	char hex[DIGEST_TEXT_SIZE];
	struct digest digest;
	int r = digest_of(DIGEST_SHA256, domain, strlen(domain), &digest);

	if (r < 0)
		return r;
	digest_hex(&digest, hex);
	(void)snprintf(to, WORD_SIZE, "%s%.16s", prefix, hex);
	return 0;
}

static struct sockaddr_un address_of(int dir, const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", dir, name);
	return at;
}

static int connect_to(int dir, const char *name, int *ret_socket)
{
	const struct timeval patience = {.tv_sec = ANSWER_S};
	struct sockaddr_un at = address_of(dir, name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	*ret_socket = fd;
	return 0;
}

static int ask(int socket, const struct view_request *request, int fd, struct err *err)
{
	struct view_reply reply;
	ssize_t n = fdpass_send(socket, request, sizeof(*request), &fd, fd >= 0 ? 1 : 0);

	if (n == (ssize_t)sizeof(*request))
		n = recv(socket, &reply, sizeof(reply), 0);
	else if (n >= 0)
		n = -EIO;
	if (n != (ssize_t)sizeof(reply))
		return err_set(err, ERR_UNAVAILABLE, "the process that serves sealed images does not answer");
	reply.message[sizeof(reply.message) - 1] = '\0';
	if (reply.code > 0 || reply.code < -4095)
		return err_set(err, -EIO, "the process that serves sealed images gave an impossible answer");
	return reply.code < 0 ? err_set(err, reply.code, "%s", reply.message) : 0;
}

/* --- a new process --- */

/* A FUSE file system that only root may enter, attached at a name of the folder of mounts, and its device. */
static int make_folder(int dir, const char *name, int *ret_device, struct err *err)
{
	CLEANUP_CLOSE int device = open("/dev/fuse", O_RDWR | O_CLOEXEC), mount = -1, place = -1;
	char number[32];
	const char *words[] = {number, "rootmode=40000", "user_id=0", "group_id=0"};
	int r;

	if (device < 0) {
		r = -errno;
		(void)err_sys(err, r, "cannot open '/dev/fuse'");
		(void)err_hint(err, "sealed images need the kernel module 'fuse'");
		return r;
	}
	(void)snprintf(number, sizeof(number), "fd=%d", device);
	r = mountfd_new("fuse", "bulkhead", words, ARRAY_SIZE(words),
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &mount, err);
	if (r < 0)
		return r;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, -errno, "cannot make a folder for sealed images");
	r = fdio_open_dir(dir, name, &place, err);
	if (r < 0)
		return r;
	r = mountfd_attach(mount, place);
	if (r < 0)
		return err_sys(err, r, "cannot attach the folder of sealed images");
	*ret_device = take_fd(&device);
	return 0;
}

static int take_folder(int dir, const char *name)
{
	CLEANUP_FREE char *path = str_format("/proc/self/fd/%d/%s", dir, name);

	/* The file system of a process that is gone answers nothing, not even whether it is one. */
	if (path)
		while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			continue;
	return path && (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) ? 0 : -errno;
}

static int start(int dir, const char *executable, const char *socket_name, const char *folder, struct err *err)
{
	const char *const argv[] = {"bulkhead-" IMAGE_VIEW_WORD, IMAGE_VIEW_WORD, NULL};
	struct sockaddr_un at = address_of(dir, socket_name);
	CLEANUP_CLOSE int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), device = -1;
	struct proc proc = {.pid = -1, .pidfd = -1};
	int r = take_folder(dir, folder);

	if (r < 0)
		return err_sys(err, r, "cannot clear the folder of sealed images");
	(void)unlinkat(dir, socket_name, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 8) < 0)
		return err_sys(err, -errno, "cannot make the socket of sealed images");
	r = make_folder(dir, folder, &device, err);
	if (r == 0) {
		const struct proc_spec spec = {.path = executable ? executable : "/proc/self/exe",
					       .argv = argv,
					       .in = listener,
					       .out = -1,
					       .error = -1,
					       .keep = &device,
					       .keep_count = 1,
					       .new_session = true};

		r = proc_spawn(&spec, &proc, err);
	}
	if (r < 0) {
		(void)unlinkat(dir, socket_name, 0);
		(void)take_folder(dir, folder);
		return r;
	}
	/* It is asked, not watched: it runs on without this process. */
	(void)close(proc.pidfd);
	return 0;
}

int view_open(int dir, const char *executable, const char *domain, struct view *ret_view, struct err *err)
{
	char socket_name[WORD_SIZE], folder[WORD_SIZE];
	struct view view = {.socket = -1};
	int r = name_of(socket_name, SOCKET, domain);

	if (r == 0)
		r = name_of(folder, FOLDER, domain);
	if (r == 0)
		r = str_copy(view.domain, sizeof(view.domain), domain);
	if (r < 0)
		return err_sys(err, r, "cannot serve sealed images");
	r = connect_to(dir, socket_name, &view.socket);
	if (r < 0) {
		r = start(dir, executable, socket_name, folder, err);
		if (r < 0)
			return r;
		r = connect_to(dir, socket_name, &view.socket);
	}
	if (r < 0)
		return err_sys(err, r, "cannot reach the process that serves sealed images");
	*ret_view = view;
	return 0;
}

void view_close(struct view *view)
{
	if (view->socket >= 0)
		(void)close(view->socket);
	view->socket = -1;
}

bool view_is_alive(const struct view *view)
{
	char byte;

	return recv(view->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool view_is_running(int dir, const char *domain)
{
	CLEANUP_CLOSE int socket = -1;
	char name[WORD_SIZE];

	return name_of(name, SOCKET, domain) == 0 && connect_to(dir, name, &socket) == 0;
}

int view_add(const struct view *view, int dir, const char *name, int sealed, const struct seal_binding *binding,
	     const uint8_t key[static SEAL_KEY_SIZE], int *ret_file, struct err *err)
{
	struct view_request request = {.op = VIEW_ADD, .binding = *binding};
	CLEANUP_FREE char *path = NULL;
	char folder[WORD_SIZE];
	int r = str_copy(request.name, sizeof(request.name), name);

	if (r == 0)
		r = name_of(folder, FOLDER, view->domain);
	if (r < 0)
		return err_sys(err, r, "cannot serve a sealed image");
	memcpy(request.key, key, SEAL_KEY_SIZE);
	r = ask(view->socket, &request, sealed, err);
	explicit_bzero(&request, sizeof(request));
	if (r < 0)
		return r;
	path = str_format("%s/%s", folder, name);
	*ret_file = path ? openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	return *ret_file < 0 ? err_sys(err, path ? -errno : -ENOMEM, "cannot open the sealed image") : 0;
}

int view_drop(const struct view *view, const char *name, struct err *err)
{
	struct view_request request = {.op = VIEW_DROP};
	int r = str_copy(request.name, sizeof(request.name), name);

	return r < 0 ? err_sys(err, r, "cannot drop a sealed image") : ask(view->socket, &request, -1, err);
}

static int end_at(int dir, const char *suffix, struct err *err)
{
	const struct view_request request = {.op = VIEW_END};
	char socket_name[WORD_SIZE], folder[WORD_SIZE];
	CLEANUP_CLOSE int socket = -1;
	int r;

	(void)snprintf(socket_name, sizeof(socket_name), SOCKET "%.16s", suffix);
	(void)snprintf(folder, sizeof(folder), FOLDER "%.16s", suffix);
	/* One that does not answer is gone. */
	if (connect_to(dir, socket_name, &socket) == 0) {
		r = ask(socket, &request, -1, err);
		if (r < 0 && r != ERR_UNAVAILABLE)
			return r;
	}
	(void)unlinkat(dir, socket_name, 0);
	r = take_folder(dir, folder);
	return r < 0 ? err_sys(err, r, "cannot take the folder of sealed images away") : 0;
}

int view_end(int dir, const char *domain, struct err *err)
{
	char folder[WORD_SIZE];
	int r = name_of(folder, FOLDER, domain);

	return r < 0 ? err_sys(err, r, "cannot end sealed images") : end_at(dir, folder + strlen(FOLDER), err);
}

int view_end_all(int dir, struct err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *names = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *name;

	while (names && r == 0 && (name = readdir(names)))
		if (str_starts(name->d_name, SOCKET))
			r = end_at(dir, name->d_name + strlen(SOCKET), err);
	if (names)
		(void)closedir(names);
	else if (copy >= 0)
		(void)close(copy);
	return r;
}

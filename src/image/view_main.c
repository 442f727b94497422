/* SPDX-License-Identifier: Apache-2.0 */
/* The process that serves the sealed images of one trust domain: a socket to be told files, a FUSE device to be asked. */
#define FUSE_USE_VERSION 35
#include "image/view.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/fdpass.h"
#include "base/str.h"
#include "image/confine.h"
#include "image/image.h"
#include "image/plainchunks.h"
#include "image/secretarena.h"

#define LISTENER 0
#define DEVICE "/dev/fd/3"
#define MEMORY_MAX ((size_t)64 << 20)
#define SECRET_BYTES ((size_t)2 << 20)
#define THREADS 3
#define STACK (256u << 10)
#define CLIENTS_MAX 8
#define FIRST_INODE 2

/* All that serving does. */
static const char *const calls[] = {
	"read",
	"write",
	"writev",
	"pread64",
	"readv",
	"close",
	"fstat",
	"lseek",
	"mmap",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"brk",
	"futex",
	"getrandom",
	"rt_sigreturn",
	"rt_sigaction",
	"accept4",
	"poll",
	"recvmsg",
	"sendmsg",
	"rt_sigprocmask",
	"exit",
	"exit_group",
	"clock_gettime",
	"restart_syscall",
	"getpid",
	"gettid",
	"clone3",
	"clone",
	"rseq",
	"set_robust_list",
	"newfstatat",
	"fcntl",
	"sched_yield",
	"sendto",
	"tgkill",
};

struct file {
	char name[VIEW_NAME_SIZE]; /* empty: free */
	struct unseal *unseal;     /* NULL: dropped, while the kernel may still ask */
	unsigned readers;
	uint64_t lookups; /* how often the kernel was told of it and has not forgotten it since */
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t read; /* a reader is done */
	struct file files[VIEW_FILES_MAX];
	struct fuse_session *session;
} served = {.mutex = PTHREAD_MUTEX_INITIALIZER, .read = PTHREAD_COND_INITIALIZER};

/* --- files --- */

static struct file *find(const char *name)
{
	for (size_t i = 0; i < VIEW_FILES_MAX; i++)
		if (served.files[i].name[0] && str_eq(served.files[i].name, name))
			return &served.files[i];
	return NULL;
}

static struct file *file_of(fuse_ino_t inode)
{
	return inode >= FIRST_INODE && inode < FIRST_INODE + VIEW_FILES_MAX ? &served.files[inode - FIRST_INODE] : NULL;
}

/* Holds a file for reading; NULL when its key is gone. */
static const struct unseal *begin_read(struct file *file)
{
	const struct unseal *unseal;

	(void)pthread_mutex_lock(&served.mutex);
	unseal = file->unseal;
	file->readers += unseal != NULL;
	(void)pthread_mutex_unlock(&served.mutex);
	return unseal;
}

static void end_read(struct file *file)
{
	(void)pthread_mutex_lock(&served.mutex);
	if (--file->readers == 0)
		(void)pthread_cond_broadcast(&served.read);
	(void)pthread_mutex_unlock(&served.mutex);
}

static void free_if_forgotten(struct file *file)
{
	if (!file->unseal && !file->lookups)
		file->name[0] = '\0';
}

/* Wipes the key of a file as soon as nobody reads with it. The mutex is held. */
static void drop_file(struct file *file)
{
	struct unseal *unseal = file->unseal;

	file->unseal = NULL;
	while (file->readers)
		(void)pthread_cond_wait(&served.read, &served.mutex);
	unseal_free(unseal);
	plainchunks_forget((size_t)(file - served.files));
	free_if_forgotten(file);
}

static int add_file(const struct view_request *request, int fd, struct err *err)
{
	struct unseal *unseal;
	struct file *file;
	int r = unseal_new(fd, &request->binding, request->key, &unseal, err);

	if (r < 0) {
		(void)close(fd);
		return r;
	}
	unseal_directly(unseal);
	(void)pthread_mutex_lock(&served.mutex);
	file = find(request->name);
	for (size_t i = 0; !file && i < VIEW_FILES_MAX; i++)
		if (!served.files[i].name[0])
			file = &served.files[i];
	if (file && file->unseal) {
		/* Asked again by a service that was started anew; the key opened the file. */
		unseal_free(unseal);
	} else if (file) {
		memcpy(file->name, request->name, sizeof(file->name));
		file->unseal = unseal;
	} else {
		unseal_free(unseal);
		r = err_set(err, ERR_BUSY, "more than %d sealed images of one trust domain", VIEW_FILES_MAX);
	}
	(void)pthread_mutex_unlock(&served.mutex);
	return r;
}

/* --- FUSE --- */

static void on_init(void *user, struct fuse_conn_info *connection)
{
	(void)user;
	connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static struct stat stat_of(fuse_ino_t inode, const struct unseal *unseal)
{
	bool folder = inode == FUSE_ROOT_ID;

	return (struct stat){.st_ino = inode,
			     .st_mode = folder ? S_IFDIR | 0500 : S_IFREG | 0400,
			     .st_nlink = folder ? 2 : 1,
			     .st_size = folder ? 0 : (off_t)unseal_size(unseal),
			     .st_blksize = IMAGEFILE_CHUNK,
			     .st_blocks = folder ? 0 : (blkcnt_t)((unseal_size(unseal) + 511) / 512)};
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {0};
	struct file *file;

	(void)pthread_mutex_lock(&served.mutex);
	file = parent == FUSE_ROOT_ID ? find(name) : NULL;
	if (file && file->unseal) {
		entry.ino = FIRST_INODE + (fuse_ino_t)(file - served.files);
		entry.attr = stat_of(entry.ino, file->unseal);
		entry.attr_timeout = 3600;
		file->lookups++;
	}
	(void)pthread_mutex_unlock(&served.mutex);
	if (entry.ino)
		(void)fuse_reply_entry(request, &entry);
	else
		(void)fuse_reply_err(request, ENOENT);
}

static void forget(fuse_ino_t inode, uint64_t count)
{
	struct file *file = file_of(inode);

	if (!file)
		return;
	(void)pthread_mutex_lock(&served.mutex);
	file->lookups -= count < file->lookups ? count : file->lookups;
	free_if_forgotten(file);
	(void)pthread_mutex_unlock(&served.mutex);
}

static void on_forget(fuse_req_t request, fuse_ino_t inode, uint64_t count)
{
	forget(inode, count);
	fuse_reply_none(request);
}

static void on_forget_many(fuse_req_t request, size_t count, struct fuse_forget_data *all)
{
	for (size_t i = 0; i < count; i++)
		forget(all[i].ino, all[i].nlookup);
	fuse_reply_none(request);
}

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct file *file = file_of(inode);
	const struct unseal *unseal = file ? begin_read(file) : NULL;
	struct stat st;

	(void)info;
	if (!unseal && inode != FUSE_ROOT_ID) {
		(void)fuse_reply_err(request, ENOENT);
		return;
	}
	st = stat_of(inode, unseal);
	if (unseal)
		end_read(file);
	(void)fuse_reply_attr(request, &st, 3600);
}

static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	if (!file_of(inode)) {
		(void)fuse_reply_err(request, EISDIR);
		return;
	}
	if ((info->flags & O_ACCMODE) != O_RDONLY) {
		(void)fuse_reply_err(request, EROFS);
		return;
	}
	/* What is read is cached by the image that is mounted from it, once. */
	info->direct_io = 1;
	(void)fuse_reply_open(request, info);
}

static void on_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t at, struct fuse_file_info *info)
{
	struct file *file = file_of(inode);
	const struct unseal *unseal = file ? begin_read(file) : NULL;
	struct plainchunks_piece pieces[PLAINCHUNKS_PIECES];
	struct iovec parts[PLAINCHUNKS_PIECES];
	size_t count = 0;
	int r = unseal ? 0 : -EIO;

	(void)info;
	if (r == 0)
		r = plainchunks_read(unseal, (size_t)(file - served.files), (uint64_t)at, size, pieces, &count);
	for (size_t i = 0; i < count; i++)
		parts[i] = (struct iovec){(void *)pieces[i].bytes, pieces[i].len};
	if (r < 0)
		(void)fuse_reply_err(request, EIO);
	else
		(void)fuse_reply_iov(request, parts, (int)count);
	plainchunks_release(pieces, count);
	if (unseal)
		end_read(file);
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_many,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
};

static void *serve_device(void *user)
{
	struct fuse_buf buf = {0};
	int r;

	(void)user;
	while (!fuse_session_exited(served.session)) {
		r = fuse_session_receive_buf(served.session, &buf);
		if (r == -EINTR)
			continue;
		if (r <= 0)
			break;
		fuse_session_process_buf(served.session, &buf);
	}
	/* The file system is gone, and so is what this process is for. */
	_exit(0);
}

/* --- the socket --- */

static void answer(int client, int code, const struct err *err)
{
	struct view_reply reply = {.code = code};

	if (code < 0)
		(void)snprintf(reply.message, sizeof(reply.message), "%.255s", err->msg);
	if (send(client, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
		return;
}

static void take_request(int client, struct view_request *request, int fd)
{
	struct err err = {0};
	struct file *file;
	int r = 0;

	request->name[VIEW_NAME_SIZE - 1] = '\0';
	request->binding.domain[SEAL_DOMAIN_SIZE - 1] = '\0';
	switch ((enum view_op)request->op) {
	case VIEW_ADD:
		r = fd < 0 || !request->name[0] ? err_set(&err, ERR_INVALID, "no file came")
						: add_file(request, take_fd(&fd), &err);
		break;
	case VIEW_DROP:
		(void)pthread_mutex_lock(&served.mutex);
		file = find(request->name);
		if (file)
			drop_file(file);
		(void)pthread_mutex_unlock(&served.mutex);
		break;
	case VIEW_END:
		answer(client, 0, NULL);
		_exit(0);
	}
	if (fd >= 0)
		(void)close(fd);
	answer(client, r, &err);
}

/* One message; false when the client is gone. */
static bool on_client(int client)
{
	struct view_request request;
	int fd = -1;
	struct fdpass message = {.bytes = &request, .len = sizeof(request), .fds = &fd, .count = 1};
	ssize_t n = fdpass_receive(client, &message, 0);

	if (n == (ssize_t)sizeof(request))
		take_request(client, &request, message.count ? fd : -1);
	explicit_bzero(&request, sizeof(request));
	return n == (ssize_t)sizeof(request);
}

static int serve_socket(void)
{
	struct pollfd fds[1 + CLIENTS_MAX] = {{.fd = LISTENER, .events = POLLIN}};

	for (size_t i = 1; i <= CLIENTS_MAX; i++)
		fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	while (true) {
		if (poll(fds, 1 + CLIENTS_MAX, -1) < 0 && errno != EINTR)
			return 1;
		for (size_t i = 1; i <= CLIENTS_MAX; i++) {
			if (fds[i].fd < 0 || !fds[i].revents || on_client(fds[i].fd))
				continue;
			(void)close(fds[i].fd);
			fds[i].fd = -1;
		}
		for (size_t i = 1; fds[0].revents && i <= CLIENTS_MAX; i++) {
			if (fds[i].fd >= 0)
				continue;
			fds[i].fd = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
			break;
		}
	}
}

/* --- beginning --- */

static int open_session(struct err *err)
{
	char name[] = "bulkhead-" IMAGE_VIEW_WORD, *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	served.session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!served.session || fuse_session_mount(served.session, DEVICE) != 0)
		return err_set(err, -EIO, "cannot serve a FUSE file system");
	return 0;
}

static int begin_threads(struct err *err)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r == 0)
		r = pthread_attr_setstacksize(&attr, STACK);
	for (unsigned i = 0; r == 0 && i < THREADS; i++) {
		pthread_t thread;

		r = pthread_create(&thread, &attr, serve_device, NULL);
	}
	return r ? err_sys(err, -r, "cannot serve a FUSE file system") : 0;
}

int image_view_main(void)
{
	const struct confine confine = {PRIVILEGE_VIEW, calls, ARRAY_SIZE(calls), MEMORY_MAX};
	struct err err = {0};
	uint8_t noise[16];
	struct digest warm;
	int r = secretarena_open(SECRET_BYTES, &err);

	/* libcrypto and libfuse look for files when they are first used: while there are some. */
	if (r == 0 && (digest_of(DIGEST_SHA256, "", 0, &warm) < 0 || RAND_bytes(noise, sizeof(noise)) != 1))
		r = err_sys(&err, -EIO, "cannot use libcrypto");
	if (r == 0)
		r = open_session(&err);
	if (r == 0)
		r = plainchunks_open(&err);
	if (r == 0)
		r = confine_self(&confine, &err);
	if (r == 0)
		r = begin_threads(&err);
	if (r < 0) {
		(void)dprintf(STDERR_FILENO, "%s\n", err.msg);
		_exit(1);
	}
	_exit(serve_socket());
}

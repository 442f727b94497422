/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nodecall.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

#define ANSWER_MAX (256u << 10)
#define TIMEOUT_MS 120000

static int connect_to(const struct paths *paths, int *ret_fd, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char *path CLEANUP_FREE = str_format("%s/cis.sock", paths->run);
	int fd CLEANUP_CLOSE = -1;

	if (!path || str_copy(address.sun_path, sizeof(address.sun_path), path) < 0)
		return err_set(err, -ENAMETOOLONG, "the name of '%s/cis.sock' is too long for a socket", paths->run);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, -errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return err_sys(err, -errno, "cannot reach the instance at '%s'", path);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int read_answer(const char *bytes, size_t len, json_t **ret_answer, struct err *err)
{
	json_t *answer = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (json_is_true(json_object_get(answer, "ok"))) {
		*ret_answer = answer;
		return 0;
	}
	(void)err_set(err, ERR_UNAVAILABLE, "the instance refuses: %s", error ? error : "its answer is not understood");
	json_decref(answer);
	return ERR_UNAVAILABLE;
}

int nodecall(const struct paths *paths, const char *request, json_t **ret_answer, struct err *err)
{
	char *answer CLEANUP_FREE = malloc(ANSWER_MAX);
	int fd CLEANUP_CLOSE = -1;
	struct pollfd poll_fd = {.events = POLLIN};
	ssize_t len;
	int r = answer ? connect_to(paths, &fd, err) : err_set(err, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return err_sys(err, -errno, "cannot ask the instance");
	poll_fd.fd = fd;
	do
		r = poll(&poll_fd, 1, TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return err_set(err, -ETIMEDOUT, "the instance did not answer within %d s", TIMEOUT_MS / 1000);
	len = recv(fd, answer, ANSWER_MAX, 0);
	if (len <= 0)
		return err_sys(err, len < 0 ? -errno : -ECONNRESET, "the instance did not answer");
	return read_answer(answer, (size_t)len, ret_answer, err);
}

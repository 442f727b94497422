/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a peer that ends a kept connection when it is asked again. */
#include "http/client.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_uint requests;

/* Takes a request of a few bytes; false when there is none. */
static bool take(int fd)
{
	char bytes[4096];
	size_t len = 0;

	while (len < sizeof(bytes) - 1) {
		ssize_t got = read(fd, bytes + len, sizeof(bytes) - 1 - len);

		if (got <= 0)
			return false;
		len += (size_t)got;
		bytes[len] = '\0';
		if (strstr(bytes, "\r\n\r\nbody"))
			return atomic_fetch_add(&requests, 1) + 1;
	}
	return false;
}

/* Answers the first request of each connection and leaves at its second. */
static void *serve(void *user)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	int listener = *(int *)user, fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (take(fd) && write(fd, answer, sizeof(answer) - 1) > 0)
			(void)take(fd);
		(void)close(fd);
	}
	return NULL;
}

static int call(struct http_client *client, const char *url, bool once, bool *ret_unsent, struct err *err)
{
	CLEANUP_HTTP_REPLY struct http_reply reply = {.status = 0};
	const struct http_call what = {.method = "POST", .url = url, .body = "body", .body_len = 4, .once = once};
	int r = http_client_call(client, &what, &reply, err);

	*ret_unsent = reply.unsent;
	return r;
}

static void test_once(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct http_client_config config = {0};
	CLEANUP_FREE char *url = malloc(64);
	struct http_client *client = NULL;
	struct err err = {0};
	pthread_t server;
	char words[80];
	bool unsent;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(url, 64, "http://127.0.0.1:%u/", ntohs(address.sin_port));
	assert_int_equal(pthread_create(&server, NULL, serve, &listener), 0);
	assert_int_equal(http_client_new(&config, &client, &err), 0);
	assert_int_equal(call(client, url, true, &unsent, &err), 0);
	assert_int_equal(call(client, url, true, &unsent, &err), ERR_UNAVAILABLE);
	(void)snprintf(words, sizeof(words), "'127.0.0.1:%u' left while it was asked", ntohs(address.sin_port));
	assert_string_equal(err.msg, words);
	assert_false(unsent);
	assert_int_equal(atomic_load(&requests), 2);
	/* Without it the second is sent twice. */
	assert_int_equal(call(client, url, false, &unsent, &err), 0);
	assert_int_equal(call(client, url, false, &unsent, &err), 0);
	assert_int_equal(atomic_load(&requests), 5);
	http_client_free(client);
	(void)shutdown(listener, SHUT_RDWR);
	(void)close(listener);
	(void)pthread_join(server, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

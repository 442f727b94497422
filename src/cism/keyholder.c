/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/keyholder.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "cism/keyholder_frames.h"

extern char **environ;

struct keyholder {
	struct proc proc;
	pthread_mutex_t lock; /* one question at a time */
	int channel;
	bool gone;
};

int keyholder_start(const char *executable, int etc, struct keyholder **ret_holder, struct err *err)
{
	const char *const argv[] = {"bulkhead-cism", KEYHOLDER_WORD, NULL};
	const struct timeval patience = {.tv_sec = KEYHOLDER_ASK_SECONDS};
	struct keyholder *holder = calloc(1, sizeof(*holder));
	CLEANUP_CLOSE int other = -1;
	int pair[2], r;

	if (!holder)
		return err_sys(err, -ENOMEM, "cannot hold keys");
	holder->proc = (struct proc){.pid = -1, .pidfd = -1};
	holder->channel = -1;
	(void)pthread_mutex_init(&holder->lock, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		r = err_sys(err, -errno, "cannot hold keys");
	} else {
		holder->channel = pair[0];
		other = pair[1];
		/* What a PKCS#11 module is told, it is told by the environment. */
		const struct proc_spec spec = {.path = executable ? executable : "/proc/self/exe",
					       .argv = argv,
					       .envp = (const char *const *)environ,
					       .in = other,
					       .out = -1,
					       .error = STDERR_FILENO,
					       .keep = &etc,
					       .keep_count = 1,
					       .new_session = true,
					       .die_with_parent = true};

		r = proc_spawn(&spec, &holder->proc, err);
	}
	if (r == 0 && setsockopt(holder->channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		r = err_sys(err, -errno, "cannot hold keys");
	if (r < 0) {
		keyholder_stop(holder);
		return r;
	}
	*ret_holder = holder;
	return 0;
}

void keyholder_stop(struct keyholder *holder)
{
	if (!holder)
		return;
	if (holder->channel >= 0)
		(void)close(holder->channel);
	/* It ends with its channel; it may not be this user's any more to kill. */
	if (holder->proc.pidfd >= 0) {
		int status;

		(void)!proc_wait(&holder->proc, KEYHOLDER_ASK_SECONDS * 1000, &status);
	}
	(void)pthread_mutex_destroy(&holder->lock);
	free(holder);
}

static json_t *layer_of(const struct keyholder_question *question, size_t i)
{
	const struct encryption *layer = &question->layers[i];
	json_t *packets = json_array();

	for (size_t k = 0; k < layer->packet_count; k++)
		if (json_array_append_new(packets, json_stringn(layer->packets[k].at, layer->packets[k].len)) < 0) {
			json_decref(packets);
			return NULL;
		}
	return json_pack("{s:s, s:s%, s:o}", "digest", question->digests[i], "public", layer->public_options.at,
			 layer->public_options.len, "packets", packets);
}

static char *format_question(const struct keyholder_question *question)
{
	json_t *layers = json_array(), *root;
	char *text;

	for (size_t i = 0; i < question->count; i++)
		if (json_array_append_new(layers, layer_of(question, i)) < 0) {
			json_decref(layers);
			return NULL;
		}
	root = json_pack("{s:s, s:s, s:o}", "domain", question->domain, "recipient", question->recipient, "layers",
			 layers);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

/* One exchange; whatever goes wrong with the channel is its end, for the next answer would be to another question. */
static int exchange(struct keyholder *holder, const char *question, struct keyholder_answer *answer, struct buf *text)
{
	uint32_t len = (uint32_t)strlen(question);
	char *at;
	int r = fdio_write_all(holder->channel, &len, sizeof(len));

	if (r == 0)
		r = fdio_write_all(holder->channel, question, len);
	if (r == 0)
		r = fdio_read_exact(holder->channel, answer, sizeof(*answer));
	if (r == 0 && (answer->len > KEYHOLDER_ANSWER_MAX || answer->code > 0 || answer->code < -4095))
		r = -EPROTO;
	if (r == 0)
		r = buf_reserve(text, answer->len, &at);
	if (r == 0)
		r = fdio_read_exact(holder->channel, at, answer->len);
	if (r == 0) {
		text->len += answer->len;
		at[answer->len] = '\0';
	}
	return r;
}

int keyholder_ask(struct keyholder *holder, const struct keyholder_question *question, struct buf *jwe, struct err *err)
{
	CLEANUP_FREE char *text = format_question(question);
	CLEANUP_BUF struct buf reply = buf_of(KEYHOLDER_ANSWER_MAX);
	struct keyholder_answer answer = {0};
	int r = 0;

	if (!text)
		return err_sys(err, -ENOMEM, "cannot ask for keys");
	if (strlen(text) > KEYHOLDER_QUESTION_MAX)
		return err_set(err, ERR_TOO_LARGE, "the annotations of the image's layers have more than %zu bytes",
			       KEYHOLDER_QUESTION_MAX);
	(void)pthread_mutex_lock(&holder->lock);
	if (!holder->gone)
		r = exchange(holder, text, &answer, &reply);
	holder->gone = holder->gone || r < 0;
	if (holder->gone)
		r = err_set(err, ERR_UNAVAILABLE, "the process that holds the keys is gone; start bulkhead-cism again");
	(void)pthread_mutex_unlock(&holder->lock);
	if (r < 0)
		return r;
	if (answer.code < 0)
		return err_set(err, answer.code, "%s", reply.data ? reply.data : "");
	r = buf_append(jwe, reply.data ? reply.data : "", reply.len);
	return r < 0 ? err_sys(err, r, "cannot ask for keys") : 0;
}

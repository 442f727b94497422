/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ingest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "image/image.h"

/* How long the process may take to end after its last verdict. */
#define END_MS 10000

struct ingest {
	struct proc proc;
	struct unpack_limits limits;
	int channel;
};

static int send_all(int channel, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = send(channel, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_frame(struct ingest *ingest, enum ingest_frame frame, const void *bytes, size_t len)
{
	const struct ingest_head head = {.frame = frame, .len = (uint32_t)len};
	int r = send_all(ingest->channel, &head, sizeof(head));

	return r < 0 ? r : send_all(ingest->channel, bytes, len);
}

int ingest_start(const char *executable, int file, const struct ingest_orders *orders, struct ingest **ret_ingest,
		 struct err *err)
{
	const char *const argv[] = {"bulkhead-" IMAGE_INGEST_WORD, IMAGE_INGEST_WORD, NULL};
	CLEANUP(cleanup_ingest) struct ingest *ingest = calloc(1, sizeof(*ingest));
	CLEANUP_CLOSE int other = -1;
	int pair[2], r;

	if (!ingest)
		return err_sys(err, -ENOMEM, "cannot unpack");
	ingest->channel = -1;
	ingest->limits = orders->limits;
	ingest->proc = (struct proc){.pid = -1, .pidfd = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, -errno, "cannot unpack");
	ingest->channel = pair[0];
	other = pair[1];
	{
		const struct proc_spec spec = {.path = executable ? executable : "/proc/self/exe",
					       .argv = argv,
					       .in = other,
					       .out = -1,
					       .error = -1,
					       .keep = &file,
					       .keep_count = 1,
					       .new_session = true,
					       .die_with_parent = true};

		r = proc_spawn(&spec, &ingest->proc, err);
	}
	if (r < 0)
		return r;
	r = send_frame(ingest, INGEST_ORDERS, orders, sizeof(*orders));
	if (r < 0 && r != -EPIPE)
		return err_sys(err, r, "cannot unpack");
	*ret_ingest = take_ptr(ingest);
	return 0;
}

void ingest_free(struct ingest *ingest)
{
	if (!ingest)
		return;
	if (ingest->channel >= 0)
		(void)close(ingest->channel);
	if (ingest->proc.pidfd >= 0) {
		int status;

		(void)!proc_kill(&ingest->proc, SIGKILL);
		(void)!proc_wait(&ingest->proc, -1, &status);
	}
	free(ingest);
}

int ingest_layer_begin(struct ingest *ingest, const struct ingest_layer *layer)
{
	return send_frame(ingest, INGEST_LAYER, layer, sizeof(*layer));
}

int ingest_layer_data(struct ingest *ingest, const char *bytes, size_t len)
{
	while (len) {
		size_t piece = len < INGEST_DATA_MAX ? len : INGEST_DATA_MAX;
		int r = send_frame(ingest, INGEST_DATA, bytes, piece);

		if (r < 0)
			return r;
		bytes += piece;
		len -= piece;
	}
	return 0;
}

int ingest_layer_end(struct ingest *ingest)
{
	return send_frame(ingest, INGEST_LAYER_END, NULL, 0);
}

/* The other side may be in the hands of what it unpacks: every byte of its answer counts as hostile. */
static int read_verdict(struct ingest *ingest, struct ingest_verdict *verdict, struct err *err)
{
	int r = fdio_read_exact(ingest->channel, verdict, sizeof(*verdict));

	if (r < 0)
		return err_set(err, -EIO, "the unpacking process ended without a word");
	verdict->message[sizeof(verdict->message) - 1] = '\0';
	for (char *at = verdict->message; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	if (verdict->code > 0 || verdict->code < -4095 || verdict->totals.bytes > ingest->limits.bytes ||
	    verdict->totals.entries > ingest->limits.entries)
		return err_set(err, -EIO, "the unpacking process gave an impossible answer");
	return verdict->code < 0 ? err_set(err, verdict->code, "%s", verdict->message) : 0;
}

int ingest_verdict(struct ingest *ingest, struct err *err)
{
	struct ingest_verdict verdict;

	return read_verdict(ingest, &verdict, err);
}

int ingest_finish(struct ingest *ingest, struct unpack_totals *ret_totals, struct err *err)
{
	struct ingest_verdict verdict;
	int status = 0, r = send_frame(ingest, INGEST_FINISH, NULL, 0);

	if (r < 0 && r != -EPIPE)
		return err_sys(err, r, "cannot unpack");
	r = read_verdict(ingest, &verdict, err);
	if (r < 0)
		return r;
	r = proc_wait(&ingest->proc, END_MS, &status);
	if (r < 0 || status != 0)
		return err_set(err, -EIO, "the unpacking process did not end well");
	*ret_totals = verdict.totals;
	return 0;
}

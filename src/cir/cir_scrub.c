/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_scrub.h"

#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/log.h"

#define BLOCK_SIZE ((size_t)256 << 10)
#define SECOND_NS UINT64_C(1000000000)

struct pass {
	const struct cir_files *files;
	const _Atomic bool *stop; /* NULL: none */
	uint64_t bytes_per_second;
	void (*wait)(void *user, uint64_t ns); /* NULL: as fast as it goes */
	void *user;
	struct cir_scrubbed *scrubbed;
	uint64_t began_ns, bytes;
	struct err *err;
};

static bool stopped(const struct pass *pass)
{
	return pass->stop && atomic_load(pass->stop);
}

/* Rests when the pass is ahead of its pace. */
static void pace(struct pass *pass, size_t len)
{
	uint64_t due;

	pass->bytes += len;
	if (!pass->wait)
		return;
	due = pass->began_ns + (uint64_t)((double)pass->bytes / (double)pass->bytes_per_second * (double)SECOND_NS);
	if (due > clock_monotonic_ns())
		pass->wait(pass->user, due - clock_monotonic_ns());
}

/* The digest of what the file holds: 1 when it is the expected one, 0 when not or when the disk cannot be read. */
static int read_whole(struct pass *pass, int fd, const struct digest *expected)
{
	CLEANUP(cleanup_digest_stream) struct digest_stream *stream = NULL;
	CLEANUP_FREE char *block = malloc(BLOCK_SIZE);
	int r = block ? digest_stream_new(expected->algorithm, &stream) : -ENOMEM;
	ssize_t n = 1;

	for (off_t at = 0; r == 0 && n > 0; at += n) {
		if (stopped(pass))
			return -EINTR;
		n = pread(fd, block, BLOCK_SIZE, at);
		if (n < 0)
			return errno == EIO ? 0 : -errno;
		r = digest_stream_update(stream, block, (size_t)n);
		pace(pass, (size_t)n);
	}
	if (r < 0)
		return r;
	r = digest_stream_verify(stream, expected, NULL);
	return r == ERR_CORRUPT ? 0 : r < 0 ? r : 1;
}

static void take_out(const struct cir_files *files, const struct digest *digest, const struct stat *seen,
		     struct cir_scrubbed *scrubbed)
{
	char text[DIGEST_TEXT_SIZE];
	struct err err = {0};
	int r = cir_files_quarantine(files, digest, seen, &err);

	if (r == 0)
		return; /* others by now */
	digest_format(digest, text);
	atomic_fetch_add(&scrubbed->corrupt, 1);
	if (r < 0)
		log_failure("corrupt contents stay where they are", &err);
	else
		log_error("corrupt contents were put into quarantine", "digest", text);
}

static int check(struct pass *pass, int fd, const struct stat *status, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];
	int r = read_whole(pass, fd, digest);

	digest_format(digest, text);
	if (r < 0)
		return err_sys(pass->err, r, "cannot verify '%s'", text);
	atomic_fetch_add(&pass->scrubbed->contents, 1);
	atomic_fetch_add(&pass->scrubbed->bytes, (uint64_t)status->st_size);
	if (r == 1) {
		cir_verified_add(pass->files->verified, digest, status);
		return 0;
	}
	take_out(pass->files, digest, status, pass->scrubbed);
	return err_set(pass->err, ERR_CORRUPT, "the stored bytes of '%s' are corrupt", text);
}

int cir_scrub_check(const struct cir_files *files, const struct digest *digest, const _Atomic bool *stop,
		    struct cir_scrubbed *scrubbed, struct err *err)
{
	struct pass pass = {.files = files, .stop = stop, .scrubbed = scrubbed, .err = err};
	CLEANUP_CLOSE int fd = -1;
	struct stat status;
	int r = cir_files_contents_open(files, digest, &fd, &status, err);

	if (r < 0 || cir_verified_has(files->verified, digest, &status))
		return r;
	return check(&pass, fd, &status, digest);
}

void cir_scrub_found(const struct cir_files *files, const struct digest *digest, struct cir_scrubbed *scrubbed)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat status;

	if (cir_files_contents_open(files, digest, &fd, &status, NULL) == 0) {
		struct pass pass = {.files = files, .scrubbed = scrubbed};

		(void)check(&pass, fd, &status, digest);
	}
}

static int check_one(const struct digest *digest, void *user)
{
	struct pass *pass = user;
	CLEANUP_CLOSE int fd = -1;
	struct stat status;
	int r;

	if (stopped(pass))
		return 1;
	r = cir_files_contents_open(pass->files, digest, &fd, &status, pass->err);
	if (r < 0)
		return r == ERR_NOT_FOUND ? 0 : r;
	/* What memory holds may be better than the disk. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	r = check(pass, fd, &status, digest);
	if (r == -EINTR)
		return 1;
	return r == ERR_CORRUPT ? 0 : r;
}

int cir_scrub_all(const struct cir_files *files, const _Atomic bool *stop, uint64_t bytes_per_second,
		  void (*wait)(void *user, uint64_t ns), void *user, struct cir_scrubbed *scrubbed, struct err *err)
{
	struct err failure = {0};
	struct pass pass = {
		.files = files,
		.stop = stop,
		.bytes_per_second = bytes_per_second,
		.wait = wait,
		.user = user,
		.scrubbed = scrubbed,
		.began_ns = clock_monotonic_ns(),
		.err = &failure,
	};
	int r = cir_files_each_contents(files, check_one, &pass);

	if (r >= 0)
		return 0;
	return failure.code == r ? err_set(err, r, "%s", failure.msg) : err_sys(err, r, "cannot read the folders");
}

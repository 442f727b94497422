/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed files: what was sealed is read back, and each way to change one is refused by name. CACHE-2 CACHE-4 */
#include "image/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (3 * IMAGEFILE_CHUNK + 5000)
#define HEADER 4096

static const uint8_t key[SEAL_KEY_SIZE] = "the key of a domain", other_key[SEAL_KEY_SIZE] = "of another";

static struct seal_binding binding_of(const char *domain, uint8_t id)
{
	struct seal_binding binding = {.id = {id}};

	assert_int_equal(digest_of(DIGEST_SHA256, "image", 5, &binding.image), 0);
	(void)snprintf(binding.domain, sizeof(binding.domain), "%s", domain);
	return binding;
}

static void fill(uint8_t *to, uint64_t chunk, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(i * 31 + chunk * 7);
}

static size_t length_of(uint64_t chunk)
{
	return chunk < SIZE / IMAGEFILE_CHUNK ? IMAGEFILE_CHUNK : SIZE % IMAGEFILE_CHUNK;
}

/* A file of four chunks, the first one sealed last, as images are. */
static int make(const struct seal_binding *binding, const uint8_t *with)
{
	static uint8_t bytes[IMAGEFILE_CHUNK];
	int fd = memfd_create("sealed", MFD_CLOEXEC);
	struct seal *seal;
	struct err err;

	assert_int_equal(seal_new(fd, binding, with, &seal), 0);
	for (uint64_t i = 1; i <= 4; i++) {
		fill(bytes, i % 4, length_of(i % 4));
		assert_int_equal(seal_chunk(seal, i % 4, bytes, length_of(i % 4), &err), 0);
	}
	/* Its nonce is used up. */
	assert_int_equal(seal_chunk(seal, 2, bytes, IMAGEFILE_CHUNK, &err), -EEXIST);
	assert_int_equal(seal_finish(seal, SIZE, &err), 0);
	seal_free(seal);
	return fd;
}

/* Opens a copy, so that the caller keeps his. */
static int open_copy(int fd, const struct seal_binding *binding, const uint8_t *with, struct unseal **unseal,
		     struct err *err)
{
	int copy = dup(fd), r = unseal_new(copy, binding, with, unseal, err);

	if (r < 0)
		(void)close(copy);
	return r;
}

static void test_read_back(void **state)
{
	struct seal_binding binding = binding_of("gold", 1);
	static uint8_t bytes[IMAGEFILE_CHUNK], wanted[IMAGEFILE_CHUNK];
	int fd = make(&binding, key);
	struct unseal *unseal;
	struct err err = {0};
	void *file;

	(void)state;
	assert_int_equal(open_copy(fd, &binding, key, &unseal, &err), 0);
	assert_int_equal(unseal_size(unseal), SIZE);
	for (uint64_t i = 0; i < 4; i++) {
		size_t len;

		assert_int_equal(unseal_chunk(unseal, i, bytes, &len, &err), 0);
		assert_int_equal(len, length_of(i));
		fill(wanted, i, len);
		assert_memory_equal(bytes, wanted, len);
	}
	assert_int_equal(unseal_chunk(unseal, 4, bytes, &(size_t){0}, &err), ERR_INVALID);
	assert_string_equal(err.msg, "the sealed file has no chunk 4");
	/* Nothing of the plain text is in the file. */
	file = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	fill(wanted, 1, 64);
	assert_null(memmem(file, SIZE, wanted, 64));
	(void)munmap(file, SIZE);
	unseal_free(unseal);
	unseal_free(NULL);
	(void)close(fd);
}

static void expect_refused(int fd, const struct seal_binding *binding, const uint8_t *with, int code,
			   const char *message)
{
	struct unseal *unseal;
	struct err err = {0};

	assert_int_equal(open_copy(fd, binding, with, &unseal, &err), code);
	assert_string_equal(err.msg, message);
}

static void test_foreign(void **state)
{
	struct seal_binding binding = binding_of("gold", 1), other = binding;
	char message[256], digest[DIGEST_TEXT_SIZE];
	int fd = make(&binding, key);
	struct err err;

	(void)state;
	expect_refused(fd, &binding, other_key, ERR_DENIED,
		       "the key of trust domain 'gold' does not open the sealed file, or its header was changed");
	assert_int_equal(unseal_check(fd, &binding, other_key, &err), ERR_DENIED);
	assert_int_equal(unseal_check(fd, &binding, key, &err), 0);
	other = binding_of("silver", 1);
	expect_refused(fd, &other, key, ERR_DENIED, "the sealed file is of another trust domain than 'silver'");
	/* One that was stored before, put back. */
	other = binding_of("gold", 2);
	expect_refused(fd, &other, key, ERR_DENIED, "the sealed file is not the one that was stored last");
	other = binding;
	other.image.bytes[0] ^= 1;
	digest_format(&other.image, digest);
	(void)snprintf(message, sizeof(message), "the sealed file is of another image than '%s'", digest);
	expect_refused(fd, &other, key, ERR_DENIED, message);
	(void)close(fd);
}

static void flip(int fd, off_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* Each byte of the header that counts, and some of the rest. */
static void test_changed(void **state)
{
	struct seal_binding binding = binding_of("gold", 1);
	static uint8_t bytes[IMAGEFILE_CHUNK];
	int fd = make(&binding, key);
	struct unseal *unseal;
	struct err err;

	(void)state;
	for (off_t at = 0; at < 220; at++) {
		int r;

		flip(fd, at);
		r = open_copy(fd, &binding, key, &unseal, &err);
		assert_true(r == ERR_DENIED || r == ERR_CORRUPT);
		flip(fd, at);
	}
	flip(fd, 0);
	expect_refused(fd, &binding, key, ERR_CORRUPT, "it is no sealed file of version 1");
	flip(fd, 0);
	flip(fd, HEADER + SIZE + 20);
	expect_refused(fd, &binding, key, ERR_CORRUPT, "the tags of the sealed file were changed");
	flip(fd, HEADER + SIZE + 20);
	assert_int_equal(open_copy(fd, &binding, key, &unseal, &err), 0);
	for (off_t at = 0; at < IMAGEFILE_CHUNK; at += 9973) {
		size_t len;

		flip(fd, HEADER + IMAGEFILE_CHUNK + at);
		assert_int_equal(unseal_chunk(unseal, 0, bytes, &len, &err), 0);
		assert_int_equal(unseal_chunk(unseal, 1, bytes, &len, &err), ERR_CORRUPT);
		assert_string_equal(err.msg, "chunk 1 of the sealed file was changed");
		flip(fd, HEADER + IMAGEFILE_CHUNK + at);
	}
	unseal_free(unseal);
	(void)close(fd);
}

/* Chunks that change places, of one file and between two of one domain; a file that was cut. */
static void test_moved(void **state)
{
	struct seal_binding binding = binding_of("gold", 1);
	static uint8_t one[IMAGEFILE_CHUNK], two[IMAGEFILE_CHUNK];
	int fd = make(&binding, key), again = make(&binding, key);
	struct unseal *unseal;
	struct err err;
	char message[128];
	size_t len;

	(void)state;
	assert_int_equal(open_copy(fd, &binding, key, &unseal, &err), 0);
	assert_int_equal(pread(fd, one, sizeof(one), HEADER + IMAGEFILE_CHUNK), sizeof(one));
	assert_int_equal(pread(fd, two, sizeof(two), HEADER + 2 * IMAGEFILE_CHUNK), sizeof(two));
	assert_int_equal(pwrite(fd, one, sizeof(one), HEADER + 2 * IMAGEFILE_CHUNK), sizeof(one));
	assert_int_equal(unseal_chunk(unseal, 2, two, &len, &err), ERR_CORRUPT);
	assert_int_equal(pread(again, two, sizeof(two), HEADER + IMAGEFILE_CHUNK), sizeof(two));
	/* The same text under the same domain key is not sealed to the same bytes. */
	assert_memory_not_equal(one, two, sizeof(one));
	assert_int_equal(pwrite(fd, two, sizeof(two), HEADER + IMAGEFILE_CHUNK), sizeof(two));
	assert_int_equal(unseal_chunk(unseal, 1, one, &len, &err), ERR_CORRUPT);
	unseal_free(unseal);
	assert_int_equal(ftruncate(again, HEADER + SIZE), 0);
	(void)snprintf(message, sizeof(message), "the sealed file has %d bytes, not %d", HEADER + SIZE,
		       HEADER + SIZE + 64);
	expect_refused(again, &binding, key, ERR_CORRUPT, message);
	assert_int_equal(ftruncate(again, 100), 0);
	expect_refused(again, &binding, key, ERR_CORRUPT, "the sealed file was cut");
	(void)close(fd);
	(void)close(again);
}

/* The decision at a start: microseconds, whatever the size of the image. */
static void test_decision(void **state)
{
	struct seal_binding binding = binding_of("gold", 1);
	int fd = make(&binding, key);
	struct timespec begin, end;
	struct err err;

	(void)state;
	assert_int_equal(unseal_check(fd, &binding, key, &err), 0);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(unseal_check(fd, &binding, key, &err), 0);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	print_message("one decision: %.1f microseconds\n",
		      (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_back), cmocka_unit_test(test_foreign),  cmocka_unit_test(test_changed),
		cmocka_unit_test(test_moved),     cmocka_unit_test(test_decision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

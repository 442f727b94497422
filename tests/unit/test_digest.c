/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define ABC_256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_512                                                                   \
	"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
#define EMPTY_256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_known_values(void **state)
{
	struct digest digest;
	char text[DIGEST_TEXT_SIZE];

	(void)state;
	assert_int_equal(digest_of(DIGEST_SHA256, "abc", 3, &digest), 0);
	digest_format(&digest, text);
	assert_string_equal(text, ABC_256);
	digest_hex(&digest, text);
	assert_string_equal(text, ABC_256 + 7);
	assert_int_equal(digest_of(DIGEST_SHA512, "abc", 3, &digest), 0);
	digest_format(&digest, text);
	assert_string_equal(text, ABC_512);
	assert_string_equal(digest_algorithm_name(digest.algorithm), "sha512");
}

static void test_parse_round_trip(void **state)
{
	static const char *const good[] = {ABC_256, ABC_512, EMPTY_256};
	struct digest digest;
	char text[DIGEST_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(digest_parse(good[i], &digest, NULL), 0);
		digest_format(&digest, text);
		assert_string_equal(text, good[i]);
	}
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"", "digest '' begins neither with 'sha256:' nor with 'sha512:'"},
		{"md5:00", "digest 'md5:00' begins neither with 'sha256:' nor with 'sha512:'"},
		{"sha256", "digest 'sha256' begins neither with 'sha256:' nor with 'sha512:'"},
		{"sha256:", "digest 'sha256:' is not 'sha256:' and 64 lower-case hexadecimal digits"},
		{"sha512:00", "digest 'sha512:00' is not 'sha512:' and 128 lower-case hexadecimal digits"},
		{"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		 "digest 'sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD' is not 'sha256:' "
		 "and 64 "
		 "lower-case hexadecimal digits"},
		{ABC_256 "0", "digest '" ABC_256 "0' is not 'sha256:' and 64 lower-case hexadecimal digits"},
	};
	struct digest digest;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(digest_parse(bad[i].text, &digest, &err), ERR_INVALID);
		assert_string_equal(err.msg, bad[i].message);
	}
}

static void test_verify(void **state)
{
	struct digest digest;
	struct err err;

	(void)state;
	assert_int_equal(digest_parse(ABC_256, &digest, NULL), 0);
	assert_int_equal(digest_verify(&digest, "abc", 3, &err), 0);
	assert_int_equal(digest_verify(&digest, "", 0, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "digest is " EMPTY_256 ", not " ABC_256);
}

static void test_stream(void **state)
{
	struct digest_stream *stream;
	struct digest expected, other;
	struct err err;

	(void)state;
	assert_int_equal(digest_parse(ABC_512, &expected, NULL), 0);
	assert_int_equal(digest_stream_new(DIGEST_SHA512, &stream), 0);
	assert_int_equal(digest_stream_update(stream, "a", 1), 0);
	assert_int_equal(digest_stream_update(stream, "bc", 2), 0);
	assert_int_equal(digest_stream_verify(stream, &expected, &err), 0);
	digest_stream_free(stream);
	digest_stream_free(NULL);

	assert_int_equal(digest_stream_new(DIGEST_SHA256, &stream), 0);
	assert_int_equal(digest_parse(ABC_256, &other, NULL), 0);
	assert_false(digest_equal(&expected, &other));
	assert_int_equal(digest_stream_verify(stream, &other, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "digest is " EMPTY_256 ", not " ABC_256);
	digest_stream_free(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),  cmocka_unit_test(test_parse_round_trip),
		cmocka_unit_test(test_parse_refuses), cmocka_unit_test(test_verify),
		cmocka_unit_test(test_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_kinds(void **state)
{
	struct media media;

	(void)state;
	assert_int_equal(media_of(MEDIA_OCI_MANIFEST).kind, MEDIA_MANIFEST);
	assert_int_equal(media_of(MEDIA_DOCKER_LIST).kind, MEDIA_INDEX);
	assert_int_equal(media_of(MEDIA_OCI_CONFIG).kind, MEDIA_CONFIG);
	assert_int_equal(media_of("application/vnd.oci.image.layer.v1.tar").compression, MEDIA_PLAIN);
	assert_int_equal(media_of("application/vnd.docker.image.rootfs.diff.tar.gzip").compression, MEDIA_GZIP);
	media = media_of("application/vnd.oci.image.layer.v1.tar+zstd+encrypted");
	assert_int_equal(media.kind, MEDIA_LAYER);
	assert_int_equal(media.compression, MEDIA_ZSTD);
	assert_true(media.encrypted);
	assert_int_equal(media_of(MEDIA_OCI_MANIFEST "+encrypted").kind, MEDIA_OTHER);
	assert_int_equal(media_of("application/vnd.oci.image.layer.v1.ta").kind, MEDIA_OTHER);
	assert_int_equal(media_of("").kind, MEDIA_OTHER);
}

static void test_shape(void **state)
{
	char longest[300] = "a/";

	(void)state;
	assert_true(media_is_type("application/vnd.oci.empty.v1+json"));
	assert_true(media_is_type("text/plain"));
	assert_false(media_is_type("text"));
	assert_false(media_is_type("text/"));
	assert_false(media_is_type("/plain"));
	assert_false(media_is_type("text/plain; charset=utf-8"));
	assert_false(media_is_type("text/pl\r\nX: y"));
	assert_false(media_is_type(".text/plain"));
	memset(longest + 2, 'b', 127);
	assert_true(media_is_type(longest));
	longest[129] = 'b';
	assert_false(media_is_type(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

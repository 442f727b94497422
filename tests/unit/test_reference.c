/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reference.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_good(void **state)
{
	static const struct {
		const char *text, *host, *repository, *tag;
		bool digest;
	} good[] = {
		{"127.0.0.1:5000/kamailio", "127.0.0.1:5000", "kamailio", "", false},
		{"registry.example.org/ims/p-cscf:5.6", "registry.example.org", "ims/p-cscf", "5.6", false},
		{"localhost/a/b/c@" DIGEST, "localhost", "a/b/c", "", true},
		{"[::1]:5000/a__b/c.d/e--f:v1_x@" DIGEST, "[::1]:5000", "a__b/c.d/e--f", "v1_x", true},
		{"host:1/a", "host:1", "a", "", false},
	};
	struct reference reference;
	char text[REFERENCE_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(reference_parse(good[i].text, &reference, NULL), 0);
		assert_string_equal(reference.host, good[i].host);
		assert_string_equal(reference.repository, good[i].repository);
		assert_string_equal(reference.tag, good[i].tag);
		assert_int_equal(reference.has_digest, good[i].digest);
		reference_format(&reference, text);
		assert_string_equal(text, good[i].text);
	}
}

#define NO_REGISTRY(text) "image '" text "' names no registry: write 'host[:port]/repository'"
#define BAD_REPOSITORY(text) "image '" text "': the repository is not lower-case words joined by '/', '.', '_' or '-'"
#define BAD_TAG(text) "image '" text "': the tag is not 1 to 128 of A-Z, a-z, 0-9, '_', '.', '-'"

static void test_bad(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"", NO_REGISTRY("")},
		{"busybox", NO_REGISTRY("busybox")},
		{"library/busybox:1", NO_REGISTRY("library/busybox:1")},
		{"a.b:0/x", "image 'a.b:0/x': 'a.b:0' is not a host"},
		{"a.b:65536/x", "image 'a.b:65536/x': 'a.b:65536' is not a host"},
		{"A.b/x", "image 'A.b/x': 'A.b' is not a host"},
		{"user@a.b/x", "image 'user@a.b/x': 'user@a.b' is not a host"},
		{"[::1/x:", "image '[::1/x:': '[::1' is not a host"},
		{"a.b/", BAD_REPOSITORY("a.b/")},
		{"a.b//x", BAD_REPOSITORY("a.b//x")},
		{"a.b/x/", BAD_REPOSITORY("a.b/x/")},
		{"a.b/../x", BAD_REPOSITORY("a.b/../x")},
		{"a.b/X", BAD_REPOSITORY("a.b/X")},
		{"a.b/x___y", BAD_REPOSITORY("a.b/x___y")},
		{"a.b/x-", BAD_REPOSITORY("a.b/x-")},
		{"a.b/x?y", BAD_REPOSITORY("a.b/x?y")},
		{"a.b/x:", BAD_TAG("a.b/x:")},
		{"a.b/x:-1", BAD_TAG("a.b/x:-1")},
		{"a.b/x:a/b", BAD_TAG("a.b/x:a/b")},
		{"a.b/x:a:b", BAD_TAG("a.b/x:a:b")},
		{"a.b/x@sha1:00",
		 "image 'a.b/x@sha1:00': digest 'sha1:00' begins neither with 'sha256:' nor with 'sha512:'"},
	};
	struct reference reference;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(reference_parse(bad[i].text, &reference, &err), ERR_INVALID);
		assert_string_equal(err.msg, bad[i].message);
	}
}

static void test_lengths(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	assert_true(reference_is_repository(name));
	name[255] = 'a';
	name[256] = '\0';
	assert_false(reference_is_repository(name));
	name[128] = '\0';
	assert_true(reference_is_tag(name));
	name[128] = 'a';
	name[129] = '\0';
	assert_false(reference_is_tag(name));
	memset(name, 'a', sizeof(name));
	name[299] = '\0';
	assert_false(reference_is_host(name));
	assert_true(reference_is_host("[fe80::1]"));
	assert_false(reference_is_host("[]"));
	assert_false(reference_is_host("[::1]x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

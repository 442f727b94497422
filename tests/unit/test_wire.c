/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"

#define TYPE "application/vnd.kubernetes.protobuf"

/* A field of bytes: tag, length, bytes. Lengths up to 127 do here. */
static void put(struct buf *to, int number, const struct buf *inner)
{
	assert_true(inner->len < 128 && number < 16);
	assert_int_equal(buf_putc(to, (char)(number << 3 | 2)), 0);
	assert_int_equal(buf_putc(to, (char)inner->len), 0);
	assert_int_equal(buf_append(to, inner->data, inner->len), 0);
}

static void put_text(struct buf *to, int number, const char *text)
{
	struct buf inner = {.data = (char *)(uintptr_t)text, .len = strlen(text)};

	put(to, number, &inner);
}

/* k8s\0 Unknown{typeMeta{apiVersion, kind}, raw} */
static struct buf envelope(const char *kind, const struct buf *raw)
{
	CLEANUP_BUF struct buf type = buf_of(128);
	struct buf to = buf_of(1024);

	put_text(&type, 1, "v1");
	put_text(&type, 2, kind);
	assert_int_equal(buf_append(&to, "k8s", 4), 0);
	put(&to, 1, &type);
	put(&to, 2, raw);
	return to;
}

static void test_config_map(void **state)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "ConfigMap");
	CLEANUP_BUF struct buf metadata = buf_of(128), entry = buf_of(128), binary = buf_of(128), raw = buf_of(512);
	struct err err = {0};
	json_t *object = NULL;

	(void)state;
	put_text(&metadata, 1, "cm");
	put_text(&metadata, 3, "");                                /* an empty namespace says nothing */
	assert_int_equal(buf_append(&metadata, "\x42\x00", 2), 0); /* nor does the zero time */
	put_text(&entry, 1, "a");
	put_text(&entry, 2, "b");
	put_text(&binary, 1, "x");
	put_text(&binary, 2, "\x01\xff");
	put(&raw, 1, &metadata);
	put(&raw, 2, &entry);
	put(&raw, 3, &binary);
	assert_int_equal(buf_append(&raw, "\x20\x01", 2), 0); /* immutable */
	CLEANUP_BUF struct buf body = envelope("ConfigMap", &raw);
	assert_int_equal(api_decode(kind, TYPE, body.data, body.len, API_STRICT, &object, NULL, &err), 0);
	CLEANUP_FREE char *text = api_format(object);
	assert_string_equal(
		text,
		"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"cm\"},\"data\":{\"a\":\"b\"},"
		"\"binaryData\":{\"x\":\"Af8=\"},\"immutable\":true}");
	json_decref(object);
}

static void test_bad(void **state)
{
	static const struct {
		const char *raw;
		size_t len;
		const char *message;
	} rows[] = {
		{"\x0a", 1, "truncated or malformed field"},
		{"\x0a\x05\x0a", 3, "truncated or malformed field"},
		{"\x0b", 1, "truncated or malformed field"},
		{"\x00\x00", 2, "truncated or malformed field"},
		{"\x08\x01", 2, "field has the wrong wire type"},
		{"\x0a\x04\x0a\x02\xff\xfe", 6, "string is not UTF-8"},
		{"\x0a\x04\x0a\x02\x61\x00", 6, "string holds a NUL"},
		{"\x10\x01", 2, "map entry has the wrong wire type"},
		{"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "truncated or malformed field"},
		{"\x0a\x0a\x42\x08\x08\xff\xff\xff\xff\xff\xff\x7f", 12, "time is out of range"},
	};
	const struct api_kind *kind = api_kind_by_name("", "v1", "ConfigMap");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf raw = {.data = (char *)(uintptr_t)rows[i].raw, .len = rows[i].len};
		CLEANUP_BUF struct buf body = envelope("ConfigMap", &raw);
		CLEANUP_FREE char *message =
			str_format("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: protobuf: %s",
				   rows[i].message);
		struct err err = {0};
		json_t *object = NULL;

		assert_int_equal(api_decode(kind, TYPE, body.data, body.len, API_STRICT, &object, NULL, &err),
				 ERR_SYNTAX);
		assert_string_equal(err.msg, message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_map),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

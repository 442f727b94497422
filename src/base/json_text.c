/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

struct text {
	const char *begin;
	const char *at;
	const char *end;
	int depth;
	bool failed;      /* and said why */
	struct buf plain; /* a string with its escapes replaced */
	struct err *err;
};

static json_t *fail(struct text *text, const char *what)
{
	unsigned int line = 1;
	char near[24];
	size_t len = (size_t)(text->end - text->at);

	text->failed = true;
	for (const char *at = text->begin; at < text->at; at++)
		line += *at == '\n';
	for (size_t i = 0; i < sizeof(near); i++) {
		bool shown = i < len && i < sizeof(near) - 1 && text->at[i] >= ' ' && text->at[i] <= '~';

		near[i] = shown ? text->at[i] : '\0';
	}
	if (len == 0)
		(void)err_set(text->err, ERR_SYNTAX, "line %u: %s at the end of the text", line, what);
	else
		(void)err_set(text->err, ERR_SYNTAX, "line %u: %s near '%s'", line, what, near);
	return NULL;
}

static void skip_blanks(struct text *text)
{
	while (text->at < text->end &&
	       (*text->at == ' ' || *text->at == '\n' || *text->at == '\t' || *text->at == '\r'))
		text->at++;
}

/* The byte that comes next, blanks left out; -1 at the end. */
static int next(struct text *text)
{
	skip_blanks(text);
	return text->at < text->end ? (unsigned char)*text->at : -1;
}

/* The length of the well-formed UTF-8 sequence at `at`; 0 when there is none. */
static size_t utf8_length(const unsigned char *at, size_t room)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;

	if (len == 0 || len > room)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	/* Longer than need be, surrogates, and what lies over the last code point. */
	if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF0 && at[1] < 0x90) ||
	    (at[0] == 0xF4 && at[1] > 0x8F))
		return 0;
	return len;
}

static int hex4(struct text *text, uint32_t *ret)
{
	uint32_t value = 0;

	if (text->end - text->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = *text->at++;
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | (uint32_t)digit;
	}
	*ret = value;
	return 0;
}

static int put_code_point(struct buf *to, uint32_t code)
{
	char bytes[4];
	size_t len = 0;

	if (code < 0x80) {
		bytes[len++] = (char)code;
	} else if (code < 0x800) {
		bytes[len++] = (char)(0xC0 | code >> 6);
	} else if (code < 0x10000) {
		bytes[len++] = (char)(0xE0 | code >> 12);
		bytes[len++] = (char)(0x80 | (code >> 6 & 0x3F));
	} else {
		bytes[len++] = (char)(0xF0 | code >> 18);
		bytes[len++] = (char)(0x80 | (code >> 12 & 0x3F));
		bytes[len++] = (char)(0x80 | (code >> 6 & 0x3F));
	}
	if (code >= 0x80)
		bytes[len++] = (char)(0x80 | (code & 0x3F));
	return buf_append(to, bytes, len);
}

/* Behind "\u". A pair of surrogates is one character; U+0000 would cut the strings of C. */
static int read_unicode(struct text *text)
{
	uint32_t code, low;

	if (hex4(text, &code) < 0 || code == 0 || (code >= 0xDC00 && code <= 0xDFFF))
		return -1;
	if (code >= 0xD800 && code <= 0xDBFF) {
		if (text->end - text->at < 6 || text->at[0] != '\\' || text->at[1] != 'u')
			return -1;
		text->at += 2;
		if (hex4(text, &low) < 0 || low < 0xDC00 || low > 0xDFFF)
			return -1;
		code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
	}
	return put_code_point(&text->plain, code);
}

/* Behind a backslash. */
static int read_escape(struct text *text)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *which;

	if (text->at == text->end || *text->at == '\0')
		return -1;
	if (*text->at == 'u') {
		text->at++;
		return read_unicode(text);
	}
	which = strchr(from, *text->at);
	if (!which)
		return -1;
	text->at++;
	return buf_append(&text->plain, &to[which - from], 1);
}

/*
 * Eight bytes at once that stand for themselves. A byte's top bit is set in the sum where it has it, lies below a blank,
 * or is a quote or a backslash, whose differences from it lie below one.
 */
static bool is_plain(const char *at)
{
	const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
	uint64_t bytes, quotes, slashes;

	memcpy(&bytes, at, sizeof(bytes));
	quotes = bytes ^ ones * '"';
	slashes = bytes ^ ones * '\\';
	return ((bytes | (bytes - ones * 0x20) | (quotes - ones) | (slashes - ones)) & tops) == 0;
}

/* The run of bytes that stand for themselves, up to a quote, a backslash or what is no text. */
static void skip_plain(struct text *text)
{
	while (text->end - text->at >= 8 && is_plain(text->at))
		text->at += 8;
	while (text->at < text->end) {
		unsigned char c = (unsigned char)*text->at;
		size_t len = 1;

		if (c == '"' || c == '\\' || c < 0x20)
			return;
		if (c >= 0x80)
			len = utf8_length((const unsigned char *)text->at, (size_t)(text->end - text->at));
		if (len == 0)
			return;
		text->at += len;
	}
}

/* At the opening quote. The string lies in the text itself, or in text->plain until the next one. */
static int read_string(struct text *text, const char **ret, size_t *ret_len)
{
	const char *from = ++text->at;
	bool escaped = false;

	text->plain.len = 0;
	while (true) {
		skip_plain(text);
		if (text->at == text->end || (*text->at != '"' && *text->at != '\\'))
			return -1;
		if (*text->at == '"' && !escaped) {
			*ret = from;
			*ret_len = (size_t)(text->at++ - from);
			return 0;
		}
		if (buf_append(&text->plain, from, (size_t)(text->at - from)) < 0)
			return -1;
		if (*text->at++ == '"') {
			*ret = text->plain.data;
			*ret_len = text->plain.len;
			return 0;
		}
		escaped = true;
		if (read_escape(text) < 0)
			return -1;
		from = text->at;
	}
}

static bool is_digit(const struct text *text)
{
	return text->at < text->end && *text->at >= '0' && *text->at <= '9';
}

/* Digits into a number as long as they fit; all of them into an approximation. */
static void read_digits(struct text *text, uint64_t *number, bool *fits, double *about, int *count)
{
	for (; is_digit(text); text->at++, (*count)++) {
		unsigned int digit = (unsigned int)(*text->at - '0');

		*fits = *fits && *number <= (UINT64_MAX - digit) / 10;
		if (*fits)
			*number = *number * 10 + digit;
		*about = *about * 10 + digit;
	}
}

static double scaled(double value, int exponent)
{
	double factor = 10;
	bool divide = exponent < 0;

	for (unsigned int left = (unsigned int)(divide ? -exponent : exponent); left; left >>= 1, factor *= factor)
		if (left & 1)
			value = divide ? value / factor : value * factor;
	return value;
}

/* The part behind the whole digits. */
static int read_fraction(struct text *text, double *about)
{
	int exponent = 0, count = 0, digits = 0;
	uint64_t number = 0;
	double ignored = 0;
	bool fits = true, minus = false;

	if (text->at < text->end && *text->at == '.') {
		text->at++;
		read_digits(text, &number, &fits, about, &count);
		if (count == 0)
			return -1;
	}
	if (text->at < text->end && (*text->at == 'e' || *text->at == 'E')) {
		text->at++;
		if (text->at < text->end && (*text->at == '+' || *text->at == '-'))
			minus = *text->at++ == '-';
		number = 0;
		fits = true;
		read_digits(text, &number, &fits, &ignored, &digits);
		if (digits == 0 || !fits || number > 400)
			return -1;
		exponent = minus ? -(int)number : (int)number;
	}
	*about = scaled(*about, exponent - count);
	return 0;
}

static json_t *read_number(struct text *text)
{
	bool minus = *text->at == '-', fits = true;
	const char *first;
	uint64_t number = 0;
	double about = 0;
	json_t *value;
	int count = 0;

	text->at += minus;
	first = text->at;
	read_digits(text, &number, &fits, &about, &count);
	if (count == 0 || (count > 1 && *first == '0'))
		return fail(text, "this is no number");
	if (text->at == text->end || (*text->at != '.' && *text->at != 'e' && *text->at != 'E')) {
		if (fits && number <= INT64_MAX)
			return json_integer(minus ? -(json_int_t)number : (json_int_t)number);
		if (fits)
			about = (double)number;
	} else if (read_fraction(text, &about) < 0) {
		return fail(text, "this is no number");
	}
	value = json_real(minus ? -about : about);
	return value ? value : fail(text, "this number is too large");
}

static json_t *read_word(struct text *text, const char *word, json_t *value)
{
	size_t len = strlen(word);

	if ((size_t)(text->end - text->at) < len || strncmp(text->at, word, len) != 0)
		return fail(text, "a value is expected");
	text->at += len;
	return value;
}

static json_t *read_value(struct text *text);

static int fail_member(struct text *text, const char *what)
{
	(void)fail(text, what);
	return -1;
}

/* One "name": value of an object, behind the brace or a comma. */
static int read_member(struct text *text, json_t *object)
{
	const char *name;
	size_t len;
	json_t *value;
	char *copy;
	int r;

	if (next(text) != '"')
		return fail_member(text, "a name in quotes is expected");
	if (read_string(text, &name, &len) < 0)
		return fail_member(text, "this is no string");
	if (json_object_getn(object, name, len))
		return fail_member(text, "an object has a name twice");
	if (next(text) != ':')
		return fail_member(text, "':' is expected");
	text->at++;
	/* The value's strings may overwrite a name that had escapes. */
	copy = name == text->plain.data ? strndup(name, len) : NULL;
	if (name == text->plain.data && !copy)
		return -1;
	value = read_value(text);
	r = value ? json_object_setn_new_nocheck(object, copy ? copy : name, len, value) : -1;
	free(copy);
	return r;
}

static json_t *read_members(struct text *text, json_t *object)
{
	text->at++;
	if (next(text) == '}') {
		text->at++;
		return object;
	}
	while (object && read_member(text, object) == 0) {
		int c = next(text);

		if (c != ',' && c != '}') {
			(void)fail(text, "',' or '}' is expected");
			break;
		}
		text->at++;
		if (c == '}')
			return object;
	}
	json_decref(object);
	return NULL;
}

static json_t *read_items(struct text *text, json_t *array)
{
	text->at++;
	if (next(text) == ']') {
		text->at++;
		return array;
	}
	while (array && json_array_append_new(array, read_value(text)) == 0) {
		int c = next(text);

		if (c != ',' && c != ']') {
			(void)fail(text, "',' or ']' is expected");
			break;
		}
		text->at++;
		if (c == ']')
			return array;
	}
	json_decref(array);
	return NULL;
}

static json_t *read_nested(struct text *text)
{
	json_t *made;

	if (text->depth == JSON_TEXT_DEPTH)
		return fail(text, "this is nested too deeply");
	text->depth++;
	made = *text->at == '{' ? read_members(text, json_object()) : read_items(text, json_array());
	text->depth--;
	return made;
}

static json_t *read_value(struct text *text)
{
	const char *string;
	size_t len;

	switch (next(text)) {
	case '{':
	case '[':
		return read_nested(text);
	case '"':
		if (read_string(text, &string, &len) < 0)
			return fail(text, "this is no string");
		return json_stringn_nocheck(string, len);
	case 't':
		return read_word(text, "true", json_true());
	case 'f':
		return read_word(text, "false", json_false());
	case 'n':
		return read_word(text, "null", json_null());
	default:
		if (text->at < text->end && (*text->at == '-' || is_digit(text)))
			return read_number(text);
		return fail(text, "a value is expected");
	}
}

json_t *json_text_read(const char *bytes, size_t len, struct err *err)
{
	struct text text = {.begin = bytes, .at = bytes, .end = bytes + len, .plain = buf_of(len + 1), .err = err};
	int first = next(&text);
	json_t *value;

	if (first != '{' && first != '[') {
		buf_done(&text.plain);
		return fail(&text, "'{' or '[' is expected");
	}
	value = read_nested(&text);
	if (value && next(&text) >= 0) {
		json_decref(value);
		value = fail(&text, "more than one value");
	}
	if (!value && !text.failed)
		(void)err_set(err, -ENOMEM, "no memory");
	buf_done(&text.plain);
	return value;
}

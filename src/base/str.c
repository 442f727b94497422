/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

bool str_ends(const char *string, const char *suffix)
{
	size_t len = strlen(string), tail = strlen(suffix);

	return len >= tail && memcmp(string + len - tail, suffix, tail) == 0;
}

int str_parse_u64(const char *string, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!*string || (string[0] == '0' && string[1]))
		return -EINVAL;
	for (const char *at = string; *at; at++) {
		if (*at < '0' || *at > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return -ERANGE;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int str_parse_i64(const char *string, int64_t min, int64_t max, int64_t *ret_value)
{
	bool negative = string[0] == '-';
	uint64_t magnitude;
	int64_t value;
	int r;

	r = str_parse_u64(string + negative, (uint64_t)INT64_MAX + negative, &magnitude);
	if (r < 0)
		return r;
	if (negative && magnitude == 0)
		return -EINVAL;
	value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool label_ok(const char *string, size_t len)
{
	if (len < 1 || len > 63 || !is_lower_alnum(string[0]) || !is_lower_alnum(string[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_lower_alnum(string[i]) && string[i] != '-')
			return false;
	return true;
}

bool str_is_dns_label(const char *string)
{
	return label_ok(string, strlen(string));
}

bool str_is_dns_subdomain(const char *string)
{
	size_t len = strlen(string);

	if (len > 253)
		return false;
	while (true) {
		size_t label = strcspn(string, ".");

		if (!label_ok(string, label))
			return false;
		if (!string[label])
			return true;
		string += label + 1;
	}
}

int str_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size) {
		if (size)
			to[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(to, from, len + 1);
	return 0;
}

char *str_format(const char *format, ...)
{
	va_list args;
	char *string;
	int len;

	va_start(args, format);
	len = vasprintf(&string, format, args);
	va_end(args);
	return len < 0 ? NULL : string;
}

void str_hex(char *to, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	*to = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int str_unhex(uint8_t *to, size_t len, const char *hex)
{
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(hex[2 * i]);
		int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return hex[2 * len] ? -EINVAL : 0;
}

bool str_glob(const char *pattern, const char *string)
{
	const char *star = NULL, *resume = NULL;

	while (*string) {
		if (*pattern == '*') {
			star = pattern++;
			resume = string;
		} else if (*pattern == *string) {
			pattern++;
			string++;
		} else if (star) {
			pattern = star + 1;
			string = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

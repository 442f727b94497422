/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "base/str.h"

__extension__ typedef __int128 wide;

/* More digits than any quantity needs; keeps the arithmetic below within 128 bits before it is checked. */
#define DIGITS_MAX 24
#define EXPONENT_MAX 24

#define QUANTITY_PATTERN "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

struct suffix {
	const char *word;
	int two; /* power of two */
	int ten; /* power of ten */
};

static const struct suffix suffixes[] = {
	{"", 0, 0},    {"n", 0, -9},  {"u", 0, -6},  {"m", 0, -3},  {"k", 0, 3},   {"M", 0, 6},
	{"G", 0, 9},   {"T", 0, 12},  {"P", 0, 15},  {"E", 0, 18},  {"Ki", 10, 0}, {"Mi", 20, 0},
	{"Gi", 30, 0}, {"Ti", 40, 0}, {"Pi", 50, 0}, {"Ei", 60, 0},
};

/* Reads "e3", "E-6"; false when it is none. */
static bool parse_exponent(const char *text, int *ret_ten)
{
	int64_t value;

	if ((*text != 'e' && *text != 'E') || !text[1])
		return false;
	if (str_parse_i64(text + 1 + (text[1] == '+'), -EXPONENT_MAX, EXPONENT_MAX, &value) < 0)
		return false;
	*ret_ten = (int)value;
	return true;
}

static bool parse_suffix(const char *text, int *ret_two, int *ret_ten)
{
	*ret_two = 0;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (str_eq(text, suffixes[i].word)) {
			*ret_two = suffixes[i].two;
			*ret_ten = suffixes[i].ten;
			return true;
		}
	return parse_exponent(text, ret_ten);
}

/* Reads digits with at most one point; *ten becomes minus the number of digits behind it. False when there are none or too many. */
static bool parse_digits(const char **text, wide *ret_value, int *ret_ten)
{
	const char *at = *text;
	bool point = false;
	int digits = 0;

	*ret_value = 0;
	*ret_ten = 0;
	for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
		if (*at == '.') {
			point = true;
			continue;
		}
		if (++digits > DIGITS_MAX)
			return false;
		*ret_value = *ret_value * 10 + (*at - '0');
		*ret_ten -= point;
	}
	*text = at;
	return digits > 0;
}

/* Multiplies by a power of ten, rounding up; false when it leaves 128 bits. */
static bool scale_ten(wide *value, int ten)
{
	bool rest = false;

	for (; ten > 0 && *value; ten--)
		if (__builtin_mul_overflow(*value, (wide)10, value))
			return false;
	for (; ten < 0; ten++) {
		rest |= *value % 10 != 0;
		*value /= 10;
	}
	*value += rest;
	return true;
}

int api_quantity(const char *text, int64_t *ret_milli, struct err *err)
{
	bool negative = *text == '-';
	const char *at = text + (*text == '-' || *text == '+');
	int two, ten, fraction;
	wide value;

	if (!parse_digits(&at, &value, &fraction) || !parse_suffix(at, &two, &ten))
		return err_set(err, ERR_INVALID, QUANTITY_PATTERN);
	if (__builtin_mul_overflow(value, (wide)1 << two, &value) || !scale_ten(&value, ten + fraction + 3) ||
	    value > INT64_MAX)
		return err_set(err, ERR_INVALID, "quantity is over the maximum of %lldm", (long long)INT64_MAX);
	*ret_milli = (int64_t)(negative ? -value : value);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/key.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int encode(struct buf *to, const uint8_t *from, size_t len, const char *alphabet, bool padded)
{
	size_t size = len / 3 * 4 + (len % 3 ? (padded ? 4 : len % 3 + 1) : 0);
	char *at;
	int r;

	if (len > SIZE_MAX / 2)
		return -EFBIG;
	r = buf_reserve(to, size, &at);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
				(left > 2 ? from[i + 2] : 0);

		*at++ = alphabet[bits >> 18];
		*at++ = alphabet[bits >> 12 & 63];
		if (left > 1)
			*at++ = alphabet[bits >> 6 & 63];
		else if (padded)
			*at++ = '=';
		if (left > 2)
			*at++ = alphabet[bits & 63];
		else if (padded)
			*at++ = '=';
	}
	to->len += size;
	*at = '\0';
	return 0;
}

static int value_of(char c, const char *alphabet)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* Decodes digits without padding. Bits left over must be zero, so that each byte string has one encoding. */
static int decode(struct buf *to, const char *text, size_t len, const char *alphabet)
{
	size_t size = len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0);
	uint32_t bits = 0;
	unsigned have = 0;
	char *at;
	int r;

	if (len % 4 == 1)
		return -EINVAL;
	r = buf_reserve(to, size, &at);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i++) {
		int value = value_of(text[i], alphabet);

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*at++ = (char)(bits >> have);
			bits &= (1U << have) - 1;
		}
	}
	if (bits)
		return -EINVAL;
	to->len += size;
	*at = '\0';
	return 0;
}

int crypto_base64(struct buf *to, const void *bytes, size_t len)
{
	return encode(to, bytes, len, standard, true);
}

int crypto_unbase64(struct buf *to, const char *text, size_t len)
{
	size_t padding = 0;

	if (len % 4)
		return -EINVAL;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	return decode(to, text, len - padding, standard);
}

int crypto_base64url(struct buf *to, const void *bytes, size_t len)
{
	return encode(to, bytes, len, url, false);
}

int crypto_unbase64url(struct buf *to, const char *text, size_t len)
{
	return decode(to, text, len, url);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Strings and numbers in them, parsed strictly. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *string, const char *prefix)
{
	return strncmp(string, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *string, const char *suffix);

/*
 * Parses the whole string as a decimal number without sign, blank or leading zero (but "0").
 * -EINVAL when it is none, -ERANGE over max.
 */
int str_parse_u64(const char *string, uint64_t max, uint64_t *ret_value) MUST_CHECK;

/* As str_parse_u64 with an optional leading '-'; -ERANGE outside min to max. */
int str_parse_i64(const char *string, int64_t min, int64_t max, int64_t *ret_value) MUST_CHECK;

/* Whether the string is a DNS label (RFC 1123): 1 to 63 of a-z, 0-9, '-', alphanumeric at both ends. */
bool str_is_dns_label(const char *string);

/* Whether the string is a DNS subdomain: 1 to 253 bytes of dot-separated labels. Kubernetes object names are such. */
bool str_is_dns_subdomain(const char *string);

/* Copies into a fixed buffer; -ENAMETOOLONG when it does not fit, and the buffer is empty then. */
int str_copy(char *to, size_t size, const char *from) MUST_CHECK;

/* Formats a new string that the caller frees; NULL without memory. */
char *str_format(const char *format, ...) PRINTF_LIKE(1, 2);

/* Writes len bytes as 2*len lower-case hexadecimal digits and a NUL. */
void str_hex(char *to, const uint8_t *bytes, size_t len);

/* Reads exactly 2*len lower-case hexadecimal digits up to the NUL; -EINVAL otherwise. */
int str_unhex(uint8_t *to, size_t len, const char *hex) MUST_CHECK;

/* Whether a shell pattern of '*' alone (any run of characters, '/' too) matches the whole string. Linear time. */
bool str_glob(const char *pattern, const char *string);

#endif

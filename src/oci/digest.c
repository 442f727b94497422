/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/digest.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/str.h"

static const struct {
	const char *name;
	size_t size;
} algorithms[] = {
	[DIGEST_SHA256] = {"sha256", 32},
	[DIGEST_SHA512] = {"sha512", 64},
};

struct digest_stream {
	enum digest_algorithm algorithm;
	EVP_MD_CTX *context;
};

static const EVP_MD *method_of(enum digest_algorithm algorithm)
{
	return algorithm == DIGEST_SHA512 ? EVP_sha512() : EVP_sha256();
}

int digest_parse(const char *text, struct digest *ret_digest, struct err *err)
{
	struct digest digest = {0};

	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		size_t len = strlen(algorithms[i].name);

		if (!str_starts(text, algorithms[i].name) || text[len] != ':')
			continue;
		digest.algorithm = (enum digest_algorithm)i;
		if (str_unhex(digest.bytes, algorithms[i].size, text + len + 1) < 0)
			return err_set(err, ERR_INVALID,
				       "digest '%.200s' is not '%s:' and %zu lower-case hexadecimal digits", text,
				       algorithms[i].name, algorithms[i].size * 2);
		*ret_digest = digest;
		return 0;
	}
	return err_set(err, ERR_INVALID, "digest '%.200s' begins neither with 'sha256:' nor with 'sha512:'", text);
}

const char *digest_algorithm_name(enum digest_algorithm algorithm)
{
	return algorithms[algorithm].name;
}

void digest_hex(const struct digest *digest, char to[static DIGEST_TEXT_SIZE])
{
	str_hex(to, digest->bytes, algorithms[digest->algorithm].size);
}

void digest_format(const struct digest *digest, char to[static DIGEST_TEXT_SIZE])
{
	size_t len = strlen(algorithms[digest->algorithm].name);

	memcpy(to, algorithms[digest->algorithm].name, len);
	to[len] = ':';
	str_hex(to + len + 1, digest->bytes, algorithms[digest->algorithm].size);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->algorithm == b->algorithm && memcmp(a->bytes, b->bytes, algorithms[a->algorithm].size) == 0;
}

int digest_stream_new(enum digest_algorithm algorithm, struct digest_stream **ret_stream)
{
	struct digest_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->algorithm = algorithm;
	stream->context = EVP_MD_CTX_new();
	if (!stream->context) {
		free(stream);
		return -ENOMEM;
	}
	if (EVP_DigestInit_ex(stream->context, method_of(algorithm), NULL) != 1) {
		digest_stream_free(stream);
		return -EIO;
	}
	*ret_stream = stream;
	return 0;
}

void digest_stream_free(struct digest_stream *stream)
{
	if (!stream)
		return;
	EVP_MD_CTX_free(stream->context);
	free(stream);
}

int digest_stream_update(struct digest_stream *stream, const void *bytes, size_t len)
{
	return EVP_DigestUpdate(stream->context, bytes, len) == 1 ? 0 : -EIO;
}

int digest_stream_finish(struct digest_stream *stream, struct digest *ret_digest)
{
	struct digest digest = {.algorithm = stream->algorithm};

	if (EVP_DigestFinal_ex(stream->context, digest.bytes, NULL) != 1)
		return -EIO;
	*ret_digest = digest;
	return 0;
}

static int compare(const struct digest *found, const struct digest *expected, struct err *err)
{
	char found_text[DIGEST_TEXT_SIZE], expected_text[DIGEST_TEXT_SIZE];

	if (digest_equal(found, expected))
		return 0;
	digest_format(found, found_text);
	digest_format(expected, expected_text);
	return err_set(err, ERR_CORRUPT, "digest is %s, not %s", found_text, expected_text);
}

int digest_stream_verify(struct digest_stream *stream, const struct digest *expected, struct err *err)
{
	struct digest found;
	int r = digest_stream_finish(stream, &found);

	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	return compare(&found, expected, err);
}

int digest_of(enum digest_algorithm algorithm, const void *bytes, size_t len, struct digest *ret_digest)
{
	struct digest digest = {.algorithm = algorithm};

	if (EVP_Digest(bytes, len, digest.bytes, NULL, method_of(algorithm), NULL) != 1)
		return -EIO;
	*ret_digest = digest;
	return 0;
}

int digest_verify(const struct digest *expected, const void *bytes, size_t len, struct err *err)
{
	struct digest found;
	int r = digest_of(expected->algorithm, bytes, len, &found);

	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	return compare(&found, expected, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "image/seal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define MAGIC "BHSEALED"
#define VERSION 1u
#define HEADER_SIZE 4096u
#define TAG_SIZE 16u
#define NONCE_SIZE 12u
#define HASH_SIZE 32u
#define DIRECT_ALIGN 4096u /* of chunks in the file, and of what file systems ask for */
_Static_assert(HEADER_SIZE % DIRECT_ALIGN == 0 && IMAGEFILE_CHUNK % DIRECT_ALIGN == 0, "chunks are aligned");

/* As on disk, little endian. All up to nonce is bound to what is wrapped. */
struct header {
	char magic[8];
	uint32_t version, chunk;
	uint64_t size, chunks;
	uint8_t id[SEAL_ID_SIZE];
	uint32_t image_algorithm;
	uint8_t image[DIGEST_BYTES_MAX];
	uint8_t domain[HASH_SIZE]; /* SHA-256 of its name */
	uint8_t nonce[NONCE_SIZE];
	uint8_t wrapped[SEAL_KEY_SIZE + HASH_SIZE]; /* key; SHA-256 over the tags */
	uint8_t tag[TAG_SIZE];
} __attribute__((packed));
_Static_assert(sizeof(struct header) <= HEADER_SIZE, "fits");

/* What a chunk is bound to. */
struct chunk_binding {
	uint32_t version, image_algorithm;
	uint8_t image[DIGEST_BYTES_MAX];
	uint8_t id[SEAL_ID_SIZE];
	uint64_t index;
} __attribute__((packed));

static int is_digest_sized(const struct digest *digest, size_t len)
{
	return len < (digest->algorithm == DIGEST_SHA256 ? 32u : 64u);
}

/* Bytes of a digest, those that do not count zeroed. */
static void put_digest(uint8_t to[static DIGEST_BYTES_MAX], const struct digest *digest)
{
	for (size_t i = 0; i < DIGEST_BYTES_MAX; i++)
		to[i] = is_digest_sized(digest, i) ? digest->bytes[i] : 0;
}

/* One run of AES-256-GCM over len bytes from in to out (may be the same); tag is made, or compared when opening. */
static int run_gcm(bool sealing, const uint8_t *key, const uint8_t nonce[NONCE_SIZE], const void *bound,
		   size_t bound_len, const uint8_t *in, size_t len, uint8_t *out, uint8_t tag[TAG_SIZE])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int done = 0, rest = 0;
	bool good = ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, sealing) == 1 &&
		    EVP_CipherUpdate(ctx, NULL, &done, bound, (int)bound_len) == 1 &&
		    EVP_CipherUpdate(ctx, out, &done, in, (int)len) == 1 && done == (int)len;

	if (good && !sealing)
		good = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1;
	if (good && EVP_CipherFinal_ex(ctx, out + len, &rest) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return sealing ? -EIO : -EBADMSG;
	}
	if (good && sealing)
		good = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return good ? 0 : -EIO;
}

static void nonce_of(uint64_t index, uint8_t to[static NONCE_SIZE])
{
	uint64_t number = htole64(index);

	memset(to, 0, NONCE_SIZE);
	memcpy(to, &number, sizeof(number));
}

static struct chunk_binding bind_chunk(const struct seal_binding *binding, uint64_t index)
{
	struct chunk_binding bound = {.version = htole32(VERSION),
				      .image_algorithm = htole32(binding->image.algorithm),
				      .index = htole64(index)};

	put_digest(bound.image, &binding->image);
	memcpy(bound.id, binding->id, sizeof(bound.id));
	return bound;
}

static int hash_bytes(const void *bytes, size_t len, uint8_t to[static HASH_SIZE])
{
	struct digest digest;
	int r = digest_of(DIGEST_SHA256, bytes, len, &digest);

	if (r == 0)
		memcpy(to, digest.bytes, HASH_SIZE);
	return r;
}

static int write_at(int fd, const void *bytes, size_t len, uint64_t at)
{
	const uint8_t *from = bytes;

	while (len) {
		ssize_t n = pwrite(fd, from, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_at(int fd, void *bytes, size_t len, uint64_t at)
{
	uint8_t *to = bytes;

	while (len) {
		ssize_t n = pread(fd, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- sealing --- */

struct seal {
	int fd;
	struct seal_binding binding;
	uint8_t domain_key[SEAL_KEY_SIZE];
	uint8_t key[SEAL_KEY_SIZE];
	uint8_t (*tags)[TAG_SIZE]; /* all zero: not sealed yet */
	uint64_t count, room;      /* chunks so far, by the highest index */
	uint8_t sealed[IMAGEFILE_CHUNK];
};

int seal_new(int fd, const struct seal_binding *binding, const uint8_t key[static SEAL_KEY_SIZE],
	     struct seal **ret_seal)
{
	struct seal *seal = calloc(1, sizeof(*seal));

	if (!seal)
		return -ENOMEM;
	seal->fd = fd;
	seal->binding = *binding;
	memcpy(seal->domain_key, key, SEAL_KEY_SIZE);
	if (RAND_bytes(seal->key, SEAL_KEY_SIZE) != 1) {
		seal_free(seal);
		return -EIO;
	}
	*ret_seal = seal;
	return 0;
}

void seal_free(struct seal *seal)
{
	if (!seal)
		return;
	free(seal->tags);
	explicit_bzero(seal, sizeof(*seal));
	free(seal);
}

/* The place of a tag; an index that was sealed is never sealed again, for its nonce is used up. */
static int place_tag(struct seal *seal, uint64_t index, uint8_t **ret_tag)
{
	static const uint8_t none[TAG_SIZE];

	if (index >= SEAL_CHUNKS_MAX)
		return ERR_TOO_LARGE;
	if (index >= seal->room) {
		uint64_t room = index + 4096;
		void *tags = realloc(seal->tags, room * TAG_SIZE);

		if (!tags)
			return -ENOMEM;
		seal->tags = tags;
		memset(seal->tags + seal->room, 0, (room - seal->room) * TAG_SIZE);
		seal->room = room;
	}
	if (memcmp(seal->tags[index], none, TAG_SIZE) != 0)
		return -EEXIST;
	if (index >= seal->count)
		seal->count = index + 1;
	*ret_tag = seal->tags[index];
	return 0;
}

int seal_chunk(struct seal *seal, uint64_t index, const uint8_t *bytes, size_t len, struct err *err)
{
	struct chunk_binding bound = bind_chunk(&seal->binding, index);
	uint8_t nonce[NONCE_SIZE], *tag;
	int r = len <= IMAGEFILE_CHUNK ? place_tag(seal, index, &tag) : ERR_TOO_LARGE;

	if (r == ERR_TOO_LARGE)
		return err_set(err, r, "the image has more than %u chunks", SEAL_CHUNKS_MAX);
	nonce_of(index, nonce);
	if (r == 0)
		r = run_gcm(true, seal->key, nonce, &bound, sizeof(bound), bytes, len, seal->sealed, tag);
	if (r < 0)
		return err_sys(err, r, "cannot seal the image");
	r = write_at(seal->fd, seal->sealed, len, HEADER_SIZE + index * IMAGEFILE_CHUNK);
	return r < 0 ? err_sys(err, r, "cannot write the image") : 0;
}

static int fill_header(struct header *header, const struct seal_binding *binding, uint64_t size, uint64_t chunks)
{
	*header = (struct header){.version = htole32(VERSION),
				  .chunk = htole32(IMAGEFILE_CHUNK),
				  .size = htole64(size),
				  .chunks = htole64(chunks),
				  .image_algorithm = htole32(binding->image.algorithm)};
	memcpy(header->magic, MAGIC, sizeof(header->magic));
	memcpy(header->id, binding->id, sizeof(header->id));
	put_digest(header->image, &binding->image);
	return hash_bytes(binding->domain, strlen(binding->domain), header->domain);
}

int seal_finish(struct seal *seal, uint64_t size, struct err *err)
{
	uint8_t plain[SEAL_KEY_SIZE + HASH_SIZE], block[HEADER_SIZE] = {0};
	size_t tags = seal->count * TAG_SIZE;
	struct header header;
	int r = fill_header(&header, &seal->binding, size, seal->count);

	memcpy(plain, seal->key, SEAL_KEY_SIZE);
	if (r == 0)
		r = hash_bytes(seal->tags, tags, plain + SEAL_KEY_SIZE);
	/* The domain's key wraps many: a random nonce, which 2^32 of them may have. */
	if (r == 0 && RAND_bytes(header.nonce, NONCE_SIZE) != 1)
		r = -EIO;
	if (r == 0)
		r = run_gcm(true, seal->domain_key, header.nonce, &header, offsetof(struct header, nonce), plain,
			    sizeof(plain), header.wrapped, header.tag);
	explicit_bzero(plain, sizeof(plain));
	if (r < 0)
		return err_sys(err, r, "cannot seal the image");
	memcpy(block, &header, sizeof(header));
	r = write_at(seal->fd, seal->tags, tags, HEADER_SIZE + size);
	if (r == 0)
		r = write_at(seal->fd, block, sizeof(block), 0);
	return r < 0 ? err_sys(err, r, "cannot write the image") : 0;
}

/* --- opening --- */

struct unseal {
	int fd;
	struct seal_binding binding;
	uint64_t size, chunks;
	uint8_t key[SEAL_KEY_SIZE], root[HASH_SIZE];
	uint8_t (*tags)[TAG_SIZE];
};

/* What the file says about itself, against what it should be. */
static int check_header(const struct header *header, const struct seal_binding *binding, struct err *err)
{
	uint64_t size = le64toh(header->size), chunks = le64toh(header->chunks);
	char text[DIGEST_TEXT_SIZE];
	struct header wanted;

	if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0 || le32toh(header->version) != VERSION ||
	    le32toh(header->chunk) != IMAGEFILE_CHUNK)
		return err_set(err, ERR_CORRUPT, "it is no sealed file of version %u", VERSION);
	if (fill_header(&wanted, binding, size, chunks) < 0)
		return err_sys(err, -EIO, "cannot open the sealed file");
	digest_format(&binding->image, text);
	if (header->image_algorithm != wanted.image_algorithm ||
	    memcmp(header->image, wanted.image, sizeof(wanted.image)) != 0)
		return err_set(err, ERR_DENIED, "the sealed file is of another image than '%s'", text);
	if (memcmp(header->domain, wanted.domain, sizeof(wanted.domain)) != 0)
		return err_set(err, ERR_DENIED, "the sealed file is of another trust domain than '%s'",
			       binding->domain);
	if (memcmp(header->id, wanted.id, sizeof(wanted.id)) != 0)
		return err_set(err, ERR_DENIED, "the sealed file is not the one that was stored last");
	if (chunks > SEAL_CHUNKS_MAX || chunks != (size + IMAGEFILE_CHUNK - 1) / IMAGEFILE_CHUNK)
		return err_set(err, ERR_CORRUPT, "the header of the sealed file was changed");
	return 0;
}

/* Reads and checks the header and unwraps what it holds into unseal. */
static int open_header(int fd, const struct seal_binding *binding, const uint8_t *key, struct unseal *unseal,
		       struct err *err)
{
	uint8_t plain[SEAL_KEY_SIZE + HASH_SIZE];
	struct header header;
	int r = read_at(fd, &header, sizeof(header), 0);

	if (r == -ENODATA)
		return err_set(err, ERR_CORRUPT, "the sealed file was cut");
	if (r < 0)
		return err_sys(err, r, "cannot read the sealed file");
	r = check_header(&header, binding, err);
	if (r < 0)
		return r;
	r = run_gcm(false, key, header.nonce, &header, offsetof(struct header, nonce), header.wrapped, sizeof(plain),
		    plain, header.tag);
	if (r == 0) {
		unseal->size = le64toh(header.size);
		unseal->chunks = le64toh(header.chunks);
		memcpy(unseal->key, plain, SEAL_KEY_SIZE);
		memcpy(unseal->root, plain + SEAL_KEY_SIZE, HASH_SIZE);
	}
	explicit_bzero(plain, sizeof(plain));
	if (r == -EBADMSG)
		return err_set(err, ERR_DENIED,
			       "the key of trust domain '%s' does not open the sealed file, or its header was changed",
			       binding->domain);
	return r < 0 ? err_sys(err, r, "cannot open the sealed file") : 0;
}

static int read_tags(struct unseal *unseal, int fd, struct err *err)
{
	size_t len = unseal->chunks * TAG_SIZE;
	uint8_t root[HASH_SIZE];
	struct stat st;
	int r;

	unseal->tags = malloc(len + 1);
	if (!unseal->tags)
		return err_sys(err, -ENOMEM, "cannot open the sealed file");
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot read the sealed file");
	if ((uint64_t)st.st_size != HEADER_SIZE + unseal->size + len)
		return err_set(err, ERR_CORRUPT, "the sealed file has %llu bytes, not %llu",
			       (unsigned long long)st.st_size, (unsigned long long)(HEADER_SIZE + unseal->size + len));
	r = read_at(fd, unseal->tags, len, HEADER_SIZE + unseal->size);
	if (r == 0)
		r = hash_bytes(unseal->tags, len, root);
	if (r < 0)
		return err_sys(err, r, "cannot read the sealed file");
	if (CRYPTO_memcmp(root, unseal->root, HASH_SIZE) != 0)
		return err_set(err, ERR_CORRUPT, "the tags of the sealed file were changed");
	return 0;
}

int unseal_new(int fd, const struct seal_binding *binding, const uint8_t key[static SEAL_KEY_SIZE],
	       struct unseal **ret_unseal, struct err *err)
{
	/* Of libcrypto's memory, which a process that serves images keeps secret. */
	struct unseal *unseal = OPENSSL_zalloc(sizeof(*unseal));
	int r;

	if (!unseal)
		return err_sys(err, -ENOMEM, "cannot open the sealed file");
	unseal->fd = -1;
	unseal->binding = *binding;
	r = open_header(fd, binding, key, unseal, err);
	if (r == 0)
		r = read_tags(unseal, fd, err);
	if (r < 0) {
		unseal_free(unseal);
		return r;
	}
	unseal->fd = fd;
	*ret_unseal = unseal;
	return 0;
}

void unseal_free(struct unseal *unseal)
{
	if (!unseal)
		return;
	if (unseal->fd >= 0)
		(void)close(unseal->fd);
	free(unseal->tags);
	OPENSSL_clear_free(unseal, sizeof(*unseal));
}

static void set_direct(int fd, bool direct)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

void unseal_directly(struct unseal *unseal)
{
	set_direct(unseal->fd, true);
}

uint64_t unseal_size(const struct unseal *unseal)
{
	return unseal->size;
}

/* The sealed bytes of one chunk, in whole units of the disk: behind the last chunk lie tags. */
static int read_chunk(const struct unseal *unseal, uint64_t from, uint8_t *to, size_t len)
{
	size_t whole = (len + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
	ssize_t n = pread(unseal->fd, to, whole, (off_t)(HEADER_SIZE + from));

	if (n >= (ssize_t)len)
		return 0;
	/* A disk with larger units, or memory that is not aligned to them. */
	if (n < 0 && errno == EINVAL)
		set_direct(unseal->fd, false);
	return read_at(unseal->fd, to, len, HEADER_SIZE + from);
}

int unseal_chunk(const struct unseal *unseal, uint64_t index, uint8_t *to, size_t *ret_len, struct err *err)
{
	struct chunk_binding bound = bind_chunk(&unseal->binding, index);
	uint64_t from = index * IMAGEFILE_CHUNK;
	uint8_t nonce[NONCE_SIZE];
	size_t len;
	int r;

	if (index >= unseal->chunks)
		return err_set(err, ERR_INVALID, "the sealed file has no chunk %llu", (unsigned long long)index);
	len = unseal->size - from < IMAGEFILE_CHUNK ? (size_t)(unseal->size - from) : IMAGEFILE_CHUNK;
	nonce_of(index, nonce);
	r = read_chunk(unseal, from, to, len);
	if (r == 0)
		r = run_gcm(false, unseal->key, nonce, &bound, sizeof(bound), to, len, to, unseal->tags[index]);
	if (r == -EBADMSG || r == -ENODATA) {
		/* What was decrypted before the tag spoke is nobody's. */
		explicit_bzero(to, len);
		return err_set(err, ERR_CORRUPT, "chunk %llu of the sealed file was changed",
			       (unsigned long long)index);
	}
	if (r < 0)
		return err_sys(err, r, "cannot read the sealed file");
	*ret_len = len;
	return 0;
}

int unseal_check(int fd, const struct seal_binding *binding, const uint8_t key[static SEAL_KEY_SIZE], struct err *err)
{
	struct unseal unseal;
	int r = open_header(fd, binding, key, &unseal, err);

	explicit_bzero(&unseal, sizeof(unseal));
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_access.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/envelope.h"

#define USERS_MAX 1000
#define GLOBS_MAX 100
#define SEEN_MAX 64
#define SEEN_NS (60 * UINT64_C(1000000000))
#define FAILURES_MAX 10
#define FAILURE_SLOTS 256
#define FAILURE_NS (60 * UINT64_C(1000000000))
#define CISM_NAME "system:cism"
#define CISM_GROUP "system:bulkhead"

struct cir_user {
	char *name, *hash;
	char **push, **pull; /* NULL-terminated */
};

struct cir_access {
	char *registry, *ca;
	struct cir_user *users;
	size_t user_count;
	char *decoy; /* a hash of no password: an unknown user takes as long as a known one */
	uint8_t secret[32];
	pthread_mutex_t lock; /* what follows */
	pthread_mutex_t
		hash_lock; /* one password is hashed at a time: 16 MiB and a core are what strangers may have of us */
	struct seen {
		uint8_t key[CRYPTO_SHA256_SIZE];
		const struct cir_user *user;
		uint64_t until_ns;
	} seen[SEEN_MAX];
	unsigned seen_next;
	struct failures {
		char address[64];
		unsigned count;
		uint64_t until_ns;
	} failures[FAILURE_SLOTS];
};

/* --- users --- */

static void strings_free(char **strings)
{
	for (char **at = strings; at && *at; at++)
		free(*at);
	free(strings);
}

static int read_globs(const json_t *list, const char *user, const char *field, char ***ret_globs, struct err *err)
{
	size_t count = json_array_size(list);
	char **globs;

	if (list && (!json_is_array(list) || count > GLOBS_MAX))
		return err_set(err, ERR_INVALID, "users: '%s': '%s' is not a list of at most %d patterns", user, field,
			       GLOBS_MAX);
	globs = calloc(count + 1, sizeof(*globs));
	if (!globs)
		return err_set(err, -ENOMEM, "no memory for users");
	for (size_t i = 0; i < count; i++) {
		const char *glob = json_string_value(json_array_get(list, i));

		globs[i] = glob ? strdup(glob) : NULL;
		if (!globs[i]) {
			strings_free(globs);
			return err_set(err, glob ? -ENOMEM : ERR_INVALID, "users: '%s': '%s' is not a list of patterns",
				       user, field);
		}
	}
	*ret_globs = globs;
	return 0;
}

static int check_members(const json_t *object, const char *const *known, const char *where, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		const char *const *at = known;

		while (*at && !str_eq(*at, key))
			at++;
		if (!*at)
			return err_set(err, ERR_INVALID, "users: %sunknown member '%.100s'", where, key);
	}
	return 0;
}

static int read_user(const json_t *object, struct cir_user *user, struct err *err)
{
	static const char *const known[] = {"name", "passwordHash", "push", "pull", NULL};
	const char *name = json_string_value(json_object_get(object, "name"));
	const char *hash = json_string_value(json_object_get(object, "passwordHash"));
	int r;

	if (!name || !*name || strchr(name, ':') || !hash)
		return err_set(err, ERR_INVALID, "users: a user needs a 'name' without ':' and a 'passwordHash'");
	r = check_members(object, known, "a user has an ", err);
	if (r < 0)
		return r;
	user->name = strdup(name);
	user->hash = strdup(hash);
	if (!user->name || !user->hash)
		return err_set(err, -ENOMEM, "no memory for users");
	r = read_globs(json_object_get(object, "push"), name, "push", &user->push, err);
	return r < 0 ? r : read_globs(json_object_get(object, "pull"), name, "pull", &user->pull, err);
}

static const struct cir_user *find_user(const struct cir_access *access, const char *name)
{
	for (size_t i = 0; i < access->user_count; i++)
		if (str_eq(access->users[i].name, name))
			return &access->users[i];
	return NULL;
}

static int read_users(struct cir_access *access, const json_t *root, struct err *err)
{
	static const char *const known[] = {"users", NULL};
	const json_t *list = json_object_get(root, "users");
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > USERS_MAX)
		return err_set(err, ERR_INVALID, "users: 'users' is not a list of at most %d", USERS_MAX);
	if (check_members(root, known, "", err) < 0)
		return ERR_INVALID;
	access->users = calloc(count + 1, sizeof(*access->users));
	if (!access->users)
		return err_set(err, -ENOMEM, "no memory for users");
	for (size_t i = 0; i < count; i++) {
		int r = read_user(json_array_get(list, i), &access->users[i], err);

		access->user_count = i + 1;
		if (r < 0)
			return r;
		if (find_user(access, access->users[i].name) != &access->users[i])
			return err_set(err, ERR_INVALID, "users: '%s' is there twice", access->users[i].name);
	}
	return 0;
}

static int make_decoy(struct cir_access *access, struct err *err)
{
	CLEANUP_BUF struct buf hash = buf_of(256);
	int r = crypto_password_decoy(&hash, err);

	if (r < 0)
		return r;
	access->decoy = buf_steal(&hash);
	return access->decoy ? 0 : err_set(err, -ENOMEM, "no memory for users");
}

int cir_access_new(const char *users, size_t users_len, const char *registry, const char *ca,
		   struct cir_access **ret_access, struct err *err)
{
	struct cir_access *access = calloc(1, sizeof(*access));
	json_error_t where;
	json_t *root;
	int r;

	if (!access)
		return err_set(err, -ENOMEM, "no memory for users");
	(void)pthread_mutex_init(&access->lock, NULL);
	(void)pthread_mutex_init(&access->hash_lock, NULL);
	crypto_random(access->secret, sizeof(access->secret));
	access->registry = strdup(registry);
	access->ca = strdup(ca);
	root = json_loadb(users, users_len, JSON_REJECT_DUPLICATES, &where);
	if (!access->registry || !access->ca)
		r = err_set(err, -ENOMEM, "no memory for users");
	else if (!root)
		r = err_set(err, ERR_SYNTAX, "users: line %d: %s", where.line, where.text);
	else
		r = read_users(access, root, err);
	json_decref(root);
	if (r == 0)
		r = make_decoy(access, err);
	if (r < 0)
		cir_access_free(access);
	else
		*ret_access = access;
	return r;
}

void cir_access_free(struct cir_access *access)
{
	if (!access)
		return;
	for (size_t i = 0; i < access->user_count; i++) {
		free(access->users[i].name);
		free(access->users[i].hash);
		strings_free(access->users[i].push);
		strings_free(access->users[i].pull);
	}
	free(access->users);
	free(access->registry);
	free(access->ca);
	free(access->decoy);
	(void)pthread_mutex_destroy(&access->hash_lock);
	(void)pthread_mutex_destroy(&access->lock);
	free(access);
}

/* --- passwords --- */

/* What a pair of name and password is remembered by: nothing that could be turned back without the secret. */
static void key_of(const struct cir_access *access, const char *pair, size_t len,
		   uint8_t key[static CRYPTO_SHA256_SIZE])
{
	uint8_t inner[sizeof(access->secret) + CRYPTO_SHA256_SIZE];

	memcpy(inner, access->secret, sizeof(access->secret));
	crypto_sha256(pair, len, inner + sizeof(access->secret));
	crypto_sha256(inner, sizeof(inner), key);
}

static const struct cir_user *was_seen(struct cir_access *access, const uint8_t key[static CRYPTO_SHA256_SIZE])
{
	const struct cir_user *user = NULL;
	uint64_t now = clock_monotonic_ns();

	(void)pthread_mutex_lock(&access->lock);
	for (size_t i = 0; i < SEEN_MAX; i++)
		if (access->seen[i].user && now < access->seen[i].until_ns &&
		    crypto_equal(access->seen[i].key, key, CRYPTO_SHA256_SIZE))
			user = access->seen[i].user;
	(void)pthread_mutex_unlock(&access->lock);
	return user;
}

static void remember(struct cir_access *access, const uint8_t key[static CRYPTO_SHA256_SIZE],
		     const struct cir_user *user)
{
	struct seen *to;

	(void)pthread_mutex_lock(&access->lock);
	to = &access->seen[access->seen_next++ % SEEN_MAX];
	memcpy(to->key, key, CRYPTO_SHA256_SIZE);
	to->user = user;
	to->until_ns = clock_monotonic_ns() + SEEN_NS;
	(void)pthread_mutex_unlock(&access->lock);
}

static struct failures *failures_of(struct cir_access *access, const char *address)
{
	uint8_t digest[CRYPTO_SHA256_SIZE];
	struct failures *slot;

	crypto_sha256(address, strlen(address), digest);
	slot = &access->failures[digest[0] % FAILURE_SLOTS];
	if (!str_eq(slot->address, address) || clock_monotonic_ns() > slot->until_ns) {
		*slot = (struct failures){.count = 0, .until_ns = clock_monotonic_ns() + FAILURE_NS};
		memcpy(slot->address, address, strnlen(address, sizeof(slot->address) - 1));
	}
	return slot;
}

/* Counts a wrong password against the address. */
static void count_failure(struct cir_access *access, const char *address)
{
	(void)pthread_mutex_lock(&access->lock);
	failures_of(access, address)->count++;
	(void)pthread_mutex_unlock(&access->lock);
}

static bool fails_too_often(struct cir_access *access, const char *address)
{
	bool often;

	(void)pthread_mutex_lock(&access->lock);
	often = failures_of(access, address)->count >= FAILURES_MAX;
	(void)pthread_mutex_unlock(&access->lock);
	return often;
}

/* One after another: whoever waited sees the failures of those before, and a password that one of them has verified. */
static int check_password(struct cir_access *access, const char *name, const char *password,
			  const uint8_t key[static CRYPTO_SHA256_SIZE], const char *address,
			  const struct cir_user **ret_user, struct err *err)
{
	const struct cir_user *user = find_user(access, name);
	int r = 0;

	(void)pthread_mutex_lock(&access->hash_lock);
	if (was_seen(access, key) != user || !user) {
		if (fails_too_often(access, address))
			r = err_set(err, ERR_BUSY, "too many wrong passwords from '%s'", address);
		else if (crypto_password_check(password, user ? user->hash : access->decoy, err) < 0 || !user)
			r = err_set(err, ERR_UNKNOWN_PEER, "wrong user or password");
		if (r == ERR_UNKNOWN_PEER)
			count_failure(access, address);
		else if (r == 0)
			remember(access, key, user);
	}
	(void)pthread_mutex_unlock(&access->hash_lock);
	if (r == 0)
		*ret_user = user;
	return r;
}

static int identify_user(struct cir_access *access, const char *encoded, const struct http_peer *peer,
			 struct cir_identity *ret_identity, struct err *err)
{
	CLEANUP_BUF struct buf pair = buf_of(2048);
	uint8_t key[CRYPTO_SHA256_SIZE];
	const struct cir_user *user;
	char *colon;
	int r = 0;

	if (crypto_unbase64(&pair, encoded, strlen(encoded)) < 0 || !pair.len || strlen(pair.data) != pair.len)
		return err_set(err, ERR_UNKNOWN_PEER, "the Basic credentials are malformed");
	key_of(access, pair.data, pair.len, key);
	colon = strchr(pair.data, ':');
	if (!colon)
		return err_set(err, ERR_UNKNOWN_PEER, "the Basic credentials are malformed");
	*colon = '\0';
	user = was_seen(access, key);
	if (!user)
		r = check_password(access, pair.data, colon + 1, key, peer->address, &user, err);
	explicit_bzero(pair.data, pair.len);
	if (r == 0)
		*ret_identity = (struct cir_identity){.kind = CIR_IDENTITY_USER, .user = user};
	return r;
}

/* --- tokens and certificates --- */

static const char *certificate_hex(const struct http_peer *peer, char hex[static 2 * CRYPTO_SHA256_SIZE + 1])
{
	if (!peer->common_name[0])
		return NULL;
	str_hex(hex, peer->certificate_sha256, CRYPTO_SHA256_SIZE);
	return hex;
}

static int identify_token(struct cir_access *access, const char *text, struct cir_identity *ret_identity,
			  struct err *err)
{
	CLEANUP_BUF struct buf envelope = buf_of(POLICY_TOKEN_MAX);
	CLEANUP_BUF struct buf payload = buf_of(POLICY_TOKEN_MAX);
	struct cir_identity identity = {.kind = CIR_IDENTITY_TOKEN};
	int r;

	if (crypto_unbase64url(&envelope, text, strlen(text)) < 0)
		return err_set(err, ERR_UNKNOWN_PEER, "the token is not base64url of a signed envelope");
	r = crypto_envelope_open(access->ca, CRYPTO_PURPOSE_BINDING, envelope.data, envelope.len, &payload, err);
	if (r == 0)
		r = policy_token_parse(payload.data, payload.len, &identity.token, err);
	if (r < 0) {
		(void)err_prefix(err, "the token");
		return err->code = r == -ENOMEM ? r : ERR_UNKNOWN_PEER;
	}
	*ret_identity = identity;
	return 0;
}

static bool is_cism(const struct http_peer *peer)
{
	return str_eq(peer->common_name, CISM_NAME) && peer->organization_count == 1 &&
	       str_eq(peer->organizations[0], CISM_GROUP);
}

int cir_access_identify(struct cir_access *access, const char *authorization, const struct http_peer *peer,
			struct cir_identity *ret_identity, struct err *err)
{
	if (!authorization && is_cism(peer)) {
		*ret_identity = (struct cir_identity){.kind = CIR_IDENTITY_CISM};
		return 0;
	}
	if (!authorization)
		return err_set(err, ERR_UNKNOWN_PEER, "authentication required");
	if (strncasecmp(authorization, "Basic ", 6) == 0)
		return identify_user(access, authorization + 6, peer, ret_identity, err);
	if (strncasecmp(authorization, "Bearer ", 7) == 0)
		return identify_token(access, authorization + 7, ret_identity, err);
	return err_set(err, ERR_UNKNOWN_PEER, "only Basic and Bearer are understood");
}

static bool matches(char *const *globs, const char *repository)
{
	for (; *globs; globs++)
		if (str_glob(*globs, repository))
			return true;
	return false;
}

static int check_user(const struct cir_user *user, const char *repository, enum cir_right right, struct err *err)
{
	if (matches(user->push, repository) || (right == CIR_RIGHT_PULL && matches(user->pull, repository)))
		return 0;
	return err_set(err, ERR_DENIED, "user '%s' may not %s repository '%s'", user->name,
		       right == CIR_RIGHT_PULL ? "pull from" : "push to", repository);
}

int cir_access_check(const struct cir_access *access, const struct cir_identity *identity, const char *repository,
		     enum cir_right right, const struct http_peer *peer, struct err *err)
{
	char hex[2 * CRYPTO_SHA256_SIZE + 1];

	if (identity->kind == CIR_IDENTITY_USER)
		return check_user(identity->user, repository, right, err);
	if (right != CIR_RIGHT_PULL)
		return err_set(err, ERR_DENIED, "%s may only pull", cir_access_name(identity));
	if (identity->kind == CIR_IDENTITY_CISM)
		return 0;
	return policy_token_check(&identity->token, access->registry, repository, certificate_hex(peer, hex),
				  clock_wall_ms(), err);
}

const char *cir_access_name(const struct cir_identity *identity)
{
	switch (identity->kind) {
	case CIR_IDENTITY_USER:
		return identity->user->name;
	case CIR_IDENTITY_TOKEN:
		return "a pull token";
	case CIR_IDENTITY_CISM:
		return "the CISM";
	}
	return "nobody";
}

void cir_identity_done(struct cir_identity *identity)
{
	if (identity->kind == CIR_IDENTITY_TOKEN)
		policy_token_done(&identity->token);
	*identity = (struct cir_identity){0};
}

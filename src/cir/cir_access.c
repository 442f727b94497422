/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_access.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/envelope.h"

#define SEEN_MAX 64
#define SEEN_NS (60 * UINT64_C(1000000000))
/* Wrong passwords of one user from one address, and of all users from it: behind a proxy many share one. */
#define FAILURES_MAX 10
#define FAILURES_ADDRESS_MAX 200
#define FAILURE_SLOTS 1024
#define FAILURE_NS (60 * UINT64_C(1000000000))
#define CISM_NAME "system:cism"
#define CISM_GROUP "system:bulkhead"

struct cir_access {
	_Atomic unsigned references;
	char *registry, *ca;
	struct cir_users users;
	struct cir_rules *rules; /* or NULL */
	char *decoy;             /* a hash of no password: an unknown user takes as long as a known one */
	uint8_t secret[32];
	uint8_t bearer_secret[CIR_BEARER_SECRET_SIZE];
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
		uint8_t of[16]; /* whom: the beginning of a hash */
		unsigned count;
		uint64_t until_ns;
	} failures[FAILURE_SLOTS];
};

/* --- the configuration in force --- */

static int make_decoy(struct cir_access *access, struct err *err)
{
	CLEANUP_BUF struct buf hash = buf_of(256);
	int r = crypto_password_decoy(&hash, err);

	if (r < 0)
		return r;
	access->decoy = buf_steal(&hash);
	return access->decoy ? 0 : err_set(err, -ENOMEM, "no memory for users");
}

static int fill(struct cir_access *access, const struct cir_access_config *config, struct err *err)
{
	int r;

	memcpy(access->bearer_secret, config->secret, sizeof(access->bearer_secret));
	access->registry = strdup(config->registry);
	access->ca = strdup(config->ca);
	if (!access->registry || !access->ca)
		return err_set(err, -ENOMEM, "no memory for users");
	r = cir_users_parse(config->users, config->users_len, &access->users, err);
	if (r < 0)
		return err_prefix(err, "%s", config->users_path);
	r = config->policy ? cir_rules_parse(config->policy, config->policy_len, &access->rules, err) : 0;
	return r < 0 ? err_prefix(err, "%s", config->policy_path) : make_decoy(access, err);
}

int cir_access_new(const struct cir_access_config *config, struct cir_access **ret_access, struct err *err)
{
	struct cir_access *access = calloc(1, sizeof(*access));
	int r;

	if (!access)
		return err_set(err, -ENOMEM, "no memory for users");
	atomic_store(&access->references, 1);
	(void)pthread_mutex_init(&access->lock, NULL);
	(void)pthread_mutex_init(&access->hash_lock, NULL);
	crypto_random(access->secret, sizeof(access->secret));
	r = fill(access, config, err);
	if (r < 0)
		cir_access_unref(access);
	else
		*ret_access = access;
	return r;
}

struct cir_access *cir_access_ref(struct cir_access *access)
{
	atomic_fetch_add(&access->references, 1);
	return access;
}

void cir_access_unref(struct cir_access *access)
{
	if (!access || atomic_fetch_sub(&access->references, 1) > 1)
		return;
	cir_users_done(&access->users);
	cir_rules_free(access->rules);
	free(access->registry);
	free(access->ca);
	free(access->decoy);
	(void)pthread_mutex_destroy(&access->hash_lock);
	(void)pthread_mutex_destroy(&access->lock);
	free(access);
}

const struct cir_rules *cir_access_rules(const struct cir_access *access)
{
	return access->rules;
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

/* name "" counts for all of them. */
static struct failures *failures_of(struct cir_access *access, const char *address, const char *name)
{
	uint8_t digest[CRYPTO_SHA256_SIZE];
	char text[256];
	struct failures *slot;
	unsigned index;

	(void)snprintf(text, sizeof(text), "%.100s %.100s", address, name);
	crypto_sha256(text, strlen(text), digest);
	index = (digest[0] | (unsigned)digest[1] << 8) % FAILURE_SLOTS;
	slot = &access->failures[index];
	if (memcmp(slot->of, digest, sizeof(slot->of)) != 0 || clock_monotonic_ns() > slot->until_ns) {
		*slot = (struct failures){.count = 0, .until_ns = clock_monotonic_ns() + FAILURE_NS};
		memcpy(slot->of, digest, sizeof(slot->of));
	}
	return slot;
}

static void count_failure(struct cir_access *access, const char *address, const char *name)
{
	(void)pthread_mutex_lock(&access->lock);
	failures_of(access, address, name)->count++;
	failures_of(access, address, "")->count++;
	(void)pthread_mutex_unlock(&access->lock);
}

static bool fails_too_often(struct cir_access *access, const char *address, const char *name)
{
	bool often;

	(void)pthread_mutex_lock(&access->lock);
	often = failures_of(access, address, name)->count >= FAILURES_MAX ||
		failures_of(access, address, "")->count >= FAILURES_ADDRESS_MAX;
	(void)pthread_mutex_unlock(&access->lock);
	return often;
}

/* One after another: whoever waited sees the failures of those before, and a password that one of them has verified. */
static int check_password(struct cir_access *access, const char *name, const char *password,
			  const uint8_t key[static CRYPTO_SHA256_SIZE], const char *address,
			  const struct cir_user **ret_user, struct err *err)
{
	const struct cir_user *user = cir_users_find(&access->users, name);
	bool has = user && user->hash;
	int r = 0;

	(void)pthread_mutex_lock(&access->hash_lock);
	if (was_seen(access, key) != user || !user) {
		if (fails_too_often(access, address, name))
			r = err_set(err, ERR_BUSY, "too many wrong passwords of '%.100s' from '%s'", name, address);
		else if (crypto_password_check(password, has ? user->hash : access->decoy, err) < 0 || !has)
			r = err_set(err, ERR_UNKNOWN_PEER, "wrong user or password");
		if (r == ERR_UNKNOWN_PEER)
			count_failure(access, address, name);
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

/* A token of the registry's own. */
static int identify_bearer(struct cir_access *access, const char *text, struct cir_identity *ret_identity,
			   struct err *err)
{
	struct cir_bearer *bearer = calloc(1, sizeof(*bearer));
	const struct cir_user *user;
	int r = bearer ? cir_bearer_parse(text, access->bearer_secret, clock_wall_ms(), bearer, err)
		       : err_set(err, -ENOMEM, "no memory for a token");

	user = r == 0 ? cir_users_find(&access->users, bearer->user) : NULL;
	if (r == 0 && bearer->user[0] && !user)
		r = err_set(err, ERR_UNKNOWN_PEER, "the token's user is gone");
	if (r < 0) {
		free(bearer);
		return r;
	}
	*ret_identity = (struct cir_identity){.kind = user ? CIR_IDENTITY_USER : CIR_IDENTITY_ANONYMOUS,
					      .user = user,
					      .bearer = bearer};
	return 0;
}

int cir_access_mint(const struct cir_identity *identity, struct cir_bearer *bearer, struct buf *to, struct err *err)
{
	bool named = identity->kind == CIR_IDENTITY_USER;
	int r;

	if (identity->bearer || (!named && identity->kind != CIR_IDENTITY_ANONYMOUS))
		return err_set(err, ERR_DENIED, "a token is given for a password or a user's certificate");
	r = str_copy(bearer->user, sizeof(bearer->user), named ? identity->user->name : "");
	if (r == 0)
		r = cir_bearer_format(bearer, identity->access->bearer_secret, to);
	return r < 0 ? err_sys(err, r, "cannot make a token") : 0;
}

static bool is_cism(const struct http_peer *peer)
{
	return str_eq(peer->common_name, CISM_NAME) && peer->organization_count == 1 &&
	       str_eq(peer->organizations[0], CISM_GROUP);
}

static int identify_silent(struct cir_access *access, const struct http_peer *peer, struct cir_identity *ret_identity,
			   struct err *err)
{
	const struct cir_user *user = cir_users_of_certificate(&access->users, peer);

	if (is_cism(peer))
		ret_identity->kind = CIR_IDENTITY_CISM;
	else if (user)
		*ret_identity = (struct cir_identity){.kind = CIR_IDENTITY_USER, .user = user};
	else if (cir_rules_have_anonymous(access->rules))
		ret_identity->kind = CIR_IDENTITY_ANONYMOUS;
	else
		return err_set(err, ERR_UNKNOWN_PEER, "authentication required");
	return 0;
}

int cir_access_identify(struct cir_access *access, const char *authorization, const struct http_peer *peer,
			struct cir_identity *ret_identity, struct err *err)
{
	struct cir_identity identity = {0};
	int r;

	if (!authorization)
		r = identify_silent(access, peer, &identity, err);
	else if (strncasecmp(authorization, "Basic ", 6) == 0)
		r = identify_user(access, authorization + 6, peer, &identity, err);
	else if (strncasecmp(authorization, "Bearer " CIR_BEARER_PREFIX, 7 + strlen(CIR_BEARER_PREFIX)) == 0)
		r = identify_bearer(access, authorization + 7, &identity, err);
	else if (strncasecmp(authorization, "Bearer ", 7) == 0)
		r = identify_token(access, authorization + 7, &identity, err);
	else
		r = err_set(err, ERR_UNKNOWN_PEER, "only Basic and Bearer are understood");
	if (r < 0)
		return r;
	*ret_identity = identity;
	ret_identity->access = cir_access_ref(access);
	return 0;
}

/* --- rights --- */

static int check_user(const struct cir_identity *identity, const char *repository, enum cir_right right,
		      struct err *err)
{
	static const char *const words[CIR_RIGHT_COUNT] = {"pull from", "push to", "delete from", "sign in"};
	const struct cir_rule *rule = cir_rules_find(identity->access->rules, repository);
	const struct cir_user *user = identity->user;

	if (rule ? cir_rule_allows(rule, right, user->name, user->domains) : cir_user_may(user, right, repository))
		return 0;
	return err_set(err, ERR_DENIED, "user '%s' may not %s repository '%s'", user->name, words[right], repository);
}

static int check_anonymous(const struct cir_identity *identity, const char *repository, enum cir_right right,
			   struct err *err)
{
	const struct cir_rule *rule = cir_rules_find(identity->access->rules, repository);

	if (right == CIR_RIGHT_PULL && rule && cir_rule_allows(rule, right, NULL, NULL))
		return 0;
	return err_set(err, ERR_UNKNOWN_PEER, "authentication required");
}

int cir_access_check(const struct cir_identity *identity, const char *repository, enum cir_right right,
		     const struct http_peer *peer, struct err *err)
{
	char hex[2 * CRYPTO_SHA256_SIZE + 1];

	/* With another token the same peer may get further. */
	if (identity->bearer && !cir_bearer_covers(identity->bearer, repository, right))
		return err_set(err, ERR_UNKNOWN_PEER, "the token is not for this");
	switch (identity->kind) {
	case CIR_IDENTITY_USER:
		return check_user(identity, repository, right, err);
	case CIR_IDENTITY_ANONYMOUS:
		return check_anonymous(identity, repository, right, err);
	case CIR_IDENTITY_TOKEN:
	case CIR_IDENTITY_CISM:
		break;
	}
	if (right != CIR_RIGHT_PULL)
		return err_set(err, ERR_DENIED, "%s may only pull", cir_access_name(identity));
	if (identity->kind == CIR_IDENTITY_CISM)
		return 0;
	return policy_token_check(&identity->token, identity->access->registry, repository, certificate_hex(peer, hex),
				  clock_wall_ms(), err);
}

int cir_access_check_metrics(const struct cir_identity *identity, struct err *err)
{
	const struct cir_rules *rules = identity->access->rules;
	const struct cir_user *user = identity->user;

	switch (identity->kind) {
	case CIR_IDENTITY_CISM:
		return 0;
	case CIR_IDENTITY_USER:
		if (!identity->bearer && cir_rules_allow_metrics(rules, user->name, user->domains))
			return 0;
		break;
	case CIR_IDENTITY_ANONYMOUS:
		return cir_rules_allow_metrics(rules, NULL, NULL)
			       ? 0
			       : err_set(err, ERR_UNKNOWN_PEER, "authentication required");
	case CIR_IDENTITY_TOKEN:
		break;
	}
	return err_set(err, ERR_DENIED, "%s may not read the metrics", cir_access_name(identity));
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
	case CIR_IDENTITY_ANONYMOUS:
		break;
	}
	return "nobody";
}

void cir_identity_done(struct cir_identity *identity)
{
	if (identity->kind == CIR_IDENTITY_TOKEN)
		policy_token_done(&identity->token);
	free(identity->bearer);
	cir_access_unref(identity->access);
	*identity = (struct cir_identity){0};
}

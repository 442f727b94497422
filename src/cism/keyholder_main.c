/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that holds the keys. For each question it forks: the child reads the keys, answers and ends, and its memory
 * with them; it is locked, and nobody may look into it. The parent never sees a key.
 */
#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/privilege.h"
#include "base/str.h"
#include "cism/keyfolder.h"
#include "cism/keyholder.h"
#include "cism/keyholder_frames.h"
#include "crypto/jwe.h"
#include "crypto/key.h"
#include "crypto/layersecret.h"
#include "crypto/secret.h"
#include "sandbox/capability.h"

#define CHANNEL 0
#define ETC 3

/* The address sanitizer reserves terabytes that cannot be locked. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* Where a child leaves its answer; shared with its parent. */
struct outcome {
	struct keyholder_answer answer;
	char text[KEYHOLDER_ANSWER_MAX];
};

/* --- the child: one question --- */

static int read_texts(const json_t *layer, struct encryption *to)
{
	const json_t *public = json_object_get(layer, "public"), *packets = json_object_get(layer, "packets"), *packet;
	size_t i;

	if (!json_is_string(public) || json_array_size(packets) > ENCRYPTION_PACKETS_MAX)
		return -EINVAL;
	to->public_options = (struct encryption_text){json_string_value(public), json_string_length(public)};
	json_array_foreach(packets, i, packet) {
		if (!json_is_string(packet))
			return -EINVAL;
		to->packets[i] = (struct encryption_text){json_string_value(packet), json_string_length(packet)};
	}
	to->packet_count = json_array_size(packets);
	return to->packet_count ? 0 : -EINVAL;
}

static int open_layer(const json_t *layer, const struct keyfolder *folder, const char *domain,
		      uint8_t to[static LAYERSECRET_PACKED], struct err *err)
{
	const char *digest = json_string_value(json_object_get(layer, "digest"));
	struct encryption encryption = {0};
	struct layersecret secret;
	int r = digest ? read_texts(layer, &encryption) : -EINVAL;

	if (r < 0)
		return err_set(err, ERR_SYNTAX, "the question has a malformed layer");
	r = layersecret_open(&encryption, folder->keys, folder->key_count, &secret, err);
	if (r == ERR_DENIED)
		return err_set(err, r,
			       "layer %.140s is encrypted for none of the %zu keys of TrustDomain '%s' in "
			       "'etc/bulkhead/" KEYFOLDER_PATH "/%s'",
			       digest, folder->key_count, domain, domain);
	if (r < 0)
		return err_prefix(err, "layer %.140s", digest);
	layersecret_pack(&secret, to);
	explicit_bzero(&secret, sizeof(secret));
	return 0;
}

static int recipient_of(const json_t *root, struct recipient **ret_recipient, struct err *err)
{
	const char *text = json_string_value(json_object_get(root, "recipient"));
	CLEANUP_BUF struct buf point = buf_of(UNWRAP_POINT_MAX);

	if (!text || crypto_unbase64url(&point, text, strlen(text)) < 0 || !point.len)
		return err_set(err, ERR_INVALID, "the recipient is not base64url of a point on P-256");
	return recipient_of_point(UNWRAP_P256, (const uint8_t *)point.data, point.len, ret_recipient, err);
}

static int seal_answer(const json_t *root, const uint8_t *plain, size_t len, struct buf *to, struct err *err)
{
	CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
	struct jwe_recipient for_whom = {.algorithm = JWE_ECDH_A256KW};
	int r = recipient_of(root, &recipient, err);

	for_whom.key = recipient;
	return r < 0 ? r : jwe_seal(&for_whom, 1, plain, len, to, err);
}

static int answer(const json_t *root, struct buf *to, struct err *err)
{
	static uint8_t plain[KEYFOLDER_CACHE_KEY + KEYHOLDER_LAYERS_MAX * LAYERSECRET_PACKED];
	const char *domain = json_string_value(json_object_get(root, "domain"));
	const json_t *layers = json_object_get(root, "layers");
	CLEANUP_KEYFOLDER struct keyfolder folder = {0};
	size_t count = json_array_size(layers), len = KEYFOLDER_CACHE_KEY;
	int r;

	if (!domain || count > KEYHOLDER_LAYERS_MAX)
		return err_set(err, ERR_SYNTAX, "the question has no domain, or too many layers");
	r = keyfolder_read(ETC, domain, &folder, err);
	if (r < 0)
		return err_prefix(err, "keys of TrustDomain '%s'", domain);
	memcpy(plain, folder.cache_key, KEYFOLDER_CACHE_KEY);
	for (size_t i = 0; i < count && r == 0; i++, len += LAYERSECRET_PACKED)
		r = open_layer(json_array_get(layers, i), &folder, domain, plain + len, err);
	if (r == 0)
		r = seal_answer(root, plain, len, to, err);
	explicit_bzero(plain, sizeof(plain));
	return r;
}

static void run_child(const char *question, size_t len, struct outcome *outcome)
{
	json_t *root = json_loadb(question, len, JSON_REJECT_DUPLICATES, NULL);
	struct buf jwe = buf_of(KEYHOLDER_ANSWER_MAX - 1);
	struct err err = {0};
	int r = 0;

	(void)alarm(KEYHOLDER_ANSWER_SECONDS);
	if (!SANITIZED && mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		r = err_sys(&err, -errno, "cannot lock the memory that keys are opened in");
	if (r == 0)
		r = root ? answer(root, &jwe, &err) : err_set(&err, ERR_SYNTAX, "the question is no JSON");
	outcome->answer.code = r;
	outcome->answer.len = (uint32_t)(r < 0 ? strlen(err.msg) : jwe.len);
	memcpy(outcome->text, r < 0 ? err.msg : jwe.data, outcome->answer.len);
	_exit(0);
}

/* --- the parent --- */

static int become_holder(struct err *err)
{
	const uint64_t kept = 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_IPC_LOCK;
	const struct capability_sets sets = {.bounding = kept, .permitted = kept, .effective = kept};
	uid_t uid;
	gid_t gid;
	int r = secret_guard_process(err);

	if (r < 0 || geteuid() != 0)
		return r;
	r = capability_prepare(&sets, err);
	if (r < 0)
		return r;
	privilege_ids(PRIVILEGE_KEYS, &uid, &gid);
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, -errno, "cannot become the user that holds keys");
	r = capability_apply(&sets, uid, err);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot confine the process that holds keys");
	/* A change of the user makes a process dumpable or not by a setting of the machine. */
	return r < 0 ? r : secret_guard_process(err);
}

static int ask_child(const char *question, size_t len, struct outcome *outcome)
{
	static const char lost[] = "the process that opens keys ended without an answer";
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		run_child(question, len, outcome);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 || outcome->answer.len > KEYHOLDER_ANSWER_MAX) {
		outcome->answer = (struct keyholder_answer){.code = -EIO, .len = sizeof(lost) - 1};
		memcpy(outcome->text, lost, sizeof(lost) - 1);
	}
	return fdio_write_all(CHANNEL, outcome, sizeof(outcome->answer) + outcome->answer.len);
}

static int serve(struct outcome *outcome)
{
	CLEANUP_FREE char *question = malloc(KEYHOLDER_QUESTION_MAX);
	uint32_t len;
	int r = question ? 0 : -ENOMEM;

	while (r == 0) {
		r = fdio_read_exact(CHANNEL, &len, sizeof(len));
		if (r == 0)
			r = len <= KEYHOLDER_QUESTION_MAX ? fdio_read_exact(CHANNEL, question, len) : -EPROTO;
		if (r == 0)
			r = ask_child(question, len, outcome);
		explicit_bzero(outcome, sizeof(*outcome));
	}
	/* The service has gone. */
	return r == -ENODATA || r == -EPIPE ? 0 : r;
}

int keyholder_main(void)
{
	struct outcome *outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
				       0);
	struct err err = {0};
	int r;

	log_init("cism-keys", LOG_LEVEL_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	r = outcome == MAP_FAILED ? err_sys(&err, -errno, "cannot hold keys") : become_holder(&err);
	if (r == 0)
		r = serve(outcome);
	else
		log_failure("cannot hold keys", &err);
	return r < 0 ? 1 : 0;
}

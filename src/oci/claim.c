/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/claim.h"

#include <stdio.h>

#include "base/str.h"
#include "oci/document.h"

#define SIGN_PREDICATE "https://sigstore.dev/cosign/sign/v1"

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(*words, word))
			return true;
	return false;
}

/* What is critical must be understood: a member that is not known refuses the signature, as the format demands. */
static int check_known(const json_t *object, const char *where, const char *const *known, struct err *err)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "%s is not an object", where);
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		if (!is_one_of(name, known))
			return err_set(err, ERR_INVALID, "%s has an unknown member '%.64s'", where, name);
	return 0;
}

static int take_identity(const char *text, struct claim *claim, struct err *err)
{
	if (!text || str_copy(claim->identity, sizeof(claim->identity), text) == 0)
		return 0;
	return err_set(err, ERR_TOO_LARGE, "the image it names has more than %d bytes", CLAIM_IDENTITY_SIZE - 1);
}

static int read_critical(const json_t *critical, struct claim *claim, struct err *err)
{
	static const char *const members[] = {"type", "image", "identity", NULL};
	static const char *const types[] = {"cosign container image signature", "atomic container signature",
					    SIGN_PREDICATE, NULL};
	static const char *const image_members[] = {"docker-manifest-digest", NULL};
	static const char *const identity_members[] = {"docker-reference", NULL};
	const json_t *image = json_object_get(critical, "image"), *identity = json_object_get(critical, "identity");
	const char *type, *digest, *reference = NULL;
	int r = check_known(critical, "critical", members, err);

	if (r == 0)
		r = check_known(image, "critical.image", image_members, err);
	if (r == 0 && identity)
		r = check_known(identity, "critical.identity", identity_members, err);
	if (r == 0)
		r = document_string(critical, "critical.", "type", true, &type, err);
	if (r == 0 && !is_one_of(type, types))
		r = err_set(err, ERR_INVALID, "critical.type '%.64s' is not the signature of an image", type);
	if (r == 0)
		r = document_string(image, "critical.image.", "docker-manifest-digest", true, &digest, err);
	if (r == 0)
		r = digest_parse(digest, &claim->digest, err);
	if (r == 0 && identity)
		r = document_string(identity, "critical.identity.", "docker-reference", false, &reference, err);
	return r < 0 ? r : take_identity(reference, claim, err);
}

int claim_parse_simplesigning(const char *bytes, size_t len, struct claim *ret_claim, struct err *err)
{
	static const char *const members[] = {"critical", "optional", NULL};
	struct claim claim = {0};
	json_t *root;
	int r = document_parse(bytes, len, CLAIM_BYTES_MAX, &root, err);

	if (r < 0)
		return r;
	r = check_known(root, "the payload", members, err);
	if (r == 0)
		r = read_critical(json_object_get(root, "critical"), &claim, err);
	json_decref(root);
	if (r == 0)
		*ret_claim = claim;
	return r;
}

/* {"sha256": "HEX"}: exactly one, of an algorithm that manifests have. */
static int read_subject_digest(const json_t *digests, struct claim *claim, struct err *err)
{
	void *first = json_object_iter((json_t *)(uintptr_t)digests);
	char text[DIGEST_TEXT_SIZE + 8];
	const char *hex;
	int len;

	if (!first || json_object_size(digests) != 1)
		return err_set(err, ERR_INVALID, "subject[0].digest has not exactly one digest");
	hex = json_string_value(json_object_iter_value(first));
	len = snprintf(text, sizeof(text), "%s:%s", json_object_iter_key(first), hex ? hex : "");
	if (len < 0 || (size_t)len >= sizeof(text))
		return err_set(err, ERR_INVALID, "subject[0].digest is too long");
	return digest_parse(text, &claim->digest, err);
}

static int read_subject(const json_t *subjects, struct claim *claim, struct err *err)
{
	const json_t *subject = json_array_get(subjects, 0);
	const char *name = NULL, *reference = NULL;
	int r;

	if (json_array_size(subjects) != 1 || !json_is_object(subject))
		return err_set(err, ERR_INVALID, "the statement has not exactly one subject");
	r = read_subject_digest(json_object_get(subject, "digest"), claim, err);
	if (r == 0)
		r = document_string(subject, "subject[0].", "name", false, &name, err);
	if (r == 0)
		r = document_string(json_object_get(subject, "annotations"), "subject[0].annotations.",
				    "docker-reference", false, &reference, err);
	if (r == 0 && name && *name && reference && !str_eq(name, reference))
		r = err_set(err, ERR_INVALID, "the statement names two images");
	return r < 0 ? r : take_identity(name && *name ? name : reference, claim, err);
}

int claim_parse_statement(const char *bytes, size_t len, struct claim *ret_claim, struct err *err)
{
	const char *type = NULL, *predicate = NULL;
	struct claim claim = {0};
	json_t *root;
	int r = document_parse(bytes, len, CLAIM_BYTES_MAX, &root, err);

	if (r < 0)
		return r;
	r = document_string(root, "", "_type", true, &type, err);
	if (r == 0 && !str_eq(type, "https://in-toto.io/Statement/v1"))
		r = err_set(err, ERR_INVALID, "_type '%.64s' is not a statement of in-toto", type);
	if (r == 0)
		r = document_string(root, "", "predicateType", true, &predicate, err);
	if (r == 0 && !str_eq(predicate, SIGN_PREDICATE))
		r = err_set(err, ERR_INVALID, "predicateType '%.128s' is an attestation and no signature", predicate);
	if (r == 0)
		r = read_subject(json_object_get(root, "subject"), &claim, err);
	json_decref(root);
	if (r == 0)
		*ret_claim = claim;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/subfunction.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define IMAGE_MAX 1024

/* The repository part: tag and digest cut off. */
static size_t repository_length(const char *image)
{
	size_t len = strcspn(image, "@");
	const char *colon = memrchr(image, ':', len);
	const char *slash = memrchr(image, '/', len);

	if (colon && (!slash || colon > slash))
		len = (size_t)(colon - image);
	return len;
}

bool policy_subfunction_image_matches(const char *pattern, const char *image)
{
	const char *digest = strchr(image, '@');
	char subject[IMAGE_MAX];
	size_t len = repository_length(image);
	size_t digest_len = strchr(pattern, '@') && digest ? strlen(digest) : 0;

	if ((strchr(pattern, '@') && !digest) || len + digest_len >= sizeof(subject))
		return false;
	memcpy(subject, image, len);
	if (digest_len)
		memcpy(subject + len, digest, digest_len);
	subject[len + digest_len] = '\0';
	return str_glob(pattern, subject);
}

/* Whether a row of the map is for pods with this service account. */
static bool is_for_account(const struct policy_subfunction *row, const struct policy_marks *marks)
{
	char account[2 * POLICY_NAME_MAX + 2];

	if (!row->accounts.count)
		return true;
	(void)snprintf(account, sizeof(account), "%.253s/%.253s", marks->namespace ? marks->namespace : "",
		       marks->account && *marks->account ? marks->account : "default");
	return policy_names_glob(&row->accounts, account);
}

static bool is_for_image(const struct policy_subfunction *row, const char *image)
{
	for (size_t i = 0; i < row->images.count; i++)
		if (policy_subfunction_image_matches(row->images.items[i], image))
			return true;
	return !row->images.count;
}

/* The one sub-function whose patterns match; NULL for none, and for more than one: then nobody knows. */
static const char *map_image(const struct policy_domain *domain, const struct policy_marks *marks, const char *image)
{
	const char *found = NULL;

	for (size_t i = 0; i < domain->subfunction_count; i++) {
		const struct policy_subfunction *row = &domain->subfunctions[i];

		if (!is_for_account(row, marks) || !is_for_image(row, image))
			continue;
		if (found)
			return NULL;
		found = row->name;
	}
	return found;
}

static const char *map_images(const struct policy_domain *domain, const struct policy_marks *marks)
{
	const char *found = NULL;

	for (size_t i = 0; i < marks->image_count; i++) {
		const char *name = map_image(domain, marks, marks->images[i]);

		if (!name || (found && found != name))
			return NULL;
		found = name;
	}
	return found;
}

int policy_subfunction_of(const struct policy_domain *domain, const struct policy_marks *marks, const char **ret_name,
			  struct err *err)
{
	const char *name = map_images(domain, marks), *label = marks->label;

	if (label && *label && domain->subfunction_count && (!name || !str_eq(name, label))) {
		(void)err_set(err, ERR_DENIED,
			      "label %s '%.63s' does not agree with TrustDomain '%s', by whose map the pod %s%s%s",
			      POLICY_LABEL_SUBFUNCTION, label, domain->name, name ? "is '" : "has no sub-function",
			      name ? name : "", name ? "'" : "");
		(void)err_hint(err, "the platform's operator maps images and service accounts in spec.subFunctions of "
				    "the TrustDomain");
		return ERR_DENIED;
	}
	*ret_name = name;
	return 0;
}

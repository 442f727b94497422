/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/subfunction.h"

#include <errno.h>
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

/* The one sub-function whose patterns match; NULL for none, and for more than one: then nobody knows. */
static const char *map_image(const struct policy_domain *domain, const char *image)
{
	const char *found = NULL;

	for (size_t i = 0; i < domain->subfunction_count; i++) {
		const struct policy_subfunction *subfunction = &domain->subfunctions[i];

		for (size_t j = 0; j < subfunction->images.count; j++) {
			if (!policy_subfunction_image_matches(subfunction->images.items[j], image))
				continue;
			if (found && found != subfunction->name)
				return NULL;
			found = subfunction->name;
		}
	}
	return found;
}

static const char *map_images(const struct policy_domain *domain, const char *const *images, size_t image_count)
{
	const char *found = NULL;

	for (size_t i = 0; i < image_count; i++) {
		const char *name = map_image(domain, images[i]);

		if (!name || (found && found != name))
			return NULL;
		found = name;
	}
	return found;
}

int policy_subfunction_of(const struct policy_domain *domain, const char *const *images, size_t image_count,
			  const char *label, const char **ret_name, struct err *err)
{
	const char *name = map_images(domain, images, image_count);

	if (label && *label && domain->subfunction_count && (!name || !str_eq(name, label))) {
		(void)err_set(err, ERR_DENIED,
			      "label %s '%.63s' does not agree with TrustDomain '%s', by whose map the pod %s%s%s",
			      POLICY_LABEL_SUBFUNCTION, label, domain->name, name ? "is '" : "has no sub-function",
			      name ? name : "", name ? "'" : "");
		(void)err_hint(err, "the platform's operator maps images in spec.subFunctions of the TrustDomain");
		return ERR_DENIED;
	}
	*ret_name = name;
	return 0;
}

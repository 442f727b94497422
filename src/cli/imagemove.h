/* SPDX-License-Identifier: Apache-2.0 */
/* Images between the registry and an image layout in a folder, with their signatures and all else that is attached to them. */
#ifndef CLI_IMAGEMOVE_H
#define CLI_IMAGEMOVE_H

#include "cli/layout.h"
#include "cli/regclient.h"

struct imagemove_total {
	size_t manifests, blobs; /* moved */
	uint64_t bytes;
};

/* Copies an image (reference: a tag or a digest) into the layout, under its tag. Nothing is named there before all of it is. */
int imagemove_export(struct regclient *client, const char *repository, const char *reference, struct layout *layout,
		     struct imagemove_total *total, struct err *err) MUST_CHECK;

/*
 * Copies all that index.json names into a repository, tags last: first the images by digest, then what is attached to them,
 * so that a repository of signed images alone takes them. tag (or NULL): only this one, and what is attached.
 */
int imagemove_import(struct regclient *client, const struct layout *layout, const char *repository, const char *tag,
		     struct imagemove_total *total, struct err *err) MUST_CHECK;

#endif

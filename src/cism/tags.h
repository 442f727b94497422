/* SPDX-License-Identifier: Apache-2.0 */
/* From an image with a tag to the image by digest: asked of the registries named in cism.json, and of no other. */
#ifndef CISM_TAGS_H
#define CISM_TAGS_H

#include "cism/cism.h"

#define TAGS_IMAGE_SIZE 800

/*
 * Writes host/repository@digest. An image that carries its digest is asked for only when proven is set, where it matters that
 * this repository really holds it: what a pod is and how it is cached may turn on the repository's name. ERR_DENIED for a registry that is not
 * named, ERR_NOT_FOUND, ERR_UNAVAILABLE; the message names the image.
 */
int tags_resolve(struct cism *cism, const char *image, bool proven, char to[static TAGS_IMAGE_SIZE],
		 struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the image store: an image that is there is asked about as one that is to be pulled. */
#ifndef IMAGE_GRANT_H
#define IMAGE_GRANT_H

#include "image/image.h"

/*
 * Reads the documents of an image from its folder in the store, verifies them against the digest that is asked for and the
 * platform, and asks request->grant. Nothing is asked of the registry. Errors of grant; ERR_CORRUPT for documents that are not
 * the digest's.
 */
int grant_cached(int dir, const struct image_request *request, const struct digest *asked, struct err *err) MUST_CHECK;

#endif

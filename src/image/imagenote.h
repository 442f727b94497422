/* SPDX-License-Identifier: Apache-2.0 */
/* info.json: what the store notes about an image. */
#ifndef IMAGE_IMAGENOTE_H
#define IMAGE_IMAGENOTE_H

#include "image/catalog.h"

#define IMAGENOTE_FILE "info.json"

/* Reads it from a folder; ->name, ->digest and ->holds are the caller's. ERR_CORRUPT, -ENOENT, -ENOMEM. */
int imagenote_read(int dir, struct catalog_entry *to) MUST_CHECK;

/* Writes it, on disk when it returns. */
int imagenote_write(int dir, const struct catalog_entry *entry, struct err *err) MUST_CHECK;

#endif

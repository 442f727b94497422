/* SPDX-License-Identifier: Apache-2.0 */
/* What the unpacking process takes from itself before it reads anything. */
#ifndef IMAGE_INGEST_CONFINE_H
#define IMAGE_INGEST_CONFINE_H

#include "base/err.h"

/*
 * Leaves the process with the user id of PRIVILEGE_INGEST, the capabilities to change owners and to write into what it has
 * given away, the folder root as its whole file system, no network, little memory, and the system calls unpacking needs.
 * -EPERM when it is not started as root.
 */
int ingest_confine(int root, struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Paths below cir_files.repositories; shared by cir_files.c and cir_files_list.c. */
#ifndef CIR_CIR_FILES_INTERNAL_H
#define CIR_CIR_FILES_INTERNAL_H

#include "cir/cir_files.h"

/* A repository (255), a folder, a subject and a digest or tag. */
#define CIR_PATH_SIZE 640

/* "NAME/FOLDER[/FIRST[/SECOND]]"; NULL parts are left out. All parts were validated. */
void cir_files_path(char to[static CIR_PATH_SIZE], const char *repository, const char *folder, const char *first,
		    const char *second);

#endif

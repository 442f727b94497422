/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a bound pod's images, handed to the instance it is bound to (docs/protocols.md, "Image keys"). */
#ifndef CISM_IMAGEKEYS_H
#define CISM_IMAGEKEYS_H

#include "cism/call.h"

/* POST pods/NAME/keys: the instance shows the documents of an image of the pod and gets what opens its layers. */
void imagekeys_answer(struct call *call);

#endif

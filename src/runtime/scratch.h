/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for JSON of a process that ends soon: handed out in a row and never given back. A configuration is some thousand
 * small pieces, whose management costs a tenth of the time that reading it takes.
 */
#ifndef RUNTIME_SCRATCH_H
#define RUNTIME_SCRATCH_H

/*
 * Between the two calls JSON values are made in scratch memory. What is made later comes from the heap as ever; values of
 * either kind may be put together and given back with json_decref. Text that json_dumps makes must be made outside of
 * them, as its reader frees it.
 */
void scratch_begin(void);
void scratch_end(void);

/* Gives the memory back, with all values in it. */
void scratch_forget(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named points at which a test has the process killed, to show that a crash there loses nothing. Compiled in only with
 * -Dcrashpoints=true; elsewhere the call is empty. BULKHEAD_CRASH_AT=name[,count] kills at the count-th pass (default 1).
 */
#ifndef BASE_CRASHPOINT_H
#define BASE_CRASHPOINT_H

#if BULKHEAD_CRASHPOINTS
/* Kills the process with SIGKILL if the test asked for this point. */
void crashpoint(const char *name);
#else
static inline void crashpoint(const char *name)
{
	(void)name;
}
#endif

#endif

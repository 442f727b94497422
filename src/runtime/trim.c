/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of parts of the C library that a static program would carry along for what it never does: unwinding its
 * stack, translating messages, and printing wide characters, which its assert() can. A tenth of the program. And of what
 * such a program does before main() for libraries it could load: finding out where it lies.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void __assert_fail(const char *assertion, const char *file, unsigned int line, const char *function)
{
	(void)!write(STDERR_FILENO, assertion, strlen(assertion));
	abort();
}

char *__dcgettext(const char *domain, const char *message, int category);
char *__dcgettext(const char *domain, const char *message, int category)
{
	return (char *)message;
}

void _Unwind_Resume(void *exception);
void _Unwind_Resume(void *exception)
{
	abort();
}

int __gcc_personality_v0(void);
int __gcc_personality_v0(void)
{
	abort();
}

const char *_dl_get_origin(void);
const char *_dl_get_origin(void)
{
	return (const char *)-1;
}

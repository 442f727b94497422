/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead-cism: opens what it needs as root, gives up root, serves. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/str.h"
#include "cism/keyholder.h"
#include "cism/service.h"

static int wait_for_signal(const sigset_t *signals)
{
	int number = 0;

	while (sigwait(signals, &number) != 0)
		continue;
	log_info("stopping", "signal", strsignal(number));
	return 0;
}

static int run(const char *root, int ready_fd)
{
	struct service *service = NULL;
	sigset_t signals;
	struct err err = {0};
	int r;

	/* Before any thread begins, so that all of them leave these signals to this one. */
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = service_open(root, &service, &err);
	if (r == 0)
		r = service_start(service, &err);
	if (r == 0 && ready_fd >= 0 && (write(ready_fd, "1", 1) != 1 || close(ready_fd) < 0))
		log_warn("nobody waits for readiness");
	if (r == 0)
		r = wait_for_signal(&signals);
	else
		log_failure("cannot serve", &err);
	if (r == 0 && service_lost(service))
		r = ERR_CORRUPT;
	service_stop(service);
	return err_exit_code(r);
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	const char *ready = NULL;
	const struct option_row rows[] = {
		{"root", 0, "DIR", "keep configuration, state and run time below DIR", &root, NULL},
		{"ready-fd", 0, "N", "write a byte to descriptor N once it serves", &ready, NULL},
	};
	const struct option_command command = {
		.program = "bulkhead-cism",
		.summary =
			"The container infrastructure service management: the Kubernetes API, admission and placement.",
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
	};
	struct err err = {0};
	uint64_t ready_fd = 0;
	int first, r;

	if (argc > 1 && str_eq(argv[1], KEYHOLDER_WORD))
		return keyholder_main();
	log_init("cism", LOG_LEVEL_INFO);
	r = options_parse(&command, argc, argv, &first, &err);
	if (r > 0)
		return 0;
	if (r == 0 && ready && str_parse_u64(ready, 65535, &ready_fd) < 0)
		r = err_set(&err, ERR_INVALID, "option '--ready-fd': '%s' is no descriptor", ready);
	if (r < 0) {
		log_failure("wrong command line", &err);
		return err_exit_code(r);
	}
	return run(root, ready ? (int)ready_fd : -1);
}

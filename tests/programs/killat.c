/* SPDX-License-Identifier: Apache-2.0 */
/*
 * killat [-k PROCESS:CALL] [-a PID]... [-o REPORT] PROGRAM [WORD]...
 *
 * Runs a program and follows it and all its children through every system call. The processes are numbered as they
 * appear: those of -a first, then the program, then what any of them makes. PROCESS gets SIGKILL the moment its CALLth
 * system call has been done, before it executes anything more. A process is followed until it executes another program
 * than this one. REPORT gets a line for each process, "NUMBER PID CALLS FATE", FATE being lives, killed, left (another
 * program) or ended. Exits like the program, with 128 + signal when one ended it, and with 99 when it hangs.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 256
#define HUNG 99
#define PATIENCE 20
#define OPTIONS \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

enum fate { LIVES, KILLED, LEFT, ENDED };

static struct process {
	pid_t pid;
	unsigned long calls;
	enum fate fate;
} processes[PROCESSES_MAX];

static size_t process_count;
static pid_t program; /* of the command line */
static struct stat program_file;
static long kill_process = -1, kill_call;
static bool done; /* the kill has happened: nobody is followed any longer */
static volatile sig_atomic_t late;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(98);
}

static void note_late(int number)
{
	(void)number;
	late = 1;
}

static struct process *find(pid_t pid)
{
	for (size_t i = 0; i < process_count; i++)
		if (processes[i].pid == pid)
			return &processes[i];
	if (process_count == PROCESSES_MAX) {
		errno = E2BIG;
		die("killat");
	}
	processes[process_count] = (struct process){.pid = pid};
	return &processes[process_count++];
}

/* Takes a process over and lets it go on to its next system call. */
static void follow(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		die("cannot follow");
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		die("cannot follow");
	(void)find(pid);
	if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0)
		die("cannot follow");
}

static void run(char **words)
{
	int gate[2];
	char byte;

	if (pipe2(gate, 02000000) < 0)
		die("pipe");
	program = fork();
	if (program < 0)
		die("fork");
	if (program == 0) {
		(void)close(gate[1]);
		if (read(gate[0], &byte, 1) != 0)
			_exit(127);
		(void)execv(words[0], words);
		_exit(127);
	}
	(void)close(gate[0]);
	follow(program);
	(void)close(gate[1]);
}

static bool is_program(pid_t pid)
{
	struct stat now;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return stat(path, &now) == 0 && now.st_ino == program_file.st_ino && now.st_dev == program_file.st_dev;
}

/* A system call has been done: the moment to kill, or to go on. */
static void after_call(struct process *process)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_EXIT)
		return;
	process->calls++;
	if (process - processes == kill_process && process->calls == (unsigned long)kill_call) {
		(void)kill(process->pid, SIGKILL);
		process->fate = KILLED;
		done = true;
	}
}

static void stopped(struct process *process, int status)
{
	int number = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_EXEC) {
		/* Its first execution is where the program begins. */
		if (!is_program(process->pid)) {
			process->fate = LEFT;
			(void)ptrace(PTRACE_DETACH, process->pid, 0, 0);
			return;
		}
		number = 0;
	} else if (event) {
		number = 0;
	} else if (number == (SIGTRAP | 0x80)) {
		number = 0;
		if (!done)
			after_call(process);
	}
	if (process->fate != KILLED)
		(void)ptrace(done ? PTRACE_CONT : PTRACE_SYSCALL, process->pid, 0, number);
}

/* Until the program has ended. What else lives then goes on without this process. */
static int watch(void)
{
	while (!late) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		struct process *process;

		if (pid < 0) {
			if (errno == EINTR)
				continue;
			die("waitpid");
		}
		process = find(pid);
		if (WIFSTOPPED(status)) {
			stopped(process, status);
			continue;
		}
		if (process->fate == LIVES)
			process->fate = ENDED;
		if (pid == program)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return HUNG;
}

static void report(const char *path)
{
	static const char *const fates[] = {"lives", "killed", "left", "ended"};
	FILE *to = fopen(path, "w");

	if (!to)
		die(path);
	for (size_t i = 0; i < process_count; i++)
		(void)fprintf(to, "%zu %d %lu %s\n", i, (int)processes[i].pid, processes[i].calls,
			      fates[processes[i].fate]);
	if (fclose(to) != 0)
		die(path);
}

int main(int argc, char **argv)
{
	const char *to = NULL;
	pid_t others[PROCESSES_MAX];
	size_t count = 0;
	int option, status;

	while ((option = getopt(argc, argv, "+k:a:o:")) != -1) {
		if (option == 'k' && sscanf(optarg, "%ld:%ld", &kill_process, &kill_call) != 2)
			return 98;
		if (option == 'a' && count < PROCESSES_MAX)
			others[count++] = (pid_t)atoi(optarg);
		if (option == 'o')
			to = optarg;
		if (option == '?')
			return 98;
	}
	if (optind == argc || stat(argv[optind], &program_file) < 0)
		die("killat");
	(void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = note_late}, NULL);
	(void)alarm(PATIENCE);
	for (size_t i = 0; i < count; i++)
		follow(others[i]);
	run(argv + optind);
	status = watch();
	if (status == HUNG)
		(void)kill(program, SIGKILL);
	if (to)
		report(to);
	return status;
}

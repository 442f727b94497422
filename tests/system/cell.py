# SPDX-License-Identifier: Apache-2.0
"""A cell: pid, mount, network and cgroup namespaces of its own, with its own /run and its own part of every cgroup
hierarchy shown as the whole. What a test starts in it cannot outlive it, and is alone in it, so that what is left
behind can be told apart from what else happens on the machine."""
import ctypes
import glob
import json
import os
import secrets
import signal
import subprocess
import sys
import time

CLONE_NEWCGROUP = 0x02000000
HERE = os.path.dirname(os.path.abspath(__file__))


def hierarchies():
    """[(mount point, type, options)] of the cgroup hierarchies."""
    found = []
    with open('/proc/self/mountinfo', encoding='utf-8') as lines:
        for line in lines:
            words = line.split()
            dash = words.index('-')
            if words[dash + 1] in ('cgroup', 'cgroup2'):
                options = ','.join(o for o in words[dash + 3].split(',') if o not in ('rw', 'ro'))
                found.append((words[4], words[dash + 1], options))
    return found


def write(path, text):
    with open(path, 'w', encoding='utf-8') as to:
        to.write(text)


def make_cgroups(name):
    for top, kind, _ in hierarchies():
        os.makedirs(f'{top}/{name}', exist_ok=True)
        for part in ('cpuset.cpus', 'cpuset.mems'):
            if kind == 'cgroup' and os.path.exists(f'{top}/{part}'):
                with open(f'{top}/{part}', encoding='utf-8') as value:
                    write(f'{top}/{name}/{part}', value.read())
        # A delegated v2 subtree may hold processes only in its leaves.
        if kind == 'cgroup2':
            with open(f'{top}/cgroup.controllers', encoding='utf-8') as controllers:
                for controller in controllers.read().split():
                    write(f'{top}/cgroup.subtree_control', '+' + controller)
            os.makedirs(f'{top}/{name}/init', exist_ok=True)


def join_cgroups(name, leaf):
    """Moves this process; the single-threaded writer of 0 to a v1 'tasks' is the fast way."""
    for top, kind, _ in hierarchies():
        if kind == 'cgroup':
            write(f'{top}/{name}/tasks', '0')
        else:
            write(f'{top}/{name}{leaf}/cgroup.procs', '0')


def remove_cgroups(name):
    deadline = time.monotonic() + 10
    for top, _, _ in hierarchies():
        while os.path.exists(f'{top}/{name}'):
            for folder, _, _ in os.walk(f'{top}/{name}', topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    continue
            if time.monotonic() > deadline:
                raise TimeoutError(f'cgroup {top}/{name} does not go away')


def init(name):
    """The first process of a cell."""
    join_cgroups(name, '')
    if ctypes.CDLL(None).unshare(CLONE_NEWCGROUP) < 0:
        raise OSError('cannot make a cgroup namespace')
    join_cgroups(name, '/init')
    for top, kind, options in hierarchies():
        subprocess.run(['umount', top], check=True)
        wanted = ['-o', options] if kind == 'cgroup' else []
        subprocess.run(['mount', '-t', kind, *wanted, 'cgroup', top], check=True)
    # What other tests have there comes and goes, also in this copy of the mounts.
    for place in glob.glob('/run/netns/*'):
        subprocess.run(['umount', '-l', place], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'run', '/run'], check=True)
    os.makedirs('/run/netns')
    subprocess.run(['mount', '--bind', '/run/netns', '/run/netns'], check=True)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print('ready', flush=True)
    sys.stdin.read()


class Cell:
    def __init__(self):
        self.name = 'bht-' + secrets.token_hex(4)
        make_cgroups(self.name)
        self.holder = subprocess.Popen(
            ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc',
             '--propagation', 'private', sys.executable, os.path.join(HERE, 'cell.py'), self.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b'ready\n':
            self.close()
            raise RuntimeError('the cell did not start')
        with open(f'/proc/{self.holder.pid}/task/{self.holder.pid}/children', encoding='utf-8') as children:
            self.pid = int(children.read())

    def words(self, command):
        """The command line that runs a command in the cell."""
        enter = ['nsenter', '-t', str(self.pid), '-m', '-n', '-p', '-C', f'--wd={os.getcwd()}', '--']
        return enter + [str(word) for word in command]

    def popen(self, command, **options):
        """Popen in the cell. What is started ends with the nsenter that the caller may terminate."""
        command = ['setpriv', '--pdeathsig', 'TERM', *command]
        return subprocess.Popen(self.words(command), preexec_fn=lambda: join_cgroups(self.name, '/init'), **options)

    def run(self, command, timeout=120, text=True, **options):
        """subprocess.run in the cell; output is captured unless told otherwise."""
        options.setdefault('stdout', subprocess.PIPE)
        options.setdefault('stderr', subprocess.PIPE)
        return subprocess.run(self.words(command), preexec_fn=lambda: join_cgroups(self.name, '/init'),
                              timeout=timeout, text=text, **options)

    def snapshot(self, folders=()):
        done = self.run([sys.executable, os.path.join(HERE, 'leftovers.py'), *folders], check=True)
        return json.loads(done.stdout)

    def close(self):
        """Ends everything in the cell."""
        self.holder.stdin.close()
        self.holder.stdout.close()
        try:
            self.holder.wait(10)
        except subprocess.TimeoutExpired:
            self.holder.kill()
            self.holder.wait()
        remove_cgroups(self.name)


def loops_below(folder):
    """Loop devices whose file lies below a folder."""
    found = []
    for path in glob.glob('/sys/block/loop*/loop/backing_file'):
        with open(path, encoding='utf-8') as backing:
            if backing.read().startswith(folder.rstrip('/') + '/'):
                found.append('/dev/' + path.split('/')[3])
    return found


if __name__ == '__main__':
    init(sys.argv[1])

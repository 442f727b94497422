# SPDX-License-Identifier: Apache-2.0
"""Rootless: an ordinary user with and without subordinate ids, and podman as that user (ISO-1, ISO-3)."""
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile

import pytest

from support_runtime import is_alive, make_rootfs, wait_until

UID = 61951
SUBORDINATE = 2_110_000_000
# Files of users that only the processes of a test see.
PRIVATE = '''
for name in passwd group; do mount --bind "$0/$name" /etc/$name; done
mount --bind "$0/subid" /etc/subuid; mount --bind "$0/subid" /etc/subgid
exec setpriv --reuid $UID --regid $UID --clear-groups "$@"
'''


class User:
    """An unused user id with a home, a run-time folder and a bundle of busybox; close() takes all away."""

    def __init__(self, program):
        self.program = str(program)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-rootless-', dir='/var/tmp'))
        self.folder.chmod(0o755)
        self.run_folder, self.bundle = self.folder / 'run', self.folder / 'b'
        self.run_folder.mkdir(mode=0o700)
        self.bundle.mkdir()
        make_rootfs(self.bundle / 'rootfs')
        subprocess.run(['chown', '-R', f'{UID}:{UID}', self.folder], check=True)
        self.write_files(f'{UID}:{SUBORDINATE}:65536\n')
        self.config = json.loads(self.spec())

    def write_files(self, subordinate):
        (self.folder / 'subid').write_text(subordinate)
        for name, line in (('passwd', f'tester:x:{UID}:{UID}::{self.folder}:/bin/sh\n'),
                           ('group', f'tester:x:{UID}:\n')):
            (self.folder / name).write_text(pathlib.Path('/etc', name).read_text() + line)

    def call(self, *words, stdin=subprocess.DEVNULL, **env):
        """Runs a program as the user."""
        env = {'PATH': os.environ['PATH'], 'HOME': str(self.folder), 'XDG_RUNTIME_DIR': str(self.run_folder),
               'UID': str(UID), **env}
        return subprocess.run(['unshare', '-m', 'bash', '-ec', PRIVATE, self.folder, *map(str, words)], stdin=stdin,
                              cwd=self.bundle, env={key: value for key, value in env.items() if value},
                              capture_output=True, text=True, timeout=120, check=False)

    def runtime(self, *words, **env):
        return self.call(self.program, *words, **env)

    def spec(self):
        done = self.runtime('spec', '--rootless')
        assert done.returncode == 0, done.stderr
        return (self.bundle / 'config.json').read_text()

    def configure(self, *args, **changes):
        """Writes config.json with these program words; changes replace members of "process", "linux" or the top."""
        made = json.loads(json.dumps(self.config))
        made['process'].update(terminal=False, args=list(args))
        for key, value in changes.items():
            next((part for part in (made['process'], made['linux']) if key in part), made)[key] = value
        (self.bundle / 'config.json').write_text(json.dumps(made))

    def run(self, *args, options=(), **changes):
        self.configure(*args, **changes)
        return self.runtime(*options, 'run', 'c' + secrets.token_hex(3))

    def start(self, name):
        """Creates and starts a container whose output goes nowhere."""
        self.configure('/bin/sleep', '1000')
        said = self.run_folder / 'err'
        made = self.call('sh', '-c', '"$0" create "$1" >/dev/null 2>"$2"', self.program, name, said)
        assert made.returncode == 0, said.read_text()
        assert self.runtime('start', name).returncode == 0

    def containers(self):
        return [path.name for path in self.run_folder.glob('bulkhead-runtime/*') if path.name[0] != '.']

    def state(self, name):
        return json.loads(self.runtime('state', name).stdout)

    def close(self):
        for path in self.folder.glob('run/libpod/tmp/pause.pid'):
            os.kill(int(path.read_text()), signal.SIGKILL)
        for name in self.containers():
            self.runtime('delete', '--force', name)
        shutil.rmtree(self.folder)


@pytest.fixture
def user(programs):
    made = User(programs / 'bulkhead-runtime')
    yield made
    made.close()


def both(*lines):
    """Maps of users and of groups with these lines."""
    rows = [dict(zip(('containerID', 'hostID', 'size'), line)) for line in lines]
    return {'uidMappings': rows, 'gidMappings': rows}


def test_a_user_runs_a_container_with_the_own_id_alone(user):
    done = user.run('/bin/sh', '-c', 'id; cat /proc/self/uid_map /proc/self/setgroups; echo x >/dev/null && '
                    'head -c 4 /dev/zero | wc -c; stat -c %t:%T /dev/null /dev/urandom; ls /sys/fs/cgroup | wc -l; '
                    'echo /proc/[0-9]*')
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.splitlines()
    assert lines[0].startswith('uid=0 gid=0')
    assert lines[1].split() == ['0', str(UID), '1']
    assert lines[2:] == ['deny', '4', '1:3', '1:9', '0', '/proc/1 /proc/2']
    assert user.containers() == []


def test_it_is_as_hardened_as_the_machine_s_own_root_makes_it(user):
    user.start('a')
    pid = user.state('a')['pid']
    status = dict(line.split(':\t', 1) for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
                  if ':\t' in line)
    assert (status['NoNewPrivs'], status['Seccomp'], status['Seccomp_filters']) == ('1', '2', '1')
    assert int(status['CapBnd'], 16) == int(status['CapEff'], 16) == 1 << 29 | 1 << 5 | 1 << 10
    assert (int(status['CapInh'], 16), int(status['CapAmb'], 16)) == (0, 0)
    assert status['Uid'].split() == [str(UID)] * 4
    for kind in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'):
        assert os.readlink(f'/proc/{pid}/ns/{kind}') != os.readlink(f'/proc/self/ns/{kind}'), kind
    links = {os.readlink(path) for path in pathlib.Path(f'/proc/{pid}/fd').iterdir()}
    assert links <= {'/dev/null', '/null', str(user.run_folder / 'err')}
    for program, message in (('unshare -U true', 'unshare: unshare(0x10000000): Operation not permitted'),
                             ('mount -t tmpfs x /tmp', 'mount: permission denied (are you root?)'),
                             ('sh -c "cp /bin/busybox /dev/shm/true && /dev/shm/true"',
                              '/dev/shm/true: Permission denied')):
        done = user.runtime('exec', 'a', '/bin/sh', '-c', '/bin/busybox ' + program)
        assert done.returncode != 0
        assert message in done.stderr


def test_the_commands_for_a_running_container(user):
    user.start('a')
    done = user.runtime('exec', 'a', '/bin/sh', '-c', 'id; grep Seccomp: /proc/self/status')
    assert (done.returncode, done.stdout, done.stderr) == (0, 'uid=0 gid=0\nSeccomp:\t2\n', '')
    assert [row.split()[0] for row in user.runtime('list').stdout.splitlines()] == ['ID', 'a']
    assert user.runtime('ps', 'a').stderr == "bulkhead-runtime: container 'a' has no control group\n"
    assert user.runtime('kill', 'a', 'KILL').returncode == 0
    wait_until(lambda: user.state('a')['status'] == 'stopped')
    assert user.runtime('delete', 'a').returncode == 0
    user.start('b')
    pid = user.state('b')['pid']
    assert user.runtime('delete', '--force', 'b').returncode == 0
    assert not is_alive(pid)


def test_subordinate_ids(user):
    maps = both((0, UID, 1), (1, SUBORDINATE, 65536))
    done = user.run('/bin/sh', '-c', 'id; cat /proc/self/uid_map', user={'uid': 5, 'gid': 6, 'additionalGids': [7]},
                    **maps)
    assert (done.returncode, done.stderr) == (0, '')
    assert [line.split() for line in done.stdout.splitlines()] == [
        ['uid=5', 'gid=6', 'groups=7'], ['0', str(UID), '1'], ['1', str(SUBORDINATE), '65536']]
    user.write_files('')
    done = user.run('/bin/true', **maps)
    assert done.returncode == 1
    assert done.stderr == (
        "bulkhead-runtime: config.json: linux.uidMappings: '/usr/bin/newuidmap' failed with exit status 1: newuidmap: "
        f'uid range [{SUBORDINATE}-{SUBORDINATE + 65536}) -> [{SUBORDINATE}-{SUBORDINATE + 65536}) not allowed\n'
        'hint: newuidmap and newgidmap map what /etc/subuid and /etc/subgid give to the user\n')


@pytest.mark.parametrize('changes, code, message', [
    ({'resources': {'pids': {'limit': 5}}}, 6,
     'config.json: linux.resources: has limits, but this user may make no control groups\n'
     'hint: a version 2 group that is delegated to the user is one to make groups in'),
    ({'namespaces': [{'type': 'mount'}, {'type': 'pid'}]}, 3,
     'config.json: linux.namespaces: an ordinary user needs a new user namespace'),
    ({'user': {'uid': 1, 'gid': 0}}, 3, 'config.json: process.user.uid: 1 is not mapped in the user namespace'),
    ({'devices': [{'path': '/dev/null2', 'type': 'c', 'major': 1, 'minor': 3}]}, 4,
     "config.json: linux.devices[0]: cannot open the machine's '/dev/null2': No such file or directory"),
    ({'devices': [{'path': '/dev/kmsg', 'type': 'c', 'major': 1, 'minor': 3}]}, 1,
     "config.json: linux.devices[0]: cannot open the machine's '/dev/kmsg': No such device"),
])
def test_what_a_user_cannot_have_is_refused(user, changes, code, message):
    user.config['linux'].update(devices=[], resources={})
    done = user.run('/bin/true', **changes)
    assert (done.returncode, done.stderr) == (code, f'bulkhead-runtime: {message}\n')
    assert user.containers() == []


def test_the_state_has_to_lie_somewhere(user):
    done = user.runtime('list', XDG_RUNTIME_DIR='')
    assert (done.returncode, done.stderr) == (
        3, "bulkhead-runtime: XDG_RUNTIME_DIR is not set: --root must say where the containers' state lies\n")


def test_the_ceiling_holds_for_users(user):
    folder = user.folder / 'runtime.d'
    folder.mkdir(mode=0o755)
    (folder / 'a.json').write_text(json.dumps({'capabilities': []}))
    (folder / 'a.json').chmod(0o644)
    done = user.run('/bin/true', options=('--ceiling', folder))
    assert (done.returncode, done.stderr) == (
        6, 'bulkhead-runtime: config.json: process.capabilities.bounding: asks for CAP_KILL, which is over '
        "'capabilities' of ceiling file 'a.json'\n")
    os.chown(folder / 'a.json', UID, UID)
    done = user.run('/bin/true', options=('--ceiling', folder))
    assert done.stderr == (f"bulkhead-runtime: ceiling '{folder}': ceiling file 'a.json': belongs to user {UID} "
                           'and not to the superuser\n')


@pytest.fixture
def podman(user):
    if not shutil.which('podman'):
        pytest.skip('podman is not installed')

    def call(*words):
        done = user.call('podman', '--runtime', user.program, '--log-level', 'error', *words)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return call


def test_podman_of_a_user(user, podman):
    """podman makes the user namespace itself, and calls the runtime as root of it."""
    rootfs, none = user.bundle / 'rootfs', ('--network', 'none', '--rootfs')
    assert podman('run', '--rm', *none, rootfs, 'id').startswith('uid=0 gid=0')
    podman('run', '-d', '--name', 'x', *none, rootfs, 'sleep', '1000')
    lines = podman('exec', 'x', 'sh', '-c', 'cat /proc/self/uid_map; grep -E "NoNewPrivs|Seccomp:" /proc/self/status; '
                   'stat -c %t:%T /dev/null; echo x >/dev/null').splitlines()
    assert [line.split() for line in lines] == [['0', str(UID), '1'], ['1', str(SUBORDINATE), '65536'],
                                                ['NoNewPrivs:', '1'], ['Seccomp:', '2'], ['1:3']]
    assert podman('inspect', 'x', '--format', '{{.State.Status}} {{.OCIRuntime}}') == f'running {user.program}\n'
    pid = int(podman('inspect', 'x', '--format', '{{.State.Pid}}'))
    podman('kill', 'x')
    assert podman('wait', 'x') == '137\n'
    podman('rm', 'x')
    assert not is_alive(pid)
    assert podman('run', '--rm', '--user', '1000:1000', '--read-only', '-v', f'{user.bundle}:/mnt', *none, rootfs, 'sh',
                  '-c', 'id -u; ls /mnt; touch /x 2>&1 || true') == (
        '1000\nconfig.json\nrootfs\ntouch: /x: Read-only file system\n')
    assert podman('run', '--rm', '--userns', 'keep-id', *none, rootfs, 'id', '-u') == f'{UID}\n'
    assert podman('run', '--rm', '-t', *none, rootfs, 'stat', '-c', '%t', '/dev/console') == '88\n'
    assert podman('ps', '-a', '-q') == ''


def test_a_program_of_the_users_own_rests_on_landlock(user):
    """The container's root is the user: Landlock alone keeps it from writing to the program."""
    own = shutil.copy(user.program, user.folder / 'own')
    os.chown(own, UID, UID)
    user.configure('/bin/true')
    assert user.call(own, 'run', 'a').returncode == 0
    without = ['strace', '-o', user.run_folder / 'trace', '-e', 'inject=landlock_create_ruleset:error=ENOSYS']
    done = user.call(*without, own, 'run', 'a')
    assert done.returncode != 0
    assert done.stderr == ("bulkhead-runtime: the runtime's own program cannot be write-protected by an ordinary user\n"
                           "hint: a program that belongs to the machine's root is out of the container's reach\n")
    assert user.containers() == []
    # That of the machine's root is out of reach.
    assert user.call(*without, user.program, 'run', 'a').returncode == 0

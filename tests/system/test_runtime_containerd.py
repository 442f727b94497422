# SPDX-License-Identifier: Apache-2.0
"""Another engine as caller: containerd with its shim for runc, which is told to take bulkhead-runtime instead. Nothing
may be left of a container after any of these."""
import copy
import json
import re
import shutil
import subprocess

import pytest

import support_engines
from support_runtime import BASE, make_rootfs, wait_until

pytestmark = pytest.mark.seconds(120)
IMAGE = 'localhost/busybox:bookworm'
CONFIG = '''version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/ttrpc.sock"
'''


@pytest.fixture(scope='module')
def engine(programs):
    if not shutil.which('containerd'):
        pytest.skip('containerd is not installed')
    # The group above all containers' is containerd's own and stays.
    with support_engines.engine(programs / 'bulkhead-runtime', foreign=r'^cgroup: \S+/default$') as made:
        folder = made.folder
        (folder / 'config.toml').write_text(CONFIG.format(folder=folder))
        with open(folder / 'log', 'wb') as log:
            daemon = made.cell.popen(['containerd', '--config', folder / 'config.toml'], stdout=log, stderr=log)
        made.base = ['ctr', '--address', folder / 'containerd.sock']
        wait_until(lambda: made('version').returncode == 0, 20)
        subprocess.run(['skopeo', 'copy', '--quiet', f'oci:{support_engines.busybox_layout()}:bookworm',
                        f'oci-archive:{folder}/image.tar:{IMAGE}'], check=True)
        made.ok('image', 'import', '--base-name', IMAGE.partition(':')[0], folder / 'image.tar')
        make_rootfs(folder / 'rootfs')
        made.remember()
        yield made
        daemon.terminate()
        daemon.wait(10)


@pytest.fixture
def ctr(engine):
    yield engine
    for name in engine.ok('task', 'list', '--quiet').split():
        engine('task', 'delete', '--force', name)
    for name in engine.ok('container', 'list', '--quiet').split():
        engine('container', 'delete', name)
    engine.assert_nothing_left()


def run(ctr, *words, **options):
    return ctr('run', '--runc-binary', ctr.runtime, *words, **options)


def shell(ctr, script, *words):
    done = run(ctr, '--rm', *words, IMAGE, 'box', 'sh', '-c', script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_options(ctr):
    """One container asked for much at once, looked at from inside."""
    folder = ctr.folder / 'shared'
    folder.mkdir()
    (folder / 'file').write_text('of the host\n')
    script = '''cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us 2>/dev/null
    id -u; echo $VALUE; cat /mnt/file; touch /mnt/x /x 2>&1; cd; pwd; ls /dev/fuse
    grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/self/status | tr -s "\\t\\n" "  "'''
    seen = shell(ctr, script, '--memory-limit', str(64 << 20), '--cpus', '0.5', '--read-only', '--env', 'VALUE=given',
                 '--mount', f'type=bind,src={folder},dst=/mnt,options=rbind:ro', '--mount',
                 'type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro', '--seccomp', '--cap-drop', 'CAP_MKNOD',
                 '--env', 'HOME=/tmp', '--device', '/dev/fuse').splitlines()
    assert seen == ['67108864', '50000', '1000', 'given', 'of the host', 'touch: /mnt/x: Read-only file system',
                    'touch: /x: Read-only file system', '/tmp', '/dev/fuse',
                    'CapBnd: 00000000a00425fb NoNewPrivs: 1 Seccomp: 2 ']


def test_user_namespace_host_network_and_folder(ctr):
    assert shell(ctr, 'cat /proc/self/uid_map', '--uidmap', '0:100000:65536', '--gidmap', '0:100000:65536').split() == [
        '0', '100000', '65536']
    assert shell(ctr, 'readlink /proc/1/ns/net', '--net-host') == ctr.inside('readlink /proc/1/ns/net')
    done = run(ctr, '--rm', '--rootfs', ctr.folder / 'rootfs', 'box', '/bin/echo', 'from a folder')
    assert (done.returncode, done.stdout) == (0, 'from a folder\n'), done.stderr
    seen = shell(ctr, 'ls /dev/ptmx /dev/null /dev/loop-control; grep Seccomp: /proc/self/status', '--privileged')
    assert seen.split()[:3] == ['/dev/loop-control', '/dev/null', '/dev/ptmx']


def test_config(ctr):
    """A whole config.json of the caller's."""
    config = copy.deepcopy(BASE)
    config['root']['path'] = str(ctr.folder / 'rootfs')
    config['process']['args'] = ['/bin/sh', '-c', 'cat /sys/fs/cgroup/pids/pids.max; cat /proc/self/uid_map; hostname']
    config['linux']['resources']['pids']['limit'] = 33
    config['linux']['cgroupsPath'] = '/default/box'
    (ctr.folder / 'spec.json').write_text(json.dumps(config))
    done = run(ctr, '--rm', '--config', ctr.folder / 'spec.json', 'box')
    assert (done.returncode, done.stdout.split()) == (0, ['33', '0', '1900000000', '65536', 'box']), done.stderr


def test_statuses(ctr):
    assert run(ctr, '--rm', IMAGE, 'box', 'sh', '-c', 'exit 3').returncode == 3
    done = run(ctr, '--rm', IMAGE, 'box', '/nonexistent')
    assert done.returncode == 1
    assert done.stderr == ("ctr: failed to create shim task: OCI runtime create failed: config.json: process.args[0]: "
                           "cannot execute '/nonexistent': No such file or directory: unknown\n")


def test_task(ctr):
    with open(ctr.folder / 'events', 'wb') as to:
        events = ctr.popen('events', stdout=to)
    # It listens from its first line on.
    wait_until(lambda: ctr('namespaces', 'label', 'default', 'a=b') and (ctr.folder / 'events').read_text())
    done = run(ctr, '--detach', '--memory-limit', str(64 << 20), IMAGE, 'box', 'sleep', '1000')
    assert done.returncode == 0, done.stderr
    pid, status = ctr.ok('task', 'list').splitlines()[1].split()[1:]
    assert status == 'RUNNING'
    done = ctr('task', 'exec', '--exec-id', 'more', 'box', 'sh', '-c', 'id -u; exit 4')
    assert (done.returncode, done.stdout) == (4, '1000\n'), done.stderr
    assert [line.split()[0] for line in ctr.ok('task', 'ps', 'box').splitlines()] == ['PID', pid]
    ctr.ok('task', 'pause', 'box')
    assert ctr.ok('task', 'list').split()[-1] == 'PAUSED'
    ctr.ok('task', 'resume', 'box')
    metrics = dict(line.split()[:2] for line in ctr.ok('task', 'metrics', 'box').splitlines()[3:] if line)
    assert (metrics['memory.limit_in_bytes'], metrics['pids.current']) == ('67108864', '1')
    done = ctr('task', 'delete', 'box')
    assert done.returncode == 1 and 'task must be stopped before deletion: running' in done.stderr
    ctr.ok('task', 'kill', '--signal', 'KILL', 'box')
    wait_until(lambda: ctr.ok('task', 'list').split()[-1] == 'STOPPED')
    ctr('task', 'delete', 'box')
    ctr.ok('container', 'delete', 'box')
    wanted = ['create', 'start', 'exec-added', 'exec-started', 'exit', 'paused', 'resumed', 'exit', 'delete']

    def topics():
        return re.findall(r' /tasks/(\S+)', (ctr.folder / 'events').read_text())
    wait_until(lambda: 'delete' in topics())
    events.terminate()
    assert topics() == wanted


def test_terminals(ctr):
    # It tells the size once the container runs.
    script = 'until [ "$(stty size)" = "{} {}" ]; do :; done 2>/dev/null; tty; echo end-$((1+1))\n'
    terminal = ctr.terminal('run', '--rm', '--runc-binary', ctr.runtime, '--tty', IMAGE, 'box', 'sh', rows=33,
                            columns=99)
    terminal.write(script.format(33, 99))
    terminal.expect('end-2')
    assert '/dev/pts/0' in terminal.seen
    more = ctr.terminal('task', 'exec', '--tty', '--exec-id', 'more', 'box', 'sh', rows=22, columns=88)
    more.write(script.format(22, 88) + 'exit 5\n')
    assert more.end() == 5
    assert '/dev/pts/1' in more.seen and 'end-2' in more.seen
    terminal.write('exit 6\n')
    assert terminal.end() == 6

# SPDX-License-Identifier: Apache-2.0
"""Another engine as caller: podman with --runtime. It refuses machines with cgroup v1 beside v2, so it does not see the
v2 tree here. Limits on files and processes are given, for podman's own want to be raised."""
import os
import shutil
import subprocess

import pytest

from support_runtime import CGROUPS, Runtime


@pytest.fixture
def podman(programs):
    if not shutil.which('podman'):
        pytest.skip('podman is not installed')
    runtime = Runtime(programs / 'bulkhead-runtime')
    base = ['podman', '--root', str(runtime.folder / 'p'), '--runroot', str(runtime.folder / 'r'), '--tmpdir',
            str(runtime.folder / 't'), '--cgroup-manager', 'cgroupfs', '--events-backend', 'none',
            '--runtime', runtime.program]
    hide = 'umount /sys/fs/cgroup/unified; ' if (CGROUPS / 'unified').exists() else ''

    def call(command, *words):
        script = hide + 'exec "$@"'
        private = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh']
        return subprocess.run([*private, *base, command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, timeout=120, check=False,
                              env=dict(os.environ, HOME=str(runtime.folder)))
    call.rootfs = str(runtime.folder / 'rootfs')
    call.limits = ['--network', 'none', '--ulimit', 'nofile=1000:1000', '--ulimit', 'nproc=1000:1000']
    yield call
    call('rm', '--all', '--force', '--time', '0')
    runtime.close()


def test_run_with_limits(podman):
    script = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/*.max'
    done = podman('run', *podman.limits, '--rm', '--read-only', '--memory', '64m', '--pids-limit', '20', '--rootfs',
                  podman.rootfs, '/bin/sh', '-c', f'{script}; touch /x; touch /tmp/x && echo made')
    assert done.returncode == 0, done.stderr
    assert {'67108864', '20', 'made'} <= set(done.stdout.split())
    assert 'touch: /x: Read-only file system' in done.stderr


def test_user_namespace_and_exit_status(podman):
    subprocess.run(['chown', '-R', '100000:100000', podman.rootfs], check=True)
    done = podman('run', *podman.limits, '--rm', '--uidmap', '0:100000:65536', '--gidmap', '0:100000:65536', '--rootfs',
                  podman.rootfs, '/bin/sh', '-c', 'cat /proc/self/uid_map; exit 3')
    assert (done.returncode, done.stdout.split()) == (3, ['0', '100000', '65536'])


def test_detached_exec_kill_remove(podman):
    done = podman('run', *podman.limits, '--detach', '--name', 'box', '--rootfs', podman.rootfs, '/bin/sleep', '1000')
    assert done.returncode == 0, done.stderr
    done = podman('exec', 'box', '/bin/sh', '-c', 'echo inside; exit 4')
    assert (done.returncode, done.stdout) == (4, 'inside\n'), done.stderr
    assert podman('kill', 'box').returncode == 0
    done = podman('wait', 'box')
    assert done.stdout == '137\n'
    assert podman('rm', 'box').returncode == 0

# SPDX-License-Identifier: Apache-2.0
"""What must hold on Debian 12's own kernel with cgroup v2 alone, run in a VM (tools/vm)."""
import os
import pathlib
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
pytestmark = pytest.mark.vm
VIRTIOFSD = ('/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd')


@pytest.fixture
def vm(root):
    """Runs a shell script text in a VM and returns what it printed and its status."""
    if not shutil.which('qemu-system-x86_64') or not any(os.path.exists(path) for path in VIRTIOFSD):
        pytest.skip('qemu-system-x86_64 or virtiofsd is not installed')

    def run(script):
        job = root / 'job.sh'
        job.write_text(script)
        return subprocess.run([TOP / 'tools/vm', job], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=580, check=False)
    return run


def test_the_guest_is_what_it_should_be(vm):
    done = vm('uname -r; stat -fc %T /sys/fs/cgroup; cat /sys/fs/cgroup/cgroup.subtree_control; touch /in-vm; exit 7\n')
    lines = done.stdout.splitlines()
    assert done.returncode == 7, done.stdout
    assert lines[0].startswith('6.1.')
    assert lines[1] == 'cgroup2fs'
    assert {'cpu', 'memory', 'pids'} <= set(lines[2].split())
    assert not os.path.exists('/in-vm')


@pytest.mark.seconds(600)
def test_runtime_on_cgroup_v2(vm, programs, build):
    """ISO-1, ISO-2, ISO-3: namespaces, limits and capabilities hold on cgroup v2 and kernel 6.1 as they do here; what
    is of version 2 or AppArmor alone does too."""
    package = subprocess.check_output([TOP / 'tools/debian-package', 'apparmor'], text=True).strip()
    done = vm(f'export RUNTIME={programs}/bulkhead-runtime KILLAT={build}/tests/programs/killat\n'
              f'export APPARMOR_PARSER={package}/sbin/apparmor_parser\n'
              f'exec bash {TOP}/tests/vm/runtime_v2.sh\n')
    print(done.stdout)
    assert done.returncode == 0
    assert 'FAILED' not in done.stdout
    assert done.stdout.count('ok: ') == 66


@pytest.mark.seconds(600)
def test_pod_on_cgroup_v2(vm, programs, kubectls):
    """ISO-1, ISO-2: from 'bulkhead up' to a running pod and back on cgroup v2 and kernel 6.1."""
    subprocess.run([TOP / 'tools/make-images'], check=True)
    done = vm(f'export PROGRAMS={programs} KUBECTL={list(kubectls.values())[-1]} IMAGES={TOP}/.cache/images\n'
              f'exec bash {TOP}/tests/vm/pod_v2.sh\n')
    print(done.stdout)
    assert done.returncode == 0
    assert 'FAILED' not in done.stdout
    assert done.stdout.count('ok: ') == 10

# SPDX-License-Identifier: Apache-2.0
"""What must hold on Debian 12's own kernel with cgroup v2 alone, run in a VM (tools/vm)."""
import os
import pathlib
import re
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


# What differs most by the version of control groups or the kernel; './dev test vm' runs all.
SHARE = '''runtime_ceiling.py::test_missing_limits_are_filled_in
runtime_ceiling.py::test_a_limit_above_is_enough
runtime_ceiling_evasion.py::test_a_limit_of_nothing_is_a_missing_one
runtime_ceiling_evasion.py::test_an_update_of_half_a_share_is_judged_whole
runtime_ceiling_evasion.py::test_memory_is_swap_as_well
runtime_limits.py::test_memory_ends_in_its_own_group
runtime_start.py::test_joins_namespaces
'''


@pytest.mark.seconds(600)
def test_share_of_the_system_tests_on_cgroup_v2(vm, programs, build):
    """ISO-2: limits and ceilings hold there as they do here, by the very tests."""
    words = ' '.join(f'tests/system/test_{word}' for word in SHARE.split())
    done = vm(f'BULKHEAD_BUILD={build} exec bash {TOP}/tests/vm/suite_v2.sh {words}\n')
    print(done.stdout)
    assert done.returncode == 0
    assert re.search(r'\b\d\d passed', done.stdout)


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

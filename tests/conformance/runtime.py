# SPDX-License-Identifier: Apache-2.0
"""Runs the validation programs of opencontainers/runtime-tools against this build's bulkhead-runtime, and against runc
where it is installed, to tell apart what fails everywhere. RUNTIME_TOOLS names a folder of them that is built already
(runtimetest, rootfs-*.tar.gz, validation/*/*.t), best of commit e5b4542: the next ones compare pointers of limits."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / 'tests/system'))

import cell as cells  # noqa: E402

SECONDS = 120
# What is not green, and why. Whether a row holds depends on the machine: one that passes is no error.
GONE = 'the kernel no longer has the file that is read'
LACKS = 'the machine has no such controller'
CONTRADICTION = 'the program asks for what it forbids itself or cannot be'
EXPECTED = {
    'linux_cgroups_blkio': f'{GONE}: blkio.leaf_weight went with kernel 5.0',
    'linux_cgroups_relative_blkio': f'{GONE}: blkio.leaf_weight went with kernel 5.0',
    'linux_cgroups_memory': f'{GONE}: memory.kmem.limit_in_bytes takes no limit since kernel 5.16',
    'linux_cgroups_relative_memory': f'{GONE}: memory.kmem.limit_in_bytes takes no limit since kernel 5.16',
    'linux_cgroups_hugetlb': f'{LACKS}: hugetlb',
    'linux_cgroups_relative_hugetlb': f'{LACKS}: hugetlb',
    'linux_cgroups_network': f'{LACKS}: net_cls, net_prio',
    'linux_cgroups_relative_network': f'{LACKS}: net_cls, net_prio',
    'linux_mount_label': 'the machine has no SELinux',
    'linux_process_apparmor_profile': 'the machine has no AppArmor',
    'process_capabilities': 'the machine does not have every capability itself',
    'process_rlimits': f'{CONTRADICTION}: it is written in a language that raises its own limit of open files',
    'misc_props': f'{CONTRADICTION}: its configuration names a program that its root does not have',
    'pidfile': f'{CONTRADICTION}: kill of a stopped container must fail, and must not',
    'start': f'{CONTRADICTION}: a start without process must fail, and is expected to succeed',
    'mounts': 'bind mounts are opened before other file systems are made; kernels from 6.8 on list mounts by age',
    'linux_ns_itype': 'refused by design: a container without a mount namespace of its own',
    'linux_ns_path': 'refused by design: a container in the mount namespace of others',
}


def find_programs():
    folder = pathlib.Path(os.environ['RUNTIME_TOOLS']).resolve()
    found = sorted(folder.glob('validation/*/*.t'))
    if not found:
        sys.exit(f'RUNTIME_TOOLS: no validation/*/*.t below {folder}')
    return folder, found


def judge(done):
    """Whether a program's output is that of a test that passed, and else the first lines that say why not."""
    text = done.stdout + done.stderr
    bad = re.findall(r'^not ok.*', text, re.M)
    if not bad and done.returncode == 0:
        return None
    lines = bad or [line for line in text.splitlines() if line and not re.match(r'TAP|ok|\s|#|1\.\.', line)]
    return '; '.join(lines[:2])[:160] or f'status {done.returncode}'


def run_one(cell, folder, runtime, program):
    caller = str(pathlib.Path(__file__).with_name('caller.py'))
    try:
        done = cell.run([program], cwd=folder, stdin=subprocess.DEVNULL, timeout=SECONDS,
                        env=dict(os.environ, RUNTIME=caller, CONFORMANCE_RUNTIME=str(runtime)))
    except subprocess.TimeoutExpired:
        return f'not done within {SECONDS} s'
    return judge(done)


def run_all(folder, programs, runtime):
    """{name: None or why not} of a runtime, in a cell of its own: the programs share names of control groups."""
    cell = cells.Cell()
    try:
        # runc takes a machine with both versions for one of version 2.
        cell.run(['sh', '-c', '! [ -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified'])
        os.chdir(folder)
        return {program.stem: run_one(cell, folder, runtime, program) for program in programs}
    finally:
        cell.close()


def main():
    if 'RUNTIME_TOOLS' not in os.environ:
        print('OCI runtime: skipped, RUNTIME_TOOLS names no built validation programs of runtime-tools')
        return 0
    folder, programs = find_programs()
    runtimes = {'bulkhead-runtime': pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'src/runtime/bulkhead-runtime'}
    if shutil.which('runc'):
        runtimes['runc'] = shutil.which('runc')
    with concurrent.futures.ProcessPoolExecutor() as pool:
        waiting = {name: pool.submit(run_all, folder, programs, path) for name, path in runtimes.items()}
        results = {name: future.result() for name, future in waiting.items()}
    ours = results['bulkhead-runtime']
    for name, why in sorted(ours.items()):
        if why:
            peer = '' if 'runc' not in results else ', as with runc' if results['runc'][name] else ', green with runc'
            print(f'not green: {name}{peer}: {EXPECTED.get(name, "UNEXPECTED: " + why)}')
    for name, found in results.items():
        print(f'{name}: {sum(not why for why in found.values())} of {len(found)} green')
    return 1 if any(why and name not in EXPECTED for name, why in ours.items()) else 0


if __name__ == '__main__':
    sys.exit(main())

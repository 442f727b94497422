# SPDX-License-Identifier: Apache-2.0
"""Runs the validation programs of opencontainers/runtime-tools against this build's bulkhead-runtime, and against runc
where it is installed, to tell apart what fails everywhere. What should be green and is not here with one of them is run
again with both in a VM (v1.sh), whose kernel has what machines may lack: every controller of version 1, AppArmor, every
capability, mounts listed by their place. Green is what is green in one of the two."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / 'tests/system'))

import cell as cells  # noqa: E402
import programs as validation  # noqa: E402

SECONDS = 120
# An emulated processor takes its time: linux_cgroups_network unpacks its root 32 times.
SECONDS_IN_VM = 1200
OURS = 'bulkhead-runtime'
MARK = 'in the VM: '
# The programs count on two interfaces. runc takes a machine with both versions of control groups for one of version 2.
PREPARE = ('ip link add eth0 type veth peer name eth1 || exit; '
           '! [ -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified')
# What is green nowhere, and why.
EXPECTED = {
    'linux_cgroups_blkio': 'reads blkio.leaf_weight, which went with kernel 5.0',
    'linux_cgroups_relative_blkio': 'reads blkio.leaf_weight, which went with kernel 5.0',
    'linux_cgroups_memory': 'sets a limit of kernel memory, which kernels from 5.16 on do not take',
    'linux_cgroups_relative_memory': 'sets a limit of kernel memory, which kernels from 5.16 on do not take',
    'linux_mount_label': 'needs SELinux with a policy, which neither this machine nor the VM has',
    'start': 'expects a start without process to succeed, which the specification says must fail',
}


class Bare:
    """In the VM there is nothing to be kept apart: the runtimes take turns."""
    @staticmethod
    def run(command, **options):
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    @staticmethod
    def close():
        pass


def judge(done):
    """Whether a program's output is that of a test that passed, and else the first lines that say why not."""
    text = done.stdout + done.stderr
    bad = re.findall(r'^not ok.*', text, re.M)
    if not bad and done.returncode == 0:
        return None
    lines = bad or [line for line in text.splitlines() if line and not re.match(r'TAP|ok|\s|#|1\.\.', line)]
    return '; '.join(lines[:2])[:160] or f'status {done.returncode}'


def run_one(cell, built, runtime, name, seconds=SECONDS):
    caller = str(pathlib.Path(__file__).with_name('caller.sh'))
    os.chdir(built / ('slow' if name == 'pidfile' else 'usual'))
    try:
        done = cell.run([built / 'programs' / name], stdin=subprocess.DEVNULL, timeout=seconds,
                        env=dict(os.environ, RUNTIME=caller, CONFORMANCE_RUNTIME=str(runtime)))
    except subprocess.TimeoutExpired:
        return f'not done within {seconds} s'
    return judge(done)


def runtimes():
    found = {OURS: pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'src/runtime/bulkhead-runtime'}
    if shutil.which('runc'):
        found['runc'] = shutil.which('runc')
    return found


def run_all(built, names, runtime):
    """{name: None or why not} of a runtime, in a cell of its own: the programs share names of control groups."""
    cell = cells.Cell()
    try:
        assert cell.run(['sh', '-c', PREPARE]).returncode == 0
        return {name: run_one(cell, built, runtime, name) for name in names}
    finally:
        cell.close()


def run_here(built, names):
    """{runtime: {name: None or why not}}, the runtimes at the same time."""
    with concurrent.futures.ProcessPoolExecutor() as pool:
        waiting = {name: pool.submit(run_all, built, names, path) for name, path in runtimes().items()}
        return {name: future.result() for name, future in waiting.items()}


def inside_vm(built, names):
    for name in names:
        for runtime, path in runtimes().items():
            print(MARK + json.dumps([runtime, name, run_one(Bare, built, path, name, SECONDS_IN_VM)]),
                  flush=True)


def run_in_vm(built, names):
    """The same in a VM; nothing where there can be none."""
    if not shutil.which('qemu-system-x86_64') or not names:
        return {}
    job = built / 'job.sh'
    package = subprocess.check_output([TOP / 'tools/debian-package', 'apparmor'], text=True).strip()
    job.write_text(f'export BULKHEAD_BUILD={os.environ["BULKHEAD_BUILD"]}\n'
                   f'export APPARMOR_PARSER={package}/sbin/apparmor_parser\n'
                   f'exec bash {TOP}/tests/conformance/v1.sh {built} {" ".join(names)}\n')
    done = subprocess.run([TOP / 'tools/vm', '--timeout', '3600', job], stdout=subprocess.PIPE, text=True, check=False)
    results = {runtime: {} for runtime in runtimes()}
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            runtime, name, why = json.loads(line[len(MARK):])
            results[runtime][name] = why
    if done.returncode:
        print(f'the VM failed:\n{done.stdout}')
    return results


def tell(here, there):
    """Prints what is not green and how many are; the names that should be and are not."""
    unexpected = []
    for name, why in sorted(here[OURS].items()):
        if why is None:
            continue
        again = there.get(OURS, {}).get(name, why)
        if again is None:
            print(f'green in the VM: {name}; here: {why}')
            continue
        unexpected += [] if name in EXPECTED else [name]
        peer = '' if 'runc' not in here else ', green with runc' if None in (
            here['runc'][name], there.get('runc', {}).get(name, why)) else ', as with runc'
        print(f'not green: {name}{peer}: {EXPECTED.get(name, "UNEXPECTED: " + again)}')
    for runtime, found in here.items():
        green = sum(not why or there.get(runtime, {}).get(name, why) is None for name, why in found.items())
        alone = sum(not why for why in found.values())
        print(f'{runtime}: {green} of {len(found)} green, {alone} of them on this machine')
    return unexpected


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--in-vm', metavar='BUILT', help='where this is the VM: what was built')
    parser.add_argument('names', nargs='*', help='these programs alone')
    options = parser.parse_args()
    if options.in_vm:
        inside_vm(pathlib.Path(options.in_vm), options.names)
        return 0
    try:
        built = validation.build()
    except validation.Missing as why:
        print(f'OCI runtime: skipped, {why}')
        return 0
    here = run_here(built, options.names or sorted(path.name for path in (built / 'programs').iterdir()))
    red = sorted({name for found in here.values() for name, why in found.items() if why} - set(EXPECTED))
    return 1 if tell(here, run_in_vm(built, red)) else 0


if __name__ == '__main__':
    sys.exit(main())

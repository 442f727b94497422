# SPDX-License-Identifier: Apache-2.0
"""How long a container takes from start to end: bulkhead-runtime beside crun, the same bundle, in turns."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 40
CAPABILITIES = ('bounding', 'effective', 'permitted', 'inheritable', 'ambient')


def config(root):
    mounts = [{'destination': '/proc', 'type': 'proc', 'source': 'proc', 'options': ['nosuid', 'noexec', 'nodev']},
              {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'mode=755']}]
    ids = [{'containerID': 0, 'hostID': 1900000000, 'size': 65536}]
    return {'ociVersion': '1.0.2', 'hostname': 'bench', 'mounts': mounts, 'root': {'path': str(root), 'readonly': True},
            'process': {'user': {'uid': 0, 'gid': 0}, 'args': ['/bin/true'], 'cwd': '/', 'env': ['PATH=/bin'],
                        'noNewPrivileges': True, 'capabilities': {kind: [] for kind in CAPABILITIES}},
            'linux': {'namespaces': [{'type': t} for t in ('pid', 'network', 'ipc', 'uts', 'mount', 'user')],
                      'uidMappings': ids, 'gidMappings': ids, 'cgroupsPath': '/bulkhead-bench/box',
                      'resources': {'memory': {'limit': 64 << 20}, 'pids': {'limit': 64}},
                      'seccomp': {'defaultAction': 'SCMP_ACT_ALLOW', 'architectures': ['SCMP_ARCH_X86_64'],
                                  'syscalls': [{'names': ['ptrace', 'mount', 'bpf'], 'action': 'SCMP_ACT_ERRNO'}]}}}


def make_bundle(folder):
    root = folder / 'root'
    for name in ('bin', 'proc', 'dev', 'sys', 'etc', 'tmp'):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which('busybox'), root / 'bin/busybox')
    (root / 'bin/true').symlink_to('busybox')
    folder.chmod(0o755)
    (folder / 'config.json').write_text(json.dumps(config(root)))


def measure(commands):
    """{name: [milliseconds]} of commands run in turns, so that what else the machine does meets all alike."""
    times = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            times[name].append(1000 * (time.perf_counter() - started))
    return times


def main():
    ours = os.environ['BULKHEAD_BUILD'] + '/src/runtime/bulkhead-runtime'
    with tempfile.TemporaryDirectory(prefix='bench-', dir='/var/tmp') as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        make_bundle(folder / 'bundle')
        rows = {'run': ['run', '--bundle', folder / 'bundle', 'bench'], 'version': ['--version']}
        version = subprocess.check_output(['crun', '--version'], text=True).split()[2]
        results = []
        for row, words in rows.items():
            times = measure({'ours': [ours, '--root', folder / 'ours', *words],
                             'peer': ['crun', '--root', folder / 'peer', *words]} if row == 'run' else
                            {'ours': [ours, *words], 'peer': ['crun', *words]})
            value, peer = (round(statistics.median(times[who]), 2) for who in ('ours', 'peer'))
            results.append({'name': f'runtime {row}', 'value': value, 'unit': 'ms', 'peer': f'crun {version} {peer}',
                            'ratio': round(value / peer, 2)})
    print(json.dumps({'results': results}))


def hidden():
    """crun refuses machines with cgroup v1 beside v2, so both run where the empty v2 tree is not mounted."""
    if os.path.isdir('/sys/fs/cgroup/unified'):
        subprocess.run(['umount', '/sys/fs/cgroup/unified'], check=True)
    main()


if __name__ == '__main__':
    if 'BENCH_INSIDE' in os.environ:
        hidden()
    else:
        os.execvpe('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, __file__],
                   dict(os.environ, BENCH_INSIDE='1'))

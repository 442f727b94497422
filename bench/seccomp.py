# SPDX-License-Identifier: Apache-2.0
"""Filters of a policy as engines bring it (some 370 calls): size, loading, compiling; the peer is libseccomp.

Each round is a new process that compiles and loads once, as a starting container does. Plain names are for the
machine's own architecture; "_engine" for the three that container engines list for x86-64; "_docker" for these and the
rules of Docker's own profile. "cached" finds the filter where an earlier process has kept it.
"""
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '40'))
BUILD = pathlib.Path(os.environ['BULKHEAD_BUILD'])
NAMES = (('seccomp_instructions', 'instructions'), ('seccomp_compile_us', 'us'), ('seccomp_load_us', 'us'))


def measure(how, architectures):
    done = subprocess.run([BUILD / 'bench' / 'measure_seccomp', how, architectures], stdout=subprocess.PIPE, check=True)
    return [float(word) for word in done.stdout.split()]


def rows(folder, architectures, suffix):
    kinds = {'ours': 'ours', 'library': 'library', 'cached': folder}
    measure(folder, architectures)
    rounds = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, how in kinds.items():
            rounds[kind].append(measure(how, architectures))
    medians = {kind: [statistics.median(column) for column in zip(*found)] for kind, found in rounds.items()}
    for at, (name, unit) in enumerate(NAMES):
        ours, peer = medians['ours'][at], medians['library'][at]
        yield {'name': name + suffix, 'value': ours, 'unit': unit, 'peer': peer, 'ratio': ours / peer}
    cached, peer = medians['cached'][1], medians['library'][1]
    yield {'name': 'seccomp_cached_us' + suffix, 'value': cached, 'unit': 'us', 'peer': peer, 'ratio': cached / peer}


def main():
    with tempfile.TemporaryDirectory(prefix='bulkhead-bench-', dir='/var/tmp') as folder:
        print(json.dumps({'results': [*rows(folder, 'one', ''), *rows(folder, 'all', '_engine'),
                                      *rows(folder, 'docker', '_docker')]}))


if __name__ == '__main__':
    main()

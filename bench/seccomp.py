# SPDX-License-Identifier: Apache-2.0
"""Filters of a policy as engines bring it (some 370 calls): size, loading, compiling; the peer is libseccomp.

Each round is a new process that compiles and loads once, as a starting container does. Plain names are for the
machine's own architecture; "_engine" for the three that container engines list for x86-64.
"""
import json
import os
import pathlib
import statistics
import subprocess

ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '40'))
BUILD = pathlib.Path(os.environ['BULKHEAD_BUILD'])
NAMES = (('seccomp_instructions', 'instructions'), ('seccomp_compile_us', 'us'), ('seccomp_load_us', 'us'))


def measure(how, architectures):
    done = subprocess.run([BUILD / 'bench' / 'measure_seccomp', how, architectures], stdout=subprocess.PIPE, check=True)
    return [float(word) for word in done.stdout.split()]


def rows(architectures, suffix):
    kinds = ('ours', 'library')
    rounds = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind in kinds:
            rounds[kind].append(measure(kind, architectures))
    for at, (name, unit) in enumerate(NAMES):
        ours, peer = (statistics.median(words[at] for words in rounds[kind]) for kind in kinds)
        yield {'name': name + suffix, 'value': ours, 'unit': unit, 'peer': peer, 'ratio': ours / peer}


def main():
    print(json.dumps({'results': [*rows('one', ''), *rows('all', '_engine')]}))


if __name__ == '__main__':
    main()

# SPDX-License-Identifier: Apache-2.0
"""The protected image cache beside the plain one of the same run: an image of 480 MiB in a layer of 200 MB, in turns.
cache_cold and cache_warm are the next container on it, up to the 24 MiB that it reads first, from nothing in memory and
from the page cache; cache_cold_first is cache_cold when its trust domain has no other image in use, and so no process
that serves it yet; cache_full reads the whole image. containers_100 is the page cache of the image with 100 containers
beside one; pull_to_runnable the first pull with all checks and encryption beside zlib alone on the same layer."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '5'))


def measure():
    """{name: [(ours, peer), ...]}"""
    program = pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'bench/measure_cache'
    folder = tempfile.mkdtemp(prefix='bulkhead-bench-', dir='/var/tmp')
    try:
        return json.loads(subprocess.run([program, folder, str(ROUNDS)], check=True, stdout=subprocess.PIPE).stdout)
    finally:
        shutil.rmtree(folder)


def result(name, rows):
    """Medians; the ratio is the median of those of the rounds, each of which had one load."""
    scale, unit = (1 / 2**20, 'MiB') if name == 'containers_100' else (1e3, 'ms')
    value, peer = (statistics.median(row[side] * scale for row in rows) for side in (0, 1))
    return {'name': name, 'value': round(value, 1), 'unit': unit, 'peer': round(peer, 1),
            'ratio': round(statistics.median(row[0] / row[1] for row in rows), 3)}


print(json.dumps({'results': [result(name, rows) for name, rows in measure().items()]}))

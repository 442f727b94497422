# SPDX-License-Identifier: Apache-2.0
"""Decryption of an encrypted layer (ocicrypt) of 200 MB compressed, from one OCI layout in memory into another, beside
'skopeo copy --decryption-key' of the same layout, in turns: by the clock, and in processor time. Without skopeo there
is no result."""
import gzip
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 'tests/system'))

import support_layout as layouts  # noqa: E402

ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '5'))
SIZE = 200_000_000


def measure(words, to):
    """(seconds, seconds of processors)"""
    shutil.rmtree(to, ignore_errors=True)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(bulkhead, folder):
    private, public = layouts.make_key(folder, 'P-256')
    layout = layouts.Layout(folder / 'plain')
    manifest = layouts.manifest_of(folder / 'plain')
    manifest['layers'] = [layout.blob(gzip.compress(os.urandom(SIZE), 1),
                                      'application/vnd.oci.image.layer.v1.tar+gzip')]
    layout.write(manifest)
    subprocess.run(['skopeo', 'copy', '--quiet', '--encryption-key', f'jwe:{public}', f'oci:{folder}/plain:x',
                    f'oci:{folder}/encrypted:x'], check=True)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(measure(['skopeo', 'copy', '--quiet', '--decryption-key', private, f'oci:{folder}/encrypted:x',
                               f'oci:{folder}/theirs:x'], folder / 'theirs'))
        ours.append(measure([bulkhead, 'decrypt', '--key', private, folder / 'encrypted', folder / 'ours'],
                            folder / 'ours'))
    assert layouts.layer_bytes(folder / 'ours') == layouts.layer_bytes(folder / 'theirs')
    return ours, theirs


def result(name, unit, value, peer):
    return {'name': name, 'value': round(value, 3), 'unit': unit, 'peer': round(peer, 3),
            'ratio': round(value / peer, 3)}


def main():
    bulkhead = pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'src/cli/bulkhead'
    if not shutil.which('skopeo'):
        print(json.dumps({'results': []}))
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-bench-', dir='/dev/shm'))
    try:
        ours, theirs = compare(bulkhead, folder)
    finally:
        shutil.rmtree(folder)
    rate, peer = (SIZE / 1e6 / statistics.median(row[0] for row in rows) for rows in (ours, theirs))
    work, theirs_work = (statistics.median(row[1] for row in rows) for rows in (ours, theirs))
    print(json.dumps({'results': [result('ocicrypt', 'MB/s', rate, peer),
                                  result('ocicrypt_processor', 's', work, theirs_work)]}))


main()

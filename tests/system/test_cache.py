# SPDX-License-Identifier: Apache-2.0
"""
The protected cache on an instance: classes by policy, keys with each start, and no plain text on the disk, which is a
loop device of this test's own that is read byte by byte.
"""
import base64
import io
import json
import os
import pathlib
import secrets
import subprocess
import tarfile

import pytest

import cell as cells
import installation
from test_image_pull import Layout, archive, entry

TOP = pathlib.Path(__file__).parent.parent.parent
CANARY = b'canary-%s-of-a-sensitive-image' % secrets.token_hex(8).encode()
WRITTEN = b'written-%s-by-a-sensitive-container' % secrets.token_hex(8).encode()
# How often all classes are pulled, run, written to and killed; more for the long form.
CYCLES = int(os.environ.get('BULKHEAD_CACHE_CYCLES', '1'))
CLASSES = {'sealed': 'Encrypted', 'memory': 'Memory', 'never': 'Never'}
DOMAIN = [
    {'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': 'gold'},
     'spec': {'isolation': 'Container',
              'cache': [{'images': [f'127.0.0.1:5000/cache/{name}'], 'class': value}
                        for name, value in CLASSES.items()]}},
    {'apiVersion': 'v1', 'kind': 'Namespace',
     'metadata': {'name': 'gold', 'labels': {'trust.bulkhead.dev/domain': 'gold'}}},
]


def busybox_files():
    """Entries of the busybox image, for a layer that has the canary beside them."""
    subprocess.run([TOP / 'tools/make-images'], check=True)
    layout = TOP / '.cache/images/busybox'
    blobs = layout / 'blobs/sha256'
    index = json.loads((layout / 'index.json').read_text())
    manifest = json.loads((blobs / index['manifests'][0]['digest'][7:]).read_text())
    found = []
    for layer in manifest['layers']:
        with tarfile.open(blobs / layer['digest'][7:]) as tar:
            found += [(item.name, item.type, item.linkname, tar.extractfile(item).read() if item.isreg() else b'')
                      for item in tar if item.name not in ('', '.', './')]
    return found


@pytest.fixture(scope='module')
def disk():
    """A file system in a file: what is written to it can be read below every name."""
    file = pathlib.Path(f'/var/tmp/bulkhead-disk-{secrets.token_hex(4)}')
    with open(file, 'wb') as out:
        out.truncate(400 << 20)
    subprocess.run(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', file], check=True)
    yield file
    file.unlink()


@pytest.fixture(scope='module')
def job(programs, kubectls, disk):
    with installation.temporary_root() as root:
        subprocess.run(['mount', '-o', 'loop', disk, root], check=True)
        root.chmod(0o755)
        cell = cells.Cell()
        try:
            made = installation.Installation(cell, root, programs, kubectls)
            made.up()
            keys = root / 'etc/bulkhead/keys/gold'
            keys.mkdir(parents=True, mode=0o700)
            (root / 'etc/bulkhead/keys').chmod(0o700)
            with open(os.open(keys / 'cache.key', os.O_CREAT | os.O_WRONLY, 0o600), 'wb') as out:
                out.write(base64.b64encode(secrets.token_bytes(32)))
            for item in DOMAIN:
                made.apply(item)
            yield made
            made.keep_logs()
        finally:
            cell.close()
            subprocess.run(['umount', '-l', root], check=False)


@pytest.fixture(scope='module')
def images(job, tmp_path_factory):
    """The same files in one repository for each class, and one for all; each a digest of its own."""
    files = busybox_files()
    made = {}
    for name in [*CLASSES, 'open']:
        content = executable(archive(*files, entry('canary', data=(CANARY + name.encode() + b'\n') * 3000)))
        layout = Layout(tmp_path_factory.mktemp(name) / 'layout', content)
        job.push(layout.folder, f'cache/{name}:bookworm')
        made[name] = layout.digest
    return made


def executable(content):
    """The archive, but all in it may be run."""
    source, out = tarfile.open(fileobj=io.BytesIO(content)), io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.USTAR_FORMAT) as tar:
        for item in source:
            item.mode = 0o755
            tar.addfile(item, source.extractfile(item) if item.isreg() else None)
    return out.getvalue()


def pod(job, name, image, script):
    made = job.busybox_pod('gold', name, script)
    made['spec']['containers'][0]['image'] = f'127.0.0.1:5000/cache/{image}:bookworm'
    made['spec']['containers'][0]['volumeMounts'] = [{'name': 'data', 'mountPath': '/data'}]
    made['spec']['volumes'] = [{'name': 'data', 'emptyDir': {}}]
    return made


def on_disk(disk, text):
    """How often the text is on the disk, below whatever name or none."""
    os.sync()
    count, rest = 0, b''
    with open(disk, 'rb') as file:
        while piece := file.read(8 << 20):
            count += (rest + piece).count(text)
            rest = piece[-len(text) + 1:]
    return count


# What is written is put together in the container: the text of the pod itself lies in the store of the CISM.
SCRIPT = ('cat /canary | tail -n 1; cat /canary > /data/copy; W=written; '
          f'echo "$W{WRITTEN.decode()[7:]}" | tee /data/mine; ulimit -c')


def run_and_delete(job, *pods):
    """Runs pods to their end, all at once; the lines each wrote."""
    job.apply({'apiVersion': 'v1', 'kind': 'List', 'items': [pod(job, name, image, SCRIPT) for name, image in pods]})
    lines = []
    for name, _ in pods:
        job.wait_phase('gold', name, 'Succeeded')
        lines.append(job.kubectl('logs', '-n', 'gold', name).stdout.splitlines())
    job.kubectl('delete', 'pod', '-n', 'gold', *[name for name, _ in pods], timeout=60)
    return lines


def run_and_kill(job, *pods):
    """Kills pods in the middle of their work, all at once."""
    job.apply({'apiVersion': 'v1', 'kind': 'List',
               'items': [pod(job, name, image, SCRIPT + '; sleep 1000') for name, image in pods]})
    for name, _ in pods:
        job.wait_phase('gold', name, 'Running')
    job.kubectl('delete', 'pod', '-n', 'gold', *[name for name, _ in pods], '--grace-period=0', '--force', timeout=60)


def test_classes_leave_nothing_on_the_disk(job, images, disk):
    """CACHE-1, CACHE-2, CACHE-5: by policy; neither images nor volumes nor logs, also of what was killed."""
    for turn in range(CYCLES):
        written = run_and_delete(job, *[(f'quiet-{turn}-{name}', name) for name in CLASSES])
        for name, lines in zip(CLASSES, written):
            assert lines[:2] == [CANARY.decode() + name, WRITTEN.decode()]
            assert lines[2] in ('0', '1'), 'core files'
        run_and_kill(job, *[(f'killed-{turn}-{name}', name) for name in CLASSES])
    assert on_disk(disk, WRITTEN) == 0
    for name in CLASSES:
        assert on_disk(disk, CANARY + name.encode()) == 0
    # The search finds what a container for all leaves: its image, its volume, its log.
    run_and_delete(job, ('open', 'open'))
    assert on_disk(disk, CANARY + b'open') >= 3000
    assert on_disk(disk, WRITTEN) > 0


def test_cache_is_listed_and_revoked(job, images):
    """CACHE-4: what is held for whom and why; revoked it is unreadable, after the pods on it were stopped."""
    run_and_delete(job, ('listed', 'sealed'))
    rows = {row['digest']: row for row in json.loads(job.run('cache', '-o', 'json').stdout)['images']}
    row = rows[images['sealed']]
    assert (row['class'], row['domain'], row['containers']) == ('Encrypted', 'gold', 0)
    assert row['reason'] == "spec.cache of TrustDomain 'gold'"
    assert images['never'] not in rows
    text = job.run('cache').stdout
    assert text.splitlines()[0].split() == ['IMAGE', 'CLASS', 'FOR', 'MIB', 'CONTAINERS', 'MOUNTED', 'WHY']
    assert images['sealed'][:19] in text
    done = json.loads(job.run('cache', 'revoke', images['sealed'], '-o', 'json').stdout)
    assert (done['revoked'], done['stopped']) == (1, 0)
    assert done['milliseconds'] <= 100
    assert not list((job.state / 'cis/images').glob(images['sealed'].replace(':', '-') + '*'))
    job.apply(pod(job, 'in-use', 'sealed', 'sleep 1000'))
    job.wait_phase('gold', 'in-use', 'Running')
    assert job.run('cache', 'revoke', 'gold').stdout.startswith('1 pods stopped; ')
    assert images['sealed'] not in job.run('cache', '-o', 'json').stdout
    job.kubectl('delete', 'pod', '-n', 'gold', 'in-use', timeout=60)


def test_start_needs_the_key_again(job, images):
    """CACHE-4: cached or not, without the domain's keys no new pod starts on a sealed image."""
    run_and_delete(job, ('before', 'sealed'))
    key = job.root / 'etc/bulkhead/keys/gold/cache.key'
    saved = key.read_bytes()
    key.unlink()
    job.apply(pod(job, 'after', 'sealed', SCRIPT))

    def refused():
        statuses = job.get('pod', 'after', '-n', 'gold')['status'].get('containerStatuses', [])
        messages = [state.get('message', '') for status in statuses for state in status['state'].values()]
        return [message for message in messages if 'cache/sealed' in message]
    assert "TrustDomain 'gold'" in job.wait(refused)[0]
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), 'wb') as out:
        out.write(saved)
    job.wait_phase('gold', 'after', 'Succeeded')
    job.kubectl('delete', 'pod', '-n', 'gold', 'after', timeout=60)

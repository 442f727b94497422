# SPDX-License-Identifier: Apache-2.0
"""Images on their way from the registry to the instance: what is refused and how it is named, what a crash leaves."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

import pytest

import cell as cells
import installation

TOP = pathlib.Path(__file__).parent.parent.parent
LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
CONFIG = 'application/vnd.oci.image.config.v1+json'
DOMAIN = [
    {'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': 'plain'},
     'spec': {'isolation': 'Container'}},
    {'apiVersion': 'v1', 'kind': 'Namespace',
     'metadata': {'name': 'plain', 'labels': {'trust.bulkhead.dev/domain': 'plain'}}},
]


@pytest.fixture(scope='module')
def job(programs, kubectls):
    """A running installation with a namespace in a trust domain."""
    with installation.temporary_root() as root:
        cell = cells.Cell()
        try:
            made = installation.Installation(cell, root, programs, kubectls)
            made.up()
            for item in DOMAIN:
                made.apply(item)
            yield made
            made.keep_logs()
        finally:
            cell.close()


@pytest.fixture(scope='module')
def busybox(job):
    """The digest by which the registry knows the busybox image."""
    subprocess.run([TOP / 'tools/make-images'], check=True)
    layout = TOP / '.cache/images/busybox'
    job.push(layout, 'ims/busybox:bookworm')
    return json.loads((layout / 'index.json').read_text())['manifests'][0]['digest']


def digest_of(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI layout with one image of one layer, right or wrong."""

    def __init__(self, folder, content, diff_id=None):
        self.folder = folder
        (folder / 'blobs/sha256').mkdir(parents=True)
        (folder / 'oci-layout').write_text('{"imageLayoutVersion":"1.0.0"}')
        # Compressed, for skopeo compresses what is not, and the digests would be others.
        layer = gzip.compress(content, mtime=0)
        self.layer = self.put(layer)
        config = {'os': 'linux', 'architecture': 'amd64', 'config': {'Cmd': ['/bin/sh'], 'User': '1000:1000'},
                  'rootfs': {'type': 'layers', 'diff_ids': [diff_id or digest_of(content)]}}
        config = json.dumps(config).encode()
        manifest = {'schemaVersion': 2, 'mediaType': MANIFEST,
                    'config': {'mediaType': CONFIG, 'digest': self.put(config), 'size': len(config)},
                    'layers': [{'mediaType': LAYER, 'digest': self.layer, 'size': len(layer)}]}
        manifest = json.dumps(manifest).encode()
        self.digest = self.put(manifest)
        entry = {'mediaType': MANIFEST, 'digest': self.digest, 'size': len(manifest),
                 'annotations': {'org.opencontainers.image.ref.name': 'bookworm'}}
        (folder / 'index.json').write_text(json.dumps({'schemaVersion': 2, 'manifests': [entry]}))

    def put(self, data):
        digest = digest_of(data)
        (self.folder / 'blobs/sha256' / digest[7:]).write_bytes(data)
        return digest


def archive(*entries):
    """A tar archive of (name, type, link target, data)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.USTAR_FORMAT) as tar:
        for name, kind, target, data in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = target
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(name, kind=tarfile.REGTYPE, target='', data=b''):
    return name, kind, target, data


def pod_of(job, name, image):
    pod = job.busybox_pod('plain', name, 'true')
    pod['spec']['containers'][0]['image'] = f'127.0.0.1:5000/{image}'
    return pod


def reason_of(job, name, word=''):
    """What the container of a pod that cannot start says, once it says something with this word."""
    def said():
        statuses = job.get('pod', name, '-n', 'plain')['status'].get('containerStatuses', [])
        messages = [state.get('message', '') for status in statuses for state in status['state'].values()]
        return [message for message in messages if message and word in message]
    said.__doc__ = f"pod 'plain/{name}' says why it does not run"
    return job.wait(said)[0]


def store(job):
    return job.state / 'cis/images'


def mounted(job, digest):
    """Where an image is mounted, as the cell sees it."""
    return job.root / 'run/bulkhead/images' / digest.replace(':', '-')


def unfinished(job):
    return [name for name in os.listdir(store(job)) if name.startswith('.new-')]


BAD = {
    'dotdot': (archive(entry('../../etc/evil')), "entry '../../etc/evil': the name has a '..' component"),
    'absolute': (archive(entry('/etc/evil')), "entry '/etc/evil': the name is absolute"),
    'link-out': (archive(entry('l', tarfile.LNKTYPE, '/etc/shadow')),
                 "entry 'l': hard link to '/etc/shadow': the name is absolute"),
    'through-link': (archive(entry('l', tarfile.SYMTYPE, '/etc'), entry('l/evil')),
                     "entry 'l/evil': what is above it is a link or a file"),
    'device': (archive(entry('sda', tarfile.BLKTYPE)), "entry 'sda': is a device node"),
    'cut': (archive(entry('f', data=b'x' * 5000))[:3000], "entry 'f': the archive is cut off"),
    'not-tar': (b'x' * 2048, "entry 1: the header's checksum is wrong"),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_layer_is_named(job, tmp_path, name):
    """A hostile layer is refused with image, layer and entry in the pod's status, and leaves nothing."""
    content, reason = BAD[name]
    layout = Layout(tmp_path / name, content)
    job.push(layout.folder, f'bad/{name}:bookworm')
    job.apply(pod_of(job, f'bad-{name}', f'bad/{name}:bookworm'))
    message = reason_of(job, f'bad-{name}', 'layer')
    assert message == (f"container 'main': image '127.0.0.1:5000/bad/{name}@{layout.digest}': "
                       f'layer {layout.layer}: {reason}')
    assert not (store(job) / layout.digest.replace(':', '-')).exists()
    job.kubectl('delete', 'pod', '-n', 'plain', f'bad-{name}', timeout=60)
    job.wait(lambda: not unfinished(job))


def test_wrong_diff_id_is_named(job, tmp_path):
    """What the configuration promises and the layer does not hold is refused."""
    other = 'sha256:' + 64 * '0'
    content = archive(entry('f', data=b'x'))
    layout = Layout(tmp_path / 'diff', content, diff_id=other)
    job.push(layout.folder, 'bad/diff:bookworm')
    job.apply(pod_of(job, 'bad-diff', 'bad/diff:bookworm'))
    message = reason_of(job, 'bad-diff', 'layer')
    assert message.endswith(f': layer {layout.layer}: its uncompressed content: '
                            f'digest is {digest_of(content)}, not {other}')
    job.kubectl('delete', 'pod', '-n', 'plain', 'bad-diff', timeout=60)


def test_image_runs_and_is_private(job, busybox):
    """The store is root's alone; what it holds is an EROFS image, mounted once, owned by the ids inside it."""
    job.apply(job.busybox_pod('plain', 'good', 'id -u; cat /proc/self/uid_map'))
    job.wait_phase('plain', 'good', 'Succeeded')
    assert job.kubectl('logs', '-n', 'plain', 'good').stdout.splitlines()[0] == '1000'
    folder = store(job) / busybox.replace(':', '-')
    assert store(job).stat().st_mode & 0o777 == 0o700
    mount = mounted(job, busybox)
    assert job.cell.run(['stat', '-c', '%u', mount / 'home/service']).stdout.split() == ['1000']
    assert job.cell.run(['stat', '-fc', '%T', mount]).stdout.split() == ['erofs']
    assert mount.parent.stat().st_mode & 0o777 == 0o700
    subprocess.run(['fsck.erofs', folder / 'image'], check=True, stdout=subprocess.DEVNULL)
    assert digest_of((folder / 'manifest.json').read_bytes()) == busybox
    job.kubectl('delete', 'pod', '-n', 'plain', 'good', timeout=60)


def cis_pid(job):
    return int((job.root / 'run/bulkhead/cis.pid').read_text().split()[0])


@pytest.mark.parametrize('point', ['image-unpacked', 'image-published'])
def test_crash(job, tmp_path, programs, point):
    """SIGKILL of the instance service between unpacking and publishing, and behind it: the pod runs after a restart."""
    layout = Layout(tmp_path / point, archive(entry(f'file-of-{point}', data=b'x')))
    job.push(layout.folder, f'crash/{point}:bookworm')
    job.cell.run(['kill', '-TERM', str(cis_pid(job))], check=True)
    job.wait(lambda: job.cell.run(['pgrep', '-x', 'bulkhead-cis']).returncode == 1)
    cis = job.cell.popen(['env', f'BULKHEAD_CRASH_AT={point}', programs / 'bulkhead-cis', '--root', job.root],
                         stderr=subprocess.DEVNULL)
    job.apply(pod_of(job, f'crash-{point}', f'crash/{point}:bookworm'))
    cis.wait(60)
    final = store(job) / layout.digest.replace(':', '-')
    assert final.exists() == (point == 'image-published')
    assert bool(unfinished(job)) == (point == 'image-unpacked')
    job.up()
    # There is no program in this image: that the start failed for that shows that the image is whole.
    reason_of(job, f'crash-{point}', "cannot execute 'sh'")
    assert job.cell.run(['cat', mounted(job, layout.digest) / f'file-of-{point}']).stdout == 'x'
    assert not unfinished(job)
    job.kubectl('delete', 'pod', '-n', 'plain', f'crash-{point}', timeout=60)

# SPDX-License-Identifier: Apache-2.0
"""'bulkhead images': what the registry holds, and images to and from folders, for sites without a network (CIR-1)."""
import base64
import json
import subprocess

import pytest

import registry as registries
import support_sign as signs
from registry import INDEX, MANIFEST, describe, digest, image_manifest

KEY = signs.SigningKey()
CONFIG = json.dumps({'os': 'linux', 'architecture': 'amd64', 'rootfs': {'type': 'layers', 'diff_ids': []}}).encode()
SBOM = 'application/spdx+json'


class Site:
    """A registry with what 'bulkhead up' leaves beside it for the command line."""

    def __init__(self, programs, root, **more):
        root.mkdir()
        root.chmod(0o755)
        self.programs, self.root = programs, root
        self.registry = registries.Registry(programs / 'bulkhead-cir', root, **more)
        etc = root / 'etc/bulkhead'
        (etc / 'machine.json').write_text(json.dumps({
            'instance': 'node-1', 'server': 'server-1', 'deployment': 'BareMetal', 'address': '127.0.0.1',
            'cismPort': '6443', 'cirPort': str(self.registry.port), 'podNetwork': '10.88.0.0/24', 'bridge': 'bh0',
            'uidBase': '1900000000', 'cgroupParent': 'bulkhead'}))
        auth = base64.b64encode(b'pusher:geheim').decode()
        (etc / 'registry-auth.json').write_text(json.dumps({'auths': {self.registry.host: {'auth': auth}}}))
        certificates = root / 'certificates'
        certificates.mkdir()
        (certificates / 'ca.crt').write_text(self.registry.ca.pem)
        self.skopeo_options = ['--authfile', etc / 'registry-auth.json', f'--cert-dir={certificates}']
        self.registry.start()

    def images(self, *words, code=0):
        done = subprocess.run([self.programs / 'bulkhead', 'images', *words, '--root', self.root],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def skopeo(self, verb, *words):
        options = ['--dest-authfile', self.root / 'etc/bulkhead/registry-auth.json', '--src-authfile',
                   self.root / 'etc/bulkhead/registry-auth.json', '--dest-cert-dir', self.root / 'certificates',
                   '--src-cert-dir', self.root / 'certificates']
        done = subprocess.run(['skopeo', verb, *options, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout

    def attach(self, repository, image, data, artifact=signs.BUNDLE, **more):
        body = self.registry.call('GET', f'/v2/{repository}/manifests/{image}').body
        document, blobs = signs.referrer_manifest(data, describe(body, MANIFEST), artifact, **more)
        for blob in blobs:
            self.registry.push_blob(repository, blob)
        return self.registry.push_manifest(repository, digest(json.dumps(document).encode()), document)


@pytest.fixture
def site(programs, root):
    made = Site(programs, root / 'site')
    yield made
    made.registry.stop()


def fill(site):
    """An image with two signatures, an attestation and an SBOM, an index, an encrypted image."""
    registry = site.registry
    image = registry.push_image('ims/pcscf', 'v1', (b'one', b'two'))
    message = signs.payload(f'{registry.host}/ims/pcscf', image)
    document, blobs = signs.signature_manifest(message, KEY.sign(message))
    for blob in blobs:
        registry.push_blob('ims/pcscf', blob)
    registry.push_manifest('ims/pcscf', signs.tag_of(image), document)
    predicate = 'dev.sigstore.bundle.predicateType'
    site.attach('ims/pcscf', image, signs.bundle(KEY, signs.statement(image)), annotations={predicate: signs.SIGN})
    site.attach('ims/pcscf', image, signs.bundle(KEY, signs.statement(image, None, 'https://slsa.dev/provenance/v1')),
                annotations={predicate: 'https://slsa.dev/provenance/v1'})
    site.attach('ims/pcscf', image, b'{"spdxVersion":"SPDX-2.3"}', SBOM)
    body = json.dumps(image_manifest(CONFIG, [b'one', b'two'])).encode()
    registry.push_manifest('ims/pcscf', 'all', {'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [
        {**describe(body, MANIFEST), 'platform': {'os': 'linux', 'architecture': 'amd64'}}]}, INDEX)
    sealed = image_manifest(CONFIG, [b'sealed'])
    sealed['layers'][0]['mediaType'] += '+encrypted'
    registry.push_blob('ran/cu', CONFIG)
    registry.push_blob('ran/cu', b'sealed')
    registry.push_manifest('ran/cu', 'v2', sealed)
    return image, len(body) + len(CONFIG) + 6


def test_listed(site):
    assert site.images().stdout == 'the registry has no images\n'
    image, size = fill(site)
    rows = [line.split() for line in site.images().stdout.splitlines()]
    assert rows[0] == ['REPOSITORY', 'TAG', 'DIGEST', 'SIZE', 'ENCRYPTED', 'SIGNATURES', 'ATTACHED']
    assert [row[:2] + row[4:] for row in rows[1:]] == [['ims/pcscf', 'all', 'no', '0', '0'],
                                                       ['ims/pcscf', 'v1', 'no', '2', '2'],
                                                       ['ran/cu', 'v2', 'yes', '0', '0']]
    assert rows[2][2:4] == [image[:19], f'{size}B']
    shown = [line.split()[0] for line in site.images('ims/pcscf:v1').stdout.split('\n\n')[1].splitlines()]
    assert shown[0] == 'KIND' and sorted(shown[1:]) == ['artifact', 'attestation', 'signature', 'signature']
    found = json.loads(site.images('ims/pcscf:v1', '-o', 'json').stdout)
    assert [(entry['repository'], entry['tag'], entry['digest'], entry['bytes'], entry['encrypted'])
            for entry in found] == [('ims/pcscf', 'v1', image, size, False)]
    attached = {(one['kind'], one['type'], one.get('predicateType'), one.get('tag')) for one in found[0]['attached']}
    assert len(found[0]['attached']) == 4 and attached == {
        ('signature', signs.PAYLOAD, None, signs.tag_of(image)), ('signature', signs.BUNDLE, signs.SIGN, None),
        ('attestation', signs.BUNDLE, 'https://slsa.dev/provenance/v1', None), ('artifact', SBOM, None, None)}


def test_out_and_in_again(site, programs, root):
    """Everything arrives on the other side, where signed images alone are tagged; digests are the same."""
    image, _ = fill(site)
    folder = root / 'carried'
    assert site.images('export', 'ims/pcscf:v1', folder).stdout.startswith('exported 5 manifests and 8 blobs, ')
    assert site.images('export', 'ims/pcscf:all', folder).stdout.startswith('exported 2 manifests and 0 blobs, ')
    policy = {'repositories': [{'match': 'shop/*', 'push': ['users'], 'pull': ['users'], 'sign': ['users'],
                                'signed': [KEY.pem.decode()]}]}
    other = Site(programs, root / 'other', policy=policy)
    try:
        assert other.images('import', folder, 'shop/pcscf:v1').stdout.startswith('imported ')
        there = json.loads(other.images('shop/pcscf:v1', '-o', 'json').stdout)
        assert there[0]['digest'] == image and len(there[0]['attached']) == 4
        assert other.images('import', folder, 'shop/pcscf:v9', code=4).stderr == (
            "bulkhead: cannot import into 'shop/pcscf': the image layout has no tag 'v9'\n")
        # Without its signature the index is not tagged there.
        refused = other.images('import', folder, 'shop/pcscf:all', code=6).stderr
        assert "repository 'shop/pcscf' tags signed images alone" in refused
        assert other.images('import', folder, 'open/pcscf').stdout.startswith('imported ')
        assert [row['tag'] for row in json.loads(other.images('open/pcscf', '-o', 'json').stdout)] == ['all', 'v1']
    finally:
        other.registry.stop()


def test_skopeo_reads_and_writes_it(site, root):
    image, _ = fill(site)
    folder = root / 'carried'
    site.images('export', 'ims/pcscf:v1', folder)
    site.skopeo('copy', '--preserve-digests', f'oci:{folder}:v1', f'docker://{site.registry.host}/copied/pcscf:v1')
    assert json.loads(site.images('copied/pcscf:v1', '-o', 'json').stdout)[0]['digest'] == image
    theirs = root / 'theirs'
    site.skopeo('copy', '--preserve-digests', f'docker://{site.registry.host}/ims/pcscf:v1', f'oci:{theirs}:v3')
    site.images('import', theirs, 'back/pcscf')
    assert json.loads(site.images('back/pcscf', '-o', 'json').stdout)[0]['digest'] == image


def blob_of(folder, data):
    return folder / 'blobs/sha256' / digest(data).split(':')[1]


def test_changed_on_the_way(site, root):
    """CIR-2: no byte that is not what its digest says gets in, nor a name that is none."""
    image, _ = fill(site)
    folder = root / 'carried'
    site.images('export', 'ims/pcscf:v1', folder)
    path = blob_of(folder, b'two')
    manifest = folder / 'blobs/sha256' / image.split(':')[1]
    kept = manifest.read_bytes()
    for target, data, said in [(path, b'twO', 'digest is'), (path, b'twoo', 'it is longer than its descriptor says'),
                               (path, b'tw', 'it is shorter than its descriptor says'),
                               (manifest, kept.replace(b'amd64', b'arm64') + b' ', 'it is longer')]:
        before = target.read_bytes()
        target.write_bytes(data)
        done = site.images('import', folder, 'new/pcscf', code=11)
        assert f"'blobs/sha256/{target.name}': " in done.stderr and said in done.stderr
        target.write_bytes(before)
    path.unlink()
    assert f"the image layout has no 'blobs/sha256/{path.name}'" in site.images(
        'import', folder, 'new/pcscf', code=4).stderr
    index = json.loads((folder / 'index.json').read_text())
    index['manifests'][0]['annotations'] = {'org.opencontainers.image.ref.name': '../x'}
    (folder / 'index.json').write_text(json.dumps(index))
    done = site.images('import', folder, 'new/pcscf', code=3)
    assert "index.json names '../x', which is no tag" in done.stderr
    assert site.registry.call('GET', '/v2/new/pcscf/tags/list').status == 404


@pytest.mark.parametrize('words, code, message', [
    (['export', 'a'], 3, "'images' takes an image, 'export IMAGE DIR' or 'import DIR IMAGE'"),
    (['A B'], 3, "'A B' is not a repository"),
    (['a:..'], 3, "'..' is not a tag"),
    (['none/a:v1'], 4, "image 'none/a:v1': tag 'v1' is not in repository 'none/a'"),
    (['import', '/nonexistent', 'a'], 4, "cannot import into 'a': image layout '/nonexistent'"),
])
def test_errors(site, words, code, message):
    done = site.images(*words, code=code)
    assert message in done.stderr

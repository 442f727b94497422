# SPDX-License-Identifier: Apache-2.0
"""CIR-2: nothing starts that an ImagePolicy does not let: through the whole installation, in order."""
import base64
import json
import pathlib
import shutil
import subprocess

import pytest

import cell as cells
import installation
import support_sign as signs

TOP = pathlib.Path(__file__).parent.parent.parent
HOST = '127.0.0.1:5000'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
KEY, OTHER = signs.SigningKey(), signs.SigningKey()


class Job(installation.Installation):
    """An installation whose registry can be spoken to in any words."""

    def password(self):
        document = json.loads((self.root / 'etc/bulkhead/registry-auth.json').read_text())
        return base64.b64decode(document['auths'][HOST]['auth']).decode()

    def registry(self, method, path, body=None, kind='application/octet-stream'):
        """A request as the administrator; the answer's status, digest and body."""
        (self.root / 'body').write_bytes(body or b'')
        words = ['curl', '-sS', '-X', method, '-u', self.password(), '--cacert',
                 self.root / 'etc/bulkhead/registry-ca/ca.crt', '-D', self.root / 'head', '-H',
                 'Accept: application/vnd.oci.image.manifest.v1+json', '-H', f'Content-Type: {kind}']
        words += ['--data-binary', f'@{self.root}/body'] if body is not None else []
        done = self.cell.run([*words, f'https://{HOST}/v2/{path}'], text=False)
        assert done.returncode == 0, done.stderr
        lines = [line for line in (self.root / 'head').read_text().splitlines() if ':' not in line or 'igest' in line]
        status = [int(line.split()[1]) for line in lines if line.startswith('HTTP/')][-1]
        found = [line.split(': ')[1] for line in lines if line.lower().startswith('docker-content-digest')]
        return status, found[-1] if found else None, done.stdout

    def put(self, repository, reference, document, blobs):
        for blob in blobs:
            digest = signs.describe(blob, '')['digest']
            assert self.registry('POST', f'{repository}/blobs/uploads/?digest={digest}', blob)[0] == 201
        status, digest, body = self.registry('PUT', f'{repository}/manifests/{reference}',
                                             json.dumps(document).encode(), MANIFEST)
        assert status == 201, body
        return digest

    def subject(self, repository, digest):
        """The descriptor of a manifest."""
        body = self.registry('GET', f'{repository}/manifests/{digest}')[2]
        return signs.describe(body, json.loads(body).get('mediaType', MANIFEST))

    def attach(self, repository, digest, data, artifact=signs.BUNDLE, **more):
        document, blobs = signs.referrer_manifest(data, self.subject(repository, digest), artifact, **more)
        described = signs.describe(json.dumps(document).encode(), MANIFEST)['digest']
        return self.put(repository, described, document, blobs)

    def tag(self, repository, digest, message, signature):
        self.put(repository, signs.tag_of(digest), *signs.signature_manifest(message, signature))

    def policy(self, requirement, scope=f'{HOST}/ims', **spec):
        self.apply({'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'ImagePolicy', 'metadata': {'name': 'signed'},
                    'spec': {'default': [{'type': 'insecureAcceptAnything'}],
                             'transports': {'docker': {scope: [requirement]}}, **spec}})

    def run_pod(self, name, repository, tag='bookworm'):
        pod = self.busybox_pod('ns', name, 'sleep 1000')
        pod['spec']['containers'][0]['image'] = f'{HOST}/{repository}:{tag}'
        self.apply(pod)

    def refused(self, name, sentence):
        """Waits until the pod stays where it is for that reason."""
        def reached():
            conditions = self.get('pod', name, '-n', 'ns')['status'].get('conditions', [])
            return any(condition.get('message') == sentence for condition in conditions)
        reached.__doc__ = f"pod '{name}' waits: {sentence}"
        self.wait(reached, 90)
        assert 'nodeName' not in self.get('pod', name, '-n', 'ns')['spec']


@pytest.fixture(scope='module')
def job(programs, kubectls):
    subprocess.run([TOP / 'tools/make-images'], check=True, stdout=subprocess.DEVNULL)
    with installation.temporary_root() as root:
        cell = cells.Cell()
        try:
            made = Job(cell, root, programs, kubectls)
            made.up()
            for name in ('busybox', 'bundled', 'tagged', 'foreign'):
                made.push(TOP / '.cache/images/busybox', f'ims/{name}:bookworm')
            made.digest = made.registry('GET', 'ims/busybox/manifests/bookworm')[1]
            made.apply({'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': 'ims'},
                        'spec': {}})
            made.apply({'apiVersion': 'v1', 'kind': 'Namespace',
                        'metadata': {'name': 'ns', 'labels': {'trust.bulkhead.dev/domain': 'ims'}}})
            yield made
            made.keep_logs()
            made.down()
        finally:
            cell.close()


def signed(key=KEY, **identity):
    return {'type': 'sigstoreSigned', 'keyData': key.data, **({'signedIdentity': identity} if identity else {})}


def unsigned_sentence(job, repository, key=KEY):
    return (f"image '{HOST}/{repository}@{job.digest}' is not signed by key '{key.name}', which ImagePolicy 'signed' "
            'demands: it has no signature')


def test_what_cannot_be_read_is_refused(job):
    for requirement, message in [
            ({'type': 'sigstoreSigned', 'keyPath': '/etc/key'}, 'names files of keys, which this API cannot read'),
            ({'type': 'sigstoreSigned', 'keyData': 'QQ=='}, "requirement 1 of '127.0.0.1:5000/ims': key 1: cannot read "
                                                            'the public key'),
            ({'type': 'signedBy'}, "'signedBy' is not insecureAcceptAnything, reject or sigstoreSigned")]:
        with pytest.raises(AssertionError) as failed:
            job.policy(requirement)
        assert message in str(failed.value)
    assert job.get('imagepolicies')['items'] == []


def test_unsigned_waits_until_it_is_signed(job):
    """As skopeo and cosign 2 sign; the pod that waited starts, and not before."""
    job.policy(signed())
    assert 'insecureAcceptAnything' in job.kubectl('get', 'imagepolicies').stdout
    job.run_pod('waits', 'ims/busybox')
    job.refused('waits', unsigned_sentence(job, 'ims/busybox'))
    message = signs.payload(f'{HOST}/ims/busybox:bookworm', job.digest)
    job.tag('ims/busybox', job.digest, message, KEY.sign(message))
    job.wait_phase('ns', 'waits')
    running = job.get('pod', 'waits', '-n', 'ns')
    assert running['status']['containerStatuses'][0]['imageID'].endswith(job.digest)


def test_bundle_as_cosign_3_writes_it(job):
    """It names no repository: that is said, and accepted where the policy wants the digest alone, or it names one."""
    job.run_pod('bundled', 'ims/bundled')
    job.refused('bundled', unsigned_sentence(job, 'ims/bundled'))
    job.attach('ims/bundled', job.digest, signs.bundle(KEY, signs.statement(job.digest)))
    job.refused('bundled', f"image '{HOST}/ims/bundled@{job.digest}' is refused by ImagePolicy 'signed': the signature "
                           f"by key '{KEY.name}' names no image, not '{HOST}/ims/bundled'")
    job.attach('ims/bundled', job.digest, signs.bundle(KEY, signs.statement(job.digest, f'{HOST}/ims/bundled')))
    job.wait_phase('ns', 'bundled')


def test_signatures_that_are_not_for_this(job):
    """By another key, for another digest, of another repository, an attestation: each has its sentence, and the next
    right signature lets the pod start."""
    other = 'sha256:' + '1' * 64
    job.run_pod('tagged', 'ims/tagged')
    message = signs.payload(f'{HOST}/ims/tagged', job.digest)
    job.tag('ims/tagged', job.digest, message, OTHER.sign(message))
    image = f"image '{HOST}/ims/tagged@{job.digest}' is"
    job.refused('tagged', f"{image} not signed by key '{KEY.name}', which ImagePolicy 'signed' demands: none of the 1 "
                          'signatures found is by it')
    job.attach('ims/tagged', job.digest, signs.bundle(KEY, signs.statement(job.digest, f'{HOST}/ims/tagged',
                                                                           'https://spdx.dev/Document')))
    message = signs.payload(f'{HOST}/ims/tagged', other)
    job.tag('ims/tagged', job.digest, message, KEY.sign(message))
    job.refused('tagged', f"{image} refused by ImagePolicy 'signed': the signature by key '{KEY.name}' is of '{other}'")
    message = signs.payload(f'{HOST}/ims/busybox', job.digest)
    job.tag('ims/tagged', job.digest, message, KEY.sign(message))
    job.refused('tagged', f"{image} refused by ImagePolicy 'signed': the signature by key '{KEY.name}' is for "
                          f"'{HOST}/ims/busybox', not for '{HOST}/ims/tagged'")
    message = signs.payload(f'{HOST}/ims/tagged:v1', job.digest)
    job.tag('ims/tagged', job.digest, message, KEY.sign(message))
    job.wait_phase('ns', 'tagged')


@pytest.mark.parametrize('name', ['cosign2', 'cosign3'])
def test_cosign_itself(job, name):
    """cosign 2 and 3 make a key pair and sign; what they sign starts, and nothing before. Debian has neither."""
    program = shutil.which(name)
    if not program:
        pytest.skip(f'{name} is not here: no package of Debian, built from its sources with Go')
    repository = f'ims/{name}'
    job.push(TOP / '.cache/images/busybox', f'{repository}:bookworm')
    folder = job.root / name
    (folder / '.docker').mkdir(parents=True)
    shutil.copy(job.root / 'etc/bulkhead/registry-auth.json', folder / '.docker/config.json')
    around = ['env', f'--chdir={folder}', f'HOME={folder}', 'COSIGN_PASSWORD=',
              f'SSL_CERT_FILE={job.root}/etc/bulkhead/pki/ca.pem']
    done = job.cell.run([*around, program, 'generate-key-pair'])
    assert done.returncode == 0, done.stderr
    requirement = {'type': 'sigstoreSigned', 'keyData': signs.text((folder / 'cosign.pub').read_bytes())}
    job.policy(requirement, f'{HOST}/{repository}')
    job.run_pod(name, repository)
    job.wait(lambda: 'it has no signature' in json.dumps(job.get('pod', name, '-n', 'ns')['status']), 60)
    options = ['--use-signing-config=false', '-a', f'docker-reference={HOST}/{repository}'] if name == 'cosign3' else []
    done = job.cell.run([*around, program, 'sign', '-y', '--key', 'cosign.key', '--tlog-upload=false', *options,
                         f'{HOST}/{repository}@{job.digest}'])
    assert done.returncode == 0, done.stderr
    job.wait_phase('ns', name)


def test_policy_changes(job):
    """What runs goes on, what comes is judged by the new rules; other domains are not concerned."""
    job.policy(signed(OTHER))
    job.run_pod('later', 'ims/busybox')
    sentence = unsigned_sentence(job, 'ims/busybox', OTHER).replace('it has no signature',
                                                                    'none of the 1 signatures found is by it')
    job.refused('later', sentence)
    assert job.get('pod', 'waits', '-n', 'ns')['status']['phase'] == 'Running'
    job.policy({'type': 'reject'})
    job.refused('later', f"image '{HOST}/ims/busybox@{job.digest}' is refused: ImagePolicy 'signed' rejects all that "
                         'lies there')
    job.policy({'type': 'reject'}, domains=['another'])
    job.wait_phase('ns', 'later')

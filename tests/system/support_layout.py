# SPDX-License-Identifier: Apache-2.0
"""OCI layouts made by hand, and keys for them."""
import gzip
import hashlib
import io
import json
import subprocess
import tarfile

ENCRYPTED = 'org.opencontainers.image.enc.'


class Layout:
    """A layout with one image tagged x; change it by its documents, then write it again."""

    def __init__(self, folder, layers=None):
        self.folder = folder
        (folder / 'blobs/sha256').mkdir(parents=True)
        (folder / 'oci-layout').write_text('{"imageLayoutVersion":"1.0.0"}', encoding='utf-8')
        diffs, rows = [], []
        for data in layers or []:
            diffs.append('sha256:' + hashlib.sha256(data).hexdigest())
            rows.append(self.blob(gzip.compress(data, 1, mtime=0), 'application/vnd.oci.image.layer.v1.tar+gzip'))
        config = {'architecture': 'amd64', 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids': diffs}}
        self.write({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
                    'config': self.blob(json.dumps(config).encode(), 'application/vnd.oci.image.config.v1+json'),
                    'layers': rows})

    def blob(self, data, kind):
        name = hashlib.sha256(data).hexdigest()
        (self.folder / 'blobs/sha256' / name).write_bytes(data)
        return {'mediaType': kind, 'digest': f'sha256:{name}', 'size': len(data)}

    def write(self, manifest):
        """Makes this manifest the one of tag x."""
        entry = self.blob(json.dumps(manifest).encode(), 'application/vnd.oci.image.manifest.v1+json')
        entry['annotations'] = {'org.opencontainers.image.ref.name': 'x'}
        index = {'schemaVersion': 2, 'manifests': [entry]}
        (self.folder / 'index.json').write_text(json.dumps(index), encoding='utf-8')


def path_of(folder, digest):
    return folder / 'blobs' / digest.replace(':', '/')


def manifest_of(folder):
    index = json.loads((folder / 'index.json').read_text(encoding='utf-8'))
    return json.loads(path_of(folder, index['manifests'][0]['digest']).read_text(encoding='utf-8'))


def layer_bytes(folder, number=0):
    return path_of(folder, manifest_of(folder)['layers'][number]['digest']).read_bytes()


def archive(files):
    """A tar of {name: bytes}."""
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode='w') as tar:
        for name, data in files.items():
            row = tarfile.TarInfo(name)
            row.size = len(data)
            tar.addfile(row, io.BytesIO(data))
    return to.getvalue()


def make_key(folder, kind):
    """(private key in PKCS#8, public key) for 'rsa2048' or 'P-256'. skopeo reads no SEC1."""
    private, public = folder / f'{kind}.pem', folder / f'{kind}.pub'
    how = ['RSA', '-pkeyopt', f'rsa_keygen_bits:{kind[3:]}'] if kind.startswith('rsa') else \
        ['EC', '-pkeyopt', f'ec_paramgen_curve:{kind}']
    subprocess.run(['openssl', 'genpkey', '-quiet', '-algorithm', *how, '-out', private], check=True)
    subprocess.run(['openssl', 'pkey', '-in', private, '-pubout', '-out', public], check=True)
    private.chmod(0o600)
    return private, public

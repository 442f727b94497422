# SPDX-License-Identifier: Apache-2.0
"""A registry of its own for tests: keys and certificates, users, the process, and requests to it."""
import base64
import contextlib
import datetime
import functools
import hashlib
import http.client
import ipaddress
import json
import os
import secrets
import socket
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

BINDING = ObjectIdentifier('1.3.6.1.4.1.59999.1.1')
USAGES = {'server': [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
          'client': [ExtendedKeyUsageOID.CLIENT_AUTH], 'binding': [BINDING]}
REGISTRY_UID = 61902
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
INDEX = 'application/vnd.oci.image.index.v1+json'


def digest(data, algorithm='sha256'):
    return f'{algorithm}:{hashlib.new(algorithm, data).hexdigest()}'


@functools.cache
def known_hash(password):
    """For what is no secret: hashing takes its time."""
    return hash_password(password)


def hash_password(password):
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=5, maxmem=64 << 20, dklen=32)
    return f'$scrypt$ln=14,r=8,p=5${salt.hex()}${key.hex()}'


class Identity:
    """A key with its certificate; ca None for one that signs itself."""

    def __init__(self, purpose, name, organization=None, ca=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        signer = ca or self
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(ca.certificate.subject if ca else subject).public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.BasicConstraints(ca=not ca, path_length=None if ca else 0), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                   .add_extension(x509.KeyUsage(bool(ca), False, False, False, False, not ca, not ca, False, False),
                                  critical=True))
        if ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage(USAGES[purpose]), critical=purpose == 'binding')
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        if purpose == 'server':
            names = [x509.DNSName('localhost'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.key_pem = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption()).decode()

    def sha256(self):
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def write(self, folder, name):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{name}.pem').write_text(self.pem)
        (folder / f'{name}.key').write_text(self.key_pem)
        (folder / f'{name}.key').chmod(0o600)
        return str(folder / f'{name}.pem'), str(folder / f'{name}.key')


def seal(signer, payload):
    """The signed envelope of docs/protocols.md."""
    signature = signer.key.sign(payload, ec.ECDSA(hashes.SHA256()))
    return json.dumps({'payload': base64.b64encode(payload).decode(), 'signature': base64.b64encode(signature).decode(),
                       'certificate': signer.pem}).encode()


def stamp(seconds):
    time = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return time.strftime('%Y-%m-%dT%H:%M:%SZ')


class Answer:
    def __init__(self, reply):
        self.status = reply.status
        self.headers = reply.headers
        self.body = reply.read()

    def json(self):
        return json.loads(self.body)

    def code(self):
        """The code of the first error."""
        return self.json()['errors'][0]['code']


class Registry:
    USERS = [('pusher', 'geheim', ['*'], []), ('reader', 'lesen', [], ['public/*']), ('nobody', 'nichts', [], [])]

    def __init__(self, program, root, users=(), policy=None, **settings):
        """users: further rows of the users' file; settings: further members of cir.json."""
        self.program = program
        self.root = root
        self.process = None
        self.ca = Identity('ca', 'ca')
        self.binding = Identity('binding', 'binding:test', ca=self.ca)
        self.node = Identity('client', 'system:node:node-1', 'system:nodes', self.ca)
        self.cism = Identity('client', 'system:cism', 'system:bulkhead', self.ca)
        self.pki = root / 'etc/bulkhead/pki'
        self.log = root / 'cir.log'
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.host = f'127.0.0.1:{self.port}'
        self.more_users = list(users)
        self.users_path = self.root / 'etc/bulkhead/users.json'
        self.policy_path = self.root / 'etc/bulkhead/policy.json'
        self.configure({**settings, **({'policy': str(self.policy_path)} if policy is not None else {})})
        if policy is not None:
            self.write_policy(policy)

    def write(self, path, document):
        """As 'bulkhead up' does it: whole, and for the registry's user alone."""
        new = path.with_suffix('.new')
        new.write_text(json.dumps(document))
        new.chmod(0o600)
        os.chown(new, REGISTRY_UID, REGISTRY_UID)
        new.rename(path)

    def write_policy(self, policy):
        self.write(self.policy_path, policy)

    def write_users(self, more=()):
        users = [{'name': name, 'passwordHash': known_hash(password), 'push': push, 'pull': pull}
                 for name, password, push, pull in self.USERS]
        self.write(self.users_path, {'users': [*users, *more]})

    def configure(self, settings):
        Identity('server', 'cir', ca=self.ca).write(self.pki / 'cir', 'server')
        (self.pki / 'ca.pem').write_text(self.ca.pem)
        self.write_users(self.more_users)
        (self.root / 'etc/bulkhead/cir.json').write_text(
            json.dumps({'address': '127.0.0.1', 'port': self.port, 'users': str(self.users_path), **settings}))

    def start(self, crash_at=None, preexec=None):
        ready, theirs = os.pipe()
        environment = dict(os.environ, **({'BULKHEAD_CRASH_AT': crash_at} if crash_at else {}))
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([self.program, '--root', self.root, '--ready-fd', str(theirs)], stderr=log,
                                            pass_fds=[theirs], env=environment, preexec_fn=preexec)
        os.close(theirs)
        with os.fdopen(ready, 'rb') as pipe:
            assert pipe.read() == b'1', self.log.read_text()
        return self

    def stop(self, expected=0):
        if self.process:
            self.process.terminate()
            assert self.process.wait(20) == expected
            self.process = None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def context(self, identity=None):
        context = ssl.create_default_context(cadata=self.ca.pem)
        if identity:
            context.load_cert_chain(*identity.write(self.root / 'shown', secrets.token_hex(4)))
        return context

    def connect(self, identity=None):
        return http.client.HTTPSConnection('127.0.0.1', self.port, context=self.context(identity), timeout=30)

    def call(self, method, path, body=None, user='pusher:geheim', bearer=None, identity=None, headers=None):
        all_headers = dict(headers or {})
        if bearer:
            all_headers['Authorization'] = f'Bearer {bearer}'
        elif user:
            all_headers['Authorization'] = 'Basic ' + base64.b64encode(user.encode()).decode()
        with contextlib.closing(self.connect(identity)) as connection:
            connection.request(method, path, body=body, headers=all_headers)
            return Answer(connection.getresponse())

    def push_blob(self, repository, data, algorithm='sha256'):
        answer = self.call('POST', f'/v2/{repository}/blobs/uploads/?digest={digest(data, algorithm)}', data)
        assert answer.status == 201, answer.body
        return digest(data, algorithm)

    def push_manifest(self, repository, reference, document, media_type=MANIFEST):
        data = json.dumps(document).encode()
        answer = self.call('PUT', f'/v2/{repository}/manifests/{reference}', data, headers={'Content-Type': media_type})
        assert answer.status == 201, answer.body
        return digest(data)

    def push_image(self, repository, tag, layers=(b'layer',), **more):
        config = json.dumps({'os': 'linux', 'architecture': 'amd64',
                             'rootfs': {'type': 'layers', 'diff_ids': []}}).encode()
        self.push_blob(repository, config)
        for layer in layers:
            self.push_blob(repository, layer)
        return self.push_manifest(repository, tag, image_manifest(config, layers, **more))

    def token(self, repository, opened, signer=None, instance='node', seconds=300, **more):
        payload = {'kind': 'PullToken', 'version': 1, 'registry': self.host, 'repository': repository, 'digest': opened,
                   'expires': stamp(seconds), **more}
        if instance:
            payload['instanceCertificate'] = self.node.sha256() if instance == 'node' else instance
        sealed = seal(signer or self.binding, json.dumps(payload).encode())
        return base64.urlsafe_b64encode(sealed).decode().rstrip('=')


def describe(data, media_type):
    return {'mediaType': media_type, 'digest': digest(data), 'size': len(data)}


def image_manifest(config, layers, **more):
    return {'schemaVersion': 2, 'mediaType': MANIFEST, 'config': describe(config,
                                                                          'application/vnd.oci.image.config.v1+json'),
            'layers': [describe(layer, 'application/vnd.oci.image.layer.v1.tar') for layer in layers], **more}

# SPDX-License-Identifier: Apache-2.0
"""Keys that sign images, and signatures in cosign's formats."""
import base64
import hashlib
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json'
BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
EMPTY = 'application/vnd.oci.empty.v1+json'
ANNOTATION = 'dev.cosignproject.cosign/signature'
SIGN = 'https://sigstore.dev/cosign/sign/v1'


def text(data):
    return base64.b64encode(data).decode()


class SigningKey:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        self.pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.name = 'sha256:' + hashlib.sha256(der).hexdigest()[:16]
        self.data = text(self.pem)

    def sign(self, message):
        return text(self.key.sign(message, ec.ECDSA(hashes.SHA256())))


def payload(identity, digest, **critical):
    """What cosign 2 signs."""
    return json.dumps({'critical': {'identity': {'docker-reference': identity},
                                    'image': {'docker-manifest-digest': digest},
                                    'type': 'cosign container image signature', **critical},
                       'optional': None}).encode()


def statement(digest, identity=None, predicate=SIGN):
    """What cosign 3 signs; identity as by 'cosign sign -a docker-reference=…'."""
    annotations = {'docker-reference': identity} if identity else {}
    return json.dumps({'_type': 'https://in-toto.io/Statement/v1', 'predicateType': predicate, 'predicate': {},
                       'subject': [{'digest': {'sha256': digest.split(':')[1]}, 'annotations': annotations}]}).encode()


def bundle(key, message, kind='application/vnd.in-toto+json'):
    encoded = b'DSSEv1 %d %s %d %s' % (len(kind), kind.encode(), len(message), message)
    return json.dumps({'mediaType': BUNDLE, 'verificationMaterial': {'publicKey': {'hint': ''}},
                       'dsseEnvelope': {'payload': text(message), 'payloadType': kind,
                                        'signatures': [{'sig': key.sign(encoded)}]}}).encode()


def describe(data, media_type, **more):
    return {'mediaType': media_type, 'digest': 'sha256:' + hashlib.sha256(data).hexdigest(), 'size': len(data), **more}


def tag_of(digest):
    return digest.replace(':', '-') + '.sig'


def signature_manifest(message, signature):
    """Of the tag 'sha256-HEX.sig': the manifest and its blobs."""
    config = b'{}'
    layer = describe(message, PAYLOAD, annotations={ANNOTATION: signature})
    return ({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
             'config': describe(config, 'application/vnd.oci.image.config.v1+json'), 'layers': [layer]},
            [config, message])


def referrer_manifest(data, subject, artifact=BUNDLE, **more):
    """An artifact that refers to a subject (a descriptor): the manifest and its blobs."""
    config = b'{}'
    return ({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'artifactType': artifact,
             'config': describe(config, EMPTY), 'layers': [describe(data, artifact)], 'subject': subject, **more},
            [config, data])

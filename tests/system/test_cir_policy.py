# SPDX-License-Identifier: Apache-2.0
"""Who may do what in the registry, what repositories accept and how much a trust domain may store (CIR-2)."""
import base64
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import threading
import time

import pytest
import registry as registries
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from registry import INDEX, MANIFEST, describe, digest, image_manifest

COSIGN = 'application/vnd.dev.cosign.simplesigning.v1+json'
KEY = ec.generate_private_key(ec.SECP256R1())


def public(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def user(name, **more):
    return {'name': name, 'passwordHash': registries.known_hash(name), **more}


USERS = [user('ims-dev', domains=['ims'], push=['*']), user('ims-ci', domains=['ims', 'core']),
         user('core-dev', domains=['core']), user('signer'), user('cleaner'), user('own', delete=[], push=['own/*']),
         {'name': 'robot', 'certificate': {'commonName': 'robot', 'organization': 'vendor'}, 'push': ['own/*']}]
ALL = ['users']
POLICY = {
    'domains': [{'name': 'ims', 'bytes': 1000000, 'objects': 1000}, {'name': 'core'}, {'name': 'few', 'objects': 10}],
    'repositories': [
        {'match': 'ims/open/*', 'domain': 'ims', 'pull': ['anonymous'], 'push': ['domain:ims']},
        {'match': 'ims/*', 'domain': 'ims', 'pull': ['domain:ims', 'user:core-*'], 'push': ['user:ims-dev'],
         'delete': ['user:cleaner'], 'sign': ['user:signer']},
        {'match': 'few/*', 'domain': 'few', 'push': ALL, 'delete': ALL},
        {'match': 'signed/*', 'push': ALL, 'sign': ['user:signer'], 'signed': [public(KEY)]},
        {'match': 'sealed/*', 'push': ALL, 'encrypted': True},
        {'match': 'fixed/*', 'push': ALL, 'delete': ALL, 'immutableTags': ['v*']},
        {'match': 'closed/*'},
    ],
    'metrics': ['user:own'],
}


def new(build, root, policy=POLICY, **settings):
    return registries.Registry(build / 'src/cir/bulkhead-cir', root, users=USERS, policy=policy, **settings)


@pytest.fixture(scope='module')
def shared(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp('cir')
    made = new(build, folder)
    for path in [folder, *folder.parents][:3]:
        path.chmod(0o755)
    made.start()
    yield made
    made.stop()


def as_user(name):
    return f'{name}:{name}'


def push(registry, repository, tag, who, blobs=(b'layer',), **more):
    """The answer to the manifest; whoever may upload blobs here uploads them."""
    config = b'{"os":"linux","architecture":"amd64"}'
    for data in [config, *blobs]:
        answer = registry.call('POST', f'/v2/{repository}/blobs/uploads/?digest={digest(data)}', data, user=who)
        if answer.status != 201:
            return answer
    document = json.dumps({**image_manifest(config, blobs), **more}).encode()
    return registry.call('PUT', f"/v2/{repository}/manifests/{tag or digest(document)}", document, user=who,
                         headers={'Content-Type': MANIFEST})


# --- who may do what ---

def test_roles(shared):
    assert push(shared, 'ims/a', 'v1', as_user('ims-dev')).status == 201
    for name, status in [('ims-dev', 200), ('ims-ci', 200), ('core-dev', 200), ('signer', 200), ('cleaner', 200),
                         ('own', 403), ('pusher', None)]:
        who = 'pusher:geheim' if name == 'pusher' else as_user(name)
        assert shared.call('GET', '/v2/ims/a/manifests/v1', user=who).status == (status or 403), name
    # Of a repository that a row matches the row alone decides, whatever the user's own patterns say.
    assert push(shared, 'ims/a', 'v2', 'pusher:geheim').status == 403
    for name in ['ims-ci', 'core-dev', 'cleaner']:
        answer = push(shared, 'ims/a', 'v2', as_user(name))
        assert (answer.status, answer.code()) == (403, 'DENIED')
    answer = shared.call('DELETE', '/v2/ims/a/manifests/v1', user=as_user('ims-dev'))
    assert (answer.status, answer.json()['errors'][0]['message']) == (
        403, "user 'ims-dev' may not delete from repository 'ims/a'")
    assert shared.call('DELETE', '/v2/ims/a/manifests/v1', user=as_user('cleaner')).status == 202
    for who in ['pusher:geheim', as_user('ims-dev')]:
        assert shared.call('GET', '/v2/closed/a/manifests/v1', user=who).status == 403
    # Elsewhere the user's own patterns count.
    assert push(shared, 'own/a', 'v1', as_user('own')).status == 201
    assert shared.call('DELETE', '/v2/own/a/manifests/v1', user=as_user('own')).status == 403
    assert shared.call('DELETE', '/v2/own/a/manifests/v1').status == 202


def test_who_signs_signs_alone(shared):
    image = push(shared, 'ims/s', 'v1', as_user('ims-dev')).headers['Docker-Content-Digest']
    tag = image.replace(':', '-') + '.sig'
    payload = b'{"critical":{}}'
    layer = {**describe(payload, COSIGN), 'annotations': {'dev.cosignproject.cosign/signature': 'AAAA'}}
    assert push(shared, 'ims/s', tag, as_user('ims-dev'), [payload], layers=[layer]).status == 403
    assert push(shared, 'ims/s', 'v1', as_user('signer')).status == 403
    answer = push(shared, 'ims/s', tag, as_user('signer'), [payload], layers=[layer])
    assert answer.status == 201
    config = b'{"os":"linux","architecture":"amd64"}'
    document = json.dumps({**image_manifest(config, []), 'layers': [layer],
                           'subject': {'mediaType': MANIFEST, 'digest': image, 'size': 5}}).encode()
    for name, status in [('ims-dev', 403), ('signer', 201)]:
        assert shared.call('PUT', f'/v2/ims/s/manifests/{digest(document)}', document, user=as_user(name),
                           headers={'Content-Type': MANIFEST}).status == status


def test_anonymous_where_policy_says_so(shared):
    assert push(shared, 'ims/open/a', 'v1', as_user('ims-ci')).status == 201
    name = digest(b'layer')
    for path in ['manifests/v1', f'blobs/{name}', 'tags/list']:
        assert shared.call('GET', f'/v2/ims/open/a/{path}', user=None).status == 200
        answer = shared.call('GET', f'/v2/ims/s/{path}', user=None)
        assert (answer.status, answer.code()) == (401, 'UNAUTHORIZED')
    for method, path in [('GET', '/v2/'), ('GET', '/v2/_catalog'), ('DELETE', '/v2/ims/open/a/manifests/v1'),
                         ('POST', '/v2/ims/open/a/blobs/uploads/'), ('PUT', '/v2/ims/open/a/manifests/v2')]:
        assert shared.call(method, path, user=None).status == 401
    assert shared.call('GET', '/v2/ims/open/a/manifests/v1', user='unknown:wrong').status == 401


def token(registry, *scopes, user=None, identity=None):
    query = '&'.join(['service=bulkhead-cir', *(f'scope={scope}' for scope in scopes)])
    return registry.call('GET', f'/token?{query}', user=user, identity=identity)


def test_token_flow(shared):
    who = as_user('ims-dev')
    assert push(shared, 'ims/t', 'v1', who).status == 201
    answer = shared.call('GET', '/v2/ims/t/manifests/v1', user=None)
    assert answer.headers.get_all('WWW-Authenticate') == [
        f'Bearer realm="https://{shared.host}/token",service="bulkhead-cir",scope="repository:ims/t:pull"',
        'Basic realm="bulkhead-cir"']
    for method, path, actions in [('GET', 'blobs/uploads/' + '0' * 32, 'pull,push'),
                                  ('DELETE', 'blobs/uploads/' + '0' * 32, 'pull,push'),
                                  ('POST', 'blobs/uploads/', 'pull,push'), ('PUT', 'manifests/v1', 'pull,push'),
                                  ('DELETE', 'manifests/v1', 'delete'), ('HEAD', 'manifests/v1', 'pull')]:
        answer = shared.call(method, f'/v2/ims/t/{path}', user=None)
        assert f'scope="repository:ims/t:{actions}"' in answer.headers['WWW-Authenticate'], (method, path)
    assert token(shared, 'repository:ims/t:pull', user='ims-dev:wrong').status == 401
    given = token(shared, 'repository:ims/t:pull', user=who).json()
    assert given['expires_in'] == 300 and given['token'] == given['access_token']

    def get(path, bearer, method='GET', body=None):
        return shared.call(method, path, body, user=None, bearer=bearer)
    pull = given['token']
    for path, status in [('/v2/', 200), ('/v2/ims/t/manifests/v1', 200), ('/v2/ims/s/manifests/v1', 401),
                         ('/v2/own/a/tags/list', 401), ('/metrics', 403), ('/token', 403)]:
        assert get(path, pull).status == status, path
    assert get('/v2/ims/t/blobs/uploads/', pull, 'POST').status == 401
    assert get('/v2/_catalog', pull).json() == {'repositories': ['ims/t']}
    # Several scopes, in both spellings.
    both = token(shared, 'repository:ims/t:pull,push', 'repository:ims/u:pull%20repository:ims/w:push',
                 user=who).json()['token']
    for repository, status in [('ims/t', 202), ('ims/u', 401), ('ims/w', 202)]:
        assert get(f'/v2/{repository}/blobs/uploads/', both, 'POST').status == status
    # A token gives nothing that its user has not.
    for user, status in [('own', 403), ('core-dev', 200)]:
        bearer = token(shared, 'repository:ims/t:*', user=as_user(user)).json()['token']
        assert get('/v2/ims/t/manifests/v1', bearer).status == status
        assert get('/v2/ims/t/blobs/uploads/', bearer, 'POST').status == 403
    robot = registries.Identity('client', 'robot', 'vendor', shared.ca)
    bearer = token(shared, 'repository:own/r:push', identity=robot).json()['token']
    assert get('/v2/own/r/blobs/uploads/', bearer, 'POST').status == 202
    # Nobody by name gets one for what is open.
    assert push(shared, 'ims/open/t', 'v1', as_user('ims-dev')).status == 201
    bearer = token(shared, 'repository:ims/open/t:pull', 'repository:ims/t:pull').json()['token']
    assert get('/v2/ims/open/t/manifests/v1', bearer).status == 200
    assert get('/v2/ims/t/manifests/v1', bearer).status == 401
    # Changed, cut or foreign.
    for bad in [pull[:-1], pull[:-1] + ('A' if pull[-1] != 'A' else 'B'), pull.replace('.', '.x', 1), 'cir1.', 'cir1..',
                pull.split('.')[0] + '.' + both.split('.')[1] + '.' + pull.split('.')[2]]:
        assert get('/v2/', bad).status == 401, bad


def test_certificates_of_users(shared):
    robot = registries.Identity('client', 'robot', 'vendor', shared.ca)
    for identity, status in [(robot, 202), (registries.Identity('client', 'robot', 'other', shared.ca), 401),
                             (registries.Identity('client', 'robots', 'vendor', shared.ca), 401)]:
        answer = shared.call('POST', '/v2/own/r/blobs/uploads/', user=None, identity=identity)
        assert answer.status == status
    assert shared.call('POST', '/v2/ims/r/blobs/uploads/', user=None, identity=robot).status == 403
    # Who has a certificate alone has no password.
    assert shared.call('GET', '/v2/', user='robot:').status == 401


@pytest.mark.parametrize('change, message', [
    ({'more': 1}, "unknown member 'more'"),
    ({'domains': [{'name': 'a'}, {'name': 'a'}]}, "domain 'a' is there twice"),
    ({'domains': [{'name': 'a', 'bytes': -1}]}, "domain 'a': 'bytes' is not a number"),
    ({'repositories': [{'match': 'a', 'domain': 'b'}]}, "repositories 'a': 'domain' is not among 'domains'"),
    ({'repositories': [{'match': 'a', 'pull': ['domain:b']}]}, "repositories 'a': 'domain:b' is not among 'domains'"),
    ({'repositories': [{'match': 'a', 'push': ['anonymous']}]}, "repositories 'a': 'anonymous' may only pull"),
    ({'repositories': [{'match': 'a', 'pull': ['all']}]},
     "repositories 'a': 'all' is not 'user:', 'domain:', 'users' or 'anonymous'"),
    ({'metrics': ['all']}, "metrics: 'all' is not 'user:', 'domain:', 'users' or 'anonymous'"),
    ({'repositories': [{'match': 'a', 'signed': ['x']}]}, "repositories 'a': 'signed': cannot read the public key"),
])
def test_bad_policy(build, root, change, message):
    made = new(build, root, policy=change)
    ended = subprocess.run([made.program, '--root', root], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert json.loads(ended.stderr.splitlines()[-1])['error'] == f'{made.policy_path}: {message}'


# --- what repositories accept ---

def sign(registry, repository, image, key=KEY, form='tag', change=None):
    critical = {'identity': {'docker-reference': repository}, 'image': {'docker-manifest-digest': image},
                'type': 'cosign container image signature', **(change or {})}
    payload = json.dumps({'critical': critical, 'optional': None}).encode()
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
    config = b'{"os":"linux","architecture":"amd64"}'
    for data in [payload, config]:
        registry.call('POST', f'/v2/{repository}/blobs/uploads/?digest={digest(data)}', data, user=as_user('signer'))
    document = {**image_manifest(config, []), 'layers': [
        {**describe(payload, COSIGN), 'annotations': {'dev.cosignproject.cosign/signature': signature}}]}
    if form == 'referrer':
        document['subject'] = {'mediaType': MANIFEST, 'digest': image, 'size': 7}
    data = json.dumps(document).encode()
    reference = image.replace(':', '-') + '.sig' if form == 'tag' else digest(data)
    assert registry.call('PUT', f'/v2/{repository}/manifests/{reference}', data, user=as_user('signer'),
                         headers={'Content-Type': MANIFEST}).status == 201


def test_signed_repository(shared):
    def tag(repository):
        return push(shared, repository, 'v1', as_user('own'))

    image = push(shared, 'signed/a', None, as_user('own')).headers['Docker-Content-Digest']
    answer = tag('signed/a')
    assert (answer.status, answer.json()['errors'][0]['message']) == (
        403, f"repository 'signed/a' tags signed images alone: push '{image}' by its digest, sign it, then tag it")
    other = ec.generate_private_key(ec.SECP256R1())
    sign(shared, 'signed/a', image, other)
    assert tag('signed/a').status == 403
    another = {'image': {'docker-manifest-digest': digest(b'another')}}
    for change in [another, {'image': None}, {'type': 'something else'}]:
        sign(shared, 'signed/a', image, form='referrer', change=change)
    assert tag('signed/a').status == 403
    sign(shared, 'signed/a', image, form='referrer')
    assert tag('signed/a').status == 201
    sign(shared, 'signed/b', image)
    assert tag('signed/b').status == 201
    # A signature elsewhere is none here.
    assert tag('signed/c').status == 403


def test_what_calls_itself_a_signature_is_none(shared):
    """Who may push and sign gets neither an unsigned image under a tag nor plain layers in by words of the manifest."""
    bundle = {'artifactType': 'application/vnd.dev.sigstore.bundle.v0.3+json'}
    notary = {'config': {**describe(b'{"os":"linux","architecture":"amd64"}', 'application/vnd.cncf.notary.signature')}}
    payload = [{**describe(b'layer', COSIGN)}]
    image = push(shared, 'signed/e', None, as_user('own')).headers['Docker-Content-Digest']
    named = image.replace(':', '-') + '.sig'
    for tag, more in [('v1', bundle), ('v1', notary), (named, {}), ('v1', {'layers': payload})]:
        answer = push(shared, 'signed/e', tag, as_user('signer'), **more)
        assert (answer.status, b'tags signed images alone' in answer.body) == (403, True), (tag, more)
    for more in [bundle, notary]:
        assert push(shared, 'sealed/b', 'v1', as_user('signer'), **more).status == 403


def test_signature_whose_bytes_changed(shared):
    image = push(shared, 'signed/d', None, as_user('own')).headers['Docker-Content-Digest']
    payload = json.dumps({'critical': {'image': {'docker-manifest-digest': image},
                                       'type': 'cosign container image signature'}}).encode()
    good = KEY.sign(payload, ec.ECDSA(hashes.SHA256()))
    config = b'{"os":"linux","architecture":"amd64"}'
    for mutation in range(16):
        signature, data = bytearray(good), bytearray(payload)
        if mutation % 2:
            signature[mutation * 7 % len(signature)] ^= 1 << mutation % 8
        else:
            data[mutation * 11 % len(data)] ^= 1 << mutation % 7
        for blob in [bytes(data), config]:
            shared.call('POST', f'/v2/signed/d/blobs/uploads/?digest={digest(blob)}', blob, user=as_user('signer'))
        document = json.dumps({**image_manifest(config, []), 'layers': [
            {**describe(bytes(data), COSIGN), 'annotations': {
                'dev.cosignproject.cosign/signature': base64.b64encode(signature).decode()}}]}).encode()
        assert shared.call('PUT', f"/v2/signed/d/manifests/{image.replace(':', '-')}.sig", document,
                           user=as_user('signer'), headers={'Content-Type': MANIFEST}).status == 201
        assert push(shared, 'signed/d', 'v1', as_user('own')).status == 403, mutation


def test_encrypted_repository(shared):
    answer = push(shared, 'sealed/a', 'v1', as_user('own'))
    assert (answer.status, answer.json()['errors'][0]['message']) == (
        403, "repository 'sealed/a' takes encrypted layers alone, layer 0 is of type "
             "'application/vnd.oci.image.layer.v1.tar'")
    sealed = {**describe(b'layer', 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted')}
    assert push(shared, 'sealed/a', 'v1', as_user('own'), [b'layer'], layers=[sealed]).status == 201
    plain = describe(b'layer', 'application/vnd.oci.image.layer.v1.tar+gzip')
    assert push(shared, 'sealed/a', 'v2', as_user('own'), [b'layer'], layers=[sealed, plain]).status == 403


def test_immutable_tags(shared):
    first = push(shared, 'fixed/a', 'v1', as_user('own')).headers['Docker-Content-Digest']
    assert push(shared, 'fixed/a', 'v1', as_user('own')).status == 201
    answer = push(shared, 'fixed/a', 'v1', as_user('own'), [b'another layer'])
    assert (answer.status, answer.code()) == (409, 'DENIED')
    assert answer.json()['errors'][0]['message'] == "tag 'v1' of repository 'fixed/a' is immutable"
    assert shared.call('DELETE', '/v2/fixed/a/manifests/v1').status == 409
    assert shared.call('DELETE', f'/v2/fixed/a/manifests/{first}').status == 409
    assert shared.call('HEAD', '/v2/fixed/a/manifests/v1').headers['Docker-Content-Digest'] == first
    # Nor does what it is made of, and what is made of others does.
    for data in [b'layer', b'{"os":"linux","architecture":"amd64"}']:
        answer = shared.call('DELETE', f'/v2/fixed/a/blobs/{digest(data)}')
        assert (answer.status, answer.json()['errors'][0]['message']) == (
            409, "tag 'v1' of repository 'fixed/a' is immutable")
    other, layer = b'another layer', b'layer'
    assert shared.call('DELETE', f'/v2/fixed/a/blobs/{digest(other)}').status == 202
    body = shared.call('GET', '/v2/fixed/a/manifests/v1').body
    assert shared.call('PUT', '/v2/fixed/i/manifests/v1', b'', headers={'Content-Type': INDEX}).status == 400
    assert push(shared, 'fixed/i', None, as_user('own')).status == 201
    index = json.dumps({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [describe(body, MANIFEST)]}).encode()
    assert shared.call('PUT', '/v2/fixed/i/manifests/v1', index, headers={'Content-Type': INDEX}).status == 201
    for what in [f'manifests/{first}', f'blobs/{digest(layer)}']:
        assert shared.call('DELETE', f'/v2/fixed/i/{what}').status == 409
    # Others move.
    for layer in [b'one', b'two']:
        assert push(shared, 'fixed/a', 'latest', as_user('own'), [layer]).status == 201
    assert shared.call('DELETE', '/v2/fixed/a/manifests/latest').status == 202


def test_immutable_tag_under_many_pushes(shared):
    """Of many who give one tag at once one does, and it stays."""
    for turn in range(3):
        answers = [None] * 8

        def give(n):
            answers[n] = push(shared, 'fixed/race', f'v{turn}', as_user('own'), [b'by %d' % n])
        threads = [threading.Thread(target=give, args=(n,)) for n in range(len(answers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [answer for answer in answers if answer.status == 201]
        assert len(won) == 1 and {answer.status for answer in answers} == {201, 409}
        assert shared.call('HEAD', f'/v2/fixed/race/manifests/v{turn}').headers['Docker-Content-Digest'] == won[
            0].headers['Docker-Content-Digest']


# --- how much ---

def test_quota_in_bytes(build, root):
    made = new(build, root, collectSeconds=3600, graceSeconds=1).start()
    try:
        who = as_user('ims-dev')
        data = [secrets.token_bytes(300000) for _ in range(5)]

        def upload(i, repository='ims/q'):
            return made.call('POST', f'/v2/{repository}/blobs/uploads/?digest={digest(data[i])}', data[i], user=who)
        assert [upload(i).status for i in range(4)] == [201, 201, 201, 507]
        answer = upload(4)
        assert answer.code() == 'STORAGE_FULL'
        assert re.fullmatch(r"trust domain 'ims' may store 1000000 bytes, 9\d+ are stored",
                            answer.json()['errors'][0]['message'])
        # In another repository of the domain the same bytes count again.
        mount = f'/v2/ims/open/q/blobs/uploads/?mount={digest(data[0])}&from=ims/q'
        assert made.call('POST', mount, user=who).status == 507
        made.stop()
        made.start()
        assert upload(3).status == 507
        # What is deleted or collected makes room.
        assert made.call('DELETE', f'/v2/ims/q/blobs/{digest(data[0])}', user=as_user('cleaner')).status == 202
        assert upload(3).status == 201
        assert upload(4).status == 507
        deadline = time.monotonic() + 20
        while upload(4).status == 507 and time.monotonic() < deadline:
            made.process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)
        assert upload(4).status == 201
    finally:
        made.kill()


def test_quota_under_many_pushes(build, root):
    """However many push at once, the domain never stores more than it may, and no part of it is lost by what failed."""
    made = new(build, root).start()
    try:
        stored, lock = [], threading.Lock()

        def run(n):
            for turn in range(12):
                data = os.urandom(30000 + n * 17 + turn)
                answer = made.call('POST', f'/v2/ims/m{n % 3}/blobs/uploads/?digest={digest(data)}', data,
                                   user=as_user('ims-dev'))
                assert answer.status in (201, 507)
                if answer.status == 201:
                    with lock:
                        stored.append((f'ims/m{n % 3}', data))
        threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = sum(len(data) for _, data in stored)
        assert 1000000 - 6 * 31000 < used <= 1000000
        left = 1000000 - used
        for size, status in [(left + 1, 507), (left, 201), (1, 507)]:
            data = os.urandom(size)
            assert made.call('POST', f'/v2/ims/m0/blobs/uploads/?digest={digest(data)}', data,
                             user=as_user('ims-dev')).status == status
        # Chunks are charged as they come, and given back when the upload is dropped.
        made.call('DELETE', f'/v2/ims/m0/blobs/{digest(data)}', user=as_user('cleaner'))
        for repository, data in stored[:2]:
            assert made.call('DELETE', f'/v2/{repository}/blobs/{digest(data)}', user=as_user('cleaner')).status == 202
        at = made.call('POST', '/v2/ims/m0/blobs/uploads/', user=as_user('ims-dev')).headers['Location']
        freed = sum(len(data) for _, data in stored[:2])
        assert made.call('PATCH', at, b'x' * freed, user=as_user('ims-dev')).status == 202
        data = b'y' * 100
        assert made.call('POST', f'/v2/ims/m0/blobs/uploads/?digest={digest(data)}', data,
                         user=as_user('ims-dev')).status == 507
        assert made.call('PATCH', at, b'x', user=as_user('ims-dev')).status == 507
        assert made.call('DELETE', at, user=as_user('ims-dev')).status == 204
        assert made.call('POST', f'/v2/ims/m0/blobs/uploads/?digest={digest(data)}', data,
                         user=as_user('ims-dev')).status == 201
    finally:
        made.kill()


def test_quota_in_objects(shared):
    # Two images of a config, a layer, a manifest and a tag each, of which they share the config: 7 of 10.
    for layer in [b'one', b'two', b'two']:
        assert push(shared, 'few/a', layer.decode(), as_user('own'), [layer]).status == 201
    index = json.dumps({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': []}).encode()

    def tag(name, repository='few/a'):
        return shared.call('PUT', f'/v2/{repository}/manifests/{name}', index, user=as_user('own'),
                           headers={'Content-Type': INDEX}).status
    assert [tag('a'), tag('a'), tag('b'), tag('c'), tag('a')] == [201, 201, 201, 507, 201]
    assert tag('a', 'few/b') == 507
    answer = shared.call('POST', '/v2/few/b/blobs/uploads/', user=as_user('own'))
    assert (answer.status, answer.json()['errors'][0]['message']) == (
        507, "trust domain 'few' may store 10 objects, 10 are stored")
    # The manifest and its tag go.
    assert shared.call('DELETE', '/v2/few/a/manifests/one', user=as_user('own')).status == 202
    assert [tag('c'), tag('d')] == [201, 507]


# --- changed while it serves ---

def until_status(call, wanted):
    deadline = time.monotonic() + 15
    while call() != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_users_and_policy_are_read_again(build, root):
    made = new(build, root).start()
    try:
        kept = made.connect()

        def get(path, who):
            kept.request('GET', path, headers={'Authorization': 'Basic ' + base64.b64encode(who.encode()).decode()})
            return registries.Answer(kept.getresponse()).status
        assert push(made, 'ims/a', 'v1', as_user('ims-dev')).status == 201
        assert get('/v2/ims/a/manifests/v1', as_user('own')) == 403
        first = kept.sock.getsockname()
        # By the time of the file, on the same connection, with an upload on its way.
        at = made.call('POST', '/v2/ims/a/blobs/uploads/', user=as_user('ims-dev')).headers['Location']
        policy = json.loads(json.dumps(POLICY))
        policy['repositories'][1]['pull'].append('user:own')
        made.write_policy(policy)
        until_status(lambda: get('/v2/ims/a/manifests/v1', as_user('own')), 200)
        # By a signal; a user who is gone is gone.
        made.write_users(USERS[:1] + [user('fresh', domains=['ims'])])
        made.process.send_signal(signal.SIGHUP)
        until_status(lambda: get('/v2/ims/a/manifests/v1', as_user('fresh')), 200)
        assert get('/v2/ims/a/manifests/v1', as_user('own')) == 401
        # What cannot be read changes nothing.
        made.write_policy({'domains': 7})
        deadline = time.monotonic() + 15
        while 'stay in force' not in made.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        line = [json.loads(line) for line in made.log.read_text().splitlines() if 'stay in force' in line][-1]
        assert line['error'] == f"{made.policy_path}: 'domains' is not a list of at most 1000"
        assert get('/v2/ims/a/manifests/v1', as_user('fresh')) == 200
        assert kept.sock.getsockname() == first
        data = b'began before'
        assert made.call('PUT', f'{at}?digest={digest(data)}', data, user=as_user('ims-dev')).status == 201
    finally:
        made.kill()


# --- what it says of itself ---

def metrics(registry, who):
    """Names with their labels, and numbers."""
    answer = registry.call('GET', '/metrics', user=who)
    assert answer.status == 200 and answer.headers['Content-Type'].startswith('text/plain; version=0.0.4')
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith('#')]
    return {name: float(number) for name, number in (line.rsplit(' ', 1) for line in lines)}


def test_metrics(build, root):
    made = new(build, root, scrubBytesPerSecond=0).start()
    try:
        for who, status in [(None, 401), ('pusher:geheim', 403), (as_user('ims-dev'), 403), (as_user('own'), 200)]:
            assert made.call('GET', '/metrics', user=who).status == status
        assert made.call('GET', '/metrics', user=None, identity=made.cism).status == 200
        before = metrics(made, as_user('own'))
        assert push(made, 'ims/a', 'v1', as_user('ims-dev'), [b'x' * 1000]).status == 201
        for _ in range(3):
            assert made.call('GET', f"/v2/ims/a/blobs/{digest(b'x' * 1000)}", user=as_user('ims-dev')).status == 200
        path = made.root / 'var/lib/bulkhead/cir/blobs/sha256' / digest(b'x' * 1000)[7:9] / digest(b'x' * 1000)[7:]
        path.write_bytes(b'y' * 1000)
        assert made.call('GET', f"/v2/ims/a/blobs/{digest(b'x' * 1000)}", user=as_user('ims-dev')).status == 500
        after = metrics(made, as_user('own'))
        gets = 'bulkhead_cir_requests_total{endpoint="blob",code="%s"}'
        assert after[gets % '2xx'] - before.get(gets % '2xx', 0) == 3 and after[gets % '5xx'] == 1
        assert after['bulkhead_cir_corrupt_total'] == 1
        assert after['bulkhead_cir_quarantined{digest="%s"}' % digest(b'x' * 1000)] == 1
        assert after['bulkhead_cir_sent_bytes_total'] >= before['bulkhead_cir_sent_bytes_total'] + 3000
        assert after['bulkhead_cir_request_seconds_bucket{le="+Inf"}'] == after['bulkhead_cir_request_seconds_count']
        # A config, a layer, a manifest and a tag.
        assert after['bulkhead_cir_domain_objects{domain="ims"}'] == 4
        assert after['bulkhead_cir_domain_bytes{domain="ims"}'] > 1000
        assert after['bulkhead_cir_domain_bytes_limit{domain="ims"}'] == 1000000
        assert 'bulkhead_cir_domain_bytes_limit{domain="core"}' not in after
    finally:
        made.kill()


@pytest.mark.parametrize('log, logged', [('none', []), (None, ['POST 202', 'GET 404']),
                                         ('all', ['GET 200', 'POST 202', 'GET 404'])])
def test_access_log(build, root, log, logged):
    made = new(build, root, **({'accessLog': log} if log else {})).start()
    try:
        made.call('GET', '/v2/')
        made.call('POST', '/v2/own/a/blobs/uploads/')
        made.call('GET', '/v2/own/a/manifests/none')
        made.stop()
        lines = [json.loads(line) for line in made.log.read_text().splitlines()]
        lines = [line for line in lines if line['msg'] == 'request']
        assert [f"{line['method']} {line['status']}" for line in lines] == logged
        for line in lines:
            assert (line['by'], line['address']) == ('pusher', '127.0.0.1') and line['path'].startswith('/v2/')
            assert int(line['bytes']) >= 0 and int(line['microseconds']) > 0
    finally:
        made.kill()


# --- shares ---

def test_uploads_of_one_leave_room_for_others(build, root):
    """CIR-2: of a thousand uploads on their way one client has a quarter at most."""
    made = new(build, root).start()
    try:
        with contextlib.closing(made.connect()) as connection:
            authorization = {'Authorization': 'Basic ' + base64.b64encode(as_user('ims-dev').encode()).decode()}
            statuses = []
            for _ in range(251):
                connection.request('POST', '/v2/ims/a/blobs/uploads/', headers=authorization)
                answer = connection.getresponse()
                body = answer.read()
                statuses.append(answer.status)
        assert statuses == [202] * 250 + [429]
        assert json.loads(body)['errors'][0]['message'] == "250 uploads of 'ims-dev' are on their way already"
        assert made.call('POST', '/v2/own/a/blobs/uploads/', user=as_user('own')).status == 202
    finally:
        made.stop()


def test_policy_with_the_time_it_had_is_read_again(build, root):
    """An editor that keeps size and time of a file does not go unseen."""
    made = new(build, root).start()
    try:
        assert push(made, 'own/a', 'v1', as_user('own')).status == 201
        before = os.stat(made.policy_path)
        text = made.policy_path.read_text()
        with open(made.policy_path, 'r+', encoding='utf-8') as policy:
            policy.write(text.replace('"closed/*"', '"own/a"   '))
        os.utime(made.policy_path, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = os.stat(made.policy_path)
        assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
        deadline = time.monotonic() + 20
        while made.call('GET', '/v2/own/a/manifests/v1', user=as_user('own')).status != 403:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        made.stop()

# SPDX-License-Identifier: Apache-2.0
"""The registry through its program, by requests of the OCI distribution specification and by skopeo (CIR-1, CIR-2)."""
import contextlib
import hashlib
import http.client
import io
import json
import os
import pathlib
import re
import secrets
import socket
import ssl
import subprocess
import tarfile
import threading
import time

import pytest
import registry as registries
from registry import INDEX, MANIFEST, describe, digest, image_manifest


@pytest.fixture
def registry(build, root):
    made = registries.Registry(build / 'src/cir/bulkhead-cir', root)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope='module')
def shared(build, tmp_path_factory):
    """One registry for tests that leave it running and use repositories of their own."""
    folder = tmp_path_factory.mktemp('cir')
    made = registries.Registry(build / 'src/cir/bulkhead-cir', folder)
    for path in [folder, *folder.parents][:3]:
        path.chmod(0o755)
    made.start()
    yield made
    made.stop()


# --- the program ---

def test_help_and_version(build):
    program = build / 'src/cir/bulkhead-cir'
    shown = subprocess.run([program, '--help'], capture_output=True, text=True, check=True).stdout
    assert '--root' in shown and max(map(len, shown.splitlines())) <= 80
    assert subprocess.run([program, '--version'], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize('change, message', [
    ({'more': 1}, "unknown member 'more'"),
    ({'port': '5000'}, "'port' is not a number from 1 to 65535"),
    ({'address': 'localhost'}, "'address' is not a numeric address"),
    ({'users': 'users.json'}, "'users' is not an absolute path"),
    ({'policy': 'policy.json'}, "'policy' is not an absolute path"),
    ({'graceSeconds': 0}, "'graceSeconds' is not a number from 1 to 31536000"),
    ({'collectSeconds': -1}, "'collectSeconds' is not a number from 0 to 31536000"),
    ({'accessLog': 'some'}, "'accessLog' is not 'none', 'changes' or 'all'"),
])
def test_bad_configuration(build, root, change, message):
    made = registries.Registry(build / 'src/cir/bulkhead-cir', root)
    path = root / 'etc/bulkhead/cir.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    ended = subprocess.run([made.program, '--root', root], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert json.loads(ended.stderr.splitlines()[-1])['error'] == f'{path}: {message}'


def test_port_below_1024(build, root):
    """Bound before privilege is dropped; a second registry on the port says so."""
    made = registries.Registry(build / 'src/cir/bulkhead-cir', root)
    path = root / 'etc/bulkhead/cir.json'
    made.port = next(port for port in range(700, 1000) if is_free(port))
    made.host = f'127.0.0.1:{made.port}'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'port': made.port}))
    made.start()
    try:
        assert made.call('GET', '/v2/').status == 200
        ended = subprocess.run([made.program, '--root', root], capture_output=True, text=True, check=False)
        assert json.loads(ended.stderr.splitlines()[-1])['error'] == (
            f'cannot serve on 127.0.0.1 port {made.port}: Address already in use')
        made.stop()
    finally:
        made.kill()


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) != 0


def test_runs_without_privilege(registry):
    status = open(f'/proc/{registry.process.pid}/status', encoding='utf-8').read()
    assert '\t0\t' not in re.search(r'Uid:.*', status)[0] + '\t'
    assert re.search(r'CapEff:\s+0+$', status, re.M) and re.search(r'CapBnd:\s+0+$', status, re.M)
    for thread in os.listdir(f'/proc/{registry.process.pid}/task'):
        status = open(f'/proc/{registry.process.pid}/task/{thread}/status', encoding='utf-8').read()
        assert re.search(r'NoNewPrivs:\s+1', status) and re.search(r'CapPrm:\s+0+$', status, re.M)
    registry.stop()


# --- who may do what ---

def test_nobody_without_credentials(shared):
    for method, path in [('GET', '/v2/'), ('GET', '/v2/_catalog'), ('GET', '/v2/a/tags/list'),
                         ('GET', '/v2/a/manifests/x'),
                         ('POST', '/v2/a/blobs/uploads/'), ('GET', '/nowhere'), ('DELETE', '/v2/a/manifests/x')]:
        answer = shared.call(method, path, user=None)
        assert (answer.status, answer.code()) == (401, 'UNAUTHORIZED')
        challenges = answer.headers.get_all('WWW-Authenticate')
        assert challenges[0].startswith(f'Bearer realm="https://{shared.host}/token",service="bulkhead-cir"')
        assert challenges[1:] == ['Basic realm="bulkhead-cir"']
    # A certificate of the cluster alone is no credential, but the CISM's.
    assert shared.call('GET', '/v2/', user=None, identity=shared.node).status == 401


def test_users_and_rights(shared):
    shared.push_image('public/a', 'v1')
    shared.push_image('private/a', 'v1')
    assert shared.call('GET', '/v2/', user='reader:lesen').status == 200
    for user in ['reader:falsch', 'unknown:lesen', 'reader', 'reader:']:
        assert shared.call('GET', '/v2/', user=user).status == 401
    matrix = [('reader:lesen', 'GET', 'public/a', 200), ('reader:lesen', 'GET', 'private/a', 403),
              ('reader:lesen', 'GET', 'private/none', 403), ('reader:lesen', 'DELETE', 'public/a', 403),
              ('reader:lesen', 'PUT', 'public/a', 403), ('nobody:nichts', 'GET', 'public/a', 403),
              ('pusher:geheim', 'GET', 'private/a', 200), ('pusher:geheim', 'GET', 'private/none', 404)]
    for user, method, repository, status in matrix:
        answer = shared.call(method, f'/v2/{repository}/manifests/v1', user=user,
                             body=b'{}' if method == 'PUT' else None)
        assert answer.status == status, (user, method, repository)
    answer = shared.call('POST', '/v2/public/a/blobs/uploads/', user='reader:lesen')
    assert (answer.status, answer.code()) == (403, 'DENIED')
    assert answer.json()['errors'][0]['message'] == "user 'reader' may not push to repository 'public/a'"
    assert shared.call('GET', '/v2/_catalog', user='nobody:nichts').json() == {'repositories': []}
    assert shared.call('GET', '/v2/_catalog', user='reader:lesen').json()['repositories'] == ['public/a']


def test_wrong_passwords_are_slowed(registry):
    answers = [registry.call('GET', '/v2/', user=f'reader:{n}').status for n in range(12)]
    assert answers[:10] == [401] * 10 and answers[10:] == [429] * 2
    # Nobody's password is hashed for this address any more, not even the right one.
    assert registry.call('GET', '/v2/', user='reader:lesen').status == 429
    # Others behind the same address are not locked out with him.
    assert registry.call('GET', '/v2/', user='nobody:nichts').status == 200


def test_verified_password_is_remembered(shared):
    began = time.monotonic()
    registries.hash_password('as long as the registry takes for one')
    one = time.monotonic() - began
    assert shared.call('GET', '/v2/').status == 200
    began = time.monotonic()
    for _ in range(30):
        assert shared.call('GET', '/v2/').status == 200
    assert time.monotonic() - began < 15 * one


def test_cism_reads_everything(shared):
    opened = shared.push_image('private/b', 'v1')
    answer = shared.call('HEAD', '/v2/private/b/manifests/v1', user=None, identity=shared.cism)
    assert (answer.status, answer.headers['Docker-Content-Digest']) == (200, opened)
    assert shared.call('DELETE', '/v2/private/b/manifests/v1', user=None, identity=shared.cism).status == 403
    pretender = registries.Identity('client', 'system:cism', 'system:nodes', shared.ca)
    assert shared.call('GET', '/v2/', user=None, identity=pretender).status == 401
    foreign = registries.Identity('client', 'system:cism', 'system:bulkhead', registries.Identity('ca', 'ca'))
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        shared.call('GET', '/v2/', user=None, identity=foreign)


def test_pull_tokens(shared):
    opened = shared.push_image('token/a', 'v1', layers=(b'token layer', b'another'))
    other = shared.push_image('token/a', 'v2', layers=(b'not for the token',))
    token = shared.token('token/a', opened)

    def get(path, bearer=token, identity=shared.node):
        return shared.call('GET', path, bearer=bearer, identity=identity)

    manifest = get(f'/v2/token/a/manifests/{opened}')
    assert manifest.status == 200 and digest(manifest.body) == opened
    for descriptor in [manifest.json()['config'], *manifest.json()['layers']]:
        blob = get(f"/v2/token/a/blobs/{descriptor['digest']}")
        assert blob.status == 200 and digest(blob.body) == descriptor['digest']
    # What the token does not open: other manifests and blobs, tags, lists, other repositories, writing.
    assert get(f'/v2/token/a/manifests/{other}').status == 403
    assert get('/v2/token/a/manifests/v1').status == 403
    assert get(f"/v2/token/a/blobs/{digest(b'not for the token')}").status == 403
    assert get('/v2/token/a/tags/list').status == 403
    assert get('/v2/_catalog').status == 403
    assert get(f'/v2/token/a/referrers/{opened}').status == 403
    assert get(f'/v2/public/a/manifests/{opened}').status == 403
    for method in ['DELETE', 'PUT']:
        assert shared.call(method, f'/v2/token/a/manifests/{opened}', bearer=token, identity=shared.node).status == 403
    # Who it is not for, and what it is not.
    foreign_node = registries.Identity('client', 'system:node:node-2', 'system:nodes', shared.ca)
    foreign_ca = registries.Identity('ca', 'ca')
    cases = [(token, foreign_node, 403), (token, None, 403), (shared.token('token/a', opened, seconds=-600),
                                                              shared.node, 403),
             (shared.token('token/a', opened, registry='127.0.0.1:1'), shared.node, 403),
             (shared.token('token/a', opened, kind='Ticket'), shared.node, 401),
             (shared.token('token/a', opened, more=1), shared.node, 401),
             (shared.token('token/a', opened, signer=shared.node), shared.node, 401),
             (shared.token('token/a', opened, signer=registries.Identity('binding', 'b', ca=foreign_ca)), shared.node,
              401),
             (token[:-1], shared.node, 401), (token + 'A', shared.node, 401), ('x', shared.node, 401)]
    for bearer, identity, status in cases:
        assert get(f'/v2/token/a/manifests/{opened}', bearer, identity).status == status, bearer


def test_token_for_an_index_opens_what_it_lists(shared):
    image = shared.push_image('token/i', 'v1', layers=(b'indexed layer',))
    stranger = shared.push_image('token/i', 'v2', layers=(b'strange layer',))
    data = shared.call('GET', f'/v2/token/i/manifests/{image}').body
    index = shared.push_manifest('token/i', 'all', {'schemaVersion': 2, 'mediaType': INDEX,
                                                    'manifests': [describe(data, MANIFEST)]}, INDEX)
    token = shared.token('token/i', index)
    for path, status in [(f'manifests/{index}', 200), (f'manifests/{image}', 200),
                         (f"blobs/{digest(b'indexed layer')}", 200),
                         (f'manifests/{stranger}', 403), (f"blobs/{digest(b'strange layer')}", 403)]:
        assert shared.call('GET', f'/v2/token/i/{path}', bearer=token, identity=shared.node).status == status, path


# --- blobs ---

def begin(registry, repository):
    answer = registry.call('POST', f'/v2/{repository}/blobs/uploads/')
    assert answer.status == 202
    return answer.headers['Location']


def test_upload_in_chunks_and_resumed(shared):
    data = secrets.token_bytes(3000)
    at = begin(shared, 'up/a')
    assert shared.call('PATCH', at, data[:1000], headers={'Content-Range': '0-999'}).headers['Range'] == '0-999'
    answer = shared.call('PATCH', at, data[2000:], headers={'Content-Range': '2000-2999'})
    assert (answer.status, answer.code(), answer.headers['Range']) == (416, 'BLOB_UPLOAD_INVALID', '0-999')
    assert shared.call('PATCH', at, b'xx', headers={'Content-Range': '1000-1005'}).code() == 'SIZE_INVALID'
    # A peer that breaks off: what arrived counts, and the upload goes on behind it.
    with contextlib.closing(shared.connect()) as connection:
        connection.putrequest('PATCH', at)
        connection.putheader('Authorization', 'Basic cHVzaGVyOmdlaGVpbQ==')
        connection.putheader('Content-Length', '2000')
        connection.endheaders(data[1000:1500])
        time.sleep(0.3)
    deadline = time.monotonic() + 10
    while (answer := shared.call('GET', at)).status == 429 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (answer.status, answer.headers['Range']) == (204, '0-1499')
    assert shared.call('PATCH', at, iter([data[1500:2000], data[2000:2500]])).headers['Range'] == '0-2499'
    answer = shared.call('PUT', f'{at}?digest={digest(data)}', data[2500:], headers={'Content-Range': '2500-2999'})
    assert (answer.status, answer.headers['Location']) == (201, f'/v2/up/a/blobs/{digest(data)}')
    assert shared.call('GET', f'/v2/up/a/blobs/{digest(data)}').body == data
    assert shared.call('GET', at).status == 404


def test_wrong_digests(shared):
    wrong = digest(b'other')
    answer = shared.call('POST', f'/v2/up/b/blobs/uploads/?digest={wrong}', b'data')
    assert (answer.status, answer.code()) == (400, 'DIGEST_INVALID')
    assert answer.json()['errors'][0]['message'] == f"digest is {digest(b'data')}, not {wrong}"
    at = begin(shared, 'up/b')
    assert shared.call('PUT', at, b'data').code() == 'DIGEST_INVALID'
    assert shared.call('PUT', f'{at}?digest=md5:00', b'data').code() == 'DIGEST_INVALID'
    assert shared.call('PUT', f'{at}?digest={wrong}', b'data').code() == 'DIGEST_INVALID'
    assert shared.call('PUT', f"{at}?digest={digest(b'data')}", b'data').code() == 'BLOB_UPLOAD_UNKNOWN'
    for d in [wrong, digest(b'data')]:
        assert shared.call('HEAD', f'/v2/up/b/blobs/{d}').status == 404


def test_truncated_upload_is_no_blob(shared):
    data = b'x' * 100000
    with contextlib.closing(shared.connect()) as connection:
        connection.putrequest('POST', f'/v2/up/c/blobs/uploads/?digest={digest(data)}')
        connection.putheader('Authorization', 'Basic cHVzaGVyOmdlaGVpbQ==')
        connection.putheader('Content-Length', str(len(data)))
        connection.endheaders(data[:99999])
        time.sleep(0.3)
    assert shared.call('HEAD', f'/v2/up/c/blobs/{digest(data)}').status == 404


def test_sha512_and_empty_blobs(shared):
    for data in [b'', b'some bytes']:
        for algorithm in ['sha256', 'sha512']:
            name = shared.push_blob('up/d', data, algorithm)
            assert shared.call('GET', f'/v2/up/d/blobs/{name}').body == data
    at = begin(shared, 'up/d')
    name = digest(b'late sha512', 'sha512')
    assert shared.call('PUT', f'{at}?digest={name}', b'late sha512').status == 201
    assert shared.call('GET', f'/v2/up/d/blobs/{name}').body == b'late sha512'


def test_ranges(shared):
    data = secrets.token_bytes(10000)
    path = f"/v2/up/e/blobs/{shared.push_blob('up/e', data)}"
    for header, part in [('bytes=0-0', data[:1]), ('bytes=5000-', data[5000:]), ('bytes=4097-4100', data[4097:4101]),
                         ('bytes=-10', data[-10:]), ('bytes=9990-20000', data[9990:]), ('bytes=-20000', data)]:
        answer = shared.call('GET', path, headers={'Range': header})
        assert (answer.status, answer.body) == (206, part), header
        start = len(data) - len(part) if header[6] == '-' else int(header[6:].split('-')[0])
        assert answer.headers['Content-Range'] == f'bytes {start}-{start + len(part) - 1}/10000'
    for header in ['bytes=10000-', 'bytes=-0']:
        assert shared.call('GET', path, headers={'Range': header}).status == 416
    for header in ['bytes=5-4', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=-']:
        answer = shared.call('GET', path, headers={'Range': header})
        assert (answer.status, answer.body) == (200, data), header
    answer = shared.call('HEAD', path)
    assert (answer.status, answer.headers['Content-Length'], answer.body) == (200, '10000', b'')


def test_mount(shared):
    name = shared.push_blob('mount/from', b'mounted')
    path = f'/v2/mount/to/blobs/uploads/?mount={name}&from=mount/from'
    assert shared.call('HEAD', f'/v2/mount/to/blobs/{name}').status == 404
    assert shared.call('POST', path).status == 201
    assert shared.call('GET', f'/v2/mount/to/blobs/{name}').body == b'mounted'
    # What cannot be mounted becomes an ordinary upload.
    for rest in [f"mount={digest(b'none')}&from=mount/from", f'mount={name}&from=mount/none', f'mount={name}',
                 f'mount={name}&from=../x']:
        assert shared.call('POST', f'/v2/mount/other/blobs/uploads/?{rest}').status == 202
    assert shared.call('HEAD', f'/v2/mount/other/blobs/{name}').status == 404


def test_delete(shared):
    opened = shared.push_image('del/a', 'v1')
    shared.push_image('del/a', 'v2')
    assert shared.call('DELETE', '/v2/del/a/manifests/v2').status == 202
    assert shared.call('GET', '/v2/del/a/manifests/v2').code() == 'MANIFEST_UNKNOWN'
    assert shared.call('GET', '/v2/del/a/manifests/v1').status == 200
    assert shared.call('DELETE', f'/v2/del/a/manifests/{opened}').status == 202
    assert shared.call('GET', '/v2/del/a/manifests/v1').status == 404
    assert shared.call('DELETE', f'/v2/del/a/manifests/{opened}').status == 404
    blob = digest(b'layer')
    assert shared.call('DELETE', f'/v2/del/a/blobs/{blob}').status == 202
    assert shared.call('GET', f'/v2/del/a/blobs/{blob}').code() == 'BLOB_UNKNOWN'
    at = begin(shared, 'del/a')
    assert shared.call('DELETE', at).status == 204
    assert shared.call('GET', at).code() == 'BLOB_UPLOAD_UNKNOWN'


# --- manifests ---

def test_manifest_must_hold(shared):
    config = b'{}'
    shared.push_blob('man/a', config)
    good = image_manifest(config, [])

    def put(document, reference='v1', media_type=MANIFEST):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        return shared.call('PUT', f'/v2/man/a/manifests/{reference}', data, headers={'Content-Type': media_type})

    cases = [(b'', 'MANIFEST_INVALID'), (b'{', 'MANIFEST_INVALID'),
             (json.dumps(good).encode() + b'x', 'MANIFEST_INVALID'),
             ({**good, 'schemaVersion': 1}, 'MANIFEST_INVALID'), ({**good, 'mediaType': INDEX}, 'MANIFEST_INVALID'),
             ({**good, 'manifests': []}, 'MANIFEST_INVALID'),
             (image_manifest(config, [b'no such layer']), 'MANIFEST_BLOB_UNKNOWN'),
             (image_manifest(b'no such config', []), 'MANIFEST_BLOB_UNKNOWN'),
             ({**good, 'config': {**good['config'], 'size': 3}}, 'MANIFEST_INVALID'),
             ({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [describe(b'none', MANIFEST)]}, 'MANIFEST_INVALID')]
    for document, code in cases:
        answer = put(document)
        assert (answer.status, answer.code()) == (400, code), document
    index = {'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [describe(b'none', MANIFEST)]}
    assert put(index, media_type=INDEX).code() == 'MANIFEST_BLOB_UNKNOWN'
    assert put(good, reference=digest(b'other')).code() == 'DIGEST_INVALID'
    assert put(b' ' * ((4 << 20) + 1)).status == 413
    assert shared.call('GET', '/v2/man/a/manifests/v1').status == 404
    assert put(good).status == 201
    assert put(good, reference=digest(json.dumps(good).encode(), 'sha512')).status == 201


def test_manifest_bytes_and_type_are_kept(shared):
    shared.push_blob('man/b', b'{}')
    data = json.dumps(image_manifest(b'{}', []), indent=3).encode() + b'\n'
    docker = 'application/vnd.docker.distribution.manifest.v2+json'
    document = {**image_manifest(b'{}', []), 'mediaType': docker}
    assert shared.call('PUT', '/v2/man/b/manifests/spaced', data,
                       headers={'Content-Type': f'{MANIFEST}; charset=utf-8'}).status == 201
    shared.push_manifest('man/b', 'docker', document, docker)
    answer = shared.call('GET', '/v2/man/b/manifests/spaced')
    assert (answer.body, answer.headers['Content-Type'], answer.headers['Docker-Content-Digest']) == (data, MANIFEST,
                                                                                                      digest(data))
    assert shared.call('GET', '/v2/man/b/manifests/docker').headers['Content-Type'] == docker
    head = shared.call('HEAD', f'/v2/man/b/manifests/{digest(data)}')
    assert (head.status, head.headers['Content-Length'], head.body) == (200, str(len(data)), b'')


def test_what_changes_is_seen_at_once(shared):
    """Manifests are kept in memory: a tag that moved, a type that changed and what was deleted are not."""
    def get(reference):
        return shared.call('GET', f'/v2/man/c/manifests/{reference}')

    for turn in range(3):
        opened = shared.push_image('man/c', 'moving', layers=(b'turn %d' % turn,))
        for _ in range(2):
            assert get('moving').headers['Docker-Content-Digest'] == opened
            assert digest(get(opened).body) == opened
    assert shared.call('DELETE', '/v2/man/c/manifests/moving').status == 202
    assert get('moving').status == 404 and get(opened).status == 200
    assert shared.call('DELETE', f'/v2/man/c/manifests/{opened}').status == 202
    assert get(opened).status == 404
    plain = {key: value for key, value in image_manifest(b'{}', []).items() if key != 'mediaType'}
    shared.push_blob('man/c', b'{}')
    for media_type in [MANIFEST, 'application/vnd.docker.distribution.manifest.v2+json', MANIFEST]:
        named = shared.push_manifest('man/c', 'typed', plain, media_type)
        for reference in ['typed', named, 'typed', named]:
            assert get(reference).headers['Content-Type'] == media_type


def test_plain_on_loopback_alone(build, root):
    made = registries.Registry(build / 'src/cir/bulkhead-cir', root, tls=False).start()
    try:
        with contextlib.closing(http.client.HTTPConnection('127.0.0.1', made.port, timeout=30)) as connection:
            for headers, status in [({}, 401), ({'Authorization': 'Basic cHVzaGVyOmdlaGVpbQ=='}, 200),
                                    ({'Authorization': f"Bearer {made.token('a', digest(b''))}"}, 403)]:
                connection.request('GET', f"/v2/a/manifests/{digest(b'')}" if 'Bearer' in str(headers) else '/v2/',
                                   headers=headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == status, headers
                if status == 401:
                    # Nobody is sent anywhere with a password but by TLS.
                    assert answer.headers.get_all('WWW-Authenticate') == ['Basic realm="bulkhead-cir"']
    finally:
        made.kill()
    path = root / 'etc/bulkhead/cir.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'address': '0.0.0.0'}))
    ended = subprocess.run([made.program, '--root', root], capture_output=True, text=True, check=False)
    assert json.loads(ended.stderr.splitlines()[-1])['error'] == (
        f"{path}: 'tls' may be false on a loopback address alone")


def test_tags_in_pages(shared):
    names = sorted(['latest', 'v1', 'v1.0', 'V2', 'a_b-c', '0'])
    for name in names:
        shared.push_image('tags/a', name)
    assert shared.call('GET', '/v2/tags/a/tags/list').json() == {'name': 'tags/a', 'tags': names}
    path, seen = '/v2/tags/a/tags/list?n=4', []
    while path:
        answer = shared.call('GET', path)
        assert len(answer.json()['tags']) <= 4
        seen += answer.json()['tags']
        link = answer.headers['Link']
        path = re.fullmatch(r'<(.*)>; rel="next"', link)[1] if link else None
    assert seen == names
    assert shared.call('GET', '/v2/tags/a/tags/list?n=0').json()['tags'] == []
    assert shared.call('GET', '/v2/tags/a/tags/list?last=v1').json()['tags'] == ['v1.0']
    assert shared.call('GET', '/v2/tags/a/tags/list?n=x').status == 400
    assert shared.call('GET', '/v2/tags/none/tags/list').code() == 'NAME_UNKNOWN'


def test_referrers(shared):
    subject = shared.push_image('ref/a', 'v1')
    data = shared.call('GET', '/v2/ref/a/manifests/v1').body
    shared.push_blob('ref/a', b'{}')

    def refer(artifact_type, note):
        document = image_manifest(b'{}', [], artifactType=artifact_type, subject=describe(data, MANIFEST),
                                  annotations={'note': note})
        body = json.dumps(document).encode()
        answer = shared.call('PUT', f'/v2/ref/a/manifests/{digest(body)}', body, headers={'Content-Type': MANIFEST})
        assert (answer.status, answer.headers['OCI-Subject']) == (201, subject)
        return digest(body)

    sbom, signature = refer('application/x-sbom', 'one'), refer('application/x-signature', 'two')
    answer = shared.call('GET', f'/v2/ref/a/referrers/{subject}')
    assert answer.headers['Content-Type'] == INDEX
    assert {m['digest']: (m['artifactType'], m['annotations']['note']) for m in answer.json()['manifests']} == {
        sbom: ('application/x-sbom', 'one'), signature: ('application/x-signature', 'two')}
    answer = shared.call('GET', f'/v2/ref/a/referrers/{subject}?artifactType=application/x-sbom')
    assert answer.headers['OCI-Filters-Applied'] == 'artifactType'
    assert [m['digest'] for m in answer.json()['manifests']] == [sbom]
    assert shared.call('DELETE', f'/v2/ref/a/manifests/{sbom}').status == 202
    assert [m['digest'] for m in shared.call('GET',
                                             f'/v2/ref/a/referrers/{subject}').json()['manifests']] == [signature]
    assert shared.call('GET', f"/v2/ref/a/referrers/{digest(b'none')}").json()['manifests'] == []
    assert shared.call('GET', '/v2/ref/a/referrers/v1').status == 400


def test_paths_and_methods(shared):
    for path, status, code in [('/v2/UPPER/tags/list', 400, 'NAME_INVALID'),
                               ('/v2/a__/manifests/x', 400, 'NAME_INVALID'),
                               ('/v2/_manifests/manifests/x', 400, 'NAME_INVALID'),
                               ('/v2/a/manifests/-x', 400, 'TAG_INVALID'),
                               ('/v2/a/manifests/sha256:00', 400, 'DIGEST_INVALID'),
                               ('/v2/a/blobs/x', 400, 'DIGEST_INVALID'),
                               ('/v2/a/blobs/uploads/zz', 404, 'BLOB_UPLOAD_UNKNOWN'),
                               ('/v2/a/else/x', 404, 'UNSUPPORTED'),
                               ('/v1/', 404, 'UNSUPPORTED'), (f"/v2/{'a/' * 200}manifests/x", 400, 'NAME_INVALID')]:
        answer = shared.call('GET', path)
        assert (answer.status, answer.code()) == (status, code), path
    assert shared.call('GET', '/v2/a/../b/manifests/x').status == 400
    assert shared.call('GET', '/v2/a/%2e%2e/b/manifests/x').status == 400
    assert shared.call('POST', '/v2/a/manifests/x').status == 405
    # Words of the paths are repository names too.
    opened = shared.push_image('blobs/uploads/manifests/tags', 'list')
    assert shared.call('HEAD',
                       '/v2/blobs/uploads/manifests/tags/manifests/list').headers['Docker-Content-Digest'] == opened


# --- real clients ---

def layout(folder, size=200000):
    """An OCI layout with one gzip layer, made by hand."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz') as tar:
        info = tarfile.TarInfo('data')
        info.size = size
        tar.addfile(info, io.BytesIO(secrets.token_bytes(size)))
    layer = packed.getvalue()
    import gzip
    config = json.dumps({'os': 'linux', 'architecture': 'amd64', 'config': {},
                         'rootfs': {'type': 'layers', 'diff_ids': [digest(gzip.decompress(layer))]}}).encode()
    manifest = image_manifest(config, [layer])
    manifest['layers'][0]['mediaType'] += '+gzip'
    data = json.dumps(manifest).encode()
    blobs = folder / 'blobs/sha256'
    blobs.mkdir(parents=True)
    for content in [layer, config, data]:
        (blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    (folder / 'oci-layout').write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = {**describe(data, MANIFEST), 'annotations': {'org.opencontainers.image.ref.name': 'v1'}}
    (folder / 'index.json').write_text(json.dumps({'schemaVersion': 2, 'manifests': [entry]}))
    return digest(data)


def skopeo(registry, *words, check=True):
    return subprocess.run(['skopeo', *words], capture_output=True, text=True, check=check, timeout=180)


def test_skopeo_pushes_and_pulls(shared, tmp_path):
    pushed = layout(tmp_path / 'from')
    certificates = str(shared.pki)
    trust = tmp_path / 'trust'
    trust.mkdir()
    (trust / 'ca.crt').write_text(shared.ca.pem)
    image = f'docker://{shared.host}/sko/app:v1'
    skopeo(shared, 'copy', '--insecure-policy', '--dest-creds', 'pusher:geheim', '--dest-cert-dir', str(trust),
           f"oci:{tmp_path}/from:v1", image)
    shown = json.loads(skopeo(shared, 'inspect', '--creds', 'pusher:geheim', '--cert-dir', str(trust), image).stdout)
    assert (shown['Digest'], shown['RepoTags']) == (pushed, ['v1'])
    skopeo(shared, 'copy', '--insecure-policy', '--src-creds', 'pusher:geheim', '--src-cert-dir', str(trust), image,
           f'oci:{tmp_path}/to:v1')
    assert sorted(os.listdir(tmp_path / 'to/blobs/sha256')) == sorted(os.listdir(tmp_path / 'from/blobs/sha256'))
    # Pushing again moves no bytes; to another repository blobs are mounted or sent again.
    skopeo(shared, 'copy', '--insecure-policy', '--dest-creds', 'pusher:geheim', '--src-creds', 'pusher:geheim',
           '--src-cert-dir', str(trust),
           '--dest-cert-dir', str(trust), image, f'docker://{shared.host}/sko/copy:v1')
    assert shared.call('HEAD', '/v2/sko/copy/manifests/v1').headers['Docker-Content-Digest'] == pushed
    for words, says in [(['--creds', 'pusher:falsch', '--cert-dir', str(trust)], 'unauthorized'),
                        (['--creds', 'nobody:nichts', '--cert-dir', str(trust)], 'denied'),
                        (['--creds', 'pusher:geheim', '--cert-dir', '/var/empty'], 'certificate')]:
        ended = skopeo(shared, 'inspect', *words, image, check=False)
        assert ended.returncode != 0 and says in ended.stderr, certificates
    skopeo(shared, 'delete', '--creds', 'pusher:geheim', '--cert-dir', str(trust), image)
    assert shared.call('HEAD', '/v2/sko/app/manifests/v1').status == 404


def test_podman_pulls_and_pushes(shared, root, tmp_path):
    layout(tmp_path / 'from', 1000)
    trust = tmp_path / 'trust'
    trust.mkdir()
    (trust / 'ca.crt').write_text(shared.ca.pem)
    (tmp_path / 'policy.json').write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    skopeo(shared, 'copy', '--insecure-policy', '--dest-creds', 'pusher:geheim', '--dest-cert-dir', str(trust),
           f'oci:{tmp_path}/from:v1', f'docker://{shared.host}/pod/app:v1')
    access = ['--creds', 'pusher:geheim', '--cert-dir', str(trust)]

    def podman(*words):
        store = ['--root', root / 'store', '--runroot', root / 'run', '--storage-driver', 'vfs']
        ended = subprocess.run(['podman', *store, *words], capture_output=True, text=True, check=False, timeout=180)
        assert ended.returncode == 0, ended.stderr

    podman('pull', '-q', '--signature-policy', tmp_path / 'policy.json', *access, f'{shared.host}/pod/app:v1')
    podman('push', '-q', *access, f'{shared.host}/pod/app:v1', f'docker://{shared.host}/pod/copy:v2')
    assert shared.call('GET', '/v2/pod/copy/tags/list').json()['tags'] == ['v2']
    podman('rmi', '-f', f'{shared.host}/pod/app:v1')


def test_umoci_through_the_registry(shared, tmp_path):
    """An image made by umoci, pushed and pulled by skopeo, is what umoci unpacks."""
    trust = tmp_path / 'trust'
    trust.mkdir()
    (trust / 'ca.crt').write_text(shared.ca.pem)
    image = f'docker://{shared.host}/umo/app:v1'

    def umoci(*words):
        subprocess.run(['umoci', *words], capture_output=True, check=True, timeout=180)
    umoci('init', '--layout', tmp_path / 'made')
    umoci('new', '--image', f'{tmp_path}/made:v1')
    umoci('unpack', '--image', f'{tmp_path}/made:v1', tmp_path / 'bundle')
    data = secrets.token_bytes(100000)
    (tmp_path / 'bundle/rootfs/data').write_bytes(data)
    umoci('repack', '--image', f'{tmp_path}/made:v1', tmp_path / 'bundle')
    skopeo(shared, 'copy', '--insecure-policy', '--dest-creds', 'pusher:geheim', '--dest-cert-dir', str(trust),
           f'oci:{tmp_path}/made:v1', image)
    skopeo(shared, 'copy', '--insecure-policy', '--src-creds', 'pusher:geheim', '--src-cert-dir', str(trust), image,
           f'oci:{tmp_path}/pulled:v1')
    umoci('unpack', '--image', f'{tmp_path}/pulled:v1', tmp_path / 'again')
    assert (tmp_path / 'again/rootfs/data').read_bytes() == data


def test_buildah_commits_into_the_registry(shared, root, tmp_path):
    trust = tmp_path / 'trust'
    trust.mkdir()
    (trust / 'ca.crt').write_text(shared.ca.pem)
    (tmp_path / 'policy.json').write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    (tmp_path / 'data').write_bytes(secrets.token_bytes(5000))
    access = ['--creds', 'pusher:geheim', '--cert-dir', str(trust)]
    policy = ['--signature-policy', tmp_path / 'policy.json']

    def buildah(*words):
        store = ['--root', root / 'store', '--runroot', root / 'run', '--storage-driver', 'vfs']
        ended = subprocess.run(['buildah', *store, *words], capture_output=True, text=True, check=False, timeout=180)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()
    container = buildah('from', *policy, 'scratch')
    buildah('copy', container, tmp_path / 'data', '/data')
    buildah('commit', *policy, '-q', container, 'made')
    buildah('push', '-q', *policy, *access, 'made', f'docker://{shared.host}/bui/app:v1')
    buildah('rm', container)
    again = buildah('from', *policy, *access, '--pull-always', f'{shared.host}/bui/app:v1')
    assert (pathlib.Path(buildah('mount', again)) / 'data').read_bytes() == (tmp_path / 'data').read_bytes()
    buildah('umount', again)
    buildah('rm', again)


# --- what must not be lost ---

def push_many(registry, number, acknowledged, until):
    """Pushes images until told or until the registry is gone; remembers what was acknowledged."""
    count = 0
    while not until.is_set():
        layer = f'layer {number} {count} '.encode() * 5000
        config = f'{{"number":{number},"count":{count}}}'.encode()
        document = json.dumps(image_manifest(config, [layer])).encode()
        try:
            for blob in [layer, config]:
                if registry.call('POST', f'/v2/kill/r{number}/blobs/uploads/?digest={digest(blob)}',
                                 blob).status == 201:
                    acknowledged.append(('blobs', f'kill/r{number}', digest(blob), blob))
            if registry.call('PUT', f'/v2/kill/r{number}/manifests/t{count}', document,
                             headers={'Content-Type': MANIFEST}).status == 201:
                acknowledged.append(('manifests', f'kill/r{number}', f't{count}', document))
                acknowledged.append(('manifests', f'kill/r{number}', digest(document), document))
        except OSError:
            return
        count += 1


def check_whole(registry, acknowledged):
    """Everything acknowledged is there, byte for byte; whatever else is listed is whole too."""
    for kind, repository, reference, data in acknowledged:
        answer = registry.call('GET', f'/v2/{repository}/{kind}/{reference}')
        assert (answer.status, answer.body) == (200, data), (kind, repository, reference)
    for repository in registry.call('GET', '/v2/_catalog').json()['repositories']:
        for tag in registry.call('GET', f'/v2/{repository}/tags/list').json()['tags']:
            manifest = registry.call('GET', f'/v2/{repository}/manifests/{tag}')
            assert digest(manifest.body) == manifest.headers['Docker-Content-Digest']
            for descriptor in [manifest.json()['config'], *manifest.json()['layers']]:
                blob = registry.call('GET', f"/v2/{repository}/blobs/{descriptor['digest']}")
                assert digest(blob.body) == descriptor['digest']


def stored_blobs_are_whole(registry):
    for path in (registry.root / 'var/lib/bulkhead/cir/blobs').rglob('*'):
        if path.is_file():
            algorithm = path.relative_to(registry.root / 'var/lib/bulkhead/cir/blobs').parts[0]
            assert hashlib.new(algorithm, path.read_bytes()).hexdigest() == path.name


def test_sigkill_while_many_push(registry):
    acknowledged = []
    for turn in range(4):
        until = threading.Event()
        threads = [threading.Thread(target=push_many, args=(registry, f'{turn}{n}', acknowledged,
                                                            until)) for n in range(4)]
        for thread in threads:
            thread.start()
        before, deadline = len(acknowledged), time.monotonic() + 60
        while len(acknowledged) < before + 30 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(turn * 0.013)
        registry.kill()
        until.set()
        for thread in threads:
            thread.join()
        stored_blobs_are_whole(registry)
        registry.start()
        check_whole(registry, acknowledged)
    assert len(acknowledged) >= 4 * 30
    registry.stop()
    assert list((registry.root / 'var/lib/bulkhead/cir/uploads').iterdir()) == []


@pytest.mark.parametrize('point', ['cir-blob-renamed', 'cir-manifest-linked'])
def test_killed_at(build, root, point):
    made = registries.Registry(build / 'src/cir/bulkhead-cir', root)
    made.start(crash_at=point)
    acknowledged, until = [], threading.Event()
    push_many(made, '0', acknowledged, until)
    assert made.process.wait(10) == -9
    made.process = None
    stored_blobs_are_whole(made)
    made.start()
    check_whole(made, acknowledged)
    push = threading.Timer(1.0, until.set)
    push.start()
    push_many(made, '0', acknowledged, until)
    check_whole(made, acknowledged)
    made.stop()


def test_full_disk(build, root):
    state = root / 'var/lib/bulkhead/cir'
    state.mkdir(parents=True)
    for path in [root, *[p for p in state.parents if str(p).startswith(str(root))]]:
        path.chmod(0o755)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'small', state], check=True)
    made = registries.Registry(build / 'src/cir/bulkhead-cir', root).start()
    try:
        small = made.push_blob('full/a', b'fits')
        data = secrets.token_bytes(8 << 20)
        answer = made.call('POST', f'/v2/full/a/blobs/uploads/?digest={digest(data)}', data)
        assert (answer.status, answer.code()) == (507, 'STORAGE_FULL')
        assert answer.json()['errors'][0]['message'] == 'cannot store the upload: No space left on device'
        # The space is free again, and what was there is still served.
        deadline = time.monotonic() + 10
        while os.listdir(state / 'uploads') and time.monotonic() < deadline:
            time.sleep(0.05)
        assert made.call('GET', f'/v2/full/a/blobs/{small}').body == b'fits'
        assert made.push_blob('full/a', secrets.token_bytes(1 << 20))
        made.stop()
    finally:
        made.kill()
        subprocess.run(['umount', state], check=True)


# --- hostile peers ---

def test_garbage_on_the_socket(shared):
    payloads = [b'\0' * 1000, b'GET / HTTP/1.1\r\n\r\n', secrets.token_bytes(5000),
                b'\x16\x03\x01\xff\xff' + b'A' * 70000]
    for payload in payloads:
        with socket.create_connection(('127.0.0.1', shared.port), timeout=10) as raw, contextlib.suppress(OSError):
            raw.sendall(payload)
            raw.settimeout(2)
            raw.recv(1000)
    assert shared.call('GET', '/v2/').status == 200


def test_idle_connections_do_not_lock_others_out(shared):
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(socket.create_connection(('127.0.0.1', shared.port), timeout=10))
        began = time.monotonic()
        answered = None
        while not answered and time.monotonic() - began < 30:
            with contextlib.suppress(OSError):
                answered = shared.call('GET', '/v2/').status
        assert answered == 200
        assert time.monotonic() - began < 20

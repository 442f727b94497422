# SPDX-License-Identifier: Apache-2.0
"""The registry's upkeep while it serves: collecting what nothing needs, and finding what is corrupt (CIR-1, CIR-2)."""
import contextlib
import hashlib
import http.client
import json
import os
import random
import secrets
import signal
import threading
import time

import pytest
import registry as registries
from registry import INDEX, MANIFEST, describe, digest, image_manifest


def new(build, root, **settings):
    return registries.Registry(build / 'src/cir/bulkhead-cir', root, **settings)


@pytest.fixture
def collected(build, root):
    """One that collects when it is told to what is older than a second."""
    made = new(build, root, collectSeconds=3600, graceSeconds=1, scrubBytesPerSecond=0)
    made.start()
    yield made
    made.kill()


def contents(registry):
    """The digests of all that is stored."""
    top = registry.root / 'var/lib/bulkhead/cir/blobs'
    return {f'{path.relative_to(top).parts[0]}:{path.name}' for path in top.rglob('*') if path.is_file()}


def path_of(registry, name):
    algorithm, hexadecimal = name.split(':')
    return registry.root / 'var/lib/bulkhead/cir/blobs' / algorithm / hexadecimal[:2] / hexadecimal


def collect(registry):
    registry.process.send_signal(signal.SIGUSR1)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def collect_until(registry, condition):
    """Tells the registry to collect until the condition holds."""
    def told():
        collect(registry)
        return condition()
    wait_for(told)


# --- what goes and what stays ---

def test_collects_what_nothing_names(collected):
    image = collected.push_image('gc/a', 'v1', layers=(b'named layer',))
    data = collected.call('GET', f'/v2/gc/a/manifests/{image}').body
    gone = collected.push_image('gc/a', 'v2', layers=(b'layer of what is deleted', b'named layer'))
    collected.push_image('gc/b', 'v1', layers=(b'layer of what is deleted',))
    loose = collected.push_blob('gc/a', b'nobody names this')
    loose512 = collected.push_blob('gc/a', b'nobody names this either', 'sha512')
    listed = collected.push_blob('gc/a', b'an entry of an index')
    index = collected.push_manifest('gc/a', 'all', {
        'schemaVersion': 2, 'mediaType': INDEX,
        'manifests': [describe(data, MANIFEST), describe(b'an entry of an index', 'application/x')]}, INDEX)
    assert collected.call('DELETE', f'/v2/gc/a/manifests/{gone}').status == 202
    assert gone in contents(collected)
    collect_until(collected, lambda: not {loose, loose512, gone} & contents(collected))
    for repository, name, status in [('gc/a', loose, 404), ('gc/a', loose512, 404), ('gc/a', listed, 200),
                                     ('gc/a', digest(b'named layer'), 200),
                                     ('gc/a', digest(b'layer of what is deleted'), 404),
                                     ('gc/b', digest(b'layer of what is deleted'), 200)]:
        assert collected.call('GET', f'/v2/{repository}/blobs/{name}').status == status, (repository, name)
    for reference in ['v1', 'all', image, index]:
        assert collected.call('GET', f'/v2/gc/a/manifests/{reference}').status == 200
    assert collected.call('GET', '/v2/gc/b/manifests/v1').status == 200
    # What went may come again.
    assert collected.push_blob('gc/a', b'nobody names this') == loose
    assert collected.call('GET', f'/v2/gc/a/blobs/{loose}').body == b'nobody names this'


def test_asking_for_what_is_not_there_keeps_nothing(build, root):
    """The guard remembers what is touched by the beginning of its digest: asking at random must not fill it."""
    made = new(build, root, collectSeconds=3600, graceSeconds=600).start()
    try:
        name = made.push_blob('gc/a', b'nobody names this')
        made.stop()
        for path in [path_of(made, name), made.root / f'var/lib/bulkhead/cir/repositories/gc/a/_blobs/{name}']:
            os.utime(path, (1, 1))
        made.start()
        absent = name[:24] + '0' * (len(name) - 24)
        assert made.call('HEAD', f'/v2/gc/a/blobs/{absent}').status == 404
        assert made.call('POST', f'/v2/gc/b/blobs/uploads/?mount={absent}&from=gc/a').status == 202
        collect_until(made, lambda: name not in contents(made))
    finally:
        made.kill()


def test_what_was_asked_for_stays_for_the_grace(build, root):
    made = new(build, root, collectSeconds=3600, graceSeconds=4).start()
    try:
        asked, mounted, other = (made.push_blob('gc/a', data) for data in [b'asked for', b'mounted', b'neither'])
        made.stop()
        for name in [asked, mounted, other]:
            for path in [path_of(made, name), made.root / f'var/lib/bulkhead/cir/repositories/gc/a/_blobs/{name}']:
                os.utime(path, (1, 1))
        made.start()
        assert made.call('HEAD', f'/v2/gc/a/blobs/{asked}').status == 200
        assert made.call('POST', f'/v2/gc/b/blobs/uploads/?mount={mounted}&from=gc/a').status == 201
        began = time.monotonic()
        collect_until(made, lambda: other not in contents(made))
        assert {asked, mounted} <= contents(made)
        # It is remembered over a restart too.
        made.stop()
        made.start()
        collect(made)
        time.sleep(0.5)
        assert time.monotonic() < began + 4 and {asked, mounted} <= contents(made)
        collect_until(made, lambda: not {asked, mounted} & contents(made))
        assert time.monotonic() > began + 3
    finally:
        made.kill()


def test_damaged_manifest_keeps_its_repository(collected):
    image = collected.push_image('gc/d', 'v1', layers=(b'layer of a damaged manifest',))
    loose = collected.push_blob('gc/d', b'may belong to it')
    elsewhere = collected.push_blob('gc/e', b'does not belong to it')
    path_of(collected, image).write_bytes(b'{}')
    collect_until(collected, lambda: elsewhere not in contents(collected))
    assert loose in contents(collected)
    assert collected.call('GET', f"/v2/gc/d/blobs/{digest(b'layer of a damaged manifest')}").status == 200
    # Once the manifest is deleted its repository is collected like any other.
    assert collected.call('DELETE', f'/v2/gc/d/manifests/{image}').status in (202, 404)
    collect_until(collected, lambda: loose not in contents(collected))


def test_second_registry_on_the_same_folder(collected):
    with open(collected.log, 'rb') as log:
        log.seek(0, os.SEEK_END)
        other = json.loads((collected.root / 'etc/bulkhead/cir.json').read_text())
        (collected.root / 'etc/bulkhead/cir.json').write_text(json.dumps({**other, 'port': collected.port + 1}))
        with pytest.raises(AssertionError):
            new_one = registries.Registry.__new__(registries.Registry)
            new_one.__dict__.update(collected.__dict__, process=None)
            new_one.start()
        assert new_one.process.wait(10) != 0
        assert 'another registry has this folder open' in log.read().decode()


# --- corrupt contents ---

def corrupt(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_corrupt_blob_is_never_served(collected):
    data = secrets.token_bytes(3 << 20)
    name = collected.push_blob('bad/a', data)
    collected.push_image('bad/a', 'v1', layers=(data,))
    assert collected.call('GET', f'/v2/bad/a/blobs/{name}').body == data
    corrupt(path_of(collected, name))
    answer = collected.call('GET', f'/v2/bad/a/blobs/{name}', headers={'Range': 'bytes=0-9'})
    assert (answer.status, answer.code()) == (500, 'DIGEST_INVALID')
    assert answer.json()['errors'][0]['message'] == f"the stored bytes of '{name}' are corrupt"
    assert collected.call('GET', f'/v2/bad/a/blobs/{name}').status == 404
    assert collected.call('HEAD', f'/v2/bad/a/blobs/{name}').status == 404
    assert (collected.root / f'var/lib/bulkhead/cir/quarantine/{name}').stat().st_size == len(data)
    lines = [json.loads(line) for line in collected.log.read_text().splitlines()]
    assert [line['digest'] for line in lines if line['msg'] == 'corrupt contents were put into quarantine'] == [name]
    # Pushing it again heals it.
    collected.push_blob('bad/a', data)
    assert collected.call('GET', f'/v2/bad/a/blobs/{name}').body == data


def test_corrupt_before_the_start(collected):
    blobs = [secrets.token_bytes(100000) for _ in range(8)]
    names = [collected.push_blob('bad/b', data) for data in blobs]
    collected.stop()
    corrupt(path_of(collected, names[0]))
    path_of(collected, names[1]).write_bytes(b'')
    collected.start()
    answers = [None] * len(names)

    def get(i):
        answers[i] = collected.call('GET', f'/v2/bad/b/blobs/{names[i]}')
    threads = [threading.Thread(target=get, args=(i,)) for i in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [500, 500] + [200] * 6
    assert [answer.body for answer in answers[2:]] == blobs[2:]


def test_corrupt_manifest(collected):
    image = collected.push_image('bad/c', 'v1')
    corrupt(path_of(collected, image))
    assert collected.call('GET', '/v2/bad/c/manifests/v1').status == 500
    assert collected.call('GET', '/v2/bad/c/manifests/v1').status == 404
    collected.push_image('bad/c', 'v1')
    assert collected.call('GET', '/v2/bad/c/manifests/v1').status == 200


def test_scrub_finds_what_nobody_asks_for(build, root):
    made = new(build, root, scrubBytesPerSecond=1 << 30).start()
    try:
        datas = [secrets.token_bytes(200000) for _ in range(5)]
        names = [made.push_blob('scrub/a', data) for data in datas]
        corrupt(path_of(made, names[2]))
        made.process.send_signal(signal.SIGUSR1)
        quarantine = made.root / 'var/lib/bulkhead/cir/quarantine'
        wait_for(lambda: os.listdir(quarantine))
        assert os.listdir(quarantine) == [names[2]]
        for i, name in enumerate(names):
            assert made.call('GET', f'/v2/scrub/a/blobs/{name}').status == (404 if i == 2 else 200)
    finally:
        made.kill()


# --- under load, and killed ---

class Pusher(threading.Thread):
    """Pushes images as clients do, by HEAD, mount and upload, from a few layers that it shares with all others, and
    deletes some of them. Whatever was found must be there for the manifest; whatever was acknowledged must stay until
    its deletion was asked for."""

    def __init__(self, registry, number, until):
        super().__init__()
        self.registry, self.number, self.until = registry, number, until
        self.random = random.Random(number)
        self.repository = f'load/r{number % 3}'
        self.kept = {}
        self.refused = []
        self.pushed = 0
        self.connection = registry.connect()

    def call(self, method, path, body=b'', headers=None):
        self.connection.request(method, path, body=body, headers={'Authorization': 'Basic cHVzaGVyOmdlaGVpbQ==',
                                                                  **(headers or {})})
        return registries.Answer(self.connection.getresponse())

    def ensure(self, data):
        """Has the blob in the repository, in one of three ways."""
        name = digest(data)
        base = f'/v2/{self.repository}/blobs'
        if self.call('HEAD', f'{base}/{name}').status == 200:
            return
        other = f'load/r{self.random.randrange(3)}'
        if self.call('POST', f'{base}/uploads/?mount={name}&from={other}').status == 201:
            return
        answer = self.call('POST', f'{base}/uploads/?digest={name}', data)
        assert answer.status == 201, answer.body

    def push(self):
        layers = [b'shared layer %d ' % self.random.randrange(60) * 200 for _ in range(2)]
        config = b'{"config":%d}' % self.random.randrange(6)
        for data in [config, *layers]:
            self.ensure(data)
        note = {'by': f'{self.number} {self.pushed}'}
        document = json.dumps(image_manifest(config, layers, annotations=note)).encode()
        answer = self.call('PUT', f'/v2/{self.repository}/manifests/{digest(document)}', document,
                           headers={'Content-Type': MANIFEST})
        if answer.status != 201:
            self.refused.append(answer.body)
        else:
            self.kept[digest(document)] = document
            self.pushed += 1

    def delete(self):
        if len(self.kept) > 3:
            name = self.random.choice(list(self.kept))
            del self.kept[name]
            self.call('DELETE', f'/v2/{self.repository}/manifests/{name}')

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.until.is_set():
                self.push()
                self.delete()


def check_kept(registry, pushers):
    reader = Pusher(registry, 0, None)
    for pusher in pushers:
        for name, document in pusher.kept.items():
            answer = reader.call('GET', f'/v2/{pusher.repository}/manifests/{name}')
            assert (answer.status, answer.body) == (200, document)
            manifest = json.loads(document)
            for descriptor in [manifest['config'], *manifest['layers']]:
                blob = reader.call('GET', f"/v2/{pusher.repository}/blobs/{descriptor['digest']}")
                assert blob.status == 200 and digest(blob.body) == descriptor['digest'], (name, descriptor)


def age(registry):
    """Lets all files look old, so that only what the registry remembers in memory keeps them."""
    for path in (registry.root / 'var/lib/bulkhead/cir').rglob('*'):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                os.utime(path, (1, 1))


def load(registry, turn, seconds, pushers):
    """Pushes, deletes and collects all the time, then kills the registry."""
    until = threading.Event()
    started = [Pusher(registry, turn * 100 + n, until) for n in range(6)]
    for pusher in started:
        pusher.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not any(pusher.refused for pusher in started):
        age(registry)
        collect(registry)
        time.sleep(0.02)
    registry.kill()
    until.set()
    for pusher in started:
        pusher.join()
    assert [pusher.refused for pusher in started if pusher.refused] == []
    return pushers + started


def test_collecting_while_many_push_and_sigkill(build, root):
    """BULKHEAD_KILLS turns, each ended by SIGKILL at a random moment. What a turn left is old for the next, which
    collects it while it is found, mounted and named again."""
    made = new(build, root, collectSeconds=3600, graceSeconds=60, scrubBytesPerSecond=0)
    pushers, turns = [], int(os.environ.get('BULKHEAD_KILLS', '3'))
    dice = random.Random(5)
    try:
        for turn in range(turns):
            made.start()
            pushers = load(made, turn, 2 + dice.random(), pushers)
            age(made)
            made.start()
            collect(made)
            check_kept(made, pushers)
            made.stop()
        made.start()
        assert sum(pusher.pushed for pusher in pushers) > 10 * turns
        named = set()
        for pusher in pushers:
            for name, document in pusher.kept.items():
                manifest = json.loads(document)
                named |= {name, *(part['digest'] for part in [manifest['config'], *manifest['layers']])}
        assert named <= contents(made)
        log = made.log.read_text()
        assert '"collected"' in log and 'ended early' not in log
    finally:
        made.kill()


@pytest.mark.parametrize('point', ['cir-mark-dropped', 'cir-contents-dropped'])
def test_killed_while_collecting(build, root, point):
    made = new(build, root, collectSeconds=3600, graceSeconds=1)
    made.start()
    image = made.push_image('gc/k', 'v1', layers=(b'stays',))
    loose = {made.push_blob('gc/k', b'goes %d' % n) for n in range(5)}
    made.stop()
    for path in (made.root / 'var/lib/bulkhead/cir').rglob('*'):
        if path.is_file():
            os.utime(path, (1, 1))
    made.start(crash_at=point)
    collect(made)
    assert made.process.wait(20) == -9
    made.process = None
    made.start()
    assert made.call('GET', f'/v2/gc/k/manifests/{image}').status == 200
    assert made.call('GET', f"/v2/gc/k/blobs/{digest(b'stays')}").body == b'stays'
    for name in loose:
        answer = made.call('GET', f'/v2/gc/k/blobs/{name}')
        assert answer.status == 404 or hashlib.sha256(answer.body).hexdigest() == name[7:]
    collect_until(made, lambda: not loose & contents(made))
    made.stop()

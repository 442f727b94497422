# SPDX-License-Identifier: Apache-2.0
"""
CIR-1: the registry is killed at random moments and at every named point of its storage, while it takes pushes, serves
pulls and collects: nothing that was acknowledged is lost, nothing partial is served. KILLS in the environment says how
often; a share without it.
"""
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
from registry import MANIFEST, digest, image_manifest

KILLS = int(os.environ.get('KILLS', '8'))
POINTS = [None, 'cir-blob-renamed', None, 'cir-manifest-linked', None, 'cir-mark-dropped', None, 'cir-contents-dropped']
CONFIG = json.dumps({'os': 'linux', 'architecture': 'amd64', 'rootfs': {'type': 'layers', 'diff_ids': []}}).encode()
BROKEN = (OSError, http.client.HTTPException, AssertionError, ValueError)


class Client(threading.Thread):
    """Pushes images and pulls what was pushed until the registry is gone; keeps what was acknowledged."""

    def __init__(self, registry, repository, known):
        super().__init__()
        self.registry, self.repository, self.known = registry, repository, known
        self.blobs, self.tags, self.asked, self.wrong = {}, {}, set(), []

    def once(self):
        layer = secrets.token_bytes(random.choice([10, 5000, 300000]))
        for data in [CONFIG, layer]:
            self.registry.push_blob(self.repository, data)
        # Nobody names this one: it is collected some day.
        self.registry.push_blob(self.repository, secrets.token_bytes(100))
        tag = f'v{random.randrange(3)}'
        self.asked.add(tag)
        name = self.registry.push_manifest(self.repository, tag, image_manifest(CONFIG, [layer]), MANIFEST)
        self.tags[tag] = name
        self.asked.discard(tag)
        self.blobs.update({digest(CONFIG): CONFIG, digest(layer): layer, name: None})
        wanted = random.choice(list(self.known or {digest(CONFIG): None}))
        answer = self.registry.call('GET', f'/v2/{self.repository}/blobs/{wanted}')
        if answer.status == 200 and digest(answer.body) != wanted:
            self.wrong.append(wanted)

    def run(self):
        try:
            while True:
                self.once()
        except BROKEN:
            return


def check(registry, repository, blobs, tags):
    """All of it is there, byte for byte."""
    for name, data in blobs.items():
        kind = 'blobs' if data is not None else 'manifests'
        answer = registry.call('GET', f'/v2/{repository}/{kind}/{name}')
        assert (answer.status, digest(answer.body)) == (200, name), (repository, kind, name)
    for tag, name in tags.items():
        answer = registry.call('GET', f'/v2/{repository}/manifests/{tag}')
        assert (answer.status, digest(answer.body)) == (200, name), (repository, tag)


def kill_once(registry, clients, point):
    """Works on it until it dies, at the point or within a second."""
    # The password is known from here on: what is killed is work and not its verification.
    assert registry.call('GET', '/v2/').status == 200
    for client in clients:
        client.start()
    deadline = time.monotonic() + (3 if point else random.uniform(0.01, 0.8))
    while registry.process.poll() is None and time.monotonic() < deadline:
        if point and 'dropped' in point:
            registry.process.send_signal(signal.SIGUSR1)
        time.sleep(0.02)
    reached = registry.process.poll() is not None
    registry.kill()
    for client in clients:
        client.join()
    return reached


def take_over(client, blobs, tags):
    """What the client knows to be stored. A tag whose push was not answered may be the old one or the new one."""
    assert not client.wrong
    for tag in client.asked:
        tags.pop(tag, None)
    fresh = {tag: name for tag, name in client.tags.items() if tag not in client.asked}
    tags.update(fresh)
    blobs.update(client.blobs)
    return client.blobs, fresh


@pytest.mark.seconds(120 + 30 * KILLS)
def test_killed(build, root):
    registry = registries.Registry(build / 'src/cir/bulkhead-cir', root, collectSeconds=3600, graceSeconds=5,
                                   scrubBytesPerSecond=1 << 30)
    held = {f'kill/{n}': ({}, {}) for n in range(3)}
    reached, acknowledged, clients = {}, 0, []
    for turn in range(KILLS):
        point = POINTS[turn % len(POINTS)]
        registry.start(crash_at=point)
        for client in clients:
            blobs, tags = held[client.repository]
            fresh = take_over(client, blobs, tags)
            check(registry, client.repository, *fresh)
            old = random.sample(sorted(blobs), min(3, len(blobs)))
            check(registry, client.repository, {name: blobs[name] for name in old}, {})
            acknowledged += len(fresh[0])
        clients = [Client(registry, name, blobs) for name, (blobs, _) in held.items()]
        died = kill_once(registry, clients, point)
        reached[point or 'at random'] = reached.get(point or 'at random', 0) + bool(died or not point)
    registry.start()
    for client in clients:
        take_over(client, *held[client.repository])
    for repository, (blobs, tags) in held.items():
        check(registry, repository, blobs, tags)
    registry.stop()
    print(f'{KILLS} kills, {acknowledged} acknowledged, {reached}')
    assert acknowledged and reached['cir-blob-renamed'] and reached['cir-manifest-linked']

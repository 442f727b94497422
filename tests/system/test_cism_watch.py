# SPDX-License-Identifier: Apache-2.0
"""Watches over HTTP that go on with another replica: nothing lost or told twice while replicas and members die."""
import json
import os
import subprocess
import tempfile
import threading
import time

import pytest

from etcd import Cluster
from support_cism import PORT, Cism, namespace

MAPS = '/api/v1/namespaces/a/configmaps'


@pytest.fixture(name='cluster')
def make_cluster(netns):
    cluster = Cluster(tempfile.mkdtemp(prefix='bulkhead-test-', dir='/var/tmp'), inside=('ip', 'netns', 'exec', netns))
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(name='three')
def make_three(programs, netns, root, kubectls, cluster):
    _, ca, certificate, key = cluster.arguments()
    settings = {'address': '127.0.0.1', 'port': PORT,
                'store': {'etcd': {'endpoints': cluster.urls, 'ca': ca, 'certificate': certificate, 'key': key}}}
    first = Cism(programs, netns, f'{root}/1', kubectls, settings=settings)
    replicas = [first, first.replica(f'{root}/2', PORT + 1), first.replica(f'{root}/3', PORT + 2)]
    for cism in replicas:
        cism.start()
    yield replicas
    for cism in replicas:
        if cism.process:
            cism.process.kill()
            cism.process.wait()


class Watcher(threading.Thread):
    """Watches from a revision on; when that ends, it goes on with the next replica from the last one told."""

    def __init__(self, replicas, revision):
        super().__init__(daemon=True)
        self.replicas, self.revision = replicas, int(revision)
        self.events, self.bookmarks, self.turns, self.gone = [], 0, 0, []
        self.ending, self.curl = False, None

    def run(self):
        while not self.ending:
            self.watch(self.replicas[self.turns % len(self.replicas)])
            self.turns += 1
            time.sleep(0.1)

    def watch(self, cism):
        identity = cism.identities['admin']
        words = cism.words('curl', '-sN', '--max-time', 120, '--cacert', cism.pki.ca, '--cert',
                           identity.with_suffix('.pem'), '--key', identity.with_suffix('.key'),
                           f'https://127.0.0.1:{cism.port}{MAPS}?watch=true&allowWatchBookmarks=true'
                           f'&resourceVersion={self.revision}')
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as self.curl:
            for line in self.curl.stdout:
                try:
                    event = json.loads(line)
                except ValueError:
                    return  # cut off in the middle, or nothing
                if not self.take(event):
                    return

    def take(self, event):
        if event.get('type') not in ('ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'):
            self.gone += [event] if event.get('type') == 'ERROR' else []
            return False
        metadata = event['object']['metadata']
        self.revision = int(metadata['resourceVersion'])
        if event['type'] == 'BOOKMARK':
            self.bookmarks += 1
        else:
            self.events.append((event['type'], metadata['name'], self.revision))
        return True

    def end(self):
        self.ending = True
        self.curl.kill()
        self.join(20)


def ask(cism, *words):
    """A status, or None when the replica does not answer."""
    try:
        return cism.curl('admin', *words, seconds=15)
    except AssertionError:
        return None, None


class Writer(threading.Thread):
    """Makes a key of its own after the other through whoever answers, and removes every second of them."""

    def __init__(self, replicas, number):
        super().__init__(daemon=True)
        self.replicas, self.number, self.ending = replicas, number, False
        self.told = {}

    def insist(self, *words):
        for turn in range(200):
            status, answer = ask(self.replicas[(self.number + turn) % len(self.replicas)], *words)
            if status in (200, 201, 404, 409):
                return status, answer
            time.sleep(0.2)
        raise AssertionError(f'nobody answers {words}')

    def run(self):
        for number in range(100000):
            name = f'w{self.number}-{number:05}'
            status, answer = self.insist('POST', MAPS, {'metadata': {'name': name}, 'data': {'a': 'b'}})
            if status == 201:
                self.told[name] = int(answer['metadata']['resourceVersion'])
            if number % 2:
                self.insist('DELETE', f'{MAPS}/{name}')
            if self.ending:
                return


def kill_in_turn(three, cluster, seconds):
    """One replica and one member after the other, each SIGKILLed and started again; how often."""
    until, turns = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        victim, member = three[turns % 3], turns % 3
        victim.process.kill()
        victim.process.wait()
        time.sleep(0.5)
        cluster.kill(member)
        time.sleep(0.5)
        victim.start()
        cluster.start(member)
        time.sleep(1.5)
        turns += 1
    return turns


@pytest.mark.seconds(300)
def test_a_watch_goes_on_with_another_replica(three, cluster):
    three[0].apply(namespace('a', None))
    revision = three[0].get(MAPS)['metadata']['resourceVersion']
    watchers = [Watcher(three[turn:] + three[:turn], revision) for turn in range(3)]
    writers = [Writer(three, number) for number in range(2)]
    for thread in watchers + writers:
        thread.start()
    assert kill_in_turn(three, cluster, int(os.environ.get('BULKHEAD_ETCD_SECONDS', '12'))) >= 2
    for writer in writers:
        writer.ending = True
    for writer in writers:
        writer.join(60)
    last = three[0].curl('admin', 'POST', MAPS, {'metadata': {'name': 'last'}})[1]['metadata']['resourceVersion']
    for watcher in watchers:
        three[0].wait(lambda: watcher.revision >= int(last), seconds=60)  # pylint: disable=cell-var-from-loop
        watcher.end()
    kept = {item['metadata']['name']: int(item['metadata']['resourceVersion']) for item in three[0].get(MAPS)['items']}
    told = {name: made for writer in writers for name, made in writer.told.items()}
    assert len(told) > 20 and max(watcher.turns for watcher in watchers) > 0
    for watcher in watchers:
        assert not watcher.gone
        revisions = [made for _, _, made in watcher.events]
        assert revisions == sorted(set(revisions)), 'told twice or out of order'
        added = {name: made for what, name, made in watcher.events if what == 'ADDED'}
        deleted = {name for what, name, _ in watcher.events if what == 'DELETED'}
        # Everything acknowledged with its revision, and what is there is what was made and not deleted.
        assert told.items() <= added.items()
        assert {name: added[name] for name in added.keys() - deleted} == kept
        assert watcher.events == watchers[0].events


def test_what_is_compacted_away_is_listed_again(three, cluster):
    one, two, _ = three
    one.apply(namespace('a', None))
    revision = int(one.get(MAPS)['metadata']['resourceVersion'])
    for number in range(5):
        assert one.curl('admin', 'POST', MAPS, {'metadata': {'name': f'c{number}'}})[0] == 201
    two.stop()
    newest = int(one.get(MAPS)['metadata']['resourceVersion'])
    assert cluster.ctl('compact', str(newest)).returncode == 0
    two.start()
    late = Watcher([two], revision)
    late.start()
    two.wait(lambda: late.gone)
    late.end()
    assert late.gone[0]['object']['code'] == 410 and late.gone[0]['object']['reason'] == 'Expired' and not late.events
    # From the revision of a new list on nothing is missing.
    listed = two.get(MAPS)
    again = Watcher([two], listed['metadata']['resourceVersion'])
    again.start()
    assert len(listed['items']) == 5
    assert one.curl('admin', 'POST', MAPS, {'metadata': {'name': 'later'}})[0] == 201
    two.wait(lambda: again.events)
    again.end()
    assert [(what, name) for what, name, _ in again.events] == [('ADDED', 'later')]

# SPDX-License-Identifier: Apache-2.0
"""Whole histories over the API of the CISM: three replicas place at once over three members of etcd, while pods come
and go, are deleted by force, virtual machines move, and everything is killed, paused and cut off. Afterwards checker.py
judges by the instances' own logs. A seed draws what is asked for; in which order it happens is the machine's."""
import argparse
import base64
import collections
import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import checker
from bed import Client, Cluster, wait
from simulated import Instance

IMAGE = '10.77.0.1:5000/test/app@sha256:' + '1' * 64
DOMAINS = [f'd{number}' for number in range(6)]
WORKERS = 6


def draw_domains(draw):
    """Rules that keep about half of all pairs of domains apart; at least one pair."""
    specs = {}
    for index, name in enumerate(DOMAINS):
        rules = [{'from': {'domains': [other]}, 'level': draw.choice(['Server', 'Server', 'Instance'])}
                 for other in DOMAINS[:index] if draw.random() < 0.5 or (name, other) == ('d1', 'd0')]
        specs[name] = {'isolation': 'Container', 'separation': rules}
    return specs


class Machines:
    """The truth about which virtual machine stands on which server, and how the platform is told."""

    def __init__(self, cluster, draw, servers, instances):
        self.cluster = cluster
        self.servers = [f's{number}' for number in range(servers)]
        self.stands = {f'n{number}': self.servers[number % servers] for number in range(instances)}
        self.epochs = dict.fromkeys(self.stands, 1)
        self.log = open(cluster.folder / 'machines.log', 'a', encoding='utf-8')
        self.lock = threading.Lock()
        for name, server in self.stands.items():
            self.write('stand', instance=name, server=server)
        self.tell()

    def write(self, event, **more):
        with self.lock:
            self.log.write(json.dumps({'time': time.monotonic_ns(), 'event': event, **more}) + '\n')
            self.log.flush()

    def tell(self):
        return self.cluster.write_topology({name: (server, self.epochs[name])
                                            for name, server in self.stands.items()})

    def told(self):
        """(generation, revision) of the topology that the store has."""
        answer = self.cluster.etcdctl('get', '/bulkhead/k/topology')
        if not answer or not answer.get('kvs'):
            return 0, 0
        return json.loads(decode(answer['kvs'][0]['value']))['generation'], int(answer['kvs'][0]['mod_revision'])

    def charged(self, revision):
        """{instance: uids} of the ledger at a revision."""
        answer = self.cluster.etcdctl('get', '--prefix', '/bulkhead/k/ledger/servers/', '--rev', str(revision))
        if answer is None:
            return None
        found = collections.defaultdict(list)
        for pair in answer.get('kvs', []):
            for holder in json.loads(decode(pair['value']))['holders']:
                found[holder['instance']].append(holder['uid'])
        return found

    def move(self, instance, server):
        """Moves a machine that stands still as hypervisors do at the end of a migration: while it does, the platform is
        told. What was charged to both sides at that revision meets by the move, not by a placement."""
        name, old = instance.name, self.stands[instance.name]
        instance.pause()
        try:
            told = time.monotonic_ns()
            self.stands[name], self.epochs[name] = server, self.epochs[name] + 1
            generation = self.tell()
            wait(lambda: self.told()[0] >= generation, 120, 0.2)
            charged = None
            while charged is None:
                charged = self.charged(self.told()[1])
            met = [uid for other, uids in charged.items() if other != name and self.stands[other] == server
                   for uid in uids]
            self.write('move', instance=name, server=server, before=old, told=told, moved=charged[name],
                       met=met)
        finally:
            instance.resume()


def decode(text):
    return base64.b64decode(text)


class Worker(threading.Thread):
    """One of several clients: creates, deletes and deletes by force, touches rules and nodes."""

    def __init__(self, history, number):
        super().__init__(name=f'worker-{number}', daemon=True)
        self.history, self.random = history, random.Random(f'{history.seed}-{number}')

    def call(self, method, path, body=None, kind='application/json'):
        try:
            replica = self.random.choice(self.history.cluster.replicas)
            status, answer = self.client.call(replica, method, path, body, kind)
        except OSError:
            self.history.unanswered += 1
            time.sleep(self.random.uniform(0.1, 0.4))
            return 0, None
        self.history.count(f'{method} {status}')
        if status in (401, 500):
            self.history.odd[status] = answer.get('message') if isinstance(answer, dict) else str(answer)
        return status, answer

    def create(self):
        number = self.history.number()
        where = self.random.choice(DOMAINS)
        pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': f'p{number}', 'namespace': where},
               'spec': {'terminationGracePeriodSeconds': 1, 'containers': [
                   {'name': 'main', 'image': IMAGE, 'resources': {'limits': {'cpu': '50m', 'memory': '32Mi'}}}]}}
        if self.random.random() < 0.1:
            pod['spec']['nodeSelector'] = {'kubernetes.io/hostname': self.random.choice(list(self.history.instances))}
        status, _ = self.call('POST', f'/api/v1/namespaces/{where}/pods', pod)
        if status in (201, 0, 504):
            self.history.add((where, f'p{number}'))

    def remove(self):
        found = self.history.take(self.random)
        if not found:
            return
        grace = self.random.choice(['', '', '?gracePeriodSeconds=0'])
        status, _ = self.call('DELETE', f'/api/v1/namespaces/{found[0]}/pods/{found[1]}{grace}')
        if status not in (200, 404):
            self.history.add(found)

    def bind(self):
        """Another scheduler that asks for a place of its choice."""
        found = self.history.peek(self.random)
        if found:
            self.call('POST', f'/api/v1/namespaces/{found[0]}/pods/{found[1]}/binding', {
                'apiVersion': 'v1', 'kind': 'Binding', 'metadata': {'name': found[1]},
                'target': {'kind': 'Node', 'name': self.random.choice(list(self.history.instances))}})

    def touch(self):
        """Every bind on its way was decided under rules that are not the newest any more."""
        self.call('PATCH', f'/apis/trust.bulkhead.dev/v1/trustdomains/{self.random.choice(DOMAINS)}',
                  {'metadata': {'annotations': {'touched': str(self.random.random())}}},
                  'application/merge-patch+json')

    def run(self):
        self.client = Client(self.history.cluster, 'admin')
        while not self.history.over():
            live = len(self.history.pods)
            more = 0.75 if live < self.history.target else 0.25
            chance = self.random.random()
            if chance < 0.03:
                self.touch()
            elif chance < 0.13:
                self.bind()
            elif self.random.random() < more:
                self.create()
            else:
                self.remove()


class Faults(threading.Thread):
    """One fault after another, some of them longer than every lease; all are healed at the end."""

    def __init__(self, history):
        super().__init__(name='faults', daemon=True)
        self.history, self.cluster = history, history.cluster
        self.random = random.Random(f'{history.seed}-faults')
        self.healing = []

    def soon(self, seconds, heal):
        self.healing.append((time.monotonic() + seconds, heal))

    def heal(self, everything=False):
        while due := [row for row in self.healing if everything or row[0] <= time.monotonic()]:
            self.healing = [row for row in self.healing if row not in due]
            for _, heal in due:
                heal()

    def kill_replica(self):
        replica = self.random.choice(self.cluster.replicas)
        if replica.process:
            replica.kill()
            self.soon(self.random.uniform(0, 4), lambda: self.bring_back(replica))

    def bring_back(self, replica):
        """Without its store it does not come up: once more later."""
        if not replica.process and not replica.start():
            self.soon(2, lambda: self.bring_back(replica))

    def pause_replica(self):
        replica = self.random.choice(self.cluster.replicas)
        replica.signal(signal.SIGSTOP)
        self.soon(self.random.choice([1, 3, 14]), lambda: replica.signal(signal.SIGCONT))

    def kill_member(self):
        member = self.random.choice(self.cluster.members)
        if member.process:
            member.kill()
            self.soon(self.random.uniform(0.5, 5), lambda: member.process or member.start())

    def pause_member(self):
        member = self.random.choice(self.cluster.members)
        member.signal(signal.SIGSTOP)
        self.soon(self.random.uniform(0.5, 6), lambda: member.signal(signal.SIGCONT))

    def cut(self):
        replica = self.random.choice(self.cluster.replicas)
        members = self.random.sample([one.name for one in self.cluster.members], self.random.randint(1, 3))
        self.cluster.net.cut(replica.name, members)
        self.soon(self.random.uniform(1, 8), lambda: self.cluster.net.join(replica.name))

    def pause_instance(self):
        instance = self.random.choice(list(self.history.instances.values()))
        if instance.quiet:
            return
        instance.quiet = True

        def heal():
            instance.quiet = False
            instance.resume()
        instance.pause()
        self.soon(self.random.choice([2, 5, 15, self.history.longest]), heal)

    def move(self):
        instance = self.random.choice(list(self.history.instances.values()))
        machines = self.history.machines
        server = self.random.choice([one for one in machines.servers if one != machines.stands[instance.name]])
        if not instance.quiet:
            self.heal(everything=True)
            machines.move(instance, server)

    def lie(self):
        instance = self.random.choice(list(self.history.instances.values()))
        uid = instance.lie(self.random.uniform(3, 10))
        if uid:
            self.history.machines.write('lie', instance=instance.name, uids=[uid])

    def run(self):
        kinds = [self.kill_replica, self.cut, self.pause_instance] * 3 + [self.move] * 4 + \
            [self.pause_replica, self.kill_member, self.pause_member] * 2 + [self.lie] * self.history.lies
        while not self.history.over():
            self.heal()
            fault = self.random.choice(kinds)
            fault()
            self.history.count(fault.__name__)
            time.sleep(self.random.uniform(0.2, self.history.calm))
        self.heal(everything=True)


class History:
    def __init__(self, folder, program, seed, operations, **options):
        self.seed, self.operations = seed, operations
        self.target = options.get('target', 60)
        self.longest, self.calm = options.get('longest', 15), options.get('calm', 1.5)
        self.lies, self.patience = options.get('lies', 0), options.get('patience', 90)
        draw = random.Random(seed)
        self.counts, self.pods, self.odd = collections.Counter(), [], {}
        self.lock, self.next, self.done, self.unanswered = threading.Lock(), 0, 0, 0
        self.specs = draw_domains(draw)
        self.cluster = Cluster(folder, program)
        (self.cluster.folder / 'domains.json').write_text(json.dumps(self.specs))
        self.machines = Machines(self.cluster, draw, options.get('servers', 4), options.get('machines', 8))
        self.instances = {name: Instance(self.cluster, name, {one: one for one in DOMAINS}, f'{seed}-{name}')
                          for name in self.machines.stands}

    # --- shared by the workers ---

    def count(self, what):
        with self.lock:
            self.counts[what] += 1
            self.done += 1

    def over(self):
        return self.done >= self.operations

    def number(self):
        with self.lock:
            self.next += 1
            return self.next

    def add(self, pod):
        with self.lock:
            self.pods.append(pod)

    def take(self, draw):
        """One of the older half."""
        with self.lock:
            return self.pods.pop(draw.randrange((len(self.pods) + 1) // 2)) if self.pods else None

    def peek(self, draw):
        with self.lock:
            return draw.choice(self.pods) if self.pods else None

    # --- the whole ---

    def prepare(self):
        """Domains and namespaces, in a thread that is on the switch."""
        client = Client(self.cluster, 'admin')
        replica = self.cluster.replicas[0]
        for name, spec in self.specs.items():
            status, answer = client.call(replica, 'POST', '/apis/trust.bulkhead.dev/v1/trustdomains', {
                'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': name},
                'spec': spec})
            assert status == 201, answer
            status, answer = client.call(replica, 'POST', '/api/v1/namespaces', {
                'apiVersion': 'v1', 'kind': 'Namespace',
                'metadata': {'name': name, 'labels': {'trust.bulkhead.dev/domain': name}}})
            assert status == 201, answer

    def settle(self):
        """Everything heals, and what was asked to go goes: the ledger holds what the instances run, nothing else."""
        def level():
            charged = self.machines.charged(0)
            return charged is not None and all(
                set(charged[name]) == set(one.running) for name, one in self.instances.items())
        level.__doc__ = 'the ledger holds what the instances run'
        wait(level, self.patience, 1)

    def run(self):
        began = time.monotonic()
        self.cluster.start()
        thread = threading.Thread(target=self.prepare)
        thread.start()
        thread.join()
        for instance in self.instances.values():
            instance.start()
        everyone = [Worker(self, number) for number in range(WORKERS)] + [Faults(self)]
        for one in everyone:
            one.start()
        for one in everyone:
            one.join()
        settled = True
        try:
            self.settle()
        except AssertionError as late:
            settled = str(late)
        for instance in self.instances.values():
            instance.end()
        for instance in self.instances.values():
            instance.join(20)
        report, found = checker.check_folder(self.cluster.folder)
        return {'seed': self.seed, 'operations': self.done, 'unanswered': self.unanswered, 'odd': self.odd,
                'seconds': round(time.monotonic() - began),
                'settled': settled,
                **report, 'counts': dict(sorted(self.counts.items()))}, found

    def close(self):
        for instance in self.instances.values():
            instance.end()
        self.cluster.close()


def run_one(program, seed, operations, keep=None, **options):
    """(report, violations) of one history; its folder is kept where there is one to keep it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-history-', dir='/dev/shm'))
    folder.chmod(0o755)
    try:
        history = History(folder, program, seed, operations, **options)
        try:
            report, found = history.run()
        finally:
            history.close()
        if keep and (found or report['settled'] is not True):
            shutil.copytree(folder, pathlib.Path(keep) / f'history-{seed}', dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns('data'))
        return report, found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', help='bulkhead-cism, or one without its ledger')
    parser.add_argument('--operations', type=int, default=2000, help='of one history')
    parser.add_argument('--histories', type=int, default=1)
    parser.add_argument('--seed', type=int, default=1, help='of the first; each next one is one more')
    parser.add_argument('--lies', type=int, default=0, help='how often instances lie, among the faults')
    parser.add_argument('--longest', type=int, default=15, help='the longest pause of an instance in seconds')
    parser.add_argument('--keep', help='where folders of histories with violations are kept')
    parser.add_argument('--expect', choices=['none', 'some'], default='none')
    given = parser.parse_args()
    total = collections.Counter()
    for seed in range(given.seed, given.seed + given.histories):
        report, found = run_one(given.program, seed, given.operations, given.keep, lies=given.lies,
                                longest=given.longest, patience=90 if given.expect == 'none' else 1)
        print(json.dumps(report), flush=True)
        for one in [one for one in found if one.cause == 'placement'][:5]:
            print(f'  {one}', flush=True)
        total.update(report['violations'])
        total.update({key: report[key] for key in ('operations', 'runs', 'pairs', 'seconds')})
    print(json.dumps({'histories': given.histories, **total}))
    sys.exit((total['placement'] > 0) != (given.expect == 'some'))


if __name__ == '__main__':
    main()

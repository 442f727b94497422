# SPDX-License-Identifier: Apache-2.0
"""An instance as far as its protocol goes (docs/protocols.md): lists its pods, fetches tickets, starts and stops what a
log line says, confirms stops. It can stand still at any moment, and lie. It judges nothing itself: what its second gate
would catch is left for the ledger to prevent."""
import base64
import json
import random
import threading
import time

from bed import Client

ROOM = {'cpu': '64', 'memory': '256Gi', 'pods': '500'}
BEAT_SECONDS = 5
HOLDERS_EVERY = 8


class Instance(threading.Thread):
    def __init__(self, cluster, name, domains, seed):
        """domains: {namespace: trust domain}, for the log."""
        super().__init__(name=name, daemon=True)
        self.cluster, self.domains, self.random = cluster, domains, random.Random(seed)
        cluster.identity(name, f'/O=system:nodes/CN=system:node:{name}')
        self.log = open(cluster.folder / f'instance-{name}.log', 'a', encoding='utf-8')
        self.gate = threading.Condition()
        self.paused = self.ending = self.quiet = False
        self.running, self.finished, self.lied, self.unconfirmed = {}, set(), {}, set()
        self.epoch, self.rounds, self.beaten = 0, 0, 0
        self.clock = self.random.uniform(-600, 600)  # by how much its wall clock is wrong
        self.started = self.refused = self.errors = 0

    # --- what a fault does to it ---

    def pause(self):
        with self.gate:
            self.paused = True

    def resume(self):
        with self.gate:
            self.paused = False
            self.gate.notify_all()

    def end(self):
        with self.gate:
            self.ending, self.paused = True, False
            self.gate.notify_all()

    def lie(self, seconds):
        """Will deny a pod that it runs; its uid, or None when nothing runs."""
        with self.gate:
            free = sorted(set(self.running) - set(self.lied))
            if not free:
                return None
            uid = self.random.choice(free)
            self.lied[uid] = time.monotonic() + seconds
            self.finished.add(uid)
            self.unconfirmed.add(uid)
            return uid

    # --- its life ---

    def step(self):
        """Where it may be made to stand still; true while it is to go on."""
        with self.gate:
            while self.paused and not self.ending:
                self.gate.wait()
            return not self.ending

    def write(self, event, uid, domain):
        self.log.write(json.dumps({'time': time.monotonic_ns(), 'instance': self.name, 'event': event, 'uid': uid,
                                   'domain': domain}) + '\n')
        self.log.flush()

    def call(self, method, path, body=None, kind='application/json'):
        """The answer, or None: asked anew in the next round."""
        self.step()
        try:
            status, answer = self.client.call(self.replica, method, path, body, kind)
        except OSError:
            self.errors += 1
            self.replica = self.random.choice(self.cluster.replicas)
            return None
        self.step()
        return answer if status in (200, 201) else None

    def beat(self):
        if time.monotonic() - self.beaten < BEAT_SECONDS:
            return
        self.beaten = time.monotonic()
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S.000000Z', time.gmtime(time.time() + self.clock))
        leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
        lease = {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease',
                 'metadata': {'name': self.name, 'namespace': 'kube-node-lease'},
                 'spec': {'holderIdentity': self.name, 'leaseDurationSeconds': 40, 'renewTime': stamp}}
        self.call('PUT', f'{leases}/{self.name}', lease) or self.call('POST', leases, lease)
        self.call('PATCH', f'/api/v1/nodes/{self.name}/status', {'status': {
            'capacity': ROOM, 'allocatable': ROOM, 'conditions': [
                {'type': 'Ready', 'status': 'True', 'reason': 'Serves', 'message': 'ready'}]}},
            'application/merge-patch+json')

    def start_pod(self, pod):
        meta = pod['metadata']
        answer = self.call('GET', f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/ticket")
        if not isinstance(answer, dict) or 'payload' not in answer:
            return
        ticket = json.loads(base64.b64decode(answer['payload']))
        if self.random.random() < 0.1:
            time.sleep(self.random.uniform(0, 0.5))
        with self.gate:
            while self.paused and not self.ending:
                self.gate.wait()
            if self.ending or ticket['instance'] != self.name or ticket['uid'] != meta['uid'] \
                    or meta['uid'] in self.finished or ticket['epoch'] < self.epoch:
                self.refused += 1
                return
            self.epoch = ticket['epoch']
            self.write('start', meta['uid'], self.domains[meta['namespace']])
            self.running[meta['uid']] = self.domains[meta['namespace']]
            self.started += 1

    def stop_pod(self, uid):
        """It ends, which is noted, and then confirmed."""
        with self.gate:
            while self.paused and not self.ending:
                self.gate.wait()
            if self.ending:
                return
            domain = self.running.pop(uid, None)
            if domain:
                self.write('stop', uid, domain)
            self.lied.pop(uid, None)
            self.finished.add(uid)
            self.unconfirmed.add(uid)

    def confirm(self):
        uids = sorted(self.unconfirmed)[:50]
        if uids and self.call('POST', f'/api/v1/nodes/{self.name}/stopped', {'uids': uids}) is not None:
            self.unconfirmed -= set(uids)

    def round(self):
        self.beat()
        self.rounds += 1
        holders = None
        if self.rounds % HOLDERS_EVERY == 0:
            holders = self.call('GET', f'/api/v1/nodes/{self.name}/holders')
        answer = self.call('GET', f'/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}')
        if answer is None:
            return
        pods = {pod['metadata']['uid']: pod for pod in answer['items']}
        for uid, pod in pods.items():
            if 'deletionTimestamp' in pod['metadata']:
                if uid not in self.finished:
                    self.stop_pod(uid)
            elif uid not in self.running and uid not in self.finished and not self.quiet:
                self.start_pod(pod)
        for uid in [uid for uid in self.running if uid not in pods and uid not in self.lied]:
            self.stop_pod(uid)
        for uid in [uid for uid, until in self.lied.items() if time.monotonic() > until]:
            self.stop_pod(uid)
        for uid in (holders or {}).get('uids', []):
            if uid not in pods and uid not in self.running:
                self.finished.add(uid)
                self.unconfirmed.add(uid)
        self.confirm()

    def run(self):
        self.client = Client(self.cluster, self.name)
        self.replica = self.random.choice(self.cluster.replicas)
        while self.step():
            self.round()
            time.sleep(self.random.uniform(0.05, 0.4))
        self.log.close()

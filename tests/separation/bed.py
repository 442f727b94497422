# SPDX-License-Identifier: Apache-2.0
"""A cluster on one machine: etcd members and replicas of the CISM, each in a network namespace with an address of its
own. Any of them is killed, paused, cut off from others and started again."""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import secrets
import select
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'system'))

from support_cism import BINDING_USAGE, Pki  # noqa: E402

CLONE_NEWNET = 0x40000000
PORT = 6443
PREFIX = '10.77.0.'
CUT = ('table inet cut { set far { type ipv4_addr; }\n'
       ' chain to { type filter hook output priority 0; ip daddr @far drop;\n }\n'
       ' chain from { type filter hook input priority 0; ip saddr @far drop;\n }\n}\n')


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, **options)


def enter(path):
    """Moves the calling thread into a network namespace."""
    with open(path, 'rb') as to:
        if ctypes.CDLL(None, use_errno=True).setns(to.fileno(), CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), 'setns')


class Net:
    """A switch, and machines plugged into it: 10.77.0.N is the N-th, the switch itself is .1."""

    def __init__(self, cell=None):
        """cell: where all of it is to be (tests/system/cell.py), or on the machine itself."""
        self.name = 'bhs-' + secrets.token_hex(3)
        self.cell, self.machines = cell, {}
        self.folder = f'/proc/{cell.pid}/root/run/netns' if cell else '/run/netns'
        self.ip('netns', 'add', self.name)
        self.ip('-n', self.name, 'link', 'set', 'lo', 'up')
        self.ip('-n', self.name, 'link', 'add', 'switch', 'type', 'bridge')
        self.ip('-n', self.name, 'addr', 'add', PREFIX + '1/24', 'dev', 'switch')
        self.ip('-n', self.name, 'link', 'set', 'switch', 'up')

    def ip(self, *words):
        run(*(self.cell.words(['ip', *words]) if self.cell else ['ip', *words]))

    def popen(self, machine, words, **options):
        """A process on a machine; None: on the switch."""
        words = [str(word) for word in [*self.words(machine), *words]]
        if self.cell:
            return self.cell.popen(words, **options)
        return subprocess.Popen(words, **options)

    def plug(self, machine):
        number = len(self.machines) + 11
        inside, port = f'{self.name}-{machine}', f'p{number}'
        self.machines[machine] = PREFIX + str(number)
        self.ip('netns', 'add', inside)
        self.ip('-n', inside, 'link', 'set', 'lo', 'up')
        self.ip('-n', self.name, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', inside)
        self.ip('-n', self.name, 'link', 'set', port, 'master', 'switch', 'up')
        self.ip('-n', inside, 'addr', 'add', self.machines[machine] + '/24', 'dev', 'eth0')
        self.ip('-n', inside, 'link', 'set', 'eth0', 'up')
        self.run(machine, 'nft', '-f', '-', input=CUT)
        return self.machines[machine]

    def words(self, machine):
        """What runs a command on a machine, from within the cell."""
        return ['nsenter', f'--net=/run/netns/{self.name}-{machine}' if machine else f'--net=/run/netns/{self.name}',
                '--']

    def run(self, machine, *words, check=True, timeout=60, **options):
        words = [*self.words(machine), *(str(word) for word in words)]
        return subprocess.run(self.cell.words(words) if self.cell else words, check=check, timeout=timeout, text=True,
                              capture_output=True, **options)

    def cut(self, machine, others):
        """Nothing passes any more between a machine and some others, in either direction."""
        far = ', '.join(self.machines[other] for other in others)
        self.run(machine, 'nft', f'add element inet cut far {{ {far} }}')

    def join(self, machine):
        self.run(machine, 'nft', 'flush set inet cut far')

    def close(self):
        if self.cell:
            return  # all of it ends with the cell
        for name in [self.name, *(f'{self.name}-{machine}' for machine in self.machines)]:
            done = subprocess.run(['ip', 'netns', 'pids', name], stdout=subprocess.PIPE, text=True, check=False)
            for pid in done.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(['ip', 'netns', 'delete', name], check=False)


def innermost(pid):
    """The process that those which only entered namespaces wait for."""
    while True:
        with open(f'/proc/{pid}/comm', encoding='utf-8') as name:
            if name.read().strip() not in ('nsenter', 'unshare', 'setpriv'):
                return pid
        with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as children:
            found = children.read().split()
        if not found:
            return pid
        pid = int(found[0])


class Process:
    """A daemon that can be killed, paused and started again."""

    def __init__(self):
        self.process, self.pid, self.lock = None, None, threading.RLock()

    def signal(self, number):
        with self.lock, contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(self.pid, number)

    def kill(self):
        with self.lock:
            if self.process:
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGKILL)
                self.process.kill()
                self.process.wait()
            self.process = self.pid = None


class Member(Process):
    def __init__(self, cluster, name):
        super().__init__()
        self.cluster, self.name, self.folder = cluster, name, cluster.folder / name
        self.address = cluster.net.plug(name)
        cluster.store_pki.issue(self.folder / 'pki/member', f'/CN={name}', 'serverAuth,clientAuth',
                                f'IP:{self.address}')

    def start(self):
        everyone = ','.join(f'{one.name}=https://{one.address}:2380' for one in self.cluster.members)
        pem, key, ca = self.folder / 'pki/member.pem', self.folder / 'pki/member.key', self.cluster.store_pki.ca
        with open(self.folder / 'log', 'ab') as log, self.lock:
            words = ['etcd', '--name', self.name, '--data-dir', self.folder / 'data', '--log-level', 'error',
                     '--listen-client-urls', f'https://{self.address}:2379',
                     '--advertise-client-urls', f'https://{self.address}:2379',
                     '--listen-peer-urls', f'https://{self.address}:2380',
                     '--initial-advertise-peer-urls', f'https://{self.address}:2380', '--initial-cluster', everyone,
                     '--initial-cluster-token', self.cluster.net.name, '--client-cert-auth', '--trusted-ca-file', ca,
                     '--cert-file', pem, '--key-file', key, '--peer-client-cert-auth', '--peer-trusted-ca-file', ca,
                     '--peer-cert-file', pem, '--peer-key-file', key]
            self.process = self.cluster.net.popen(self.name, words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  env={'PATH': os.environ['PATH']})
            self.pid = self.process.pid
        if self.cluster.net.cell:
            time.sleep(0.5)
            self.pid = innermost(self.process.pid)


class Replica(Process):
    def __init__(self, cluster, name, ahead):
        """ahead: by how many seconds its monotonic clock is ahead of the machine's."""
        super().__init__()
        self.cluster, self.name, self.root, self.ahead = cluster, name, cluster.folder / name, ahead
        self.address = cluster.net.plug(name)
        self.log = self.root / 'log'
        self.etc = self.root / 'etc/bulkhead'
        place = self.etc / 'pki/cism'
        pki = cluster.pki
        pki.issue(place / 'server', '/CN=bulkhead-cism', 'serverAuth,clientAuth', f'IP:{self.address}')
        pki.issue(place / 'client', '/O=system:bulkhead/CN=system:cism', 'clientAuth')
        pki.issue(place / 'binding', f'/CN=binding:{name}', f'critical,{BINDING_USAGE}')
        shutil.copy(pki.ca, self.etc / 'pki/ca.pem')
        for part in ('pem', 'key'):
            shutil.copy(cluster.folder / f'instances/ca.{part}', place / f'instances.{part}')
        ca, client = cluster.store_pki.ca, cluster.folder / 'store-pki/client'
        (self.etc / 'cism.json').write_text(json.dumps({
            'address': self.address, 'port': PORT, 'registries': [{'host': cluster.registry, 'ca': str(pki.ca)}],
            'ticketLifetimeSeconds': 60, 'store': {'etcd': {
                'endpoints': [f'https://{one.address}:2379' for one in cluster.members], 'ca': str(ca),
                'certificate': f'{client}.pem', 'key': f'{client}.key'}}}))

    def start(self, seconds=60):
        readable, writable = os.pipe()
        clock = ['unshare', '--time', '--monotonic', str(self.ahead), '--fork', '--kill-child'] if self.ahead else []
        with open(self.log, 'ab') as log, self.lock:
            words = [*clock, self.cluster.program, '--root', self.root, '--ready-fd', str(writable)]
            self.process = self.cluster.net.popen(self.name, words, stdout=log, stderr=log, pass_fds=[writable])
            self.pid = self.process.pid
        os.close(writable)
        try:
            ready, _, _ = select.select([readable], [], [], seconds)
            said = os.read(readable, 1) if ready else b''
        finally:
            os.close(readable)
        if said:
            self.pid = innermost(self.pid)
        if said != b'1':
            self.kill()
        return said == b'1'

    def tail(self, lines=15):
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])


class Cluster:
    """Three members of etcd with mutual TLS and three replicas of the CISM."""

    def __init__(self, folder, program, members=3, replicas=3, cell=None):
        """program: of the replicas."""
        self.folder, self.program = pathlib.Path(folder), pathlib.Path(program)
        self.net = Net(cell)
        self.generation, self.lock = 0, threading.Lock()
        self.registry = PREFIX + '1:5000'
        try:
            self.pki = Pki(self.folder / 'pki', 'cluster')
            self.store_pki = Pki(self.folder / 'store-pki', 'store')
            Pki(self.folder / 'instances', 'instances')
            self.store_pki.issue(self.folder / 'store-pki/client', '/CN=cism', 'clientAuth')
            self.members = [Member(self, f'm{number}') for number in range(members)]
            self.replicas = [Replica(self, f'c{number}', number * 100000) for number in range(replicas)]
            self.identity('admin', '/O=system:masters/CN=admin')
        except BaseException:
            self.net.close()
            raise

    def identity(self, name, subject):
        return self.pki.issue(self.folder / 'ids' / name, subject, 'clientAuth')

    def start(self):
        for member in self.members:
            member.start()
        for replica in self.replicas:
            wait(replica.start, 120, 1)  # a store on a busy machine takes its time to elect

    def write_topology(self, servers):
        """{instance: (server, epoch)}, by way of the first replica's file."""
        with self.lock:
            self.generation += 1
            rows = [{'name': name, 'server': server, 'deployment': 'Nested', 'vm': f'vm-{name}', 'epoch': epoch}
                    for name, (server, epoch) in servers.items()]
            for replica in self.replicas[:1]:
                fresh = replica.etc / 'topology.new'
                fresh.write_text(json.dumps({'generation': self.generation, 'instances': rows}))
                fresh.rename(replica.etc / 'topology.json')
            return self.generation

    def etcdctl(self, *words, timeout=20):
        """A question to etcd itself, in JSON; None while it does not answer."""
        endpoints = ','.join(f'https://{one.address}:2379' for one in self.members)
        client = self.folder / 'store-pki/client'
        command = ['etcdctl', '--endpoints', endpoints, '--cacert', self.store_pki.ca, '--cert', f'{client}.pem',
                   '--key', f'{client}.key', '-w', 'json', *words]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = self.net.run(None, *command, env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3'}, timeout=timeout,
                                check=False)
            return json.loads(done.stdout) if done.returncode == 0 else None
        return None

    def close(self):
        for process in [*self.replicas, *self.members]:
            process.kill()
        self.net.close()


class Client:
    """Requests of one identity to whichever replica it is told, over connections that stay open; of one thread."""

    def __init__(self, cluster, identity, timeout=10):
        self.cluster, self.timeout, self.connections = cluster, timeout, {}
        path = cluster.folder / 'ids' / identity
        self.context = ssl.create_default_context(cafile=cluster.pki.ca)
        self.context.load_cert_chain(path.with_suffix('.pem'), path.with_suffix('.key'))
        enter(f'{cluster.net.folder}/{cluster.net.name}')

    def call(self, replica, method, path, body=None, kind='application/json'):
        """(status, answer); OSError when there is none."""
        address = replica.address
        connection = self.connections.get(address)
        if connection is None:
            connection = self.connections[address] = http.client.HTTPSConnection(
                address, PORT, context=self.context, timeout=self.timeout)
        headers = {'Content-Type': kind} if body is not None else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text[:1] in (b'{', b'[') else text
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            del self.connections[address]
            raise OSError(f'{method} {path}: {error}') from error


def wait(what, seconds=30, every=0.1):
    deadline = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        assert time.monotonic() < deadline, f'not within {seconds} s: {what.__doc__ or what}'
        time.sleep(every)

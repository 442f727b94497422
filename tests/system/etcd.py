# SPDX-License-Identifier: Apache-2.0
"""A cluster of etcd of a test's own: three members with mutual TLS, on loopback, each to be killed, paused and cut."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from registry import Identity

MEMBERS = 3


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    def __init__(self, folder, options=(), inside=()):
        """inside: the words that run a command where the cluster is to be, as in a network namespace."""
        self.inside = list(inside)
        self.folder = pathlib.Path(folder)
        self.options = list(options)
        self.ca = Identity('ca', 'etcd test CA')
        self.ca.write(self.folder, 'ca')
        # The JSON gateway is a client of its own member: with client certificates demanded it shows the server's.
        self.member = Identity('server', 'member', ca=self.ca).write(self.folder, 'member')
        self.client = Identity('client', 'client', ca=self.ca).write(self.folder, 'client')
        ports = free_ports(2 * MEMBERS)
        self.urls = [f'https://127.0.0.1:{port}' for port in ports[:MEMBERS]]
        self.peers = [f'https://127.0.0.1:{port}' for port in ports[MEMBERS:]]
        self.processes = [None] * MEMBERS
        for index in range(MEMBERS):
            self.start(index)

    def start(self, index):
        pem, key = self.member
        everyone = ','.join(f'm{number}={peer}' for number, peer in enumerate(self.peers))
        with open(self.folder / f'm{index}.log', 'ab') as log:
            self.processes[index] = subprocess.Popen(
                [*self.inside, 'etcd', '--name', f'm{index}', '--data-dir', str(self.folder / f'm{index}'),
                 '--log-level', 'error',
                 '--listen-client-urls', self.urls[index], '--advertise-client-urls', self.urls[index],
                 '--listen-peer-urls', self.peers[index], '--initial-advertise-peer-urls', self.peers[index],
                 '--initial-cluster', everyone, '--initial-cluster-token', self.folder.name,
                 '--client-cert-auth', '--trusted-ca-file', str(self.folder / 'ca.pem'), '--cert-file', pem,
                 '--key-file', key, '--peer-client-cert-auth', '--peer-trusted-ca-file', str(self.folder / 'ca.pem'),
                 '--peer-cert-file', pem, '--peer-key-file', key, *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={'PATH': os.environ['PATH']})

    def kill(self, index):
        self.processes[index].kill()
        self.processes[index].wait()

    def signal(self, index, number):
        self.processes[index].send_signal(number)

    def arguments(self):
        """Endpoints, CA, certificate and key, as the test programs take them."""
        return [','.join(self.urls), str(self.folder / 'ca.pem'), *self.client]

    def ctl(self, *words, timeout=30):
        endpoints, ca, pem, key = self.arguments()
        return subprocess.run([*self.inside, 'etcdctl', '--endpoints', endpoints, '--cacert', ca, '--cert', pem,
                               '--key', key, *words],
                              env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3'}, capture_output=True, text=True,
                              timeout=timeout, check=False)

    def wait(self, seconds=60):
        until = time.monotonic() + seconds
        while self.ctl('get', 'x').returncode != 0:
            assert time.monotonic() < until, 'etcd does not come up'
            time.sleep(0.3)

    def close(self):
        for process in self.processes:
            if process:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

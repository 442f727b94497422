# SPDX-License-Identifier: Apache-2.0
"""Real instances on the bed: each joins with a token, in a network namespace with an address of its own, and runs pods
from a registry on the switch. All of it lives in a cell."""
import base64
import hashlib
import http.client
import json
import secrets
import time
import types

import registry as registries
from bed import PORT, Client, wait
from support_node import busybox_layer


class SwitchRegistry(registries.Registry):
    def __init__(self, cluster, program, root):
        self.cluster = cluster
        super().__init__(program, root)

    def configure(self, settings):
        self.ca = types.SimpleNamespace(pem=self.cluster.pki.ca.read_text())
        self.port, self.host = 5000, self.cluster.registry
        self.cluster.pki.issue(self.pki / 'cir/server', '/CN=bulkhead-cir', 'serverAuth,clientAuth',
                               'IP:10.77.0.1')
        (self.pki / 'cism').mkdir()
        (self.pki / 'ca.pem').write_text(self.ca.pem)
        (self.pki / 'cism/instances.pem').write_text((self.cluster.folder / 'instances/ca.pem').read_text())
        self.write_users()
        (self.root / 'etc/bulkhead/cir.json').write_text(
            json.dumps({'address': '10.77.0.1', 'port': self.port, 'users': str(self.users_path)}))

    def connect(self, identity=None):
        return http.client.HTTPSConnection('10.77.0.1', self.port, context=self.context(identity), timeout=30)

    def start(self, crash_at=None, preexec=None):
        with open(self.log, 'ab') as log:
            self.process = self.cluster.net.popen(None, [self.program, '--root', self.root], stderr=log)
        return self

    def push_busybox(self):
        """Of a thread on the switch; the reference by digest."""
        def answers():
            try:
                return self.call('GET', '/v2/').status == 200
            except OSError:
                return False
        wait(answers, 30)
        layer = busybox_layer()
        text = json.dumps({'os': 'linux', 'architecture': 'amd64', 'config': {},
                           'rootfs': {'type': 'layers', 'diff_ids': [registries.digest(layer)]}}).encode()
        self.push_blob('test/busybox', text)
        self.push_blob('test/busybox', layer)
        digest = self.push_manifest('test/busybox', 'latest', registries.image_manifest(text, [layer]))
        return f'{self.host}/test/busybox@{digest}'


class Machine:
    """An instance that joined; number: of its ranges of user ids and addresses."""

    def __init__(self, cluster, programs, name, server, number):
        self.cluster, self.programs, self.name, self.server = cluster, programs, name, server
        self.root, self.number = cluster.folder / name, number
        self.address = cluster.net.plug(name)
        self.log = self.root / 'var/lib/bulkhead/log/cis.log'
        self.root.mkdir(mode=0o755)

    def bulkhead(self, *words, **options):
        return self.cluster.net.run(self.name, self.programs / 'bulkhead', *words, '--root', self.root, **options)

    def join(self, client):
        """client: of an administrator, whose thread is on the switch."""
        secret = secrets.token_urlsafe(32)
        stamp = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 600))
        status, answer = client.call(self.cluster.replicas[0], 'POST', '/apis/trust.bulkhead.dev/v1/jointokens', {
            'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'JoinToken', 'metadata': {'name': self.name},
            'spec': {'server': self.server, 'deployment': 'Nested', 'expires': stamp,
                     'secretSHA256': hashlib.sha256(secret.encode()).hexdigest()}})
        assert status == 201, answer
        text = json.dumps({'name': self.name, 'server': self.server, 'deployment': 'Nested', 'secret': secret,
                           'ca': self.cluster.pki.ca.read_text(),
                           'cism': [f'https://{one.address}:{PORT}' for one in self.cluster.replicas]})
        token = self.root / 'token'
        token.write_text('bulkhead-join-1.' + base64.urlsafe_b64encode(text.encode()).decode().rstrip('='))
        done = self.bulkhead('join', '--token-file', token, '--pod-network', f'10.{100 + self.number}.0.0/24',
                             '--uid-base', str(1900000000 + 70000000 * self.number), '--cgroup-parent', self.name,
                             check=False)
        assert done.returncode == 0, done.stderr

    def pid(self):
        return (self.root / 'run/bulkhead/cis.pid').read_text().split()[0]

    def signal(self, name):
        self.cluster.net.run(self.name, 'kill', f'-{name}', self.pid())

    def processes(self, uid):
        """How many processes a pod has on this machine, asked of the kernel."""
        script = f"cat $(find /sys/fs/cgroup -path '*{self.name}*{uid}*' -name cgroup.procs) | sort -u | wc -l"
        return int(self.cluster.net.run(self.name, 'sh', '-c', script).stdout)


class Asker(Client):
    """An administrator of the cluster."""

    def __init__(self, cluster):
        super().__init__(cluster, 'admin', timeout=30)

    def ask(self, method, path, body=None, replica=None, **options):
        status, answer = self.call(replica or self.cluster.replicas[-1], method, path, body, **options)
        assert status in (200, 201), f'{method} {path}: {status} {answer}'
        return answer

    def create(self, where, name, image, replica=None, node=None):
        spec = {'terminationGracePeriodSeconds': 1, 'restartPolicy': 'Always', 'containers': [
            {'name': 'main', 'image': image, 'command': ['sh', '-c', f'echo {name} is here; exec sleep 10000'],
             'resources': {'limits': {'cpu': '20m', 'memory': '16Mi'}}}]}
        if node:
            spec['nodeSelector'] = {'kubernetes.io/hostname': node}
        return self.ask('POST', f'/api/v1/namespaces/{where}/pods', {
            'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name, 'namespace': where}, 'spec': spec}, replica)

    def pod(self, where, name):
        return self.ask('GET', f'/api/v1/namespaces/{where}/pods/{name}')

    def wait_phase(self, where, name, phase='Running', seconds=120):
        def reached():
            found = self.pod(where, name)
            return found if found.get('status', {}).get('phase') == phase else None
        reached.__doc__ = f'pod {where}/{name} is {phase}'
        return wait(reached, seconds, 0.5)

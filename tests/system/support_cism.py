# SPDX-License-Identifier: Apache-2.0
"""A bulkhead-cism alone, in a network namespace, with keys made by openssl; clients are curl and unmodified kubectl."""

import base64
import copy
import json
import os
import pathlib
import secrets
import select
import shutil
import subprocess
import time

PORT = 6443
DIGEST = 'sha256:' + '1' * 64
IMAGE = f'127.0.0.1:5000/test/app@{DIGEST}'
BINDING_USAGE = '1.3.6.1.4.1.59999.1.1'


def openssl(*words, **options):
    subprocess.run(['openssl', *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)


class Pki:
    """A CA and what it certifies."""

    def __init__(self, folder, name='test'):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.folder / 'ca.pem'
        self.key = self.folder / 'ca.key'
        openssl(
            'req',
            '-x509',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:P-256',
            '-nodes',
            '-days',
            '2',
            '-subj',
            f'/CN=bulkhead-{name}',
            '-keyout',
            self.key,
            '-out',
            self.ca,
            '-addext',
            'keyUsage=critical,keyCertSign,cRLSign',
        )

    def issue(self, path, subject, usage, names=''):
        """A key and a certificate at path.key and path.pem."""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            'basicConstraints=critical,CA:FALSE',
            'keyUsage=critical,digitalSignature',
            f'extendedKeyUsage={usage}',
            'subjectKeyIdentifier=hash',
            'authorityKeyIdentifier=keyid',
        ]
        if names:
            lines.append(f'subjectAltName={names}')
        extensions = path.with_suffix('.ext')
        extensions.write_text('\n'.join(lines) + '\n')
        openssl(
            'req',
            '-new',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:P-256',
            '-nodes',
            '-subj',
            subject,
            '-keyout',
            path.with_suffix('.key'),
            '-out',
            path.with_suffix('.csr'),
        )
        openssl(
            'x509',
            '-req',
            '-in',
            path.with_suffix('.csr'),
            '-CA',
            self.ca,
            '-CAkey',
            self.key,
            '-CAcreateserial',
            '-days',
            '1',
            '-extfile',
            extensions,
            '-out',
            path.with_suffix('.pem'),
        )
        return path


class Cism:
    def __init__(self, programs, netns, root, kubectls, instances=None, settings=None):
        self.program = programs / 'bulkhead-cism'
        self.netns = netns
        self.root = pathlib.Path(root)
        self.kubectls = kubectls
        self.etc = self.root / 'etc/bulkhead'
        self.process = None
        self.port = PORT
        self.log = self.root / 'cism.log'
        self.pki = Pki(self.etc / 'pki')
        self.identities = {}
        place = self.etc / 'pki/cism'
        self.pki.issue(place / 'server', '/CN=bulkhead-cism', 'serverAuth,clientAuth', 'IP:127.0.0.1,DNS:localhost')
        self.pki.issue(place / 'client', '/O=system:bulkhead/CN=system:cism', 'clientAuth')
        self.pki.issue(place / 'binding', '/CN=binding:replica-1', f'critical,{BINDING_USAGE}')
        self.identity('admin', '/O=system:masters/CN=admin')
        self.identity('somebody', '/O=users/CN=somebody')
        self.write_topology(instances or [('node-1', 'server-1', 1)])
        settings = settings or {'address': '127.0.0.1', 'port': PORT, 'registries': [{'host': '127.0.0.1:5000'}]}
        (self.etc / 'cism.json').write_text(json.dumps(settings))

    def replica(self, root, port):
        """A further CISM over the same store, with the same keys."""
        other = copy.copy(self)
        other.root, other.port, other.process = pathlib.Path(root), port, None
        other.etc, other.log = other.root / 'etc/bulkhead', other.root / 'cism.log'
        shutil.copytree(self.etc, other.etc)
        settings = json.loads((self.etc / 'cism.json').read_text())
        (other.etc / 'cism.json').write_text(json.dumps({**settings, 'port': port}))
        return other

    def write_topology(self, instances, generation=None):
        rows = [
            {'name': name, 'server': server, 'deployment': 'BareMetal', 'epoch': epoch}
            for name, server, epoch in instances
        ]
        fresh = self.etc / 'topology.new'
        fresh.write_text(json.dumps({'instances': rows, **({'generation': generation} if generation else {})}))
        fresh.rename(self.etc / 'topology.json')
        for name, _, _ in instances:
            if name not in self.identities:
                self.identity(name, f'/O=system:nodes/CN=system:node:{name}')

    def identity(self, name, subject, pki=None):
        self.identities[name] = (pki or self.pki).issue(self.root / 'ids' / name, subject, 'clientAuth')

    # --- the process ---

    def words(self, *words):
        return ['ip', 'netns', 'exec', self.netns, *map(str, words)]

    def start(self, check=True, **environment):
        readable, writable = os.pipe()
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                self.words(self.program, '--root', self.root, '--ready-fd', writable),
                stdout=log,
                stderr=log,
                pass_fds=[writable],
                env={**os.environ, **environment},
            )
        os.close(writable)
        try:
            ready, _, _ = select.select([readable], [], [], 30)
            said = os.read(readable, 1) if ready else b''
        finally:
            os.close(readable)
        if check:
            assert said == b'1', self.log.read_text()
        return said == b'1'

    def stop(self):
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(20)
        self.process = None
        return status

    def wait_killed(self):
        """Waits for a crash point to strike."""
        status = self.process.wait(30)
        self.process = None
        return status

    # --- clients ---

    def curl(self, who, method, path, body=None, kind='application/json', headers=(), raw=False, seconds=30):
        """(status, parsed answer), or the bytes with raw. who None: without a certificate."""
        words = ['curl', '-sS', '--max-time', seconds, '--cacert', self.pki.ca, '-X', method, '-w', '\n%{http_code}']
        if who:
            path_of = self.identities[who]
            words += ['--cert', path_of.with_suffix('.pem'), '--key', path_of.with_suffix('.key')]
        for header in headers:
            words += ['-H', header]
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            words += ['-H', f'Content-Type: {kind}', '--data-binary', '@-']
        done = subprocess.run(
            self.words(*words, f'https://127.0.0.1:{self.port}{path}'),
            input=data,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert done.returncode == 0, f'curl {method} {path}: {done.returncode} {done.stderr.decode()}'
        text, _, status = done.stdout.rpartition(b'\n')
        if raw:
            return int(status), text
        return int(status), json.loads(text) if text.strip() else None

    def kubeconfig(self, who='admin'):
        path = self.root / f'kubeconfig-{who}'
        fresh = path.with_suffix(f'.{secrets.token_hex(4)}')  # a kubectl that starts now reads a whole one
        identity = self.identities[who]

        def data(file):
            return base64.b64encode(pathlib.Path(file).read_bytes()).decode()

        fresh.write_text(
            json.dumps(
                {
                    'apiVersion': 'v1',
                    'kind': 'Config',
                    'current-context': 'c',
                    'clusters': [
                        {
                            'name': 'c',
                            'cluster': {
                                'server': f'https://127.0.0.1:{self.port}',
                                'certificate-authority-data': data(self.pki.ca),
                            },
                        }
                    ],
                    'users': [
                        {
                            'name': 'u',
                            'user': {
                                'client-certificate-data': data(identity.with_suffix('.pem')),
                                'client-key-data': data(identity.with_suffix('.key')),
                            },
                        }
                    ],
                    'contexts': [{'name': 'c', 'context': {'cluster': 'c', 'user': 'u'}}],
                }
            )
        )
        fresh.rename(path)
        return path

    def kubectl_words(self, words, version=None, who='admin'):
        home = self.root / f'home-{version or "newest"}'
        home.mkdir(exist_ok=True)
        program = self.kubectls[version or list(self.kubectls)[-1]]
        return self.words('env', f'HOME={home}', f'KUBECONFIG={self.kubeconfig(who)}', program, *words)

    def kubectl(self, *words, version=None, who='admin', check=True, **options):
        done = subprocess.run(
            self.kubectl_words(words, version, who),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            timeout=options.pop('timeout', 60),
            **options,
        )
        if check:
            shown = f'{done.stdout}{done.stderr}\n{self.tail()}'
            assert done.returncode == 0, f'kubectl {words}: {done.returncode}\n{shown}'
        return done

    def apply(self, *objects, **options):
        text = json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': list(objects)})
        return self.kubectl('apply', '-f', '-', input=text, **options)

    def tail(self):
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-25:])

    # --- an instance, as far as its protocol goes ---

    def heartbeat(self, name='node-1', cpu='4', memory='8Gi', pods='110'):
        """Says that an instance is there and ready."""
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S.000000Z', time.gmtime())
        leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
        status, answer = self.curl(
            name,
            'PUT',
            f'{leases}/{name}',
            {
                'apiVersion': 'coordination.k8s.io/v1',
                'kind': 'Lease',
                'metadata': {'name': name, 'namespace': 'kube-node-lease'},
                'spec': {'holderIdentity': name, 'leaseDurationSeconds': 40, 'renewTime': stamp},
            },
        )
        assert status in (200, 201), answer
        room = {'cpu': cpu, 'memory': memory, 'pods': pods}
        status, answer = self.curl(
            name,
            'PATCH',
            f'/api/v1/nodes/{name}/status',
            {
                'status': {
                    'capacity': room,
                    'allocatable': room,
                    'conditions': [{'type': 'Ready', 'status': 'True', 'reason': 'Serves', 'message': 'ready'}],
                }
            },
            'application/merge-patch+json',
        )
        assert status == 200, answer

    def stopped(self, *uids, name='node-1'):
        status, answer = self.curl(name, 'POST', f'/api/v1/nodes/{name}/stopped', {'uids': list(uids)})
        assert status == 200, answer

    def holders(self, name='node-1'):
        return self.curl(name, 'GET', f'/api/v1/nodes/{name}/holders')[1]['uids']

    def get(self, path):
        status, answer = self.curl('admin', 'GET', path)
        assert status == 200, answer
        return answer

    def pod(self, namespace, name):
        return self.get(f'/api/v1/namespaces/{namespace}/pods/{name}')

    def wait(self, what, seconds=20, every=0.1):
        """Waits until what() is true and returns it."""
        deadline = time.monotonic() + seconds
        while True:
            result = what()
            if result:
                return result
            assert time.monotonic() < deadline, f'not within {seconds} s: {what.__doc__ or what}\n{self.tail()}'
            time.sleep(every)

    def wait_bound(self, namespace, name):
        def bound():
            found = self.pod(namespace, name)
            return found if found['spec'].get('nodeName') else None

        bound.__doc__ = f'pod {namespace}/{name} is bound'
        return self.wait(bound)

    def wait_pending(self, namespace, name):
        """The message with which a pod stays Pending."""

        def refused():
            for row in self.pod(namespace, name).get('status', {}).get('conditions', []):
                if row['type'] == 'PodScheduled' and row['status'] == 'False':
                    return row['message']
            return None

        refused.__doc__ = f'pod {namespace}/{name} is refused'
        return self.wait(refused)


def domain(name, **spec):
    return {
        'apiVersion': 'trust.bulkhead.dev/v1',
        'kind': 'TrustDomain',
        'metadata': {'name': name},
        'spec': {'isolation': 'Container', **spec},
    }


def namespace(name, of=None):
    labels = {'trust.bulkhead.dev/domain': of} if of else {}
    return {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': name, 'labels': labels}}


def pod(where, name, image=IMAGE, labels=None, container=None, **spec):
    return {
        'apiVersion': 'v1',
        'kind': 'Pod',
        'metadata': {'name': name, 'namespace': where, 'labels': labels or {}},
        'spec': {'containers': [{'name': 'main', 'image': image, **(container or {})}], **spec},
    }

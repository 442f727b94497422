# SPDX-License-Identifier: Apache-2.0
"""An instance service alone in a cell, with a registry beside it and a stand-in for the API server it talks to."""
import base64
import concurrent.futures
import ctypes
import http.server
import io
import json
import os
import select
import socket
import ssl
import tarfile
import threading
import time
import urllib.parse
import uuid

import registry as registries

CLONE_NEWNET = 0x40000000
APPLETS = ('sh cat cp dd df echo env false grep head hostname id ifconfig ip kill ls mkdir mount nc nslookup ps rm '
           'sleep stat sync tail touch tr true umount uname wc yes').split()
API_PORT = 6443
REGISTRY_PORT = 5000
DOMAIN = {'isolation': 'Container'}


def enter(pid):
    """Moves the calling thread into the network namespace of a process."""
    with open(f'/proc/{pid}/ns/net', 'rb') as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), 'setns')


def busybox_layer(files=None):
    """A layer of a static busybox and what else is given as {path: bytes}."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        for folder in ('bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'run', 'var', 'data', 'config', 'secret', 'usr'):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, data in {'etc/hosts': b'', 'etc/hostname': b'', 'etc/resolv.conf': b'',
                           'etc/passwd': b'root:x:0:0:root:/:/bin/sh\n', **(files or {})}.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
        with open('/usr/bin/busybox', 'rb') as busybox:
            data = busybox.read()
        entry = tarfile.TarInfo('bin/busybox')
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
        for applet in APPLETS:
            entry = tarfile.TarInfo(f'bin/{applet}')
            entry.type, entry.linkname = tarfile.SYMTYPE, 'busybox'
            tar.addfile(entry)
    return made.getvalue()


class CellRegistry(registries.Registry):
    """The registry, run inside a cell."""

    def __init__(self, program, root, cell, ca):
        self.cell = cell
        self.given_ca = ca
        super().__init__(program, root)

    def configure(self, settings):
        self.ca = self.given_ca
        self.port = REGISTRY_PORT
        self.host = f'127.0.0.1:{self.port}'
        super().configure(settings)

    def start(self, crash_at=None, preexec=None):
        ready, theirs = os.pipe()
        with open(self.log, 'ab') as log:
            self.process = self.cell.popen([self.program, '--root', self.root, '--ready-fd', theirs], stderr=log,
                                           pass_fds=[theirs])
        os.close(theirs)
        # One byte: the program that enters the cell keeps the other end open.
        with os.fdopen(ready, 'rb', buffering=0) as pipe:
            assert pipe.read(1) == b'1', self.log.read_text()
        return self


class Node:
    def __init__(self, cell, root, programs, name='node-1', server='server-1'):
        self.cell, self.root, self.programs, self.name, self.server = cell, root, programs, name, server
        self.state = root / 'var/lib/bulkhead/cis'
        self.log = root / 'cis.log'
        self.process = None
        self.net = concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=[cell.pid])
        self.ca = registries.Identity('ca', 'ca')
        self.binding = registries.Identity('binding', 'binding:test', ca=self.ca)
        self.client = registries.Identity('client', f'system:node:{name}', 'system:nodes', self.ca)
        etc = root / 'etc/bulkhead'
        (etc / 'pki').mkdir(parents=True)
        for folder in ('var/lib/bulkhead/log', 'run/bulkhead'):
            (root / folder).mkdir(parents=True)
        (etc / 'pki/ca.pem').write_text(self.ca.pem)
        self.client.write(etc / 'pki/cis', 'client')
        self.settings = {
            'instance': name, 'cism': f'https://127.0.0.1:{API_PORT}',
            'registries': [{'host': f'127.0.0.1:{REGISTRY_PORT}'}], 'podNetwork': '10.88.0.0/24', 'bridge': 'bh0',
            'uidBase': 1900000000, 'uidRanges': 100, 'runtime': str(programs / 'bulkhead-runtime'),
            'cgroupParent': 'bulkhead'}
        self.configure()
        self.registry = CellRegistry(programs / 'bulkhead-cir', root, cell, self.ca)
        self.images = {}

    def configure(self, **changes):
        self.settings.update(changes)
        (self.root / 'etc/bulkhead/cis.json').write_text(json.dumps(self.settings))

    def push_image(self, repository='test/busybox', config=None, layer=None):
        """Pushes an image and returns its reference by digest."""
        layer = layer or busybox_layer()
        text = json.dumps({'os': 'linux', 'architecture': 'amd64', 'config': config or {},
                           'rootfs': {'type': 'layers', 'diff_ids': [registries.digest(layer)]}}).encode()

        def push():
            self.registry.push_blob(repository, text)
            self.registry.push_blob(repository, layer)
            return self.registry.push_manifest(repository, 'latest', registries.image_manifest(text, [layer]))
        return f'{self.registry.host}/{repository}@{self.net.submit(push).result()}'

    def token(self, image, **more):
        host, rest = image.split('/', 1)
        repository, digest = rest.split('@')
        payload = {'kind': 'PullToken', 'version': 1, 'registry': host, 'repository': repository, 'digest': digest,
                   'instanceCertificate': self.client.sha256(), 'expires': registries.stamp(600), **more}
        sealed = registries.seal(self.binding, json.dumps(payload).encode())
        return base64.urlsafe_b64encode(sealed).decode().rstrip('=')

    def payload(self, pod, domain='ims', spec=None, expires=600, **more):
        """The payload of a ticket for a pod object."""
        containers = pod['spec']['containers'] + pod['spec'].get('initContainers', [])
        images = sorted({container['image'] for container in containers})
        known = pod['metadata']
        return {'kind': 'Ticket', 'version': 1, 'uid': known['uid'], 'namespace': known['namespace'],
                'name': known['name'], 'instance': self.name, 'server': self.server, 'epoch': 1,
                'domain': domain, 'domainSpec': spec or DOMAIN, 'domainsRevision': '1', 'subFunction': '',
                'issued': registries.stamp(0), 'expires': registries.stamp(expires), 'pod': json.dumps(pod),
                'pulls': [{'image': image, 'token': self.token(image)} for image in images if '@' in image], **more}

    def ticket(self, pod, signer=None, **more):
        return registries.seal(signer or self.binding, json.dumps(self.payload(pod, **more)).encode())

    # --- the process ---

    def start(self, *words, check=True, **environment):
        readable, writable = os.pipe()
        with open(self.log, 'ab') as log:
            self.process = self.cell.popen(
                [self.programs / 'bulkhead-cis', '--root', self.root, '--ready-fd', writable, *words], stdout=log,
                stderr=log, pass_fds=[writable], env={**os.environ, **environment})
        os.close(writable)
        try:
            ready, _, _ = select.select([readable], [], [], 30)
            said = os.read(readable, 1) if ready else b''
        finally:
            os.close(readable)
        if check:
            assert said == b'1', self.tail()
        return said == b'1'

    def stop(self):
        """Ends the service as a restart does; pods keep running."""
        if self.process is None:
            return 0
        pid = self.pid()
        if pid:
            self.cell.run(['kill', '-TERM', pid], check=True)
        status = self.process.wait(30)
        self.process = None
        return status

    def pid(self):
        """The service's process id inside the cell."""
        done = self.cell.run(['pgrep', '-x', 'bulkhead-cis'])
        return done.stdout.split()[0] if done.stdout.split() else None

    def kill(self):
        self.cell.run(['kill', '-KILL', self.pid()], check=True)
        self.process.wait(10)
        self.process = None

    def control(self, request):
        """A request to the service's own socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.settimeout(60)
            line.connect(str(self.root / 'run/bulkhead/cis.sock'))
            line.send(json.dumps(request).encode())
            return json.loads(line.recv(1 << 20))

    def status(self, uid):
        for row in self.control({'op': 'status'})['pods']:
            if row['uid'] == uid:
                return row
        return None

    def tail(self):
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-30:])

    def wait(self, what, seconds=30, every=0.05):
        deadline = time.monotonic() + seconds
        while True:
            result = what()
            if result:
                return result
            assert time.monotonic() < deadline, f'not within {seconds} s: {what.__doc__ or what}\n{self.tail()}'
            time.sleep(every)

    def wait_phase(self, uid, phase, seconds=30):
        def reached():
            row = self.status(uid)
            return row if row and row['status']['phase'] == phase else None
        reached.__doc__ = f'pod {uid} is {phase}'
        return self.wait(reached, seconds)

    def supervisor(self, uid):
        """The supervisor's process id inside the cell."""
        return json.loads((self.root / f'run/bulkhead/pods/{uid}/state.json').read_text())['pid']

    def inside(self, uid, *words, **options):
        """Runs a program of the machine in a pod's network namespace."""
        state = json.loads((self.root / f'run/bulkhead/pods/{uid}/state.json').read_text())
        return self.cell.run(['nsenter', f"--net={state['namespaces']['network']}", '--', *words], **options)

    def text(self, uid, container='main', attempt=0):
        """What a container has written, without times and streams."""
        path = self.state / f'pods/{uid}/logs/{container}/{attempt}.log'
        if not path.exists():
            return ''
        return ''.join(line.split(' ', 3)[3] for line in path.read_text().splitlines(keepends=True))

    def close(self):
        """What is left of pods ends with the cell."""
        self.net.shutdown(wait=False)
        if self.process:
            self.process.kill()
            self.process.wait()
        self.registry.kill()


def pod(name, image, script='sleep 1000', namespace='ims', container=None, containers=None, metadata=None, **spec):
    main = {'name': 'main', 'image': image, 'command': ['sh', '-c', script], **(container or {})}
    return {'apiVersion': 'v1', 'kind': 'Pod',
            'metadata': {'name': name, 'namespace': namespace, 'uid': str(uuid.uuid4()), **(metadata or {})},
            'spec': {'terminationGracePeriodSeconds': 1, 'containers': containers or [main], **spec}}


class Api:
    """A stand-in for the CISM with a valid certificate: it offers whatever pods and tickets a test gives it, signed by
    whom the test likes, and keeps what the instance tells it."""

    def __init__(self, node):
        self.node = node
        self.lock = threading.Condition()
        self.pods, self.tickets, self.objects = {}, {}, {}
        self.history = []  # (version, type, object)
        self.version = 100
        self.holders, self.stopped = set(), []
        self.statuses, self.events, self.leases, self.node_statuses = {}, [], [], []
        self.streams, self.answers = [], {}
        self.connections = []
        identity = registries.Identity('server', 'cism', ca=node.ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*identity.write(node.root / 'api', 'server'))
        context.load_verify_locations(cadata=node.ca.pem)
        context.verify_mode = ssl.CERT_REQUIRED

        def listen():
            handler = type('Handler', (Handler,), {'api': self})
            server = http.server.ThreadingHTTPServer(('127.0.0.1', API_PORT), handler)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            return server
        self.server = node.net.submit(listen).result()
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    def close(self):
        with self.lock:
            self.server.shutdown()
            self.lock.notify_all()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def tell(self, kind, item):
        with self.lock:
            self.version += 1
            item['metadata']['resourceVersion'] = str(self.version)
            self.history.append((self.version, kind, json.loads(json.dumps(item))))
            self.lock.notify_all()

    def offer(self, item, ticket):
        """Binds a pod to the instance and has this ticket ready for it."""
        uid = item['metadata']['uid']
        bound = json.loads(json.dumps(item))
        bound['spec']['nodeName'] = self.node.name
        self.tickets[(item['metadata']['namespace'], item['metadata']['name'])] = ticket
        with self.lock:
            self.pods[uid] = bound
            self.holders.add(uid)
        self.tell('ADDED', bound)

    def delete(self, uid, grace=1):
        bound = self.pods[uid]
        bound['metadata']['deletionTimestamp'] = registries.stamp(grace)
        bound['metadata']['deletionGracePeriodSeconds'] = grace
        self.tell('MODIFIED', bound)

    def forget(self, uid):
        """Removes the object by force."""
        with self.lock:
            bound = self.pods.pop(uid)
        self.tell('DELETED', bound)

    def confirm(self, uids):
        with self.lock:
            self.stopped += uids
            self.holders -= set(uids)
            gone = [self.pods.pop(uid) for uid in uids
                    if uid in self.pods and 'deletionTimestamp' in self.pods[uid]['metadata']]
        for bound in gone:
            self.tell('DELETED', bound)

    def wait(self, what, seconds=30):
        return self.node.wait(what, seconds)

    def wait_status(self, uid, matches, seconds=30):
        def reported():
            status = self.statuses.get(uid)
            return status if status and matches(status) else None
        reported.__doc__ = f'a matching status of {uid}; the last one is {self.statuses.get(uid)}'
        return self.wait(reported, seconds)

    def wait_stopped(self, uid, seconds=30):
        def confirmed():
            return uid in self.stopped
        confirmed.__doc__ = f'the instance confirms the stop of {uid}'
        return self.wait(confirmed, seconds)

    def reasons(self, uid):
        return [event['reason'] for event in self.events if event['involvedObject']['uid'] == uid]

    def read_log(self, item, container='main', seconds=30, **options):
        """Asks for a log over the reverse connection; {'status', 'error', 'text'}."""
        order = {'id': uuid.uuid4().hex, 'kind': 'Log', 'namespace': item['metadata']['namespace'],
                 'pod': item['metadata']['name'], 'uid': item['metadata']['uid'], 'container': container,
                 'follow': False, 'timestamps': False, 'previous': False, **options}
        with self.lock:
            self.streams.append(order)
            self.lock.notify_all()

        def answered():
            answer = self.answers.get(order['id'])
            return answer if answer and (answer['done'] or order['follow']) else None
        return self.wait(answered, seconds)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    api = None

    def setup(self):
        super().setup()
        self.api.connections.append(self.connection)

    def log_message(self, *words):
        pass

    def answer(self, status, body=None):
        data = b'' if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def missing(self):
        self.answer(404, {'kind': 'Status', 'status': 'Failure', 'message': 'not found', 'code': 404})

    def pieces(self):
        """The request's body piece by piece."""
        if self.headers.get('Transfer-Encoding') == 'chunked':
            while True:
                size = int(self.rfile.readline().strip() or b'0', 16)
                data = self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
                yield data
        elif self.headers.get('Content-Length'):
            yield self.rfile.read(int(self.headers['Content-Length']))

    def body(self):
        data = b''.join(self.pieces())
        return json.loads(data) if data else None

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        parts = url.path.strip('/').split('/')
        if parts[2:] == ['pods'] and query.get('watch') == 'true':
            self.watch(int(query['resourceVersion']))
        elif parts[2:] == ['pods']:
            with self.api.lock:
                self.answer(200, {'kind': 'PodList', 'apiVersion': 'v1', 'items': list(self.api.pods.values()),
                                  'metadata': {'resourceVersion': str(self.api.version)}})
        elif parts[-1] == 'ticket':
            ticket = self.api.tickets.get((parts[3], parts[5]))
            self.answer(200, ticket) if ticket is not None else self.missing()
        elif parts[-1] == 'holders':
            self.answer(200, {'uids': sorted(self.api.holders)})
        elif parts[-1] == 'streams':
            self.next_stream()
        elif '/'.join(parts[2:]) in self.api.objects:
            self.answer(200, self.api.objects['/'.join(parts[2:])])
        else:
            self.missing()

    def next_stream(self):
        with self.api.lock:
            if not self.api.streams:
                self.api.lock.wait(2)
            order = self.api.streams.pop(0) if self.api.streams else None
        self.answer(200, order) if order else self.answer(204)

    def watch(self, version):
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        try:
            while True:
                with self.api.lock:
                    fresh = [row for row in self.api.history if row[0] > version]
                    if not fresh:
                        self.api.lock.wait(1)
                        continue
                for version, kind, item in fresh:
                    line = json.dumps({'type': kind, 'object': item}).encode() + b'\n'
                    self.wfile.write(f'{len(line):x}\r\n'.encode() + line + b'\r\n')
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def do_PATCH(self):
        parts = self.path.strip('/').split('/')
        body = self.body()
        if parts[2] == 'nodes':
            self.api.node_statuses.append(body['status'])
            self.answer(200, {})
            return
        uid = body['metadata']['uid']
        with self.api.lock:
            known = uid in self.api.pods
            self.api.statuses[uid] = body['status']
            if known:
                self.api.pods[uid]['status'] = body['status']
        self.answer(200, {}) if known else self.missing()

    def do_PUT(self):
        body = self.body()
        known = bool(self.api.leases)
        if not known:
            self.missing()
            return
        self.api.leases.append(body)
        self.answer(200, body)

    def do_POST(self):
        parts = self.path.strip('/').split('/')
        if 'streams' in parts:
            self.take_stream(parts[-1])
            return
        body = self.body()
        if parts[-1] == 'stopped':
            self.api.confirm(body['uids'])
        elif parts[-1] == 'events':
            self.api.events.append(body)
        elif parts[-1] == 'leases':
            self.api.leases.append(body)
        self.answer(201, {})

    def take_stream(self, name):
        answer = self.api.answers[name] = {'error': self.headers.get('X-Bulkhead-Error'), 'text': b'', 'done': False}
        for data in self.pieces():
            answer['text'] += data
            if answer.get('cut'):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
        answer['done'] = True
        self.answer(200, {})


def make_node(cell, root, programs):
    node = Node(cell, root, programs)
    node.registry.start()
    return node

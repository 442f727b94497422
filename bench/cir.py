# SPDX-License-Identifier: Apache-2.0
"""The registry beside docker-registry, which serves the same image, and nginx, which serves the same bytes as static
files: requests and bytes a second over 16 connections, with TLS and without, a push of 200 MB, and memory. Rows of
manifests and of the push have docker-registry as their peer, those with "_nginx" and those of blobs nginx. What is not
installed is left out."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 'tests/system'))

import registry as registries  # noqa: E402

SECONDS = os.environ.get('BULKHEAD_BENCH_SECONDS', '4')
ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '2'))
AUTHORIZATION = 'Authorization: Basic cHVzaGVyOmdlaGVpbQ=='

NGINX = """
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; root {folder}/www; }}
server {{ listen 127.0.0.1:{plain}; root {folder}/www; }} }}
"""

DOCKER = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {certificate}, key: {key}}}}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wrk(url, *more):
    """(requests a second, megabytes a second)"""
    shown = subprocess.run(['wrk', '-t2', '-c16', f'-d{SECONDS}s', *more, url], capture_output=True, text=True,
                           check=True).stdout
    assert 'Non-2xx' not in shown, shown
    amount, unit = re.search(r'Transfer/sec:\s+([\d.]+)(\w+)', shown).groups()
    scale = {'B': 1e-6, 'KB': 1e-3, 'MB': 1, 'GB': 1e3}[unit]
    return float(re.search(r'Requests/sec:\s+([\d.]+)', shown)[1]), float(amount) * scale


def wait_for_port(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f'nothing serves on port {port}')


@contextlib.contextmanager
def program(words, port):
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def nginx(registry, folder, files):
    """Yields the base addresses with and without TLS, or None."""
    if not shutil.which('nginx'):
        yield None
        return
    (folder / 'www').mkdir(parents=True)
    for name, data in files.items():
        (folder / 'www' / name).write_bytes(data)
    tls, plain = free_port(), free_port()
    identity = {'key': registry.pki / 'cir/server.key', 'certificate': registry.pki / 'cir/server.pem'}
    (folder / 'nginx.conf').write_text(NGINX.format(folder=folder, tls=tls, plain=plain, **identity))
    with program(['nginx', '-e', folder / 'error.log', '-c', folder / 'nginx.conf'], tls):
        yield f'https://127.0.0.1:{tls}', f'http://127.0.0.1:{plain}'


@contextlib.contextmanager
def docker_registry(registry, folder):
    """Yields its host and port, or None."""
    if not shutil.which('docker-registry'):
        yield None
        return
    folder.mkdir()
    port = free_port()
    (folder / 'config.yml').write_text(DOCKER.format(folder=folder, port=port, key=registry.pki / 'cir/server.key',
                                                     certificate=registry.pki / 'cir/server.pem'))
    with program(['docker-registry', 'serve', folder / 'config.yml'], port):
        yield f'127.0.0.1:{port}'


def resident(registry):
    with open(f'/proc/{registry.process.pid}/status', encoding='utf-8') as status:
        return int(re.search(r'VmHWM:\s+(\d+)', status.read())[1]) / 1024


def curl(ca, *words):
    return subprocess.run(['curl', '-s', '--cacert', ca, *words], capture_output=True, text=True, check=True).stdout


def push_inline(host, ca, path, digest):
    """Seconds for one blob in one request."""
    began = time.monotonic()
    status = curl(ca, '-o', '/dev/null', '-w', '%{http_code}', '-X', 'POST', '-H', AUTHORIZATION, '-H', 'Expect:', '-T',
                  path, f'https://{host}/v2/bench/a/blobs/uploads?digest={digest}')
    assert status == '201', status
    return time.monotonic() - began


def push_blob(host, ca, path, digest):
    """The same as docker-registry takes it: POST, then PUT of the whole."""
    began = time.monotonic()
    head = curl(ca, '-i', '-X', 'POST', f'https://{host}/v2/bench/a/blobs/uploads/')
    at = re.search(r'(?i)\nlocation: (\S+)', head)[1]
    at = at if at.startswith('http') else f'https://{host}{at}'
    status = curl(ca, '-o', '/dev/null', '-w', '%{http_code}', '-X', 'PUT', '-H', 'Expect:', '-H',
                  'Content-Type: application/octet-stream', '-T', path,
                  f"{at}{'&' if '?' in at else '?'}digest={digest}")
    assert status == '201', status
    return time.monotonic() - began


def pushes(registry, peer, ca, folder):
    """Megabytes a second of the registry and of docker-registry, alternating."""
    size, own, theirs = 200_000_000, [], []
    for turn in range(ROUNDS):
        data = secrets.token_bytes(size)
        (folder / 'blob').write_bytes(data)
        digest = registries.digest(data)
        own.append(push_inline(registry.host, ca, folder / 'blob', digest))
        if peer:
            theirs.append(push_blob(peer, ca, folder / 'blob', digest))
    return size / 1e6 / min(own), size / 1e6 / min(theirs) if theirs else None


def push_to_peer(peer, ca, folder, image):
    """The same image to docker-registry: its blobs and its manifest."""
    for data in image['blobs']:
        (folder / 'piece').write_bytes(data)
        push_blob(peer, ca, folder / 'piece', registries.digest(data))
    (folder / 'piece').write_bytes(image['manifest'])
    status = curl(ca, '-o', '/dev/null', '-w', '%{http_code}', '-X', 'PUT', '-H',
                  f'Content-Type: {registries.MANIFEST}', '--data-binary', f'@{folder}/piece',
                  f'https://{peer}/v2/bench/a/manifests/v1')
    assert status == '201', status


def result(name, value, unit, peer=None):
    return {'name': name, 'value': value, 'unit': unit, 'peer': peer, 'ratio': value / peer if peer else None}


def best(which, *addresses):
    """The best of some rounds for each address, taken in turn; None for an address that is None."""
    measured = [[] for _ in addresses]
    for _ in range(ROUNDS):
        for address, values in zip(addresses, measured):
            values.append(wrk(*address)[which] if address else None)
    return [max(values) if values[0] is not None else None for values in measured]


def rows(name, unit, own, peers):
    found = [result(name + suffix, own, unit, peer) for suffix, peer in peers if peer]
    return found or [result(name, own, unit)]


def measure(registry, plain, folder):
    blob = secrets.token_bytes(1 << 20)
    config = json.dumps({'os': 'linux', 'architecture': 'amd64', 'rootfs': {'type': 'layers', 'diff_ids': []}}).encode()
    for server in [registry, plain]:
        server.push_blob('bench/a', blob)
        layer = registries.digest(blob)
        manifest = server.push_image('bench/a', 'v1', layers=(blob,))
    data = registry.call('GET', f'/v2/bench/a/manifests/{manifest}').body
    base, plain_base = f'https://{registry.host}/v2/bench/a', f'http://{plain.host}/v2/bench/a'
    accept, own, results = ['-H', f'Accept: {registries.MANIFEST}'], ['-H', AUTHORIZATION], []
    ca = folder / 'ca.pem'
    ca.write_text(registry.ca.pem)
    with contextlib.ExitStack() as stack:
        static = stack.enter_context(nginx(registry, folder / 'nginx', {'manifest': data, 'blob': blob}))
        docker = stack.enter_context(docker_registry(registry, folder / 'docker'))
        if docker:
            push_to_peer(docker, ca, folder, {'blobs': [config, blob], 'manifest': data})

        def figures(which, path, static_name, tls=True):
            theirs = f'https://{docker}/v2/bench/a/{path}' if docker and tls else None
            return best(which, (f'{base if tls else plain_base}/{path}', *own), (theirs, *accept) if theirs else None,
                        (f'{static[0 if tls else 1]}/{static_name}',) if static else None)
        for name, reference in [('manifest_by_digest', manifest), ('manifest_by_tag', 'v1')]:
            value, theirs, ceiling = figures(0, f'manifests/{reference}', 'manifest')
            results += rows(name, 'requests/s', value, [('', theirs), ('_nginx', ceiling)])
            value, _, ceiling = figures(0, f'manifests/{reference}', 'manifest', tls=False)
            results += rows(f'{name}_plain', 'requests/s', value, [('_nginx', ceiling)])
        for name, tls in [('blob_1m', False), ('blob_1m_tls', True)]:
            value, _, ceiling = figures(1, f'blobs/{layer}', 'blob', tls)
            results += rows(name, 'MB/s', value, [('', ceiling)])
        value, theirs = pushes(registry, docker, ca, folder)
        results.append(result('push_200m', value, 'MB/s', theirs))
    results.append(result('memory', resident(registry), 'MiB'))
    return results


class Plain(registries.Registry):
    """One without TLS."""

    def connect(self, identity=None):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)


def main():
    path = pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'src/cir/bulkhead-cir'
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-bench-', dir='/var/tmp'))
    started = []
    try:
        if not shutil.which('wrk'):
            print(json.dumps({'results': []}))
            return
        folder.chmod(0o755)
        for name, kind, settings in [('tls', registries.Registry, {}), ('plain', Plain, {'tls': False})]:
            (folder / name).mkdir(mode=0o755)
            started.append(kind(path, folder / name, **settings).start())
        print(json.dumps({'results': measure(*started, folder)}))
    finally:
        for registry in started:
            registry.kill()
        shutil.rmtree(folder)


main()

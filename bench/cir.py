# SPDX-License-Identifier: Apache-2.0
"""The registry beside nginx, which serves the same bytes as static files over TLS: requests a second and bytes a second
over 16 connections, a push of 100 MB, and memory. Without nginx or wrk the peer is left out, or the figures are."""
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 'tests/system'))

import registry as registries  # noqa: E402

SECONDS = os.environ.get('BULKHEAD_BENCH_SECONDS', '4')
AUTHORIZATION = 'Authorization: Basic cHVzaGVyOmdlaGVpbQ=='

NGINX = """
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
root {folder}/www; }} }}
"""


def wrk(url, *more):
    """(requests a second, bytes a second)"""
    shown = subprocess.run(['wrk', '-t2', '-c16', f'-d{SECONDS}s', *more, url], capture_output=True, text=True,
                           check=True).stdout
    assert 'Non-2xx' not in shown, shown
    amount, unit = re.search(r'Transfer/sec:\s+([\d.]+)(\w+)', shown).groups()
    scale = {'KB': 1e3, 'MB': 1e6, 'GB': 1e9}[unit]
    return float(re.search(r'Requests/sec:\s+([\d.]+)', shown)[1]), float(amount) * scale


def serve_static(registry, folder, files):
    """nginx with the files, or None."""
    if not shutil.which('nginx'):
        return None, None
    (folder / 'www').mkdir(parents=True)
    for name, data in files.items():
        (folder / 'www' / name).write_bytes(data)
    port = registry.port + 1
    text = NGINX.format(folder=folder, port=port, certificate=registry.pki / 'cir/server.pem',
                        key=registry.pki / 'cir/server.key')
    (folder / 'nginx.conf').write_text(text)
    process = subprocess.Popen(['nginx', '-e', folder / 'error.log', '-c', folder / 'nginx.conf'],
                               stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    return process, f'https://127.0.0.1:{port}'


def resident(registry):
    with open(f'/proc/{registry.process.pid}/status', encoding='utf-8') as status:
        return int(re.search(r'VmHWM:\s+(\d+)', status.read())[1]) / 1024


def push(registry, folder):
    """Seconds for one blob of 100 MB."""
    data = secrets.token_bytes(100_000_000)
    (folder / 'blob').write_bytes(data)
    (folder / 'ca.pem').write_text(registry.ca.pem)
    digest = registries.digest(data)
    began = time.monotonic()
    url = f'https://{registry.host}/v2/bench/a/blobs/uploads/?digest={digest}'
    status = subprocess.run(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', folder / 'ca.pem', '-u',
                             'pusher:geheim', '--data-binary', f'@{folder}/blob', url], capture_output=True, text=True,
                            check=True).stdout
    assert status == '201', status
    return time.monotonic() - began


def result(name, value, unit, peer=None):
    return {'name': name, 'value': value, 'unit': unit, 'peer': peer, 'ratio': value / peer if peer else None}


def measure(registry, folder):
    blob = secrets.token_bytes(1 << 20)
    layer = registry.push_blob('bench/a', blob)
    manifest = registry.push_image('bench/a', 'v1', layers=(b'x' * 100,))
    data = registry.call('GET', f'/v2/bench/a/manifests/{manifest}').body
    nginx, static = serve_static(registry, folder / 'nginx', {'manifest': data, 'blob': blob})
    base, own = f'https://{registry.host}/v2/bench/a', ['-H', AUTHORIZATION]
    results = []
    try:
        peer = wrk(f'{static}/manifest')[0] if static else None
        results.append(result('manifest_by_digest', wrk(f'{base}/manifests/{manifest}', *own)[0], 'requests/s', peer))
        results.append(result('manifest_by_tag', wrk(f'{base}/manifests/v1', *own)[0], 'requests/s', peer))
        peer = wrk(f'{static}/blob')[1] / 1e6 if static else None
        results.append(result('blob_1m_tls', wrk(f'{base}/blobs/{layer}', *own)[1] / 1e6, 'MB/s', peer))
    finally:
        if nginx:
            nginx.terminate()
            nginx.wait()
    results.append(result('push_100m', 100 / push(registry, folder), 'MB/s'))
    results.append(result('memory', resident(registry), 'MiB'))
    return results


def main():
    program = pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'src/cir/bulkhead-cir'
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-bench-', dir='/var/tmp'))
    folder.chmod(0o755)
    registry = None
    try:
        if not shutil.which('wrk'):
            print(json.dumps({'results': []}))
            return
        registry = registries.Registry(program, folder)
        registry.start()
        print(json.dumps({'results': measure(registry, folder)}))
    finally:
        if registry:
            registry.kill()
        shutil.rmtree(folder)


main()

# SPDX-License-Identifier: Apache-2.0
"""Placement: decisions in memory, placements that are on disk, and the proof that separation holds.

decisions_per_second_*: the scheduler's own function with every filter and score, each decision committed in memory, of
processor time on one core; the peer is the same question asked of every instance one by one, in the same cluster.
durable_*: from the moment that instances are ready to the last of the pods that waited being bound, by the real CISM:
with SQLite, and three replicas over three members of etcd with TLS. BULKHEAD_BENCH_PODS says how many pods,
BULKHEAD_BENCH_PLOT=1 writes docs/placement.svg.
"""
import concurrent.futures
import http.client
import json
import math
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ['BULKHEAD_BUILD'])
TOP = pathlib.Path(__file__).parent.parent
PODS = int(os.environ.get('BULKHEAD_BENCH_PODS', '2000'))
SECONDS = float(os.environ.get('BULKHEAD_BENCH_SECONDS', '1.5'))
INSTANCES = 50
DOMAINS = 10
sys.path.insert(0, str(TOP / 'tests' / 'system'))

from etcd import Cluster, free_ports  # noqa: E402
from support_cism import Cism, domain, namespace, pod  # noqa: E402


def measure(*words):
    done = subprocess.run([BUILD / 'bench' / 'measure_placement', *map(str, words)], stdout=subprocess.PIPE, check=True)
    return [float(word) for word in done.stdout.split()]


def result(name, value, unit, peer=None):
    return {'name': name, 'value': value, 'unit': unit, 'peer': peer, 'ratio': value / peer if peer else None}


# --- in memory ---

def decisions():
    for instances in (5000, 15000):
        ours, peer, placed, full, pods, clock = measure('decide', instances, 500, SECONDS)
        yield result(f'decisions_per_second_{instances}', ours, '/s', peer)
        print(f'{instances} instances {full:.0%} full with {pods:.0f} pods: {placed:.1%} placed, '
              f'{clock:.0f}/s by the clock', file=sys.stderr)


def proof():
    spent, clock, pods, mib = measure('prove', 15000, 300000, 500)
    yield result('drift_proof_seconds', spent, 's')
    yield result('drift_proof_mib', mib, 'MiB')
    print(f'{pods:.0f} pods proven in {clock:.3f} s by the clock', file=sys.stderr)


# --- on disk ---

class Bench(Cism):
    """A CISM on this machine's own loopback, spoken to over connections that stay."""

    def words(self, *words):
        return list(map(str, words))

    def connect(self, who='admin'):
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        context.check_hostname = False
        context.load_cert_chain(self.identities[who].with_suffix('.pem'), self.identities[who].with_suffix('.key'))
        return http.client.HTTPSConnection('127.0.0.1', self.port, context=context, timeout=120)

    def post(self, connection, path, body):
        connection.request('POST', path, json.dumps(body), {'Content-Type': 'application/json'})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text

    def metric(self, connection, name):
        connection.request('GET', '/metrics')
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith(name):
                return int(line.split()[-1])
        raise LookupError(name)


def settings_of(port, etcd=None):
    made = {'address': '127.0.0.1', 'port': port, 'registries': [{'host': '127.0.0.1:5000'}]}
    if etcd:
        _, ca, pem, key = etcd.arguments()
        made['store'] = {'etcd': {'endpoints': etcd.urls, 'ca': ca, 'certificate': pem, 'key': key}}
    return made


def create(replica, numbers):
    connection = replica.connect()
    for number in numbers:
        where = f'space-{number % DOMAINS}'
        replica.post(connection, f'/api/v1/namespaces/{where}/pods', pod(
            where, f'pod-{number}', container={'resources': {'requests': {'cpu': '10m', 'memory': '16Mi'}}}))


def fill(replicas):
    """Trust domains that must be apart from two others each, their namespaces, and pods that wait."""
    first = replicas[0]
    connection = first.connect()
    for number in range(DOMAINS):
        others = [f'domain-{(number + step) % DOMAINS}' for step in (1, 2)]
        first.post(connection, '/apis/trust.bulkhead.dev/v1/trustdomains',
                   domain(f'domain-{number}', separation=[{'from': {'domains': others}, 'level': 'Server'}]))
        first.post(connection, '/api/v1/namespaces', namespace(f'space-{number}', f'domain-{number}'))
    shares = [(replica, range(index * 4 + lane, PODS, 4 * len(replicas)))
              for index, replica in enumerate(replicas) for lane in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(lambda share: create(*share), shares))


def bind_all(replicas):
    """Pods a second, from the first instance ready to the last pod bound."""
    connections = [replica.connect() for replica in replicas]

    def bound():
        return sum(replica.metric(one, 'bulkhead_binds_total') for replica, one in zip(replicas, connections))

    for number in range(1, INSTANCES):
        replicas[0].heartbeat(f'node-{number}', cpu='0', memory='8Gi', pods='0')
    time.sleep(3)
    assert bound() == 0
    # No pod has room until here: the last ones are told together.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: replicas[0].heartbeat(f'node-{number}', cpu='64', memory='256Gi', pods='110'),
                      range(1, INSTANCES)))
    start, before = time.monotonic(), bound()
    while (done := bound()) < PODS:
        assert time.monotonic() - start < 600, f'{done} of {PODS} are bound'
        time.sleep(0.02)
    return (PODS - before) / (time.monotonic() - start), before


def durable(etcd=None):
    with tempfile.TemporaryDirectory(prefix='bulkhead-bench-', dir='/var/tmp') as folder:
        os.chmod(folder, 0o755)  # the CISM gives root up
        ports = free_ports(3 if etcd else 1)
        nodes = [(f'node-{number}', f'server-{number}', 1) for number in range(INSTANCES)]
        first = Bench(BUILD / 'src' / 'cism', None, f'{folder}/0', {}, nodes, settings_of(ports[0], etcd))
        first.port = ports[0]
        replicas = [first]
        try:
            first.start()
            for index, port in enumerate(ports[1:], 1):
                other = first.replica(f'{folder}/{index}', port)
                other.start()
                replicas.append(other)
            fill(replicas)
            rate, before = bind_all(replicas)
            print(f'{PODS} pods over {len(replicas)} CISM: {rate:.0f}/s ({before} while instances were told)',
                  file=sys.stderr)
            return rate
        finally:
            for replica in replicas:
                replica.stop()


def durable_etcd():
    with tempfile.TemporaryDirectory(prefix='bulkhead-bench-etcd-', dir='/var/tmp') as folder:
        cluster = Cluster(folder)
        try:
            cluster.wait()
            return durable(cluster)
        finally:
            cluster.close()


# --- the plot ---

def plot():
    """Decisions a second against instances and against domains, as an SVG of two lines."""
    by_instances = [(count, measure('decide', count, 500, SECONDS / 2)[0]) for count in (1000, 2000, 4000, 8000, 15000)]
    by_domains = [(count, measure('decide', 5000, count, SECONDS / 2)[0]) for count in (50, 100, 250, 500, 1000, 2000)]
    (TOP / 'docs' / 'placement.svg').write_text(svg(by_instances, by_domains))


def svg(*series):
    titles, colours = ('instances (500 domains)', 'trust domains (5,000 instances)'), ('#1b6ac9', '#c9541b')
    most = max(rate for rows in series for _, rate in rows)
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 300" font-family="sans-serif" font-size="11">',
             '<rect width="640" height="300" fill="white"/>',
             '<text x="20" y="18">decisions a second of processor time, one core, 72 % full</text>']
    for index, rows in enumerate(series):
        left = 60 + index * 310
        low, high = math.log(rows[0][0]), math.log(rows[-1][0])
        points = [(left + 220 * (math.log(count) - low) / (high - low), 250 - 200 * rate / most)
                  for count, rate in rows]
        lines.append(f'<path d="M{left} 50V250H{left + 230}" stroke="black" fill="none"/>')
        lines.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" '
                     f'stroke="{colours[index]}" stroke-width="2"/>')
        for (x, y), (count, rate) in zip(points, rows):
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[index]}"/>')
            lines.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{rate / 1000:.0f}k</text>')
            lines.append(f'<text x="{x:.1f}" y="264" text-anchor="middle">{count}</text>')
        lines.append(f'<text x="{left + 110}" y="285" text-anchor="middle">{titles[index]}</text>')
    return '\n'.join([*lines, '</svg>', ''])


def main():
    results = [*decisions(), result('durable_sqlite', durable(), '/s'), result('durable_etcd', durable_etcd(), '/s'),
               *proof()]
    if os.environ.get('BULKHEAD_BENCH_PLOT'):
        plot()
    print(json.dumps({'results': results}))


if __name__ == '__main__':
    main()

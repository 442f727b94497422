# SPDX-License-Identifier: Apache-2.0
"""Five real instances with addresses of their own, three replicas and three members of etcd with TLS: whatever is
killed, paused and cut off, what runs keeps running and nothing stands beside what it must not (CISM-3, PLC-6)."""
import concurrent.futures
import json
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'separation'))

import checker  # noqa: E402
from bed import Cluster, wait  # noqa: E402
from machines import Asker, Machine, SwitchRegistry  # noqa: E402

SERVERS = {'n0': 's0', 'n1': 's0', 'n2': 's1', 'n3': 's1', 'n4': 's2'}
SPECS = {'red': {}, 'blue': {'separation': [{'from': {'domains': ['red']}, 'level': 'Server'}]}}


@pytest.fixture(name='bed')
def make_bed(programs, cell, root):
    root.chmod(0o755)
    cluster = Cluster(root, programs / 'bulkhead-cism', cell=cell)
    cluster.write_topology({name: (server, 1) for name, server in SERVERS.items()})
    cluster.start()
    cluster.machines = {name: Machine(cluster, programs, name, server, number)
                        for number, (name, server) in enumerate(SERVERS.items())}
    (root / 'r').mkdir(mode=0o755)
    cluster.images = SwitchRegistry(cluster, programs / 'bulkhead-cir', root / 'r')
    cluster.images.start()
    # One thread that is on the switch does all the asking.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        cluster.thread = thread
        yield cluster
    for machine in cluster.machines.values():
        if machine.log.exists():
            print(f'-- {machine.name}\n' + '\n'.join(machine.log.read_text().splitlines()[-12:]))
    for replica in cluster.replicas:
        print(f'-- {replica.name}\n' + '\n'.join(line for line in replica.tail(400).splitlines()
                                                 if '"audit"' not in line))


def story(bed):
    asker = Asker(bed)
    machines, replicas = bed.machines, bed.replicas
    for machine in machines.values():
        machine.join(asker)
    image = bed.images.push_busybox()
    for name, spec in SPECS.items():
        asker.ask('POST', '/apis/trust.bulkhead.dev/v1/trustdomains', {
            'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': name}, 'spec': spec})
        asker.ask('POST', '/api/v1/namespaces', {
            'apiVersion': 'v1', 'kind': 'Namespace',
            'metadata': {'name': name, 'labels': {'trust.bulkhead.dev/domain': name}}})
    asker.create('red', 'r0', image, replicas[0], 'n0')
    asker.create('blue', 'b2', image, replicas[1], 'n2')
    asker.create('blue', 'b4', image, replicas[2], 'n4')
    asker.create('blue', 'b1', image, replicas[0], 'n1')  # beside r0 on s0: has to wait
    r0, b2, b4 = (asker.wait_phase(*what) for what in (('red', 'r0'), ('blue', 'b2'), ('blue', 'b4')))
    # Logs through whichever replica.
    for replica in replicas:
        assert asker.ask('GET', '/api/v1/namespaces/red/pods/r0/log', replica=replica) == b'r0 is here\n'
    # A replica and a member die; instances go on with the others, and pods with them.
    replicas[0].kill()
    bed.members[0].kill()
    asker.create('red', 'r0b', image, replicas[1], 'n0')
    asker.wait_phase('red', 'r0b')
    assert asker.ask('GET', '/api/v1/namespaces/red/pods/r0b/log', replica=replicas[1]) == b'r0b is here\n'
    bed.members[0].start()
    assert replicas[0].start()
    # A machine that is cut off keeps what it runs, also what was deleted by force; its server stays charged.
    bed.net.cut('n0', [one.name for one in replicas])
    asker.ask('DELETE', '/api/v1/namespaces/red/pods/r0?gracePeriodSeconds=0')
    asker.ask('DELETE', '/api/v1/namespaces/red/pods/r0b?gracePeriodSeconds=0')
    # Another service is killed and begins again; a third stands still meanwhile.
    machines['n2'].signal('KILL')
    machines['n4'].signal('STOP')
    time.sleep(6)
    assert machines['n0'].processes(r0['metadata']['uid']) > 0
    assert 'nodeName' not in asker.pod('blue', 'b1')['spec']
    assert machines['n2'].processes(b2['metadata']['uid']) > 0
    assert machines['n2'].bulkhead('up').returncode == 0
    machines['n4'].signal('CONT')
    bed.net.join('n0')
    # The instance comes back, ends what is gone, confirms it: then the way is free.
    asker.wait_phase('blue', 'b1')
    wait(lambda: machines['n0'].processes(r0['metadata']['uid']) == 0, 10)
    for machine, pod in (('n2', b2), ('n4', b4)):
        assert machines[machine].processes(pod['metadata']['uid']) > 0
    assert asker.ask('GET', '/api/v1/namespaces/blue/pods/b2/log') == b'b2 is here\n'


@pytest.mark.seconds(400)
def test_five_machines(bed):
    bed.thread.submit(story, bed).result()
    runs = checker.read_services({name: machine.log for name, machine in bed.machines.items()})
    stands = [(0, name, server) for name, server in SERVERS.items()]
    judge = checker.Checker(SPECS)
    assert judge.check(checker.stays_of(runs, stands), checker.causes_of([])) == {}
    assert len(runs) == 5
    # Had the second come while the first was there, it would have been seen.
    by_name = {domain: uid for uid, (domain, _, _, end) in runs.items() if end != checker.FOREVER or domain == 'blue'}
    assert set(by_name) == {'red', 'blue'}
    shifted = json.loads(json.dumps(runs))
    for run in shifted.values():
        run[3] = checker.FOREVER
    assert checker.Checker(SPECS).check(checker.stays_of(shifted, stands), checker.causes_of([]))['placement'] > 0

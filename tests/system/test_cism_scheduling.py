# SPDX-License-Identifier: Apache-2.0
"""What a pod says of where it wants to be, with real kubectl against a real CISM (PLC-1, PLC-5, CISM-2, CISM-7)."""

import json
import time

import pytest

from support_cism import Cism, domain, namespace, pod

REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'
SPACES = [('b', 'blue'), ('b2', 'blue'), ('g', 'green')]
NODES = [('node-1', 'server-1', 1), ('node-2', 'server-2', 1), ('node-3', 'server-3', 1)]


@pytest.fixture
def cism(programs, netns, root, kubectls):
    """Three instances in two zones; domain blue has two namespaces, green one."""
    made = Cism(programs, netns, root, kubectls, NODES)
    made.start()
    for name, _, _ in NODES:
        made.heartbeat(name)
    made.apply(domain('blue'), domain('green'), *(namespace(*one) for one in SPACES))
    for name, zone in (('node-1', 'east'), ('node-2', 'east'), ('node-3', 'west')):
        made.kubectl('label', 'node', name, f'zone={zone}')
    yield made
    made.stop()


def term(key='kubernetes.io/hostname', **more):
    return {'labelSelector': {'matchLabels': {'app': 'x'}}, 'topologyKey': key, **more}


def node_of(cism, where, name):
    return cism.wait_bound(where, name)['spec']['nodeName']


def messages(cism, where, name):
    cism.wait_pending(where, name)
    decision = cism.get(f'/apis/trust.bulkhead.dev/v1/namespaces/{where}/decisions/{name}')
    return {row['instance']: (row['reason'], row['message']) for row in decision['instances']}


def test_node_affinity_and_selectors(cism):
    wanted = {'key': 'zone', 'operator': 'In', 'values': ['west']}
    cism.apply(
        pod('b', 'west', affinity={'nodeAffinity': {REQUIRED: {'nodeSelectorTerms': [
            {'matchExpressions': [wanted]}]}}}),
        pod('b', 'second', nodeSelector={'kubernetes.io/hostname': 'node-2'}),
        pod('b', 'nowhere', affinity={'nodeAffinity': {REQUIRED: {'nodeSelectorTerms': [
            {'matchExpressions': [{'key': 'zone', 'operator': 'DoesNotExist'}]}]}}}),
        pod('g', 'likes', affinity={'nodeAffinity': {PREFERRED: [
            {'weight': 100, 'preference': {'matchExpressions': [wanted]}}]}}),
    )
    assert node_of(cism, 'b', 'west') == 'node-3'
    assert node_of(cism, 'b', 'second') == 'node-2'
    assert node_of(cism, 'g', 'likes') == 'node-3'
    said = messages(cism, 'b', 'nowhere')
    assert said['node-1'] == ('NodeAffinity', "no term of spec.affinity.nodeAffinity matches instance 'node-1'")
    assert set(said) == {'node-1', 'node-2', 'node-3'}


def test_pods_keep_apart_across_namespaces_of_their_domain_alone(cism):
    """Three replicas in two namespaces, one an instance; a fourth waits; another domain's is not seen."""
    apart = {'podAntiAffinity': {REQUIRED: [term(namespaces=['b', 'b2', 'g'])]}}
    labels = {'app': 'x'}
    cism.apply(pod('g', 'other', labels=labels))
    assert node_of(cism, 'g', 'other') == 'node-1'
    three = (('b', 'p1'), ('b2', 'p2'), ('b', 'p3'))
    cism.apply(*(pod(where, name, labels=labels, affinity=apart) for where, name in three))
    taken = [node_of(cism, where, name) for where, name in three]
    assert sorted(taken) == ['node-1', 'node-2', 'node-3']
    cism.apply(pod('b2', 'p4', labels=labels, affinity=apart), pod('b', 'plain', labels=labels))
    assert messages(cism, 'b2', 'p4')['node-2'] == (
        'PodAntiAffinity',
        "spec.affinity.podAntiAffinity.required[0]: such a pod of the trust domain shares 'kubernetes.io/hostname' "
        "with instance 'node-2'",
    )
    # One that asks for nothing is kept away by those who do; one of another domain is not.
    assert {reason for reason, _ in messages(cism, 'b', 'plain').values()} == {'PodAntiAffinity'}
    cism.apply(pod('g', 'free', labels=labels))
    cism.wait_bound('g', 'free')
    # Deleting one makes room for one.
    uid = cism.pod('b', 'p1')['metadata']['uid']
    where = cism.pod('b', 'p1')['spec']['nodeName']
    cism.kubectl('delete', 'pod', 'p1', '-n', 'b', '--wait=false')
    cism.stopped(uid, name=where)
    cism.wait(lambda: sum('nodeName' in cism.pod(*one)['spec'] for one in (('b2', 'p4'), ('b', 'plain'))) == 1)


def test_pods_stay_together_by_zone_and_never_seek_another_domain(cism):
    near = {'podAffinity': {REQUIRED: [term('zone', namespaceSelector={})]}}
    cism.apply(pod('b', 'first', labels={'app': 'x'}, nodeSelector={'zone': 'west'}))
    assert node_of(cism, 'b', 'first') == 'node-3'
    cism.apply(pod('b2', 'second', labels={'app': 'y'}, affinity=near), pod('g', 'spy', affinity=near))
    assert node_of(cism, 'b2', 'second') == 'node-3'
    assert messages(cism, 'g', 'spy')['node-3'] == (
        'PodAffinity',
        "spec.affinity.podAffinity.required[0]: no such pod of the trust domain shares 'zone' with instance 'node-3'",
    )


def test_topology_spread(cism):
    spread = [{'maxSkew': 1, 'topologyKey': 'zone', 'whenUnsatisfiable': 'DoNotSchedule',
               'labelSelector': {'matchLabels': {'app': 'x'}}}]
    cism.apply(*(pod('b', f'p{number}', labels={'app': 'x'}, topologySpreadConstraints=spread) for number in range(4)))
    zones = [node_of(cism, 'b', f'p{number}') == 'node-3' for number in range(4)]
    assert zones.count(True) == 2


def test_taints_and_tolerations(cism):
    for name in ('node-1', 'node-2'):
        cism.kubectl('taint', 'node', name, 'edge=yes:NoSchedule')
    cism.kubectl('cordon', 'node-3')
    cism.apply(
        pod('b', 'plain'),
        pod('b', 'bold', tolerations=[{'key': 'edge', 'operator': 'Equal', 'value': 'yes', 'effect': 'NoSchedule'}]),
        pod('b', 'wrong', tolerations=[{'key': 'edge', 'operator': 'Equal', 'value': 'no'}]),
    )
    assert node_of(cism, 'b', 'bold') == 'node-1'
    said = messages(cism, 'b', 'plain')
    assert said['node-1'] == ('Taint', "instance 'node-1' has the taint 'edge=yes', which the pod does not tolerate")
    assert said['node-3'] == ('Unschedulable', "instance 'node-3' is cordoned (spec.unschedulable)")
    assert cism.wait_pending('b', 'wrong').endswith('(0/3 instances can take it: 2 Taint, 1 Unschedulable)')
    cism.kubectl('uncordon', 'node-3')
    assert node_of(cism, 'b', 'plain') == 'node-3'


def test_tolerations_and_priorities_do_not_weaken_separation(cism):
    cism.apply(
        domain('red', separation=[{'from': {'all': True}, 'level': 'Server'}]),
        namespace('r', 'red'),
        {'apiVersion': 'scheduling.k8s.io/v1', 'kind': 'PriorityClass', 'metadata': {'name': 'high'}, 'value': 1000},
        *(pod('b', f'p{number}', nodeSelector={'kubernetes.io/hostname': f'node-{number}'}) for number in (1, 2, 3)),
    )
    for number in (1, 2, 3):
        cism.wait_bound('b', f'p{number}')
    cism.apply(pod('r', 'q', priorityClassName='high', tolerations=[{'operator': 'Exists'}],
                   affinity={'podAffinity': {PREFERRED: [{'weight': 100, 'podAffinityTerm': term()}]}}))
    said = messages(cism, 'r', 'q')
    assert {reason for reason, _ in said.values()} == {'Separation'}
    time.sleep(1)
    assert 'nodeName' not in cism.pod('r', 'q')['spec']


def test_priorities_come_first(cism):
    """Of those that wait, the most urgent gets the room; nothing that runs is stopped for it."""
    done = cism.apply(
        {'apiVersion': 'scheduling.k8s.io/v1', 'kind': 'PriorityClass', 'metadata': {'name': 'high'}, 'value': 1000},
        {'apiVersion': 'scheduling.k8s.io/v1', 'kind': 'PriorityClass', 'metadata': {'name': 'low'}, 'value': -5},
    )
    assert 'Warning: PriorityClass says who is placed first; nothing that runs is stopped for it' in done.stderr
    here = {'kubernetes.io/hostname': 'node-1'}
    whole = {'resources': {'requests': {'cpu': '4'}, 'limits': {'cpu': '4'}}}
    cism.apply(pod('b', 'runs', container=whole, nodeSelector=here))
    cism.wait_bound('b', 'runs')
    for name, of in (('later', 'low'), ('plain', None), ('urgent', 'high')):
        cism.apply(pod('b', name, container=whole, nodeSelector=here, **({'priorityClassName': of} if of else {})))
        cism.wait_pending('b', name)
    assert cism.pod('b', 'urgent')['spec']['priority'] == 1000
    assert 'high' in cism.kubectl('get', 'priorityclasses').stdout
    cism.kubectl('delete', 'pod', 'runs', '-n', 'b', '--wait=false')
    cism.stopped(cism.pod('b', 'runs')['metadata']['uid'])
    cism.wait_bound('b', 'urgent')
    time.sleep(1)
    assert 'nodeName' not in cism.pod('b', 'plain')['spec'] and 'nodeName' not in cism.pod('b', 'later')['spec']
    # A number of one's own, and a class that is not there, are refused.
    for spec, said in (({'priority': 2000}, 'spec.priority: must not be provided (0 is what its PriorityClass says)'),
                       ({'priorityClassName': 'none'}, 'no PriorityClass with name none was found')):
        status, answer = cism.curl('admin', 'POST', '/api/v1/namespaces/b/pods', pod('b', 'own', **spec))
        assert (status, answer['message']) == (403, f'pods "own" is forbidden: {said}')


def test_resources_of_every_kind(cism):
    room = {'cpu': '4', 'memory': '8Gi', 'pods': '3', 'ephemeral-storage': '10Gi', 'hugepages-2Mi': '64Mi',
            'vendor.example/card': '2'}
    status, answer = cism.curl('node-2', 'PATCH', '/api/v1/nodes/node-2/status',
                               {'status': {'capacity': room, 'allocatable': room}}, 'application/merge-patch+json')
    assert status == 200, answer

    def asks(name, **amounts):
        return pod('b', name, container={'resources': {'requests': amounts, 'limits': amounts}})

    cism.apply(asks('card', **{'vendor.example/card': '2'}))
    assert node_of(cism, 'b', 'card') == 'node-2'
    cism.apply(asks('second', **{'vendor.example/card': '1'}), asks('huge', **{'hugepages-2Mi': '32Mi'}),
               asks('vast', **{'ephemeral-storage': '11Gi'}))
    assert node_of(cism, 'b', 'huge') == 'node-2'
    assert messages(cism, 'b', 'second')['node-2'] == (
        'Resources', "instance 'node-2' has too little of 'vendor.example/card' left for the 1 that are asked")
    assert messages(cism, 'b', 'vast')['node-2'] == (
        'Resources', "instance 'node-2' has too little of 'ephemeral-storage' left for the 11811160064 that are asked")


def test_a_registry_that_does_not_answer_holds_up_nobody(programs, netns, root, kubectls):
    """Images of a silent registry wait by themselves; pods whose images have digests are bound meanwhile."""
    settings = {'address': '127.0.0.1', 'port': 6443,
                'registries': [{'host': '127.0.0.1:5000'}, {'host': '10.255.255.1:5000'}]}
    cism = Cism(programs, netns, root, kubectls, settings=settings)
    cism.start()
    try:
        cism.heartbeat()
        cism.apply(domain('blue'), namespace('b', 'blue'))
        cism.kubectl('create', '-f', '-', input=json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': [
            pod('b', f'slow{number}', image='10.255.255.1:5000/app:1') for number in range(20)]}))
        start = time.monotonic()
        cism.apply(*(pod('b', f'p{number}') for number in range(8)))
        for number in range(8):
            cism.wait_bound('b', f'p{number}')
        assert time.monotonic() - start < 15, 'pods waited for a registry that is not theirs'
    finally:
        cism.stop()

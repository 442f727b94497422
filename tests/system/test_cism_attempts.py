# SPDX-License-Identifier: Apache-2.0
"""
PLC-5: the attempt matrix. Everything that whoever writes pods, or an instance that went bad, can say over the API, to
bring a pod where the rules keep it away. The pods are written with the rights of an administrator: a tenant has fewer.
Each row is refused with its sentence or waits; at the end nothing is where it may not be, and that is proven.
"""

import installation
import pytest

from support_cism import IMAGE, Cism, domain, namespace, pod

APART = [{'from': {'domains': ['blue']}, 'level': 'Server'}]
PODS = '/api/v1/namespaces/r/pods'
NODE = '/api/v1/nodes/node-1'
FIXED = 'spec: Forbidden: pod updates may not change fields other than'
KEPT = "trust domain 'red' is kept apart at level Server from what runs there"
APPLY, MERGE, JSON_PATCH, STRATEGIC = (
    'application/apply-patch+yaml', 'application/merge-patch+json', 'application/json-patch+json',
    'application/strategic-merge-patch+json')


@pytest.fixture(scope='module')
def place(programs, module_netns, kubectls):
    """One server, on it a pod of blue; red may not come there, and has a pod that waits."""
    with installation.temporary_root() as folder:
        made = Cism(programs, module_netns, folder, kubectls,
                    [('node-1', 'server-1', 1), ('node-2', 'server-1', 1)])
        yield from serving(made)


def serving(made):
    try:
        made.start()
        for name in ('node-1', 'node-2'):
            made.heartbeat(name)
        made.apply(domain('blue'), domain('red', separation=APART), namespace('b', 'blue'), namespace('r', 'red'))
        for where, name in (('b', 'p'), ('r', 'waits')):
            assert made.curl('admin', 'POST', f'/api/v1/namespaces/{where}/pods', pod(where, name))[0] == 201
        made.wait_bound('b', 'p')
        made.wait_pending('r', 'waits')
        yield made
    finally:
        made.stop()


def nothing_came(cism):
    """No pod of red is charged, bound, or has a ticket."""
    ledger = cism.get('/apis/trust.bulkhead.dev/v1/ledger')
    assert {row['domain'] for row in ledger['holders']} == {'blue'}, ledger
    assert all('nodeName' not in row['spec'] for row in cism.get(PODS)['items'])


CREATED = {
    'label of the domain': {'metadata': {'labels': {'trust.bulkhead.dev/domain': 'blue'}}},
    'annotation of the domain': {'metadata': {'annotations': {'trust.bulkhead.dev/domain': 'blue'}}},
    'label of the sub-function': {'metadata': {'labels': {'nfv.bulkhead.dev/sub-function': 'harmless'}}},
    'annotations of the platform': {'metadata': {'annotations': {'nfv.bulkhead.dev/epoch': '99',
                                                                 'nfv.bulkhead.dev/images': '{}'}}},
    'mirror of a static pod': {'metadata': {'annotations': {'kubernetes.io/config.mirror': 'x',
                                                            'kubernetes.io/config.source': 'file'}}},
    'uid and times of another pod': {'metadata': {'uid': 'OTHER', 'creationTimestamp': '2001-01-01T00:00:00Z',
                                                  'resourceVersion': ''}},
    'owner': {'metadata': {'ownerReferences': [{'apiVersion': 'v1', 'kind': 'Node', 'name': 'node-1', 'uid': 'x',
                                                'controller': True}]}},
    'status of one that runs': {'status': {'phase': 'Running', 'hostIP': '10.0.0.1', 'conditions': [
        {'type': 'PodScheduled', 'status': 'True'}]}},
    'selector of the instance': {'spec': {'nodeSelector': {'kubernetes.io/hostname': 'node-1'}}},
    'tolerates everything': {'spec': {'tolerations': [{'operator': 'Exists'}]}},
    'priority of the system': {'spec': {'priorityClassName': 'system-node-critical',
                                        'preemptionPolicy': 'PreemptLowerPriority'}},
    'another scheduler': {'spec': {'schedulerName': 'mine'}},
    'affinity to what runs': {'spec': {'affinity': {'podAffinity': {'requiredDuringSchedulingIgnoredDuringExecution': [
        {'topologyKey': 'kubernetes.io/hostname', 'namespaces': ['b'], 'labelSelector': {}}]}}}},
    'spread over instances': {'spec': {'topologySpreadConstraints': [
        {'maxSkew': 1, 'topologyKey': 'kubernetes.io/hostname', 'whenUnsatisfiable': 'DoNotSchedule'}]}},
    'service account of another': {'spec': {'serviceAccountName': 'platform'}},
}

REFUSED = {
    'nodeName': ({'spec': {'nodeName': 'node-1'}}, 'spec.nodeName: only a binding sets it; leave it out'),
    'network of the host': ({'spec': {'hostNetwork': True}}, 'spec.hostNetwork: pods have a network of their own'),
    'path of the host': ({'spec': {'volumes': [{'name': 'v', 'hostPath': {'path': '/'}}]}},
                         'spec.volumes[0].hostPath: no path of the host is given to a pod'),
    'privileged': ({'spec': {'containers': [{'name': 'main', 'image': IMAGE,
                                             'securityContext': {'privileged': True}}]}}, 'no container is privileged'),
}


def merged(base, more):
    out = dict(base)
    for key, value in more.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


@pytest.mark.parametrize('what', CREATED)
def test_a_new_pod_waits_whatever_it_says(place, what):
    name = what.replace(' ', '-').replace("'", '')
    made = merged(pod('r', name), CREATED[what])
    if made['metadata'].get('uid') == 'OTHER':
        made['metadata']['uid'] = place.pod('b', 'p')['metadata']['uid']
    status, answer = place.curl('admin', 'POST', PODS, made)
    if status == 201:
        # Looked at by the rules, or kept away by what it asked for itself; never placed.
        assert place.wait_pending('r', name)
        assert answer['metadata']['uid'] != place.pod('b', 'p')['metadata']['uid']
    else:
        assert status in (400, 403, 422), answer
    nothing_came(place)


@pytest.mark.parametrize('what', REFUSED)
def test_a_new_pod_is_refused(place, what):
    more, message = REFUSED[what]
    status, answer = place.curl('admin', 'POST', PODS, merged(pod('r', 'refused'), more))
    assert status in (403, 422) and message in answer['message'], answer
    nothing_came(place)


CHANGES = [
    (MERGE, {'spec': {'nodeName': 'node-1'}}),
    (STRATEGIC, {'spec': {'nodeName': 'node-1'}}),
    (JSON_PATCH, [{'op': 'add', 'path': '/spec/nodeName', 'value': 'node-1'}]),
    (APPLY, {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'waits', 'namespace': 'r'},
             'spec': {'nodeName': 'node-1', 'containers': [{'name': 'main', 'image': IMAGE}]}}),
]


@pytest.mark.parametrize('kind, body', CHANGES, ids=['merge', 'strategic', 'json', 'apply'])
def test_no_patch_binds(place, kind, body):
    status, answer = place.curl('admin', 'PATCH', f'{PODS}/waits?fieldManager=me&force=true'
                                if kind == APPLY else f'{PODS}/waits', body, kind)
    assert status == 422 and FIXED in answer['message'], answer
    nothing_came(place)


@pytest.mark.parametrize('kind, body', CHANGES[:3], ids=['merge', 'strategic', 'json'])
def test_no_patch_of_the_status_binds(place, kind, body):
    place.curl('admin', 'PATCH', f'{PODS}/waits/status', body, kind)
    place.curl('admin', 'PATCH', f'{PODS}/waits/status',
               {'status': {'phase': 'Running', 'nominatedNodeName': 'node-1'}}, MERGE)
    nothing_came(place)


@pytest.mark.parametrize('sub, body, status', [
    ('binding', {'apiVersion': 'v1', 'kind': 'Binding', 'metadata': {'name': 'waits'},
                 'target': {'kind': 'Node', 'name': 'node-1'}}, 403),
    ('binding', {'apiVersion': 'v1', 'kind': 'Binding', 'metadata': {'name': 'waits', 'uid': 'x', 'annotations': {
        'trust.bulkhead.dev/domain': 'blue'}}, 'target': {'kind': 'Node', 'name': 'node-1'}}, 403),
    ('ephemeralcontainers', {'spec': {'ephemeralContainers': [{'name': 'e', 'image': IMAGE}]}}, (404, 405)),
])
def test_no_subresource_binds(place, sub, body, status):
    found, answer = place.curl('admin', 'POST' if sub == 'binding' else 'PATCH', f'{PODS}/waits/{sub}', body,
                               'application/json' if sub == 'binding' else STRATEGIC)
    assert found in (status if isinstance(status, tuple) else (status,)), answer
    nothing_came(place)


def test_a_put_of_what_was_bound_once_binds_nothing(place):
    """A restore: the object of a bound pod, as a backup has it, under the name of the one that waits."""
    backup = place.pod('b', 'p')
    backup['metadata'] = {'name': 'restored', 'namespace': 'r', 'uid': backup['metadata']['uid'],
                          'annotations': backup['metadata'].get('annotations', {})}
    status, answer = place.curl('admin', 'POST', PODS, backup)
    assert status == 403 and 'spec.nodeName: only a binding sets it' in answer['message'], answer
    waiting = place.pod('r', 'waits')
    waiting['spec']['nodeName'] = 'node-1'
    status, answer = place.curl('admin', 'PUT', f'{PODS}/waits', waiting)
    assert status == 422 and FIXED in answer['message'], answer
    nothing_came(place)


LABEL = {'metadata': {'labels': {'trust.bulkhead.dev/domain': 'blue'}}}


@pytest.mark.parametrize('who', ['somebody', 'node-1'])
@pytest.mark.parametrize('method, path, body, kind', [
    ('PATCH', '/api/v1/namespaces/r', LABEL, MERGE),
    ('PATCH', '/api/v1/namespaces/r?fieldManager=m&force=true',
     {'apiVersion': 'v1', 'kind': 'Namespace', **LABEL}, APPLY),
    ('PATCH', '/api/v1/namespaces/r/status', LABEL, MERGE),
    ('POST', '/api/v1/namespaces', namespace('mine', 'blue'), 'application/json'),
    ('DELETE', '/api/v1/namespaces/r', None, 'application/json'),
    ('PATCH', '/apis/trust.bulkhead.dev/v1/trustdomains/red', {'spec': {'separation': []}}, MERGE),
    ('DELETE', '/apis/trust.bulkhead.dev/v1/trustdomains/red', None, 'application/json'),
    ('GET', '/apis/trust.bulkhead.dev/v1/trustdomains', None, 'application/json'),
    ('GET', '/apis/trust.bulkhead.dev/v1/namespaces/r/decisions/waits', None, 'application/json'),
    ('GET', '/apis/trust.bulkhead.dev/v1/ledger', None, 'application/json'),
    ('POST', '/apis/trust.bulkhead.dev/v1/releases', {'uid': 'x', 'reason': 'r'}, 'application/json'),
    ('POST', '/apis/trust.bulkhead.dev/v1/quarantines', {}, 'application/json'),
    ('POST', PODS, pod('r', 'mine'), 'application/json'),
    ('POST', f'{PODS}/waits/binding', {}, 'application/json'),
    ('PATCH', f'{PODS}/waits/status', {'status': {'phase': 'Running'}}, MERGE),
    ('DELETE', '/api/v1/namespaces/b/pods/p', None, 'application/json'),
])
def test_the_rules_are_the_platforms(place, who, method, path, body, kind):
    """Neither who has no role nor an instance writes rules, domains, bindings, or reads of others."""
    status, answer = place.curl(who, method, path, body, kind)
    assert status == 403 and 'forbidden' in answer['message'], answer
    nothing_came(place)


@pytest.mark.parametrize('method, path, body, status', [
    ('PATCH', NODE, {'metadata': {'labels': {'nfv.bulkhead.dev/server': 'server-9'}}}, 403),
    ('PUT', NODE, {'metadata': {'name': 'node-1', 'labels': {'nfv.bulkhead.dev/server': 'server-9'}}}, 403),
    ('POST', '/api/v1/nodes', {'metadata': {'name': 'node-9'}}, 403),
    ('DELETE', NODE, None, 403),
    ('PATCH', '/api/v1/nodes/node-2/status', {'status': {'conditions': []}}, 403),
    ('POST', '/api/v1/nodes/node-2/stopped', {'uids': ['x']}, 403),
    ('PUT', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-2',
     {'metadata': {'name': 'node-2', 'namespace': 'kube-node-lease'}, 'spec': {}}, 403),
    ('POST', '/api/v1/namespaces/r/events',
     {'metadata': {'name': 'e', 'namespace': 'r'}, 'involvedObject': {'kind': 'Pod', 'name': 'waits', 'namespace': 'r'},
      'reason': 'Scheduled', 'message': 'by me', 'type': 'Normal'}, 403),
    ('PATCH', f'{NODE}/status', {'metadata': {'labels': {'nfv.bulkhead.dev/server': 'server-9'},
                                              'annotations': {'nfv.bulkhead.dev/epoch': '9'}},
                                 'spec': {'taints': [], 'unschedulable': False}}, 200),
])
def test_an_instance_that_went_bad(place, method, path, body, status):
    found, answer = place.curl('node-1', method, path, body, MERGE if method == 'PATCH' else 'application/json')
    assert found == status, answer
    node = place.get(NODE)
    assert node['metadata']['labels']['nfv.bulkhead.dev/server'] == 'server-1'
    assert node['metadata']['annotations']['nfv.bulkhead.dev/epoch'] == '1'
    nothing_came(place)


def test_a_stop_that_is_not_ones_own(place):
    """What runs on one instance is not ended by the word of another."""
    uid = place.pod('b', 'p')['metadata']['uid']
    runs = place.pod('b', 'p')['spec']['nodeName']
    other = 'node-2' if runs == 'node-1' else 'node-1'
    status, answer = place.curl(other, 'POST', f'/api/v1/nodes/{other}/stopped', {'uids': [uid]})
    assert (status, answer['message']) == (403, f"pod uid '{uid}' is not charged to instance '{other}'")


def test_at_the_end_it_is_proven(place):
    nothing_came(place)
    proof = place.wait(lambda: place.get('/apis/trust.bulkhead.dev/v1/ledger').get('proof'))
    assert proof['proven'] and proof['pods'] == 1
    assert KEPT in place.wait_pending('r', 'waits')
    for row in place.get(PODS)['items']:
        assert 'blue' not in str(row.get('status')), row
    for event in place.get('/api/v1/namespaces/r/events')['items']:
        assert 'blue' not in event['message'], event

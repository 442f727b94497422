# SPDX-License-Identifier: Apache-2.0
"""Placement, the ledger and the one transaction that binds (PLC-1, PLC-2, PLC-5, PLC-6, CISM-7)."""

import base64
import concurrent.futures
import json
import signal
import time

import pytest

from support_cism import DIGEST, Cism, domain, namespace, pod

APART = [{'from': {'domains': ['blue']}, 'level': 'Server'}]


@pytest.fixture
def bare(programs, netns, root, kubectls):
    made = Cism(programs, netns, root, kubectls)
    yield made
    made.stop()


@pytest.fixture
def cism(bare):
    """Serving, with an instance that is ready, and two domains that may not share a server."""
    bare.start()
    bare.heartbeat()
    bare.apply(domain('blue'), domain('red', separation=APART), namespace('b', 'blue'), namespace('r', 'red'))
    return bare


def create(cism, made):
    where = made['metadata']['namespace']
    status, answer = cism.curl('admin', 'POST', f'/api/v1/namespaces/{where}/pods', made)
    assert status == 201, answer
    return answer


def delete(cism, where, name, grace=None):
    query = '' if grace is None else f'?gracePeriodSeconds={grace}'
    status, answer = cism.curl('admin', 'DELETE', f'/api/v1/namespaces/{where}/pods/{name}{query}')
    assert status == 200, answer
    return answer


def ticket(cism, where, name):
    status, envelope = cism.curl('node-1', 'GET', f'/api/v1/namespaces/{where}/pods/{name}/ticket')
    assert status == 200, envelope
    return json.loads(base64.b64decode(envelope['payload'])), envelope


def in_the_way(pod_name, other):
    return (
        f"pod 'r/{pod_name}' of trust domain 'red' may not share server 'server-1' with pod 'b/{other}' of trust "
        "domain 'blue': separation[0] of TrustDomain 'red' keeps them apart at level Server; change TrustDomain 'red' "
        'or where they run'
    )


def kept_apart(pod_name, more=''):
    """What the owner of the pod is told: no name of another domain (PLC-5)."""
    return (
        f"pod 'r/{pod_name}' may not run on instance 'node-1': trust domain 'red' is kept apart at level Server from "
        f"what runs there; the platform's operator can say more{more}"
    )


def test_bound_with_a_ticket(cism):
    create(cism, pod('b', 'p', labels={'a': 'b'}))
    found = cism.wait_bound('b', 'p')
    said, envelope = ticket(cism, 'b', 'p')
    assert set(envelope) == {'payload', 'signature', 'certificate'}
    assert (said['kind'], said['instance'], said['server'], said['epoch'], said['domain']) == (
        'Ticket',
        'node-1',
        'server-1',
        1,
        'blue',
    )
    assert (said['uid'], said['namespace'], said['name']) == (found['metadata']['uid'], 'b', 'p')
    final = json.loads(said['pod'])
    assert final['spec']['containers'][0]['image'] == f'127.0.0.1:5000/test/app@{DIGEST}'
    assert final['metadata']['labels'] == {'a': 'b'} and final['spec']['nodeName'] == 'node-1'
    assert [row['image'] for row in said['pulls']] == [f'127.0.0.1:5000/test/app@{DIGEST}']
    token = json.loads(base64.urlsafe_b64decode(said['pulls'][0]['token'] + '=='))
    carried = json.loads(base64.b64decode(token['payload']))
    assert (carried['kind'], carried['registry'], carried['repository'], carried['digest']) == (
        'PullToken',
        '127.0.0.1:5000',
        'test/app',
        DIGEST,
    )
    assert len(carried['instanceCertificate']) == 64
    assert cism.holders() == [found['metadata']['uid']]


def test_limits_are_defaulted(cism):
    create(cism, pod('b', 'p'))
    resources = cism.wait_bound('b', 'p')['spec']['containers'][0]['resources']
    assert resources['limits'] == {'cpu': '500m', 'memory': '128Mi'}


def test_conflicting_domains_and_why(cism):
    create(cism, pod('b', 'p'))
    cism.wait_bound('b', 'p')
    create(cism, pod('r', 'q'))
    assert cism.wait_pending('r', 'q') == kept_apart('q')
    decision = cism.get('/apis/trust.bulkhead.dev/v1/namespaces/r/decisions/q')
    assert (decision['outcome'], decision['message']) == ('Pending', in_the_way('q', 'p'))
    assert decision['instances'][0]['reason'] == 'Separation' and decision['instances'][0]['otherDomain'] == 'blue'
    events = cism.get('/api/v1/namespaces/r/events')['items']
    assert [(event['reason'], event['message'], event['count']) for event in events] == [
        ('FailedScheduling', kept_apart('q'), 1)
    ]
    # The way is free when the instance confirms the stop, and not before.
    uid = cism.pod('b', 'p')['metadata']['uid']
    delete(cism, 'b', 'p')
    time.sleep(1)
    assert 'nodeName' not in cism.pod('r', 'q')['spec']
    cism.stopped(uid)
    cism.wait_bound('r', 'q')
    assert cism.curl('admin', 'GET', '/api/v1/namespaces/b/pods/p')[0] == 404


def test_no_domain_no_place(cism):
    cism.apply(namespace('nowhere'), namespace('unknown', 'nobody'))
    create(cism, pod('nowhere', 'p'))
    create(cism, pod('unknown', 'p'))
    assert cism.wait_pending('nowhere', 'p') == (
        "pod 'nowhere/p' may not run: namespace 'nowhere' belongs to no trust domain; "
        'label it trust.bulkhead.dev/domain'
    )
    assert "TrustDomain 'nobody'" in cism.wait_pending('unknown', 'p')
    cism.apply(domain('nobody'))
    cism.wait_bound('unknown', 'p')


def test_force_deletion_releases_nothing(cism):
    uid = create(cism, pod('b', 'p'))['metadata']['uid']
    cism.wait_bound('b', 'p')
    delete(cism, 'b', 'p', 0)
    assert cism.curl('admin', 'GET', '/api/v1/namespaces/b/pods/p')[0] == 404
    assert cism.holders() == [uid]
    create(cism, pod('r', 'q'))
    assert cism.wait_pending('r', 'q') == kept_apart('q')
    # Neither may the namespace change its domain or go while something of it may run.
    status, answer = cism.curl(
        'admin',
        'PATCH',
        '/api/v1/namespaces/b',
        {'metadata': {'labels': {'trust.bulkhead.dev/domain': 'red'}}},
        'application/merge-patch+json',
    )
    assert status == 422 and answer['message'] == (
        'Namespace "b" is invalid: metadata.labels[trust.bulkhead.dev/domain]: Invalid value: "red": '
        'may not change while 1 pods of the '
        'namespace may be running'
    )
    assert cism.curl('admin', 'DELETE', '/api/v1/namespaces/b')[0] == 200
    time.sleep(2.5)
    assert cism.get('/api/v1/namespaces/b')['status']['phase'] == 'Terminating'
    cism.stopped(uid)
    cism.wait(lambda: cism.curl('admin', 'GET', '/api/v1/namespaces/b')[0] == 404)
    cism.wait_bound('r', 'q')


def test_stopped_is_idempotent_and_holds_for_good(cism):
    uid = create(cism, pod('b', 'p'))['metadata']['uid']
    cism.wait_bound('b', 'p')
    cism.stopped(uid)
    cism.stopped(uid, 'never-seen')
    assert cism.holders() == []
    # The object was not asked to go: it stays, but nothing is charged, and its deletion is immediate.
    assert cism.pod('b', 'p')['spec']['nodeName'] == 'node-1'
    assert cism.curl('node-1', 'GET', '/api/v1/namespaces/b/pods/p/ticket')[0] == 404
    delete(cism, 'b', 'p')
    assert cism.curl('admin', 'GET', '/api/v1/namespaces/b/pods/p')[0] == 404


def test_server_quota_holds_in_races(programs, netns, root, kubectls):
    """PLC-5: a domain that keeps others off its servers takes no more of them than it may, whoever asks at once."""
    places = [(f'node-{number}', f'server-{number}', 1) for number in range(1, 6)]
    cism = Cism(programs, netns, root, kubectls, places)
    try:
        cism.start()
        for name, _, _ in places:
            cism.heartbeat(name, pods='2')
        cism.apply(
            domain('alone', isolation='Dedicated', serverQuota=2),
            domain('blue'),
            namespace('a', 'alone'),
            namespace('b', 'blue'),
        )

        def one(number):
            create(cism, pod('a', f'p{number}'))
            body = {
                'apiVersion': 'v1',
                'kind': 'Binding',
                'metadata': {'name': f'p{number}'},
                'target': {'kind': 'Node', 'name': f'node-{number % 5 + 1}'},
            }
            cism.curl('admin', 'POST', f'/api/v1/namespaces/a/pods/p{number}/binding', body)

        def bound():
            rows = cism.get('/api/v1/namespaces/a/pods')['items']
            return {row['metadata']['name']: row['spec'].get('nodeName') for row in rows}

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(one, range(10)))
        cism.wait(lambda: len([name for name in bound().values() if name]) == 4)
        time.sleep(1)
        taken = {name for name in bound().values() if name}
        assert len(taken) == 2 and len([name for name in bound().values() if name]) == 4, bound()
        waiting = next(name for name, node in bound().items() if not node)
        free = next(name for name, _, _ in places if name not in taken)
        assert cism.wait_pending('a', waiting) in {
            f"pod 'a/{waiting}' may not run on instance '{free}': trust domain 'alone' is on as many servers as it may "
            f'be (2) (0/5 instances can take it: {counts})'
            for counts in ('3 ServerQuota, 2 Resources', '2 Resources, 3 ServerQuota')
        }
        decision = cism.get(f'/apis/trust.bulkhead.dev/v1/namespaces/a/decisions/{waiting}')
        assert {row['reason'] for row in decision['instances']} == {'ServerQuota', 'Resources'}
        assert {row['object'] for row in decision['instances'] if row['reason'] == 'ServerQuota'} == {
            'TrustDomain/alone'
        }
        # The others find room, and a server that is left may be taken again.
        create(cism, pod('b', 'q'))
        assert cism.wait_bound('b', 'q')['spec']['nodeName'] not in taken
        leaving = next(node for node in taken)
        for name, node in bound().items():
            if node == leaving:
                uid = cism.pod('a', name)['metadata']['uid']
                delete(cism, 'a', name)
                cism.stopped(uid, name=node)
        cism.wait(lambda: len([name for name in bound().values() if name]) == 4)
        assert len({name for name in bound().values() if name}) == 2
    finally:
        cism.stop()


def test_a_binding_by_hand_passes_the_same_gate(cism):
    create(cism, pod('b', 'p'))
    cism.wait_bound('b', 'p')
    create(cism, pod('r', 'q'))
    cism.wait_pending('r', 'q')
    body = {
        'apiVersion': 'v1',
        'kind': 'Binding',
        'metadata': {'name': 'q'},
        'target': {'kind': 'Node', 'name': 'node-1'},
    }
    status, answer = cism.curl('admin', 'POST', '/api/v1/namespaces/r/pods/q/binding', body)
    assert (status, answer['message']) == (403, f"pod 'r/q' is not bound to 'node-1': {in_the_way('q', 'p')}")
    status, answer = cism.curl(
        'admin', 'POST', '/api/v1/namespaces/b/pods/p/binding', body | {'metadata': {'name': 'p'}}
    )
    assert status == 409


def test_no_instance_ready(bare):
    bare.start()
    bare.apply(domain('blue'), namespace('b', 'blue'))
    create(bare, pod('b', 'p'))
    assert bare.wait_pending('b', 'p') == "instance 'node-1' is not ready"
    bare.heartbeat()
    bare.wait_bound('b', 'p')


def test_a_silent_instance_takes_nothing_and_keeps_what_it_has(cism):
    uid = create(cism, pod('b', 'p'))['metadata']['uid']
    cism.wait_bound('b', 'p')
    lease = {
        'apiVersion': 'coordination.k8s.io/v1',
        'kind': 'Lease',
        'metadata': {'name': 'node-1'},
        'spec': {'renewTime': time.strftime('%Y-%m-%dT%H:%M:%S.000000Z', time.gmtime(time.time() - 86400))},
    }
    path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1'
    assert cism.curl('node-1', 'PUT', path, lease)[0] == 200

    def silent():
        rows = cism.get('/api/v1/nodes/node-1')['status']['conditions']
        return [row for row in rows if row['type'] == 'Ready' and row['status'] == 'Unknown']

    # What its clock says does not matter: it is silent when the lease has not changed for so long.
    time.sleep(3)
    assert not silent()
    assert cism.wait(silent, seconds=60, every=1)[0]['message'] == "instance 'node-1' was not heard of for 40 seconds"
    create(cism, pod('b', 'later'))
    assert cism.wait_pending('b', 'later') == "instance 'node-1' is not ready"
    assert cism.holders() == [uid]


def test_registries_are_named_or_not_asked(cism):
    create(cism, pod('b', 'p', image='docker.io/library/busybox:1'))
    assert cism.wait_pending('b', 'p') == (
        "image 'docker.io/library/busybox:1': registry 'docker.io' is not among those the CISM may contact"
    )
    create(cism, pod('b', 'q', image='127.0.0.1:5000/test/app:1'))
    assert cism.wait_pending('b', 'q').startswith("image '127.0.0.1:5000/test/app:1': ")
    assert cism.holders() == []


def test_resources_are_never_given_twice(cism):
    def one(number):
        create(cism, pod('b', f'p{number}', container={'resources': {'limits': {'cpu': '1', 'memory': '64Mi'}}}))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(9)))
    cism.wait(lambda: len(cism.holders()) == 4)
    time.sleep(1)
    assert len(cism.holders()) == 4
    rows = cism.get('/api/v1/namespaces/b/pods')['items']
    pending = [row for row in rows if 'nodeName' not in row['spec']]
    assert len(pending) == 5
    assert cism.wait_pending('b', pending[0]['metadata']['name']).startswith(
        "instance 'node-1' has too little processor left for the 1000m that are asked"
    )


def test_races_never_bring_the_two_together(programs, netns, root, kubectls):
    """Pods of both domains and bindings by hand to all instances at once; then who shares a server is looked at."""
    cism = Cism(
        programs,
        netns,
        root,
        kubectls,
        [('node-1', 'server-1', 1), ('node-2', 'server-2', 1), ('node-3', 'server-2', 1)],
    )
    try:
        cism.start()
        for name in ('node-1', 'node-2', 'node-3'):
            cism.heartbeat(name)
        cism.apply(domain('blue'), domain('red', separation=APART), namespace('b', 'blue'), namespace('r', 'red'))

        def one(number):
            where = 'br'[number % 2]
            create(cism, pod(where, f'p{number}'))
            body = {
                'apiVersion': 'v1',
                'kind': 'Binding',
                'metadata': {'name': f'p{number}'},
                'target': {'kind': 'Node', 'name': f'node-{number % 3 + 1}'},
            }
            cism.curl('admin', 'POST', f'/api/v1/namespaces/{where}/pods/p{number}/binding', body)

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(one, range(24)))
        both = set()
        for _ in range(10):
            by_server = {}
            for row in cism.get('/api/v1/pods')['items']:
                node = row['spec'].get('nodeName')
                if node:
                    by_server.setdefault('server-1' if node == 'node-1' else 'server-2', set()).add(
                        row['metadata']['namespace']
                    )
            assert all(len(kinds) == 1 for kinds in by_server.values()), by_server
            both |= {(server, *kinds) for server, kinds in by_server.items()}
            time.sleep(0.2)
        assert both, 'nothing was bound: this showed nothing'
    finally:
        cism.stop()


@pytest.mark.parametrize('point, bound', [('cism-bind', False), ('cism-bound', True)])
def test_killed_at_the_binding(bare, point, bound):
    bare.start(BULKHEAD_CRASH_AT=point)
    bare.heartbeat()
    bare.apply(domain('blue'), namespace('b', 'blue'))
    try:
        create(bare, pod('b', 'p'))
    except AssertionError:
        pass  # the answer may not have got out before the end
    assert bare.wait_killed() in (-signal.SIGKILL, 128 + signal.SIGKILL)
    bare.start()
    if bound:
        # What was committed is whole at once: pod, charge and ticket.
        found = bare.pod('b', 'p')
        assert found['spec']['nodeName'] == 'node-1' and bare.holders() == [found['metadata']['uid']]
        assert ticket(bare, 'b', 'p')[0]['uid'] == found['metadata']['uid']
    else:
        found = bare.wait_bound('b', 'p')
        assert bare.holders() == [found['metadata']['uid']]
    assert len(bare.get('/api/v1/namespaces/b/pods')['items']) == 1


def test_killed_at_the_deletion(bare):
    bare.start(BULKHEAD_CRASH_AT='cism-delete')
    bare.heartbeat()
    bare.apply(domain('blue'), namespace('b', 'blue'))
    uid = create(bare, pod('b', 'p'))['metadata']['uid']
    bare.wait_bound('b', 'p')
    with pytest.raises(AssertionError):
        bare.curl('admin', 'DELETE', '/api/v1/namespaces/b/pods/p', seconds=5)
    assert bare.wait_killed() in (-signal.SIGKILL, 128 + signal.SIGKILL)
    bare.start()
    assert bare.pod('b', 'p')['metadata']['deletionGracePeriodSeconds'] == 30
    assert bare.holders() == [uid]
    bare.stopped(uid)
    assert bare.curl('admin', 'GET', '/api/v1/namespaces/b/pods/p')[0] == 404


def test_unknown_server_is_no_server(cism):
    """The topology loses the instance: nothing is placed there any more, what runs stays charged."""
    uid = create(cism, pod('b', 'p'))['metadata']['uid']
    cism.wait_bound('b', 'p')
    cism.write_topology([('node-2', 'server-2', 1)])
    cism.wait(lambda: cism.curl('admin', 'GET', '/api/v1/nodes/node-2')[0] == 200)
    create(cism, pod('b', 'later', nodeSelector={'kubernetes.io/hostname': 'node-1'}))
    rows = cism.wait(
        lambda: cism.curl('admin', 'GET', '/apis/trust.bulkhead.dev/v1/namespaces/b/decisions/later')[1].get(
            'instances'
        )
    )
    assert {row['instance']: row['reason'] for row in rows}['node-1'] == 'UnknownServer'
    assert cism.holders() == [uid]


def test_a_moved_instance_counts_where_it_is(cism):
    """node-2 comes to the server of node-1 with what it runs: red may not come there either."""
    cism.write_topology([('node-1', 'server-1', 1), ('node-2', 'server-2', 1)])
    cism.wait(lambda: cism.curl('admin', 'GET', '/api/v1/nodes/node-2')[0] == 200)
    cism.heartbeat('node-2')
    create(cism, pod('b', 'p', nodeSelector={'kubernetes.io/hostname': 'node-2'}))
    cism.wait_bound('b', 'p')
    cism.write_topology([('node-1', 'server-1', 1), ('node-2', 'server-1', 2)])
    cism.wait(lambda: cism.get('/api/v1/nodes/node-2')['metadata']['annotations']['nfv.bulkhead.dev/epoch'] == '2')
    create(cism, pod('r', 'q', nodeSelector={'kubernetes.io/hostname': 'node-1'}))
    cism.wait_pending('r', 'q')
    decision = cism.get('/apis/trust.bulkhead.dev/v1/namespaces/r/decisions/q')
    assert decision['message'].startswith(in_the_way('q', 'p'))


def told_of(cism, *places):
    """Instances that are where they are said to be, once the CISM knows it."""
    cism.write_topology(places)
    for name, _, epoch in places:
        cism.wait(lambda name=name, epoch=epoch: cism.get(f'/api/v1/nodes/{name}')['metadata']['annotations'][
            'nfv.bulkhead.dev/epoch'] == str(epoch))


def test_a_server_that_a_moving_instance_leaves_stays_charged(bare):
    """
    PLC-2, PLC-6: the platform says that node-1 goes by server-1 to server-3 before its machine does. What it runs may
    still run on server-1 until its stop is confirmed, also after the CISM started anew.
    """
    bare.write_topology([('node-1', 'server-9', 1), ('node-2', 'server-1', 1)])
    bare.start()
    for name in ('node-1', 'node-2'):
        bare.heartbeat(name)
    bare.apply(domain('blue'), domain('red', separation=APART), namespace('b', 'blue'), namespace('r', 'red'))
    uid = create(bare, pod('b', 'p', nodeSelector={'kubernetes.io/hostname': 'node-1'}))['metadata']['uid']
    bare.wait_bound('b', 'p')
    told_of(bare, ('node-1', 'server-1', 2), ('node-2', 'server-1', 1))
    told_of(bare, ('node-1', 'server-3', 3), ('node-2', 'server-1', 1))
    for _ in range(2):
        holder = bare.get('/apis/trust.bulkhead.dev/v1/ledger')['holders'][0]
        assert (holder['server'], holder['serversLeft'], holder['serverNow']) == ('server-9', ['server-1'], 'server-3')
        bare.stop()
        bare.start()
    create(bare, pod('r', 'q', nodeSelector={'kubernetes.io/hostname': 'node-2'}))
    bare.wait_pending('r', 'q')
    rows = bare.get('/apis/trust.bulkhead.dev/v1/namespaces/r/decisions/q')['instances']
    assert next(row for row in rows if row['instance'] == 'node-2')['message'] == in_the_way('q', 'p')
    # A deletion, forced or not, confirms nothing; nor does the word of another instance.
    assert bare.curl('admin', 'DELETE', '/api/v1/namespaces/b/pods/p?gracePeriodSeconds=0')[0] == 200
    assert bare.curl('node-2', 'POST', '/api/v1/nodes/node-1/stopped', {'uids': [uid]})[0] == 403
    time.sleep(2)
    bare.wait_pending('r', 'q')
    bare.stopped(uid)
    assert bare.wait_bound('r', 'q')['spec']['nodeName'] == 'node-2'
    # The next move finds nobody who needs the old ones.
    told_of(bare, ('node-1', 'server-9', 4), ('node-2', 'server-1', 1))
    create(bare, pod('b', 'later', nodeSelector={'kubernetes.io/hostname': 'node-1'}))
    bare.wait_bound('b', 'later')
    assert 'serversLeft' not in next(
        row for row in bare.get('/apis/trust.bulkhead.dev/v1/ledger')['holders'] if row['name'] == 'later'
    )


def test_tickets_are_renewed_while_the_binding_stands(programs, netns, root, kubectls):
    cism = Cism(
        programs,
        netns,
        root,
        kubectls,
        settings={
            'address': '127.0.0.1',
            'port': 6443,
            'registries': [{'host': '127.0.0.1:5000'}],
            'ticketLifetimeSeconds': 30,
        },
    )
    try:
        cism.start()
        cism.heartbeat()
        cism.apply(domain('blue'), namespace('b', 'blue'))
        create(cism, pod('b', 'p'))
        cism.wait_bound('b', 'p')
        first = ticket(cism, 'b', 'p')[0]
        assert ticket(cism, 'b', 'p')[0] == first
        time.sleep(17)
        second = ticket(cism, 'b', 'p')[0]
        assert second['issued'] > first['issued'] and second['expires'] > first['expires']
        assert {key: second[key] for key in second if key not in ('issued', 'expires', 'pulls')} == {
            key: first[key] for key in first if key not in ('issued', 'expires', 'pulls')
        }
    finally:
        cism.stop()


def test_a_ticket_of_a_moved_instance_is_not_renewed(programs, netns, root, kubectls):
    cism = Cism(
        programs,
        netns,
        root,
        kubectls,
        settings={
            'address': '127.0.0.1',
            'port': 6443,
            'registries': [{'host': '127.0.0.1:5000'}],
            'ticketLifetimeSeconds': 30,
        },
    )
    try:
        cism.start()
        cism.heartbeat()
        cism.apply(domain('blue'), namespace('b', 'blue'))
        create(cism, pod('b', 'p'))
        cism.wait_bound('b', 'p')
        cism.write_topology([('node-1', 'server-9', 2)])
        time.sleep(16)
        status, answer = cism.curl('node-1', 'GET', '/api/v1/namespaces/b/pods/p/ticket')
        assert (status, answer['message']) == (
            409,
            "instance 'node-1' is no longer where pod 'b/p' was bound to it",
        )
    finally:
        cism.stop()

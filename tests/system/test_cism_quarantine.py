# SPDX-License-Identifier: Apache-2.0
"""How a charge ends besides a confirmed stop: installed anew after a quarantine, or powered off (PLC-6)."""

import json

import pytest

from support_cism import Cism, domain, namespace, pod

QUARANTINES = '/apis/trust.bulkhead.dev/v1/quarantines'
LEDGER = '/apis/trust.bulkhead.dev/v1/ledger'


@pytest.fixture
def cism(programs, netns, root, kubectls):
    made = Cism(programs, netns, root, kubectls, [('node-1', 'server-1', 1), ('node-2', 'server-2', 1)])
    try:
        made.start()
        for name in ('node-1', 'node-2'):
            made.heartbeat(name)
        made.apply(domain('blue'), domain('red', separation=[{'from': {'domains': ['blue']}, 'level': 'Server'}]),
                   namespace('b', 'blue'), namespace('r', 'red'))
        yield made
    finally:
        made.stop()


def run(cism, where, name, node):
    made = pod(where, name, nodeSelector={'kubernetes.io/hostname': node})
    status, answer = cism.curl('admin', 'POST', f'/api/v1/namespaces/{where}/pods', made)
    assert status == 201, answer
    return answer['metadata']['uid']


def quarantine(cism, what, name):
    body = {'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'Quarantine', 'metadata': {'name': f'{what}.{name}'},
            'spec': {what: name, 'reason': 'breakout'}}
    return cism.curl('admin', 'POST', QUARANTINES, body)


def ended(cism, name):
    """Why the quarantine has not ended; None when it has."""
    status, found = cism.curl('admin', 'GET', f'{QUARANTINES}/{name}')
    if status == 404:
        return None
    rows = found.get('status', {}).get('conditions', [])
    return rows[0]['message'] if rows else ''


def test_an_instance_under_quarantine_is_not_believed(cism):
    first = run(cism, 'b', 'p', 'node-1')
    cism.wait_bound('b', 'p')
    status, answer = quarantine(cism, 'instance', 'node-1')
    assert status == 201 and answer['status']['instances'][0]['name'] == 'node-1', answer
    assert len(answer['status']['instances'][0]['certificate']) == 64
    # What it says has stopped stays charged, and nothing comes there.
    status, answer = cism.curl('node-1', 'POST', '/api/v1/nodes/node-1/stopped', {'uids': [first]})
    assert (status, answer['message']) == (
        403, "instance 'node-1' is not believed: it is under quarantine 'instance.node-1'; install it anew, have it "
        'join again and delete the Quarantine')
    assert cism.holders() == [first]
    run(cism, 'b', 'later', 'node-1')
    assert cism.wait_pending('b', 'later').startswith(
        "pod 'b/later' may not run on instance 'node-1': the instance is quarantined")
    cism.wait(lambda: [row for row in cism.get('/api/v1/nodes/node-1')['status']['conditions']
                       if row['type'] == 'Quarantined' and row['status'] == 'True'])
    # Neither can the instance take back what the platform says of it, nor an administrator change it by halves.
    status, _ = cism.curl('node-1', 'PATCH', '/api/v1/nodes/node-1/status',
                          {'status': {'conditions': [{'type': 'Quarantined', 'status': 'False'},
                                                     {'type': 'Ready', 'status': 'True'}]}},
                          'application/merge-patch+json')
    rows = {row['type']: row['status'] for row in cism.get('/api/v1/nodes/node-1')['status']['conditions']}
    assert status == 200 and (rows['Quarantined'], rows['Ready']) == ('True', 'True'), rows
    status, answer = cism.curl('admin', 'PATCH', f'{QUARANTINES}/instance.node-1',
                               {'metadata': {'finalizers': []}}, 'application/merge-patch+json')
    assert status == 403 and 'a quarantine does not change' in answer['message'], answer
    # It ends by being installed anew alone: another certificate and a larger epoch.
    assert cism.curl('admin', 'DELETE', f'{QUARANTINES}/instance.node-1')[0] == 200
    assert cism.wait(lambda: ended(cism, 'instance.node-1')) == (
        "instance 'node-1' has not joined again: it shows the certificate it had")
    former = cism.identities['node-1']
    cism.identities['former'] = former
    cism.identities['node-1'] = cism.pki.issue(cism.root / 'ids/node-1-anew', '/O=system:nodes/CN=system:node:node-1',
                                               'clientAuth')
    cism.heartbeat('node-1')
    assert cism.wait(lambda: 'epoch' in (ended(cism, 'instance.node-1') or '') and ended(cism, 'instance.node-1')) == (
        "the topology does not say that instance 'node-1' was installed anew: its epoch is not above 1")
    assert cism.holders() == [first]
    cism.write_topology([('node-1', 'server-1', 2), ('node-2', 'server-2', 1)])
    cism.wait(lambda: ended(cism, 'instance.node-1') is None)
    assert first not in [row['uid'] for row in cism.get(LEDGER)['holders']]
    cism.wait_bound('b', 'later')
    status, answer = cism.curl('former', 'GET', '/api/v1/nodes/node-1/holders')
    assert (status, answer['message']) == (
        403, "the certificate of instance 'node-1' was revoked when its quarantine ended: it has to join again")


def test_a_server_under_quarantine_and_what_moves_from_it(cism):
    uid = run(cism, 'b', 'p', 'node-1')
    cism.wait_bound('b', 'p')
    assert quarantine(cism, 'server', 'server-1')[0] == 201
    cism.write_topology([('node-1', 'server-3', 2), ('node-2', 'server-2', 1)])
    cism.wait(lambda: cism.get('/api/v1/nodes/node-1')['metadata']['annotations']['nfv.bulkhead.dev/epoch'] == '2')
    status, answer = cism.curl('node-1', 'POST', '/api/v1/nodes/node-1/stopped', {'uids': [uid]})
    assert status == 403 and "under quarantine 'server.server-1'" in answer['message']
    run(cism, 'b', 'later', 'node-1')
    assert 'the instance is quarantined' in cism.wait_pending('b', 'later')


@pytest.mark.parametrize('body, message', [
    ({'metadata': {'name': 'x'}, 'spec': {'instance': 'node-1', 'reason': 'r'}}, "must be 'instance.node-1'"),
    ({'metadata': {'name': 'instance.gone'}, 'spec': {'instance': 'gone', 'reason': 'r'}},
     "spec.instance: the topology knows no 'gone'"),
    ({'metadata': {'name': 'server.s'}, 'spec': {'reason': 'r'}}, 'spec: either instance or server has to be given'),
    ({'metadata': {'name': 'instance.node-1'}, 'spec': {'instance': 'node-1'}}, 'spec.reason: Required value'),
])
def test_a_quarantine_says_what_it_means(cism, body, message):
    body = {'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'Quarantine', **body}
    status, answer = cism.curl('admin', 'POST', QUARANTINES, body)
    assert status in (403, 422) and message in answer['message'], answer


def test_powered_off(cism):
    """The topology source says so in a new epoch and generation; in the same epoch it is a lie, and nothing ends."""
    uid = run(cism, 'b', 'p', 'node-1')
    cism.wait_bound('b', 'p')

    def write(epoch, power, generation):
        rows = [{'name': 'node-1', 'server': 'server-1', 'deployment': 'BareMetal', 'epoch': epoch, 'power': power},
                {'name': 'node-2', 'server': 'server-2', 'deployment': 'BareMetal', 'epoch': 1}]
        fresh = cism.etc / 'topology.new'
        fresh.write_text(json.dumps({'instances': rows, 'generation': generation}))
        fresh.rename(cism.etc / 'topology.json')

    write(1, 'Off', 1)
    cism.wait(lambda: "instance 'node-1' is powered off in the same epoch 1 as it ran in" in cism.log.read_text())
    assert cism.holders() == [uid]
    write(2, 'Off', 2)
    cism.wait(lambda: cism.get(LEDGER)['holders'] == [])
    assert cism.curl('admin', 'GET', '/api/v1/namespaces/b/pods/p')[0] == 404
    assert ('PoweredOff', "the pod's instance was powered off") in [
        (event['reason'], event['message']) for event in cism.get('/api/v1/namespaces/b/events')['items']]
    run(cism, 'r', 'q', 'node-1')
    assert "instance 'node-1' is powered off" in cism.wait_pending('r', 'q')
    write(2, 'On', 3)
    cism.wait_bound('r', 'q')

# SPDX-License-Identifier: Apache-2.0
"""What must be apart stays apart, is proven to be, and is told where it is not (PLC-2, PLC-5, PLC-6, CISM-7)."""

import time

import pytest

from support_cism import Cism, domain, namespace, pod

APART = [{'from': {'domains': ['blue']}, 'level': 'Server'}]
LEDGER = '/apis/trust.bulkhead.dev/v1/ledger'
RELEASES = '/apis/trust.bulkhead.dev/v1/releases'
OWNER_IS_TOLD = (
    'the pod is not kept apart at level Server from everything it must be; the platform\'s operator can say more'
)


@pytest.fixture
def cism(programs, netns, root, kubectls):
    """Two instances on two servers, red and blue may not share one."""
    made = Cism(programs, netns, root, kubectls, [('node-1', 'server-1', 1), ('node-2', 'server-2', 1)])
    try:
        made.start()
        for name in ('node-1', 'node-2'):
            made.heartbeat(name)
        made.apply(domain('blue'), domain('red', separation=APART), namespace('b', 'blue'), namespace('r', 'red'))
        yield made
    finally:
        made.stop()


def run(cism, where, name, node):
    made = pod(where, name, nodeSelector={'kubernetes.io/hostname': node})
    status, answer = cism.curl('admin', 'POST', f'/api/v1/namespaces/{where}/pods', made)
    assert status == 201, answer
    return cism.wait_bound(where, name)['metadata']['uid']


def proof(cism, holds):
    """The next proof for which holds(proof)."""

    def fits():
        found = cism.get(LEDGER).get('proof')
        return found if found and holds(found) else None

    return cism.wait(fits, 30)


def condition(cism, node):
    rows = cism.get(f'/api/v1/nodes/{node}')['status']['conditions']
    return next((row for row in rows if row['type'] == 'Separated'), {})


def reasons(cism, where):
    return [(event['reason'], event['message']) for event in cism.get(f'/api/v1/namespaces/{where}/events')['items']]


def test_a_move_that_violates_is_found_and_told(cism):
    """PLC-2: a VM comes to a server where its pods may not be: placed as they must, and told within seconds."""
    run(cism, 'b', 'p', 'node-1')
    uid = run(cism, 'r', 'q', 'node-2')
    found = proof(cism, lambda found: found['pods'] == 2)
    assert found['proven'] and (found['violations'], found['unplaced'], found['findings']) == (0, 0, [])
    assert condition(cism, 'node-1')['status'] == 'True'
    cism.write_topology([('node-1', 'server-1', 1), ('node-2', 'server-1', 2)])
    found = proof(cism, lambda found: not found['proven'])
    assert (found['violations'], len(found['findings'])) == (1, 1)
    assert found['findings'][0]['rule'] == "separation[0] of TrustDomain 'red'"
    sentence = found['findings'][0]['sentence']
    assert "may not share server 'server-1' with pod" in sentence and "'b/p'" in sentence and "'r/q'" in sentence
    cism.wait(lambda: condition(cism, 'node-2').get('message') == sentence)
    assert condition(cism, 'node-1')['message'] == sentence
    for where in 'br':
        cism.wait(lambda where=where: ('SeparationViolated', OWNER_IS_TOLD) in reasons(cism, where))
    # Of what is there nothing was touched: neither domain says Evict.
    assert all('deletionTimestamp' not in cism.pod(*name)['metadata'] for name in (('b', 'p'), ('r', 'q')))
    # It does not end when the platform says that the VM goes on: the machine may stand there yet.
    cism.write_topology([('node-1', 'server-1', 1), ('node-2', 'server-2', 3)])
    cism.wait(lambda: cism.get('/api/v1/nodes/node-2')['metadata']['annotations']['nfv.bulkhead.dev/epoch'] == '3')
    time.sleep(3)
    assert [row['sentence'] for row in cism.get(LEDGER)['proof']['findings']] == [sentence]
    # And it ends when what moved has stopped.
    cism.stopped(uid, name='node-2')
    assert proof(cism, lambda found: found['proven'])['findings'] == []
    cism.wait(lambda: condition(cism, 'node-2')['status'] == 'True')


def test_a_move_evicts_where_the_domain_says_so(cism):
    """The side that moved ends, and stays charged until its stop is confirmed."""
    spec = {'separation': APART, 'onViolation': 'Evict'}
    cism.apply(domain('red', **spec), domain('blue', onViolation='Evict'))
    run(cism, 'b', 'p', 'node-1')
    uid = run(cism, 'r', 'q', 'node-2')
    cism.write_topology([('node-1', 'server-1', 1), ('node-2', 'server-1', 2)])
    cism.wait(lambda: 'deletionTimestamp' in cism.pod('r', 'q')['metadata'], 30)
    assert 'deletionTimestamp' not in cism.pod('b', 'p')['metadata']
    assert 'Evicted' in [reason for reason, _ in reasons(cism, 'r')]
    assert cism.holders('node-2') == [uid] and not proof(cism, lambda found: True)['proven']
    cism.stopped(uid, name='node-2')
    assert proof(cism, lambda found: found['proven'])['pods'] == 1


def test_a_change_of_rules_that_violates_is_found(cism):
    cism.apply(domain('green'), namespace('g', 'green'))
    run(cism, 'b', 'p', 'node-1')
    run(cism, 'g', 'x', 'node-1')
    cism.apply(domain('green', isolation='Dedicated'))
    found = proof(cism, lambda found: not found['proven'])
    assert found['findings'][0]['rule'] == "isolation Dedicated of TrustDomain 'green'"
    assert found['findings'][0]['object'] == 'TrustDomain/green'


def test_an_instance_that_left_the_topology_is_no_proof(cism):
    run(cism, 'b', 'p', 'node-1')
    cism.write_topology([('node-2', 'server-2', 1)])
    found = proof(cism, lambda found: found['unplaced'] == 1)
    assert not found['proven'] and 'the instance is on no known server' in found['findings'][0]['sentence']
    # It does not come back elsewhere under the same epoch.
    cism.write_topology([('node-1', 'server-2', 1), ('node-2', 'server-2', 1)])
    cism.wait(lambda: "instance 'node-1' is on server 'server-2' in the same epoch 1 as on 'server-1'"
              in cism.log.read_text())
    assert cism.get(LEDGER)['holders'][0]['serverNow'] == ''


def test_who_is_charged_and_the_release_of_an_operator(cism):
    """PLC-6: a charge ends by a confirmed stop or on an administrator's word, which is kept with its reason."""
    uid = run(cism, 'b', 'p', 'node-1')
    assert cism.curl('admin', 'DELETE', '/api/v1/namespaces/b/pods/p?gracePeriodSeconds=0')[0] == 200
    assert cism.get(LEDGER)['holders'] == [
        {'uid': uid, 'namespace': 'b', 'name': 'p', 'domain': 'blue', 'subFunction': '', 'instance': 'node-1',
         'server': 'server-1', 'epoch': 1, 'serverNow': 'server-1', 'epochNow': 1}
    ]
    for who in ('node-1', 'somebody'):
        assert cism.curl(who, 'GET', LEDGER)[0] == 403
        assert cism.curl(who, 'POST', RELEASES, {'uid': uid, 'reason': 'mine'})[0] == 403
    for body, message in (
        ({'uid': uid}, "reason' is missing"),
        ({'uid': uid, 'reason': '  '}, 'reason: why the pod cannot run any more has to be said'),
        ({'uid': '../x', 'reason': 'r'}, "uid: '../x' is no uid"),
        ({'uid': 'other', 'reason': 'r'}, "pod uid 'other' holds nothing"),
    ):
        status, answer = cism.curl('admin', 'POST', RELEASES, body)
        assert status in (400, 404, 422) and message in answer['message'], answer
    status, answer = cism.curl('admin', 'POST', RELEASES, {'uid': uid, 'reason': 'server-1 burnt down'})
    assert status == 200 and answer['by'] == 'admin' and answer['reason'] == 'server-1 burnt down', answer
    assert cism.holders() == [] and cism.get(LEDGER)['holders'] == []
    assert 'an administrator ended a charge' in cism.log.read_text()

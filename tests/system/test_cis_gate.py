# SPDX-License-Identifier: Apache-2.0
"""PLC-7: the second gate. A stand-in API server with a valid certificate offers tickets that must not run."""
import base64
import json

import pytest

import registry as registries
import support_node
import support_sign as signs
from support_node import pod


@pytest.fixture
def node(cell, root, programs):
    made = support_node.make_node(cell, root, programs)
    yield made
    made.close()


@pytest.fixture
def api(node):
    made = support_node.Api(node)
    yield made
    made.close()


@pytest.fixture
def image(node):
    return node.push_image()


def refusal(node, api, item, ticket):
    """Offers a ticket and returns the sentence with which the pod is refused; nothing of it may be there."""
    uid = item['metadata']['uid']
    api.offer(item, ticket)
    status = api.wait_status(uid, lambda status: status['phase'] == 'Failed')
    assert status['reason'] == 'TicketRefused'
    assert 'containerStatuses' not in status
    api.wait(lambda: api.reasons(uid) == ['TicketRefused'])
    event = next(event for event in api.events if event['involvedObject']['uid'] == uid)
    assert (event['type'], event['message']) == ('Warning', status['message'])
    assert status['message'] in node.log.read_text()
    assert not (node.state / f'pods/{uid}').exists()
    assert not (node.root / f'run/bulkhead/pods/{uid}').exists()
    return status['message']


def altered(ticket, change):
    """A ticket whose payload was changed after it was signed."""
    envelope = json.loads(ticket)
    payload = json.loads(base64.b64decode(envelope['payload']))
    change(payload)
    envelope['payload'] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(envelope).encode()


def test_forged(node, api, image):
    """Unsigned, altered, signed by another CA, by a TLS key, by the instance itself."""
    node.start()
    said = {}
    other = registries.Identity('ca', 'other')
    signers = {'other CA': registries.Identity('binding', 'binding:other', ca=other),
               'server': registries.Identity('server', 'cism', ca=node.ca), 'instance': node.client, 'CA': node.ca}
    for name, signer in signers.items():
        item = pod('forged', image)
        said[name] = refusal(node, api, item, node.ticket(item, signer=signer))
    item = pod('forged', image)
    said['unsigned'] = refusal(node, api, item, json.dumps(node.payload(item)).encode())
    item = pod('forged', image)
    said['no JSON'] = refusal(node, api, item, b'ticket')
    item = pod('forged', image)
    said['altered'] = refusal(node, api, item, altered(node.ticket(item), lambda payload: payload.update(domain='x')))
    for name, sentence in said.items():
        assert sentence.startswith("ticket of pod 'ims/forged' refused: "), (name, sentence)
    assert 'signature' in said['altered']
    for name in ('server', 'instance', 'other CA', 'CA'):
        assert 'certificate' in said[name], said[name]
    # The gate is not simply shut.
    item = pod('good', image)
    api.offer(item, node.ticket(item))
    api.wait_status(item['metadata']['uid'], lambda status: status['phase'] == 'Running')


def test_not_for_here_or_now(node, api, image):
    """Expired, for another instance, of an older mapping, for another pod, of another version of the same text."""
    node.start()
    first = pod('first', image)
    api.offer(first, node.ticket(first, epoch=5))
    api.wait_status(first['metadata']['uid'], lambda status: status['phase'] == 'Running')
    cases = [({'issued': registries.stamp(-100), 'expires': -10, 'epoch': 5}, 'it expired at '),
             ({'instance': 'node-2', 'epoch': 5}, "it is made for instance 'node-2', this is 'node-1'"),
             ({'epoch': 4}, 'epoch'), ({'epoch': 5, 'server': 'server-2'}, 'server')]
    for more, expected in cases:
        item = pod('case', image)
        assert expected in refusal(node, api, item, node.ticket(item, **more)), more
    item, other = pod('case', image), pod('case', image)
    assert 'it was offered for pod' in refusal(node, api, item, node.ticket(other, epoch=5))
    item = pod('case', image)
    payload = node.payload(item, epoch=5)
    payload['pod'] = json.dumps(pod('other', image))
    assert 'ticket' in refusal(node, api, item, registries.seal(node.binding, json.dumps(payload).encode()))


def test_replayed(node, api, image):
    """A pod that has ended never runs again, whatever ticket of it is still valid; not after a restart either."""
    node.start()
    item = pod('once', image, 'true', restartPolicy='Never')
    uid = item['metadata']['uid']
    ticket = node.ticket(item)
    api.offer(item, ticket)
    api.wait_status(uid, lambda status: status['phase'] == 'Succeeded')
    api.wait_stopped(uid)
    api.delete(uid)
    node.wait(lambda: node.status(uid) is None)
    for _ in range(2):
        assert f"it is replayed: uid '{uid}' has finished here" in refusal_again(node, api, item, ticket)
        api.forget(uid)
        node.wait(lambda: node.status(uid) is None)
        assert node.stop() == 0
        node.start()


def refusal_again(node, api, item, ticket):
    """As refusal, for a uid that was told before."""
    uid = item['metadata']['uid']
    api.statuses.pop(uid, None)
    api.events.clear()
    return refusal(node, api, item, ticket)


def test_conflict_with_what_runs(node, api, image):
    """
    PLC-5, PLC-7: a correctly signed ticket whose domain may not be beside one that runs, by the rules of either. Its
    owner reads nothing of whom it would have met; the log of the instance says it.
    """
    apart = {'isolation': 'Container', 'separation': [{'from': {'domains': ['ims']}, 'level': 'Instance'}]}
    node.start()
    first = pod('pcscf', image)
    api.offer(first, node.ticket(first, domain='ims'))
    api.wait_status(first['metadata']['uid'], lambda status: status['phase'] == 'Running')
    item = pod('hlr', image, namespace='hss')
    said = refusal(node, api, item, node.ticket(item, domain='hlr', spec=apart))
    assert "trust domain 'hlr' is kept apart at level Instance from what runs there" in said and 'ims' not in said, said
    assert "separation[0] of TrustDomain 'hlr' keeps them apart" in node.log.read_text()
    item = pod('alone', image, namespace='hss')
    ticket = node.ticket(item, domain='dedicated', spec={'isolation': 'Dedicated'})
    assert "'dedicated'" in refusal(node, api, item, ticket)
    # One that has no rule against it runs, and then its own rule keeps the next away.
    strict = pod('strict', image, namespace='core')
    rule = {'isolation': 'Container', 'separation': [{'from': {'domains': ['late']}, 'level': 'Server'}]}
    api.offer(strict, node.ticket(strict, domain='strict', spec=rule))
    api.wait_status(strict['metadata']['uid'], lambda status: status['phase'] == 'Running')
    item = pod('late', image, namespace='late')
    assert "trust domain 'late' is kept apart" in refusal(node, api, item, node.ticket(item, domain='late'))


def test_privileges(node, api, image):
    """ISO-3, ISO-5: what the first gate should have refused is refused by its field."""
    node.start()
    cases = [
        ({'container': {'securityContext': {'capabilities': {'add': ['NET_ADMIN']}}}}, 'NET_ADMIN'),
        ({'container': {'securityContext': {'privileged': True}}},
         "field 'spec.containers[0].securityContext.privileged' is not supported by this instance"),
        ({'container': {'securityContext': {'allowPrivilegeEscalation': True}}}, 'allowPrivilegeEscalation'),
        ({'container': {'securityContext': {'seccompProfile': {'type': 'Unconfined'}}}}, 'seccompProfile.type'),
        ({'hostNetwork': True}, "field 'spec.hostNetwork' is not supported by this instance"),
        ({'hostPID': True}, 'spec.hostPID'),
        ({'volumes': [{'name': 'x', 'hostPath': {'path': '/'}}]},
         "field 'spec.volumes[0].hostPath' is not supported by this instance"),
        ({'container': {'image': image.split('@')[0] + ':latest'}}, 'sha256 digest'),
        ({'container': {'unknown': 1}}, "field 'spec.containers[0].unknown' is not supported by this instance"),
        ({'runtimeClassName': 'x'}, 'spec.runtimeClassName'),
    ]
    for more, expected in cases:
        item = pod('greedy', image, **more)
        said = refusal(node, api, item, node.ticket(item))
        assert expected in said, (more, said)


def test_cache_class(node, api, image):
    """CACHE-1: an image that is to be kept sealed is not quietly cached in the open where there is no key for that."""
    node.start()
    item = pod('sealed', image)
    spec = {'isolation': 'Container', 'cache': [{'images': ['*'], 'class': 'Encrypted'}]}
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item, spec=spec))
    status = api.wait_status(uid, lambda status: status.get('containerStatuses', [{}])[0].get('state', {})
                             .get('waiting', {}).get('reason') == 'ErrImagePull')
    assert image in status['containerStatuses'][0]['state']['waiting']['message']
    assert not [name for name in (node.state / 'images').iterdir() if name.name.startswith('sha256-')]


def test_ticket_without_pull_token(node, api, image):
    node.start()
    item = pod('tokenless', image)
    assert 'it carries no pull token for image' in refusal(node, api, item, node.ticket(item, pulls=[]))


def test_foreign_registry(node, api, image):
    """The instance talks to the registries of its configuration only."""
    node.start()
    item = pod('elsewhere', image.replace('127.0.0.1:5000', '127.0.0.1:5001'))
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item))
    status = api.wait_status(uid, lambda status: status.get('containerStatuses', [{}])[0].get('state', {})
                             .get('waiting', {}).get('reason') == 'ErrImagePull')
    message = status['containerStatuses'][0]['state']['waiting']['message']
    assert 'is of a registry that this instance is not told to use' in message


def test_ticket_file_of_another_instance(node, image, root):
    item = pod('file', image)
    (root / 'ticket.json').write_bytes(node.ticket(item, instance='node-2'))
    node.start('--ticket', root / 'ticket.json', check=False)
    assert node.process.wait(30) == 6
    node.process = None
    assert "it is made for instance 'node-2', this is 'node-1'" in node.log.read_text()


def test_foreign_api_server(node, image):
    """An API server whose certificate is of another CA is not listened to."""
    real = node.ca
    node.ca = registries.Identity('ca', 'other')
    api = support_node.Api(node)
    node.ca = real
    try:
        item = pod('lured', image)
        api.offer(item, node.ticket(item))
        node.start()
        node.wait(lambda: 'the CISM does not answer' in node.log.read_text())
        assert node.status(item['metadata']['uid']) is None
        assert not api.statuses and not api.leases
    finally:
        api.close()


def test_signatures_are_verified_again(node, api, image):
    """CIR-2: the instance decides by the raw bytes of the ticket, whatever the CISM made of them, and asks nobody."""
    node.start()
    key, other = signs.SigningKey(), signs.SigningKey()
    repository, digest = image.split('@')
    right = signs.payload(repository, digest)

    def offer(*signatures, **requirement):
        item = pod('signed', image)
        payload = node.payload(item)
        demand = {'type': 'sigstoreSigned', 'keyData': key.data, **requirement}
        payload['pulls'][0].update(demands=[{'policy': 'cluster', 'requirement': demand}],
                                   signatures=list(signatures))
        return item, registries.seal(node.binding, json.dumps(payload).encode())

    def plain(message, signer=key):
        return {'payload': signs.text(message), 'signature': signer.sign(message)}
    start = f"ticket of pod 'ims/signed' refused: image '{image}' is "
    unsigned = f"{start}not signed by key '{key.name}', which ImagePolicy 'cluster' demands: "
    changed = {**plain(right), 'payload': signs.text(right.replace(b'cosign', b'cOsign'))}
    elsewhere = f'{repository}-other'
    said = f"{start}refused by ImagePolicy 'cluster': the signature by key '{key.name}' is "
    for signature, sentence in [
            (None, f'{unsigned}it has no signature'),
            (plain(right, other), f'{unsigned}none of the 1 signatures found is by it'),
            (changed, f'{unsigned}none of the 1 signatures found is by it'),
            (plain(signs.payload(elsewhere, digest)), f"{said}for '{elsewhere}', not for '{repository}'"),
            (plain(signs.payload(repository, 'sha256:' + '2' * 64)), f"{said}of 'sha256:{'2' * 64}'"),
            ({'bundle': signs.text(signs.bundle(other, signs.statement(digest, repository)))},
             f'{unsigned}none of the 1 signatures found is by it')]:
        assert refusal(node, api, *offer(*([signature] if signature else []))) == sentence
    item, ticket = offer(plain(right, other), plain(right))
    api.offer(item, ticket)
    node.wait_phase(item['metadata']['uid'], 'Running')
    item, ticket = offer({'bundle': signs.text(signs.bundle(key, signs.statement(digest, repository)))})
    api.offer(item, ticket)
    node.wait_phase(item['metadata']['uid'], 'Running')

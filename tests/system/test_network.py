# SPDX-License-Identifier: Apache-2.0
"""NET-1, NET-2: who reaches whom between pods of an instance, with packets of the containers themselves."""
import pytest

import support_node
from support_node import pod

# Takes connections on ports 5060 and 5061 and writes down what came.
LISTEN = ('for port in 5060 5061; do (while true; do nc -l -p $port > /tmp/$port; '
          'echo got $port $(cat /tmp/$port); done) & done; echo ready; wait')


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


def start(node, api, item, **ticket):
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item, **ticket))
    status = api.wait_status(uid, lambda status: status['phase'] == 'Running')
    return uid, status['podIP']


def listener(node, api, image, name, **ticket):
    volumes = {'volumes': [{'name': 'tmp', 'emptyDir': {'medium': 'Memory'}}]}
    mounts = {'volumeMounts': [{'name': 'tmp', 'mountPath': '/tmp'}]}
    uid, address = start(node, api, pod(name, image, LISTEN, container=mounts, **volumes), **ticket)
    api.wait(lambda: 'ready' in node.text(uid))
    return uid, address


def says(word, address, port):
    return f'for i in 1 2 3 4 5; do echo {word} | nc -w 1 {address} {port}; done'


def test_reachability(node, api, image):
    """Within a domain all passes; between domains only what the receiver declares; to host and outside nothing."""
    node.start()
    declared = {'isolation': 'Container', 'interfaces': [
        {'name': 'sip', 'from': {'domains': ['ims']}, 'ports': [{'protocol': 'TCP', 'port': 5060}]}]}
    own, own_address = listener(node, api, image, 'own', domain='ims')
    other, other_address = listener(node, api, image, 'other', domain='core', spec=declared)
    script = '; '.join([says('a', own_address, 5060), says('b', other_address, 5060), says('c', other_address, 5061),
                        'echo said; sleep 1000'])
    sender, _ = start(node, api, pod('sender', image, script), domain='ims')
    foreign, _ = start(node, api, pod('foreign', image, says('d', other_address, 5060) + '; echo said; sleep 1000'),
                       domain='foreign')
    for uid in (sender, foreign):
        api.wait(lambda uid=uid: 'said' in node.text(uid), seconds=60)
    assert 'got 5060 a' in node.text(own)
    assert 'got 5060 b' in node.text(other)
    assert not {'c', 'd'} & set(node.text(other).split())


def test_nothing_before_the_rules(node, api, image):
    """The first thing a pod does is to send; not one packet reaches another domain."""
    node.start()
    other, address = listener(node, api, image, 'other', domain='core')
    for number in range(5):
        script = f'while true; do echo x | nc -w 1 {address} 5060; done'
        uid, _ = start(node, api, pod(f'eager-{number}', image, script), domain='ims')
        api.delete(uid, grace=0)
        api.wait_stopped(uid)
    assert 'got' not in node.text(other)
    # The same pod in the listener's own domain is heard.
    start(node, api, pod('friend', image, script), domain='core')
    api.wait(lambda: 'got 5060 x' in node.text(other))


def test_rules_go_with_the_pod(node, api, image):
    """ISO-10: neither element nor address of a pod stays; the next pod gets another address."""
    node.start()
    empty = node.cell.run(['nft', 'list', 'ruleset']).stdout
    uid, address = start(node, api, pod('first', image), domain='ims')
    assert address in node.cell.run(['nft', 'list', 'ruleset']).stdout
    api.delete(uid, grace=0)
    api.wait_stopped(uid)
    assert node.cell.run(['nft', 'list', 'ruleset']).stdout == empty
    _, following = start(node, api, pod('second', image), domain='ims')
    assert following != address

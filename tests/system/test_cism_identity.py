# SPDX-License-Identifier: Apache-2.0
"""Who may ask the CISM what: certificates, the authorizer's table, the instance's protocol (CISM-4, PLC-5)."""

import subprocess

import pytest

from support_cism import Cism, Pki, domain, namespace, pod


@pytest.fixture
def cism(programs, netns, root, kubectls):
    made = Cism(programs, netns, root, kubectls, [('node-1', 'server-1', 1), ('node-2', 'server-2', 1)])
    made.start()
    yield made
    made.stop()


def forbidden(user, verb, what, scope):
    resource, _, group = what.partition('.')
    shown = f'{resource.split("/")[0]}{"." + group if group else ""}'
    return f'{shown}{{}} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}"{scope}'


def refused(cism, who, method, path, message, **options):
    status, answer = cism.curl(who, method, path, **options)
    assert status == 403 and answer['reason'] == 'Forbidden'
    assert answer['message'] == message


def test_without_a_certificate_only_probes_and_version_answer(cism):
    for path in ('/livez', '/readyz', '/readyz/ping'):
        assert cism.curl(None, 'GET', path, raw=True) == (200, b'ok')
    assert cism.curl(None, 'GET', '/version')[1]['minor'] == '33'
    for path in (
        '/api',
        '/apis',
        '/openapi/v2',
        '/api/v1/pods',
        '/metrics',
        '/nothing',
        '/api/v1/nodes/node-1/holders',
    ):
        status, answer = cism.curl(None, 'GET', path)
        assert (status, answer['reason'], answer['message']) == (401, 'Unauthorized', 'Unauthorized'), path


def test_a_foreign_ca_is_refused(cism):
    foreign = Pki(cism.root / 'foreign', 'foreign')
    cism.identity('foreign-admin', '/O=system:masters/CN=admin', foreign)
    path = cism.identities['foreign-admin']
    done = subprocess.run(
        cism.words(
            'curl',
            '-sS',
            '--cacert',
            cism.pki.ca,
            '--cert',
            path.with_suffix('.pem'),
            '--key',
            path.with_suffix('.key'),
            '-w',
            '%{http_code}',
            'https://127.0.0.1:6443/livez',
        ),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode != 0 or done.stdout.endswith('403'), done.stdout
    assert 'ok' not in done.stdout


def test_a_binding_certificate_speaks_no_tls(cism):
    cism.identities['binding'] = cism.etc / 'pki/cism/binding'
    path = cism.identities['binding']
    done = subprocess.run(
        cism.words(
            'curl',
            '-sS',
            '--cacert',
            cism.pki.ca,
            '--cert',
            path.with_suffix('.pem'),
            '--key',
            path.with_suffix('.key'),
            '-w',
            '%{http_code}',
            'https://127.0.0.1:6443/livez',
        ),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode != 0 or done.stdout.endswith('403'), done.stdout


def test_others_may_nothing_but_ask_about_themselves(cism):
    scope = ' at the cluster scope'
    refused(cism, 'somebody', 'GET', '/api/v1/pods', forbidden('somebody', 'list', 'pods', scope).format(''))
    refused(
        cism,
        'somebody',
        'GET',
        '/api/v1/namespaces/default/secrets/x',
        forbidden('somebody', 'get', 'secrets', ' in the namespace "default"').format(' "x"'),
    )
    refused(
        cism,
        'somebody',
        'POST',
        '/apis/trust.bulkhead.dev/v1/trustdomains',
        forbidden('somebody', 'create', 'trustdomains.trust.bulkhead.dev', scope).format(''),
        body=domain('mine'),
    )
    refused(cism, 'somebody', 'GET', '/metrics', 'forbidden: User "somebody" cannot get path "/metrics"')
    review = {
        'apiVersion': 'authorization.k8s.io/v1',
        'kind': 'SelfSubjectAccessReview',
        'spec': {'resourceAttributes': {'verb': 'list', 'resource': 'pods'}},
    }
    path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    assert cism.curl('somebody', 'POST', path, review)[1]['status']['allowed'] is False
    assert cism.curl('admin', 'POST', path, review)[1]['status']['allowed'] is True


@pytest.fixture
def two(cism):
    """A pod on each of two instances: one names a secret."""
    for name in ('node-1', 'node-2'):
        cism.heartbeat(name)
    cism.apply(domain('blue'), namespace('b', 'blue'))
    for name in ('mine', 'other'):
        secret = {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': name}, 'stringData': {'k': name}}
        assert cism.curl('admin', 'POST', '/api/v1/namespaces/b/secrets', secret)[0] == 201
    for number in ('1', '2'):
        made = pod(
            'b',
            f'p{number}',
            nodeSelector={'kubernetes.io/hostname': f'node-{number}'},
            volumes=[{'name': 's', 'secret': {'secretName': 'mine' if number == '1' else 'other'}}],
        )
        assert cism.curl('admin', 'POST', '/api/v1/namespaces/b/pods', made)[0] == 201
        cism.wait_bound('b', f'p{number}')
    return cism


def test_an_instance_reads_only_its_own(two):
    me, scope = 'system:node:node-1', ' in the namespace "b"'
    assert two.curl('node-1', 'GET', '/api/v1/namespaces/b/pods/p1')[0] == 200
    assert two.curl('node-1', 'GET', '/api/v1/namespaces/b/pods/p1/ticket')[0] == 200
    assert two.curl('node-1', 'GET', '/api/v1/namespaces/b/secrets/mine')[0] == 200
    rows = two.curl('node-1', 'GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1')[1]['items']
    assert [row['metadata']['name'] for row in rows] == ['p1']
    for path, verb, what in (
        ('pods/p2', 'get', 'pods'),
        ('pods/p2/ticket', 'get', 'pods/ticket'),
        ('secrets/other', 'get', 'secrets'),
        ('secrets/none', 'get', 'secrets'),
        ('configmaps/any', 'get', 'configmaps'),
    ):
        name = path.split('/')[1]
        refused(
            two, 'node-1', 'GET', f'/api/v1/namespaces/b/{path}', forbidden(me, verb, what, scope).format(f' "{name}"')
        )
    refused(two, 'node-1', 'GET', '/api/v1/namespaces/b/secrets', forbidden(me, 'list', 'secrets', scope).format(''))
    for selector in (
        '',
        '?fieldSelector=spec.nodeName%3Dnode-2',
        '?fieldSelector=spec.nodeName%3Dnode-1,status.phase%3DPending',
        '?fieldSelector=metadata.name%3Dp2',
    ):
        refused(
            two,
            'node-1',
            'GET',
            f'/api/v1/pods{selector}',
            forbidden(me, 'list', 'pods', ' at the cluster scope').format(''),
        )
    for path, what in (('holders', 'holders'), ('streams?timeoutSeconds=0', 'streams')):
        refused(
            two,
            'node-1',
            'GET',
            f'/api/v1/nodes/node-2/{path}',
            forbidden(me, 'get', f'nodes/{what}', ' at the cluster scope').format(' "node-2"'),
        )
        assert two.curl('node-1', 'GET', f'/api/v1/nodes/node-1/{path}')[0] in (200, 204)


def test_an_instance_writes_only_status_and_lease(two):
    me, merge = 'system:node:node-1', 'application/merge-patch+json'
    body = {'status': {'phase': 'Running'}, 'spec': {'nodeName': 'node-9'}, 'metadata': {'labels': {'planted': 'x'}}}
    status, answer = two.curl('node-1', 'PATCH', '/api/v1/namespaces/b/pods/p1/status', body, merge)
    assert status == 200 and answer['status']['phase'] == 'Running'
    assert answer['spec']['nodeName'] == 'node-1' and 'planted' not in answer['metadata'].get('labels', {})
    cluster, scope = ' at the cluster scope', ' in the namespace "b"'
    refused(
        two,
        'node-1',
        'PATCH',
        '/api/v1/namespaces/b/pods/p2/status',
        forbidden(me, 'patch', 'pods/status', scope).format(' "p2"'),
        body=body,
        kind=merge,
    )
    refused(
        two,
        'node-1',
        'PATCH',
        '/api/v1/namespaces/b/pods/p1',
        forbidden(me, 'patch', 'pods', scope).format(' "p1"'),
        body=body,
        kind=merge,
    )
    refused(
        two,
        'node-1',
        'PATCH',
        '/api/v1/nodes/node-1',
        forbidden(me, 'patch', 'nodes', cluster).format(' "node-1"'),
        body={'metadata': {'labels': {'nfv.bulkhead.dev/server': 'server-9'}}},
        kind=merge,
    )
    refused(
        two,
        'node-1',
        'PATCH',
        '/api/v1/nodes/node-2/status',
        forbidden(me, 'patch', 'nodes/status', cluster).format(' "node-2"'),
        body={'status': {}},
        kind=merge,
    )
    refused(
        two,
        'node-1',
        'POST',
        '/api/v1/nodes/node-2/stopped',
        forbidden(me, 'create', 'nodes/stopped', cluster).format(' "node-2"'),
        body={'uids': []},
    )
    refused(
        two,
        'node-1',
        'POST',
        '/api/v1/namespaces/b/pods',
        forbidden(me, 'create', 'pods', scope).format(''),
        body=pod('b', 'x'),
    )
    refused(
        two, 'node-1', 'DELETE', '/api/v1/namespaces/b/pods/p1', forbidden(me, 'delete', 'pods', scope).format(' "p1"')
    )
    lease = {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': {'name': 'node-9'}, 'spec': {}}
    status, answer = two.curl('node-1', 'POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', lease)
    assert (status, answer['message']) == (
        403,
        'leases "node-9" is forbidden: it is not about instance "node-1" or a pod of it',
    )


def test_an_instance_cannot_free_what_another_holds(two):
    uid = two.pod('b', 'p2')['metadata']['uid']
    status, answer = two.curl('node-1', 'POST', '/api/v1/nodes/node-1/stopped', {'uids': [uid]})
    assert (status, answer['message']) == (403, f"pod uid '{uid}' is not charged to instance 'node-1'")
    assert two.holders('node-2') == [uid]
    for body, message in (({'uids': ['../x']}, "uids: '../x' is no uid"), ({'uids': [1]}, 'uids[0]: must be a string')):
        status, answer = two.curl('node-1', 'POST', '/api/v1/nodes/node-1/stopped', body)
        assert status == 422 and message in answer['message']


def test_events_of_an_instance_are_about_its_pods(two):
    def event(about):
        return {
            'apiVersion': 'v1',
            'kind': 'Event',
            'metadata': {'generateName': 'e-', 'namespace': 'b'},
            'reason': 'Started',
            'message': 'm',
            'type': 'Normal',
            'involvedObject': {'kind': 'Pod', 'name': about, 'namespace': 'b'},
        }

    assert two.curl('node-1', 'POST', '/api/v1/namespaces/b/events', event('p1'))[0] == 201
    status, answer = two.curl('node-1', 'POST', '/api/v1/namespaces/b/events', event('p2'))
    assert status == 403 and answer['message'].endswith('it is not about instance "node-1" or a pod of it')


def test_every_write_and_every_denial_is_in_the_audit_log(cism):
    cism.curl('admin', 'POST', '/api/v1/namespaces', namespace('seen'))
    cism.curl('somebody', 'GET', '/api/v1/namespaces/seen/secrets')
    text = cism.log.read_text()
    assert (
        '"user":"admin","verb":"create","resource":"namespaces","subresource":"","namespace":"","name":"seen"' in text
    )
    assert '"user":"somebody","verb":"list","resource":"secrets","subresource":"","namespace":"seen","name":""' in text
    assert '"code":"403","decision":"deny"' in text


def test_a_watch_by_name_shows_an_instance_nothing(two):
    """A selector of its own in the query does not open another's pod named in the path."""
    for path in ('/api/v1/namespaces/b/pods/p2', '/api/v1/namespaces/b/pods/p1'):
        status, answer = two.curl('node-1', 'GET', f'{path}?watch=true&fieldSelector=spec.nodeName%3Dnode-1')
        assert status == 403 and 'cannot watch resource "pods"' in answer['message']


def test_an_event_of_another_cannot_be_taken_over(two):
    event = {
        'apiVersion': 'v1',
        'kind': 'Event',
        'metadata': {'name': 'e', 'namespace': 'b'},
        'involvedObject': {'kind': 'Pod', 'name': 'p2', 'namespace': 'b'},
    }
    assert two.curl('node-2', 'POST', '/api/v1/namespaces/b/events', event)[0] == 201
    mine = event | {'involvedObject': event['involvedObject'] | {'name': 'p1'}}
    assert two.curl('node-1', 'PUT', '/api/v1/namespaces/b/events/e', mine)[0] == 403
    kind = 'application/merge-patch+json'
    assert two.curl('node-1', 'PATCH', '/api/v1/namespaces/b/events/e', {'message': 'x'}, kind)[0] == 403
    assert two.curl('node-2', 'PATCH', '/api/v1/namespaces/b/events/e', {'message': 'x'}, kind)[0] == 200

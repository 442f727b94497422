# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API as clients other than kubectl meet it: lists, watches, writes, admission (CISM-1, ISO-3)."""

import json
import signal
import subprocess
import time
import urllib.parse

import pytest

from support_cism import Cism, domain, namespace, pod

MERGE = 'application/merge-patch+json'
TABLE = 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
MAPS = '/api/v1/namespaces/default/configmaps'


@pytest.fixture
def bare(programs, netns, root, kubectls):
    made = Cism(programs, netns, root, kubectls)
    yield made
    made.stop()


@pytest.fixture
def cism(bare):
    bare.start()
    return bare


def config_map(name, labels=None, **data):
    return {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name, 'labels': labels or {}}, 'data': data}


def make(cism, name, **parts):
    status, answer = cism.curl('admin', 'POST', MAPS, config_map(name, **parts))
    assert status == 201, answer
    return answer


class Watch:
    """A watch as curl sees it."""

    def __init__(self, cism, path, who='admin', headers=()):
        words = [
            'curl',
            '-sSN',
            '--cacert',
            cism.pki.ca,
            '--cert',
            cism.identities[who].with_suffix('.pem'),
            '--key',
            cism.identities[who].with_suffix('.key'),
        ]
        for header in headers:
            words += ['-H', header]
        self.process = subprocess.Popen(
            cism.words(*words, f'https://127.0.0.1:6443{path}'), stdout=subprocess.PIPE, text=True
        )

    def next(self):
        for line in self.process.stdout:
            if line.strip():
                return json.loads(line)
        return None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def watch(cism):
    begun = []

    def begin(path, **options):
        begun.append(Watch(cism, path, **options))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


# --- lists ---


def test_lists_come_in_pieces_of_one_revision(cism):
    for number in range(7):
        make(cism, f'm{number}')
    first = cism.get(f'{MAPS}?limit=3')
    make(cism, 'm3b')
    seen, token = [row['metadata']['name'] for row in first['items']], first['metadata']['continue']
    while token:
        page = cism.get(f'{MAPS}?limit=3&continue={token}')
        assert page['metadata']['resourceVersion'] == first['metadata']['resourceVersion']
        seen += [row['metadata']['name'] for row in page['items']]
        token = page['metadata'].get('continue')
    assert seen == [f'm{number}' for number in range(7)]
    exact = cism.get(f'{MAPS}?resourceVersion={first["metadata"]["resourceVersion"]}&resourceVersionMatch=Exact')
    assert len(exact['items']) == 7 and len(cism.get(f'{MAPS}?resourceVersion=0')['items']) == 8
    for token, message in (
        ('zz', 'continue token is not valid'),
        ('31', 'continue token is not valid'),
        ('313a2f72656769737472792f636f72652f736563726574732f', 'continue token is not valid for this list'),
    ):
        status, answer = cism.curl('admin', 'GET', f'{MAPS}?limit=3&continue={token}')
        assert (status, answer['message']) == (400, message)
    status, answer = cism.curl('admin', 'GET', f'{MAPS}?resourceVersion=999999&resourceVersionMatch=Exact')
    assert status == 504 and answer['message'].startswith('Too large resource version: 999999')


def test_selectors(cism):
    make(cism, 'a', labels={'tier': 'front'})
    make(cism, 'b', labels={'tier': 'back'})
    make(cism, 'c')
    for selector, names in (
        ('tier=front', 'a'),
        ('tier!=front', 'bc'),
        ('tier in (front,back)', 'ab'),
        ('!tier', 'c'),
        ('tier', 'ab'),
    ):
        rows = cism.get(f'{MAPS}?labelSelector={urllib.parse.quote(selector)}')['items']
        assert ''.join(row['metadata']['name'] for row in rows) == names, selector
    assert len(cism.get(f'{MAPS}?fieldSelector=metadata.name%3Db')['items']) == 1
    assert cism.curl('admin', 'GET', f'{MAPS}?labelSelector=a%3D%3D%3Db')[0] == 400
    assert cism.curl('admin', 'GET', f'{MAPS}?fieldSelector=data.x%3Db')[0] == 400


def test_forms(cism):
    make(cism, 'a', one='1')
    status, table = cism.curl('admin', 'GET', MAPS, headers=[TABLE])
    assert (status, table['kind']) == (200, 'Table') and table['rows'][0]['cells'][:2] == ['a', 1]
    partial = cism.curl(
        'admin', 'GET', MAPS, headers=['Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io']
    )[1]
    assert partial['kind'] == 'PartialObjectMetadataList' and 'data' not in partial['items'][0]
    status, answer = cism.curl('admin', 'GET', MAPS, headers=['Accept: application/vnd.kubernetes.protobuf'])
    assert (status, answer['message']) == (406, 'only the following media types are accepted: application/json')


# --- watches ---


def test_watch_from_a_revision(cism, watch):
    start = cism.get(MAPS)['metadata']['resourceVersion']
    make(cism, 'a')
    seen = watch(f'{MAPS}?watch=true&resourceVersion={start}')
    event = seen.next()
    assert (event['type'], event['object']['metadata']['name']) == ('ADDED', 'a')
    assert cism.curl('admin', 'PATCH', f'{MAPS}/a', {'data': {'k': 'v'}}, MERGE)[0] == 200
    event = seen.next()
    assert (event['type'], event['object']['data']) == ('MODIFIED', {'k': 'v'})
    assert cism.curl('admin', 'DELETE', f'{MAPS}/a')[0] == 200
    gone = seen.next()
    assert gone['type'] == 'DELETED' and int(gone['object']['metadata']['resourceVersion']) > int(
        event['object']['metadata']['resourceVersion']
    )


def test_watch_with_a_selector_sees_what_comes_and_goes(cism, watch):
    make(cism, 'a')
    seen = watch(f'{MAPS}?watch=true&labelSelector=on%3Dyes')
    cism.curl('admin', 'PATCH', f'{MAPS}/a', {'metadata': {'labels': {'on': 'yes'}}}, MERGE)
    cism.curl('admin', 'PATCH', f'{MAPS}/a', {'data': {'k': 'v'}}, MERGE)
    cism.curl('admin', 'PATCH', f'{MAPS}/a', {'metadata': {'labels': {'on': None}}}, MERGE)
    assert [seen.next()['type'] for _ in range(3)] == ['ADDED', 'MODIFIED', 'DELETED']


def test_watch_list(cism, watch):
    make(cism, 'a')
    make(cism, 'b')
    seen = watch(f'{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true')
    events = [seen.next() for _ in range(3)]
    assert [event['type'] for event in events] == ['ADDED', 'ADDED', 'BOOKMARK']
    assert events[2]['object']['metadata']['annotations'] == {'k8s.io/initial-events-end': 'true'}
    make(cism, 'c')
    assert seen.next()['object']['metadata']['name'] == 'c'
    status, answer = cism.curl('admin', 'GET', f'{MAPS}?watch=true&sendInitialEvents=true')
    assert status == 422 and 'resourceVersionMatch: Forbidden' in answer['message']


def test_watch_as_table(cism, watch):
    seen = watch(f'{MAPS}?watch=true', headers=[TABLE])
    make(cism, 'a')
    make(cism, 'b')
    first, second = seen.next()['object'], seen.next()['object']
    assert first['kind'] == 'Table' and first['columnDefinitions'] and first['rows'][0]['cells'][0] == 'a'
    assert not second.get('columnDefinitions') and second['rows'][0]['cells'][0] == 'b'


def test_watch_ends_in_time(cism, watch):
    began = time.monotonic()
    assert watch(f'{MAPS}?watch=true&resourceVersion=1&timeoutSeconds=2').next() is None
    assert 1.5 < time.monotonic() - began < 6


def test_watch_of_the_future_and_of_nonsense(cism):
    assert cism.curl('admin', 'GET', f'{MAPS}?watch=true&resourceVersion=x')[0] == 400
    assert cism.curl('admin', 'GET', f'{MAPS}?watch=true&resourceVersion=99999999')[0] == 504
    assert cism.curl('admin', 'GET', f'{MAPS}?watch=true&timeoutSeconds=-1')[0] == 400


def test_stop_ends_watches(cism, watch):
    seen = watch(f'{MAPS}?watch=true')
    make(cism, 'a')
    assert seen.next()['type'] == 'ADDED'
    began = time.monotonic()
    assert cism.stop() == 0
    assert time.monotonic() - began < 8
    assert seen.next() is None


# --- writes ---


def test_what_the_service_says_about_an_object(cism):
    made = make(cism, 'a')['metadata']
    assert len(made['uid']) == 36 and made['creationTimestamp'].endswith('Z') and int(made['resourceVersion']) > 0
    generated = cism.curl(
        'admin', 'POST', MAPS, {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'generateName': 'g-'}}
    )[1]
    assert generated['metadata']['name'].startswith('g-') and len(generated['metadata']['name']) == 7
    status, answer = cism.curl('admin', 'POST', MAPS, config_map('a'))
    assert (status, answer['reason'], answer['message']) == (409, 'AlreadyExists', 'configmaps "a" already exists')
    status, answer = cism.curl('admin', 'GET', f'{MAPS}/none')
    assert (status, answer['reason'], answer['message']) == (404, 'NotFound', 'configmaps "none" not found')
    assert answer['details'] == {'name': 'none', 'kind': 'configmaps'}


def test_dry_run_writes_nothing(cism):
    assert cism.curl('admin', 'POST', f'{MAPS}?dryRun=All', config_map('a'))[0] == 201
    assert cism.curl('admin', 'GET', f'{MAPS}/a')[0] == 404
    make(cism, 'b', k='1')
    assert cism.curl('admin', 'PATCH', f'{MAPS}/b?dryRun=All', {'data': {'k': '2'}}, MERGE)[1]['data'] == {'k': '2'}
    assert cism.curl('admin', 'DELETE', f'{MAPS}/b?dryRun=All')[0] == 200
    assert cism.get(f'{MAPS}/b')['data'] == {'k': '1'}
    assert cism.curl('admin', 'POST', f'{MAPS}?dryRun=Some', config_map('c'))[0] == 422


def test_optimistic_concurrency(cism):
    old = make(cism, 'a', k='1')
    assert cism.curl('admin', 'PUT', f'{MAPS}/a', old | {'data': {'k': '2'}})[0] == 200
    status, answer = cism.curl('admin', 'PUT', f'{MAPS}/a', old | {'data': {'k': '3'}})
    assert (status, answer['reason']) == (409, 'Conflict')
    assert answer['message'] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your '
        'changes to the latest version and try again'
    )
    status, answer = cism.curl(
        'admin', 'DELETE', f'{MAPS}/a', {'preconditions': {'resourceVersion': old['metadata']['resourceVersion']}}
    )
    assert status == 409 and 'Precondition failed: ResourceVersion' in answer['message']
    assert cism.curl('admin', 'DELETE', f'{MAPS}/a', {'preconditions': {'uid': old['metadata']['uid']}})[0] == 200


def test_parallel_patches_all_count(cism):
    make(cism, 'a')
    words = [
        cism.words(
            'curl',
            '-sS',
            '-o',
            '/dev/null',
            '-w',
            '%{http_code}',
            '--cacert',
            cism.pki.ca,
            '--cert',
            cism.identities['admin'].with_suffix('.pem'),
            '--key',
            cism.identities['admin'].with_suffix('.key'),
            '-X',
            'PATCH',
            '-H',
            f'Content-Type: {MERGE}',
            '-d',
            json.dumps({'data': {f'k{number}': 'v'}}),
            f'https://127.0.0.1:6443{MAPS}/a',
        )
        for number in range(8)
    ]
    running = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for line in words]
    answers = [one.communicate()[0] for one in running]
    written = cism.get(f'{MAPS}/a').get('data', {})
    assert len(written) == answers.count('200') and set(answers) <= {'200', '409'} and answers.count('200') >= 4


@pytest.mark.parametrize(
    'query, status, text',
    [
        ('', 400, 'unknown field "datum"'),
        ('?fieldValidation=Strict', 400, 'unknown field "datum"'),
        ('?fieldValidation=Ignore', 201, None),
        ('?fieldValidation=Sloppy', 422, 'fieldValidation: Unsupported value: "Sloppy"'),
    ],
)
def test_unknown_fields(cism, query, status, text):
    answered, answer = cism.curl('admin', 'POST', MAPS + query, config_map('a') | {'datum': {}})
    assert answered == status, answer
    if text:
        assert text in answer['message']


def test_unknown_fields_may_only_warn(cism):
    done = subprocess.run(
        cism.words(
            'curl',
            '-sSi',
            '--cacert',
            cism.pki.ca,
            '--cert',
            cism.identities['admin'].with_suffix('.pem'),
            '--key',
            cism.identities['admin'].with_suffix('.key'),
            '-H',
            'Content-Type: application/json',
            '-d',
            json.dumps(config_map('a') | {'datum': {}}),
            f'https://127.0.0.1:6443{MAPS}?fieldValidation=Warn',
        ),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    headers = done.stdout.lower()
    assert ' 201 ' in headers and 'warning: 299 - "unknown field \\"datum\\""' in headers and 'audit-id: ' in headers


@pytest.mark.parametrize(
    'method, path, body, status',
    [
        ('POST', MAPS, b'{', 400),
        ('POST', MAPS, b'[]', 400),
        ('POST', MAPS, b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}', 400),
        ('POST', MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"X_"}}', 422),
        ('POST', MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}', 422),
        ('POST', MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"other"}}', 400),
        ('POST', MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"5"}}', 400),
        (
            'POST',
            '/api/v1/namespaces/none/configmaps',
            b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}',
            404,
        ),
        ('POST', '/api/v1/configmaps', b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}', 400),
        ('PUT', f'{MAPS}/none', b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"none"}}', 404),
        ('POST', f'{MAPS}/a', b'{}', 405),
        ('POST', '/api/v1/namespaces/default/bindings', b'{}', 405),
        ('GET', '/api/v1/namespaces/default/nothings', None, 404),
        ('GET', '/api/v2/pods', None, 404),
        ('GET', '/api/v1/namespaces/default/configmaps/a/b/c/d/e', None, 404),
        ('DELETE', '/api/v1/namespaces/kube-system', None, 403),
    ],
)
def test_wrong_requests(cism, method, path, body, status):
    answered, answer = cism.curl('admin', method, path, body)
    assert answered == status, answer
    assert (answer['kind'], answer['status'], answer['code']) == ('Status', 'Failure', status)
    assert answer['message']


def test_a_body_too_large(cism):
    answered, text = cism.curl('admin', 'POST', MAPS, b'{' + b' ' * (4 << 20) + b'}', raw=True)
    assert answered == 413, text


def test_delete_collection(cism):
    for name in 'ab':
        make(cism, name, labels={'go': 'yes'})
    make(cism, 'c')
    assert cism.curl('admin', 'DELETE', f'{MAPS}?labelSelector=go%3Dyes')[0] == 200
    assert [row['metadata']['name'] for row in cism.get(MAPS)['items']] == ['c']


def test_finalizers_hold(cism):
    cism.curl('admin', 'POST', MAPS, config_map('a') | {'metadata': {'name': 'a', 'finalizers': ['example.com/wait']}})
    assert cism.curl('admin', 'DELETE', f'{MAPS}/a')[0] == 200
    assert 'deletionTimestamp' in cism.get(f'{MAPS}/a')['metadata']
    assert cism.curl('admin', 'PATCH', f'{MAPS}/a', {'metadata': {'finalizers': None}}, MERGE)[0] == 200
    assert cism.curl('admin', 'GET', f'{MAPS}/a')[0] == 404


def test_state_outlives_a_restart(cism):
    made = make(cism, 'a', k='v')
    assert cism.stop() == 0
    cism.start()
    assert cism.get(f'{MAPS}/a') == made


def test_one_process_at_a_time(cism):
    done = subprocess.run(
        cism.words(cism.program, '--root', cism.root),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        timeout=20,
    )
    assert done.returncode != 0 and 'state.db' in done.stderr


def test_it_serves_unprivileged(cism):
    listed = subprocess.check_output(['pgrep', '-f', f'^{cism.program} --root {cism.root}'], text=True).split()
    status = open(f'/proc/{listed[-1]}/status', encoding='utf-8').read()
    fields = dict(line.split(':\t', 1) for line in status.splitlines() if ':\t' in line)
    assert '0' not in fields['Uid'].split() and '0' not in fields['Gid'].split()
    assert all(int(fields[name], 16) == 0 for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'))
    assert fields['NoNewPrivs'] == '1'


# --- configuration ---


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'cism.json'),
        ('{"address":"127.0.0.1","port":6443,"colour":"red"}', 'colour'),
        ('{"address":"127.0.0.1"}', 'port'),
        ('{"address":"127.0.0.1","port":70000}', 'port: 70000 is not in 0 to 65535'),
        (
            '{"address":"127.0.0.1","port":6443,"ticketLifetimeSeconds":1}',
            'ticketLifetimeSeconds: 1 is not in 30 to 86400',
        ),
    ],
)
def test_wrong_configuration(bare, text, message):
    (bare.etc / 'cism.json').write_text(text)
    assert not bare.start(check=False)
    assert bare.stop() != 0
    assert message in bare.log.read_text()


@pytest.mark.parametrize(
    'text, message',
    [
        (
            '{"instances":[{"name":"a","server":"s","deployment":"Cloud","epoch":1}]}',
            "'Cloud' is none of BareMetal, Nested, Hybrid",
        ),
        (
            '{"instances":[{"name":"a","server":"s","deployment":"Nested","epoch":0}]}',
            'instances[0].epoch: must be at least 1',
        ),
        (
            '{"instances":[{"name":"a","server":"s","deployment":"Nested","epoch":1},'
            '{"name":"a","server":"t","deployment":"Nested","epoch":1}]}',
            "'a' stands twice",
        ),
    ],
)
def test_wrong_topology(bare, text, message):
    (bare.etc / 'topology.json').write_text(text)
    assert not bare.start(check=False)
    bare.stop()
    assert message in bare.log.read_text()


def test_help_and_version(bare):
    for word, expected in (('--help', 'Usage'), ('--version', 'bulkhead-cism')):
        done = subprocess.run([bare.program, word], text=True, stdout=subprocess.PIPE, check=True)
        assert expected in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    assert subprocess.run([bare.program, '--rot', 'x'], check=False, stderr=subprocess.PIPE).returncode != 0


# --- admission ---

PODS = '/api/v1/namespaces/b/pods'


@pytest.fixture
def tenants(cism):
    cism.apply(
        domain(
            'blue',
            ceiling={'capabilities': ['NET_BIND_SERVICE']},
            subFunctions=[{'name': 'front', 'images': ['127.0.0.1:5000/test/front']}],
        ),
        namespace('b', 'blue'),
    )
    return cism


@pytest.mark.parametrize(
    'change, message',
    [
        ({'nodeName': 'node-1'}, 'spec.nodeName: only a binding sets it; leave it out'),
        ({'hostNetwork': True}, 'spec.hostNetwork: pods have a network of their own'),
        ({'hostPID': True}, 'spec.hostPID: pods have process ids of their own'),
        ({'hostIPC': True}, 'spec.hostIPC: pods have IPC of their own'),
        (
            {'volumes': [{'name': 'v', 'hostPath': {'path': '/'}}]},
            'spec.volumes[0].hostPath: no path of the host is given to a pod',
        ),
        (
            {'container': {'securityContext': {'privileged': True}}},
            'spec.containers[0].securityContext.privileged: no container is privileged',
        ),
        (
            {'container': {'securityContext': {'allowPrivilegeEscalation': True}}},
            'spec.containers[0].securityContext.allowPrivilegeEscalation: no container gains privileges',
        ),
        (
            {'container': {'ports': [{'containerPort': 80, 'hostPort': 80}]}},
            'spec.containers[0].ports[0].hostPort: ports of the host are not given to pods; '
            'declare an interface in the TrustDomain',
        ),
        ({'container': {'securityContext': {'capabilities': {'add': ['SYS_ADMIN']}}}}, 'SYS_ADMIN'),
        ({'container': {'securityContext': {'capabilities': {'add': ['NET_RAW']}}}}, 'NET_RAW'),
        ({'labels': {'nfv.bulkhead.dev/sub-function': 'front'}}, 'nfv.bulkhead.dev/sub-function'),
    ],
)
def test_pods_refused(tenants, change, message):
    status, answer = tenants.curl('admin', 'POST', PODS, pod('b', 'p', **change))
    assert status in (403, 422), answer
    assert answer['message'].startswith('pods "p" is forbidden: ') or status == 422
    assert message in answer['message']
    assert tenants.curl('admin', 'GET', f'{PODS}/p')[0] == 404


def test_pods_within_the_ceiling(tenants):
    made = pod(
        'b', 'p', container={'securityContext': {'capabilities': {'add': ['NET_BIND_SERVICE'], 'drop': ['ALL']}}}
    )
    assert tenants.curl('admin', 'POST', PODS, made)[0] == 201


def test_domain_rules_are_checked_when_written(tenants):
    path = '/apis/trust.bulkhead.dev/v1/trustdomains'
    status, answer = tenants.curl('admin', 'POST', path, domain('vm', isolation='VM'))
    assert status == 403 and "'vm'" in answer['message'] and 'VM' in answer['message']
    rules = [{'from': {'domains': ['blue'], 'subFunction': 'nothing'}, 'level': 'Server'}]
    status, answer = tenants.curl('admin', 'POST', path, domain('green', separation=rules))
    assert status == 422 and 'nothing' in answer['message'] and 'blue' in answer['message']
    status, answer = tenants.curl('admin', 'POST', path, domain('wide', ceiling={'capabilities': ['SYS_ADMIN']}))
    assert status == 422 and 'SYS_ADMIN' in answer['message']


def test_a_domain_stays_while_a_namespace_refers_to_it(tenants):
    path = '/apis/trust.bulkhead.dev/v1/trustdomains/blue'
    assert tenants.curl('admin', 'DELETE', path)[0] == 200
    time.sleep(2)
    assert 'deletionTimestamp' in tenants.get(path)['metadata']
    assert tenants.curl('admin', 'PATCH', path, {'metadata': {'finalizers': None}}, MERGE)[0] == 200
    assert tenants.get(path)['metadata']['finalizers'] == ['trust.bulkhead.dev/in-use']
    status, answer = tenants.curl('admin', 'POST', '/api/v1/namespaces', namespace('late', 'blue'))
    assert (status, answer['message']) == (403, 'namespaces "late" is forbidden: TrustDomain \'blue\' is being deleted')
    assert tenants.curl('admin', 'DELETE', '/api/v1/namespaces/b')[0] == 200
    tenants.wait(lambda: tenants.curl('admin', 'GET', path)[0] == 404)


def test_a_namespace_goes_with_its_contents(tenants):
    for path, made in (('pods', pod('b', 'p')), ('configmaps', config_map('m'))):
        assert tenants.curl('admin', 'POST', f'/api/v1/namespaces/b/{path}', made)[0] == 201
    assert tenants.curl('admin', 'DELETE', '/api/v1/namespaces/b')[1]['status']['phase'] == 'Terminating'
    status, answer = tenants.curl('admin', 'POST', '/api/v1/namespaces/b/configmaps', config_map('late'))
    if status != 404:
        assert (status, answer['message']) == (
            403,
            'configmaps "late" is forbidden: unable to create new content in namespace b because '
            'it is being terminated',
        )
    tenants.wait(lambda: tenants.curl('admin', 'GET', '/api/v1/namespaces/b')[0] == 404)
    assert tenants.get('/api/v1/configmaps')['items'] == [] and tenants.get('/api/v1/pods')['items'] == []


def test_eviction(tenants):
    assert tenants.curl('admin', 'POST', PODS, pod('b', 'p'))[0] == 201
    body = {'apiVersion': 'policy/v1', 'kind': 'Eviction', 'metadata': {'name': 'p', 'namespace': 'b'}}
    assert tenants.curl('admin', 'POST', f'{PODS}/p/eviction', body)[0] in (200, 201)
    assert tenants.curl('admin', 'GET', f'{PODS}/p')[0] == 404


# --- logs ---


def order(cism):
    status, answer = cism.curl('node-1', 'GET', '/api/v1/nodes/node-1/streams?timeoutSeconds=10')
    assert status == 200, answer
    return answer


@pytest.fixture
def bound(cism):
    cism.heartbeat()
    cism.apply(domain('blue'), namespace('b', 'blue'))
    made = pod('b', 'p')
    made['spec']['containers'].append({'name': 'side', 'image': made['spec']['containers'][0]['image']})
    assert cism.curl('admin', 'POST', PODS, made)[0] == 201
    cism.wait_bound('b', 'p')
    return cism


def test_logs_come_over_the_reverse_connection(bound):
    client = subprocess.Popen(
        bound.kubectl_words(['logs', '-n', 'b', 'p', '-c', 'main', '--tail=5', '--timestamps']),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    asked = order(bound)
    expected = {
        'kind': 'Log',
        'namespace': 'b',
        'pod': 'p',
        'container': 'main',
        'follow': False,
        'tailLines': 5,
        'timestamps': True,
        'previous': False,
        'uid': bound.pod('b', 'p')['metadata']['uid'],
    }
    assert {key: asked.get(key) for key in expected} == expected
    text = ''.join(f'line {number}\n' for number in range(50000)).encode()
    assert (
        bound.curl(
            'node-1',
            'POST',
            f'/api/v1/nodes/node-1/streams/{asked["id"]}',
            text,
            'text/plain',
            headers=['Transfer-Encoding: chunked'],
        )[0]
        == 200
    )
    out, err = client.communicate(timeout=20)
    assert (client.returncode, err) == (0, '') and out == text.decode()
    # Each order is answered once.
    status, answer = bound.curl('node-1', 'POST', f'/api/v1/nodes/node-1/streams/{asked["id"]}', b'more', 'text/plain')
    assert (status, answer['message']) == (404, f'stream "{asked["id"]}" not found')


def test_log_errors(bound):
    done = bound.kubectl('logs', '-n', 'b', 'p', '-c', 'nobody', check=False)
    assert done.returncode != 0 and 'nobody' in done.stderr
    status, answer = bound.curl('admin', 'GET', f'{PODS}/p/log')
    assert (status, answer['message']) == (
        400,
        'a container name must be specified for pod p, choose one of: [main side]',
    )
    assert bound.curl('admin', 'GET', f'{PODS}/p/log?container=main&tailLines=x')[0] == 400
    client = subprocess.Popen(
        bound.kubectl_words(['logs', '-n', 'b', 'p', '-c', 'main', '-p']),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    asked = order(bound)
    assert asked['previous'] is True
    bound.curl(
        'node-1',
        'POST',
        f'/api/v1/nodes/node-1/streams/{asked["id"]}',
        b'',
        'text/plain',
        headers=['X-Bulkhead-Error: previous terminated container "main" in pod "p" not found'],
    )
    err = client.communicate(timeout=20)[1]
    assert client.returncode == 1 and 'previous terminated container "main" in pod "p" not found' in err


def test_log_follow_and_a_client_that_leaves(bound):
    client = subprocess.Popen(
        bound.kubectl_words(['logs', '-n', 'b', 'p', '-c', 'main', '-f']), stdout=subprocess.PIPE, text=True
    )
    asked = order(bound)
    assert asked['follow'] is True
    path = bound.identities['node-1']
    instance = subprocess.Popen(
        bound.words(
            'curl',
            '-sSN',
            '--cacert',
            bound.pki.ca,
            '--cert',
            path.with_suffix('.pem'),
            '--key',
            path.with_suffix('.key'),
            '-X',
            'POST',
            '-T',
            '-',
            '-H',
            'Expect:',
            f'https://127.0.0.1:6443/api/v1/nodes/node-1/streams/{asked["id"]}',
        ),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    for number in range(3):
        instance.stdin.write(f'tick {number}\n'.encode())
        instance.stdin.flush()
        assert client.stdout.readline() == f'tick {number}\n'
    client.kill()
    client.communicate()

    def cut():
        # curl finds out when it writes.
        try:
            instance.stdin.write(b'tick\n')
            instance.stdin.flush()
        except BrokenPipeError:
            pass
        return instance.poll() is not None

    bound.wait(cut)
    assert instance.returncode != 0
    instance.stderr.close()


def test_no_instance_answers(bound):
    began = time.monotonic()
    status, answer = bound.curl('admin', 'GET', f'{PODS}/p/log?container=main')
    assert (status, answer['message']) == (400, "instance 'node-1' does not answer") and time.monotonic() - began < 25
    assert bound.curl('node-1', 'GET', '/api/v1/nodes/node-1/streams?timeoutSeconds=1', raw=True) == (204, b'')


# --- what goes wrong ---


def create_many(cism, count, each):
    """Configmaps by the thousand: curl repeats one request over one connection."""
    identity = cism.identities['admin']
    words = [
        'curl',
        '-sS',
        '-o',
        '/dev/null',
        '--cacert',
        cism.pki.ca,
        '-X',
        'POST',
        '-H',
        'Content-Type: application/json',
    ]
    words += ['--cert', identity.with_suffix('.pem'), '--key', identity.with_suffix('.key')]
    words += ['-d', json.dumps({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'generateName': 'x-'}})]
    words += [f'https://127.0.0.1:6443{MAPS}#[1-{each}]']
    running = [subprocess.Popen(cism.words(*words)) for _ in range(count)]
    assert [one.wait(300) for one in running] == [0] * count


def test_a_revision_that_is_gone(cism, watch):
    """The history is bounded: a watch from before it is told so, and lists again."""
    first = cism.get(f'{MAPS}?limit=1')['metadata']
    make(cism, 'a')
    make(cism, 'b')
    page = cism.get(f'{MAPS}?limit=1')['metadata']
    create_many(cism, 8, 1500)

    def expired():
        return (
            watch(f'{MAPS}?watch=true&resourceVersion={first["resourceVersion"]}&timeoutSeconds=1').next()['type']
            == 'ERROR'
        )

    cism.wait(expired, 60, 1)
    event = watch(f'{MAPS}?watch=true&resourceVersion={first["resourceVersion"]}').next()
    assert (event['type'], event['object']['code'], event['object']['reason']) == ('ERROR', 410, 'Expired')
    status, answer = cism.curl('admin', 'GET', f'{MAPS}?limit=1&continue={page["continue"]}')
    assert (status, answer['reason']) == (410, 'Expired')


def test_a_slow_watcher_holds_up_nobody(cism, watch):
    slow = watch(f'{MAPS}?watch=true')
    slow.process.send_signal(signal.SIGSTOP)
    quick = watch(f'{MAPS}?watch=true')
    create_many(cism, 4, 300)
    for _ in range(1200):
        assert quick.next()['type'] == 'ADDED'
    slow.process.send_signal(signal.SIGCONT)
    assert slow.next()['type'] == 'ADDED'


def test_a_full_disk(bare):
    """Nothing is half written: refused while it is full, served again when there is room."""
    state = bare.root / 'var/lib/bulkhead/cism'
    state.mkdir(parents=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'tmpfs', state], check=True)
    try:
        bare.start()
        statuses = []
        for number in range(40):
            status, answer = bare.curl('admin', 'POST', MAPS, config_map(f'm{number}', k='x' * 200000))
            statuses.append(status)
            if status != 201:
                break
        assert statuses[-1] == 507 and answer['reason'] == 'InsufficientStorage', (statuses, answer)
        names = {row['metadata']['name'] for row in bare.get(MAPS)['items']}
        assert names == {f'm{number}' for number in range(len(statuses) - 1)}
        subprocess.run(['mount', '-o', 'remount,size=16m', state], check=True)
        assert bare.curl('admin', 'POST', MAPS, config_map('after', k='x' * 200000))[0] == 201
        assert bare.stop() == 0
        bare.start()
        assert {row['metadata']['name'] for row in bare.get(MAPS)['items']} == names | {'after'}
    finally:
        bare.stop()
        subprocess.run(['umount', '-l', state], check=True)


def test_what_has_no_effect_yet_is_said(tenants):
    done = tenants.kubectl('create', 'quota', 'q', '--hard=pods=9,services=1', '-n', 'b')
    assert done.stderr == 'Warning: spec.hard.services is kept but not enforced yet\n'


def test_stop_with_everybody_waiting(bound):
    """A parked poll, a parked log, a followed log whose client does not read: all are let go."""
    words = bound.kubectl_words(['logs', '-n', 'b', 'p', '-c', 'main', '-f'])
    reader = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    asked = order(bound)
    path = bound.identities['node-1']
    tls = ['--cacert', bound.pki.ca, '--cert', path.with_suffix('.pem'), '--key', path.with_suffix('.key')]
    url = 'https://127.0.0.1:6443/api/v1/nodes/node-1/streams'
    text = subprocess.Popen(['yes'], stdout=subprocess.PIPE)
    endless = subprocess.Popen(
        bound.words('curl', '-sS', *tls, '-X', 'POST', '-T', '-', '-H', 'Expect:', f'{url}/{asked["id"]}'),
        stdin=text.stdout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert reader.stdout.read(4) == b'y\ny\n'
    poll = subprocess.Popen(
        bound.words('curl', '-sS', *tls, '-w', '%{http_code}', f'{url}?timeoutSeconds=60'),
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(1.5)
    began = time.monotonic()
    assert bound.stop() == 0
    assert time.monotonic() - began < 10
    assert poll.communicate(timeout=10)[0] in ('204', '000')
    for one in (reader, text, endless):
        one.kill()
        one.communicate()

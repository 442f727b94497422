# SPDX-License-Identifier: Apache-2.0
"""Unmodified kubectl against the CISM: Debian's 1.20 and what else is on the machine (CISM-1, CISM-7)."""

import json
import subprocess
import time

import pytest

import installation
from support_cism import Cism, domain, namespace, pod

VERSIONS = ['1.20', '1.27', '1.33']


@pytest.fixture(params=VERSIONS)
def version(request, kubectls):
    known = list(kubectls)
    if request.param in known:
        return request.param
    if request.param == VERSIONS[-1]:
        return known[-1]
    return pytest.skip(f'kubectl {request.param} is not on this machine')


@pytest.fixture
def cism(programs, netns, root, kubectls):
    made = Cism(programs, netns, root, kubectls)
    made.start()
    made.heartbeat()
    yield made
    made.stop()


@pytest.fixture
def run(cism, version):
    def with_version(*words, **options):
        return cism.kubectl(*words, version=version, **options)

    return with_version


def test_versions_that_ran(kubectls, capsys):
    with capsys.disabled():
        print(f'\nkubectl: {", ".join(kubectls)}')
    assert installation.find_kubectls() == kubectls and '1.20' in kubectls


def test_main_verbs(cism, run):
    assert 'v1.33' in run('version').stdout or 'GitVersion:"v1.33' in run('version').stdout
    cism.apply(domain('blue'), namespace('b', 'blue'))
    manifest = json.dumps(pod('b', 'p', labels={'app': 'one'}))
    assert run('apply', '-f', '-', input=manifest).stdout == 'pod/p created\n'
    assert run('apply', '-f', '-', input=manifest).stdout == 'pod/p unchanged\n'
    changed = json.dumps(pod('b', 'p', labels={'app': 'two'}))
    assert run('apply', '-f', '-', input=changed).stdout == 'pod/p configured\n'
    cism.wait_bound('b', 'p')
    assert run('apply', '-f', '-', input=changed).stdout == 'pod/p unchanged\n'
    lines = run('get', 'pods', '-n', 'b').stdout.splitlines()
    assert lines[0].split() == ['NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE'] and lines[1].split()[:4] == [
        'p',
        '0/1',
        'Pending',
        '0',
    ]
    assert 'node-1' in run('get', 'po', '-n', 'b', '-o', 'wide').stdout
    assert json.loads(run('get', 'pod', 'p', '-n', 'b', '-o', 'json').stdout)['metadata']['labels'] == {'app': 'two'}
    assert 'app: two' in run('get', 'pod', 'p', '-n', 'b', '-o', 'yaml').stdout
    assert run('get', 'pod', '-A', '-l', 'app=two', '-o', 'name').stdout == 'pod/p\n'
    assert run('label', 'pod', 'p', '-n', 'b', 'tier=front').stdout == 'pod/p labeled\n'
    assert run('annotate', 'pod', 'p', '-n', 'b', 'note=x').stdout in ('pod/p annotated\n', 'pod/p annotate\n')
    run('patch', 'pod', 'p', '-n', 'b', '-p', '{"metadata":{"labels":{"app":null}}}')
    run('patch', 'pod', 'p', '-n', 'b', '--type=json', '-p', '[{"op":"add","path":"/metadata/labels/j","value":"s"}]')
    run('patch', 'pod', 'p', '-n', 'b', '--type=merge', '-p', '{"metadata":{"labels":{"m":"g"}}}')
    assert cism.pod('b', 'p')['metadata']['labels'] == {'tier': 'front', 'j': 's', 'm': 'g'}
    assert 'node-1' in run('get', 'nodes').stdout and 'Ready' in run('describe', 'node', 'node-1').stdout
    assert run('get', 'td').stdout.splitlines()[1].split()[:2] == ['blue', 'Container']
    run('delete', 'pod', 'p', '-n', 'b', '--wait=false')
    cism.stopped(cism.pod('b', 'p')['metadata']['uid'])
    assert run('get', 'pod', 'p', '-n', 'b', check=False).stderr == 'Error from server (NotFound): pods "p" not found\n'


def test_delete_waits_for_the_stop(cism, run, version):
    cism.apply(domain('blue'), namespace('b', 'blue'), pod('b', 'p'))
    uid = cism.wait_bound('b', 'p')['metadata']['uid']
    running = subprocess.Popen(
        cism.kubectl_words(['delete', 'pod', 'p', '-n', 'b'], version), stdout=subprocess.PIPE, text=True
    )
    cism.wait(lambda: 'deletionTimestamp' in cism.pod('b', 'p')['metadata'])
    time.sleep(1)
    assert running.poll() is None
    cism.stopped(uid)
    assert 'deleted' in running.communicate(timeout=20)[0] and running.returncode == 0


def test_create_of_every_day(cism, run):
    """kubectl 1.32 and later send these bodies as protobuf."""
    assert run('create', 'ns', 'made').stdout == 'namespace/made created\n'
    run('create', 'secret', 'generic', 's', '-n', 'made', '--from-literal=user=me', '--from-literal=pass=word')
    run('create', 'cm', 'c', '-n', 'made', '--from-literal=k=v')
    run('create', 'quota', 'q', '-n', 'made', '--hard=pods=2')
    run('create', 'sa', 'a', '-n', 'made')
    secret = json.loads(run('get', 'secret', 's', '-n', 'made', '-o', 'json').stdout)
    assert (secret['type'], secret['data']) == ('Opaque', {'user': 'bWU=', 'pass': 'd29yZA=='})
    assert json.loads(run('get', 'cm', 'c', '-n', 'made', '-o', 'json').stdout)['data'] == {'k': 'v'}
    assert run('create', 'ns', 'made', check=False).stderr == (
        'Error from server (AlreadyExists): namespaces "made" already exists\n'
    )
    assert run('delete', 'ns', 'made', timeout=60).stdout == 'namespace "made" deleted\n'
    assert run('get', 'ns', 'made', check=False).returncode == 1


@pytest.mark.parametrize(
    'change, name',
    [
        ({'imag': 'x'}, 'imag'),
        ({'ports': [{'containerPort': 'http'}]}, 'containerPort'),
        ({'resources': {'limits': {'memory': 'much'}}}, 'memory'),
    ],
)
def test_wrong_fields_are_named(cism, run, change, name):
    cism.apply(domain('blue'), namespace('b', 'blue'))
    manifest = json.dumps(pod('b', 'p', container=change))
    done = run('apply', '-f', '-', input=manifest, check=False)
    assert done.returncode == 1 and name in done.stderr, done.stderr
    done = run('apply', '--validate=false', '-f', '-', input=manifest, check=False)
    assert name == 'imag' or (done.returncode == 1 and name in done.stderr), done.stderr
    assert cism.curl('admin', 'GET', '/api/v1/namespaces/b/pods/p')[0] == (200 if done.returncode == 0 else 404)


def test_unknown_fields_are_refused_without_the_clients_help(cism, run, version):
    """1.20 sends no fieldValidation: the server is strict by itself. Later ones say Ignore with --validate=false."""
    cism.apply(domain('blue'), namespace('b', 'blue'))
    manifest = json.dumps(pod('b', 'p', container={'imag': 'x'}))
    done = run('create', '--validate=false', '-f', '-', input=manifest, check=False)
    if version == '1.20':
        assert done.returncode == 1 and 'unknown field "spec.containers[0].imag"' in done.stderr
    else:
        assert done.returncode == 0


def test_watch(cism, version):
    cism.apply(domain('blue'), namespace('b', 'blue'))
    words = cism.kubectl_words(['get', 'pods', '-n', 'b', '-w', '--output-watch-events'], version)
    seen = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        cism.apply(pod('b', 'p'))
        uid = cism.wait_bound('b', 'p')['metadata']['uid']
        cism.kubectl('delete', 'pod', 'p', '-n', 'b', '--wait=false')
        cism.stopped(uid)
        events = []
        for line in seen.stdout:
            events.append(line.split()[:2])
            if events[-1] == ['DELETED', 'p']:
                break
        assert events[0] == ['EVENT', 'NAME'] and events[1] == ['ADDED', 'p'] and ['MODIFIED', 'p'] in events
    finally:
        seen.kill()
        seen.communicate()


def test_wait(cism, run, version):
    cism.apply(domain('blue'), namespace('b', 'blue'))
    cism.apply(pod('b', 'p'))
    assert 'condition met' in run('wait', '--for=condition=PodScheduled', 'pod/p', '-n', 'b', '--timeout=20s').stdout
    words = cism.kubectl_words(['wait', '--for=delete', 'pod/p', '-n', 'b', '--timeout=20s'], version)
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    uid = cism.pod('b', 'p')['metadata']['uid']
    cism.kubectl('delete', 'pod', 'p', '-n', 'b', '--wait=false')
    cism.stopped(uid)
    assert running.wait(25) == 0
    running.stdout.close()


def test_describe_says_why(cism, run):
    rules = [{'from': {'domains': ['blue']}, 'level': 'Server'}]
    cism.apply(domain('blue'), domain('red', separation=rules), namespace('b', 'blue'), namespace('r', 'red'))
    cism.apply(pod('b', 'p'))
    cism.wait_bound('b', 'p')
    cism.apply(pod('r', 'q'))
    cism.wait_pending('r', 'q')
    cism.wait(lambda: 'FailedScheduling' in run('describe', 'pod', 'q', '-n', 'r').stdout)
    text = run('describe', 'pod', 'q', '-n', 'r').stdout
    assert "trust domain 'red' is kept apart at level Server from what runs there" in text and 'blue' not in text


def test_discovery(run):
    resources = run('api-resources', '--no-headers').stdout
    for word in ('pods', 'namespaces', 'trustdomains', 'secrets', 'events', 'leases'):
        assert f'{word} ' in resources
    assert 'trust.bulkhead.dev/v1' in run('api-versions').stdout
    assert 'isolation' in run('explain', 'trustdomain.spec').stdout
    assert 'restartPolicy' in run('explain', 'pod.spec').stdout


def test_auth(cism, run, version):
    assert run('auth', 'can-i', 'create', 'pods').stdout.strip() == 'yes'
    done = cism.kubectl('auth', 'can-i', 'create', 'pods', version=version, who='somebody', check=False)
    assert done.stdout.strip().startswith('no') and done.returncode == 1
    done = cism.kubectl('get', 'pods', '-n', 'default', version=version, who='somebody', check=False)
    assert done.stderr == (
        'Error from server (Forbidden): pods is forbidden: User "somebody" cannot list resource "pods" in API group "" '
        'in the namespace "default"\n'
    )
    assert '*.*' in run('auth', 'can-i', '--list').stdout
    if version not in ('1.20', '1.27'):  # they know it under older versions of the group
        assert 'system:masters' in run('auth', 'whoami').stdout


def test_edit(cism, run, version):
    cism.apply(domain('blue'), namespace('b', 'blue'), pod('b', 'p', labels={'app': 'one'}))
    cism.wait_bound('b', 'p')
    words = [
        'env',
        'EDITOR=sed -i s/app:.one/app:\\ two/',
        *cism.kubectl_words(['edit', 'pod', 'p', '-n', 'b'], version),
    ]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
    assert done.stdout == 'pod/p edited\n'
    assert cism.pod('b', 'p')['metadata']['labels'] == {'app': 'two'}


def test_server_side_apply(run, cism):
    manifest = json.dumps({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'c'}, 'data': {'k': 'v'}})
    words = ('apply', '--server-side', '-n', 'default', '-f', '-')
    assert run(*words, input=manifest).stdout == 'configmap/c serverside-applied\n'
    done = run(*words, '--field-manager=other', input=manifest.replace('"v"', '"w"'), check=False)
    assert done.returncode == 1 and 'conflict' in done.stderr
    run(*words, '--field-manager=other', '--force-conflicts', input=manifest.replace('"v"', '"w"'))
    assert cism.get('/api/v1/namespaces/default/configmaps/c')['data'] == {'k': 'w'}


def test_drain(cism, run):
    cism.apply(domain('blue'), namespace('b', 'blue'), pod('b', 'p'))
    uid = cism.wait_bound('b', 'p')['metadata']['uid']
    run('cordon', 'node-1')
    cism.apply(pod('b', 'later'))
    assert cism.wait_pending('b', 'later') == "instance 'node-1' is cordoned (spec.unschedulable)"
    done = run('drain', 'node-1', '--force', '--timeout=4s', check=False)
    assert done.returncode == 1
    assert 'deletionTimestamp' in cism.pod('b', 'p')['metadata']
    cism.stopped(uid)
    run('drain', 'node-1', '--force', '--timeout=20s')
    run('uncordon', 'node-1')
    cism.wait_bound('b', 'later')


def test_delete_all_of_a_kind(cism, run):
    for name in ('a', 'b'):
        run('create', 'cm', name, '--from-literal=k=v')
    run('delete', 'cm', '--all')
    assert cism.get('/api/v1/namespaces/default/configmaps')['items'] == []

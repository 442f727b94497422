# SPDX-License-Identifier: Apache-2.0
"""The instance service: a pod from ticket to end, against a real registry, runtime and supervisor."""
import json
import os
import re
import socket
import time

import pytest

import support_node
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


def run(node, api, item, phase='Running', **ticket):
    """Offers a pod with a good ticket and waits for its phase."""
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item, **ticket))
    api.wait_status(uid, lambda status: status['phase'] == phase)
    return uid


def container(status, name='main', kind='containerStatuses'):
    return next(row for row in status[kind] if row['name'] == name)


def without_images(snapshot):
    """A snapshot but for the images that stay mounted for the next pod, until room is needed."""
    return {**snapshot, 'mount': [line for line in snapshot['mount'] if '/run/bulkhead/images' not in line]}


def waits_for(status):
    """The reason why the container waits, if it does."""
    rows = status.get('containerStatuses', [])
    return rows[0]['state'].get('waiting', {}).get('reason') if rows else None


def test_runs_from_a_ticket_file(node, image, root):
    """A pod runs without a CISM, ends, and leaves nothing but its log."""
    before = node.cell.snapshot()
    item = pod('once', image, 'echo hello; hostname; exit 3', restartPolicy='Never')
    (root / 'ticket.json').write_bytes(node.ticket(item))
    node.start('--ticket', root / 'ticket.json', check=False)
    assert node.process.wait(30) == 0, node.tail()
    node.process = None
    assert node.text(item['metadata']['uid']) == 'hello\nonce\n'
    last = json.loads([line for line in node.log.read_text().splitlines() if line.startswith('{"uid"')][-1])
    assert last['status']['phase'] == 'Failed'
    assert container(last['status'])['state']['terminated']['exitCode'] == 3
    assert node.cell.snapshot() == before


def cut(api):
    for connection in api.connections:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def test_a_cism_that_goes_back_stops_nothing(node, api, image):
    """An older list, as of a replica that is behind or a store that was set back, says nothing about what is to run."""
    node.start()
    uid = run(node, api, pod('stays', image))
    with api.lock:
        before, api.version = api.version, 3
        api.pods.clear()
    cut(api)
    told = f'went back from revision {before} to 3: it is not believed, pods keep running'
    node.wait(lambda: told in node.log.read_text())
    time.sleep(2)
    assert node.status(uid)['status']['phase'] == 'Running' and uid not in api.stopped
    # What is newer is believed.
    with api.lock:
        api.version = before + 10
    api.wait_stopped(uid)


def test_life_of_a_pod(node, api, image):
    """CISM-1: bound, pulled, started, reported, deleted, confirmed, gone."""
    node.start()
    before = without_images(node.cell.snapshot())
    item = pod('life', image, 'echo up; trap "echo bye; exit 0" TERM; while true; do sleep 0.1; done')
    uid = run(node, api, item)
    status = api.statuses[uid]
    assert status['podIP'] == '10.88.0.2'
    conditions = {row['type']: row['status'] for row in status['conditions']}
    assert conditions == {'PodScheduled': 'True', 'Initialized': 'True', 'ContainersReady': 'True', 'Ready': 'True'}
    assert container(status)['imageID'] == image
    assert container(status)['restartCount'] == 0
    api.wait(lambda: node.text(uid) == 'up\n')
    assert api.reasons(uid) == ['Pulling', 'Pulled', 'Created', 'Started']
    api.delete(uid, grace=20)
    began = time.monotonic()
    api.wait_stopped(uid)
    assert time.monotonic() - began < 10, 'SIGTERM was not enough'
    assert 'Killing' in api.reasons(uid)
    node.wait(lambda: node.status(uid) is None)
    assert not (node.state / f'pods/{uid}').exists()
    assert without_images(node.cell.snapshot()) == before


def test_heartbeat(node, api):
    node.start()
    api.wait(lambda: api.leases and api.node_statuses)
    assert api.leases[0]['metadata']['name'] == 'node-1'
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z', api.leases[0]['spec']['renewTime'])
    status = api.node_statuses[0]
    assert {row['type']: row['status'] for row in status['conditions']}['Ready'] == 'True'
    assert int(status['capacity']['cpu']) == os.cpu_count()


def test_confinement(node, api, image):
    """ISO-1, ISO-2, ISO-3: what the first process finds itself in."""
    script = ('cat /proc/self/status; echo root:$(touch /x 2>&1); echo dev:$(ls /dev | tr "\\n" " ");'
              'echo map:$(cat /proc/self/uid_map); echo kcore:$(cat /proc/kcore 2>/dev/null | wc -c); sleep 1000')
    node.start()
    item = pod('confined', image, script, container={'resources': {'limits': {'cpu': '250m', 'memory': '48Mi'}}},
               metadata={'annotations': {'nfv.bulkhead.dev/pids': '40'}})
    uid = run(node, api, item)
    api.wait(lambda: 'kcore:' in node.text(uid))
    text = node.text(uid)
    fields = dict(re.findall(r'^(\w+):\s*(.*)$', text, re.M))
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(fields[name], 16) == 0, name
    assert fields['NoNewPrivs'] == '1'
    assert fields['Seccomp'] == '2'
    assert 'Read-only file system' in fields['root']
    assert fields['map'].split() == ['0', str(node.status(uid)['uidBase']), '65536']
    assert fields['kcore'] == '0'
    assert not set(fields['dev'].split()) & {'kmsg', 'mem', 'sda', 'vda', 'loop0', 'net', 'kvm'}
    limits = {'memory/%s/memory.limit_in_bytes': str(48 << 20), 'pids/%s/pids.max': '40',
              'cpu/%s/cpu.cfs_quota_us': '25000'}
    for path, value in limits.items():
        found = node.cell.run(['cat', '/sys/fs/cgroup/' + path % f'bulkhead/pod{uid}/main'])
        assert found.stdout.strip() == value, path


def test_capability_within_the_ceiling(node, api, image):
    """ISO-3: a container has what it adds and its domain allows, and no more."""
    node.start()
    item = pod('bind', image, 'grep Cap /proc/self/status; sleep 1000',
               container={'securityContext': {'capabilities': {'add': ['NET_BIND_SERVICE'], 'drop': ['ALL']},
                                              'runAsUser': 1000}})
    uid = run(node, api, item, spec={'isolation': 'Container', 'ceiling': {'capabilities': ['NET_BIND_SERVICE']}})
    api.wait(lambda: 'CapAmb' in node.text(uid))
    fields = dict(re.findall(r'^(\w+):\s*(.*)$', node.text(uid), re.M))
    assert {name: int(value, 16) for name, value in fields.items()} == dict.fromkeys(fields, 1 << 10)


def test_configuration(node, api, image):
    """ConfigMaps, Secrets, the pod's own fields and emptyDir, as files and environment."""
    script = ('echo env:$A,$B,$C,$D,$X_one; cat /config/one /config/sub/two; echo; cat /secret/key; echo;'
              'stat -c %a /secret/key; cat /pod/name; echo; echo kept > /scratch/f; cat /scratch/f; cat /etc/hosts;'
              'touch /config/x 2>/dev/null || echo ro; echo done; sleep 1000')
    api.objects['namespaces/ims/configmaps/settings'] = {'data': {'one': 'first', 'two': 'second'}}
    api.objects['namespaces/ims/secrets/keys'] = {'data': {'key': 'Z2VoZWlt'}}
    env = [{'name': 'A', 'value': 'a'}, {'name': 'B', 'value': '$(A)b$$(A)'},
           {'name': 'C', 'valueFrom': {'secretKeyRef': {'name': 'keys', 'key': 'key'}}},
           {'name': 'D', 'valueFrom': {'fieldRef': {'fieldPath': 'status.podIP'}}}]
    mounts = [{'name': 'config', 'mountPath': '/config'}, {'name': 'secret', 'mountPath': '/secret'},
              {'name': 'pod', 'mountPath': '/pod'}, {'name': 'scratch', 'mountPath': '/scratch'},
              {'name': 'fast', 'mountPath': '/fast'}]
    items = [{'key': 'one', 'path': 'one'}, {'key': 'two', 'path': 'sub/two'}]
    volumes = [{'name': 'config', 'configMap': {'name': 'settings', 'items': items}},
               {'name': 'secret', 'secret': {'secretName': 'keys', 'defaultMode': 0o400}},
               {'name': 'pod', 'downwardAPI': {'items': [
                   {'path': 'name', 'fieldRef': {'fieldPath': 'metadata.name'}}]}},
               {'name': 'scratch', 'emptyDir': {}},
               {'name': 'fast', 'emptyDir': {'medium': 'Memory', 'sizeLimit': '1Mi'}}]
    node.start()
    item = pod('configured', image, script, volumes=volumes,
               container={'env': env, 'envFrom': [{'prefix': 'X_', 'configMapRef': {'name': 'settings'}}],
                          'volumeMounts': mounts})
    uid = run(node, api, item)
    api.wait(lambda: 'done' in node.text(uid))
    assert node.text(uid).splitlines() == [
        'env:a,ab$(A),geheim,10.88.0.2,first', 'firstsecond', 'geheim', '400', 'configured', 'kept',
        '127.0.0.1 localhost', '10.88.0.2 configured', 'ro', 'done']
    assert b'geheim' not in b''.join(path.read_bytes() for path in node.state.rglob('*')
                                     if path.is_file() and 'logs' not in path.parts)
    api.delete(uid)
    api.wait_stopped(uid)


def test_missing_configmap_waits(node, api, image):
    """A pod whose ConfigMap comes later says what it waits for, and starts when it is there."""
    node.start()
    item = pod('late', image, container={'envFrom': [{'configMapRef': {'name': 'settings'}}]})
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item))
    status = api.wait_status(uid, lambda status: waits_for(status) == 'CreateContainerConfigError')
    assert 'the CISM answered 404: not found' in container(status)['state']['waiting']['message']
    api.objects['namespaces/ims/configmaps/settings'] = {'data': {}}
    api.wait_status(uid, lambda status: status['phase'] == 'Running')


def test_init_containers_run_one_after_the_other(node, api, image):
    shared = {'volumeMounts': [{'name': 'shared', 'mountPath': '/data'}]}
    init = [{'name': name, 'image': image, 'command': ['sh', '-c', f'echo {name} >> /data/order'], **shared}
            for name in ('first', 'second')]
    main = {'name': 'main', 'image': image, 'command': ['sh', '-c', 'cat /data/order; sleep 1000'], **shared}
    node.start()
    item = pod('ordered', image, containers=[main], initContainers=init, volumes=[{'name': 'shared', 'emptyDir': {}}])
    uid = run(node, api, item)
    api.wait(lambda: node.text(uid) == 'first\nsecond\n')
    status = api.statuses[uid]
    for name in ('first', 'second'):
        assert container(status, name, 'initContainerStatuses')['state']['terminated']['reason'] == 'Completed'


def test_restart_with_back_off(node, api, image):
    """A container that exits is started again at once, then after 10 s, and says so."""
    node.start()
    item = pod('crash', image, 'echo run; exit 7')
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item))
    status = api.wait_status(uid, lambda status: waits_for(status) == 'CrashLoopBackOff')
    assert container(status)['restartCount'] == 2
    assert container(status)['lastState']['terminated']['exitCode'] == 7
    assert container(status)['state']['waiting']['message'] == "back-off 10 s before container 'main' is started again"
    assert 'BackOff' in api.reasons(uid)
    api.wait_status(uid, lambda status: container(status)['restartCount'] == 3, seconds=15)


def test_killed_for_memory_says_so(node, api, image):
    node.start()
    item = pod('hog', image, 'dd if=/dev/zero of=/dev/null bs=64M', restartPolicy='Never',
               container={'resources': {'limits': {'memory': '16Mi'}}})
    uid = run(node, api, item, phase='Failed')
    ended = container(api.statuses[uid])['state']['terminated']
    assert (ended['reason'], ended['exitCode']) == ('OOMKilled', 137)


def test_completed_pod_keeps_its_log(node, api, image):
    """It releases everything but its log, and the CISM hears that it never runs again."""
    node.start()
    item = pod('job', image, 'echo done', restartPolicy='OnFailure')
    uid = run(node, api, item, phase='Succeeded')
    api.wait_stopped(uid)
    node.wait(lambda: not (node.root / f'run/bulkhead/pods/{uid}').exists())
    assert api.read_log(item)['text'] == b'done\n'
    api.delete(uid)
    node.wait(lambda: not (node.state / f'pods/{uid}').exists())


def test_stubborn_container_is_killed(node, api, image):
    node.start()
    item = pod('stubborn', image, 'trap "" TERM; echo up; while true; do sleep 1; done')
    uid = run(node, api, item)
    api.wait(lambda: node.text(uid) == 'up\n')
    api.delete(uid, grace=1)
    began = time.monotonic()
    api.wait_stopped(uid)
    assert 0.9 < time.monotonic() - began < 10


def test_forced_deletion_and_absent_holders(node, api, image):
    """PLC-6: what the CISM charges to the instance and is not there is confirmed as stopped; what runs is not."""
    api.holders.add('11111111-2222-3333-4444-555555555555')
    node.start()
    api.wait_stopped('11111111-2222-3333-4444-555555555555')
    item = pod('forced', image)
    uid = run(node, api, item)
    assert uid not in api.stopped
    api.forget(uid)
    api.wait_stopped(uid)
    node.wait(lambda: node.status(uid) is None)


def test_logs(node, api, image):
    """All options of logs, over the connection that the instance opened."""
    node.start()
    script = 'echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; sleep 1; echo four; sleep 1000'
    item = pod('talker', image, script)
    uid = run(node, api, item)
    api.wait(lambda: node.text(uid).count('\n') == 4)
    assert api.read_log(item)['text'] == b'one\ntwo\nthree\nfour\n'
    assert api.read_log(item, tailLines=2)['text'] == b'three\nfour\n'
    assert api.read_log(item, tailLines=0)['text'] == b''
    assert api.read_log(item, limitBytes=5)['text'] == b'one\nt'
    assert api.read_log(item, sinceSeconds=3600)['text'] == b'one\ntwo\nthree\nfour\n'
    stamped = api.read_log(item, timestamps=True, tailLines=1)['text'].decode()
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT[\d:.]+Z four\n', stamped)
    assert api.read_log(item, previous=True)['error'] == 'the container has no previous run'
    assert api.read_log(item, container='other')['error'] == 'the container has not started yet'
    assert api.read_log(item, container='../../x')['error'] == 'the request names no pod or container'


def test_follow_a_log(node, api, image):
    """A followed log grows while the container runs, ends with it, and is given up when its reader goes."""
    node.start()
    item = pod('ticker', image, 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done', restartPolicy='Never')
    uid = item['metadata']['uid']
    api.offer(item, node.ticket(item))
    node.wait_phase(uid, 'Running')
    answer = api.read_log(item, follow=True)
    api.wait(lambda: answer['text'].startswith(b'1\n2\n') and not answer['done'])
    api.wait(lambda: answer['done'])
    assert answer['text'] == b'1\n2\n3\n4\n5\n6\n'


def test_restart_disturbs_no_container(node, api, image):
    """The service is stopped, killed and started again; the same process goes on, and later it is still controlled."""
    node.start()
    item = pod('steady', image, 'echo up; sleep 1000')
    uid = run(node, api, item)
    api.wait(lambda: node.text(uid) == 'up\n')
    assert node.stop() == 0
    supervisor = node.supervisor(uid)
    rules = node.cell.run(['nft', 'list', 'ruleset']).stdout
    for end in (node.kill, node.stop):
        node.start()
        node.wait_phase(uid, 'Running')
        assert node.supervisor(uid) == supervisor
        end()
    assert node.cell.run(['nft', 'list', 'ruleset']).stdout == rules
    node.start()
    row = node.wait_phase(uid, 'Running')
    assert container(row['status'])['restartCount'] == 0
    assert node.text(uid) == 'up\n'
    api.delete(uid)
    api.wait_stopped(uid)


def test_exit_while_the_service_was_away(node, api, image):
    """NET-3: an end that nobody watched is found and acted on."""
    node.start()
    item = pod('away', image, 'sleep 1.5; exit 5', restartPolicy='Never')
    uid = run(node, api, item)
    node.kill()
    time.sleep(2)
    node.start()
    status = api.wait_status(uid, lambda status: status['phase'] == 'Failed')
    assert container(status)['state']['terminated']['exitCode'] == 5


def test_deleted_while_the_service_was_away(node, api, image):
    node.start()
    uid = run(node, api, pod('gone', image))
    node.kill()
    api.forget(uid)
    node.start()
    api.wait_stopped(uid)
    node.wait(lambda: node.status(uid) is None)


def test_lost_supervisor(node, api, image):
    """A supervisor that dies takes its containers with it; they are started again and counted."""
    node.start()
    uid = run(node, api, pod('orphan', image))
    node.cell.run(['kill', '-KILL', node.supervisor(uid)], check=True)
    status = api.wait_status(uid, lambda status: status['phase'] == 'Running' and container(status)['ready'] and
                             container(status)['restartCount'] == 1)
    assert container(status)['lastState']['terminated']['reason'] == 'SupervisorLost'
    assert 'SupervisorLost' in api.reasons(uid)


def test_drain_keeps_the_pods_for_the_next_start(node, api, image):
    """What 'bulkhead down' asks for: all stops, bridge and rules go, and all comes up again."""
    before = node.cell.snapshot()
    node.start()
    uid = run(node, api, pod('drained', image, 'echo up; sleep 1000'))
    assert node.control({'op': 'drain-local'}) == {'ok': True, 'stopped': 1}
    assert node.stop() == 0
    assert node.cell.snapshot() == before
    assert uid not in api.stopped
    node.start()
    api.wait_status(uid, lambda status: status['phase'] == 'Running' and container(status)['restartCount'] == 1)
    api.wait(lambda: node.text(uid, attempt=1) == 'up\n')


def without_service(snapshot):
    """A snapshot but for the service itself, which is another process after a crash."""
    return {**without_images(snapshot),
            'process': [line for line in snapshot['process'] if not line.startswith('bulkhead-cis ')]}


@pytest.mark.parametrize('point', ['cis-ticket-checked', 'cis-root-ready', 'cis-started', 'cis-deleting'])
def test_killed_at(node, api, image, point):
    """SIGKILL at each step loses nothing and starts nothing twice."""
    item = pod('victim', image, 'echo up; sleep 1000')
    uid = item['metadata']['uid']
    node.start(BULKHEAD_CRASH_AT=point)
    before = without_service(node.cell.snapshot())
    api.offer(item, node.ticket(item))
    if point == 'cis-deleting':
        api.wait_status(uid, lambda status: status['phase'] == 'Running')
        api.delete(uid)
    node.process.wait(30)
    node.process = None
    node.start()
    if point != 'cis-deleting':
        api.wait_status(uid, lambda status: status['phase'] == 'Running')
        assert container(api.statuses[uid])['restartCount'] == 0
        api.wait(lambda: node.text(uid) == 'up\n')
        api.delete(uid)
    api.wait_stopped(uid)
    node.wait(lambda: node.status(uid) is None)
    assert without_service(node.cell.snapshot()) == before


def test_writable_root(node, api, image):
    """A root that may be written is memory over the image: the image stays as it is."""
    node.start()
    item = pod('scribe', image, 'echo mine > /data/f; cat /data/f; sleep 1000',
               container={'securityContext': {'readOnlyRootFilesystem': False}})
    uid = run(node, api, item)
    api.wait(lambda: node.text(uid) == 'mine\n')
    assert not [path for path in (node.state / 'images').rglob('f') if path.name == 'f']


def test_reports_after_the_cism_was_away(node, api, image):
    """CISM-3: pods run on without a CISM, and what became of them is told when it is back."""
    node.start()
    item = pod('alone', image, 'sleep 1; exit 4', restartPolicy='Never')
    uid = run(node, api, item)
    api.close()
    node.wait_phase(uid, 'Failed')
    back = support_node.Api(node)
    try:
        back.pods = api.pods
        status = back.wait_status(uid, lambda status: status['phase'] == 'Failed', seconds=60)
        assert container(status)['state']['terminated']['exitCode'] == 4
        back.wait_stopped(uid)
    finally:
        back.close()

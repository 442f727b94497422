# SPDX-License-Identifier: Apache-2.0
"""The runtime's own program is write-protected from containers that have its owner inside (ISO-1)."""
import os
import pathlib
import signal
import subprocess

import pytest

from support_exec import begin, named, spawner_of
from support_runtime import Runtime, wait_until


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def protected(pid):
    """Whether the program a process runs from lies on a mount nobody may write to."""
    return bool(os.statvfs(f'/proc/{pid}/exe').f_flag & os.ST_RDONLY)


def mapped_to(host):
    maps = [{'containerID': 0, 'hostID': host, 'size': 65536}]
    return {'uidMappings': maps, 'gidMappings': maps}


def create(runtime, config):
    bundle = runtime.bundle(config)
    with open(runtime.folder / 'create.out', 'wb') as out:
        done = subprocess.run([runtime.program, '--root', str(runtime.state), 'create', '--bundle', str(bundle),
                               f'c{runtime.count}'], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60,
                              check=False)
    assert done.returncode == 0, (runtime.folder / 'create.out').read_text()
    return f'c{runtime.count}'


def test_program_whose_owner_is_inside_is_write_protected(runtime):
    """The machine's root within the map of a user namespace: the runtime's program must not be his to write."""
    name = create(runtime, runtime.config('/bin/sleep', '1000', **mapped_to(0)))
    assert protected(runtime.status(name)['pid'])
    assert runtime.call('start', name).returncode == 0
    assert protected(spawner_of(runtime, name))
    assert runtime.call('exec', name, '/bin/cat', '/proc/self/uid_map').stdout.split() == ['0', '0', '65536']


def test_exec_from_outside_is_write_protected_where_its_owner_is_inside(runtime):
    name = runtime.start('/bin/sleep', '1000', resources={'pids': {'limit': 5}}, **mapped_to(0))
    assert not named(runtime, name, 'bulkhead-exec')
    running = begin(runtime, name, '/bin/sleep', '1000')
    added, = wait_until(lambda: named(runtime, name, 'sleep') - {runtime.status(name)['pid']})
    assert protected(running.pid)
    os.kill(added, signal.SIGKILL)
    assert running.wait(10) == 137


def test_program_is_write_protected_from_a_joined_user_namespace(runtime):
    holder = subprocess.Popen(['unshare', '--user', 'sh', '-c', 'echo ready; exec sleep 1000'], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b'ready\n'
        for kind in ('uid', 'gid'):
            pathlib.Path(f'/proc/{holder.pid}/{kind}_map').write_text('0 0 65536\n')
        config = runtime.config('/bin/sleep', '1000', uidMappings=[], gidMappings=[])
        config['linux']['namespaces'][0]['path'] = f'/proc/{holder.pid}/ns/user'
        name = create(runtime, config)
        assert protected(runtime.status(name)['pid'])
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_the_machines_user_namespace_is_none(runtime):
    """By whatever path it is named, the container is protected against as one without a user namespace."""
    config = runtime.config('/bin/sleep', '1000', uidMappings=[], gidMappings=[])
    config['linux']['namespaces'][0]['path'] = '/proc/self/ns/user'
    del config['annotations']
    name = create(runtime, config)
    pid = runtime.status(name)['pid']
    assert os.readlink(f'/proc/{pid}/ns/user') == os.readlink('/proc/self/ns/user')
    assert protected(pid)

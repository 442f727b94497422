# SPDX-License-Identifier: Apache-2.0
"""Containers without a mount namespace of their own: they are in that of the runtime or of others as the specification
says, see nothing of it, and mount nothing in it (ISO-1, ISO-3)."""
import os
import pathlib
import signal
import subprocess

import pytest

from support_runtime import Runtime, wait_until


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def guest(runtime, *args, namespaces=(), **changes):
    """A config.json with these namespaces alone and no user namespace."""
    config = runtime.config(*args, namespaces=list(namespaces), annotations={}, **changes)
    for key in ('uidMappings', 'gidMappings'):
        del config['linux'][key]
    del config['hostname']
    return config


def start(runtime, config):
    name = f'c{runtime.count + 1}'
    bundle = runtime.bundle(config)
    with open(runtime.folder / f'{name}.out', 'wb') as to:
        done = subprocess.run([runtime.program, '--root', runtime.state, 'create', '--bundle', bundle, name],
                              stdin=subprocess.DEVNULL, stdout=to, stderr=to, check=False)
    assert done.returncode == 0, (runtime.folder / f'{name}.out').read_text()
    assert runtime.call('start', name).returncode == 0
    return name


def spaces(pid):
    return [os.readlink(f'/proc/{pid}/ns/{kind}') for kind in ('mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user')]


def mounts():
    return pathlib.Path('/proc/self/mountinfo').read_text()


def test_without_namespaces_a_container_is_in_the_runtimes(runtime):
    before = mounts()
    name = start(runtime, guest(runtime, '/bin/sleep', '1000'))
    pid = runtime.status(name)['pid']
    assert spaces(pid) == spaces('self')
    assert mounts() == before
    inside = runtime.call('exec', name, '/bin/sh', '-c', 'ls /; ls /dev/pts; cat /proc/self/mountinfo; echo x > /tmp/x')
    assert (inside.returncode, inside.stderr) == (0, '')
    assert inside.stdout.split() == ['bin', 'data', 'dev', 'etc', 'proc', 'sys', 'tmp', 'ptmx']
    assert runtime.call('exec', name, '/bin/cat', '/tmp/x').stdout == 'x\n'
    assert runtime.call('delete', '--force', name).returncode == 0
    assert (mounts(), runtime.leftovers()) == (before, [])


def test_its_root_is_all_it_reaches(runtime):
    """With chroot and a way up, and with the namespace's own file, there is the container's root and nothing else."""
    every = {key: ['CAP_SYS_CHROOT', 'CAP_DAC_READ_SEARCH'] for key in ('bounding', 'permitted', 'effective')}
    script = ('busybox nsenter --mount=/proc/self/ns/mnt /bin/true; busybox unshare --mount /bin/true; '
              'busybox mount -t tmpfs x /tmp; cd /; busybox chroot /tmp /bin/true; ls ../../..; '
              'cat /proc/self/root/etc/passwd')
    done = runtime.run(config=guest(runtime, '/bin/sh', '-c', script, capabilities=every))
    assert done.stdout.split() == ['bin', 'data', 'dev', 'etc', 'proc', 'sys', 'tmp']
    assert done.stderr.splitlines() == [
        "nsenter: setns(): can't reassociate to namespace 'mnt': Operation not permitted",
        'unshare: unshare(0x20000): Operation not permitted',
        'mount: permission denied (are you root?)',
        "chroot: can't execute '/bin/true': No such file or directory",
        "cat: can't open '/proc/self/root/etc/passwd': No such file or directory"]


def test_a_mount_namespace_of_others_is_joined(runtime):
    with subprocess.Popen(['unshare', '--mount', 'sleep', '1000']) as other:
        try:
            wait_until(lambda: os.readlink(f'/proc/{other.pid}/ns/mnt') != os.readlink('/proc/self/ns/mnt'))
            before = pathlib.Path(f'/proc/{other.pid}/mountinfo').read_text()
            name = start(runtime, guest(runtime, '/bin/sleep', '1000', namespaces=[
                {'type': 'mount', 'path': f'/proc/{other.pid}/ns/mnt'}, {'type': 'pid'}]))
            pid = runtime.status(name)['pid']
            assert os.readlink(f'/proc/{pid}/ns/mnt') == os.readlink(f'/proc/{other.pid}/ns/mnt')
            assert runtime.call('exec', name, '/bin/ls', '/').stdout.split() == [
                'bin', 'data', 'dev', 'etc', 'proc', 'sys', 'tmp']
            assert pathlib.Path(f'/proc/{other.pid}/mountinfo').read_text() == before
        finally:
            other.send_signal(signal.SIGKILL)


@pytest.mark.parametrize('change, message', [
    ({'capabilities': {'bounding': ['CAP_SYS_ADMIN']}}, 'with CAP_SYS_ADMIN'),
    ({'namespaces': [{'type': 'user'}]}, 'with a user namespace'),
    ({'rootfsPropagation': 'shared'}, 'with this rootfsPropagation'),
])
def test_where_it_would_not_hold_it_is_refused(runtime, change, message):
    config = guest(runtime)
    config['process'].update({key: change[key] for key in change if key == 'capabilities'})
    config['linux'].update({key: change[key] for key in change if key != 'capabilities'})
    done = runtime.run(config=config)
    assert (done.returncode, done.stderr) == (
        3, f'bulkhead-runtime: config.json: linux.namespaces: {message} a new mount namespace is needed\n')
    assert runtime.leftovers() == []


def test_under_a_ceiling_it_is_refused(runtime):
    folder = runtime.folder / 'ceiling'
    folder.mkdir(mode=0o755)
    (folder / '10-some.json').write_text('{}')
    done = runtime.call('--ceiling', folder, 'run', '--bundle', runtime.bundle(guest(runtime)), 'c1')
    assert (done.returncode, done.stderr) == (
        3, 'bulkhead-runtime: config.json: linux.namespaces: under a ceiling a new mount namespace is needed\n')


def test_no_program_with_more_rights_is_added(runtime):
    name = start(runtime, guest(runtime, '/bin/sleep', '1000'))
    done = runtime.call('exec', '--cap', 'CAP_SYS_ADMIN', name, '/bin/true')
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3, 'bulkhead-runtime: config.json: linux.namespaces: with CAP_SYS_ADMIN a new mount namespace is needed')


@pytest.mark.parametrize('option', ['unbindable', 'runbindable'])
def test_what_the_copy_would_lack_is_refused(runtime, option):
    """A copied root has no unbindable mounts: what they were to cover would be seen."""
    config = guest(runtime, '/bin/true')
    config['mounts'].append({'destination': '/data', 'type': 'tmpfs', 'source': 'tmpfs', 'options': [option]})
    done = runtime.run(config=config)
    place = len(config['mounts']) - 1
    assert (done.returncode, done.stderr) == (
        3, f'bulkhead-runtime: config.json: mounts[{place}]: an unbindable mount needs a new mount namespace\n')
    assert runtime.leftovers() == []

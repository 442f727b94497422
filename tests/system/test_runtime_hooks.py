# SPDX-License-Identifier: Apache-2.0
"""startContainer hooks are programs of the image, confined as the container's own program is (ISO-1, ISO-3)."""
import json
import os
import subprocess

import pytest

from support_runtime import Runtime, wait_until

SCRIPT = 'cat /proc/self/status > /tmp/status; cat > /tmp/state; pwd > /tmp/where; echo "$A" "$B" > /tmp/env'


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def inside(script, **more):
    return dict({'path': '/bin/sh', 'args': ['sh', '-c', script]}, **more)


def with_hooks(runtime, hooks, *args, **changes):
    config = runtime.config(*args, **changes)
    config['hooks'] = {'startContainer': hooks}
    return runtime.run(config=config)


def confinement(text):
    rows = dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)
    return {key: rows[key] for key in ('Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb',
                                       'NoNewPrivs', 'Seccomp', 'Seccomp_filters')}


@pytest.mark.parametrize('changes', [
    {},
    {'user': {'uid': 1000, 'gid': 1001, 'additionalGids': [7]}},
    {'capabilities': {kind: ['CAP_KILL'] for kind in ('bounding', 'permitted', 'effective')}},
], ids=['root', 'user', 'capability'])
def test_hook_has_what_the_program_has_and_no_more(runtime, changes):
    script = 'cat /proc/self/status; echo =; cat /tmp/status; echo =; cat /tmp/state; echo =; cat /tmp/where /tmp/env'
    done = with_hooks(runtime, [inside(SCRIPT, env=['PATH=/bin', 'A=hook'])], '/bin/sh', '-c', script,
                      env=['PATH=/bin', 'B=program'], cwd='/data', **changes)
    assert done.returncode == 0, done.stderr
    program, hook, state, rest = done.stdout.split('=\n')
    assert confinement(hook) == confinement(program)
    assert confinement(hook)['NoNewPrivs'] == '1' and confinement(hook)['Seccomp'] == '2'
    assert json.loads(state)['status'] == 'created'
    assert rest == '/data\nhook \n'


def test_hook_is_below_landlock(runtime):
    """The root can be written to for all that modes say; execution is not had where writing is."""
    done = with_hooks(runtime, [inside('cp /bin/busybox /tmp/busybox; '
                                       '/tmp/busybox true 2> /tmp/error; echo $? >> /tmp/error')],
                      '/bin/cat', '/tmp/error')
    assert done.stdout == 'sh: /tmp/busybox: Permission denied\n126\n'


def test_hook_cannot_make_what_the_filter_denies(runtime):
    done = with_hooks(runtime, [inside('mount -t tmpfs none /tmp 2> /tmp/error; echo $? >> /tmp/error')],
                      '/bin/cat', '/tmp/error')
    assert done.stdout.endswith('1\n') and 'denied' in done.stdout or 'permitted' in done.stdout, done.stdout


def test_what_a_hook_leaves_running_is_confined(runtime):
    """A process of the hook's that lives on is one of the container's, and ends with it."""
    done = with_hooks(runtime, [inside('sleep 1000 & echo $! > /tmp/pid')], '/bin/sh', '-c',
                      'grep -E "NoNewPrivs|Seccomp:|CapEff" /proc/$(cat /tmp/pid)/status')
    assert [line.split()[1] for line in done.stdout.splitlines()] == ['0000000000000000', '1', '2'], done.stdout
    assert not runtime.leftovers()


def test_hooks_run_in_their_order(runtime):
    done = with_hooks(runtime, [inside(f'echo {name} >> /tmp/log') for name in 'abc'], '/bin/cat', '/tmp/log')
    assert done.stdout == 'a\nb\nc\n', done.stderr


@pytest.mark.parametrize('hook, message, code', [
    (inside('exit 7'), "'/bin/sh': ended with exit status 7", 1),
    (inside('kill -9 $$'), "'/bin/sh': ended with signal 9 (Killed)", 1),
    (inside('sleep 1000', timeout=1), "'/bin/sh': no end within 1 seconds", 8),
    ({'path': '/bin/nothing'}, "'/bin/nothing': cannot execute it: No such file or directory", 4),
    ({'path': '/data'}, "'/data': cannot execute it: Permission denied", 6),
], ids=['status', 'signal', 'timeout', 'missing', 'folder'])
def test_failing_hook_ends_the_start(runtime, hook, message, code):
    done = with_hooks(runtime, [inside('true'), hook], '/bin/true')
    assert done.stderr == f"bulkhead-runtime: container 'c1': config.json: hooks.startContainer[1]: {message}\n"
    assert done.returncode == code
    assert not runtime.leftovers()


def test_hook_fails_a_container_that_was_created(runtime):
    config = runtime.config('/bin/sleep', '1000')
    config['hooks'] = {'startContainer': [inside('exit 3')]}
    words = [runtime.program, '--root', str(runtime.state), 'create', '--bundle', str(runtime.bundle(config)), 'c1']
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60)
    done = runtime.call('start', 'c1')
    assert (done.returncode, done.stderr) == (1, "bulkhead-runtime: container 'c1': config.json: "
                                              "hooks.startContainer[0]: '/bin/sh': ended with exit status 3\n")
    wait_until(lambda: runtime.status('c1')['status'] == 'stopped')


def test_hook_of_the_machine_in_the_containers_namespaces(runtime):
    """createContainer: a program of the machine's, which sees the container's namespaces before its root is sealed."""
    log = runtime.folder / 'log'
    log.touch()
    log.chmod(0o666)
    script = f'(hostname; readlink /proc/self/ns/mnt; readlink /proc/self/ns/uts; cat) >> {log}'
    config = runtime.config('/bin/hostname')
    config['hooks'] = {'createContainer': [{'path': '/bin/sh', 'args': ['sh', '-c', script],
                                            'env': ['PATH=/usr/bin:/bin']}]}
    done = runtime.run(config=config)
    assert done.returncode == 0, done.stderr
    name, mount, uts, state = log.read_text().split('\n', 3)
    assert name == 'box'
    assert mount.startswith('mnt:[') and mount != os.readlink('/proc/self/ns/mnt')
    assert uts.startswith('uts:[') and uts != os.readlink('/proc/self/ns/uts')
    assert (json.loads(state)['status'], json.loads(state)['id']) == ('creating', 'c1')
    assert done.stdout == 'box\n'


def held(runtime, *words):
    """A command in whose hook the container waits, and the file that lets it go on."""
    with open(runtime.folder / 'held.err', 'wb') as errors:
        held = subprocess.Popen([runtime.program, '--root', str(runtime.state), *map(str, words)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
    wait_until(lambda: list(runtime.state.glob('c*/state.json')) and runtime.status('c1').get('pid'))
    place = runtime.folder / 'place'
    wait_until((place / 'here').exists)
    (place / 'here').unlink()
    return held, place / 'go'


@pytest.mark.parametrize('command', ['start', 'run'])
def test_a_hook_that_takes_its_time_keeps_nobody_from_the_container(runtime, command):
    """Others look, are told that it is being started, signal it and take it away, though the end before
    the program looks like the program to the one who waits."""
    script = 'echo > /data/here; while [ ! -e /data/go ]; do sleep 0.02; done'
    config = runtime.config('/bin/sleep', '1000')
    (runtime.folder / 'place').mkdir()
    (runtime.folder / 'place').chmod(0o777)
    config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': str(runtime.folder / 'place'),
                             'options': ['bind', 'rw']})
    config['hooks'] = {'startContainer': [inside(script)]}
    bundle = runtime.bundle(config)
    if command == 'start':
        subprocess.run([runtime.program, '--root', str(runtime.state), 'create', '--bundle', str(bundle), 'c1'],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60)
        process, go = held(runtime, 'start', 'c1')
        done = runtime.call('start', 'c1')
        assert (done.returncode, done.stderr) == (
            3, "bulkhead-runtime: container 'c1' cannot be started: it is being started\n")
    else:
        process, go = held(runtime, 'run', '--detach', '--bundle', bundle, 'c1')
    assert runtime.status('c1')['status'] == 'created'
    assert runtime.call('kill', 'c1', 'URG').returncode == 0
    assert process.poll() is None
    go.touch()
    assert process.wait(10) == 0
    assert runtime.status('c1')['status'] == 'running'
    assert runtime.call('delete', '--force', 'c1').returncode == 0
    go.unlink()
    # Once more, and this time it is taken away meanwhile.
    words = ['run', '--detach', '--bundle', bundle, 'c1']
    process, _ = held(runtime, *words)
    assert runtime.call('delete', '--force', 'c1').returncode == 0
    process.wait(10)
    assert not runtime.leftovers()


def test_state_of_a_container_can_be_asked_for_by_its_own_hook(runtime):
    config = runtime.config('/bin/true')
    log = runtime.folder / 'log'
    command = f'{runtime.program} --root {runtime.state} state c1 > {log}'
    config['hooks'] = {'createRuntime': [{'path': '/bin/sh', 'args': ['sh', '-c', command], 'timeout': 10}]}
    done = runtime.run(config=config)
    assert (done.returncode, done.stderr) == (0, '')
    assert json.loads(log.read_text())['status'] == 'created'

# SPDX-License-Identifier: Apache-2.0
"""The runtime's life cycle and its limits: the OCI command line, hooks, control groups, leftovers (ISO-2, ISO-8)."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from support_runtime import CGROUPS, UID_BASE, Runtime, is_alive, needs_layer, wait_until

ONLY_UNIFIED = not (CGROUPS / 'memory').exists()


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def test_create_start_kill_delete(runtime):
    bundle = runtime.bundle(runtime.config('/bin/sleep', '1000'))
    with open(os.devnull, 'rb+') as null:
        words = [runtime.program, '--root', str(runtime.state), 'create', '--pid-file', str(bundle / 'pid')]
        assert subprocess.call([*words, '--bundle', str(bundle), 'a'], stdin=null, stdout=null, stderr=null) == 0
    state = runtime.status('a')
    pid = int((bundle / 'pid').read_text())
    assert (state['id'], state['status'], state['pid'], state['bundle']) == ('a', 'created', pid, str(bundle))
    assert state['annotations'] == {'dev.bulkhead.root.idmap': 'true'}
    done = runtime.call('delete', 'a')
    assert (done.returncode, done.stderr) == (3, "bulkhead-runtime: container 'a' cannot be deleted: it is created\n")
    assert runtime.call('start', 'a').returncode == 0
    assert runtime.status('a')['status'] == 'running'
    assert runtime.call('list', '--quiet').stdout == 'a\n'
    done = runtime.call('start', 'a')
    assert (done.returncode, done.stderr) == (3, "bulkhead-runtime: container 'a' cannot be started: it is running\n")
    done = runtime.call('delete', 'a')
    assert (done.returncode, done.stderr) == (3, "bulkhead-runtime: container 'a' cannot be deleted: it is running\n")
    assert runtime.call('kill', 'a', 'KILL').returncode == 0
    wait_until(lambda: runtime.status('a')['status'] == 'stopped')
    assert 'pid' not in runtime.status('a')
    done = runtime.call('kill', 'a', '15')
    assert (done.returncode, done.stderr) == (
        3, "bulkhead-runtime: container not running: 'a' cannot be signalled: it is stopped\n")
    assert runtime.call('delete', 'a').returncode == 0
    assert not runtime.leftovers()
    done = runtime.call('state', 'a')
    assert (done.returncode, done.stderr) == (4, "bulkhead-runtime: container 'a' does not exist\n")


def test_run_passes_output_and_status(runtime):
    done = runtime.run('/bin/sh', '-c', 'echo out; echo err >&2; exit 42')
    assert (done.returncode, done.stdout, done.stderr) == (42, 'out\n', 'err\n')
    assert not runtime.leftovers()


def test_run_passes_signals(runtime):
    script = 'trap "exit 9" TERM; echo up; while :; do sleep 0.05; done'
    bundle = runtime.bundle(runtime.config('/bin/sh', '-c', script))
    with subprocess.Popen([runtime.program, '--root', str(runtime.state), 'run', '-b', str(bundle), 'a'],
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'up\n'
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 9
    assert not runtime.leftovers()


def test_same_id_twice(runtime):
    runtime.start('/bin/sleep', '1000', name='a')
    done = runtime.call('create', '--bundle', runtime.bundle(runtime.config()), 'a')
    assert (done.returncode, done.stderr) == (5, "bulkhead-runtime: container 'a' exists already\n")
    assert runtime.status('a')['status'] == 'running'


@pytest.mark.parametrize('name, message', [
    ('a/b', "container id 'a/b' may only have letters, digits and '_+-.'"),
    ('..', "container id '..' may not begin with '.'"),
    ('', 'container id must have 1 to 255 bytes'),
    ('x' * 256, 'container id must have 1 to 255 bytes'),
    ('a\nb', "container id 'a?b' may only have letters, digits and '_+-.'"),
])
def test_bad_ids(runtime, name, message):
    bundle = runtime.bundle(runtime.config())
    for words in (('create', '--bundle', bundle, name), ('state', name), ('kill', name), ('delete', '--force', name)):
        done = runtime.call(*words)
        assert (done.returncode, done.stderr) == (3, f'bulkhead-runtime: {message}\n')
    assert not runtime.leftovers()


def test_program_that_is_missing(runtime):
    done = runtime.run('/bin/nothing')
    assert done.stderr == ("bulkhead-runtime: config.json: process.args[0]: cannot execute '/bin/nothing': "
                           'No such file or directory\n')
    assert done.returncode == 4
    assert not runtime.leftovers()


def test_limits_read_back(runtime):
    resources = {'memory': {'limit': 40 << 20}, 'pids': {'limit': 17},
                 'cpu': {'quota': 25000, 'period': 50000, 'shares': 512}}
    runtime.start('/bin/sleep', '1000', resources=resources)
    read = {path: (runtime.group(kind) / 'c0' / path).read_text().strip() for kind, path in (
        (('cpu', 'cpu.max'), ('memory', 'memory.max'), ('pids', 'pids.max'), ('cpu', 'cpu.weight')) if ONLY_UNIFIED else
        (('cpu', 'cpu.cfs_quota_us'), ('cpu', 'cpu.cfs_period_us'), ('cpu', 'cpu.shares'), ('pids', 'pids.max'),
         ('memory', 'memory.limit_in_bytes')))}
    assert read == ({'cpu.max': '25000 50000', 'memory.max': str(40 << 20), 'pids.max': '17', 'cpu.weight': '20'}
                    if ONLY_UNIFIED else
                    {'cpu.cfs_quota_us': '25000', 'cpu.cfs_period_us': '50000', 'cpu.shares': '512', 'pids.max': '17',
                     'memory.limit_in_bytes': str(40 << 20)})


def test_memory_hog_is_killed(runtime):
    done = runtime.run('/bin/sh', '-c', 'x=$(yes | head -c 60000000); echo survived',
                       resources={'memory': {'limit': 16 << 20, 'swap': 16 << 20}, 'pids': {'limit': 20}})
    assert done.returncode == 137
    assert 'survived' not in done.stdout
    assert not runtime.leftovers()


def test_fork_bomb_is_held(runtime):
    name = runtime.start('/bin/sh', '-c', 'bomb() { bomb | bomb & }; bomb; sleep 1000',
                         resources={'pids': {'limit': 30}, 'memory': {'limit': 64 << 20}})
    group = runtime.group('pids') / 'c0'
    most = max(int((group / 'pids.current').read_text()) for _ in range(2000))
    assert 0 < most <= 30
    assert runtime.call('delete', '--force', name).returncode == 0
    assert not runtime.leftovers()


def test_limit_without_controller_is_refused_by_name(runtime):
    done = runtime.run('/bin/true', resources={'unified': {'nothing.max': '1'}})
    assert done.returncode != 0
    assert done.stderr.startswith('bulkhead-runtime: config.json: linux.resources.unified.nothing.max: '
                                  "cannot write '1' to 'nothing.max' of control group ")
    assert not runtime.leftovers()


def test_hooks_run_in_order_with_the_state(runtime):
    log = runtime.folder / 'hooks.log'
    hook = {'path': '/bin/sh', 'args': ['sh', '-c', f'echo "$0 $X $(cat)" >> {log}'], 'env': ['X=y']}

    def named(name):
        return [dict(hook, args=hook['args'] + [name])]
    config = runtime.config('/bin/true')
    config['hooks'] = {phase: named(phase) for phase in ('prestart', 'createRuntime', 'poststart', 'poststop')}
    inside = {'path': '/bin/sh', 'args': ['sh', '-c', 'cat > /tmp/x; grep -q created /tmp/x']}
    config['hooks']['startContainer'] = [inside]
    done = runtime.run(config=config)
    assert done.returncode == 0, done.stderr
    lines = [line.split(' ', 2) for line in log.read_text().splitlines()]
    assert [line[0] for line in lines] == ['prestart', 'createRuntime', 'poststart', 'poststop']
    assert {line[1] for line in lines} == {'y'}
    states = [json.loads(line[2]) for line in lines]
    assert [state['status'] for state in states] == ['created', 'created', 'running', 'stopped']
    assert {state['id'] for state in states} == {'c1'}


def test_failing_hook_leaves_nothing(runtime):
    config = runtime.config('/bin/true')
    config['hooks'] = {'createRuntime': [{'path': '/bin/false'}]}
    done = runtime.run(config=config)
    assert done.stderr == ("bulkhead-runtime: config.json: hooks.createRuntime[0]: '/bin/false': "
                           'ended with exit status 1\n')
    assert done.returncode == 1
    assert not runtime.leftovers()


@pytest.mark.parametrize('point', ['runtime-root-ready', 'runtime-start', 'runtime-delete'])
def test_killed_runtime_leaves_what_delete_takes_away(runtime, point):
    config = runtime.config('/bin/sleep', '1000')
    bundle = runtime.bundle(config)
    env = dict(os.environ, BULKHEAD_CRASH_AT=point)
    statuses = []
    for words in (['create', '--bundle', str(bundle), 'a'], ['start', 'a'], ['delete', '--force', 'a']):
        done = subprocess.run([runtime.program, '--root', str(runtime.state), *words], env=env, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        statuses.append(done.returncode)
        if done.returncode == -signal.SIGKILL:
            break
    assert statuses[-1] == -signal.SIGKILL
    done = runtime.call('delete', '--force', 'a')
    assert (done.returncode, done.stderr) == (0, '')
    assert not runtime.leftovers()


def test_create_killed_before_its_end_leaves_no_process(runtime):
    bundle = runtime.bundle(runtime.config('/bin/sleep', '1000'))
    subprocess.run([runtime.program, '--root', str(runtime.state), 'create', '--bundle', str(bundle), 'a'], check=False,
                   env=dict(os.environ, BULKHEAD_CRASH_AT='runtime-root-ready'), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = json.loads((runtime.state / 'a' / 'state.json').read_text())['pid']
    wait_until(lambda: not is_alive(pid))
    assert runtime.status('a')['status'] == 'stopped'


def test_delete_force_of_nothing(runtime):
    assert runtime.call('delete', '--force', 'nothing').returncode == 0
    done = runtime.call('delete', 'nothing')
    assert (done.returncode, done.stderr) == (4, "bulkhead-runtime: container 'nothing' does not exist\n")


@needs_layer
def test_root_layer_takes_writes_and_spares_the_image(runtime):
    before = sorted(str(path) for path in (runtime.folder / 'rootfs').rglob('*'))
    script = 'echo x > /etc/new && cat /etc/new && cat /srv/deep/file && stat -c %u /etc/new'
    config = runtime.config('/bin/sh', '-c', script)
    config['root']['readonly'] = False
    volume = runtime.folder / 'volume'
    volume.mkdir()
    (volume / 'file').write_text('from the volume\n')
    mount = {'destination': '/srv/deep', 'type': 'bind', 'source': str(volume), 'options': ['rbind', 'ro']}
    config['mounts'].append(mount)
    done = runtime.run(config=config)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'x\nfrom the volume\n0\n', '')
    assert sorted(str(path) for path in (runtime.folder / 'rootfs').rglob('*')) == before


def test_idmapped_volume_is_written_as_the_host_root(runtime):
    volume = runtime.folder / 'volume'
    volume.mkdir()
    mount = {'destination': '/data', 'type': 'bind', 'source': str(volume), 'options': ['rbind', 'rw', 'idmap']}
    config = runtime.config('/bin/sh', '-c', 'echo x > /data/file')
    config['mounts'].append(mount)
    done = runtime.run(config=config)
    assert done.returncode == 0, done.stderr
    assert (volume / 'file').stat().st_uid == 0


def test_output_can_be_opened_again(runtime):
    assert runtime.shell('echo again > /dev/stdout; echo once > /proc/self/fd/1') == 'again\nonce\n'


def test_user_groups_umask_and_limits(runtime):
    config = runtime.config('/bin/sh', '-c', 'id; umask; ulimit -n; touch /tmp/x; stat -c %a /tmp/x; pwd')
    config['process'].update(user={'uid': 33, 'gid': 44, 'additionalGids': [55], 'umask': 0o27}, cwd='/tmp',
                             rlimits=[{'type': 'RLIMIT_NOFILE', 'soft': 77, 'hard': 88}])
    done = runtime.run(config=config)
    assert done.stdout == 'uid=33 gid=44 groups=55\n0027\n77\n640\n/tmp\n'


@needs_layer
def test_missing_cwd_is_made_in_the_layer(runtime):
    config = runtime.config('/bin/sh', '-c', 'pwd')
    config['root']['readonly'] = False
    config['process']['cwd'] = '/not/yet/there'
    assert runtime.run(config=config).stdout == '/not/yet/there\n'


def test_ownership_is_mapped(runtime):
    name = runtime.start('/bin/sleep', '1000')
    pid = runtime.status(name)['pid']
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    assert f'Uid:\t{UID_BASE}\t{UID_BASE}\t{UID_BASE}\t{UID_BASE}\n' in status


def test_log_file_for_callers(runtime):
    log = runtime.folder / 'log.json'
    done = runtime.call('--log', log, '--log-format', 'json', 'state', 'nothing')
    assert done.returncode == 4
    line = json.loads(log.read_text())
    assert (line['level'], line['msg']) == ('error', "container 'nothing' does not exist")


def test_features(runtime):
    features = json.loads(runtime.call('features').stdout)
    seccomp = features['linux']['seccomp']
    assert seccomp['archs'] == [f'SCMP_ARCH_{name}' for name in ('X86_64', 'X86', 'X32', 'AARCH64', 'ARM')]
    assert 'SCMP_ACT_NOTIFY' in seccomp['actions'] and seccomp['knownFlags'] == seccomp['supportedFlags']
    assert 'CAP_CHECKPOINT_RESTORE' in features['linux']['capabilities']


def test_systemd_driver_is_refused(runtime):
    done = runtime.call('--systemd-cgroup', 'list')
    assert (done.returncode, done.stderr) == (
        3, 'bulkhead-runtime: the systemd driver for control groups is not supported, only cgroupfs\n')


def test_exec_is_confined_like_the_first_process(runtime):
    name = runtime.start('/bin/sleep', '1000')
    script = 'grep -E "^(Cap(Eff|Bnd)|NoNewPrivs|Seccomp):" /proc/self/status; id -u; hostname; exit 5'
    done = runtime.call('exec', name, '/bin/sh', '-c', script)
    assert (done.returncode, done.stdout.split()) == (5, [
        'CapEff:', '0' * 16, 'CapBnd:', '0' * 16, 'NoNewPrivs:', '1', 'Seccomp:', '2', '0', 'box'])
    assert runtime.call('exec', name, '/bin/sh', '-c', 'echo /proc/[0-9]*').stdout.startswith('/proc/1 ')
    done = runtime.call('exec', name, '/bin/sh', '-c', 'cp /bin/busybox /tmp/true; /tmp/true')
    assert (done.returncode, done.stderr) == (126, '/bin/sh: /tmp/true: Permission denied\n')
    done = runtime.call('exec', '--user', '33:44', '--cwd', '/tmp', name, '/bin/sh', '-c', 'id -u; id -g; pwd')
    assert done.stdout == '33\n44\n/tmp\n'
    done = runtime.call('exec', name, '/nothing')
    assert done.stderr == ("bulkhead-runtime: config.json: process.args[0]: cannot execute '/nothing': "
                           'No such file or directory\n')


def test_exec_takes_a_process_and_refuses_what_does_not_run(runtime):
    name = runtime.start('/bin/sleep', '1000')
    process = runtime.folder / 'process.json'
    process.write_text(json.dumps({'args': ['/bin/sh', '-c', 'echo $X'], 'env': ['X=y'], 'cwd': '/'}))
    assert runtime.call('exec', '--process', process, name).stdout == 'y\n'
    process.write_text('{"args":["x"],"cwd":"here"}')
    done = runtime.call('exec', '--process', process, name)
    assert (done.returncode, done.stderr) == (
        3, "bulkhead-runtime: process: cwd: must be an absolute path, not 'here'\n")
    runtime.call('kill', name, 'KILL')
    wait_until(lambda: runtime.status(name)['status'] == 'stopped')
    done = runtime.call('exec', name, '/bin/true')
    assert (done.returncode, done.stderr) == (3, "bulkhead-runtime: container 'c1' cannot be entered: it is stopped\n")


def test_pause_resume_ps_update(runtime):
    name = runtime.start('/bin/sleep', '1000')
    listed = json.loads(runtime.call('ps', '--format', 'json', name).stdout)
    assert listed[0] == runtime.status(name)['pid'] and len(listed) == 2  # it and the spawner
    assert runtime.call('pause', name).returncode == 0
    assert runtime.status(name)['status'] == 'paused'
    done = runtime.call('exec', name, '/bin/true')
    assert (done.returncode, done.stderr) == (3, "bulkhead-runtime: container 'c1' cannot be entered: it is paused\n")
    done = runtime.call('pause', name)
    assert (done.returncode, done.stderr) == (3, "bulkhead-runtime: container 'c1' cannot be paused: it is paused\n")
    assert runtime.call('resume', name).returncode == 0
    assert runtime.status(name)['status'] == 'running'
    new = runtime.folder / 'new.json'
    new.write_text('{"pids":{"limit":9}}')
    assert runtime.call('update', '--resources', new, name).returncode == 0
    assert (runtime.group('pids') / 'c0' / 'pids.max').read_text() == '9\n'
    assert runtime.call('pause', name).returncode == 0
    assert runtime.call('delete', '--force', name).returncode == 0
    assert not runtime.leftovers()


def test_control_group_of_others_is_left_alone(runtime):
    first = runtime.start('/bin/sleep', '1000', name='first')
    config = runtime.config('/bin/true')
    for path in (f'{runtime.parent}/c0', runtime.parent):
        config['linux']['cgroupsPath'] = f'/{path}'
        done = runtime.run(config=config)
        assert (done.returncode, done.stderr) == (
            5, f"bulkhead-runtime: config.json: linux.cgroupsPath: control group '{path}' is in use already\n")
        assert runtime.status(first)['status'] == 'running'
    assert [path.name for path in runtime.state.glob('[!.]*')] == ['first']

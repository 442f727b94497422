# SPDX-License-Identifier: Apache-2.0
"""The commands and options that callers of runc and crun use (ISO-2): spec, events, ps, list, update, exec, log."""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from support_runtime import CGROUPS, Runtime, wait_until

ONLY_UNIFIED = not (CGROUPS / 'memory').exists()


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def error_of(done):
    """The exit status and the one line of an error."""
    return done.returncode, done.stderr


def test_spec_writes_a_config_that_runs(runtime):
    folder = runtime.folder / 'made'
    folder.mkdir()
    assert runtime.call('spec', '--bundle', folder).returncode == 0
    config = json.loads((folder / 'config.json').read_text())
    assert (config['ociVersion'], config['process']['terminal'], config['process']['args']) == ('1.2.0', True, ['sh'])
    assert {'type': 'user'} not in config['linux']['namespaces']
    config['process'].update(terminal=False, args=['/bin/echo', 'hello'])
    config['linux']['cgroupsPath'] = f'/{runtime.parent}/c0'
    config['root']['readonly'] = False  # the folders its mounts need are not all in the image
    bundle = runtime.bundle(config)
    done = runtime.call('run', '--bundle', bundle, 'a')
    assert (done.returncode, done.stdout) == (0, 'hello\n'), done.stderr
    done = runtime.call('spec', '--bundle', folder)
    assert error_of(done) == (5, f"bulkhead-runtime: '{folder}/config.json' exists already\n")


def test_spec_for_a_caller_without_privilege(runtime):
    folder = runtime.folder / 'made'
    folder.mkdir()
    assert runtime.call('spec', '--rootless', '-b', folder).returncode == 0
    config = json.loads((folder / 'config.json').read_text())
    assert {'type': 'user'} in config['linux']['namespaces']
    assert config['linux']['uidMappings'] == [{'containerID': 0, 'hostID': os.geteuid(), 'size': 1}]
    assert 'resources' not in config['linux']
    pts, = [mount for mount in config['mounts'] if mount['destination'] == '/dev/pts']
    assert not [word for word in pts['options'] if word.startswith('gid=')]


def command_line(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    except FileNotFoundError:
        return b''  # it ended since


def pids_of(runtime, name):
    """The numbers of a container's processes without the spawner's."""
    found = json.loads(runtime.call('ps', '--format', 'json', name).stdout)
    return [pid for pid in found if b'bulkhead-exec' not in command_line(pid)]


def test_ps_table_and_list(runtime):
    name = runtime.start('/bin/sh', '-c', 'sleep 1000 & exec sleep 2000')
    pid = runtime.status(name)['pid']
    assert pid in wait_until(lambda: (lambda found: len(found) == 2 and found)(pids_of(runtime, name)))
    lines = runtime.call('ps', name).stdout.splitlines()
    assert lines[0].split()[:2] == ['UID', 'PID']
    assert sorted(line.split()[-2:] for line in lines[1:] if 'sleep' in line) == [['sleep', '1000'], ['sleep', '2000']]
    lines = runtime.call('ps', name, '-eo', 'args,pid').stdout.splitlines()
    assert lines[0].split() == ['COMMAND', 'PID']
    done = runtime.call('ps', name, '-eo', 'args')
    assert error_of(done) == (3, "bulkhead-runtime: ps: its table has no column 'PID' with these options\n")
    done = runtime.call('ps', '--format', 'xml', name)
    assert error_of(done) == (3, "bulkhead-runtime: unknown format 'xml'\n")


def test_list_formats(runtime):
    assert json.loads(runtime.call('list', '--format', 'json').stdout) == []
    name = runtime.start('/bin/sleep', '1000')
    item, = json.loads(runtime.call('list', '-f', 'json').stdout)
    assert (item['id'], item['status'], item['owner']) == (name, 'running', 'root')
    assert item['rootfs'] == str(runtime.folder / 'b1' / 'rootfs')
    heading, line = runtime.call('list').stdout.splitlines()
    assert heading.split() == ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER']
    assert line.split() == [name, str(item['pid']), 'running', item['bundle'], item['created'], 'root']


def events(runtime, *words):
    return subprocess.Popen([runtime.program, '--root', str(runtime.state), 'events', *words], stdout=subprocess.PIPE,
                            text=True)


def test_events_stats_once(runtime):
    name = runtime.start('/bin/sh', '-c', 'x=$(yes | head -c 3000000); sleep 1000',
                         resources={'memory': {'limit': 40 << 20}, 'pids': {'limit': 17}})
    wait_until(lambda: json.loads(runtime.call('events', '--stats', name).stdout)['data']['pids']['current'] in (1, 2))
    event = json.loads(runtime.call('events', '--stats', name).stdout)
    assert (event['type'], event['id']) == ('stats', name)
    data = event['data']
    assert data['pids']['limit'] == 17
    assert data['memory']['usage']['limit'] == 40 << 20
    assert 0 < data['memory']['usage']['usage'] <= data['memory']['usage']['max'] <= 40 << 20
    assert data['cpu']['usage']['total'] > 0
    assert data['memory']['raw'] and 'throttling' in data['cpu']
    assert {'blkio', 'hugetlb', 'intel_rdt', 'network_interfaces'} <= set(data)


def test_events_until_the_end_with_oom(runtime):
    script = 'while [ ! -e /tmp/go ]; do sleep 0.02; done; x=$(yes | head -c 60000000); sleep 1000'
    name = runtime.start('/bin/sh', '-c', script, resources={'memory': {'limit': 16 << 20, 'swap': 16 << 20}})
    with events(runtime, '--interval', '50ms', name) as process:
        assert json.loads(process.stdout.readline())['type'] == 'stats'
        assert runtime.call('exec', name, '/bin/touch', '/tmp/go').returncode == 0
        kinds = [json.loads(line) for line in process.stdout]
        assert process.wait(20) == 0
    assert {'type': 'oom', 'id': name} in kinds
    done = runtime.call('events', name)
    assert error_of(done) == (3, f"bulkhead-runtime: container '{name}' has no events: it is stopped\n")


@pytest.mark.parametrize('word', ['0s', '', 's', '-1s', '1d', '999h'])
def test_events_intervals_that_are_none(runtime, word):
    done = runtime.call('events', '--interval', word, 'a')
    assert error_of(done) == (3, f"bulkhead-runtime: --interval: '{word}' is no time from 1ms to 24h\n")


def limit_of(runtime, kind, legacy, unified):
    return (runtime.group(kind) / 'c0' / (unified if ONLY_UNIFIED else legacy)).read_text().strip()


def test_update_by_options(runtime):
    name = runtime.start('/bin/sleep', '1000')
    done = runtime.call('update', '--memory', '50m', '--memory-swap', '60m', '--memory-reservation=20m', '--cpu-share',
                        '512', '--cpu-quota', '30000', '--cpu-period', '60000', '--cpuset-cpus', '0', '--pids-limit',
                        '33', '--kernel-memory', '1g', name)
    assert done.returncode == 0, done.stderr
    assert limit_of(runtime, 'memory', 'memory.limit_in_bytes', 'memory.max') == str(50 << 20)
    assert limit_of(runtime, 'pids', 'pids.max', 'pids.max') == '33'
    assert limit_of(runtime, 'cpuset', 'cpuset.cpus', 'cpuset.cpus') == '0'
    if not ONLY_UNIFIED:
        assert limit_of(runtime, 'memory', 'memory.soft_limit_in_bytes', '') == str(20 << 20)
        assert limit_of(runtime, 'cpu', 'cpu.shares', '') == '512'
        assert limit_of(runtime, 'cpu', 'cpu.cfs_quota_us', '') == '30000'
        assert limit_of(runtime, 'cpu', 'cpu.cfs_period_us', '') == '60000'
    assert runtime.call('update', '--pids-limit', '-1', name).returncode == 0
    assert limit_of(runtime, 'pids', 'pids.max', 'pids.max') == 'max'


def test_update_from_standard_input(runtime):
    """What containerd's shim sends; zeros stand for "as it is"."""
    name = runtime.start('/bin/sleep', '1000')
    text = json.dumps({'memory': {'limit': 48 << 20, 'swap': 0}, 'cpu': {'shares': 0, 'cpus': ''},
                       'pids': {'limit': 21}})
    done = subprocess.run([runtime.program, '--root', str(runtime.state), 'update', '--resources', '-', name],
                          input=text, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert limit_of(runtime, 'memory', 'memory.limit_in_bytes', 'memory.max') == str(48 << 20)
    assert limit_of(runtime, 'pids', 'pids.max', 'pids.max') == '21'


@pytest.mark.parametrize('words, message', [
    (['--memory', '12x'], "--memory: '12x' is no size like 512m"),
    (['--memory', '99999999999g'], "--memory: '99999999999g' is no size like 512m"),
    (['--pids-limit', 'many'], "--pids-limit: 'many' is no number"),
    ([], 'update: a limit or --resources is needed'),
    (['--l3-cache-schema', 'L3:0=f'], '--l3-cache-schema is not supported'),
])
def test_updates_that_are_refused(runtime, words, message):
    name = runtime.start('/bin/sleep', '1000')
    assert error_of(runtime.call('update', *words, name)) == (3, f'bulkhead-runtime: {message}\n')


def test_exec_options(runtime):
    name = runtime.start('/bin/sleep', '1000')
    script = 'id; echo $A-$PATH-$B; pwd; grep CapBnd /proc/self/status; umask'
    done = runtime.call('exec', '--env', 'A=one', '-e', 'PATH=/bin:/none', '--env=B=a=b', '--cwd=/tmp', '-u', '5:6',
                        '-g', '7,8', '--additional-gids', '9', '--cap', 'CAP_CHOWN', '--no-new-privs', '--cgroup', '/',
                        name, '/bin/sh', '-c', script)
    assert (done.returncode, done.stdout.splitlines()) == (0, [
        'uid=5 gid=6 groups=7,8,9', 'one-/bin:/none-a=b', '/tmp', 'CapBnd:\t0000000000000001', '0022']), done.stderr


@pytest.mark.parametrize('words, message', [
    (['--env', 'A'], "--env: 'A' is not NAME=VALUE"),
    (['--cap', 'CAP_ALL'], "--cap: unknown capability 'CAP_ALL'"),
    (['--additional-gids', '1,x'], "--additional-gids: '1,x' is no list of group ids"),
    (['--cwd', 'tmp'], "--cwd: 'tmp' is no absolute path"),
    (['--process-label', 'x'], '--process-label is not supported: there is no SELinux here'),
    (['--cgroup', 'sub'], "--cgroup is not supported: programs join the container's own group"),
])
def test_exec_options_that_are_refused(runtime, words, message):
    name = runtime.start('/bin/sleep', '1000')
    assert error_of(runtime.call('exec', *words, name, '/bin/true')) == (3, f'bulkhead-runtime: {message}\n')


def test_exec_process_from_standard_input_with_a_pid_file(runtime):
    name = runtime.start('/bin/sleep', '1000')
    process = {'args': ['/bin/sleep', '1000'], 'cwd': '/', 'user': {'uid': 3, 'gid': 4}, 'env': ['PATH=/bin']}
    pid_file = runtime.folder / 'exec.pid'
    subprocess.run([runtime.program, '--root', str(runtime.state), 'exec', '--process', '-', '--detach', '--pid-file',
                    str(pid_file), name], input=json.dumps(process), text=True, check=True, stdout=subprocess.DEVNULL)
    pid = int(pid_file.read_text())
    assert pid in json.loads(runtime.call('ps', '-f', 'json', name).stdout)
    assert '/c0' in pathlib.Path(f'/proc/{pid}/cgroup').read_text()


def test_exec_in_a_paused_container(runtime):
    name = runtime.start('/bin/sleep', '1000')
    assert runtime.call('pause', name).returncode == 0
    with subprocess.Popen([runtime.program, '--root', str(runtime.state), 'exec', '--ignore-paused', name, '/bin/echo',
                           'thawed'], stdout=subprocess.PIPE, text=True) as process:
        time.sleep(0.3)
        assert process.poll() is None
        done = runtime.call('resume', name)
        assert done.returncode == 0, done.stderr
        assert process.stdout.read() == 'thawed\n'
        assert process.wait(20) == 0


def test_kill_all_reaches_every_process(runtime):
    name = runtime.start('/bin/sh', '-c', 'trap : TERM; sleep 1000 & wait $!; sleep 1000 & wait $!')
    wait_until(lambda: len(pids_of(runtime, name)) == 2)
    first = set(pids_of(runtime, name))
    assert runtime.call('kill', '--all', name, 'TERM').returncode == 0
    wait_until(lambda: len(set(pids_of(runtime, name)) - first) == 1)
    assert runtime.call('kill', '-a', name, 'KILL').returncode == 0
    wait_until(lambda: runtime.status(name)['status'] == 'stopped')
    assert runtime.call('kill', '--all', name, '9').returncode == 0
    done = runtime.call('kill', name, '0x')
    assert error_of(done) == (3, "bulkhead-runtime: unknown signal '0x'\n")


def test_run_keep(runtime):
    bundle = runtime.bundle(runtime.config('/bin/sh', '-c', 'exit 3'))
    assert runtime.call('run', '--keep', '--no-subreaper', '-b', bundle, 'a').returncode == 3
    assert runtime.status('a')['status'] == 'stopped'
    assert runtime.call('delete', 'a').returncode == 0
    assert not runtime.leftovers()


def test_run_detached_with_a_pid_file(runtime):
    bundle = runtime.bundle(runtime.config('/bin/sleep', '1000'))
    pid_file = runtime.folder / 'pid'
    with open(os.devnull, 'wb') as null:
        subprocess.run([runtime.program, '--root', str(runtime.state), 'run', '-d', '--pid-file', str(pid_file), '-b',
                        str(bundle), 'a'], check=True, stdout=null, stderr=null)
    assert runtime.status('a')['pid'] == int(pid_file.read_text())


def test_preserved_and_listening_descriptors(runtime):
    script = 'echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; cat <&5 2>&1'
    bundle = runtime.bundle(runtime.config('/bin/sh', '-c', script))
    ends = []
    for text in (b'three ', b'four ', b'five '):
        end, to = os.pipe()
        os.write(to, text)
        os.close(to)
        ends.append(end)
    # The pipes become 3, 4 and 5 in a shell, whose process the runtime then replaces.
    words = f'exec 3<&{ends[0]} 4<&{ends[1]} 5<&{ends[2]}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
    done = subprocess.run(['bash', '-c', words, 'sh', runtime.program, '--root', str(runtime.state), 'run',
                           '--preserve-fds', '1', '-b', str(bundle), 'a'], pass_fds=ends, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[0] == '1 1', done.stderr
    assert done.stdout.splitlines()[1].startswith('three four ')
    assert 'five' not in done.stdout


@pytest.mark.parametrize('word', ['checkpoint', 'restore'])
def test_checkpoints_are_refused_by_name(runtime, word):
    done = runtime.call(word, '--image-path', '/x', 'a')
    assert error_of(done) == (9, f'bulkhead-runtime: {word} is not supported: images of processes carry mounts and '
                                 'credentials past every check\n')


def test_log_lines(runtime):
    """The forms that the callers of runtimes read."""
    log = runtime.folder / 'log'
    runtime.call('--debug', '--log', log, '--log-format', 'json', '--rootless', 'auto', 'start', 'a')
    line = json.loads(log.read_text())
    assert (line['level'], line['msg']) == ('error', "container 'a' does not exist")
    assert set(line) == {'level', 'msg', 'time'}
    log.unlink()
    runtime.call(f'--log={log}', '--cgroup-manager=cgroupfs', 'start', 'a')
    text = log.read_text()
    assert text.startswith('time="20') and text.endswith('" level=error msg="container \'a\' does not exist"\n')


def test_features_tell_the_truth(runtime):
    features = json.loads(runtime.call('features').stdout)
    assert features['ociVersionMax'].startswith('1.2.')
    assert len(features['hooks']) == 6
    for option in ('rro', 'rnosuid', 'rslave', 'ridmap', 'nosymfollow', 'tmpcopyup'):
        assert option in features['mountOptions']
    assert 'remount' not in features['mountOptions']
    assert features['linux']['cgroup']['systemd'] is False
    assert features['linux']['intelRdt'] == {'enabled': False}
    assert features['linux']['mountExtensions']['idmap'] == {'enabled': True}


def test_every_listed_mount_option_is_taken(runtime):
    features = json.loads(runtime.call('features').stdout)
    for option in features['mountOptions']:
        if option in ('bind', 'rbind', 'idmap', 'ridmap'):
            continue
        config = runtime.config('/bin/true')
        config['mounts'].append({'destination': '/data', 'type': 'tmpfs', 'source': 'x', 'options': [option]})
        done = runtime.run(config=config)
        assert done.returncode == 0, (option, done.stderr)


def test_signals_of_a_detached_child_are_not_held(runtime):
    """A program started by exec has the signals it would have anywhere: none is blocked or ignored."""
    name = runtime.start('/bin/sleep', '1000')
    for words in (['exec'], ['exec', '--tty']):
        done = runtime.call(*words, name, '/bin/grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status')
        assert done.stdout.split() == ['SigBlk:', '0' * 16, 'SigIgn:', '0' * 16], (words, signal.SIGTERM)

# SPDX-License-Identifier: Apache-2.0
"""The ceiling: whatever config.json asks, the container never gets more (ISO-2, ISO-3)."""
import json
import os
import pathlib
import random
import secrets
import subprocess
import sys

import pytest

from support_ceiling import (NAME, Bounded, over, set_bind, set_capabilities, set_device, set_device_rule,
                             set_host_network, set_joined_network, set_member, set_profile)
from support_runtime import limit_quota, needs_layer, read_limit, wait_until


@pytest.fixture
def runtime(programs):
    made = Bounded(programs / 'bulkhead-runtime')
    yield made
    made.close()


RULES = [
    ({'capabilities': ['CAP_CHOWN']}, set_capabilities,
     over('process.capabilities.bounding: asks for CAP_SYS_ADMIN', 'capabilities')),
    ({'namespaces': {'network': 'joined'}}, set_host_network,
     over("linux.namespaces: the network namespace is the host's", 'namespaces.network')),
    ({'namespaces': {'network': 'joined'}}, set_joined_network,
     over("linux.namespaces: the network namespace is the host's", 'namespaces.network')),
    ({'mounts': {'sources': [{'path': '/usr'}]}}, set_bind(['ro']),
     over("mounts[8].source: asks for '/etc' of the host", 'mounts.sources')),
    ({'mounts': {'sources': [{'path': '/etc', 'readOnly': True}]}}, set_bind([]),
     over("mounts[8].options: asks to write '/etc' of the host", 'mounts.sources')),
    ({'mounts': {'sources': [{'path': '/et'}]}}, set_bind([]),
     over("mounts[8].source: asks for '/etc' of the host", 'mounts.sources')),
    ({'mounts': {'propagation': 'private'}}, set_bind(['slave']),
     over('mounts[8].options: asks for slave propagation', 'mounts.propagation')),
    ({'mounts': {'propagation': 'private'}}, set_member('linux', 'rootfsPropagation', value='rslave'),
     over('linux.rootfsPropagation: asks for slave propagation', 'mounts.propagation')),
    ({'devices': []}, set_device, over("linux.devices[0]: asks for device 'c 10:229 '", 'devices')),
    ({'devices': [{'type': 'c', 'major': 10, 'minor': 229, 'access': 'r'}]}, set_device_rule,
     over("linux.resources.devices[2]: asks for device 'c 10:* rw'", 'devices')),
    ({'devices': []}, set_bind(['ro'], '/dev/fuse'),
     over("mounts[8].source: asks for device 'c 10:229 r'", 'devices')),
    ({'syscalls': {'deny': ['ptrace']}}, set_profile('ptrace'),
     over("linux.seccomp.syscalls[0]: asks for system call 'ptrace'", 'syscalls.deny')),
    ({'syscalls': {'allow': ['mkdir']}}, set_profile('ptrace'),
     over("linux.seccomp.syscalls[0]: asks for system call 'ptrace'", 'syscalls.allow')),
    ({'syscalls': {'deny': ['ptrace']}}, set_profile(default='SCMP_ACT_ALLOW'),
     over("linux.seccomp.defaultAction: asks for system call 'ptrace'", 'syscalls.deny')),
    ({'syscalls': {'allow': ['mkdir']}}, set_profile(default='SCMP_ACT_LOG'),
     over('linux.seccomp.defaultAction: asks for every system call', 'syscalls.allow')),
    ({'mounts': {'propagation': 'slave'}}, set_bind(['rshared']),
     over('mounts[8].options: asks for shared propagation', 'mounts.propagation')),
    ({'mounts': {'propagation': 'private'}}, set_member('linux', 'rootfsPropagation', value='shared'),
     over('linux.rootfsPropagation: asks for shared propagation', 'mounts.propagation')),
    ({'sysctls': ['net.ipv4.*']}, set_member('linux', 'sysctl', value={'kernel.msgmax': '1'}),
     over("linux.sysctl: asks to set 'kernel.msgmax'", 'sysctls')),
    ({'limits': {'cpu': {'most': 999}}}, lambda config: None,
     over('linux.resources.cpu.quota: asks for 1000 where 999 is the most', 'limits.cpu')),
    ({'limits': {'memory': {'most': 1 << 20}}}, lambda config: None,
     over('linux.resources.memory.limit: asks for 67108864 where 1048576 is the most', 'limits.memory')),
    ({'limits': {'pids': {'most': 100}}}, set_member('linux', 'resources', 'pids', 'limit', value=-1),
     over('linux.resources.pids.limit: asks for no limit where 100 is the most', 'limits.pids')),
    ({'limits': {'pids': {'most': 100}}}, set_member('linux', 'resources', 'unified', value={'pids.max': '1'}),
     over("linux.resources.unified: sets 'pids.max'", 'limits.pids')),
    ({'rlimits': {'RLIMIT_NOFILE': 1024}},
     set_member('process', 'rlimits', value=[{'type': 'RLIMIT_NOFILE', 'soft': 100, 'hard': 1025}]),
     over('process.rlimits: asks for RLIMIT_NOFILE of 1025 where 1024 is the most', 'rlimits')),
    ({'noNewPrivileges': True}, lambda config: None,
     over('process.noNewPrivileges: is not set', 'noNewPrivileges')),
    ({'terminal': False}, set_member('process', 'terminal', value=True),
     over('process.terminal: asks for a terminal', 'terminal')),
    ({'rootReadOnly': True}, set_member('root', 'readonly', value=False),
     over('root.readonly: asks to write the root', 'rootReadOnly')),
    ({'maskedPaths': ['/proc/kcore', '/proc/keys']}, set_member('linux', 'maskedPaths', value=['/proc/keys']),
     over("linux.maskedPaths: lacks '/proc/kcore'", 'maskedPaths')),
    ({'readonlyPaths': ['/proc/sys']}, set_member('linux', 'readonlyPaths', value=[]),
     over("linux.readonlyPaths: lacks '/proc/sys'", 'readonlyPaths')),
    ({'hooks': []}, set_member('hooks', value={'poststop': [{'path': '/usr/bin/true'}]}),
     over("hooks.poststop[0].path: asks to run '/usr/bin/true'", 'hooks')),
    ({'annotations': ['org.*']}, lambda config: None,
     over("annotations: has 'dev.bulkhead.root.idmap'", 'annotations')),
    ({'cgroupsPaths': ['/machine/*']}, set_member('linux', 'cgroupsPath', value='/elsewhere/x'),
     over("linux.cgroupsPath: asks for '/elsewhere/x'", 'cgroupsPaths')),
]


@pytest.mark.parametrize('ceiling, change, message', RULES)
def test_what_is_over_the_ceiling_is_refused(runtime, ceiling, change, message):
    runtime.ceiling(**ceiling)
    config = runtime.config()
    change(config)
    done = runtime.run(config=config)
    assert (done.returncode, done.stderr) == (6, f'bulkhead-runtime: {message}\n')
    assert not runtime.leftovers()


@pytest.mark.parametrize('ceiling, change, message', RULES)
def test_what_is_over_the_ceiling_can_be_narrowed(runtime, ceiling, change, message):
    runtime.ceiling(mode='narrow', **ceiling)
    config = runtime.config()
    change(config)
    bundle = runtime.bundle(config)
    done = runtime.call('check', '--bundle', bundle)
    if 'process.terminal' in message:
        assert (done.returncode, done.stderr) == (6, f'bulkhead-runtime: {message}\n')
        return
    assert (done.returncode, done.stderr) == (0, '')
    assert f'narrowed: {message}' in done.stdout.splitlines()
    printed = runtime.call('check', '--print', '--bundle', bundle)
    runtime.ceiling(**ceiling)
    assert runtime.call('check', '--bundle', runtime.bundle(printed.stdout)).returncode == 0


@needs_layer
def test_narrowed_container_is_what_the_kernel_shows(runtime):
    runtime.ceiling(mode='narrow', capabilities=['CAP_CHOWN'], namespaces={'network': 'own', 'ipc': 'own'},
                    mounts={'sources': [{'path': '/usr', 'readOnly': True}]}, hooks=[], annotations=['dev.bulkhead.*'],
                    limits={'memory': {'most': 32 << 20}, 'pids': {'most': 20}, 'cpu': {'most': 250}},
                    rlimits={'RLIMIT_NOFILE': 64, 'RLIMIT_CORE': 0}, rootReadOnly=True, maskedPaths=['/proc/misc'],
                    devices=[], syscalls={'deny': ['mkdir']}, sysctls=[])
    config = runtime.config('/bin/sleep', '1000')
    set_capabilities(config)
    set_host_network(config)
    set_bind([], '/usr/lib')(config)
    set_profile(default='SCMP_ACT_ALLOW')(config)
    config['mounts'].append({'destination': '/etc', 'type': 'bind', 'source': '/etc', 'options': ['bind']})
    config['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': 100, 'hard': 200}]
    config['root']['readonly'] = False
    config['annotations']['other'] = 'x'
    config['linux']['devices'] = [{'path': '/dev/fuse', 'type': 'c', 'major': 10, 'minor': 229}]
    config['linux']['sysctl'] = {'kernel.msgmax': '1'}
    config['linux']['resources']['cpu'] = {'quota': -1}
    config['hooks'] = {'poststop': [{'path': '/usr/bin/true'}]}
    name = runtime.start(config=config)
    status = dict(line.split(':\t', 1) for line in runtime.proc(name, 'status').splitlines() if ':\t' in line)
    assert (int(status['CapBnd'], 16), int(status['CapPrm'], 16)) == (1, 0)
    for kind in ('net', 'ipc'):
        assert os.readlink(f'/proc/{runtime.pid(name)}/ns/{kind}') != os.readlink(f'/proc/self/ns/{kind}')
    mounts = {line.split()[4]: line.split()[5].split(',') for line in runtime.proc(name, 'mountinfo').splitlines()}
    assert ('ro' in mounts['/data'], '/etc' in mounts, 'ro' in mounts['/'], '/proc/misc' in mounts) == (
        True, False, True, True)
    limits = {line[:26].strip(): line.split()[-3:-1] for line in runtime.proc(name, 'limits').splitlines()}
    assert (limits['Max open files'], limits['Max core file size']) == (['64', '64'], ['0', '0'])
    group = f'c{runtime.count - 1}'
    assert read_limit(runtime.group('memory', group), 'memory.limit_in_bytes') == str(32 << 20)
    assert (runtime.group('pids', group) / 'pids.max').read_text() == '20\n'
    assert read_limit(runtime.group('cpu', group), 'cpu.cfs_quota_us') == '25000'
    assert runtime.status(name)['annotations'] == {'dev.bulkhead.root.idmap': 'true'}
    done = runtime.call('exec', name, '/bin/mkdir', '/tmp/x')
    assert done.stderr == "mkdir: can't create directory '/tmp/x': Operation not permitted\n"
    assert runtime.call('exec', name, '/bin/cat', '/proc/sys/kernel/msgmax').stdout != '1\n'
    assert runtime.call('exec', name, '/bin/ls', '/dev/fuse').returncode != 0
    asked = [
        'process.capabilities.bounding: asks for CAP_SYS_ADMIN',
        "linux.namespaces: the network namespace is the host's",
        "mounts[7].options: asks to write '/usr/lib' of the host", "mounts[8].source: asks for '/etc' of the host",
        "linux.devices[0]: asks for device 'c 10:229 '", "linux.seccomp.syscalls[0]: asks for system call 'mkdir'",
        "linux.seccomp.defaultAction: asks for system call 'mkdir'", "linux.sysctl: asks to set 'kernel.msgmax'",
        'linux.resources.cpu.quota: asks for no limit where 250 is the most',
        'linux.resources.memory.limit: asks for 67108864 where 33554432 is the most',
        'linux.resources.pids.limit: asks for 64 where 20 is the most',
        'process.rlimits: asks for RLIMIT_NOFILE of 200 where 64 is the most', 'root.readonly: asks to write the root',
        "linux.maskedPaths: lacks '/proc/misc'", "hooks.poststop[0].path: asks to run '/usr/bin/true'",
        "annotations: has 'other'"]
    said = [line.split(', which is over ')[0] for line in runtime.warnings()]
    assert sorted(said) == sorted(f'narrowed: config.json: {sentence}' for sentence in asked)


def test_sources_are_what_they_really_are(runtime):
    """A link inside of an allowed folder leads out of it, and one to an allowed folder leads in."""
    allowed = runtime.folder / 'allowed'
    (allowed / 'deep').mkdir(parents=True)
    (allowed / 'out').symlink_to('/etc')
    (runtime.folder / 'in').symlink_to(allowed / 'deep')
    runtime.ceiling(mounts={'sources': [{'path': str(runtime.folder / 'in')}, {'path': str(allowed)}]})
    for source, message in ((allowed / 'out', over("mounts[8].source: asks for '/etc' of the host", 'mounts.sources')),
                            (allowed / 'deep' / '..' / '..' / 'rootfs',
                             over(f"mounts[8].source: asks for '{runtime.folder}/rootfs' of the host",
                                  'mounts.sources')),
                            (runtime.folder / 'in', None), (allowed, None)):
        config = runtime.config()
        set_bind([], str(source))(config)
        done = runtime.run(config=config)
        assert done.stderr == (f'bulkhead-runtime: {message}\n' if message else '')


def test_a_source_exchanged_all_the_time_is_never_another(runtime):
    """What was judged is what is mounted, though a link is turned around meanwhile."""
    (runtime.folder / 'good').mkdir()
    (runtime.folder / 'bad').mkdir()
    (runtime.folder / 'bad' / 'secret').write_text('secret')
    runtime.ceiling(mounts={'sources': [{'path': str(runtime.folder / 'good')}]})
    link, other = runtime.folder / 'link', runtime.folder / 'other'
    link.symlink_to('good')
    other.symlink_to('bad')
    with subprocess.Popen([sys.executable, '-c', f'''
import ctypes
exchange = ctypes.CDLL(None).renameat2
while True:
    exchange(-100, b"{link}", -100, b"{other}", 2)
'''], stdin=subprocess.DEVNULL) as turner:
        try:
            results = set()
            config = runtime.config('/bin/cat', '/data/secret')
            set_bind([], str(link))(config)
            bundle = runtime.bundle(config)
            for number in range(60):
                done = runtime.call('run', '--bundle', bundle, f'x{number}')
                assert done.stdout == ''
                results.add(done.stderr)
        finally:
            turner.kill()
    assert results <= {
        "cat: can't open '/data/secret': No such file or directory\n",
        'bulkhead-runtime: config.json: mounts[8]: the source is not what it was when the ceiling was looked at\n',
        'bulkhead-runtime: ' + over(f"mounts[8].source: asks for '{runtime.folder}/bad' of the host",
                                    'mounts.sources') + '\n'}


@needs_layer
def test_joined_namespaces_are_no_more_than_joined(runtime):
    runtime.ceiling()
    holder = runtime.pid(runtime.start())
    config = runtime.config('/bin/true')
    set_host_network(config)
    config['linux']['namespaces'].append({'type': 'network', 'path': f'/proc/{holder}/ns/net'})
    runtime.ceiling(namespaces={'network': 'joined'})
    assert runtime.run(config=config).returncode == 0
    runtime.ceiling(namespaces={'network': 'own'})
    assert runtime.run(config=config).stderr == 'bulkhead-runtime: ' + over(
        'linux.namespaces: the network namespace is a joined one', 'namespaces.network') + '\n'


def test_exec_obeys_the_ceiling(runtime):
    runtime.ceiling()
    name = runtime.start()
    process = {'user': {'uid': 0, 'gid': 0}, 'args': ['/bin/cat', '/proc/self/status'], 'cwd': '/',
               'capabilities': {'bounding': ['CAP_CHOWN', 'CAP_KILL'], 'permitted': ['CAP_CHOWN', 'CAP_KILL']},
               'rlimits': [{'type': 'RLIMIT_NOFILE', 'soft': 100, 'hard': 100}]}
    file = runtime.folder / 'process.json'
    file.write_text(json.dumps(process))
    assert runtime.call('exec', '--process', file, name).returncode == 0
    for keys, asked, key in (
            ({'capabilities': ['CAP_KILL']}, 'process.capabilities.bounding: asks for CAP_CHOWN', 'capabilities'),
            ({'rlimits': {'RLIMIT_NOFILE': 99}}, 'process.rlimits: asks for RLIMIT_NOFILE of 100 where 99 is the most',
             'rlimits'),
            ({'noNewPrivileges': True}, 'process.noNewPrivileges: is not set', 'noNewPrivileges')):
        runtime.ceiling(**keys)
        done = runtime.call('exec', '--process', file, name)
        assert (done.returncode, done.stderr) == (
            6, f"bulkhead-runtime: exec: {asked}, which is over '{key}' of ceiling file '{NAME}'\n")
    runtime.ceiling(mode='narrow', capabilities=['CAP_KILL'], rlimits={'RLIMIT_NOFILE': 99})
    status = runtime.call('exec', '--process', file, name).stdout
    assert 'CapBnd:\t0000000000000020\n' in status
    process['args'] = ['/bin/sh', '-c', 'ulimit -n; ulimit -Hn']
    file.write_text(json.dumps(process))
    assert runtime.call('exec', '--process', file, name).stdout == '99\n99\n'


def test_update_obeys_the_ceiling(runtime):
    runtime.ceiling(limits={'memory': {'most': 64 << 20}, 'pids': {'most': 64}})
    name = runtime.start()
    file = runtime.folder / 'resources.json'
    pids = runtime.group('pids', f'c{runtime.count - 1}') / 'pids.max'
    file.write_text(json.dumps({'pids': {'limit': 65}}))
    message = f"update: linux.resources.pids.limit: asks for 65 where 64 is the most, which is over 'limits.pids' " \
        f"of ceiling file '{NAME}'"
    done = runtime.call('update', '--resources', file, name)
    assert (done.returncode, done.stderr) == (6, f'bulkhead-runtime: {message}\n')
    file.write_text(json.dumps({'unified': {'pids.max': 'max'}}))
    assert runtime.call('update', '--resources', file, name).returncode == 6
    file.write_text(json.dumps({'pids': {'limit': 10}}))
    assert runtime.call('update', '--resources', file, name).returncode == 0
    assert pids.read_text() == '10\n'
    runtime.ceiling(mode='narrow', limits={'pids': {'most': 32}})
    file.write_text(json.dumps({'pids': {'limit': -1}}))
    assert runtime.call('update', '--resources', file, name).returncode == 0
    assert pids.read_text() == '32\n'


def test_missing_limits_are_filled_in(runtime):
    """ISO-2: without a file a share of the machine, with files the least default."""
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGESIZE')
    cpus = os.sysconf('SC_NPROCESSORS_ONLN')
    for keys, wanted in (
            ({}, (memory // 2, 4096, cpus * 75000)),
            ({'limits': {'memory': {'default': 64 << 20}, 'pids': {'default': 9}, 'cpu': {'default': 100}}},
             (64 << 20, 9, 10000)),
            ({'limits': {'memory': {'most': 32 << 20}, 'pids': {'default': 9, 'most': 8}, 'cpu': {'mostPercent': 10}}},
             (32 << 20, 8, cpus * 10000))):
        runtime.ceiling(**keys)
        name = runtime.start(resources={})
        group = f'c{runtime.count - 1}'
        read = [int(read_limit(runtime.group(controller, group), file)) for controller, file in (
            ('memory', 'memory.limit_in_bytes'), ('pids', 'pids.max'), ('cpu', 'cpu.cfs_quota_us'))]
        assert abs(read[0] - wanted[0]) < 8192
        assert tuple(read[1:]) == wanted[1:]
        runtime.call('delete', '--force', name)
    assert runtime.run(resources={'pids': {'limit': -1}}).stderr == 'bulkhead-runtime: ' + over(
        'linux.resources.pids.limit: asks for no limit where 8 is the most', 'limits.pids') + '\n'


def test_a_limit_above_is_enough(runtime):
    """A group that is limited from above gets no built-in default: version 1 refuses a larger one below."""
    runtime.ceiling()
    limit_quota(runtime.group('cpu'), 20000)
    runtime.start(resources={})
    assert read_limit(runtime.group('cpu', f'c{runtime.count - 1}'), 'cpu.cfs_quota_us') == '-1'


def test_of_several_files_the_strictest_holds(runtime):
    runtime.ceiling(capabilities=['CAP_CHOWN', 'CAP_KILL'])
    runtime.add(name='20-more.json', capabilities=['CAP_KILL'], mode='narrow')
    asked = {'bounding': ['CAP_CHOWN', 'CAP_KILL']}
    name = runtime.start(capabilities=asked)
    assert 'CapBnd:\t0000000000000020\n' in runtime.proc(name, 'status')
    assert runtime.warnings() == ['narrowed: ' + over('process.capabilities.bounding: asks for CAP_CHOWN',
                                                      'capabilities', '20-more.json')]
    runtime.add(name='.hidden.json', capabilities=[])
    runtime.add(name='notes.txt', content='none')
    assert runtime.run(capabilities=asked).returncode == 0
    runtime.add(name='00-first.json', capabilities=['CAP_CHOWN'])
    assert runtime.run(capabilities=asked).stderr == 'bulkhead-runtime: ' + over(
        'process.capabilities.bounding: asks for CAP_KILL', 'capabilities', '00-first.json') + '\n'


def spoil_writable(folder):
    (folder / NAME).chmod(0o664)


def spoil_owner(folder):
    os.chown(folder / NAME, 1000, 0)


def spoil_folder(folder):
    folder.chmod(0o777)


def spoil_link(folder):
    (folder / NAME).rename(folder / 'target')
    (folder / NAME).symlink_to('target')


@pytest.mark.parametrize('spoil, message', [
    (spoil_writable, f"ceiling file '{NAME}': may be written by others than the superuser"),
    (spoil_owner, f"ceiling file '{NAME}': belongs to user 1000 and not to the superuser"),
    (spoil_folder, 'may be written by others than the superuser'),
    (spoil_link, f"ceiling file '{NAME}': cannot be opened: Too many levels of symbolic links"),
    (lambda folder: (folder / NAME).write_text('{'),
     f"ceiling file '{NAME}': it is not JSON: line 1: a name in quotes is expected at the end of the text"),
    (lambda folder: (folder / NAME).write_text('{"capability":[]}'),
     f"ceiling file '{NAME}': unknown field 'ceiling.capability'"),
    (lambda folder: (folder / NAME).unlink() or (folder / NAME).mkdir(), f"ceiling file '{NAME}': is no plain file"),
    (lambda folder: (folder / NAME).unlink() or folder.rmdir(), 'cannot be opened: No such file or directory'),
])
def test_what_cannot_be_trusted_starts_nothing(runtime, spoil, message):
    runtime.ceiling()
    spoil(runtime.files)
    try:
        done = runtime.run()
        assert done.returncode != 0
        assert done.stderr == f"bulkhead-runtime: ceiling '{runtime.files}': {message}\n"
    finally:
        runtime.files.mkdir(exist_ok=True)


CAPABILITIES = ['CAP_CHOWN', 'CAP_KILL', 'CAP_SETUID', 'CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT']
NUMBERS = [0, 5, 7, 10, 18]
CALLS = ['chdir', 'mkdir', 'ptrace', 'read', 'umask']
SOURCES = ['/usr', '/usr/lib', '/etc', '/var/tmp']
KEYS = ('capabilities', 'namespaces', 'mounts', 'devices', 'syscalls', 'sysctls', 'limits', 'rlimits', 'rootReadOnly',
        'noNewPrivileges', 'maskedPaths', 'hooks', 'annotations')
SHARES = ('own', 'joined', 'host')


def some(dice, items):
    return [item for item in items if dice.random() < 0.6]


def random_ceiling(dice):
    rules = {
        'capabilities': some(dice, CAPABILITIES),
        'namespaces': {name: dice.choice(SHARES) for name in some(dice, ['network', 'ipc'])},
        'mounts': {'sources': [{'path': path, 'readOnly': dice.random() < 0.5} for path in some(dice, SOURCES)],
                   'propagation': dice.choice(['private', 'slave'])},
        'devices': [{'type': 'c', 'major': major, 'access': dice.choice(['r', 'rw', 'rwm'])}
                    for major in some(dice, [10, 108])],
        'syscalls': dice.choice([{'deny': some(dice, CALLS)}, {'allow': [*some(dice, CALLS), 'close']}]),
        'sysctls': some(dice, ['kernel.*', 'net.ipv4.*']),
        'limits': {kind: {'most': dice.randint(50, 150)} for kind in some(dice, ['cpu', 'pids'])},
        'rlimits': {name: dice.randint(50, 150) for name in some(dice, ['RLIMIT_NOFILE', 'RLIMIT_CORE'])},
        'rootReadOnly': dice.random() < 0.5, 'noNewPrivileges': dice.random() < 0.5,
        'maskedPaths': some(dice, ['/proc/kcore', '/proc/keys', '/proc/misc']),
        'hooks': some(dice, ['/usr/bin/true', '/usr/bin/env']), 'annotations': some(dice, ['dev.bulkhead.*', 'a', 'b']),
    }
    return {'mode': dice.choice(['narrow', 'narrow', 'narrow', 'refuse']),
            **{key: rules[key] for key in KEYS if dice.random() < 0.3}}


def random_config(dice, runtime):
    config = runtime.config('/bin/sleep', '1000')
    process, linux = config['process'], config['linux']
    process['capabilities'] = {kind: some(dice, CAPABILITIES) for kind in ('bounding', 'permitted', 'effective')}
    process['noNewPrivileges'] = dice.random() < 0.5
    process['rlimits'] = [{'type': name, 'soft': 40, 'hard': dice.randint(40, 200)}
                          for name in some(dice, ['RLIMIT_NOFILE', 'RLIMIT_CORE'])]
    config['root']['readonly'] = dice.random() < 0.5
    config['annotations'].update(dict.fromkeys(some(dice, ['a', 'b']), 'x'))
    if dice.random() < 0.4:
        set_host_network(config)
    for source in some(dice, SOURCES):
        set_bind(some(dice, ['ro', 'slave']), source)(config)
        config['mounts'][-1]['destination'] = '/data' + source.replace('/', '-')
    linux['seccomp'] = {'defaultAction': dice.choice(['SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO']),
                        'architectures': ['SCMP_ARCH_X86_64'], 'syscalls': [
        {'names': [*some(dice, CALLS), 'write'], 'action': dice.choice(['SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO'])}
        for _ in range(dice.randint(0, 3))]}
    linux['devices'] = [{'path': f'/dev/x{major}', 'type': 'c', 'major': major, 'minor': 1}
                        for major in some(dice, [10, 108])]
    linux['resources'] = {'devices': [{'allow': True, 'type': 'c', 'major': major, 'access': dice.choice(['r', 'rwm'])}
                                      for major in some(dice, [10, 108])]}
    if dice.random() < 0.6:
        linux['resources']['pids'] = {'limit': dice.choice([-1, dice.randint(40, 200)])}
    if dice.random() < 0.6:
        linux['resources']['cpu'] = {'quota': dice.choice([-1, dice.randint(4000, 20000)]), 'period': 100000}
    linux['sysctl'] = {} if dice.random() < 0.5 else {'kernel.msgmax': '1'}
    linux['maskedPaths'] = some(dice, ['/proc/kcore', '/proc/keys', '/proc/misc'])
    config['hooks'] = {'poststop': [{'path': path} for path in some(dice, ['/usr/bin/true', '/usr/bin/env'])]}
    return config


def permitted_calls(profile):
    """Which of the calls this profile permits: of several rules that name one the strictest decides."""
    permitted = set()
    for name in CALLS:
        actions = [rule['action'] for rule in profile['syscalls'] if name in rule['names']]
        if set(actions or [profile['defaultAction']]) == {'SCMP_ACT_ALLOW'}:
            permitted.add(name)
    return permitted


def named_calls(profile):
    """What any rule permits, and what is permitted by default."""
    named = {name for rule in profile['syscalls'] if rule['action'] == 'SCMP_ACT_ALLOW' for name in rule['names']}
    return named | permitted_calls(profile)


def exceeds(config, ceiling, strict):
    """Whether a configuration is over a file, by its own words. strict: every word counts, also an overruled one."""
    process, linux, resources = config['process'], config['linux'], config['linux']['resources']
    namespaces = {row['type'] for row in linux['namespaces']}
    binds = [mount for mount in config['mounts'] if mount['type'] == 'bind']
    mounts, calls, limits = (ceiling.get(key, {}) for key in ('mounts', 'syscalls', 'limits'))
    permitted = named_calls(linux['seccomp']) if strict else permitted_calls(linux['seccomp'])
    quota = resources.get('cpu', {}).get('quota', 0)
    pids = resources.get('pids', {}).get('limit', 0)

    def bad_source(mount):
        rows = [row for row in mounts['sources'] if (mount['source'] + '/').startswith(row['path'] + '/')]
        return not rows or ('ro' not in mount['options'] and all(row['readOnly'] for row in rows))

    def bad_device(major, access):
        return not any(row['major'] == major and set(access) <= set(row['access']) for row in ceiling['devices'])

    return any((
        'capabilities' in ceiling and any(set(names) - set(ceiling['capabilities'])
                                          for names in process['capabilities'].values()),
        any(share != 'host' and name not in namespaces for name, share in ceiling.get('namespaces', {}).items()),
        'sources' in mounts and any(map(bad_source, binds)),
        mounts.get('propagation') == 'private' and any({'slave', 'rslave'} & set(row['options']) for row in binds),
        'devices' in ceiling and any([bad_device(row['major'], '') for row in linux['devices']] +
                                     [bad_device(row['major'], row['access']) for row in resources['devices']]),
        bool(permitted & set(calls.get('deny', []))),
        'allow' in calls and (bool(permitted - set(calls['allow'])) or
                              linux['seccomp']['defaultAction'] == 'SCMP_ACT_ALLOW' or
                              strict and any('write' in rule['names'] and rule['action'] == 'SCMP_ACT_ALLOW'
                                             for rule in linux['seccomp']['syscalls'])),
        'sysctls' in ceiling and bool(linux['sysctl']) and 'kernel.*' not in ceiling['sysctls'],
        'cpu' in limits and (quota < 0 or quota > limits['cpu']['most'] * 100),
        'pids' in limits and (pids < 0 or pids > limits['pids']['most']),
        any(row['hard'] > ceiling.get('rlimits', {}).get(row['type'], 1 << 40) for row in process['rlimits']),
        ceiling.get('rootReadOnly') and not config['root']['readonly'],
        ceiling.get('noNewPrivileges') and not process['noNewPrivileges'],
        bool(set(ceiling.get('maskedPaths', [])) - set(linux['maskedPaths'])),
        'hooks' in ceiling and any(row['path'] not in ceiling['hooks'] for row in config['hooks']['poststop']),
        'annotations' in ceiling and any((key if len(key) == 1 else 'dev.bulkhead.*') not in ceiling['annotations']
                                         for key in config['annotations']),
    ))


def read_back(runtime, name, group, ceilings):
    """What the kernel says of a running container is not over any of the files."""
    status = dict(line.split(':\t', 1) for line in runtime.proc(name, 'status').splitlines() if ':\t' in line)
    limits = {line[:26].strip(): line.split()[-2] for line in runtime.proc(name, 'limits').splitlines()}
    mounts = {line.split()[4]: line.split()[5].split(',') for line in runtime.proc(name, 'mountinfo').splitlines()}
    for ceiling in ceilings:
        if 'capabilities' in ceiling:
            most = sum(1 << NUMBERS[CAPABILITIES.index(word)] for word in ceiling['capabilities'])
            assert not int(status['CapBnd'], 16) & ~most
        if ceiling.get('namespaces', {}).get('network', 'host') != 'host':
            assert os.readlink(f'/proc/{runtime.pid(name)}/ns/net') != os.readlink('/proc/self/ns/net')
        for source in SOURCES if 'sources' in ceiling.get('mounts', {}) else ():
            rows = [row for row in ceiling['mounts']['sources'] if (source + '/').startswith(row['path'] + '/')]
            options = mounts.get('/data' + source.replace('/', '-'))
            assert options is None or rows and ('ro' in options or not all(row['readOnly'] for row in rows))
        for kind, file in (('pids', 'pids.max'), ('cpu', 'cpu.cfs_quota_us')):
            if kind in ceiling.get('limits', {}):
                value = int(read_limit(runtime.group(kind, group), file))
                assert 0 < value <= ceiling['limits'][kind]['most'] * (100 if kind == 'cpu' else 1)
        for word, label in (('RLIMIT_NOFILE', 'Max open files'), ('RLIMIT_CORE', 'Max core file size')):
            if word in ceiling.get('rlimits', {}):
                assert int(limits[label]) <= ceiling['rlimits'][word]
        assert not ceiling.get('rootReadOnly') or 'ro' in mounts['/']


@needs_layer
def test_random_configurations_never_exceed_random_ceilings(runtime):
    """Random configurations and files: what `check` lets through is held against an own reading of the files."""
    seed = int(os.environ.get('BULKHEAD_SEED', '0')) or secrets.randbits(32)
    dice = random.Random(seed)
    for source in SOURCES:
        (runtime.folder / 'rootfs' / ('data' + source.replace('/', '-'))).mkdir()
    (runtime.folder / 'rootfs' / 'sys' / 'fs' / 'cgroup').mkdir(parents=True)
    outcomes = {'refused': 0, 'narrowed': 0, 'untouched': 0, 'started': 0}
    for number in range(int(os.environ.get('BULKHEAD_ROUNDS', '250'))):
        ceilings = [random_ceiling(dice) for _ in range(dice.randint(1, 2))]
        config = random_config(dice, runtime)
        runtime.ceiling(**ceilings[0])
        for index, ceiling in enumerate(ceilings[1:]):
            runtime.add(name=f'2{index}.json', **ceiling)
        bundle = runtime.bundle(config)
        done = runtime.call('check', '--print', '--bundle', bundle)
        what = f'seed {seed}, round {number}: {done.stderr}'
        if any(exceeds(config, ceiling, True) for ceiling in ceilings if ceiling['mode'] == 'refuse'):
            assert (done.returncode, done.stdout) == (6, ''), what
            outcomes['refused'] += 1
            continue
        assert done.returncode == 0, what
        result = json.loads(done.stdout)
        assert not any(exceeds(result, ceiling, False) for ceiling in ceilings), what
        over_any = any(exceeds(config, ceiling, True) for ceiling in ceilings)
        outcomes['narrowed' if over_any else 'untouched'] += 1
        if number % 10 == 0:
            config['linux'].pop('seccomp')
            for ceiling in ceilings:
                ceiling.pop('syscalls', None)
            runtime.ceiling(**ceilings[0])
            for index, ceiling in enumerate(ceilings[1:]):
                runtime.add(name=f'2{index}.json', **ceiling)
            name = runtime.start(config=config)
            read_back(runtime, name, config['linux']['cgroupsPath'].rpartition('/')[2], ceilings)
            runtime.call('delete', '--force', name)
            outcomes['started'] += 1
    assert all(outcomes.values()), outcomes


IDS = 2_100_000_000
RANGES = pathlib.Path('/run/bulkhead/runtime-ids')


def plain_config(runtime, *args):
    """What an engine asks that knows nothing of user namespaces."""
    config = runtime.config(*(args or ('/bin/sleep', '1000')))
    config['linux']['namespaces'] = [row for row in config['linux']['namespaces'] if row['type'] != 'user']
    del config['linux']['uidMappings'], config['linux']['gidMappings'], config['annotations']
    return config


def map_of(runtime, name):
    return [int(word) for word in runtime.proc(name, 'uid_map').split()]


@pytest.fixture
def writable(runtime):
    """A root that the container may write, owned by the ids it knows."""
    (runtime.folder / 'rootfs' / 'owned').write_text('x')
    os.chown(runtime.folder / 'rootfs' / 'owned', 1000, 1001)
    return runtime


def test_a_user_namespace_is_added(writable):
    """ISO-1: the caller gives none; files keep their owners on both sides, and each container has ids of its own."""
    runtime = writable
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2})
    data = runtime.folder / 'data'
    data.mkdir()
    os.chown(data, 1000, 1000)
    config = plain_config(runtime)
    config['root']['readonly'] = False
    set_bind([], str(data))(config)
    config['process']['capabilities'] = {kind: ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_NET_BIND_SERVICE']
                                         for kind in ('bounding', 'permitted', 'effective')}
    first = runtime.start(config=config)
    assert map_of(runtime, first) == [0, IDS, 65536]
    assert runtime.warnings() == ['config.json: linux.namespaces: a user namespace is added, its ids are '
                                  f'{IDS} to {IDS + 65535}']
    assert pathlib.Path(f'/proc/{runtime.pid(first)}').stat().st_uid in (0, IDS)
    status = dict(line.split(':\t', 1) for line in runtime.proc(first, 'status').splitlines() if ':\t' in line)
    assert status['Uid'].split() == [str(IDS)] * 4
    done = runtime.call('exec', first, '/bin/sh', '-c', 'stat -c %u:%g /owned /data; echo y >/owned; '
                        'echo z >/data/made; echo n >/new; stat -c %u:%g /new')
    assert (done.stdout, done.stderr) == ('1000:1001\n1000:1000\n0:0\n', '')
    assert [(path.stat().st_uid, path.read_text()) for path in (
        data / 'made', runtime.folder / 'rootfs' / 'new', runtime.folder / 'rootfs' / 'owned')] == [
        (0, 'z\n'), (0, 'n\n'), (1000, 'y\n')]
    config['linux']['cgroupsPath'] += 'b'
    second = runtime.start(config=config)
    assert map_of(runtime, second) == [0, IDS + 65536, 65536]
    config['linux']['cgroupsPath'] += 'c'
    third = runtime.start(config=config)
    assert runtime.warnings()[-1] == ('config.json: linux.namespaces: no user namespace is added: '
                                      'all 2 ranges of ids are in use')
    assert map_of(runtime, third) == [0, 0, 4294967295]
    assert runtime.call('delete', '--force', first).returncode == 0
    assert [int(path.name) for path in RANGES.iterdir() if int(path.name) >= IDS] == [IDS + 65536]
    config['linux']['cgroupsPath'] += 'd'
    assert map_of(runtime, runtime.start(config=config)) == [0, IDS, 65536]


def test_ids_are_taken_until_the_container_is_gone(runtime):
    """A container that was not deleted keeps its ids; one whose state is gone does not, nor what never finished."""
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 4})
    names = [runtime.start(config=plain_config(runtime)) for _ in range(2)]
    os.kill(runtime.pid(names[0]), 9)
    wait_until(lambda: runtime.status(names[0])['status'] == 'stopped')
    assert map_of(runtime, runtime.start(config=plain_config(runtime)))[1] == IDS + 2 * 65536
    runtime.call('delete', '--force', names[1])
    (RANGES / str(IDS + 65536)).write_text('')
    assert map_of(runtime, runtime.start(config=plain_config(runtime)))[1] == IDS + 65536
    (RANGES / str(IDS + 3 * 65536 + 10)).write_text('1 1 /nowhere\n')
    assert map_of(runtime, runtime.start(config=plain_config(runtime)))[1] == IDS + 3 * 65536


def test_many_at_once_have_ids_of_their_own(runtime):
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 12})
    bundles = [runtime.bundle(plain_config(runtime)) for _ in range(10)]
    makers = [subprocess.Popen([runtime.program, '--root', runtime.state, '--ceiling', runtime.files, 'create',
                                '--bundle', bundle, bundle.name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL) for bundle in bundles]
    assert [maker.wait(timeout=60) for maker in makers] == [0] * 10
    firsts = {map_of(runtime, bundle.name)[1] for bundle in bundles}
    assert len(firsts) == 10 and all((first - IDS) % 65536 == 0 for first in firsts)


def share_network(config, runtime):
    set_host_network(config)


def ask_for_the_clock(config, runtime):
    config['process']['capabilities'] = {'bounding': ['CAP_SYS_TIME']}


def ask_for_a_large_id(config, runtime):
    config['process']['user'] = {'uid': 65536, 'gid': 0}


def mount_what_cannot_be_mapped(config, runtime):
    set_bind(['ro'], '/sys/kernel')(config)


def take_an_overlay_root(config, runtime):
    for name in ('upper', 'work', 'merged'):
        (runtime.folder / name).mkdir()
    config['root']['path'] = str(runtime.folder / 'merged')
    return ['unshare', '-m', 'sh', '-c', 'mount -t overlay overlay -o lowerdir="$0/rootfs",upperdir="$0/upper",'
            'workdir="$0/work" "$0/merged" && shift 0 && exec "$@"', str(runtime.folder)]


@pytest.mark.parametrize('change, reason', [
    (share_network, 'its network namespace is not new'),
    (ask_for_the_clock, 'CAP_SYS_TIME has no effect in one'),
    (ask_for_a_large_id, 'id 65536 is beyond the 65536 ids of one'),
    (mount_what_cannot_be_mapped, "mounts[8].source: the owners of '/sys/kernel' cannot be mapped"),
    (take_an_overlay_root, "root.path: the owners of '{folder}/merged' cannot be mapped"),
])
def test_where_none_can_be_added_it_runs_without_or_not_at_all(runtime, change, reason):
    config = plain_config(runtime, '/bin/cat', '/proc/self/uid_map')
    before = change(config, runtime) or []
    bundle = runtime.bundle(config)
    reason = reason.format(folder=runtime.folder)
    words = [*before, runtime.program, '--root', runtime.state, '--ceiling', runtime.files, '--log', runtime.log, 'run',
             '--bundle', bundle]
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2})
    done = subprocess.run([*words, 'a'], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.stdout.split(), done.stderr) == (['0', '0', '4294967295'], '')
    assert runtime.warnings() == [f'config.json: linux.namespaces: no user namespace is added: {reason}']
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2, 'demand': True})
    done = subprocess.run([*words, 'b'], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stderr) == (
        6, f'bulkhead-runtime: config.json: linux.namespaces: has no user namespace and none can be added ({reason}), '
        f"which is over 'userNamespace.demand' of ceiling file '{NAME}'\n")
    assert not runtime.leftovers()


def test_none_is_added_where_the_ceiling_says_never(runtime):
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2, 'add': 'never'})
    name = runtime.start(config=plain_config(runtime))
    assert map_of(runtime, name) == [0, 0, 4294967295]
    assert runtime.warnings() == []
    runtime.add(name='20.json', userNamespace={'demand': True})
    assert 'none can be added (the ceiling says never)' in runtime.run(config=plain_config(runtime)).stderr


def test_ids_come_from_the_machine_without_a_file(runtime):
    """Without ids in a ceiling file those of /etc/subuid and /etc/subgid for 'bulkhead' are taken."""
    for name, first in (('subuid', IDS), ('subgid', IDS + 65536)):
        (runtime.folder / name).write_text(f'other:1:5\nbulkhead:{first}:131072\n')
    runtime.ceiling()
    config = plain_config(runtime, '/bin/cat', '/proc/self/uid_map', '/proc/self/gid_map')
    bundle = runtime.bundle(config)
    words = [runtime.program, '--root', runtime.state, '--ceiling', runtime.files, 'run', '--bundle', bundle, 'a']
    private = ['unshare', '-m', 'sh', '-c', 'mount --bind "$0/subuid" /etc/subuid && '
               'mount --bind "$0/subgid" /etc/subgid && exec "$@"', runtime.folder]
    done = subprocess.run([*private, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.stdout.split(), done.stderr) == (
        ['0', str(IDS), '65536', '0', str(IDS + 65536), '65536'], '')
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split()[:3] == ['0', '0', '4294967295']


@pytest.mark.parametrize('profile', [False, True])
def test_calls_and_families_hold_with_and_without_a_profile(runtime, profile):
    """The filter itself stays within the ceiling, whatever the profile is, and for exec by the ceiling of that time."""
    config = runtime.config()
    if profile:
        config['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': []}
    runtime.ceiling(mode='narrow', syscalls={'deny': ['mkdir']})
    config['process']['args'] = ['/bin/sh', '-c', 'mkdir /tmp/x']
    assert runtime.run(config=config).stderr == "mkdir: can't create directory '/tmp/x': Operation not permitted\n"
    config['process']['args'] = ['/bin/sleep', '1000']
    name = runtime.start(config=config)
    for syscalls, program, message in (
            ({'deny': ['umask', 'mkdir'], 'socketFamilies': ['unix']}, 'ping -c 1 127.0.0.1',
             'ping: permission denied (are you root?)\n'),
            ({'socketFamilies': ['unix']}, 'wget http://127.0.0.1/',
             'wget: socket: Address family not supported by protocol\n'),
            ({'socketFamilies': ['inet']}, 'wget http://127.0.0.1:1/',
             "wget: can't connect to remote host (127.0.0.1): Connection refused\n"),
            ({'deny': ['socket'], 'socketFamilies': ['inet']}, 'wget http://127.0.0.1:1/',
             'wget: socket: Operation not permitted\n')):
        runtime.ceiling(mode='narrow', syscalls=syscalls)
        done = runtime.call('exec', name, '/bin/busybox', *program.split())
        assert [line + '\n' for line in done.stderr.splitlines()][-1] == message
    status = runtime.proc(name, 'status')
    assert 'Seccomp_filters:\t1\n' in status

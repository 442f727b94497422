# SPDX-License-Identifier: Apache-2.0
"""Ways around the ceiling: limits that are none, other words for the same, what is exchanged or comes later (ISO-3)."""
import contextlib
import json
import os
import pathlib
import random
import secrets
import shutil
import subprocess
import sys

import pytest

from support_ceiling import NAME, Bounded, over, set_bind, set_member
from support_runtime import limit_quota, needs_layer, read_limit, wait_until
from test_runtime_ceiling import random_ceiling, random_config
from test_runtime_rootless import User
from test_runtime_supervise import Pod


@pytest.fixture
def runtime(programs):
    made = Bounded(programs / 'bulkhead-runtime')
    yield made
    made.close()


def refusal(asked, key, document='config.json', name=NAME):
    return f"bulkhead-runtime: {document}: {asked}, which is over '{key}' of ceiling file '{name}'\n"


def read(runtime, controller, file):
    """A file of the newest container's control group."""
    return read_limit(runtime.group(controller, f'c{runtime.count - 1}'), file)


def narrowed(runtime, config):
    """What `check` makes of it, which every file then accepts without narrowing."""
    done = runtime.call('check', '--print', '--bundle', runtime.bundle(config))
    assert (done.returncode, done.stderr) == (0, '')
    for path in runtime.files.glob('*.json'):
        path.write_text(json.dumps(dict(json.loads(path.read_text()), mode='refuse')))
    again = runtime.call('check', '--print', '--bundle', runtime.bundle(done.stdout))
    assert (again.returncode, again.stderr) == (0, '')
    assert json.loads(again.stdout) == json.loads(done.stdout)
    return json.loads(done.stdout)


@pytest.mark.parametrize('resources', [
    {'cpu': {'quota': 0}, 'pids': {'limit': 0}, 'memory': {'limit': 0, 'swap': 0}},
    {'cpu': {'quota': 0, 'period': 0}, 'pids': {'limit': 0}, 'memory': {}}, {'cpu': {'period': 100000}}, {}])
def test_a_limit_of_nothing_is_a_missing_one(runtime, resources):
    runtime.ceiling(limits={'cpu': {'most': 500}, 'pids': {'most': 20}, 'memory': {'most': 32 << 20}})
    name = runtime.start(resources=resources)
    assert [read(runtime, *at) for at in (('cpu', 'cpu.cfs_quota_us'), ('pids', 'pids.max'),
                                          ('memory', 'memory.limit_in_bytes'))] == ['50000', '20', str(32 << 20)]
    for change, field in (({'pids': {'limit': 0}}, 'pids.limit'), ({'cpu': {'quota': -1}}, 'cpu.quota'),
                          ({'memory': {'limit': -1}}, 'memory.limit')):
        most = {'pids.limit': 20, 'cpu.quota': 500, 'memory.limit': 32 << 20}[field]
        done = update(runtime, name, change)
        assert done.stderr == refusal(f'linux.resources.{field}: asks for no limit where {most} is the most',
                                      f"limits.{field.partition('.')[0]}", 'update')
    assert update(runtime, name, {'cpu': {'quota': 0}}).returncode == 0
    runtime.ceiling(mode='narrow', limits={'pids': {'most': 20}})
    assert update(runtime, name, {'pids': {'limit': 0}}).returncode == 0
    assert (read(runtime, 'cpu', 'cpu.cfs_quota_us'), read(runtime, 'pids', 'pids.max')) == ('50000', '20')


def update(runtime, name, resources):
    file = runtime.folder / 'resources.json'
    file.write_text(json.dumps(resources))
    return runtime.call('update', '--resources', file, name)


def test_an_update_of_half_a_share_is_judged_whole(runtime):
    """The quota or the period alone: the other one is the group's."""
    runtime.ceiling(limits={'cpu': {'most': 1000}})
    name = runtime.start(resources={'cpu': {'quota': 50000, 'period': 100000}})

    def share():
        return read(runtime, 'cpu', 'cpu.cfs_quota_us'), read(runtime, 'cpu', 'cpu.cfs_period_us')
    done = update(runtime, name, {'cpu': {'period': 10000}})
    assert done.stderr == refusal('linux.resources.cpu.quota: asks for 5000 where 1000 is the most', 'limits.cpu',
                                  'update')
    assert update(runtime, name, {'cpu': {'period': 50000}}).returncode == 0
    assert share() == ('50000', '50000')
    done = update(runtime, name, {'cpu': {'quota': 50001}})
    assert done.stderr == refusal('linux.resources.cpu.quota: asks for 1001 where 1000 is the most', 'limits.cpu',
                                  'update')
    assert update(runtime, name, {'cpu': {'quota': 20000}}).returncode == 0
    assert share() == ('20000', '50000')
    runtime.ceiling(mode='narrow', limits={'cpu': {'most': 1000}})
    assert update(runtime, name, {'cpu': {'period': 10000}}).returncode == 0
    assert share() == ('10000', '10000')


@pytest.mark.parametrize('first, then', [((50000, 100000), (5000, 10000)), ((5000, 10000), (50000, 100000)),
                                         ((50000, 100000), (90000, 200000)), ((5000, 10000), (9000, 20000))])
def test_a_share_changes_below_a_limited_group(runtime, first, then):
    """Version 1 judges each of the two files alone: in the wrong order a share that fits is refused."""
    runtime.ceiling()
    limit_quota(runtime.group('cpu'), 50000)
    name = runtime.start(resources={'cpu': {'quota': first[0], 'period': first[1]}})
    done = update(runtime, name, {'cpu': {'quota': then[0], 'period': then[1]}})
    assert (done.returncode, done.stderr) == (0, '')
    assert [read(runtime, 'cpu', f'cpu.cfs_{file}_us') for file in ('quota', 'period')] == [str(word) for word in then]


def test_memory_is_swap_as_well(runtime):
    """Memory without a word of swap is the limit of both."""
    most = 64 << 20
    runtime.ceiling(limits={'swap': {'most': most}})
    for memory, asked in ({'limit': most + 4096}, f'asks for {most + 4096}'), ({'limit': -1}, 'asks for no limit'):
        done = runtime.run(resources={'memory': memory})
        assert done.stderr == refusal(f'linux.resources.memory.limit: {asked} where {most} is the most', 'limits.swap')
    done = runtime.run(resources={'memory': {'limit': most, 'swap': -1}})
    assert done.stderr == refusal(f'linux.resources.memory.swap: asks for no limit where {most} is the most',
                                  'limits.swap')
    done = runtime.run(resources={'unified': {'memory.max': str(most)}})
    assert done.stderr == refusal("linux.resources.unified: sets 'memory.max'", 'limits.swap')
    name = runtime.start(resources={'memory': {'limit': 32 << 20}})
    group = runtime.group('memory', f'c{runtime.count - 1}')

    def both():
        """Without accounting of swap, the first alone."""
        known = [(group / file).exists() for file in ('memory.memsw.limit_in_bytes', 'memory.swap.max')]
        return {read_limit(group, f'memory.{word}limit_in_bytes') for word in (['', 'memsw.'] if any(known) else [''])}
    assert both() == {str(32 << 20)}
    done = update(runtime, name, {'memory': {'limit': 10 << 30}})
    assert done.stderr == refusal(f'linux.resources.memory.limit: asks for {10 << 30} where {most} is the most',
                                  'limits.swap', 'update')
    runtime.ceiling(mode='narrow', limits={'swap': {'most': most}})
    assert update(runtime, name, {'memory': {'limit': 10 << 30}}).returncode == 0
    assert both() == {str(most)}
    config = runtime.config(resources={'memory': {'limit': 10 << 30, 'swap': -1}})
    assert narrowed(runtime, config)['linux']['resources']['memory'] == {'limit': most, 'swap': most}
    runtime.start(resources={})
    assert read(runtime, 'memory', 'memory.limit_in_bytes') == str(most)


def test_swap_by_default_is_memory_at_least(runtime):
    runtime.ceiling(limits={'swap': {'default': 96 << 20}})
    for memory, both in ({'limit': 64 << 20}, 96 << 20), ({'limit': 128 << 20}, None), ({'limit': -1}, 96 << 20):
        config = runtime.config(resources={'memory': memory})
        assert narrowed(runtime, config)['linux']['resources']['memory'].get('swap') == both


def test_a_limit_taken_out_leaves_the_default(runtime):
    """What `unified` set goes, and what is missing then is filled in."""
    runtime.ceiling(mode='narrow', limits={'memory': {'most': 32 << 20, 'default': 16 << 20}, 'pids': {'most': 20},
                                           'cpu': {'most': 500}, 'swap': {'most': 48 << 20}})
    config = runtime.config(resources={'unified': {
        'memory.max': 'max', 'pids.max': 'max', 'cpu.max': 'max', 'memory.swap.max': 'max', 'memory.high': '1'}})
    assert narrowed(runtime, config)['linux']['resources'] == {
        'unified': {'memory.high': '1'}, 'memory': {'limit': 16 << 20}, 'pids': {'limit': 20},
        'cpu': {'quota': 50000, 'period': 100000}}


@pytest.mark.parametrize('cpu, most, result', [
    ({'quota': -1, 'period': 1000}, 1, {'quota': 1000, 'period': 1000000}),
    ({'quota': 1 << 62, 'period': 1 << 62}, 1, {'quota': 1000, 'period': 1000000}),
    ({'quota': 1 << 62}, 500, {'quota': 50000, 'period': 100000}),
    ({'quota': 900, 'period': 1000}, 1, {'quota': 1000, 'period': 1000000}),
    ({'quota': -1, 'period': 1000000}, 1 << 62, {'quota': 10**12, 'period': 1000000}),
    ({}, 3, {'quota': 1000, 'period': 333334}),
])
def test_shares_of_any_size_are_narrowed(runtime, cpu, most, result):
    runtime.ceiling(mode='narrow', limits={'cpu': {'most': most}})
    assert narrowed(runtime, runtime.config(resources={'cpu': cpu}))['linux']['resources']['cpu'] == result


def test_huge_and_negative_limits(runtime):
    huge = (1 << 63) - 1
    runtime.ceiling(limits={kind: {'most': 100} for kind in ('cpu', 'memory', 'pids')})
    for group, field, value, message in (
            ('pids', 'limit', huge, None), ('memory', 'limit', huge, None),
            ('pids', 'limit', 1 - huge, f'{1 - huge} is not within -1 to {huge}'),
            ('memory', 'limit', -2, f'-2 is not within -1 to {huge}'),
            ('cpu', 'quota', -7, f'-7 is not within -1 to {huge}'),
            ('pids', 'limit', 1e30, 'must be a whole number, not a number with a fraction')):
        config = runtime.config(resources={'cpu': {'quota': 1}, 'memory': {'limit': 1}, group: {field: value}})
        field = f'linux.resources.{group}.{field}'
        assert runtime.run(config=config).stderr == (
            f'bulkhead-runtime: config.json: {field}: {message}\n' if message else
            refusal(f'{field}: asks for {huge} where 100 is the most', f'limits.{group}'))


def root_at(runtime, path, **more):
    """A configuration with this root; an image's folder is never mounted with what is mounted in it."""
    config = runtime.config('/bin/true', **more)
    config['root']['path'] = str(path)
    return config


@pytest.mark.parametrize('path, real', [
    ('/', '/'), ('/proc/self/root', '/'), ('/etc/', '/etc'), ('/proc/sys', '/proc/sys'), ('/sys', '/sys'),
    ('/dev/shm', '/dev/shm'), ('/var/../run', '/run'), ('/var', '/var')])
def test_the_machine_is_no_root(runtime, path, real):
    """Without a word of roots a file that bounds sources lets through what may be an image, and nothing of these."""
    for keys, key in (({'mounts': {'sources': []}}, 'mounts.sources'),
                      ({'root': {'sources': [{'path': '/var/lib/containers'}]}}, 'root.sources')):
        for mode in ('refuse', 'narrow'):
            runtime.ceiling(mode=mode, **keys)
            assert runtime.run(config=root_at(runtime, path)).stderr == refusal(
                f"root.path: asks for '{real}' of the host", key)
    runtime.ceiling(mounts={'sources': []})
    assert runtime.run(config=root_at(runtime, runtime.folder / 'rootfs')).stderr == ''


def test_the_machine_is_no_root_elsewhere_either(runtime):
    """A bind mount of / is what it is under any name."""
    (runtime.folder / 'x').mkdir()
    runtime.ceiling(mounts={'sources': []})
    bundle = runtime.bundle(root_at(runtime, runtime.folder / 'x'))
    done = subprocess.run(['unshare', '-m', 'sh', '-c', 'mount --bind / "$0" && exec "$@"', runtime.folder / 'x',
                           runtime.program, '--root', runtime.state, '--ceiling', runtime.files, 'run', '--bundle',
                           bundle, 'a'], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.stderr == refusal(f"root.path: asks for '{runtime.folder}/x' of the host", 'mounts.sources')


@needs_layer
def test_roots_have_sources_of_their_own(runtime):
    image, link = runtime.folder / 'rootfs', runtime.folder / 'link'
    link.symlink_to(image)
    runtime.ceiling(root={'sources': [{'path': str(link), 'readOnly': True}]})
    config = root_at(runtime, link)
    assert runtime.run(config=config).stderr == ''
    config['root']['readonly'] = False
    assert runtime.run(config=config).stderr == ''
    config['annotations'] = {}
    assert runtime.run(config=config).stderr == refusal(f"root.readonly: asks to write '{image}' of the host",
                                                        'root.sources')
    runtime.ceiling(mode='narrow', root={'sources': [{'path': str(link), 'readOnly': True}]})
    assert narrowed(runtime, config)['root']['readonly'] is True
    runtime.ceiling(root={'sources': []})
    assert runtime.run(config=config).stderr == refusal(f"root.path: asks for '{image}' of the host", 'root.sources')


def test_a_root_exchanged_all_the_time_is_never_another(runtime):
    """What was judged is what becomes the root."""
    (runtime.folder / 'bad' / 'bin').mkdir(parents=True)
    link, other = runtime.folder / 'link', runtime.folder / 'other'
    link.symlink_to('rootfs')
    other.symlink_to('bad')
    runtime.ceiling(root={'sources': [{'path': str(runtime.folder / 'rootfs')}]})
    config = root_at(runtime, link)
    del config['linux']['cgroupsPath']
    bundle, results = runtime.bundle(config), set()
    with exchanging(link, other):
        for number in range(60):
            results.add(runtime.call('run', '--bundle', bundle, f'x{number}').stderr)
    assert results <= {
        '', 'bulkhead-runtime: config.json: root.path: the root is not what it was when the ceiling was looked at\n',
        refusal(f"root.path: asks for '{runtime.folder}/bad' of the host", 'root.sources')}


@contextlib.contextmanager
def exchanging(first, second):
    """Two names are exchanged all the time."""
    with subprocess.Popen([sys.executable, '-c', f'''
import ctypes
exchange = ctypes.CDLL(None).renameat2
while True:
    exchange(-100, b"{first}", -100, b"{second}", 2)
'''], stdin=subprocess.DEVNULL) as turner:
        try:
            yield
        finally:
            turner.kill()


@pytest.mark.parametrize('mounts, message', [
    ([{'destination': '/data', 'type': 'proc', 'source': 'proc'}],
     "mounts[8]: type 'proc' is mounted on '/proc' alone, not on '/data'"),
    ([{'destination': '/proc/x', 'type': 'proc', 'source': 'proc'}],
     "mounts[8]: type 'proc' is mounted on '/proc' alone, not on '/proc/x'"),
    ([{'destination': '/tmp/../proc', 'type': 'proc', 'source': 'proc'}],
     "mounts[8]: type 'proc' is mounted on '/proc' alone, not on '/tmp/../proc'"),
    ([{'destination': '/data', 'type': 'sysfs', 'source': 'sysfs'}],
     "mounts[8]: type 'sysfs' is mounted on '/sys' alone, not on '/data'"),
    ([{'destination': '/proc/', 'type': 'proc', 'source': 'proc'}], "mounts[8]: type 'proc' is mounted twice"),
])
def test_masked_files_have_no_second_name(runtime, mounts, message):
    """A procfs of another name would show what is masked in /proc."""
    runtime.ceiling(maskedPaths=['/proc/kcore'])
    config = runtime.config('/bin/ls', '/data/kcore')
    config['mounts'] += mounts
    done = runtime.run(config=config)
    assert (done.returncode, done.stderr) == (6, f'bulkhead-runtime: config.json: {message}\n')
    assert not runtime.leftovers()


@pytest.fixture
def hook(runtime):
    """A program that writes down its variables, and a file to read that from."""
    program, to = runtime.folder / 'hook', runtime.folder / 'said'
    program.write_text(f'#!/bin/sh\necho "$0 ${{LD_PRELOAD-none}} ${{KEPT-none}}" >>{to}\n')
    program.chmod(0o755)
    to.write_text('')
    return program, to


def create(runtime, config, name):
    """A container that waits to be started, and holds none of this test's pipes."""
    subprocess.run([runtime.program, '--root', runtime.state, '--ceiling', runtime.files, 'create', '--bundle',
                    runtime.bundle(config), name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60, check=True)


def test_a_hook_has_no_variables_but_those_allowed(runtime, hook):
    """A loader's variables make any program run anything."""
    program, said = hook
    env = ['LD_PRELOAD=/tmp/evil.so', 'KEPT=kept']
    config = runtime.config(hooks={'createRuntime': [{'path': str(program), 'env': env}],
                                   'poststop': [{'path': str(program), 'env': env}]})
    runtime.ceiling(hooks=[str(program)])
    assert runtime.run(config=config).stderr == refusal("hooks.createRuntime[0].env: sets 'LD_PRELOAD'", 'hooks')
    runtime.ceiling(hooks=[str(program)], hookEnvironment=['LD_*'])
    assert runtime.run(config=config).stderr == refusal("hooks.createRuntime[0].env: sets 'KEPT'", 'hookEnvironment')
    runtime.ceiling(hookEnvironment=['KEP'])
    assert runtime.run(config=config).stderr == refusal("hooks.createRuntime[0].env: sets 'LD_PRELOAD'",
                                                        'hookEnvironment')
    assert said.read_text() == ''
    runtime.ceiling(mode='narrow', hooks=[str(program)], hookEnvironment=['KEPT'])
    assert runtime.run(config=config).stderr == ''
    assert said.read_text() == f'{program} none kept\n' * 2
    assert narrowed(runtime, config)['hooks'] == {phase: [{'path': str(program), 'env': ['KEPT=kept']}]
                                                  for phase in ('createRuntime', 'poststop')}


def test_what_was_judged_is_the_hook_that_runs(runtime, hook):
    """A link to an allowed program is that program from then on, wherever it leads later."""
    program, said = hook
    link, evil = runtime.folder / 'link', runtime.folder / 'evil'
    link.symlink_to(program)
    evil.write_text(f'#!/bin/sh\necho evil >>{said}\n')
    evil.chmod(0o755)
    runtime.ceiling(hooks=[str(program)])
    phases = ('createRuntime', 'poststart', 'poststop')
    config = runtime.config('/bin/sleep', '1000', hooks={phase: [{'path': str(link)}] for phase in phases})
    create(runtime, config, 'a')
    link.unlink()
    link.symlink_to(evil)
    assert runtime.call('start', 'a').returncode == 0
    assert runtime.call('delete', '--force', 'a').returncode == 0
    assert said.read_text() == f'{program} none none\n' * 3


def test_later_hooks_obey_the_ceiling_of_then(runtime, hook):
    """What is written down with a container runs by the files of the time, and not at all where they are broken."""
    program, said = hook
    config = runtime.config('/bin/sleep', '1000', hooks={phase: [{'path': str(program)}]
                                                         for phase in ('poststart', 'poststop')})
    runtime.ceiling()
    for name, spoil in (('a', lambda: runtime.ceiling(hooks=[])), ('b', lambda: runtime.ceiling('{'))):
        runtime.ceiling()
        create(runtime, config, name)
        spoil()
        assert runtime.call('start', name).returncode == 0
        assert runtime.call('delete', '--force', name).returncode == 0
        assert said.read_text() == ''
        assert not runtime.leftovers()


def test_allowed_paths_are_what_the_superuser_says(runtime):
    """In a folder of another user a link is not followed, or that user would say what is allowed."""
    theirs, own = runtime.folder / 'theirs', runtime.folder / 'own'
    theirs.mkdir()
    os.chown(theirs, 1000, 1000)
    (own / 'deep').mkdir(parents=True)
    (theirs / 'data').symlink_to('/etc')
    (theirs / 'hook').symlink_to('/usr/bin/env')
    (runtime.folder / 'good').symlink_to('own/../own/./deep')
    (runtime.folder / 'loop').symlink_to('loop')
    runtime.ceiling(mounts={'sources': [{'path': str(theirs / 'data')}, {'path': str(runtime.folder / 'good')},
                                        {'path': str(runtime.folder / 'loop')}]}, hooks=[str(theirs / 'hook')])
    for source, refused in (('/etc', True), (str(theirs / 'data'), True), (str(own / 'deep'), False),
                            (str(runtime.folder / 'good'), False), (str(own), True)):
        config = runtime.config()
        set_bind([], source)(config)
        real = os.path.realpath(source)
        assert runtime.run(config=config).stderr == (refusal(f"mounts[8].source: asks for '{real}' of the host",
                                                             'mounts.sources') if refused else '')
    config = runtime.config(hooks={'poststop': [{'path': str(theirs / 'hook')}]})
    assert runtime.run(config=config).stderr == refusal("hooks.poststop[0].path: asks to run '/usr/bin/env'", 'hooks')
    (theirs / 'data').unlink()
    (theirs / 'data').mkdir()
    config = runtime.config()
    set_bind([], str(theirs / 'data'))(config)
    assert runtime.run(config=config).stderr == ''


def test_nobody_is_no_superuser(runtime):
    """65534 is the machine's superuser in a user namespace alone, where it has no number."""
    runtime.ceiling(capabilities=[])
    os.chown(runtime.files / NAME, 65534, 65534)
    assert runtime.run().stderr == (f"bulkhead-runtime: ceiling '{runtime.files}': ceiling file '{NAME}': belongs to "
                                    'user 65534 and not to the superuser\n')
    os.chown(runtime.files / NAME, 0, 0)
    bundle = runtime.bundle(runtime.config())
    done = subprocess.run(['unshare', '--user', '--map-users=5000,0,1', runtime.program, '--root', runtime.state,
                           '--ceiling', runtime.files, 'check', '--bundle', bundle], capture_output=True, text=True,
                          timeout=60, check=False)
    assert 'belongs to user' not in done.stderr


def test_a_link_to_nowhere_is_no_missing_ceiling(runtime):
    """The machine's folder as a link whose target is gone: nothing starts."""
    (runtime.folder / 'etc').mkdir()
    script = 'mount --bind "$0" /etc && exec "$@"'
    for make, path in ((lambda: (runtime.folder / 'etc' / 'bulkhead').symlink_to('gone'), None),
                       (lambda: ((runtime.folder / 'etc' / 'bulkhead').mkdir(),
                                 (runtime.folder / 'etc' / 'bulkhead' / 'runtime.d').symlink_to('gone')), None),
                       (lambda: (runtime.folder / 'etc' / 'bulkhead').mkdir(), '')):
        for old in (runtime.folder / 'etc').iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        make()
        done = subprocess.run(['unshare', '-m', 'sh', '-c', script, runtime.folder / 'etc', runtime.program, '--root',
                               runtime.state, 'check', '--bundle', runtime.bundle(runtime.config())],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ("bulkhead-runtime: ceiling '/etc/bulkhead/runtime.d': cannot be opened: No such file or "
                               'directory\n' if path is None else '')


IDS = 2_100_000_000
RANGES = pathlib.Path('/run/bulkhead/runtime-ids')


def plain(runtime, *args, **changes):
    """What a caller asks who knows nothing of user namespaces."""
    config = runtime.config(*(args or ('/bin/cat', '/proc/self/uid_map')), **changes)
    config['linux']['namespaces'] = [row for row in config['linux']['namespaces'] if row['type'] != 'user']
    del config['linux']['uidMappings'], config['linux']['gidMappings'], config['annotations']
    return config


def joining(config, path):
    config['linux']['namespaces'].append({'type': 'user', 'path': str(path)})
    return config


def test_the_machines_user_namespace_by_path_is_none(runtime):
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2})
    for path in '/proc/self/ns/user', f'/proc/{os.getpid()}/ns/user':
        done = runtime.run(config=joining(plain(runtime), path))
        assert (done.stdout.split(), done.stderr) == (['0', str(IDS), '65536'], '')
        result = narrowed(runtime, joining(plain(runtime), path))
        assert 'user' not in [row['type'] for row in result['linux']['namespaces']]
    runtime.ceiling(userNamespace={'add': 'never'})
    config = joining(plain(runtime), '/proc/self/ns/user')
    assert runtime.run(config=config).stdout.split() == ['0', '0', '4294967295']
    runtime.ceiling(userNamespace={'demand': True, 'add': 'never'})
    assert runtime.run(config=config).stderr == (
        'bulkhead-runtime: config.json: linux.namespaces: has no user namespace and none can be added (the ceiling '
        f"says never), which is over 'userNamespace.demand' of ceiling file '{NAME}'\n")


@pytest.mark.parametrize('uid, gid, asked', [
    ((0, 0, 4294967295), (0, IDS + 131072, 65536), 'linux.uidMappings: maps id 0 of the machine'),
    ((5, 0, 1), (0, IDS + 131072, 65536), 'linux.uidMappings: maps id 0 of the machine'),
    ((0, 1900000000, 65536), (0, 0, 1), 'linux.gidMappings: maps id 0 of the machine'),
    ((0, IDS - 1, 2), (0, 1, 65536), 'linux.uidMappings: maps ids that are kept for added user namespaces'),
    ((0, 1, 65536), (0, IDS + 131071, 1), 'linux.gidMappings: maps ids that are kept for added user namespaces'),
    ((0, IDS - 65536, 65536), (0, IDS + 131072, 65536), None)])
def test_a_demanded_user_namespace_maps_nothing_of_the_machine(runtime, uid, gid, asked):
    config = plain(runtime)
    config['linux']['namespaces'].append({'type': 'user'})
    for name, row in ('uidMappings', uid), ('gidMappings', gid):
        config['linux'][name] = [{'containerID': row[0], 'hostID': row[1], 'size': row[2]}]
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2})
    bundle = runtime.bundle(config)
    assert runtime.call('check', '--bundle', bundle).returncode == 0
    for mode in 'refuse', 'narrow':
        runtime.ceiling(mode=mode, userNamespace={'firstId': IDS, 'ranges': 2, 'demand': True})
        done = runtime.call('check', '--bundle', bundle)
        assert done.stderr == (refusal(asked, 'userNamespace.demand') if asked else '')


def test_a_joined_user_namespace_is_asked_for_its_maps(runtime):
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 2, 'demand': True})
    good = runtime.pid(runtime.start())
    done = runtime.run(config=joining(plain(runtime), f'/proc/{good}/ns/user'))
    assert (done.stdout.split(), done.stderr) == (['0', '1900000000', '65536'], '')
    added = runtime.pid(runtime.start(config=plain(runtime, '/bin/sleep', '1000')))
    done = runtime.run(config=joining(plain(runtime), f'/proc/{added}/ns/user'))
    assert done.stderr == refusal('linux.namespaces: maps ids that are kept for added user namespaces',
                                  'userNamespace.demand')
    with subprocess.Popen(['unshare', '--user', '--map-root-user', 'sleep', '1000']) as holder:
        try:
            wait_until(lambda: pathlib.Path(f'/proc/{holder.pid}/uid_map').read_text())
            done = runtime.run(config=joining(plain(runtime), f'/proc/{holder.pid}/ns/user'))
        finally:
            holder.kill()
    assert done.stderr == refusal('linux.namespaces: maps id 0 of the machine', 'userNamespace.demand')


def test_a_user_namespace_exchanged_all_the_time_is_never_another(runtime):
    """Judged as another one it is never the machine's when it is joined."""
    runtime.ceiling(userNamespace={'add': 'never'})
    holder = runtime.pid(runtime.start())
    link, other = runtime.folder / 'link', runtime.folder / 'other'
    link.symlink_to(f'/proc/{holder}/ns/user')
    other.symlink_to(f'/proc/{os.getpid()}/ns/user')
    config = joining(plain(runtime), link)
    del config['linux']['cgroupsPath']
    bundle, results = runtime.bundle(config), set()
    with exchanging(link, other):
        for number in range(60):
            done = runtime.call('run', '--bundle', bundle, f'x{number}')
            results.add((' '.join(done.stdout.split()), done.stderr))
    assert results <= {
        ('0 1900000000 65536', ''), ('0 0 4294967295', ''),
        ('', 'bulkhead-runtime: config.json: linux.namespaces: the namespace is not what it was when the ceiling was '
         'looked at\n')}


@pytest.mark.parametrize('action, extra', [('SCMP_ACT_LOG', {}), ('SCMP_ACT_TRACE', {'defaultErrnoRet': 7}),
                                           ('SCMP_ACT_ALLOW', {}), ('SCMP_ACT_NOTIFY', {})])
def test_what_a_profile_does_by_default_is_done_with_what_stays(runtime, action, extra):
    """A traced, logged or listened-to call is not simply allowed because the list has it."""
    runtime.ceiling(mode='narrow', syscalls={'allow': ['read', 'write', 'mkdir', 'umask']})
    rules = [{'names': ['mkdir', 'ptrace'], 'action': 'SCMP_ACT_ALLOW'},
             {'names': ['write'], 'action': 'SCMP_ACT_ERRNO'},
             {'names': ['umask'], 'action': 'SCMP_ACT_ERRNO', 'args': [{'index': 0, 'value': 1, 'op': 'SCMP_CMP_EQ'}]}]
    config = runtime.config()
    config['linux']['seccomp'] = {'defaultAction': action, 'architectures': ['SCMP_ARCH_X86_64'], 'syscalls': rules,
                                  **extra}
    if action == 'SCMP_ACT_NOTIFY':
        config['linux']['seccomp']['listenerPath'] = '/run/x'
    result = narrowed(runtime, config)['linux']['seccomp']
    left = {'names': ['read', 'umask'], 'action': action, **({'errnoRet': 7} if extra else {})}
    assert (result['defaultAction'], result['defaultErrnoRet']) == ('SCMP_ACT_ERRNO', 1)
    assert result['syscalls'] == [left, {'names': ['mkdir'], 'action': 'SCMP_ACT_ALLOW'}, *rules[1:]]


def test_ids_stay_taken_where_the_state_is_not_in_sight(runtime):
    """A runtime in another mount namespace does not see the folder: the process holds the ids."""
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 3})
    runtime.start(config=plain(runtime, '/bin/sleep', '1000'))
    note = RANGES / str(IDS)
    hidden, away = runtime.folder / 'state', runtime.folder / 's'

    def first_of_another():
        config = plain(runtime)
        del config['linux']['cgroupsPath']
        away.rename(hidden)
        done = subprocess.run([runtime.program, '--root', runtime.folder / 's2', '--ceiling', runtime.files, 'run',
                               '--bundle', runtime.bundle(config), 'a'], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        hidden.rename(away)
        assert done.stderr == ''
        return int(done.stdout.split()[1])
    assert first_of_another() == IDS + 65536
    lines = note.read_text().splitlines()
    assert lines[1].split()[0] == str(runtime.pid(f'c{runtime.count - 1}'))
    for second, free in (('', True), (f'{lines[1]} 1', False), ('x y z', True), ('1 1 1', False),
                         (f'{os.getpid()} 1 {lines[1].split()[2]}', True)):
        note.write_text(f'{lines[0]}\n{second}\n')
        assert first_of_another() == (IDS if free else IDS + 65536), second
        assert note.exists() is not free
    note.write_text('1 1 /' + 'x/' * 10 + '\n')
    assert first_of_another() == IDS
    note.write_text('1 1 /' + 'x' * 300 + '\n')
    assert first_of_another() == IDS + 65536
    note.unlink()


def test_owners_are_mapped_all_the_way_down(runtime):
    """What is mounted below a source that is bound with all below it is the container's as well."""
    below = runtime.folder / 'top' / 'below'
    below.mkdir(parents=True)
    runtime.ceiling(userNamespace={'firstId': IDS, 'ranges': 1})
    config = plain(runtime, '/bin/stat', '-c', '%u:%g', '/data', '/data/below')
    config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': str(below.parent), 'options': ['rbind']})
    done = subprocess.run(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none "$0" && exec "$@"', below, runtime.program,
                           '--root', runtime.state, '--ceiling', runtime.files, 'run', '--bundle',
                           runtime.bundle(config), 'a'], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.stdout, done.stderr) == ('0:0\n0:0\n', '')


@pytest.mark.parametrize('given', ['uidMappings', 'gidMappings'])
def test_a_mount_maps_users_and_groups_or_neither(runtime, given):
    config = runtime.config()
    set_bind([], '/etc')(config)
    config['mounts'][8][given] = [{'containerID': 0, 'hostID': 0, 'size': 1}]
    assert runtime.run(config=config).stderr == (
        'bulkhead-runtime: config.json: mounts[8]: uidMappings and gidMappings go together\n')


AMOUNTS = [-1, 0, 1, 999, 1000, 4096, 100000, 1 << 20, 64 << 20, 1 << 40, (1 << 63) - 1]
ACTIONS = ['SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_KILL']
CALLS = ['mkdir', 'read', 'ptrace', 'umask']
VARIABLES = ['A=1', 'AB=', 'LD_PRELOAD=x', 'B=2']
RAW = ['cpu.max', 'memory.max', 'memory.swap.max', 'pids.max', 'memory.high']


def harder_ceiling(dice):
    """A file that narrows, also by the keys that depend on each other."""
    rules = random_ceiling(dice)
    rules['mode'] = 'narrow'
    rules['limits'] = {kind: {word: dice.choice([1, 7, 999, 5000, 1 << 20, 64 << 20]) for word in (
        ['most'], ['default'], ['most', 'default'])[dice.randrange(3)]} for kind in ('cpu', 'memory', 'swap', 'pids')
        if dice.random() < 0.5}
    if dice.random() < 0.4:
        rules['syscalls'] = dice.choice([{'allow': ['mkdir', 'close']}, {'allow': CALLS, 'deny': ['mkdir']}])
    if dice.random() < 0.4:
        rules['hookEnvironment'] = dice.choice([[], ['A*']])
    if dice.random() < 0.4:
        rules['root'] = {'sources': [{'path': '/var', 'readOnly': dice.random() < 0.5}]}
    return rules


def harder_config(dice, runtime):
    config = random_config(dice, runtime)
    linux = config['linux']
    resources = linux['resources']
    for group, fields in (('cpu', ('quota', 'period')), ('memory', ('limit', 'swap')), ('pids', ('limit',))):
        resources[group] = {field: dice.choice(AMOUNTS) for field in fields if dice.random() < 0.6}
    resources['cpu'].pop('period', None) if resources['cpu'].get('period', 0) < 0 else None
    resources['unified'] = {key: 'max' for key in RAW if dice.random() < 0.3}
    linux['rootfsPropagation'] = dice.choice(['private', 'rslave'])
    linux['seccomp'] = {'defaultAction': dice.choice(ACTIONS), 'syscalls': [
        {'names': dice.sample(CALLS, dice.randint(1, 4)), 'action': dice.choice(ACTIONS),
         **({'args': [{'index': 0, 'value': 1, 'op': 'SCMP_CMP_EQ'}]} if dice.random() < 0.4 else {})}
        for _ in range(dice.randint(0, 4))]}
    config['hooks'] = {phase: [{'path': path, 'env': dice.sample(VARIABLES, dice.randint(0, 4))}
                               for path in dice.sample(['/usr/bin/true', '/usr/bin/env', '/bin/true'], 2)]
                       for phase in ('createRuntime', 'startContainer', 'poststop') if dice.random() < 0.5}
    if dice.random() < 0.3:
        config['annotations'].pop('dev.bulkhead.root.idmap')
    return config


def test_what_is_narrowed_is_what_would_not_be_refused(runtime):
    """Any configuration over any files: what narrowing makes of it the same files let through when they refuse."""
    seed = int(os.environ.get('BULKHEAD_SEED', '0')) or secrets.randbits(32)
    dice = random.Random(seed)
    for number in range(int(os.environ.get('BULKHEAD_ROUNDS', '60'))):
        runtime.ceiling(**harder_ceiling(dice))
        for index in range(dice.randint(0, 2)):
            runtime.add(name=f'2{index}.json', **harder_ceiling(dice))
        try:
            narrowed(runtime, harder_config(dice, runtime))
        except AssertionError as error:
            raise AssertionError(f'seed {seed}, round {number}') from error


def set_mount(**mount):
    def change(config):
        config['mounts'].append({'destination': '/data', **mount})
    return change


SOURCES = {'mounts': {'sources': [{'path': '/usr'}]}}
ETC = "mounts[8].source: asks for '/etc' of the host"


@pytest.mark.parametrize('keys, change, asked, key', [
    (SOURCES, set_mount(type='none', source='/etc', options=['rbind']), ETC, 'mounts.sources'),
    (SOURCES, set_mount(type='bind', source='/etc'), ETC, 'mounts.sources'),
    (SOURCES, set_mount(type='proc', source='/etc', options=['bind']), ETC, 'mounts.sources'),
    (SOURCES, set_mount(source='/usr/../etc', options=['bind', 'ro']), ETC, 'mounts.sources'),
    (SOURCES, set_mount(source='/proc/self/root/etc', options=['bind', 'ro']), ETC, 'mounts.sources'),
    (SOURCES, set_mount(source='/proc/self/cwd/../etc', options=['bind']), None, 'mounts.sources'),
    (SOURCES, set_mount(source='../../../../etc', options=['bind']), ETC, 'mounts.sources'),
    ({'mounts': {'sources': [{'path': '/usr', 'readOnly': True}]}},
     set_mount(source='/usr', options=['bind', 'ro', 'rw']), "mounts[8].options: asks to write '/usr' of the host",
     'mounts.sources'),
    ({'mounts': {'propagation': 'private'}}, set_mount(source='/usr', options=['bind', 'private', 'rslave']),
     'mounts[8].options: asks for slave propagation', 'mounts.propagation'),
    ({'mounts': {'propagation': 'private'}}, set_mount(type='tmpfs', options=['rshared']),
     'mounts[8].options: asks for shared propagation', 'mounts.propagation'),
    ({'devices': [{'type': 'c', 'major': 10, 'minor': 229, 'access': 'rwm'}]},
     set_member('linux', 'resources', 'devices', value=[{'allow': True, 'type': 'c', 'major': 10, 'minor': -1}]),
     "linux.resources.devices[0]: asks for device 'c 10:* rwm'", 'devices'),
    ({'devices': [{'type': 'b', 'access': 'rwm'}, {'type': 'c', 'access': 'rwm'}]},
     set_member('linux', 'resources', 'devices', value=[{'allow': True}]),
     "linux.resources.devices[0]: asks for device 'a *:* rwm'", 'devices'),
    ({'devices': []}, set_member('linux', 'resources', 'devices', value=[{'allow': True, 'type': 'c', 'major': 1}]),
     "linux.resources.devices[0]: asks for device 'c 1:* rwm'", 'devices'),
    ({'devices': []}, set_member('linux', 'devices', value=[{'path': '/dev/x', 'type': 'u', 'major': 1, 'minor': 1}]),
     "linux.devices[0]: asks for device 'c 1:1 '", 'devices'),
    ({'devices': []}, set_member('linux', 'devices', value=[
        {'path': '/dev/null', 'type': 'b', 'major': 1, 'minor': 3}]),
     "linux.devices[0]: asks for device 'b 1:3 '", 'devices'),
    ({'sysctls': ['net.ipv4.*']}, set_member('linux', 'sysctl', value={'net/ipv4/ip_forward': '1'}),
     "linux.sysctl: asks to set 'net/ipv4/ip_forward'", 'sysctls'),
    ({'rlimits': {'RLIMIT_NOFILE': 64}},
     set_member('process', 'rlimits', value=[{'type': 'RLIMIT_NOFILE', 'soft': 1, 'hard': (1 << 63) - 1}]),
     f'process.rlimits: asks for RLIMIT_NOFILE of {(1 << 63) - 1} where 64 is the most', 'rlimits'),
    ({'rlimits': {'RLIMIT_NOFILE': 64}}, set_member('process', 'rlimits', value=[
        {'type': 'RLIMIT_NOFILE', 'soft': 1, 'hard': 18446744073709551615}]),
     'process.rlimits: asks for RLIMIT_NOFILE of 18446744073709551615 where 64 is the most', 'rlimits'),
    ({'capabilities': []}, set_member('process', 'capabilities', value={'ambient': ['CAP_BPF']}),
     'process.capabilities.ambient: asks for CAP_BPF', 'capabilities'),
    ({'namespaces': {'pid': 'own'}}, set_member('linux', 'namespaces', value=[{'type': 'mount'}]),
     "linux.namespaces: the pid namespace is the host's", 'namespaces.pid'),
    ({'syscalls': {'deny': ['ptrace']}}, set_member('linux', 'seccomp', value={
        'defaultAction': 'SCMP_ACT_ERRNO', 'syscalls': [{'names': ['ptrace'], 'action': 'SCMP_ACT_NOTIFY'}],
        'listenerPath': '/run/x'}), "linux.seccomp.syscalls[0]: asks for system call 'ptrace'", 'syscalls.deny'),
    ({'syscalls': {'deny': ['ptrace']}}, set_member('linux', 'seccomp', value={
        'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [
            {'names': ['ptrace'], 'action': 'SCMP_ACT_ERRNO',
             'args': [{'index': 0, 'value': 7, 'op': 'SCMP_CMP_EQ'}]}]}),
     "linux.seccomp.defaultAction: asks for system call 'ptrace'", 'syscalls.deny'),
    ({'hooks': ['/usr/bin/true']}, set_member('hooks', value={'startContainer': [{'path': '/bin/sh'}]}),
     "hooks.startContainer[0].path: asks to run '/bin/sh'", 'hooks'),
])
def test_other_words_for_the_same_are_refused(runtime, keys, change, asked, key):
    runtime.ceiling(**keys)
    config = runtime.config()
    change(config)
    bundle = runtime.bundle(config)
    if asked is None:
        asked = f"mounts[8].source: asks for '{os.path.realpath(bundle / '..' / 'etc')}' of the host"
        (bundle.parent / 'etc').mkdir()
    done = runtime.call('run', '--bundle', bundle, 'a', cwd=bundle)
    assert (done.returncode, done.stderr) == (6, refusal(asked, key))


@pytest.mark.parametrize('path', ['/machine/../x', '/machine/../../x', '/machine/./..', '/machine//..//x'])
def test_patterns_of_control_groups_are_no_way_up(runtime, path):
    runtime.ceiling(cgroupsPaths=['/machine/*'])
    done = runtime.run(cgroupsPath=path)
    assert done.returncode != 0 and 'linux.cgroupsPath' in done.stderr


def test_names_twice_are_none(runtime):
    """Of two members of one name the ceiling would judge one and the container get the other."""
    runtime.ceiling(capabilities=[])
    text = json.dumps(runtime.config()).replace(
        '"capabilities": {}', '"capabilities": {"bounding": ["CAP_BPF"]}, "capabilities": {}')
    assert text.count('"capabilities"') == 2
    done = runtime.run(config=text)
    assert (done.returncode, 'an object has a name twice' in done.stderr) == (3, True)


def test_without_resources_and_profile_all_is_bounded(runtime):
    runtime.ceiling(limits={'pids': {'most': 20}, 'cpu': {'most': 500}}, syscalls={'deny': ['mkdir']})
    config = runtime.config('/bin/sleep', '1000')
    del config['linux']['resources']
    name = runtime.start(config=config)
    assert (read(runtime, 'pids', 'pids.max'), read(runtime, 'cpu', 'cpu.cfs_quota_us')) == ('20', '50000')
    done = runtime.call('exec', name, '/bin/mkdir', '/tmp/x')
    assert done.stderr == "mkdir: can't create directory '/tmp/x': Operation not permitted\n"


@pytest.mark.parametrize('destination', ['/', '/.', '//'])
def test_a_root_that_must_be_kept_is_not_covered(runtime, destination):
    """What is mounted on the root itself would be a root that can be written."""
    shutil.copytree(runtime.folder / 'rootfs', runtime.folder / 'cover', symlinks=True)
    runtime.ceiling(rootReadOnly=True)
    config = runtime.config('/bin/touch', '/x', '/../x')
    set_mount(destination=destination, source=str(runtime.folder / 'cover'), options=['bind', 'exec', 'idmap'])(config)
    done = runtime.run(config=config)
    assert done.stderr == 'touch: /x: Read-only file system\ntouch: /../x: Permission denied\n'


def test_devices_of_a_mounted_folder_stay_closed(runtime):
    """A folder with devices in it, and the option that lets them be opened."""
    runtime.ceiling(devices=[], mounts={'sources': [{'path': '/dev'}]})
    config = runtime.config('/bin/head', '-c', '1', '/data/kmsg')
    set_mount(type='bind', source='/dev', options=['rbind', 'dev'])(config)
    done = runtime.run(config=config)
    assert (done.stdout, done.returncode) == ('', 1)


def test_what_exec_adds_is_bounded(runtime):
    runtime.ceiling()
    name = runtime.start()
    process = {'user': {'uid': 0, 'gid': 0}, 'args': ['/bin/true'], 'cwd': '/'}
    file = runtime.folder / 'process.json'

    def asked(words, **changes):
        file.write_text(json.dumps({**process, **changes}))
        words = words or ['--process', str(file)]
        return runtime.call('exec', *words, name, *([] if words[0] == '--process' else ['/bin/true'])).stderr
    runtime.ceiling(capabilities=['CAP_KILL'], terminal=False, rlimits={'RLIMIT_CORE': 0})
    assert asked(['--cap', 'CAP_SYS_ADMIN']) == refusal('process.capabilities.bounding: asks for CAP_SYS_ADMIN',
                                                        'capabilities', 'exec')
    assert asked(['--tty']) == refusal('process.terminal: asks for a terminal', 'terminal', 'exec')
    assert asked([], capabilities={'ambient': ['CAP_BPF']}) == refusal('process.capabilities.ambient: asks for CAP_BPF',
                                                                       'capabilities', 'exec')
    assert asked([], rlimits=[{'type': 'RLIMIT_CORE', 'soft': 0, 'hard': 1}]) == refusal(
        'process.rlimits: asks for RLIMIT_CORE of 1 where 0 is the most', 'rlimits', 'exec')
    assert 'selinuxLabel' in asked([], selinuxLabel='system_u:system_r:spc_t:s0')


def test_an_update_of_devices_is_bounded(runtime):
    runtime.ceiling(devices=[])
    name = runtime.start()
    rule = {'allow': True, 'type': 'c', 'major': 1, 'minor': 11, 'access': 'r'}
    assert update(runtime, name, {'devices': [rule]}).stderr == refusal(
        "linux.resources.devices[0]: asks for device 'c 1:11 r'", 'devices', 'update')
    runtime.ceiling(mode='narrow', devices=[])
    assert update(runtime, name, {'devices': [rule]}).returncode == 0
    # Version 2 has a program for them, which tests/vm asks.
    if (runtime.group('devices', f'c{runtime.count - 1}') / 'devices.list').exists():
        assert 'c 1:11' not in read(runtime, 'devices', 'devices.list')


def test_a_name_that_denies_nothing_is_a_slip(runtime):
    runtime.ceiling(syscalls={'deny': ['mkdir', 'ptrcae']})
    assert runtime.run().stderr == (f"bulkhead-runtime: ceiling '{runtime.files}': ceiling file '{NAME}': field "
                                    "'ceiling.syscalls.deny[1]' is no system call\n")


def test_a_pod_is_bounded_as_well(runtime):
    """The supervisor's containers: the machine's ceiling holds whoever the caller is."""
    pod = Pod(runtime)
    pod.begin()
    try:
        runtime.ceiling(capabilities=[], limits={'pids': {'most': 20}})
        assert pod.start('a', '/bin/true', capabilities={'bounding': ['CAP_BPF']})['error'].endswith(
            over('process.capabilities.bounding: asks for CAP_BPF', 'capabilities'))
        assert pod.start('b', '/bin/sleep', '1000', resources={})['ok']
        assert read(runtime, 'pids', 'pids.max') == '20'
    finally:
        pod.end()


def test_a_user_without_groups_has_no_limits_to_keep(runtime):
    """Rootless: what the files bound is bounded or refused, and a file of user 65534 is no file of the superuser."""
    user = User(runtime.program)
    try:
        words = ('--ceiling', str(runtime.files))
        runtime.ceiling(capabilities=['CAP_KILL'])
        assert user.run('/bin/true', options=words, capabilities={}).stderr == ''
        assert user.run('/bin/true', options=words, capabilities={'bounding': ['CAP_CHOWN']}).stderr == refusal(
            'process.capabilities.bounding: asks for CAP_CHOWN', 'capabilities')
        runtime.ceiling(limits={'pids': {'most': 20}})
        assert user.run('/bin/true', options=words, capabilities={}).stderr.splitlines()[0] == (
            'bulkhead-runtime: config.json: linux.resources: has limits, but this user may make no control groups')
        runtime.ceiling(limits={'pids': {'most': 20}})
        done = user.run('/bin/true', options=words, capabilities={}, resources={'pids': {'limit': 0}})
        assert done.returncode != 0
        os.chown(runtime.files / NAME, 65534, 65534)
        assert user.run('/bin/true', options=words, capabilities={}).stderr == (
            f"bulkhead-runtime: ceiling '{runtime.files}': ceiling file '{NAME}': belongs to user 65534 and not to the "
            'superuser\n')
        os.chown(runtime.files / NAME, 0, 0)
        done = user.call('unshare', '--user', '--map-root-user', runtime.program, *words, 'check', '--print')
        assert (done.returncode, json.loads(done.stdout)['linux']['resources']['pids']) == (0, {'limit': 20})
    finally:
        user.close()

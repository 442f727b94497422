# SPDX-License-Identifier: Apache-2.0
"""Ways around the ceiling: limits that are none, other words for the same, what is exchanged or comes later (ISO-3)."""
import contextlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from support_ceiling import NAME, Bounded, set_bind


@pytest.fixture
def runtime(programs):
    made = Bounded(programs / 'bulkhead-runtime')
    yield made
    made.close()


def refusal(asked, key, document='config.json', name=NAME):
    return f"bulkhead-runtime: {document}: {asked}, which is over '{key}' of ceiling file '{name}'\n"


def read(runtime, controller, file):
    """A file of the newest container's control group."""
    return (runtime.group(controller, f'c{runtime.count - 1}') / file).read_text().strip()


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
    parent = runtime.group('cpu')
    parent.mkdir()
    (parent / 'cpu.cfs_quota_us').write_text('50000')
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
    files = [file for file in (group / 'memory.limit_in_bytes', group / 'memory.memsw.limit_in_bytes') if file.exists()]
    assert {file.read_text() for file in files} == {f'{32 << 20}\n'}
    done = update(runtime, name, {'memory': {'limit': 10 << 30}})
    assert done.stderr == refusal(f'linux.resources.memory.limit: asks for {10 << 30} where {most} is the most',
                                  'limits.swap', 'update')
    runtime.ceiling(mode='narrow', limits={'swap': {'most': most}})
    assert update(runtime, name, {'memory': {'limit': 10 << 30}}).returncode == 0
    assert {file.read_text() for file in files} == {f'{most}\n'}
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

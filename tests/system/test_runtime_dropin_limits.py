# SPDX-License-Identifier: Apache-2.0
"""Every member of linux.resources reaches the kernel or is refused by name (ISO-2); version 2's part is in tests/vm."""
import json
import pathlib
import subprocess

import pytest

from support_runtime import CGROUPS, Runtime

pytestmark = pytest.mark.skipif(not (CGROUPS / 'memory').exists(), reason='only version 2 of control groups: in the VM')
MIB = 1 << 20


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def disk():
    """Major and minor number of a whole disk of this machine."""
    for path in sorted(pathlib.Path('/sys/block').iterdir()):
        if not path.name.startswith(('loop', 'ram', 'zram', 'sr')):
            return tuple(int(part) for part in (path / 'dev').read_text().split(':'))
    return None


def value(runtime, controller, file):
    return (runtime.group(controller) / 'c0' / file).read_text().strip()


def test_memory(runtime):
    runtime.start('/bin/sleep', '1000', resources={'memory': {
        'limit': 64 * MIB, 'reservation': 32 * MIB, 'swappiness': 30, 'kernel': 16 * MIB, 'kernelTCP': -1,
        'useHierarchy': True, 'checkBeforeUpdate': True, 'disableOOMKiller': True}})
    assert value(runtime, 'memory', 'memory.limit_in_bytes') == str(64 * MIB)
    assert value(runtime, 'memory', 'memory.soft_limit_in_bytes') == str(32 * MIB)
    assert value(runtime, 'memory', 'memory.swappiness') == '30'
    assert 'oom_kill_disable 1' in value(runtime, 'memory', 'memory.oom_control')


def test_largest_numbers_stand_for_nothing(runtime):
    """Docker and others write 2^64-1 for a swappiness that is not set."""
    text = json.dumps(runtime.config('/bin/true', resources={'memory': {'swappiness': 4242, 'limit': 64 * MIB},
                                                             'hugepageLimits': []})).replace('4242', str((1 << 64) - 1))
    done = runtime.call('run', '-b', runtime.bundle(text), 'a')
    assert done.returncode == 0, done.stderr


def test_update_checks_before_when_told_to(runtime):
    name = runtime.start('/bin/sh', '-c', 'cat /dev/zero | head -c 8000000 > /tmp/x; sleep 1000',
                         resources={'memory': {'limit': 64 * MIB}})
    subprocess.run(['sh', '-c', f'until [ $(stat -c %s /proc/{runtime.status(name)["pid"]}/root/tmp/x) = 8000000 ]; do '
                    'sleep 0.02; done'], timeout=20, check=True)
    new = runtime.folder / 'new.json'
    new.write_text(json.dumps({'memory': {'limit': MIB, 'checkBeforeUpdate': True}}))
    done = runtime.call('update', '-r', new, name)
    assert done.returncode == 3
    assert done.stderr.startswith('bulkhead-runtime: config.json: linux.resources.memory.limit: '
                                  '1048576 is less than the ')
    assert done.stderr.endswith(' bytes in use, and checkBeforeUpdate is set\n')
    assert runtime.status(name)['status'] == 'running'


@pytest.mark.skipif(not (CGROUPS / 'memory/memory.memsw.limit_in_bytes').exists(), reason='swap is not accounted for')
def test_memory_without_a_limit_any_more(runtime):
    """Memory and swap together are never less than memory alone: both limits go."""
    name = runtime.start('/bin/sleep', '1000')
    assert value(runtime, 'memory', 'memory.memsw.limit_in_bytes') == str(64 * MIB)
    done = runtime.call('update', '--memory', '-1', name)
    assert (done.returncode, done.stderr) == (0, '')
    unlimited = (CGROUPS / 'memory/memory.limit_in_bytes').read_text().strip()
    for file in ('memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'):
        assert value(runtime, 'memory', file) == unlimited
    done = runtime.call('update', '--memory', '32m', name)
    assert (done.returncode, done.stderr) == (0, '')
    assert value(runtime, 'memory', 'memory.memsw.limit_in_bytes') == str(32 * MIB)


def test_processors(runtime):
    runtime.start('/bin/sleep', '1000', resources={'cpu': {
        'shares': 300, 'quota': 20000, 'period': 50000, 'burst': 10000, 'cpus': '0-1', 'mems': '0', 'idle': 0}})
    files = ('shares', 'cfs_quota_us', 'cfs_period_us', 'cfs_burst_us')
    read = [value(runtime, 'cpu', f'cpu.{file}') for file in files]
    assert read == ['300', '20000', '50000', '10000']
    assert (value(runtime, 'cpuset', 'cpuset.cpus'), value(runtime, 'cpuset', 'cpuset.mems')) == ('0-1', '0')


@pytest.mark.skipif(not disk(), reason='no disk to bound')
def test_rates_of_disks(runtime):
    major, minor = disk()
    rates = {'throttleReadBpsDevice': 1000000, 'throttleWriteBpsDevice': 2000000, 'throttleReadIOPSDevice': 300,
             'throttleWriteIOPSDevice': 400}
    name = runtime.start('/bin/sleep', '1000', resources={'blockIO': {
        field: [{'major': major, 'minor': minor, 'rate': rate}] for field, rate in rates.items()}})
    read = [value(runtime, 'blkio', f'blkio.throttle.{file}_device')
            for file in ('read_bps', 'write_bps', 'read_iops', 'write_iops')]
    assert read == [f'{major}:{minor} {rate}' for rate in rates.values()]
    new = runtime.folder / 'new.json'
    new.write_text(json.dumps({'blockIO': {'throttleReadBpsDevice': [{'major': major, 'minor': minor, 'rate': 0}]}}))
    assert runtime.call('update', '-r', new, name).returncode == 0
    assert value(runtime, 'blkio', 'blkio.throttle.read_bps_device') == ''


def controller(name):
    return (CGROUPS / name).exists() or any(name in path.name.split(',') for path in CGROUPS.iterdir())


@pytest.mark.parametrize('resources, message', [
    ({'blockIO': {'weight': 5}}, 'blockIO.weight: 5 is not within 10 to 1000'),
    ({'blockIO': {'weightDevice': [{'major': 8, 'weight': 10}]}}, "blockIO.weightDevice[0]: 'minor' is missing"),
    ({'blockIO': {'throttleReadBpsDevice': [{'major': 8, 'minor': 0}]}},
     "blockIO.throttleReadBpsDevice[0]: 'rate' is missing"),
    ({'hugepageLimits': [{'pageSize': '2M', 'limit': 1}]},
     "hugepageLimits[0].pageSize: must be a size like 2MB, not '2M'"),
    ({'hugepageLimits': [{'pageSize': '../2MB', 'limit': 1}]},
     "hugepageLimits[0].pageSize: must be a size like 2MB, not '../2MB'"),
    ({'network': {'priorities': [{'name': 'eth0 5', 'priority': 1}]}},
     "network.priorities[0].name: 'eth0 5' is no interface's name"),
    ({'rdma': {'mlx 1': {'hcaHandles': 1}}}, "rdma: 'mlx 1' is no device's name"),
    ({'rdma': {'mlx': {'hcaHandles': 'x'}}}, 'rdma.mlx.hcaHandles: must be a whole number, not a string'),
    ({'devices': [{'allow': True, 'type': 'a', 'major': 1, 'access': 'rwm'}]},
     "devices[0]: type 'a' allows everything: give 'c' or 'b'"),
    ({'devices': [{'allow': True, 'access': 'r'}]}, "devices[0]: type 'a' allows everything: give 'c' or 'b'"),
    ({'unified': {'cgroup.procs': '1'}}, "unified: 'cgroup.procs' is no controller's file"),
    ({'unified': {'../memory.max': '1'}}, "unified: '../memory.max' is no controller's file"),
    ({'memory': {'swappiness': 101}}, 'memory.swappiness: 101 is not within -1 to 100'),
])
def test_resources_that_are_wrong(runtime, resources, message):
    done = runtime.run('/bin/true', resources=resources)
    assert (done.returncode, done.stderr) == (3, f'bulkhead-runtime: config.json: linux.resources.{message}\n')
    assert not runtime.leftovers()


@pytest.mark.parametrize('name, resources, field', [
    ('hugetlb', {'hugepageLimits': [{'pageSize': '2MB', 'limit': 0}]}, 'hugepageLimits[0]'),
    ('net_cls', {'network': {'classID': 5}}, 'network.classID'),
    ('net_prio', {'network': {'priorities': [{'name': 'lo', 'priority': 1}]}}, 'network.priorities[0]'),
    ('rdma', {'rdma': {'mlx': {'hcaHandles': 1}}}, 'rdma.mlx'),
])
def test_limits_without_their_controller_are_refused(runtime, name, resources, field):
    done = runtime.run('/bin/true', resources=resources)
    if controller(name):
        return
    assert done.stderr == (f'bulkhead-runtime: config.json: linux.resources.{field}: '
                           f"this machine has no '{name}' controller\n")
    assert not runtime.leftovers()


def misc_device():
    """The minor number of a device that anyone may open where its node lets them."""
    lines = [line.split() for line in pathlib.Path('/proc/misc').read_text().splitlines()]
    return next((int(minor) for minor, name in lines if name in ('fuse', 'tun')), None)


@pytest.mark.skipif(misc_device() is None, reason='neither fuse nor tun is there')
def test_device_rules_hold(runtime):
    """A node that is there opens when a rule allows it, and fails with EPERM when none does."""
    minor = misc_device()
    node = {'path': '/dev/net/thing', 'type': 'c', 'major': 10, 'minor': minor, 'fileMode': 0o666}
    script = 'cat < /dev/zero | head -c 1 | wc -c; : < /dev/net/thing && echo opened'

    def run(rules):
        config = runtime.config('/bin/sh', '-c', script, resources={'devices': rules})
        config['linux']['devices'] = [node]
        return runtime.run(config=config)
    deny = {'allow': False, 'access': 'rwm'}
    done = run([deny])
    assert done.stdout == '1\n' and 'Operation not permitted' in done.stderr
    done = run([deny, {'allow': True, 'type': 'c', 'major': 10, 'minor': minor, 'access': 'r'}])
    assert done.stdout == '1\nopened\n', done.stderr


def test_device_rules_change_while_it_runs(runtime):
    name = runtime.start('/bin/sleep', '1000')
    new = runtime.folder / 'new.json'
    new.write_text(json.dumps({'devices': [{'allow': True, 'type': 'c', 'major': 10, 'minor': 200, 'access': 'rw'}]}))
    assert runtime.call('update', '-r', new, name).returncode == 0
    lines = value(runtime, 'devices', 'devices.list').splitlines()
    assert 'c 10:200 rw' in lines and 'a *:* rwm' not in lines


def test_devices_are_there_while_their_rules_change(runtime):
    """A running container keeps at every moment what it had and shall have."""
    script = 'while :; do : < /dev/null || echo lost; echo x > /dev/zero || echo lost; echo .; done'
    name = runtime.start('/bin/sh', '-c', script)
    seen = runtime.folder / f'{name}.out'
    rule = {'allow': True, 'type': 'c', 'major': 10, 'access': 'rw'}
    for minor in range(100, 130):
        new = runtime.folder / 'new.json'
        new.write_text(json.dumps({'devices': [dict(rule, minor=minor)]}))
        assert runtime.call('update', '-r', new, name).returncode == 0
    lines = value(runtime, 'devices', 'devices.list').splitlines()
    assert [line for line in lines if line.startswith('c 10:')] == ['c 10:129 rw']
    assert 'c 1:3 rwm' in lines and 'c 136:* rwm' in lines and len(lines) == 9
    runtime.call('kill', name, 'KILL')
    assert set(seen.read_text().splitlines()) == {'.'}


def test_rules_that_deny_what_was_allowed(runtime):
    allow = {'allow': True, 'type': 'c', 'major': 10, 'minor': 200, 'access': 'rwm'}
    name = runtime.start('/bin/sleep', '1000', resources={'devices': [allow, dict(allow, major=11, minor=None)]})
    new = runtime.folder / 'new.json'
    new.write_text(json.dumps({'devices': [allow, dict(allow, allow=False, access='wm')]}))
    assert runtime.call('update', '-r', new, name).returncode == 0
    lines = value(runtime, 'devices', 'devices.list').splitlines()
    assert [line for line in lines if line.startswith('c 1')] and 'c 10:200 r' in lines
    assert not [line for line in lines if line.startswith('c 11:')]


def without_devices(runtime, *words):
    """The runtime where neither a devices controller nor version 2 of control groups is in sight."""
    hide = 'for at in devices unified; do mount -t tmpfs none /sys/fs/cgroup/$at; done; exec "$@"'
    return subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-ec', hide, 'sh', runtime.program,
                           '--root', runtime.state, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)


@pytest.mark.skipif(not (CGROUPS / 'unified').exists(), reason='version 2 is not mounted beside version 1')
@pytest.mark.parametrize('resources', [{}, {'devices': [{'allow': False, 'access': 'rwm'}]}], ids=['none', 'rules'])
def test_devices_that_nothing_holds_back_are_refused(runtime, resources):
    bundle = runtime.bundle(runtime.config('/bin/true', resources=resources))
    done = without_devices(runtime, 'run', '--bundle', bundle, 'c1')
    assert done.stderr == ('bulkhead-runtime: config.json: linux.resources.devices: nothing on this machine holds '
                           "devices back\nhint: mount the 'devices' controller of version 1 of control groups, or "
                           'version 2\n')
    assert done.returncode != 0
    assert not runtime.leftovers()

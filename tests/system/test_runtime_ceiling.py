# SPDX-License-Identifier: Apache-2.0
"""The ceiling: whatever config.json asks, the container never gets more (ISO-2, ISO-3)."""
import json
import pathlib
import subprocess

import pytest

from support_runtime import Runtime

NAME = '10-base.json'


class Bounded(Runtime):
    """A runtime with a folder of ceiling files of its own."""

    def __init__(self, program):
        super().__init__(program)
        self.files = self.folder / 'runtime.d'
        self.files.mkdir(mode=0o755)
        self.log = self.folder / 'log'

    def ceiling(self, content=None, name=NAME, **keys):
        """Writes a ceiling file and no other one."""
        for path in self.files.glob('*.json'):
            path.unlink()
        return self.add(content, name, **keys)

    def add(self, content=None, name=NAME, **keys):
        (self.files / name).write_text(json.dumps(keys) if content is None else content)
        (self.files / name).chmod(0o644)

    def call(self, *words, env=None, **more):
        return super().call('--ceiling', self.files, '--log', self.log, *words, env=env, **more)

    def start(self, *args, config=None, **changes):
        """Creates and starts a container that goes on; returns its id."""
        bundle = self.bundle(config or self.config(*(args or ('/bin/sleep', '1000')), **changes))
        name = f'c{self.count}'
        with open(self.folder / f'{name}.out', 'wb') as to:
            done = subprocess.run([self.program, '--root', self.state, '--ceiling', self.files, '--log', self.log,
                                   'create', '--bundle', bundle, name], stdin=subprocess.DEVNULL, stdout=to, stderr=to,
                                  timeout=60, check=False)
        assert done.returncode == 0, (self.folder / f'{name}.out').read_text()
        done = self.call('start', name)
        assert done.returncode == 0, done.stderr
        return name

    def warnings(self):
        """What the log says was changed."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split(' ', 1)[1].removeprefix('warning: ') for line in lines if ' warning: ' in line]

    def pid(self, name):
        return self.status(name)['pid']

    def proc(self, name, file):
        return pathlib.Path(f'/proc/{self.pid(name)}/{file}').read_text()


@pytest.fixture
def runtime(programs):
    made = Bounded(programs / 'bulkhead-runtime')
    yield made
    made.close()


def over(asked, key, name=NAME):
    return f"config.json: {asked}, which is over '{key}' of ceiling file '{name}'"


def set_capabilities(config):
    config['process']['capabilities'] = {'bounding': ['CAP_CHOWN', 'CAP_SYS_ADMIN']}


def set_host_network(config):
    config['linux']['namespaces'] = [row for row in config['linux']['namespaces'] if row['type'] != 'network']
    config['mounts'] = [mount for mount in config['mounts'] if mount['type'] != 'sysfs']


def set_joined_network(config):
    set_host_network(config)
    config['linux']['namespaces'].append({'type': 'network', 'path': '/proc/self/ns/net'})


def set_bind(options, source='/etc'):
    def change(config):
        config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': source,
                                 'options': ['bind', *options]})
    return change


def set_device(config):
    config['linux']['devices'] = [{'path': '/dev/fuse', 'type': 'c', 'major': 10, 'minor': 229}]


def set_device_rule(config):
    config['linux']['resources']['devices'] = [
        {'allow': False, 'access': 'rwm'}, {'allow': True, 'type': 'c', 'major': 1, 'minor': 3, 'access': 'rw'},
        {'allow': True, 'type': 'c', 'major': 10, 'access': 'rw'}]


def set_profile(*names, default='SCMP_ACT_ERRNO'):
    def change(config):
        config['linux']['seccomp'] = {'defaultAction': default, 'architectures': ['SCMP_ARCH_X86_64'], 'syscalls': [
            {'names': ['mkdir', *names], 'action': 'SCMP_ACT_ALLOW'}]}
    return change


def set_member(*path, value):
    def change(config):
        at = config
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    return change


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
    ({'syscalls': {'deny': ['ptrace']}}, lambda config: None, over('linux.seccomp: is missing', 'syscalls')),
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
    if 'process.terminal' in message or 'linux.seccomp: is' in message:
        assert (done.returncode, done.stderr) == (6, f'bulkhead-runtime: {message}\n')
        return
    assert (done.returncode, done.stderr) == (0, '')
    assert f'narrowed: {message}' in done.stdout.splitlines()
    printed = runtime.call('check', '--print', '--bundle', bundle)
    runtime.ceiling(**ceiling)
    assert runtime.call('check', '--bundle', runtime.bundle(printed.stdout)).returncode == 0

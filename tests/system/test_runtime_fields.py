# SPDX-License-Identifier: Apache-2.0
"""Every field of config.json that the parser knows, wrong in type, range, size or meaning: the error names the field's
JSON path (ISO-8). The parser's own tables are read, so that a field without a row here fails."""
import copy
import json
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
LONG = 'y' * 5000
HUGE = 1 << 62

# Each field the parser takes, with a value it takes.
FULL = {
    'ociVersion': '1.2.0',
    'process': {
        'terminal': True, 'consoleSize': {'height': 24, 'width': 80},
        'user': {'uid': 1, 'gid': 2, 'umask': 18, 'additionalGids': [3]},
        'args': ['/bin/true'], 'env': ['A=b'], 'cwd': '/',
        'capabilities': {kind: ['CAP_KILL']
                         for kind in ('bounding', 'effective', 'inheritable', 'permitted', 'ambient')},
        'rlimits': [{'type': 'RLIMIT_CORE', 'soft': 1, 'hard': 2}],
        'noNewPrivileges': True, 'oomScoreAdj': 5, 'apparmorProfile': 'x',
        'scheduler': {'policy': 'SCHED_OTHER', 'nice': 1, 'priority': 0, 'flags': ['SCHED_FLAG_RESET_ON_FORK'],
                      'runtime': 1, 'deadline': 1, 'period': 1},
        'ioPriority': {'class': 'IOPRIO_CLASS_BE', 'priority': 1},
        'execCPUAffinity': {'initial': '0', 'final': '0'},
    },
    'root': {'path': 'rootfs', 'readonly': True},
    'hostname': 'box', 'domainname': 'home',
    'mounts': [{'destination': '/data', 'type': 'bind', 'source': '/x', 'options': ['ro'],
                'uidMappings': [{'containerID': 0, 'hostID': 1, 'size': 2}],
                'gidMappings': [{'containerID': 0, 'hostID': 1, 'size': 2}]}],
    'hooks': {phase: [{'path': '/hook', 'args': ['hook'], 'env': ['A=b'], 'timeout': 3}] for phase in
              ('prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop')},
    'annotations': {'key': 'value'},
    'linux': {
        'namespaces': [{'type': 'pid', 'path': '/proc/1/ns/pid'}],
        'uidMappings': [{'containerID': 0, 'hostID': 1, 'size': 2}],
        'gidMappings': [{'containerID': 0, 'hostID': 1, 'size': 2}],
        'devices': [{'path': '/dev/x', 'type': 'c', 'major': 1, 'minor': 3, 'fileMode': 438, 'uid': 0, 'gid': 0}],
        'cgroupsPath': '/a/b',
        'resources': {
            'devices': [{'allow': False, 'type': 'c', 'major': 1, 'minor': 3, 'access': 'rwm'}],
            'memory': {'limit': 1, 'reservation': 1, 'swap': 1, 'swappiness': 1, 'disableOOMKiller': False,
                       'checkBeforeUpdate': True, 'kernel': 1, 'kernelTCP': 1, 'useHierarchy': True},
            'cpu': {'shares': 1, 'quota': 1, 'period': 1, 'burst': 1, 'idle': 1, 'cpus': '0', 'mems': '0'},
            'pids': {'limit': 1},
            'blockIO': {'weight': 100, 'leafWeight': 100,
                        'weightDevice': [{'major': 8, 'minor': 0, 'weight': 100, 'leafWeight': 100}],
                        **{f'throttle{kind}Device': [{'major': 8, 'minor': 0, 'rate': 1}]
                           for kind in ('ReadBps', 'WriteBps', 'ReadIOPS', 'WriteIOPS')}},
            'hugepageLimits': [{'pageSize': '2MB', 'limit': 1}],
            'network': {'classID': 1, 'priorities': [{'name': 'eth0', 'priority': 1}]},
            'rdma': {'mlx5_0': {'hcaHandles': 1, 'hcaObjects': 1}},
            'unified': {'memory.max': '1'},
        },
        'sysctl': {'net.ipv4.ip_forward': '0'},
        'seccomp': {'defaultAction': 'SCMP_ACT_ERRNO', 'defaultErrnoRet': 1, 'architectures': ['SCMP_ARCH_X86_64'],
                    'flags': ['SECCOMP_FILTER_FLAG_LOG'], 'listenerPath': '/run/x', 'listenerMetadata': 'x',
                    'syscalls': [{'names': ['read'], 'action': 'SCMP_ACT_ALLOW', 'errnoRet': 1,
                                  'args': [{'index': 0, 'value': 1, 'valueTwo': 2, 'op': 'SCMP_CMP_EQ'}]}]},
        'personality': {'domain': 'LINUX32'},
        'timeOffsets': {clock: {'secs': 1, 'nanosecs': 1} for clock in ('monotonic', 'boottime')},
        'rootfsPropagation': 'private', 'maskedPaths': ['/proc/x'], 'readonlyPaths': ['/proc/y'],
    },
}


def within(least, most, *more):
    """A whole number of this range."""
    return [(value, f'@: {value} is not within {least} to {most}') for value in (-5, HUGE, *more)
            if value < least or value > most]


def word(what, cut=64):
    """One word of a list."""
    return [(value, f"@: unknown {what} '{value[:cut]}'") for value in ('', 'x', LONG)]


U32 = within(0, (1 << 32) - 1)
OR_MINUS_ONE = within(-1, (1 << 63) - 1)
DEVICE = within(-1, (1 << 32) - 1)
PATH = [(value, f"@: must be an absolute path, not '{value[:64]}'") for value in ('', 'x', LONG)]
PAIR = [(value, f"@: must be NAME=VALUE, not '{value[:64]}'") for value in ('', 'x', LONG)]
WEIGHT = within(0, 1000) + [(7, '@: 7 is not within 10 to 1000')]
LATER = []  # any value of the type is taken; what it means is for the kernel or for another test to say

# Values of the right type that are refused, and the message; @ stands for the field.
WRONG = {
    'ociVersion': [(value, f"@: version '{value[:32]}' is not 1.x") for value in ('', 'x', LONG)],
    'process.terminal': LATER,
    'process.consoleSize.height': U32,
    'process.consoleSize.width': U32,
    'process.user.uid': U32,
    'process.user.gid': U32,
    'process.user.umask': within(0, 511, 512),
    'process.user.additionalGids[0]': U32,
    'process.args[0]': [('', 'process.args: names no program')],
    'process.env[0]': PAIR,
    'process.cwd': PATH,
    'process.capabilities.*[0]': word('capability'),
    'process.rlimits[0].type': word('limit'),
    'process.rlimits[0].soft': OR_MINUS_ONE + [(7, 'process.rlimits[0]: soft limit is over the hard limit')],
    'process.rlimits[0].hard': OR_MINUS_ONE + [(0, 'process.rlimits[0]: soft limit is over the hard limit')],
    'process.noNewPrivileges': LATER,
    'process.oomScoreAdj': within(-1000, 1000, -1001),
    'process.apparmorProfile': [(LONG, "@: is no profile's name"), ('a\nb', "@: is no profile's name")],
    'process.scheduler.policy': word('policy'),
    'process.scheduler.nice': within(-20, 19, -21, 20),
    'process.scheduler.priority': U32,
    'process.scheduler.flags[0]': word('flag'),
    'process.scheduler.runtime': within(0, (1 << 63) - 1),
    'process.scheduler.deadline': within(0, (1 << 63) - 1),
    'process.scheduler.period': within(0, (1 << 63) - 1),
    'process.ioPriority.class': word('class'),
    'process.ioPriority.priority': within(0, 7, 8),
    'process.execCPUAffinity.initial': LATER,
    'process.execCPUAffinity.final': LATER,
    'root.path': [('', 'root: path is empty')],
    'root.readonly': LATER,
    'hostname': [(LONG, '@: is longer than 64 bytes'), ('x' * 65, '@: is longer than 64 bytes')],
    'domainname': [(LONG, '@: is longer than 64 bytes')],
    'mounts[0].destination': PATH,
    'mounts[0].type': LATER,
    'mounts[0].source': LATER,
    'mounts[0].options[0]': LATER,
    'mounts[0].*Mappings[0].containerID': U32,
    'mounts[0].*Mappings[0].hostID': U32,
    'mounts[0].*Mappings[0].size': U32 + [(0, 'mounts[0].uidMappings[0]: size 0 does not fit the ids')],
    'hooks.*[0].path': PATH,
    'hooks.*[0].args[0]': LATER,
    'hooks.*[0].env[0]': PAIR,
    'hooks.*[0].timeout': within(1, 86400, 0),
    'annotations.key': LATER,
    'linux.namespaces[0].type': word('namespace'),
    'linux.namespaces[0].path': PATH[1:],
    'linux.*Mappings[0].containerID': U32,
    'linux.*Mappings[0].hostID': U32,
    'linux.*Mappings[0].size': U32 + [(0, 'linux.uidMappings[0]: size 0 does not fit the ids')],
    'linux.devices[0].path': PATH,
    'linux.devices[0].type': word('device type'),
    'linux.devices[0].major': U32,
    'linux.devices[0].minor': U32,
    'linux.devices[0].fileMode': U32,
    'linux.devices[0].uid': U32,
    'linux.devices[0].gid': U32,
    'linux.cgroupsPath': [(LONG, '@: is longer than 1024 bytes'), ('/a/../b', "@: must not contain '..'")],
    'linux.resources.devices[0].allow': LATER,
    'linux.resources.devices[0].type': word('device type'),
    'linux.resources.devices[0].major': DEVICE,
    'linux.resources.devices[0].minor': DEVICE,
    'linux.resources.devices[0].access': [('x', "@: must be of 'rwm', not 'x'")],
    'linux.resources.memory.limit': OR_MINUS_ONE,
    'linux.resources.memory.reservation': OR_MINUS_ONE,
    'linux.resources.memory.swap': OR_MINUS_ONE,
    'linux.resources.memory.swappiness': within(-1, 100, 101),
    'linux.resources.memory.disableOOMKiller': LATER,
    'linux.resources.memory.checkBeforeUpdate': LATER,
    'linux.resources.memory.kernel': OR_MINUS_ONE,
    'linux.resources.memory.kernelTCP': OR_MINUS_ONE,
    'linux.resources.memory.useHierarchy': LATER,
    'linux.resources.cpu.shares': OR_MINUS_ONE,
    'linux.resources.cpu.quota': OR_MINUS_ONE,
    'linux.resources.cpu.period': OR_MINUS_ONE,
    'linux.resources.cpu.burst': OR_MINUS_ONE,
    'linux.resources.cpu.idle': OR_MINUS_ONE,
    'linux.resources.cpu.cpus': LATER,
    'linux.resources.cpu.mems': LATER,
    'linux.resources.pids.limit': OR_MINUS_ONE,
    'linux.resources.blockIO.weight': WEIGHT,
    'linux.resources.blockIO.leafWeight': WEIGHT,
    'linux.resources.blockIO.weightDevice[0].major': U32,
    'linux.resources.blockIO.weightDevice[0].minor': U32,
    'linux.resources.blockIO.weightDevice[0].weight': WEIGHT,
    'linux.resources.blockIO.weightDevice[0].leafWeight': WEIGHT,
    'linux.resources.blockIO.throttle*Device[0].major': U32,
    'linux.resources.blockIO.throttle*Device[0].minor': U32,
    'linux.resources.blockIO.throttle*Device[0].rate': OR_MINUS_ONE,
    'linux.resources.hugepageLimits[0].pageSize': [(value, f"@: must be a size like 2MB, not '{value}'")
                                                   for value in ('', 'x')],
    'linux.resources.hugepageLimits[0].limit': OR_MINUS_ONE,
    'linux.resources.network.classID': OR_MINUS_ONE,
    'linux.resources.network.priorities[0].name': [('', "@: '' is no interface's name"),
                                                   (LONG, f"@: '{LONG[:32]}' is no interface's name")],
    'linux.resources.network.priorities[0].priority': U32,
    'linux.resources.rdma.mlx5_0.hcaHandles': OR_MINUS_ONE,
    'linux.resources.rdma.mlx5_0.hcaObjects': OR_MINUS_ONE,
    'linux.resources.unified.memory.max': LATER,
    'linux.sysctl.net.ipv4.ip_forward': LATER,
    'linux.seccomp.defaultAction': word('action'),
    'linux.seccomp.defaultErrnoRet': within(0, 4095, 4096),
    'linux.seccomp.architectures[0]': LATER,
    'linux.seccomp.flags[0]': LATER,
    'linux.seccomp.listenerPath': [PATH[1], ('/' + LONG, "@: is longer than a socket's address, 107 bytes")],
    'linux.seccomp.listenerMetadata': LATER,
    'linux.seccomp.syscalls[0].names[0]': LATER,
    'linux.seccomp.syscalls[0].action': word('action'),
    'linux.seccomp.syscalls[0].errnoRet': within(0, 4095, 4096),
    'linux.seccomp.syscalls[0].args[0].index': within(0, 5, 6),
    'linux.seccomp.syscalls[0].args[0].value': within(0, (1 << 63) - 1),
    'linux.seccomp.syscalls[0].args[0].valueTwo': within(0, (1 << 63) - 1),
    'linux.seccomp.syscalls[0].args[0].op': word('operator'),
    'linux.personality.domain': word('domain'),
    'linux.timeOffsets.*.secs': within(-(1 << 31), (1 << 31) - 1),
    'linux.timeOffsets.*.nanosecs': within(0, 999999999, 1000000000),
    'linux.rootfsPropagation': word('propagation')[1:],
    'linux.maskedPaths[0]': PATH,
    'linux.readonlyPaths[0]': PATH,
}

# Fields of one reader share a row.
SAME = [(r'^hooks\.\w+\[', 'hooks.*['), (r'^process\.capabilities\.\w+', 'process.capabilities.*'),
        (r'timeOffsets\.\w+', 'timeOffsets.*'),
        (r'[ug]idMappings', '*Mappings'), (r'throttle\w+Device', 'throttle*Device')]
# A number with a fraction is a number.
KINDS = {bool: 'a boolean', str: 'a string', int: 'a number', float: 'a number with a fraction', list: 'an array',
         dict: 'an object'}
OTHERS = [True, 'x', 7, 1.5, [], {}]
# Written by old callers, without effect for years: looked at no further.
IGNORED = {'linux.resources.memory.kernel', 'linux.resources.memory.kernelTCP'}


def nodes(value, path=()):
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from nodes(below, (*path, key))


def name_of(path):
    return ''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in path)[1:]


def row_of(name):
    for pattern, to in SAME:
        name = re.sub(pattern, to, name)
    return name


def changed(path, value):
    made = copy.deepcopy(FULL)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


@pytest.fixture(scope='module')
def ask(build):
    """Answers of the parser to many configurations at once."""
    def answers(configs):
        lines = ''.join(json.dumps(config) + '\n' for config in configs)
        words = [build / 'tests' / 'programs' / 'specread']
        done = subprocess.run(words, input=lines, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        found = done.stdout.splitlines()
        assert len(found) == len(configs)
        return found
    return answers


def known_fields():
    """The names in the parser's tables: those it reads and those it refuses."""
    read, refused = set(), set()
    for source in TOP.glob('src/oci/spec*.c'):
        text = source.read_text()
        read |= set(re.findall(r'SPEC_FIELD\(struct \w+, (\w+),', text)) | set(re.findall(r'RATES\("(\w+)"', text))
        for name, reader in re.findall(r'\{"(\w+)",\s*(\w+),[^}]*?(?:true|false)\}', text):
            (refused if reader == 'spec_read_refuse' else read).add(name)
    return read, refused


def test_every_field_of_the_parser_is_here(ask):
    assert ask([FULL]) == ['ok']
    read, _ = known_fields()
    keys = {part for path, _ in nodes(FULL) for part in path if isinstance(part, str)}
    assert len(read) > 100
    assert read - keys == set()
    leaves = {row_of(name_of(path)) for path, value in nodes(FULL) if not isinstance(value, (dict, list))}
    assert leaves == set(WRONG)


def test_wrong_types(ask):
    cases = [(name_of(path), value, other) for path, value in nodes(FULL) for other in OTHERS
             if type(other) is not type(value) and name_of(path) not in IGNORED and
             not (isinstance(value, int) and isinstance(other, float) and 'swappiness' in path)]
    paths = {name_of(path): path for path, _ in nodes(FULL)}
    answers = ask([changed(paths[name], other) for name, _, other in cases])
    bad = []
    for (name, value, other), answer in zip(cases, answers):
        wanted = re.escape(f'config.json: {name}: must be ') + '.*' + re.escape(f', not {KINDS[type(other)]}')
        if not re.fullmatch(wanted, answer):
            bad.append(f'{name} = {other!r} for {value!r}: {answer}')
    assert not bad, '\n'.join(bad)
    assert len(cases) > 1000


def test_wrong_values(ask):
    cases, done = [], set()
    for path, _ in nodes(FULL):
        row = row_of(name_of(path))
        if row in WRONG and row not in done:
            done.add(row)
            cases += [(path, value, message) for value, message in WRONG[row]]
    answers = ask([changed(path, value) for path, value, _ in cases])
    bad = [f'{name_of(path)} = {value!r}: {answer}' for (path, value, message), answer in zip(cases, answers)
           if answer != 'config.json: ' + message.replace('@', name_of(path))]
    assert not bad, '\n'.join(bad)
    assert len(cases) > 150


def test_missing_members(ask):
    """Each member taken away: the parser does without it or names it."""
    paths = [path for path, _ in nodes(FULL) if isinstance(path[-1], str)]
    for path, answer in zip(paths, ask([changed(path, None) for path in paths])):
        assert answer == 'ok' or name_of(path[:-1]) in answer and repr(path[-1]) in answer or \
            answer.startswith(f'config.json: {name_of(path)}: '), (path, answer)


@pytest.mark.parametrize('name, most', [
    ('process.args', 16384), ('process.env', 16384), ('process.rlimits', 64), ('process.user.additionalGids', 1024),
    ('process.capabilities.bounding', 256), ('mounts', 1024), ('mounts[0].options', 16384), ('hooks.prestart', 64),
    ('linux.namespaces', 8), ('linux.uidMappings', 340), ('linux.devices', 1024), ('linux.resources.devices', 4096),
    ('linux.resources.blockIO.weightDevice', 256), ('linux.resources.hugepageLimits', 64),
    ('linux.resources.network.priorities', 256), ('linux.seccomp.syscalls', 4096),
    ('linux.seccomp.syscalls[0].args', 16), ('linux.maskedPaths', 16384),
])
def test_too_many(ask, name, most):
    """Each list has an end before memory does."""
    path = next(path for path, _ in nodes(FULL) if name_of(path) == name)
    message = f'{most + 1} items are more than the {most} allowed'
    assert ask([changed(path, [0] * (most + 1))]) == [f'config.json: {name}: {message}']


@pytest.mark.parametrize('text', ['{"ociVersion": 1.0.0}', '{"ociVersion": "1.0.0"', '{"a": "\\ud800"}', '[' * 100000,
                                  '{"a": "\\u0000"}', '{"a": 1e999}', 'nul', '\xff'])
def test_no_json(build, text):
    done = subprocess.run([build / 'tests' / 'programs' / 'specread'], input=text.encode('latin-1') + b'\n',
                          stdout=subprocess.PIPE, timeout=20, check=True)
    assert re.match(rb'config\.json: line \d: .+\n$', done.stdout), done.stdout

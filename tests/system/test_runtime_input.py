# SPDX-License-Identifier: Apache-2.0
"""Bad configurations: each is refused with the field's path and leaves nothing (ISO-8)."""
import copy
import json

import pytest

from support_runtime import Runtime


@pytest.fixture(scope='module')
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def refused(runtime, config, message, status=3):
    done = runtime.run(config=config)
    assert done.stderr == f'bulkhead-runtime: {message}\n'
    assert done.returncode == status
    assert not runtime.leftovers()


@pytest.mark.parametrize('text, message', [
    ('', "config.json: line 1: '{' or '[' is expected at the end of the text"),
    ('{', 'config.json: line 1: a name in quotes is expected at the end of the text'),
    ('{}x', "config.json: line 1: more than one value near 'x'"),
    ('[]', 'config.json: must be an object, not an array'),
    ('{}', "config.json: 'ociVersion' is missing"),
    ('{"ociVersion":"1.0.0","ociVersion":"1.0.0"}',
     "config.json: line 1: an object has a name twice near ':\"1.0.0\"}'"),
    ('{"ociVersion":"1.0.0"}', 'config.json: process: is missing'),
    ('{"ociVersion":"2.0.0"}', "config.json: ociVersion: version '2.0.0' is not 1.x"),
])
def test_not_a_configuration(runtime, text, message):
    done = runtime.run(config=text or ' ')
    assert done.stderr == f'bulkhead-runtime: {message}\n'
    assert done.returncode == 3
    assert not runtime.leftovers()


def test_too_large(runtime):
    done = runtime.run(config=b'{"x":"' + b'y' * (1 << 20) + b'"}')
    assert done.stderr == "bulkhead-runtime: cannot read 'config.json': it is larger than 1048576 bytes\n"
    assert done.returncode == 3
    assert not runtime.leftovers()


def test_no_configuration(runtime):
    folder = runtime.folder / 'empty'
    folder.mkdir(exist_ok=True)
    done = runtime.call('run', '--bundle', folder, 'x')
    assert done.stderr == "bulkhead-runtime: cannot open 'config.json': No such file or directory\n"
    assert done.returncode == 4
    assert not runtime.leftovers()


FIELDS = [
    (('process', 'args'), [], 'process.args: names no program'),
    (('process', 'args'), 'x', 'process.args: must be an array, not a string'),
    (('process', 'args'), ['x', 1], 'process.args[1]: must be a string, not a number'),
    (('process', 'cwd'), 'x', "process.cwd: must be an absolute path, not 'x'"),
    (('process', 'env'), ['x'], "process.env[0]: must be NAME=VALUE, not 'x'"),
    (('process', 'terminal'), 1, 'process.terminal: must be a boolean, not a number'),
    (('process', 'user', 'uid'), -1, 'process.user.uid: -1 is not within 0 to 4294967295'),
    (('process', 'user', 'uid'), 1.5, 'process.user.uid: must be a whole number, not a number with a fraction'),
    (('process', 'user', 'uid'), 70000, 'process.user.uid: 70000 is not mapped in the user namespace'),
    (('process', 'user', 'umask'), 512, 'process.user.umask: 512 is not within 0 to 511'),
    (('process', 'capabilities', 'bounding'), ['CAP_CHOWN', 'CAP_KILL', 'CAP_FOO'],
     "process.capabilities.bounding[2]: unknown capability 'CAP_FOO'"),
    (('process', 'rlimits'), [{'type': 'RLIMIT_X', 'soft': 1, 'hard': 1}],
     "process.rlimits[0].type: unknown limit 'RLIMIT_X'"),
    (('process', 'rlimits'), [{'type': 'RLIMIT_CORE', 'soft': 2, 'hard': 1}],
     'process.rlimits[0]: soft limit is over the hard limit'),
    (('process', 'oomScoreAdj'), 1001, 'process.oomScoreAdj: 1001 is not within -1000 to 1000'),
    (('process', 'selinuxLabel'), 'x', 'process.selinuxLabel: is not supported by this runtime'),
    (('process', 'selinuxLabel'), 'x', 'process.selinuxLabel: is not supported by this runtime'),
    (('root', 'path'), '', 'root: path is empty'),
    (('root', 'readonly'), 'yes', 'root.readonly: must be a boolean, not a string'),
    (('hostname',), 'x' * 65, 'hostname: is longer than 64 bytes'),
    (('mounts', 0, 'destination'), 'proc', "mounts[0].destination: must be an absolute path, not 'proc'"),
    (('mounts', 0, 'type'), 'ext4', "mounts[0]: file system type 'ext4' is not supported"),
    (('mounts', 0, 'options'), ['remount'], "mounts[0]: mount option 'remount' is not supported"),
    (('mounts', 1, 'type'), 'mqueue', 'mounts[1]: /dev must be a tmpfs'),
    (('mounts', 7, 'options'), ['bind', 'mode=1777', 'readonly'], "mounts[7]: unknown mount option 'readonly'"),
    (('linux', 'namespaces'), [{'type': 'x'}], "linux.namespaces[0].type: unknown namespace 'x'"),
    (('linux', 'namespaces'), [{'type': 'pid'}, {'type': 'pid'}], "linux.namespaces: 'pid' is given twice"),
    (('linux', 'namespaces'), [{'type': 'pid'}, {'type': 'user'}],
     'linux.namespaces: with a user namespace a new mount namespace is needed'),
    (('linux', 'uidMappings'), [], 'linux.uidMappings: a new user namespace needs it'),
    (('linux', 'uidMappings'), [{'containerID': 0, 'hostID': 1, 'size': 0}],
     'linux.uidMappings[0]: size 0 does not fit the ids'),
    (('linux', 'resources', 'memory'), {'limit': 'x'},
     'linux.resources.memory.limit: must be a whole number, not a string'),
    (('linux', 'resources', 'unified'), {'../x': '1'}, "linux.resources.unified: '../x' is no controller's file"),
    (('linux', 'resources', 'devices'), [{'allow': True, 'access': 'x'}],
     "linux.resources.devices[0].access: must be of 'rwm', not 'x'"),
    (('linux', 'devices'), [{'path': '/etc/x', 'type': 'c', 'major': 1, 'minor': 3}],
     "linux.devices[0].path: '/etc/x' is not below /dev"),
    (('linux', 'cgroupsPath'), '/a/../b', "linux.cgroupsPath: must not contain '..'"),
    (('linux', 'cgroupsPath'), '/.', "linux.cgroupsPath: must not contain '.'"),
    (('linux', 'cgroupsPath'), '/a/./b', "linux.cgroupsPath: must not contain '.'"),
    (('linux', 'cgroupsPath'), 'a.slice:x:y',
     "linux.cgroupsPath: 'a.slice:x:y' is for the systemd driver, which is not supported"),
    (('linux', 'seccomp'), {'defaultAction': 'SCMP_ACT_X'}, "linux.seccomp.defaultAction: unknown action 'SCMP_ACT_X'"),
    (('linux', 'seccomp'), {'defaultAction': 'SCMP_ACT_NOTIFY'},
     'linux.seccomp.listenerPath: is missing, SCMP_ACT_NOTIFY needs it'),
    (('linux', 'rootfsPropagation'), 'upwards', "linux.rootfsPropagation: unknown propagation 'upwards'"),
    (('linux', 'maskedPaths'), ['x'], "linux.maskedPaths[0]: must be an absolute path, not 'x'"),
    (('linux', 'mountLabel'), 'x', 'linux.mountLabel: is not supported by this runtime'),
    (('hooks',), {'prestart': [{'path': 'x'}]}, "hooks.prestart[0].path: must be an absolute path, not 'x'"),
]


@pytest.mark.parametrize('path, value, message', FIELDS, ids=['.'.join(map(str, row[0])) for row in FIELDS])
def test_field_is_named(runtime, path, value, message):
    config = copy.deepcopy(runtime.config('/bin/true'))
    at = config
    for key in path[:-1]:
        at = at.setdefault(key, {}) if isinstance(at, dict) else at[key]
    at[path[-1]] = value
    refused(runtime, config, f'config.json: {message}')


def test_missing_root_and_sources_are_named(runtime):
    config = runtime.config('/bin/true')
    config['root']['path'] = 'nothing'
    refused(runtime, config, "config.json: root.path: cannot open 'nothing': No such file or directory", 4)
    config = runtime.config('/bin/true')
    config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': '/no/such', 'options': ['bind']})
    refused(runtime, config, "config.json: mounts[8]: cannot open source '/no/such': No such file or directory", 4)


def test_namespace_of_the_wrong_type(runtime):
    config = runtime.config('/bin/true')
    config['linux']['namespaces'][3]['path'] = '/proc/self/ns/uts'
    refused(runtime, config, "config.json: linux.namespaces: '/proc/self/ns/uts' is not a network namespace")


def test_lowered_oom_score_without_the_right_is_named(runtime):
    config = runtime.config('/bin/cat', '/proc/self/oom_score_adj')
    config['process']['oomScoreAdj'] = 500
    assert runtime.run(config=config).stdout == '500\n'
    config['process']['oomScoreAdj'] = -999
    done = runtime.run(config=config)
    if done.returncode:
        assert done.stderr == ('bulkhead-runtime: config.json: process.oomScoreAdj: cannot set -999: '
                               'Permission denied\nhint: lowering the score needs CAP_SYS_RESOURCE on the host\n')
    assert not runtime.leftovers()


def test_unknown_fields_are_passed_over(runtime):
    config = runtime.config('/bin/true')
    config['future'] = {'x': 1}
    config['linux']['future'] = [1]
    assert runtime.run(config=config).returncode == 0


def test_unlimited_rlimit_as_others_write_it(runtime):
    config = runtime.config('/bin/sh', '-c', 'ulimit -c')
    config['process']['rlimits'] = [{'type': 'RLIMIT_CORE', 'soft': 0, 'hard': 18446744073709551615}]
    assert runtime.run(config=json.dumps(config)).stdout == '0\n'

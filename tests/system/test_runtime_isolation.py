# SPDX-License-Identifier: Apache-2.0
"""What a container is kept from: privileges, calls, files, what belongs to the host (ISO-1, ISO-3, ISO-4, ISO-8)."""
import errno
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from support_runtime import UID_BASE, Runtime, needs_layer

CAPABILITIES = {'CAP_CHOWN': 0, 'CAP_KILL': 5, 'CAP_SETUID': 7, 'CAP_NET_BIND_SERVICE': 10, 'CAP_SYS_CHROOT': 18}


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def mask(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


def process_status(runtime, name):
    text = pathlib.Path(f"/proc/{runtime.status(name)['pid']}/status").read_text()
    return dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)


@pytest.mark.parametrize('asked, uid, wanted', [
    ({}, 0, {}),
    ({'bounding': ['CAP_CHOWN', 'CAP_KILL'], 'permitted': ['CAP_CHOWN', 'CAP_KILL'], 'effective': ['CAP_CHOWN'],
      'inheritable': ['CAP_CHOWN']}, 0, {'Prm': ('CAP_CHOWN', 'CAP_KILL'), 'Eff': ('CAP_CHOWN', 'CAP_KILL'),
                                         'Bnd': ('CAP_CHOWN', 'CAP_KILL')}),
    ({'bounding': ['CAP_NET_BIND_SERVICE'], 'permitted': ['CAP_NET_BIND_SERVICE', 'CAP_SETUID'],
      'effective': ['CAP_NET_BIND_SERVICE'], 'ambient': ['CAP_NET_BIND_SERVICE']}, 1000,
     {key: ('CAP_NET_BIND_SERVICE',) for key in ('Prm', 'Eff', 'Bnd', 'Amb', 'Inh')}),
    ({'bounding': ['CAP_KILL'], 'permitted': ['CAP_KILL'], 'effective': ['CAP_KILL']}, 1000, {'Bnd': ('CAP_KILL',)}),
])
def test_capabilities_are_the_computed_sets(runtime, asked, uid, wanted):
    name = runtime.start('/bin/sleep', '1000', capabilities=asked, user={'uid': uid, 'gid': uid})
    status = process_status(runtime, name)
    assert {key: int(status[f'Cap{key}'], 16) for key in ('Inh', 'Prm', 'Eff', 'Bnd', 'Amb')} == {
        key: mask(*wanted.get(key, ())) for key in ('Inh', 'Prm', 'Eff', 'Bnd', 'Amb')}
    assert (status['NoNewPrivs'], status['Seccomp'], status['Seccomp_filters']) == ('1', '2', '1')


def test_every_namespace_is_its_own(runtime):
    name = runtime.start('/bin/sleep', '1000')
    pid = runtime.status(name)['pid']
    for kind in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'):
        assert os.readlink(f'/proc/{pid}/ns/{kind}') != os.readlink(f'/proc/self/ns/{kind}'), kind


def test_no_descriptor_of_the_host_stays_open(runtime):
    secret = runtime.folder / 'secret'
    secret.write_text('x')
    with open(secret, encoding='utf-8') as leaked:
        os.set_inheritable(leaked.fileno(), True)
        name = runtime.start('/bin/sleep', '1000')
    pid = runtime.status(name)['pid']
    assert sorted(os.listdir(f'/proc/{pid}/fd')) == ['0', '1', '2']
    bundle = runtime.bundle(runtime.config('/bin/sh', '-c', 'ls /proc/self/fd'))
    with open(secret, encoding='utf-8') as leaked:
        done = runtime.call('run', '--bundle', bundle, 'leak', pass_fds=(leaked.fileno(),))
    assert done.stdout.split() == ['0', '1', '2', '3']


@pytest.mark.parametrize('readonly', [True, pytest.param(False, marks=needs_layer)], ids=['root', 'layer'])
def test_only_the_containers_mounts_are_seen(runtime, readonly):
    config = runtime.config('/bin/cat', '/proc/self/mountinfo')
    config['root']['readonly'] = readonly
    lines = runtime.run(config=config).stdout.splitlines()
    points = [line.split()[4] for line in lines]
    assert points.count('/') == 1
    assert 'nodev' in next(line.split()[5] for line in lines if line.split()[4] == '/')
    known = {'/', '/proc', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue', '/sys', '/sys/fs/cgroup', '/tmp',
             *config['linux']['maskedPaths'], *config['linux']['readonlyPaths']}
    assert {point for point in points if not point.startswith('/sys/fs/cgroup/')} <= known
    assert not any('master:' in line or 'shared:' in line for line in lines)


def test_root_is_read_only_and_dev_has_only_the_known(runtime):
    assert runtime.run('/bin/touch', '/x').stderr == 'touch: /x: Read-only file system\n'
    assert runtime.shell('cd /dev; ls').split() == (
        'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split())
    assert runtime.shell('cd /dev; stat -c "%n %t:%T %a" null zero full random urandom tty') == (
        'null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\n')


def test_masked_and_protected_paths(runtime):
    assert runtime.shell('cat /proc/keys; ls /sys/firmware; cat /proc/timer_list') == ''
    for path in ('/proc/sys/kernel/hostname', '/proc/sys/net/ipv4/ip_forward', '/proc/irq/default_smp_affinity'):
        done = runtime.run('/bin/sh', '-c', f'echo x > {path}')
        assert done.returncode == 1
        assert re.search('Read-only file system|Permission denied', done.stderr), done.stderr


@pytest.mark.parametrize('path', ['/proc/keys/', '//proc//keys', '/proc/./keys', '/proc/self/../keys', '/link/keys/'])
def test_a_mask_holds_by_any_name(runtime, path):
    """A slash behind a file is none that says it is not there."""
    (runtime.folder / 'rootfs' / 'link').symlink_to('proc')
    assert runtime.shell('stat -c %t:%T /proc/keys', maskedPaths=[path]) == '1:3\n'
    done = runtime.run('/bin/sh', '-c', 'echo x >/proc/sys/kernel/hostname', maskedPaths=[],
                       readonlyPaths=['/proc/sys/kernel/hostname/'])
    assert 'Read-only file system' in done.stderr


@pytest.mark.parametrize('path', ['/proc/keys', '//proc/keys'])
def test_a_mask_that_would_fall_on_no_procfs_is_refused(runtime, path):
    (runtime.folder / 'fake').mkdir()
    (runtime.folder / 'fake' / 'keys').write_text('fake')
    config = runtime.config(maskedPaths=[path], readonlyPaths=[])
    config['mounts'].append({'destination': '/proc', 'type': 'bind', 'source': str(runtime.folder / 'fake'),
                             'options': ['bind']})
    assert runtime.run(config=config).stderr == f"bulkhead-runtime: cannot mask '{path}': Wrong medium type\n"


def test_device_nodes_cannot_be_made(runtime):
    capabilities = {key: ['CAP_MKNOD', 'CAP_SYS_ADMIN'] for key in ('bounding', 'permitted', 'effective')}
    done = runtime.run('/bin/busybox', 'mknod', '/tmp/disk', 'b', '254', '0', capabilities=capabilities)
    assert done.returncode == 1
    assert done.stderr in ('mknod: /tmp/disk: Operation not permitted\n', 'mknod: /tmp/disk: Permission denied\n')


@pytest.mark.parametrize('words, message', [
    (['unshare', '-U', 'true'], 'unshare: unshare(0x10000000): Operation not permitted\n'),
    (['mount', '-t', 'tmpfs', 'x', '/tmp'], 'mount: permission denied (are you root?)\n'),
    (['chroot', '/tmp', '/bin/true'], "chroot: can't change root directory to '/tmp': Operation not permitted\n"),
    (['nsenter', '-t', '1', '-n', 'true'],
     "nsenter: setns(): can't reassociate to namespace 'net': Operation not permitted\n"),
    (['dmesg'], 'dmesg: klogctl: Operation not permitted\n'),
])
def test_denied_calls(runtime, words, message):
    done = runtime.run('/bin/busybox', *words)
    assert (done.returncode, done.stderr) == (1, message)


def test_writable_is_not_executable(runtime):
    done = runtime.run('/bin/sh', '-c', 'cp /bin/busybox /tmp/true && /tmp/true')
    assert (done.returncode, done.stderr) == (126, '/bin/sh: /tmp/true: Permission denied\n')
    config = runtime.config('/bin/sh', '-c', 'cp /bin/busybox /tmp/true && /tmp/true')
    config['mounts'][-1]['options'].append('exec')
    assert runtime.run(config=config).returncode == 0


def test_mount_over_a_link_is_found_by_landlock(runtime):
    (runtime.folder / 'rootfs' / 'link').symlink_to('tmp')
    config = runtime.config('/bin/sh', '-c', 'cp /bin/busybox /tmp/true && /tmp/true')
    config['mounts'][-1]['destination'] = '/link'
    done = runtime.run(config=config)
    assert (done.returncode, done.stderr) == (126, '/bin/sh: /tmp/true: Permission denied\n')


def test_only_own_processes_are_seen(runtime):
    words = runtime.shell('for p in /proc/[0-9]*; do echo $p; done; tr -d "\\000" < /proc/2/cmdline')
    assert words == '/proc/1\n/proc/2\nbulkhead-exec'


@pytest.mark.parametrize('target', ['/proc', '/dev', '/sys'])
def test_kernel_folders_that_are_links_are_refused(runtime, target):
    rootfs = runtime.folder / 'rootfs'
    (rootfs / target[1:]).rmdir()
    (rootfs / target[1:]).symlink_to('tmp')
    done = runtime.run('/bin/true')
    assert done.returncode != 0
    assert 'Too many levels of symbolic links' in done.stderr
    assert not runtime.leftovers()


@needs_layer
def test_links_of_the_image_do_not_lead_out(runtime):
    rootfs = runtime.folder / 'rootfs'
    (rootfs / 'out').symlink_to('/../../../../var/tmp')
    (rootfs / 'dangling').symlink_to('/nowhere')
    (rootfs / 'var' / 'tmp').mkdir(parents=True)
    config = runtime.config('/bin/sh', '-c', 'ls /out /var/tmp/here 2>&1; cat /proc/self/mountinfo')
    config['root']['readonly'] = False
    config['mounts'].append({'destination': '/out/here', 'type': 'tmpfs', 'source': 'tmpfs', 'options': []})
    done = runtime.run(config=config)
    assert done.returncode == 0, done.stderr
    assert ' /var/tmp/here ' in done.stdout
    assert not pathlib.Path('/var/tmp/here').exists()
    config['mounts'][-1]['destination'] = '/dangling/here'
    done = runtime.run(config=config)
    assert done.stderr == ("bulkhead-runtime: config.json: mounts[8]: mount target '/dangling/here': "
                           'Too many levels of symbolic links\n')


def test_cwd_outside_of_the_root_is_refused(runtime):
    config = runtime.config('/bin/sh', '-c', 'pwd')
    config['process']['cwd'] = '/proc/self/fd/3'
    done = runtime.run(config=config)
    assert done.returncode != 0
    assert done.stderr == ("bulkhead-runtime: container 'c1': config.json: process.cwd: cannot enter "
                           "'/proc/self/fd/3': Too many levels of symbolic links\n")


def test_given_profile_decides(runtime):
    profile = {'defaultAction': 'SCMP_ACT_ALLOW', 'architectures': ['SCMP_ARCH_X86_64'], 'syscalls': [
        {'names': ['mkdir'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 38},
        {'names': ['sethostname'], 'action': 'SCMP_ACT_KILL_PROCESS'}]}
    config = runtime.config('/bin/mkdir', '/tmp/x')
    config['linux']['seccomp'] = profile
    assert runtime.run(config=config).stderr == "mkdir: can't create directory '/tmp/x': Function not implemented\n"
    config['process']['args'] = ['/bin/hostname', 'x']
    assert runtime.run(config=config).returncode == 128 + 31


def test_sysctls_are_an_allow_list(runtime):
    config = runtime.config('/bin/cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start', '/proc/sys/kernel/msgmax')
    config['linux']['sysctl'] = {'net.ipv4.ip_unprivileged_port_start': '7', 'kernel.msgmax': '1234'}
    assert runtime.run(config=config).stdout == '7\n1234\n'
    for name in ('kernel.core_pattern', 'vm.overcommit_memory', 'net.ipv4..x', 'kernel/msgmax'):
        config['linux']['sysctl'] = {name: '1'}
        done = runtime.run(config=config)
        assert done.returncode == 3
        assert done.stderr.startswith('bulkhead-runtime: config.json: linux.sysctl: ')
    config['linux']['sysctl'] = {'kernel.msgmax': '1\n2'}
    assert runtime.run(config=config).stderr == (
        "bulkhead-runtime: config.json: linux.sysctl: 'kernel.msgmax' cannot have the value '1?2'\n")


def test_control_groups_are_read_only_inside(runtime):
    done = runtime.run('/bin/sh', '-c', 'for g in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $g/x && echo made; done')
    assert 'made' not in done.stdout


def test_raw_and_packet_sockets_are_refused(runtime):
    done = runtime.run('/bin/busybox', 'arping', '-c', '1', '127.0.0.1')
    assert done.returncode == 1
    assert 'Address family not supported by protocol' in done.stderr


def test_program_of_the_runtime_is_write_protected_without_a_user_namespace(runtime):
    config = runtime.config('/bin/sleep', '1000')
    config['linux']['namespaces'] = [row for row in config['linux']['namespaces'] if row['type'] != 'user']
    del config['linux']['uidMappings'], config['linux']['gidMappings'], config['annotations']
    bundle = runtime.bundle(config)
    # A program of its own: one that others execute at this moment is not to be written anyway.
    own = shutil.copy(runtime.program, runtime.folder / 'runtime')
    with open(os.devnull, 'rb+') as null:
        subprocess.run([own, '--root', str(runtime.state), 'create', '--bundle', str(bundle), 'a'],
                       stdin=null, stdout=null, stderr=null, check=True)
    with open(f"/proc/{runtime.status('a')['pid']}/exe", 'rb') as program:
        assert runtime.call('delete', '--force', 'a').returncode == 0
        with pytest.raises(OSError) as caught:
            with open(f'/proc/self/fd/{program.fileno()}', 'r+b'):
                pass
    assert caught.value.errno == errno.EROFS


def test_program_of_the_runtime_is_not_the_containers_to_write(runtime):
    config = runtime.config('/bin/sleep', '1000')
    bundle = runtime.bundle(config)
    with open(os.devnull, 'rb+') as null:
        subprocess.run([runtime.program, '--root', str(runtime.state), 'create', '--bundle', str(bundle), 'a'],
                       stdin=null, stdout=null, stderr=null, check=True)
    pid = runtime.status('a')['pid']
    status = pathlib.Path(f'/proc/{pid}/exe').stat()
    assert not UID_BASE <= status.st_uid < UID_BASE + 65536
    assert not status.st_mode & 0o002
    assert pathlib.Path(f'/proc/{pid}/fd').stat().st_uid == 0, 'the waiting process is not to be looked into'


def test_sysctls_of_the_hosts_namespaces_are_refused(runtime):
    config = runtime.config('/bin/true')
    spaces = [row for row in config['linux']['namespaces'] if row['type'] not in ('user', 'network')]
    config['linux']['namespaces'] = spaces + [{'type': 'network', 'path': '/proc/self/ns/net'}]
    del config['linux']['uidMappings'], config['linux']['gidMappings'], config['annotations']
    config['linux']['sysctl'] = {'net.ipv4.ip_forward': '1'}
    done = runtime.run(config=config)
    assert done.stderr == ("bulkhead-runtime: config.json: linux.sysctl: 'net.ipv4.ip_forward' would change the host: "
                           'the container has no network namespace of its own\n')
    assert not runtime.leftovers()


@pytest.mark.skipif(not os.path.exists('/dev/loop-control'), reason='no loop devices')
def test_link_of_the_image_gives_no_execution(runtime):
    """On a file system whose folders do not tell links from others, one to where writing is granted grants nothing."""
    image, root = runtime.folder / 'image', runtime.folder / 'disk'
    root.mkdir()
    subprocess.run(['truncate', '-s', '16M', image], check=True)
    subprocess.run(['mkfs.ext4', '-q', '-O', '^filetype', '-d', runtime.folder / 'rootfs', image], check=True)
    subprocess.run(['mount', '-o', 'loop', image, root], check=True)
    try:
        (root / 'link').symlink_to('tmp')
        config = runtime.config('/bin/sh', '-c', 'cp /bin/busybox /tmp/true; /tmp/true && echo executed; /bin/echo end',
                                root={'path': str(root), 'readonly': True})
        done = runtime.run(config=config)
    finally:
        subprocess.run(['umount', root], check=True)
    assert (done.stdout, done.stderr) == ('end\n', '/bin/sh: /tmp/true: Permission denied\n')


@pytest.mark.parametrize('uid, bits', [(0, '0xca'), (1000, '0xcb')], ids=['root', 'user'])
def test_secure_bits_are_locked(runtime, build, uid, bits):
    """No process gets capabilities back by its user's number, and none can change that."""
    shutil.copy(build / 'tests/programs/marker', runtime.folder / 'rootfs/bin/marker')
    name = runtime.start('/bin/sleep', '1000', user={'uid': uid, 'gid': uid})
    for done in (runtime.call('exec', name, '/bin/marker'), runtime.run('/bin/marker', user={'uid': uid, 'gid': uid})):
        assert [line for line in done.stdout.splitlines() if line.startswith('securebits')] == [f'securebits {bits}']


def test_root_is_always_pivoted_to(runtime):
    done = runtime.call('run', '--no-pivot', '--bundle', runtime.bundle(runtime.config()), 'a')
    assert (done.returncode, done.stderr) == (3, 'bulkhead-runtime: --no-pivot is not supported\n')
    assert not runtime.leftovers()


def test_landlock_handles_every_right_of_its_abi(runtime):
    """What the kernel knows to hold back is held back, unless a mount grants it; nothing that can be written to is
    executable, and devices are made nowhere."""
    trace = runtime.folder / 'trace'
    bundle = runtime.bundle(runtime.config('/bin/true'))
    subprocess.run(['strace', '-f', '-X', 'raw', '-e', 'trace=landlock_create_ruleset,landlock_add_rule', '-o', trace,
                    runtime.program, '--root', runtime.state, 'run', '--bundle', bundle, 'a'], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
    text = trace.read_text()
    abi = int(re.search(r'landlock_create_ruleset\(NULL, 0, 0x1\) = (\d+)', text).group(1))
    every = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16, 8: 16}.get(abi, 17)
    handled, = re.findall(r'landlock_create_ruleset\({handled_access_fs=(0x[0-9a-f]+)', text)
    assert int(handled, 16) == (1 << every) - 1
    # The scopes of ABI 6 are the structure's last word.
    assert len(re.findall(r'\d, 24, 0\) = |}, 24, 0\) = ', text)) == (abi >= 6)
    grants = [int(word, 16) for word in re.findall(r'allowed_access=(0x[0-9a-f]+)', text)]
    execute, write, devices = 1 << 0, 1 << 1, 1 << 6 | 1 << 11
    assert len(grants) > 5
    assert any(grant & execute for grant in grants) and any(grant & write for grant in grants)
    assert [hex(grant) for grant in grants if grant & devices or (grant & execute and grant & write)] == []


PORTS = 'nc -l -p 7000 -e true & sleep 0.3; nc 127.0.0.1 {port} < /dev/null; echo $?; nc -l -p 7002; echo $?'


@pytest.mark.parametrize('bind, connect, port, wanted', [
    (None, None, 7000, ['0']),
    ('7000', '7000', 7000, ['0', '1']),
    ('7000', '', 7000, ['1', '1']),
    ('7000,7001', '7001', 7000, ['1', '1']),
    ('', None, 7000, ['1', '1']),
])
def test_tcp_ports_are_bound_by_annotations(runtime, bind, connect, port, wanted):
    """The kernel's rights over ports are handled where a container says which it needs; exec is inside as well."""
    annotations = {'dev.bulkhead.root.idmap': 'true'}
    for key, value in (('bind', bind), ('connect', connect)):
        if value is not None:
            annotations[f'dev.bulkhead.landlock.{key}-tcp'] = value
    (runtime.folder / 'rootfs/bin/nc').unlink(missing_ok=True)
    (runtime.folder / 'rootfs/bin/nc').symlink_to('busybox')
    script = PORTS.format(port=port) if bind is not None else PORTS.format(port=port).split('; nc -l')[0]
    assert runtime.shell(script, annotations=annotations).split() == wanted
    if bind is not None:
        name = runtime.start('/bin/sleep', '1000', annotations=annotations)
        done = runtime.call('exec', name, '/bin/nc', '-l', '-p', '7003')
        assert (done.returncode, 'Permission denied' in done.stderr) == (1, True)


@pytest.mark.parametrize('text', ['x', '80,', ',80', '65536', '-1', '80, 443', ','.join(['1'] * 65)])
def test_ports_that_are_none(runtime, text):
    done = runtime.run(annotations={'dev.bulkhead.landlock.connect-tcp': text})
    assert (done.returncode, done.stderr) == (
        3, f"bulkhead-runtime: config.json: annotations.dev.bulkhead.landlock.connect-tcp: '{text[:64]}' is no list of "
        "up to 64 ports\n")


@pytest.fixture
def shared(runtime):
    """A folder that is a shared mount in a mount namespace of its own, as the machine's root is under systemd; yields
    the words that run something there."""
    keeper = subprocess.Popen(['unshare', '-m', '--propagation', 'private', 'sh', '-c',
                               f'mount --bind {runtime.folder} {runtime.folder}; '
                               f'mount --make-shared {runtime.folder}; echo ready; read end'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert keeper.stdout.readline() == b'ready\n'
    yield ['nsenter', '-m', '-t', str(keeper.pid)]
    keeper.communicate(b'\n', 10)


@pytest.mark.parametrize('asked, arrives, leaves, optional', [
    (None, False, False, ''), ('private', False, False, ''), ('rprivate', False, False, ''),
    ('slave', True, False, 'master:'), ('rslave', True, False, 'master:'), ('shared', False, False, 'shared:'),
    ('unbindable', False, False, 'unbindable'),
])
def test_propagation_of_the_root(runtime, shared, asked, arrives, leaves, optional):
    """What the machine mounts below the root later is seen with `slave` alone; what the container mounts is never seen
    outside of it; and the root is marked as it was asked for."""
    config = runtime.config('/bin/sleep', '1000', annotations={})
    linux = config['linux']
    linux['namespaces'] = [row for row in linux['namespaces'] if row['type'] not in ('user', 'pid')]
    for key in ('uidMappings', 'gidMappings'):
        del linux[key]
    if asked:
        linux['rootfsPropagation'] = asked
    bundle = runtime.bundle(config)
    words = [*shared, runtime.program, '--root', runtime.state]
    subprocess.run([*words, 'run', '--detach', '--bundle', bundle, 'a'], stdin=subprocess.DEVNULL, check=True,
                   stdout=subprocess.DEVNULL, timeout=60)
    subprocess.run([*shared, 'mount', '-t', 'tmpfs', 'later', runtime.folder / 'rootfs/data'], check=True)
    try:
        lines = runtime.call('exec', 'a', '/bin/cat', '/proc/self/mountinfo').stdout.splitlines()
        root, = [line for line in lines if line.split()[4] == '/']
        assert [word for word in root.split(' - ')[0].split()[6:]] == [] if not optional else optional in root
        assert any(line.split()[4] == '/data' for line in lines) == arrives
        pid = runtime.status('a')['pid']
        subprocess.run(['nsenter', '-m', '-t', str(pid), '/bin/busybox', 'mount', '-t', 'tmpfs', 'inside', '/tmp'],
                       check=True)
        outside = subprocess.check_output([*shared, 'cat', '/proc/self/mountinfo'], text=True)
        assert ('inside' in outside) == leaves
    finally:
        subprocess.run([*shared, 'umount', runtime.folder / 'rootfs/data'], check=True)
        runtime.call('delete', '--force', 'a')

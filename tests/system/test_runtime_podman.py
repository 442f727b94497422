# SPDX-License-Identifier: Apache-2.0
"""Another engine as caller: podman with --runtime. Nothing may be left of a container after any of these."""
import concurrent.futures
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile

import pytest

import support_engines
from support_runtime import wait_until

pytestmark = pytest.mark.seconds(120)
IMAGE = 'localhost/busybox:latest'


@pytest.fixture(scope='module')
def engine(programs):
    if not shutil.which('podman'):
        pytest.skip('podman is not installed')
    # It forgets the named hierarchy when it removes a pod's group, whatever the runtime, and has its store on a mount.
    foreign = r'/systemd/libpod_parent/|^mount: \S+/p/overlay \w+ '
    with support_engines.engine(programs / 'bulkhead-runtime', hide_v2=True, foreign=foreign) as made:
        folder = made.folder
        made.base = ['podman', '--root', folder / 'p', '--runroot', folder / 'r', '--tmpdir', folder / 't',
                     '--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--runtime', made.runtime]
        made.inside('echo containers:200000:200000 | tee /etc/subuid >/etc/subgid')
        # The name of an image is made of the path of its layout.
        (folder / 'busybox').symlink_to(support_engines.busybox_layout())
        made.ok('tag', made.ok('pull', '--quiet', f'oci:{folder}/busybox:bookworm').strip(), IMAGE)
        # The groups above all containers' are podman's own and stay.
        assert run(made, '--rm', IMAGE, 'true').returncode == 0
        made.remember()
        yield made


@pytest.fixture
def podman(engine):
    yield engine
    engine('pod', 'rm', '--all', '--force', '--time', '0')
    engine('rm', '--all', '--force', '--time', '0')
    engine.assert_nothing_left()


def run(podman, *words, network='none', **options):
    return podman('run', '--network', network, '--user', '0', *words, **options)


def shell(podman, script, *words, **options):
    """What a script printed, run as the one program of a container."""
    done = run(podman, '--rm', *words, IMAGE, 'sh', '-c', script, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hostile_image(podman, link, target):
    """A root of busybox with a link where the engine or the runtime puts something; its name."""
    archive = podman.folder / 'hostile.tar'
    with tarfile.open(archive, 'w') as to:
        to.add('/usr/bin/busybox', 'bin/busybox')
        for folder in {'etc', 'dev', 'proc', 'sys', 'run', 'tmp'} - {link}:
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o755
            to.addfile(made)
        made = tarfile.TarInfo(link)
        made.type, made.linkname = tarfile.SYMTYPE, target
        to.addfile(made)
    return podman.ok('import', '--quiet', archive).strip()


@pytest.mark.parametrize('link', ['dev', 'proc', 'sys', 'run', 'etc', 'etc/hosts', 'run/.containerenv', 'dev/console',
                                  'dev/pts', 'data'])
def test_links_of_an_image_lead_to_nothing_of_the_host(podman, link):
    """Whether it runs or is refused, nothing is made, written or covered where an image's link leads."""
    victim = podman.folder / 'victim'
    shutil.rmtree(victim, ignore_errors=True)
    victim.mkdir()
    (victim / 'file').write_text('mine')
    target = victim / 'file' if '/' in link else victim
    image = hostile_image(podman, link, '../' * 12 + str(target)[1:])
    done = run(podman, '--rm', '--tty', '--volume', f'{podman.folder}/hostile.tar:/data/x:ro', image, '/bin/busybox',
               'echo', 'ran')
    podman('rmi', '--force', image)
    assert done.returncode or done.stdout.strip() == 'ran', done
    assert ([path.name for path in victim.iterdir()], (victim / 'file').read_text()) == (['file'], 'mine')


def test_tmpfs_begins_with_what_the_image_has(podman):
    script = 'cd /etc; ls passwd group; echo x > passwd && cat passwd; stat -f -c %T .'
    with_image = shell(podman, script, '--mount', 'type=tmpfs,destination=/etc,tmpcopyup', '--read-only')
    assert with_image.split() == ['group', 'passwd', 'x', 'tmpfs']
    assert shell(podman, 'ls /etc/passwd 2>&1 | wc -l; ls /etc', '--mount',
                 'type=tmpfs,destination=/etc,notmpcopyup').split()[0] == '1'


LIMITS = {
    'memory.limit_in_bytes memory.max': '67108864',
    'memory.soft_limit_in_bytes memory.low': '33554432',
    'memory.swappiness': '30',
    'pids.max': '20',
    'cpu.cfs_quota_us': '50000',
    'cpu.shares': '512',
    'cpuset.cpus': '0',
}


def test_limits(podman):
    files = ' '.join(name.split()[0] for name in LIMITS)
    script = f'cd /sys/fs/cgroup; for file in {files}; do cat ${{file%%.*}}/$file; done; ulimit -n -u -c'
    seen = shell(podman, script, '--memory', '64m', '--memory-reservation', '32m', '--memory-swap', '64m',
                 '--memory-swappiness', '30', '--pids-limit', '20', '--cpus', '0.5', '--cpu-shares', '512',
                 '--cpuset-cpus', '0', '--ulimit', 'nofile=900:1000', '--ulimit', 'nproc=1000:1000', '--ulimit',
                 'core=0:0').splitlines()
    assert seen[:len(LIMITS)] == list(LIMITS.values())
    assert [line.split()[-1] for line in seen[len(LIMITS):]] == ['900', '1000', '0']


def test_privileges_and_files(podman):
    """One container asked for much at once, looked at from inside."""
    folder = podman.folder / 'shared'
    folder.mkdir()
    (folder / 'file').write_text('of the host')
    os.mknod(folder / 'device', 0o600 | stat.S_IFCHR, os.makedev(10, 237))
    profile = podman.folder / 'seccomp.json'
    profile.write_text(json.dumps({'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [
        {'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 95}]}))
    script = '''hostname; grep -E "^(CapPrm|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status | tr -s "\\t\\n" "  "; echo
    cat /ro/file; echo; touch /ro/x 2>&1; touch /root-is 2>&1; mkdir /mnt/x 2>&1; cp /ro/file /rw/copy
    stat -c %a,%T,%t /dev/log; true </dev/log && echo readable; true 2>/dev/null >/dev/log || echo not writable
    cat /proc/sys/net/ipv4/ip_local_port_range; cat /proc/1/comm; touch /tmp/x && df -m /mnt | tail -1 | tr -s " "
    echo $VALUE; pwd; umask; id -G'''
    seen = shell(podman, script, '--hostname', 'foo', '--init', '--read-only', '--cap-drop', 'all', '--cap-add',
                 'net_admin', '--security-opt', 'no-new-privileges', '--security-opt', f'seccomp={profile}',
                 '--tmpfs', '/mnt:size=1m', '--sysctl', 'net.ipv4.ip_local_port_range=2000 3000', '--device',
                 f'{folder}/device:/dev/log:r', '--volume', f'{folder}:/ro:ro,z', '--volume', f'{folder}:/rw:Z',
                 '--env', 'VALUE=given', '--workdir', '/tmp', '--umask', '0027', '--group-add', '77').splitlines()
    assert seen == [
        'foo', 'CapPrm: 0000000000001000 CapBnd: 0000000000001000 NoNewPrivs: 1 Seccomp: 2 ', 'of the host',
        'touch: /ro/x: Read-only file system', 'touch: /root-is: Read-only file system',
        "mkdir: can't create directory '/mnt/x': Operation not supported", '600,ed,a', 'readable', 'not writable',
        '2000\t3000', 'podman-init', 'tmpfs 1 0 1 0% /mnt', 'given', '/tmp', '0027', '0 77']
    assert (folder / 'copy').read_text() == 'of the host'


def test_user_namespaces(podman):
    assert shell(podman, 'cat /proc/self/uid_map; stat -c %u /bin/busybox', '--userns', 'auto:size=1024').split() == [
        '0', '200000', '1024', '0']
    seen = shell(podman, 'cat /proc/self/uid_map /proc/self/gid_map; touch /x && stat -c %u:%g /x /proc', '--uidmap',
                 '0:100000:65536', '--gidmap', '0:110000:65536', '--read-only=false').split()
    assert seen == ['0', '100000', '65536', '0', '110000', '65536', '0:0', '65534:65534']


def test_exit_statuses(podman):
    """What podman tells apart by the runtime's error and the program's end."""
    assert run(podman, '--rm', IMAGE, 'sh', '-c', 'exit 3').returncode == 3
    done = run(podman, '--rm', IMAGE, '/nonexistent')
    assert (done.returncode, 'No such file or directory' in done.stderr) == (127, True), done.stderr
    done = run(podman, '--rm', IMAGE, '/etc/passwd')
    assert (done.returncode, 'ermission denied' in done.stderr) == (126, True), done.stderr
    seen = run(podman, '--rm', '--interactive', IMAGE, 'cat', stdin=None, input='through a pipe')
    assert (seen.returncode, seen.stdout) == (0, 'through a pipe')


def test_life(podman):
    run(podman, '--detach', '--name', 'box', '--health-cmd', 'test -e /tmp/well', '--health-interval', 'disable',
        '--memory', '64m', IMAGE, 'sh', '-c', 'trap "echo caught" USR1; echo hello; while :; do sleep 0.1; done')
    wait_until(lambda: podman.ok('logs', 'box') == 'hello\n')
    lines = podman.ok('top', 'box', 'pid', 'user', 'args').splitlines()
    assert lines[0].split() == ['PID', 'USER', 'COMMAND'] and lines[1].split()[:3] == ['1', 'root', 'sh']
    stats = json.loads(podman.ok('stats', '--no-stream', '--format', 'json', 'box'))[0]
    assert stats['name'] == 'box' and int(stats['pids']) >= 1 and '67.11MB' in stats['mem_usage']
    assert podman('healthcheck', 'run', 'box').returncode == 1
    done = podman('exec', '--user', '1000', '--workdir', '/tmp', '--env', 'A=b', 'box', 'sh', '-c',
                  'id -u; pwd; echo $A; touch well; exit 4')
    assert (done.returncode, done.stdout.split()) == (4, ['1000', '/tmp', 'b'])
    assert podman('healthcheck', 'run', 'box').returncode == 0
    done = podman('exec', 'box', '/nonexistent')
    assert done.returncode == 127, done.stderr
    podman.ok('kill', '--signal', 'USR1', 'box')
    wait_until(lambda: podman.ok('logs', 'box') == 'hello\ncaught\n')


def test_pause_copy_update_stop(podman):
    run(podman, '--detach', '--name', 'box', '--memory', '64m', IMAGE, 'sleep', '1000')
    podman.ok('pause', 'box')
    assert podman.ok('inspect', '--format', '{{.State.Status}}', 'box') == 'paused\n'
    podman.ok('unpause', 'box')
    (podman.folder / 'sent').write_text('sent')
    podman.ok('cp', podman.folder / 'sent', 'box:/tmp/sent')
    podman.ok('cp', 'box:/tmp/sent', podman.folder / 'back')
    assert (podman.folder / 'back').read_text() == 'sent'
    podman.ok('update', '--memory', '100m', '--memory-swap', '200m', '--cpus', '0.2', 'box')
    files = 'memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us'
    seen = podman.ok('exec', 'box', 'sh', '-c', f'cd /sys/fs/cgroup; cat {files}').split()
    assert seen == ['104857600', '20000']
    done = podman('container', 'checkpoint', 'box')
    assert done.returncode == 125, done.stdout
    podman.ok('stop', '--time', '0', 'box')
    assert podman.ok('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', 'box') == 'exited 137\n'
    podman.ok('start', 'box')
    podman.ok('rm', '--force', '--time', '0', 'box')
    done = run(podman, '--name', 'again', '--restart', 'on-failure:2', IMAGE, 'sh', '-c', 'echo once; false')
    assert done.returncode == 1
    wait_until(lambda: podman.ok('inspect', '--format', '{{.RestartCount}} {{.State.Status}}', 'again') == '2 exited\n')
    assert podman.ok('logs', 'again') == 'once\n' * 3


def test_pod_and_network(podman):
    """The infra container holds the namespaces that the others join by path; the bridge is CNI's."""
    podman.ok('pod', 'create', '--name', 'pod', '--infra-image', IMAGE, '--infra-command', '/bin/sleep 1000')
    podman.ok('run', '--detach', '--pod', 'pod', '--user', '0', '--name', 'server', IMAGE, 'sh', '-c',
              'hostname; nc -l -p 2000; nc -l -p 2001')
    wait_until(lambda: podman.ok('logs', 'server') == 'pod\n')
    podman.ok('run', '--rm', '--pod', 'pod', IMAGE, 'sh', '-c', 'until echo beside | nc 127.0.0.1 2000; do :; done')
    address = podman.ok('inspect', '--format', '{{.NetworkSettings.IPAddress}}',
                        podman.ok('pod', 'inspect', '--format', '{{.InfraContainerID}}', 'pod').strip()).strip()
    shell(podman, f'until echo across | nc {address} 2001; do :; done', network='bridge')
    wait_until(lambda: podman.ok('logs', 'server') == 'pod\nbeside\nacross\n')
    podman.ok('pod', 'pause', 'pod')
    podman.ok('pod', 'unpause', 'pod')
    podman.ok('pod', 'stop', '--time', '0', 'pod')
    podman.ok('pod', 'rm', 'pod')


def test_host_namespaces(podman):
    """Namespaces of the host where the caller says so."""
    script = 'for name in net uts ipc; do readlink /proc/self/ns/$name; done'
    assert shell(podman, script, '--uts', 'host', '--ipc', 'host', network='host') == podman.inside(script)


def test_named_in_the_configuration(podman):
    """As docs/drop-in.md has it."""
    page = (support_engines.TOP / 'docs/drop-in.md').read_text()
    conf = re.search(r'```toml\n(\[engine\]\n.*?)```', page, re.S)[1]
    path = podman.folder / 'containers.conf'
    path.write_text(conf.replace('/usr/bin/bulkhead-runtime', podman.runtime))
    base = podman.base[:podman.base.index('--cgroup-manager')]
    words = ['run', '--network', 'none', '--name', 'box', IMAGE, 'sh', '-c', 'ls -d /proc/1']
    done = podman.cell.run(['env', f'CONTAINERS_CONF={path}', *base, *words], env=podman.environment(),
                           stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, '/proc/1\n'), done.stderr
    assert podman.ok('inspect', '--format', '{{.OCIRuntime}}', 'box') == 'bulkhead\n'


def test_terminals(podman):
    """Window sizes, keys that send signals, and what is typed."""
    terminal = podman.terminal('run', '--rm', '--interactive', '--tty', '--network', 'none', '--user', '0', '--name',
                               'box', IMAGE, 'sh', rows=33, columns=99)
    terminal.write('tty; stty size; trap "echo interrupted" INT; echo ready-$((1+1))\n')
    terminal.expect('ready-2')
    assert '/dev/pts/0' in terminal.seen and '33 99' in terminal.seen
    terminal.resize(44, 111)
    terminal.write('until [ "$(stty size)" = "44 111" ]; do :; done; echo resized-$((1+1))\n')
    terminal.expect('resized-2')
    terminal.write('\x03')
    terminal.expect('interrupted')
    more = podman.terminal('exec', '--interactive', '--tty', 'box', 'sh', rows=22, columns=88)
    more.write('tty; stty size; exit 5\n')
    assert more.end() == 5
    assert '/dev/pts/1' in more.seen and '22 88' in more.seen
    terminal.write('exit 6\n')
    assert terminal.end() == 6


def test_privileged(podman):
    """All that the calling machine can give, and still no way around what this runtime always has."""
    seen = shell(podman, 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; ls /dev/ptmx /dev/loop-control; '
                 'mount -t tmpfs t /mnt; echo $?', '--privileged').split()
    held = podman.inside('grep CapEff: /proc/self/status').split()[1]
    assert seen == ['CapEff:', held, 'NoNewPrivs:', '1', 'Seccomp:', '2', '/dev/loop-control', '/dev/ptmx', '255']


def test_build(podman):
    """buildah runs each RUN step as a container of its own."""
    (podman.folder / 'Dockerfile').write_text(f'FROM {IMAGE}\nUSER 0\nRUN echo built >/built\n'
                                              'RUN --mount=type=cache,target=/cache touch /cache/file\n')
    podman.ok('build', '--network', 'none', '--tag', 'made', '--file', podman.folder / 'Dockerfile', podman.folder)
    done = run(podman, '--rm', 'localhost/made', 'cat', '/built')
    assert (done.returncode, done.stdout) == (0, 'built\n'), done.stderr


@pytest.mark.seconds(600)
def test_many_at_once(podman):
    """Ten at once until all have had their turn (BULKHEAD_MANY says how many): each says what it was asked to, ends and
    is gone."""
    count = int(os.environ.get('BULKHEAD_MANY', '20'))

    def one(number):
        done = run(podman, '--rm', '--memory', '32m', '--pids-limit', '16', IMAGE, 'echo', str(number), timeout=300)
        return done.returncode, done.stdout, done.stderr
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(count))) == [(0, f'{number}\n', '') for number in range(count)]
    assert podman.ok('ps', '--all', '--quiet') == ''

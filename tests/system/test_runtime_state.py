# SPDX-License-Identifier: Apache-2.0
"""State folders that are damaged, of another version or of somebody else: refused in one sentence, and `delete --force`
takes away what it can be sure of (ISO-8)."""
import json
import os
import shutil

import pytest

from support_runtime import Runtime, is_alive, wait_until

HINT = "hint: 'delete --force' takes away what can be found of it\n"
CORRUPT = 11


@pytest.fixture(scope='module')
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


@pytest.fixture
def box(runtime):
    """A running container: its id, its state.json, its process."""
    name = runtime.start('/bin/sleep', '1000')
    yield name, runtime.state / name / 'state.json', runtime.status(name)['pid']
    assert runtime.call('delete', '--force', name).returncode == 0


def refused(runtime, name, message, status=CORRUPT):
    for words in (['state'], ['kill', '--all'], ['delete'], ['exec'], ['start'], ['ps']):
        done = runtime.call(*words, name, *(['/bin/true'] if words == ['exec'] else []))
        assert done.stderr == f"bulkhead-runtime: container '{name}': {message}\n" + HINT, words
        assert done.returncode == status


def gone(runtime, name, pid):
    """`delete --force` ended what ran and left nothing."""
    done = runtime.call('delete', '--force', name)
    assert (done.returncode, done.stderr) == (0, '')
    wait_until(lambda: not is_alive(pid))  # who is ending has left its group already
    assert not runtime.leftovers()


@pytest.mark.parametrize('change, message', [
    ({'version': 2}, 'state.json: version: is 2, this runtime knows 1'),
    ({'future': 1}, "state.json: unknown key 'future'"),
    ({'pid': 'x'}, 'state.json: pid: must be a whole number in its range'),
    ({'id': 'other'}, 'state.json: id: must be the name of its folder'),
    ({'cgroup': '/../..'}, "state.json: cgroup: must be a path without '..'"),
], ids=lambda value: str(value)[:20])
def test_another_version_or_damaged(runtime, box, change, message):
    name, file, pid = box
    file.write_text(json.dumps(dict(json.loads(file.read_text()), **change)))
    refused(runtime, name, message)
    gone(runtime, name, pid)


@pytest.mark.parametrize('part', [0, 0.3, 0.9])
def test_cut_off(runtime, box, part):
    name, file, pid = box
    text = file.read_text()
    file.write_text(text[:int(len(text) * part)])
    done = runtime.call('state', name)
    assert done.stderr.startswith(f"bulkhead-runtime: container '{name}': state.json: line 1: ")
    assert done.returncode == CORRUPT
    gone(runtime, name, pid)


def test_no_file_but_others(runtime, box):
    name, file, pid = box
    kept = file.read_bytes()
    file.rename(file.with_name('aside'))
    file.symlink_to('aside')
    refused(runtime, name, "'state.json' is a symbolic link")
    file.unlink()
    os.mkfifo(file)
    refused(runtime, name, "'state.json' is not a regular file")
    file.unlink()
    file.write_bytes(kept)
    file.chmod(0o666)
    refused(runtime, name, "'state.json' may be written to by others: its mode is 0666")
    file.chmod(0o600)
    os.chown(file, 1000, 1000)
    refused(runtime, name, "'state.json' belongs to user 1000, not to user 0")
    file.write_bytes(b' ' * ((1 << 20) + 1))
    os.chown(file, 0, 0)
    refused(runtime, name, "'state.json' is larger than 1048576 bytes")
    gone(runtime, name, pid)


def test_nothing_can_be_told(runtime, box):
    """Without state.json and config.json nothing says what belongs to the container: not even --force guesses."""
    name, file, pid = box
    kept = {path: path.read_bytes() for path in (file, file.with_name('config.json'))}
    for path in kept:
        path.write_bytes(b'{')
    done = runtime.call('delete', '--force', name)
    assert done.stderr == (f"bulkhead-runtime: container '{name}': neither state.json nor config.json tell what it is: "
                           "config.json: line 1: a name in quotes is expected at the end of the text\n")
    assert done.returncode != 0
    assert is_alive(pid)
    for path, text in kept.items():
        path.write_bytes(text)
    gone(runtime, name, pid)


def test_creator_died_before_the_state(runtime, box):
    """A folder without state.json made nothing yet: the group its config.json names is another container's."""
    name, file, pid = box
    other = runtime.state / 'young'
    shutil.copytree(file.parent, other, ignore=lambda *_: ['state.json', 'start', 'spawner'])
    other.chmod(0o700)
    assert runtime.call('delete', '--force', 'young').returncode == 0
    assert is_alive(pid)
    assert not other.exists()
    gone(runtime, name, pid)


def test_folders_of_others(runtime, box):
    name, file, pid = box
    file.parent.chmod(0o770)
    for words in (['state', name], ['delete', '--force', name]):
        done = runtime.call(*words)
        assert done.stderr == (f"bulkhead-runtime: container '{name}': '{name}' may be written to by others: "
                               'its mode is 0770\n')
        assert done.returncode == 6
    file.parent.chmod(0o700)
    os.chown(runtime.state, 1000, 1000)
    for words in (['state', name], ['delete', '--force', name], ['list'], ['create', '--bundle', runtime.folder, 'x']):
        done = runtime.call(*words)
        assert done.stderr == f"bulkhead-runtime: '{runtime.state}' belongs to user 1000, not to user 0\n", words
        assert done.returncode == 6
    os.chown(runtime.state, 0, 0)
    assert is_alive(pid)
    gone(runtime, name, pid)


@pytest.mark.parametrize('name, message', [
    ('a/b', "container id 'a/b' may only have letters, digits and '_+-.'"),
    ('../a', "container id '../a' may only have letters, digits and '_+-.'"),
    ('..', "container id '..' may not begin with '.'"),
    ('.', "container id '.' may not begin with '.'"),
    ('', 'container id must have 1 to 255 bytes'),
    ('x' * 1025, 'container id must have 1 to 255 bytes'),
    ('a\nb', "container id 'a?b' may only have letters, digits and '_+-.'"),
    ('ä', "container id 'ä' may only have letters, digits and '_+-.'"),
], ids=range(8))
def test_ids(runtime, name, message):
    for words in (['create', '--bundle', runtime.folder], ['start'], ['state'], ['delete'], ['delete', '--force'],
                  ['kill'], ['exec'], ['pause'], ['ps'], ['run', '--bundle', runtime.folder]):
        done = runtime.call(*words, name, *(['/bin/true'] if words == ['exec'] else []))
        assert done.stderr == f'bulkhead-runtime: {message}\n', words
        assert done.returncode == 3

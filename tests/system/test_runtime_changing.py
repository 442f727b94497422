# SPDX-License-Identifier: Apache-2.0
"""A bundle that changes while it is read: each start is whole, of one version or the other, or is refused (ISO-8)."""
import json
import os
import re
import shutil
import threading

import pytest

from support_runtime import Runtime

RUNS = 25


@pytest.fixture(scope='module')
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


class Changing:
    """Calls change() over and over until the block ends."""

    def __init__(self, change):
        self.change, self.ended = change, threading.Event()
        self.thread = threading.Thread(target=self.loop)
        self.rounds = 0

    def loop(self):
        while not self.ended.wait(0.0002):
            self.change(self.rounds)
            self.rounds += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        assert self.rounds > 10


def runs(runtime, bundle):
    """The results of some runs of the bundle, none of which left anything."""
    found = []
    for number in range(RUNS):
        found.append(runtime.call('run', '--bundle', bundle, f'v{number}'))
        assert not runtime.leftovers()
    return found


def test_configuration_swapped_cut_and_grown(runtime):
    """What runs is what one of the files said, from its first byte to its last."""
    texts = [json.dumps(runtime.config('/bin/echo', word, env=[f'WORD={word}'])) for word in ('one', 'two' * 5000)]
    bundle = runtime.bundle(texts[0])
    file = bundle / 'config.json'

    def change(number):
        text = texts[number % 2]
        if number % 4 < 2:
            (bundle / 'new').write_text(text)
            os.replace(bundle / 'new', file)
        elif number % 8 < 6:
            file.write_text(text[:len(text) // 2])
        else:
            with open(file, 'a', encoding='utf-8') as to:
                to.write('x' * 100000)
    with Changing(change):
        done = runs(runtime, bundle)
    assert 0 in {run.returncode for run in done}
    for run in done:
        if run.returncode == 0:
            assert run.stdout in ('one\n', 'two' * 5000 + '\n')
        else:
            assert re.fullmatch(r'bulkhead-runtime: (config\.json: line \d+: .*|cannot read .config\.json.: .*)\n',
                                run.stderr), run.stderr


def test_configuration_becomes_something_else(runtime):
    bundle = runtime.bundle(runtime.config('/bin/echo', 'one'))
    file, kept = bundle / 'config.json', (bundle / 'config.json').read_bytes()

    def change(number):
        file.unlink()
        (lambda: os.mkfifo(file), lambda: file.mkdir(), lambda: file.symlink_to('nothing'),
         lambda: file.write_bytes(kept))[number % 4]()
        if number % 4 == 1:
            file.rmdir()
            file.write_bytes(kept)
    with Changing(change):
        done = runs(runtime, bundle)
    for run in done:
        assert run.stdout == 'one\n' or re.fullmatch(
            r'bulkhead-runtime: (cannot (open|read) .config\.json.: .*|config\.json: line \d+: .*)\n', run.stderr), run


def test_root_replaced_by_a_link(runtime):
    """The root is opened once: it is the one or the other, and never the machine's."""
    bundle = runtime.bundle(runtime.config('/bin/sh', '-c', 'cat /etc/which /etc/which; ls /etc'))
    (bundle / 'rootfs').unlink()
    for name in ('a', 'b'):
        shutil.copytree(runtime.folder / 'rootfs', bundle / name, symlinks=True)
        (bundle / name / 'etc' / 'which').write_text(name)

    def change(number):
        (bundle / 'link').symlink_to('ab'[number % 2])
        os.replace(bundle / 'link', bundle / 'rootfs')
    change(0)
    with Changing(change):
        done = runs(runtime, bundle)
    assert {run.stdout for run in done} <= {'aawhich\n', 'bbwhich\n'}, done
    assert [run.returncode for run in done] == [0] * RUNS

# SPDX-License-Identifier: Apache-2.0
"""The comparison of test_main_job finds what is left behind: one planted leftover of each kind."""
import subprocess
import time

import pytest

import leftovers


def added(cell, before, folder):
    return leftovers.added(before, cell.snapshot([str(folder)]))


def test_nothing_happened_nothing_found(cell, root):
    before = cell.snapshot([str(root)])
    assert added(cell, before, root) == []


PLANTS = {
    'process': ['sh', '-c', 'sleep 1000 >/dev/null 2>&1 &'],
    'mount': ['mount', '-t', 'tmpfs', 'planted', '{root}'],
    'cgroup': ['sh', '-c', 'for top in /sys/fs/cgroup/pids /sys/fs/cgroup; do mkdir $top/planted && break; done'],
    'namespace': ['ip', 'netns', 'add', 'planted'],
    'link': ['ip', 'link', 'add', 'planted', 'type', 'bridge'],
    'address': ['ip', 'address', 'add', '10.99.0.1/32', 'dev', 'lo'],
    'route': ['ip', 'route', 'add', '10.98.0.0/16', 'dev', 'lo'],
    'nftables': ['nft', 'add', 'table', 'inet', 'planted'],
    'file': ['touch', '{root}/planted'],
    'loop': ['sh', '-c', 'truncate -s 1M {root}/image && losetup -f {root}/image'],
    'forwarding': ['sysctl', '-q', '-w', 'net.ipv4.conf.lo.forwarding=1'],
}


@pytest.mark.parametrize('kind', PLANTS)
def test_planted_leftover_is_found(cell, root, kind):
    before = cell.snapshot([str(root)])
    cell.run([word.replace('{root}', str(root)) for word in PLANTS[kind]], check=True)
    found = added(cell, before, root)
    assert any(line.startswith(kind + ': ') for line in found), found


def test_hidden_network_namespace_is_found(cell, root):
    """A namespace that only a process holds."""
    before = cell.snapshot([str(root)])
    process = cell.popen(['unshare', '--net', 'sleep', '1000'])
    try:
        deadline = time.monotonic() + 10
        while not any(line.startswith('namespace: net:') for line in added(cell, before, root)):
            assert time.monotonic() < deadline
    finally:
        process.terminate()
        process.wait()


def running():
    return subprocess.check_output(['ps', '-A', '-o', 'args'], text=True)


def test_cell_ends_what_ran_in_it(cell):
    process = cell.popen(['sh', '-c', 'setsid sleep 987654 & sleep 987654'])
    time.sleep(0.3)
    assert 'sleep 987654' in running()
    cell.holder.stdin.close()
    cell.holder.wait(10)
    process.wait(10)
    assert 'sleep 987654' not in running()

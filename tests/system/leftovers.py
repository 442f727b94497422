# SPDX-License-Identifier: Apache-2.0
"""What a machine (or a cell, see cell.py) holds: processes, mounts, cgroups, namespaces, links, addresses, routes,
nftables rules, files, loop devices, forwarding switches. Two snapshots compared tell what was left behind.

As a program: leftovers.py [FOLDER]... prints a snapshot as JSON; the files of the folders belong to it."""
import glob
import json
import os
import re
import subprocess
import sys


def read(path):
    with open(path, 'rb') as stored:
        return stored.read().decode('utf-8', 'replace')


def processes():
    """'comm start-time command line' of every process but kernel threads, zombies and this program."""
    found = []
    for path in glob.glob('/proc/[0-9]*'):
        try:
            pid = os.path.basename(path)
            comm, fields = re.match(r'\d+ \((.*)\) (.*)', read(path + '/stat'), re.S).groups()
            fields = fields.split()
            kernel = pid == '2' or fields[1] == '2' or int(fields[6]) & 0x00200000
            if pid != str(os.getpid()) and not (kernel and fields[1] in '02') and fields[0] != 'Z':
                words = read(path + '/cmdline').replace('\0', ' ')
                found.append(f'{comm} pid={pid} start={fields[19]} {words}')
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def mounts():
    found = []
    for line in read('/proc/self/mountinfo').splitlines():
        words = line.split()
        dash = words.index('-')
        found.append(f'{words[4]} {words[dash + 1]} {words[dash + 2]} {words[3]}')
    return found


def cgroups():
    tops = [line.split()[4] for line in read('/proc/self/mountinfo').splitlines() if ' - cgroup' in line]
    return [folder for top in tops for folder, _, _ in os.walk(top) if folder != top]


def namespaces():
    """Those that a process is in or that a mount keeps; this program adds none."""
    found = set()
    for path in glob.glob('/proc/[0-9]*/ns/*'):
        try:
            # *_for_children come out as the namespaces of the child, once there is one.
            if not path.endswith('_for_children'):
                found.add(os.readlink(path))
        except OSError:
            continue
    found.update(f'named network namespace {os.path.basename(p)}' for p in glob.glob('/run/netns/*'))
    return found


def ip(*words):
    done = subprocess.run(['ip', '-j', *words], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout or b'[]')


def links():
    return [f"{link['ifname']} {link['address'] if 'address' in link else ''}" for link in ip('link')]


def addresses():
    return [f"{a['local']}/{a['prefixlen']} on {link['ifname']}"
            for link in ip('address') for a in link.get('addr_info', [])]


def routes():
    return [f"{route['dst']} {route.get('dev', '')} {route.get('gateway', '')}"
            for family in ('-4', '-6') for route in ip(family, 'route', 'show', 'table', 'all')]


def rules():
    done = subprocess.run(['nft', '-j', 'list', 'ruleset'], stdout=subprocess.PIPE, check=True)
    found = []
    for item in json.loads(done.stdout)['nftables']:
        if 'metainfo' not in item:
            text = json.dumps(item, sort_keys=True)
            found.append(re.sub(r'"(packets|bytes|handle)": \d+', r'"\1": 0', text))
    return found


def loops(folders):
    """Loop devices over a file below the folders, or all when none is given."""
    found = []
    for path in glob.glob('/sys/block/loop*/loop/backing_file'):
        try:
            backing = read(path).strip()
        except OSError:
            continue
        if not folders or any(backing.startswith(f.rstrip('/') + '/') for f in folders):
            found.append(f"{path.split('/')[3]} {backing}")
    return found


def files(folders):
    return [os.path.join(at, name)
            for folder in folders for at, inner, names in os.walk(folder) for name in inner + names]


def switches():
    return [f'{path} {read(path).strip()}' for path in
            ['/proc/sys/net/ipv4/ip_forward'] + sorted(glob.glob('/proc/sys/net/ipv4/conf/*/forwarding'))]


def snapshot(folders=()):
    """{kind: [thing]} of the namespaces this runs in."""
    found = {'process': processes(), 'mount': mounts(), 'cgroup': cgroups(), 'namespace': namespaces(),
             'link': links(), 'address': addresses(), 'route': routes(), 'nftables': rules(), 'file': files(folders),
             'loop': loops(folders), 'forwarding': switches()}
    return {kind: sorted(set(things)) for kind, things in found.items()}


def added(before, after):
    """What is there now and was not before, as 'kind: thing'."""
    return [f'{kind}: {thing}' for kind, things in after.items() for thing in things if thing not in before[kind]]


if __name__ == '__main__':
    print(json.dumps(snapshot(sys.argv[1:])))

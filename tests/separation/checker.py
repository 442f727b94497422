# SPDX-License-Identifier: Apache-2.0
"""What ran where, judged from outside: reads only what the instances logged and where the machines stood, shares no
code with what placed it, and names each pair of pods that stood together and must not. checker.py FOLDER"""
import collections
import json
import pathlib
import sys

from oracle import INSTANCE, SERVER, Oracle

FOREVER = 1 << 63

Stay = collections.namedtuple('Stay', 'uid domain instance server begin end')
Violation = collections.namedtuple('Violation', 'cause server first second since')


def read_lines(path):
    with open(path, encoding='utf-8') as lines:
        return [json.loads(line) for line in lines]


def read_services(paths):
    """The same of the logs of bulkhead-cis, {instance: path}. A stop that was noted again after a crash counts once."""
    runs = {}
    for instance, path in paths.items():
        for line in read_lines(path):
            if line['msg'] == 'pod starts':
                runs[line['uid']] = [line['domain'], instance, int(line['clock']), FOREVER]
            elif line['msg'] == 'pod has stopped':
                runs[line['uid']][3] = min(runs[line['uid']][3], int(line['clock']))
    return runs


def read_runs(paths):
    """{uid: (domain, instance, begin, end)} of the instances' logs."""
    runs = {}
    for path in paths:
        for line in read_lines(path):
            if line['event'] == 'start':
                assert line['uid'] not in runs, f"{line['uid']} was started twice"
                runs[line['uid']] = [line['domain'], line['instance'], line['time'], FOREVER]
            else:
                runs[line['uid']][3] = line['time']
    return runs


def stays_of(runs, stands):
    """Each run, cut where its instance was moved to another server. stands: [(time, instance, server)] in order."""
    where = collections.defaultdict(list)
    for time, instance, server in stands:
        where[instance].append((time, server))
    for uid, (domain, instance, begin, end) in runs.items():
        places = where[instance]
        for index, (since, server) in enumerate(places):
            until = places[index + 1][0] if index + 1 < len(places) else FOREVER
            if max(begin, since) < min(end, until):
                yield Stay(uid, domain, instance, server, max(begin, since), min(end, until))


class Checker:
    def __init__(self, specs):
        self.oracle = Oracle(specs)
        self.pairs = 0  # that stood together at all
        self.found = []

    def judge(self, a, b, causes):
        self.pairs += 1
        level = self.oracle.level((a.domain, None), (b.domain, None))
        if level >= (INSTANCE if a.instance == b.instance else SERVER):
            self.found.append(Violation(causes(a.uid, b.uid), a.server, a, b, max(a.begin, b.begin)))

    def check(self, stays, causes):
        """causes(uid, uid) says what brought two together that must be apart: 'placement' unless a fault is known."""
        by_server = collections.defaultdict(list)
        for stay in stays:
            by_server[stay.server].append(stay)
        for all_here in by_server.values():
            present = []
            for stay in sorted(all_here, key=lambda one: one.begin):
                present = [other for other in present if other.end > stay.begin]
                for other in present:
                    if other.uid != stay.uid:
                        self.judge(other, stay, causes)
                present.append(stay)
        return collections.Counter(one.cause for one in self.found)


def causes_of(faults, runs=None):
    """What brought two pods together: 'move' when both were charged before their servers became one, 'leave' when one
    began on a server that the other's machine was said to have left and had not yet, 'lie' when an instance that nobody
    suspected had denied one of them, otherwise 'placement'."""
    def leaves(a, b):
        return any(line['told'] <= runs[b][2] <= line['time'] for line in faults
                   if line['event'] == 'move' and 'told' in line and a in line['moved'])
    lies = {uid for line in faults if line['event'] == 'lie' for uid in line['uids']}
    moves = [(set(line['moved']), set(line['met'])) for line in faults if line['event'] == 'move' and line['moved']]

    def cause(a, b):
        if a in lies or b in lies:
            return 'lie'
        if any((a in moved and b in met) or (b in moved and a in met) for moved, met in moves):
            return 'move'
        if runs and (leaves(a, b) or leaves(b, a)):
            return 'leave'
        return 'placement'
    return cause


def check_folder(folder):
    folder = pathlib.Path(folder)
    faults = read_lines(folder / 'machines.log')
    runs = read_runs(sorted(folder.glob('instance-*.log')))
    stands = [(line['time'], line['instance'], line['server']) for line in faults if line['event'] in ('stand', 'move')]
    checker = Checker(json.loads((folder / 'domains.json').read_text()))
    counts = checker.check(stays_of(runs, stands), causes_of(faults, runs))
    return {'runs': len(runs), 'pairs': checker.pairs, 'violations': dict(counts)}, checker.found


if __name__ == '__main__':
    report, found = check_folder(sys.argv[1])
    for one in found:
        print(one)
    print(json.dumps(report))
    sys.exit(any(one.cause == 'placement' for one in found))

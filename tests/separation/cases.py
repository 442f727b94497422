# SPDX-License-Identifier: Apache-2.0
"""Random domains, pods and places, decided by src/policy/ and by the oracle. cases.py PROGRAM CASES SEED"""
import collections
import json
import random
import subprocess
import sys

from oracle import LEVELS, PLANES, Oracle

NAMES = ['d0', 'd1', 'd2', 'd3', 'd4']
IMAGES = ['r/a', 'r/b', 'r/c', 's/a', 's/x']
ACCOUNTS = ['default', 'oam', 'ops-1']
CASES_A_WORLD = 400


class Drawer:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, words, least=1):
        return self.random.sample(words, self.random.randint(least, min(len(words), 3)))

    def rarely(self, chance=0.3):
        return self.random.random() < chance

    def row(self, number):
        made = {'name': f'k{number}'}
        if not self.rarely(0.1):
            made['images'] = self.some(IMAGES + ['r/*', '*/a'])
        if 'images' not in made or self.rarely():
            made['serviceAccounts'] = self.some(['ns/default', 'ns/oam', 'ns/ops-*', '*/oam'])
        if not self.rarely(0.15):
            made['plane'] = self.random.choice(PLANES)
        if not self.rarely(0.15):
            made['networkFunction'] = self.random.choice(['amf', 'upf'])
        return made

    def selector(self, domain):
        """Words that a domain knows, mostly."""
        made = {}
        if self.rarely(0.4):
            made['subFunction'] = self.random.choice([row['name'] for row in domain['subFunctions']] or ['k9'])
        if self.rarely():
            made['plane'] = self.random.choice(PLANES)
        if self.rarely(0.2):
            made['interface'] = self.random.choice([one['name'] for one in domain['interfaces']] or ['i9'])
        return made

    def rule(self, name, domains):
        level = self.random.choice(LEVELS[1:])
        if self.rarely(0.25):
            return {'level': level, **self.random.choice([
                {'from': {'domains': [name]}, 'networkFunctions': 'Different'},
                {'from': {'domains': [name], 'plane': 'User'}, 'plane': 'Management', 'networkFunctions': 'Same'}])}
        if self.rarely(0.2):
            peers = {'all': True, **({'plane': self.random.choice(PLANES)} if self.rarely() else {})}
        else:
            other = self.random.choice(list(domains))
            peers = {'domains': [other], **self.selector(domains[other])}
        functions = {'networkFunctions': self.random.choice(['Same', 'Different'])} if self.rarely() else {}
        return {'from': peers, 'level': level, **self.selector(domains[name]), **functions}

    def interface(self, number, rows):
        made = {'name': f'i{number}', 'from': {'domains': self.some(NAMES)}, 'ports': [{'protocol': 'TCP', 'port': 1}]}
        if rows and not self.rarely(0.2):
            made['subFunction'] = self.random.choice(rows)['name']
        if self.rarely(0.4):
            made['border'] = ['VM'] if self.rarely(0.1) else ['DedicatedServer']
        return made

    def domains(self):
        made = {}
        for name in NAMES:
            rows = [self.row(number) for number in range(self.random.randint(0, 3))]
            made[name] = {'subFunctions': rows,
                          'interfaces': [self.interface(number, rows)
                                         for number in range(self.random.choice([0, 0, 1, 2]))],
                          'isolation': self.random.choice(['Container'] * 12 + ['Dedicated', 'VM'])}
        for name in NAMES:
            made[name]['separation'] = [self.rule(name, made) for _ in range(self.random.randint(0, 3))]
        return made

    def pod(self, uid):
        return {'uid': uid, 'domain': self.random.choice(NAMES[:2] * 2 + NAMES + ['gone'] * self.rarely(0.05)),
                'images': [self.random.choice(IMAGES) for _ in range(self.random.choice([1, 1, 1, 2]))],
                'account': self.random.choice(ACCOUNTS)}

    def place(self):
        server = self.random.choice(['s0', 's1', 's2'] * 8 + ['', None])
        return {'instance': self.random.choice(['n0', 'n1', 'n2', 'n3']), 'server': server}

    def case(self):
        pod = self.pod('u0')
        if self.rarely(0.01):
            pod['domain'] = None
        place = {**self.place(), 'epoch': 0 if self.rarely(0.02) else 1, 'quarantined': self.rarely(0.02)}
        holders = [{**self.pod(self.random.choice(['u0', 'u1', 'u2', 'u3', 'u4', 'u5'])), **self.place()}
                   for _ in range(self.random.randint(0, 3))]
        return {'pod': pod, 'place': place, 'holders': holders}


class Difference(Exception):
    """src/policy/ and the oracle say different things."""


class Program:
    """src/policy/, asked through tests/programs/decide.c."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, questions):
        """The answers to some questions; few enough that the answers fit into the pipe."""
        self.process.stdin.write(''.join(json.dumps(question) + '\n' for question in questions))
        self.process.stdin.flush()
        return [self.process.stdout.readline().rstrip('\n') for _ in questions]

    def accepted(self, domains):
        """The domains as far as they are taken: what is refused loses rule after rule, then its map, then all."""
        while refused := self.ask([{'domains': domains}])[0].split():
            for name in refused:
                if domains[name]['separation']:
                    domains[name]['separation'].pop(0)
                elif domains[name]['subFunctions']:
                    domains[name]['subFunctions'].pop()
                    domains[name]['interfaces'].clear()
                else:
                    del domains[name]
        return domains

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def agree(said, expected):
    reason, level = said.split()
    if expected[0] == 'apart':
        return reason in ('Separation', 'Dedicated', 'Border', 'UnknownDomain') and level == LEVELS[expected[1]]
    return reason == expected[0] and (reason != 'Allowed' or level == 'None')


def compare(path, cases, seed, make=Oracle):
    """How often each answer was given; Difference when the oracle that make() makes decides a case otherwise."""
    drawer = Drawer(seed)
    counts = collections.Counter()
    with Program(path) as program:
        while sum(counts.values()) < cases:
            oracle = make(program.accepted(drawer.domains()))
            questions = [drawer.case() for _ in range(CASES_A_WORLD)]
            for question, said in zip(questions, program.ask(questions), strict=True):
                expected = oracle.decide(question['pod'], question['place'], question['holders'])
                if not agree(said, expected):
                    what = f'{json.dumps(question)} under {json.dumps(oracle.specs)}'
                    raise Difference(f'{said}, not {expected}: {what}')
                counts[said] += 1
    return counts


def main():
    path, cases, seed = sys.argv[1:]
    print(f'seed {seed}', flush=True)
    for what, count in sorted(compare(path, int(cases), int(seed)).items()):
        print(f'{count:9} {what}')


if __name__ == '__main__':
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the whole suite and writes docs/breakout-matrix.md from what came out: in a VM with all layers, with none,
without each one and with each one alone; here without each one. The VM takes its time, so the results are kept in a
file, and what it has is not tried again: a way out that is new costs its own runs alone. --long also swaps names a
million times in each race, here."""
import argparse
import json
import pathlib
import sys
import textwrap
import time

import attack
import scenes
import virtual

TOP = pathlib.Path(__file__).parent.parent.parent
PAGE = TOP / 'docs' / 'breakout-matrix.md'
ROWS_AT_ONCE = 6
LONG_SWAPS, LONG_STARTS = 1000000, 500
# Those that stand alone before what needs the right moment: they are about what the runtime does until it starts one.
OF_THE_START = ('user', 'pid', 'dev', 'ceiling', 'capabilities', 'dumpable', 'executable', 'landlock', 'paths',
                'seccomp', 'terminal')
STARTS_ALONE = 12

HEAD = '''# What holds which way out

Written by `./dev matrix` from runs of the attack suite (`tests/attack/`), not by hand. Each line is a way out of a
container. It counts because the same program **gets out when every layer is off**, which is tried in a VM alone (kernel
{vm[kernel]}, control groups of version 2, Landlock ABI {vm[landlock]}), and it is **held when every layer is on**,
there and on newer kernels (`tests/system/test_attack.py`).

- **each of these alone**: layers any of which holds it while all others are off (in the VM).
  {idle}
{partly}- **rests on**: the layers whose absence alone lets it out, tried {places}.
  Where one is named, a fault in that layer is a way out; where none is, at least two layers would have to fail.
  Not tried: what it is about is on neither machine.

{count} ways out: {single} of them rest on a single layer, {several} on several at once, and {none} are held though any
one layer is missing; for {untried} this was not tried.

| layer | is |
|---|---|
{layers}

## What rests on one layer

{resting}

'''

# What a kernel answers that does not have it: with the filter off, which answers so too, it has nothing to try.
ABSENT = ('ENOSYS', 'EAFNOSUPPORT', 'EPROTONOSUPPORT')


def outcome(results):
    """{row of layers off: {name: result}}; what this machine's kernel does not have is inapplicable."""
    found = {}
    for row in results:
        absent = row['off'] in ('seccomp', 'vm:seccomp') and row['error'] in ABSENT
        found.setdefault(row['off'], {})[row['name']] = 'inapplicable' if absent else row['result']
    return found


def idle(found):
    """Says which layers hold nothing by themselves, of what gets out without any."""
    tried = [layer for layer in attack.LAYERS if f'all-but:{layer}' in found]
    nothing = [layer for layer in tried if not any(
        result == 'held' and found['all'][name] == 'escaped' for name, result in found[f'all-but:{layer}'].items())]
    if not nothing:
        return f"Tried so: {', '.join(tried) or 'none'}. Each holds some way by itself."
    text = 'Of what was tried these hold nothing by themselves, or leave what they guard to another layer: '
    return textwrap.fill(f"{text}{', '.join(nothing)}.", 119, subsequent_indent='  ')


def alone(found, name):
    """The layers any of which holds a way by itself, in words."""
    rows = {layer: found.get(f'all-but:{layer}', {}).get(name) for layer in attack.LAYERS}
    if not any(rows.values()):
        return 'not tried'
    return ', '.join(layer for layer, result in rows.items() if result == 'held')


def partly(rows, found):
    """Says which ways were tried with some of the layers alone only, a line for each lot of layers."""
    lots = {}
    for row, _ in counted(rows, found):
        lot = tuple(layer for layer in attack.LAYERS if row['name'] in found.get(f'all-but:{layer}', {}))
        if lot and lot != tuple(attack.LAYERS):
            lots.setdefault(lot, []).append(row['name'])
    return ''.join(textwrap.fill(f"With {', '.join(lot)} alone only: {', '.join(names)}.", 119, initial_indent='  ',
                                 subsequent_indent='  ') + '\n' for lot, names in lots.items())


def rests(found, name):
    """The layers without which a way gets out, on either kernel; None where neither could try."""
    resting, tried = set(), False
    for prefix in ('', 'vm:'):
        rows = {layer: found.get(prefix + layer, {}).get(name) for layer in attack.LAYERS}
        if not {'inapplicable', None} & set(rows.values()):
            tried = True
            resting |= {layer for layer, result in rows.items() if result == 'escaped'}
    return [layer for layer in attack.LAYERS if layer in resting] if tried else None


def unclear(results):
    return [row for row in results if row['result'] not in ('held', 'escaped', 'inapplicable')]


def counted(rows, found):
    """[(row, the layers it rests on or None)] of what gets out without any layer."""
    return [(row, rests(found, row['name'])) for row in rows if found['all'][row['name']] == 'escaped']


def table(rows, found):
    lines, about = [], None
    for row, resting in counted(rows, found):
        if row['about'] != about:
            about = row['about']
            lines += ['', f'## {about.capitalize()}', '', '| way out | shape | each of these alone | rests on |',
                      '|---|---|---|---|']
        words = 'not tried' if resting is None else ', '.join(f'**{layer}**' for layer in resting)
        lines.append(f"| {row['name']} | {row['shape']} | {alone(found, row['name'])} | {words} |")
    return lines


def single(rows, found):
    """A line for each layer that something rests on alone."""
    names = {}
    for row, resting in counted(rows, found):
        if resting and len(resting) == 1:
            names.setdefault(resting[0], []).append(row['name'])
    return [f"- **{layer}** alone stops {', '.join(names[layer])}." for layer in attack.LAYERS if layer in names]


def places(runs, found):
    text = 'on kernel {kernel} with Landlock ABI {landlock}'.format(**runs['here'])
    if any(row.startswith('vm:') for row in found):
        text += ', and in the VM'
    return text


def long_runs(runs):
    if not runs.get('long'):
        return []
    lines = ['', '## Races at length', '', 'All layers on, two names swapped while containers start, without a pause '
             f"(`./dev matrix --long`, kernel {runs['here']['kernel']}):", '']
    return lines + [f"- {row['name']}: {row['swaps']:,} swaps, {row['starts']:,} starts, {row['result']}."
                    for row in runs['long']]


def page(rows, runs):
    found = outcome(runs['results'])
    rested = [None if resting is None else len(resting) for _, resting in counted(rows, found)]
    text = HEAD.format(
        vm=runs['vm'], idle=idle(found), partly=partly(rows, found), places=places(runs, found),
        count=len(rested), single=rested.count(1), several=len([n for n in rested if n and n > 1]),
        none=rested.count(0), untried=rested.count(None), resting='\n'.join(single(rows, found)),
        layers='\n'.join(f'| {name} | {text} |' for name, text in attack.LAYERS.items()))
    left = [row['name'] for row in rows if found['all'][row['name']] != 'escaped']
    text = text.rstrip('\n') + '\n' + '\n'.join(table(rows, found) + long_runs(runs)) + '\n'
    if left:
        text += ('\n## Not counted\n\nThis kernel has nothing to try, with all layers off either: '
                 f"{', '.join(left)}.\n")
    return text


class Runs:
    """What was found so far, kept in a file."""

    def __init__(self, path, runtime, probe):
        self.path, self.runtime, self.probe = path, runtime, probe
        self.found = json.loads(path.read_text()) if path.exists() else {'results': []}
        self.found['results'] = [row for row in self.found['results'] if row not in unclear(self.found['results'])]

    def add(self, results, prefix=''):
        self.found['results'] += [dict(row, off=prefix + row['off']) for row in results]
        self.path.write_text(json.dumps(self.found))

    def missing(self, row, names):
        known = {result['name'] for result in self.found['results'] if result['off'] == row}
        return tuple(name for name in names if name not in known)

    def here(self, names):
        self.found['here'] = attack.machine()
        for row in attack.LAYERS:
            left = self.missing(row, names)
            if not left:
                continue
            attack.progress(f'here: without {row}, {len(left)} ways')
            with attack.Attack(self.runtime, self.probe, [row]) as suite:
                self.add([dict(result, off=row) for result in attack.run_all(suite, left)])

    def in_vm(self, rows, names, prefix='', starts=3):
        """Rows that miss the same ways share a VM."""
        groups = {}
        for row in rows:
            groups.setdefault(self.missing(prefix + row, names), []).append(row)
        for left, group in groups.items():
            for at in range(0, len(group) if left else 0, ROWS_AT_ONCE):
                part = group[at:at + ROWS_AT_ONCE]
                attack.progress(f"VM: {at} of {len(group)} runs of {len(left)} ways; now: {' '.join(part)}")
                self.found['vm'], *found = virtual.run(self.runtime, self.probe, [row or '-' for row in part], 3000,
                                                       left, starts)
                self.add(found, prefix)

    def long(self):
        usual = scenes.SWAPS, scenes.STARTS, scenes.PAUSE
        scenes.SWAPS, scenes.STARTS, scenes.PAUSE = LONG_SWAPS, LONG_STARTS, 0
        self.found['long'] = []
        for names, _, scene in scenes.SCENES:
            if scene not in scenes.RACES:
                continue
            begin = time.monotonic()
            with attack.Attack(self.runtime, self.probe) as suite:
                [(name, result, _)] = scene(suite)
                starts, swaps = suite.raced[name]
            attack.progress(f'{name}: {swaps} swaps, {starts} starts, {result}, {time.monotonic() - begin:.0f} s')
            self.found['long'].append({'name': name, 'swaps': swaps, 'starts': starts, 'result': result})
        scenes.SWAPS, scenes.STARTS, scenes.PAUSE = usual
        self.add([])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', default=TOP / 'build' / 'test', type=pathlib.Path)
    parser.add_argument('--keep', default=TOP / 'build' / 'breakout-runs.json', type=pathlib.Path)
    parser.add_argument('--long', action='store_true', help='a million swaps in each race too')
    options = parser.parse_args()
    folder = options.build.absolute() / 'tests' / 'attack'
    probe = folder / 'probe'
    rows = attack.listed(probe) + scenes.listed()
    names = [row['name'] for row in rows]
    slow = [name for name in names if name in scenes.SLOW]
    runs = Runs(options.keep, folder / 'bulkhead-runtime-switched', probe)
    runs.here(names)
    if options.long:
        runs.long()
    runs.in_vm(['', 'all'], names)
    runs.in_vm(list(attack.LAYERS), names, prefix='vm:')
    runs.in_vm([f'all-but:{layer}' for layer in attack.LAYERS], [name for name in names if name not in slow])
    runs.in_vm([f'all-but:{layer}' for layer in OF_THE_START], slow, starts=STARTS_ALONE)
    for row in unclear(runs.found['results']):
        print(f"{row['name']} with '{row['off']}' off: {row['result']} {row['error']}", file=sys.stderr)
    if unclear(runs.found['results']):
        return 1
    PAGE.write_text(page(rows, runs.found))
    return 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the whole suite in a VM with all layers, with none, without each one and with each one alone, and writes
docs/breakout-matrix.md from what came out. It takes an hour of emulation; the runs are kept in a file, and those that
it has are not made again."""
import argparse
import json
import pathlib
import sys

import attack
import scenes
import virtual

TOP = pathlib.Path(__file__).parent.parent.parent
PAGE = TOP / 'docs' / 'breakout-matrix.md'
ROWS_AT_ONCE = 6

HEAD = '''# What holds which way out

Written by `./dev matrix` from runs of the attack suite (`tests/attack/`) in a VM with kernel {kernel}, control
groups of version 2 and Landlock ABI {landlock}; not by hand. Each line is a way out of a container. It counts because
the same program **gets out when every layer is off**, and it is **held when every layer is on**, there and on newer
kernels (`tests/system/test_attack.py`).

- **each of these alone**: layers any of which holds it while all others are off.
- **rests on**: the layers whose absence alone lets it out. Where one is named, a fault in that layer is a way out;
  where none is, at least two layers would have to fail.

{count} ways out: {single} of them rest on a single layer, {several} on several at once, and {none} are held though any
one layer is missing.

| layer | is |
|---|---|
{layers}

'''


def outcome(results):
    """{row of layers off: {name: result}}."""
    found = {}
    for row in results:
        found.setdefault(row['off'], {})[row['name']] = row['result']
    return found


def evaluate(found, name):
    """How a probe fared: whether it counts, which layers alone hold it, and on which it rests."""
    alone = [layer for layer in attack.LAYERS if found[f'all-but:{layer}'][name] == 'held']
    rests = [layer for layer in attack.LAYERS if found[layer][name] == 'escaped']
    return found['all'][name] == 'escaped', found[''][name], alone, rests


def unclear(results):
    return [f"{row['name']} with '{row['off']}' off: {row['result']} {row['error']}" for row in results
            if row['result'] not in ('held', 'escaped', 'inapplicable')]


def table(rows, found):
    """The lines of the page, and how many rest on none, one, several."""
    lines, rested, about = [], [], None
    for row in rows:
        counts, held, alone, rests = evaluate(found, row['name'])
        if not counts:
            continue
        if row['about'] != about:
            about = row['about']
            lines += ['', f'## {about.capitalize()}', '', '| way out | shape | each of these alone | rests on |',
                      '|---|---|---|---|']
        rests = [f'**{layer}**' for layer in rests]
        if held == 'escaped':
            rests = ['nothing: ' + virtual.KERNEL_6_1.get(row['name'], '?')]
        lines.append(f"| {row['name']} | {row['shape']} | {', '.join(alone)} | {', '.join(rests)} |")
        rested.append(len(rests))
    return lines, rested


def page(rows, machine, results):
    found = outcome(results)
    lines, rested = table(rows, found)
    layers = '\n'.join(f'| {name} | {text} |' for name, text in attack.LAYERS.items())
    text = HEAD.format(**machine, layers=layers, count=len(rested), single=rested.count(1),
                       several=len([n for n in rested if n > 1]), none=rested.count(0))
    left = [row['name'] for row in rows if found['all'][row['name']] != 'escaped']
    text = text.rstrip('\n') + '\n' + '\n'.join(lines) + '\n'
    if left:
        text += ('\n## Not counted\n\nThis kernel has nothing to try, with all layers off either: '
                 f"{', '.join(left)}.\n")
    return text


def run_all(runtime, probe, keep):
    """Makes the runs that the file does not have yet, some at a time, and stores each lot."""
    machine, *results = json.loads(keep.read_text()) if keep.exists() else [None]
    known = {row['off'] for row in results}
    rows = ['', 'all', *attack.LAYERS, *(f'all-but:{layer}' for layer in attack.LAYERS)]
    rows = [row for row in rows if row not in known]
    for at in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[at:at + ROWS_AT_ONCE]
        print(f"{at} of {len(rows)} runs; now: {' '.join(part)}", file=sys.stderr, flush=True)
        machine, *found = virtual.run(runtime, probe, [row or '-' for row in part], 3000)
        results += found
        keep.write_text(json.dumps([machine, *results]))
    return machine, results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', default=TOP / 'build' / 'test', type=pathlib.Path)
    parser.add_argument('--keep', default=TOP / 'build' / 'breakout-runs.json', type=pathlib.Path)
    options = parser.parse_args()
    folder = options.build.absolute() / 'tests' / 'attack'
    machine, results = run_all(folder / 'bulkhead-runtime-switched', folder / 'probe', options.keep)
    wrong = unclear(results)
    if wrong:
        print('\n'.join(wrong), file=sys.stderr)
        return 1
    PAGE.write_text(page(attack.listed(folder / 'probe') + scenes.listed(), machine, results))
    return 0


if __name__ == '__main__':
    sys.exit(main())

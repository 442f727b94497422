#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the whole suite and writes docs/breakout-matrix.md from what came out: in a VM with all layers, with none and
(the program without the scenes) with each one alone; here and there without each one. The VM takes its time, so the
runs are kept in a file, and those that it has are not made again."""
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

Written by `./dev matrix` from runs of the attack suite (`tests/attack/`), not by hand. Each line is a way out of a
container. It counts because the same program **gets out when every layer is off**, which is tried in a VM alone (kernel
{vm[kernel]}, control groups of version 2, Landlock ABI {vm[landlock]}), and it is **held when every layer is on**,
there and on newer kernels (`tests/system/test_attack.py`).

- **each of these alone**: layers any of which holds it while all others are off (in the VM; not tried for the ways
  that need a hostile image, friend or caller). Tried so:
  {alone}.
  Of them these hold none of the ways that were tried, for they guard what the runtime does until the program starts,
  or leave what they guard to another layer: {idle}.
- **rests on**: the layers whose absence alone lets it out (kernel {here[kernel]}, Landlock ABI {here[landlock]}{also}).
  Where one is named, a fault in that layer is a way out; where none is, at least two layers would have to fail. Not
  tried: what it is about is not on that machine.

{count} ways out: {single} of them rest on a single layer, {several} on several at once, and {none} are held though any
one layer is missing; for {untried} this was not tried.

| layer | is |
|---|---|
{layers}

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


def tried_alone(found):
    return [layer for layer in attack.LAYERS if f'all-but:{layer}' in found]


def idle(found):
    """The layers that hold nothing by themselves, of what gets out without any."""
    return [layer for layer in tried_alone(found) if not any(
        result == 'held' and found['all'][name] == 'escaped' for name, result in found[f'all-but:{layer}'].items())]


def alone(found, name):
    """The layers any of which holds a probe by itself, in words."""
    rows = {layer: found[f'all-but:{layer}'].get(name) for layer in tried_alone(found)}
    if None in rows.values():
        return 'not tried'
    return ', '.join(layer for layer, result in rows.items() if result == 'held')


def rests(found, name):
    """The layers without which a probe gets out, on either kernel; None where neither could try."""
    resting, tried = set(), False
    for prefix in ('', 'vm:'):
        rows = {layer: found.get(prefix + layer, {}).get(name) for layer in attack.LAYERS}
        if not {'inapplicable', None} & set(rows.values()):
            tried = True
            resting |= {layer for layer, result in rows.items() if result == 'escaped'}
    return [layer for layer in attack.LAYERS if layer in resting] if tried else None


def unclear(results):
    return [f"{row['name']} with '{row['off']}' off: {row['result']} {row['error']}" for row in results
            if row['result'] not in ('held', 'escaped', 'inapplicable')]


def table(rows, found):
    """The lines of the page, and how many rest on none, one, several."""
    lines, rested, about = [], [], None
    for row in rows:
        if found['all'][row['name']] != 'escaped':
            continue
        if row['about'] != about:
            about = row['about']
            lines += ['', f'## {about.capitalize()}', '', '| way out | shape | each of these alone | rests on |',
                      '|---|---|---|---|']
        resting = rests(found, row['name'])
        rested.append(None if resting is None else len(resting))
        words = 'not tried' if resting is None else ', '.join(f'**{layer}**' for layer in resting)
        lines.append(f"| {row['name']} | {row['shape']} | {alone(found, row['name'])} | {words} |")
    return lines, rested


def page(rows, machines, results):
    found = outcome(results)
    lines, rested = table(rows, found)
    layers = '\n'.join(f'| {name} | {text} |' for name, text in attack.LAYERS.items())
    also = ', and in the VM' if any(row.startswith('vm:') for row in found) else '; not repeated in the VM'
    text = HEAD.format(**machines, also=also, alone=', '.join(tried_alone(found)) or 'none yet',
                       idle=', '.join(idle(found)) or 'none', layers=layers,
                       count=len(rested), single=rested.count(1), several=len([n for n in rested if n and n > 1]),
                       none=rested.count(0), untried=rested.count(None))
    left = [row['name'] for row in rows if found['all'][row['name']] != 'escaped']
    text = text.rstrip('\n') + '\n' + '\n'.join(lines) + '\n'
    if left:
        text += ('\n## Not counted\n\nThis kernel has nothing to try, with all layers off either: '
                 f"{', '.join(left)}.\n")
    return text


def store(keep, runs):
    keep.write_text(json.dumps(runs))


def run_in_vm(runtime, probe, rows, runs, keep, quick=False, prefix=''):
    rows = [row for row in rows if prefix + row not in {result['off'] for result in runs['results']}]
    for at in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[at:at + ROWS_AT_ONCE]
        print(f"VM: {at} of {len(rows)} runs; now: {' '.join(part)}", file=sys.stderr, flush=True)
        runs['vm'], *found = virtual.run(runtime, probe, [row or '-' for row in part], 3000, quick)
        runs['results'] += [dict(row, off=prefix + row['off']) for row in found]
        store(keep, runs)


def run_here(runtime, probe, runs, keep):
    runs['here'] = attack.machine()
    for row in attack.LAYERS:
        if row in {result['off'] for result in runs['results']}:
            continue
        print(f'here: without {row}', file=sys.stderr, flush=True)
        with attack.Attack(runtime, probe, [row]) as suite:
            runs['results'] += [dict(result, off=row) for result in suite.inside() + scenes.run_all(suite)]
        store(keep, runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', default=TOP / 'build' / 'test', type=pathlib.Path)
    parser.add_argument('--keep', default=TOP / 'build' / 'breakout-runs.json', type=pathlib.Path)
    options = parser.parse_args()
    folder = options.build.absolute() / 'tests' / 'attack'
    runtime, probe = folder / 'bulkhead-runtime-switched', folder / 'probe'
    runs = json.loads(options.keep.read_text()) if options.keep.exists() else {'results': []}
    run_here(runtime, probe, runs, options.keep)
    run_in_vm(runtime, probe, ['', 'all'], runs, options.keep)
    run_in_vm(runtime, probe, list(attack.LAYERS), runs, options.keep, prefix='vm:')
    run_in_vm(runtime, probe, [f'all-but:{layer}' for layer in attack.LAYERS], runs, options.keep, True)
    wrong = unclear(runs['results'])
    if wrong:
        print('\n'.join(wrong), file=sys.stderr)
        return 1
    PAGE.write_text(page(attack.listed(probe) + scenes.listed(), runs, runs['results']))
    return 0


if __name__ == '__main__':
    sys.exit(main())

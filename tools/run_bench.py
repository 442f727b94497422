# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks of './dev bench' and prints what they measured as a table or, with -o json, as JSON."""
import glob
import json
import os
import subprocess
import sys

FIELDS = ('name', 'value', 'unit', 'peer', 'ratio')
# What only some results have: the columns of a table are those that one of its results has.
MORE = ('p99', 'p99_peer', 'p99_ratio')


def wrong_fields(result):
    """What is wrong with a result's fields, None when nothing is."""
    if set(FIELDS) - {'peer', 'ratio'} <= set(result) <= set(FIELDS + MORE):
        return None
    return f'a result has the fields {sorted(result)}, not {sorted(FIELDS)} and perhaps {sorted(MORE)}'


def run(path):
    done = subprocess.run([sys.executable, path], stdout=subprocess.PIPE, check=False,
                          env=dict(os.environ, BULKHEAD_BUILD=os.path.abspath('build/release')))
    if done.returncode:
        sys.exit(f'{path} failed with exit status {done.returncode}')
    results = json.loads(done.stdout)['results']
    for result in results:
        if wrong_fields(result):
            sys.exit(f'{path}: {wrong_fields(result)}')
    return results


def word(value):
    if value is None:
        return '-'
    return f'{value:.3g}' if isinstance(value, float) else str(value)


def table(results):
    """The lines of a table of results."""
    fields = [field for field in FIELDS + MORE if field in FIELDS or any(field in result for result in results)]
    rows = [fields] + [[word(result.get(field)) for field in fields] for result in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(fields))]
    return ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def main():
    words = sys.argv[1:]
    as_json = False
    if '-o' in words:
        at = words.index('-o')
        if words[at + 1:at + 2] != ['json']:
            sys.exit("the format of -o is 'json'")
        as_json = True
        del words[at:at + 2]
    known = {os.path.basename(p)[:-3]: p for p in sorted(glob.glob('bench/*.py'))}
    for name in words:
        if name not in known:
            sys.exit(f"there is no benchmark '{name}': {', '.join(known)}")
    results = [result for name in words or known for result in run(known[name])]
    if as_json:
        print(json.dumps({'results': results}))
        return
    print('\n'.join(table(results)))


if __name__ == '__main__':
    main()

# SPDX-License-Identifier: Apache-2.0
"""Line coverage of each parser by the stored corpus of its fuzzer; fails under LEAST percent."""
import glob
import json
import os
import subprocess
import sys

BUILD = 'build/coverage'
LEAST = 80
PARSERS = 'tests/fuzz/parsers.txt'


def parsers():
    """{fuzzer: [source files]} from lines 'fuzzer: file file'."""
    table = {}
    with open(PARSERS, encoding='utf-8') as lines:
        for line in lines:
            line = line.split('#')[0].strip()
            if line:
                name, files = line.split(':')
                table[name.strip()] = files.split()
    return table


def measure(name, files):
    """Covered and all lines of the files."""
    program = f'{BUILD}/tests/fuzz/fuzz_{name}'
    profile = f'{BUILD}/{name}.profraw'
    subprocess.run([program, f'tests/fuzz/corpus/{name}'], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, LLVM_PROFILE_FILE=profile))
    subprocess.run(['llvm-profdata', 'merge', '-o', profile + '.data', profile], check=True)
    report = subprocess.run(['llvm-cov', 'export', '-summary-only', f'-instr-profile={profile}.data', program],
                            check=True, stdout=subprocess.PIPE)
    lines = {os.path.relpath(entry['filename']): entry['summary']['lines']
             for entry in json.loads(report.stdout)['data'][0]['files']}
    missing = [path for path in files if path not in lines]
    if missing:
        sys.exit(f"{PARSERS}: fuzz_{name} does not link {' '.join(missing)}")
    return sum(lines[path]['covered'] for path in files), sum(lines[path]['count'] for path in files)


def main():
    table = parsers()
    fuzzers = {os.path.basename(path)[len('fuzz_'):-2] for path in glob.glob('tests/fuzz/fuzz_*.c')}
    if fuzzers != set(table):
        sys.exit(f"{PARSERS} and the fuzzers differ: {' '.join(sorted(fuzzers ^ set(table)))}")
    failed = False
    for name, files in sorted(table.items()):
        covered, count = measure(name, files)
        percent = 100 * covered / count if count else 0
        low = percent < LEAST
        failed |= low
        print(f"{percent:5.1f} %  {name:16} {covered} of {count} lines of {' '.join(files)}"
              + (f'  BELOW {LEAST} %' if low else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

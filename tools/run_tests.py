# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of './dev test' and ends with one line that counts them: N passed, N failed, N skipped."""
import json
import os
import subprocess
import sys

MESON_BUILD = 'build/dev'
SYSTEM_BUILD = 'build/test'
RESULTS = 'build/test/pytest-results.json'


def meson_names(suite, word):
    """The names of a suite's tests that contain the word."""
    listed = json.loads(subprocess.run(['meson', 'introspect', '--tests', MESON_BUILD], check=True,
                                       stdout=subprocess.PIPE).stdout)
    return [t['name'] for t in listed if any(s.split(':')[-1] == suite for s in t['suite']) and word in t['name']]


def run_meson(suite, word, counts):
    names = meson_names(suite, word)
    if not names:
        return
    log = f'{MESON_BUILD}/meson-logs/testlog.json'
    if os.path.exists(log):
        os.unlink(log)
    print(f'== {len(names)} {suite} tests', flush=True)
    subprocess.run(['meson', 'test', '-C', MESON_BUILD, '--no-rebuild', '--suite', suite, '--print-errorlogs', *names])
    with open(log, encoding='utf-8') as lines:
        results = [json.loads(line)['result'] for line in lines]
    # A test that left no result did not pass.
    counts['failed'] += len(names) - len(results)
    for result in results:
        counts[{'OK': 'passed', 'SKIP': 'skipped'}.get(result, 'failed')] += 1


def run_pytest(word, counts):
    print('== system tests', flush=True)
    if os.path.exists(RESULTS):
        os.unlink(RESULTS)
    environment = dict(os.environ, BULKHEAD_BUILD=os.path.abspath(SYSTEM_BUILD),
                       BULKHEAD_RESULTS=os.path.abspath(RESULTS))
    command = [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', '-q', '-rs', '--tb=short', 'tests/system']
    status = subprocess.run(command + (['-k', word] if word else []), env=environment).returncode
    try:
        with open(RESULTS, encoding='utf-8') as stored:
            results = json.load(stored)
    except FileNotFoundError:
        results = {'passed': 0, 'failed': 1, 'skipped': 0}
    for kind in counts:
        counts[kind] += results[kind]
    # Status 5 is "no test matched", and 1 is counted already; anything else did not run to its end.
    if status not in (0, 1, 5) and not results['failed']:
        counts['failed'] += 1


def main():
    what = sys.argv[1]
    word = sys.argv[2] if len(sys.argv) > 2 else ''
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    for suite in ('unit', 'fuzz'):
        if what in (suite, 'all'):
            run_meson(suite, word, counts)
    if what in ('system', 'all'):
        run_pytest(word, counts)
    nothing = not sum(counts.values())
    if nothing:
        print('no test was run', flush=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    return 1 if counts['failed'] or nothing else 0


if __name__ == '__main__':
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of './dev test' and ends with one line that counts them: N passed, N failed, N skipped."""
import json
import os
import subprocess
import sys
import tempfile

MESON_BUILD = 'build/dev'
SYSTEM_BUILD = 'build/test'
RESULTS = 'build/test/pytest-results'
# Each lane's tests by their mark, and how it is started: emulated processors would take the others' time from them.
# The others wait for processes more than for a processor: two files at a time, for tests of one file share things.
LANES = {'vm': ('vm', ['nice', '-n', '5'], []), 'rest': ('not vm', [], ['-n', '2', '--dist', 'loadfile'])}


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


def start_lane(lane, word, output):
    """One run of pytest; tests in a virtual machine wait for most of their time, so they run beside the others."""
    environment = dict(os.environ, BULKHEAD_BUILD=os.path.abspath(SYSTEM_BUILD),
                       BULKHEAD_RESULTS=os.path.abspath(f'{RESULTS}-{lane}.json'))
    mark, before, options = LANES[lane]
    command = [*before, sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', '-q', '-rs', '--tb=short', '-m', mark,
               *options, 'tests/system']
    return subprocess.Popen(command + (['-k', word] if word else []), env=environment, stdout=output)


def count_lane(lane, status, counts):
    try:
        with open(f'{RESULTS}-{lane}.json', encoding='utf-8') as stored:
            results = json.load(stored)
    except FileNotFoundError:
        results = {'passed': 0, 'failed': 1, 'skipped': 0}
    for kind in counts:
        counts[kind] += results[kind]
    # Status 5 is "no test matched", and 1 is counted already; anything else did not run to its end.
    if status not in (0, 1, 5) and not results['failed']:
        counts['failed'] += 1


def run_pytest(word, counts):
    for lane in LANES:
        if os.path.exists(f'{RESULTS}-{lane}.json'):
            os.unlink(f'{RESULTS}-{lane}.json')
    with tempfile.TemporaryFile() as said:
        machines = start_lane('vm', word, said)
        print('== system tests', flush=True)
        count_lane('rest', start_lane('rest', word, None).wait(), counts)
        print('== system tests in a virtual machine', flush=True)
        count_lane('vm', machines.wait(), counts)
        said.seek(0)
        sys.stdout.write(said.read().decode(errors='replace'))
        sys.stdout.flush()


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

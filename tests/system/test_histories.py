# SPDX-License-Identifier: Apache-2.0
"""Over whole histories with concurrent replicas and faults no server holds what must be apart, judged from outside
(PLC-6)."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'separation'))

import checker  # noqa: E402
import histories  # noqa: E402

APART = {'a': {'separation': [{'from': {'domains': ['b']}, 'level': 'Server'}]}, 'b': {}, 'c': {}}


def test_nothing_stands_beside_what_it_must_not(build):
    report, found = histories.run_one(build / 'src/cism/bulkhead-cism', 5, 250)
    assert [one for one in found if one.cause == 'placement'] == []
    assert report['settled'] is True
    # Much stood together, so that there was something to find.
    assert report['runs'] > 30 and report['pairs'] > 30, report


def test_without_the_ledger_it_does(build):
    """What looks for violations finds them where nothing prevents them."""
    report, _ = histories.run_one(build / 'tests/programs/cism_ledgerless', 5, 150, patience=1)
    assert report['violations'].get('placement', 0) > 5, report


@pytest.mark.parametrize('second, lives, expected', [
    (('b', 'n2'), (15, 20), {'placement': 1}),  # another instance of the same server
    (('b', 'n1'), (15, 20), {'placement': 1}),
    (('b', 'n2'), (20, 25), {}),  # begins as the first one ends
    (('b', 'n3'), (15, 20), {}),  # another server
    (('c', 'n1'), (15, 20), {}),  # no rule
    (('b', 'n3'), (15, 40), {'placement': 1}),  # its machine is moved beside the first at 30
])
def test_the_checker_sees(second, lives, expected):
    runs = {'u1': ('a', 'n1', 10, 20 if lives[1] < 40 else 50), 'u2': (*second, *lives)}
    stands = [(0, 'n1', 's1'), (0, 'n2', 's1'), (0, 'n3', 's2'), (30, 'n3', 's1')]
    judge = checker.Checker(APART)
    assert judge.check(checker.stays_of(runs, stands), checker.causes_of([])) == expected


def test_the_checker_knows_what_a_fault_brought_about():
    faults = [{'event': 'move', 'moved': ['u1'], 'met': ['u2']}, {'event': 'lie', 'uids': ['u3']}]
    cause = checker.causes_of(faults)
    assert [cause('u1', 'u2'), cause('u2', 'u1'), cause('u1', 'u3'), cause('u1', 'u4')] == \
        ['move', 'move', 'lie', 'placement']

# SPDX-License-Identifier: Apache-2.0
"""src/policy/ decides as the oracle of tests/separation does (PLC-1 to PLC-4)."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'separation'))

import cases  # noqa: E402
import oracle  # noqa: E402
import placing  # noqa: E402

REASONS = {'Allowed None', 'Border Server', 'Dedicated Server', 'IsolationUnavailable None', 'NoDomain None',
           'Quarantined Server', 'Separation Instance', 'Separation Server', 'UnknownDomain None',
           'UnknownDomain Server', 'UnknownServer Server'}

PLACED = {'Apart', 'Near', 'NodeAffinity', 'NotReady', 'Placed', 'Pod', 'Quarantined', 'Resources', 'Selector',
          'Separated', 'Shunned', 'Taint', 'UnknownServer', 'Unschedulable'}


@pytest.fixture
def program(build):
    return build / 'tests' / 'programs' / 'decide'


def test_policy_decides_as_the_oracle(program):
    counts = cases.compare(program, 8000, 1)
    assert set(counts) == REASONS
    assert counts['Allowed None'] < 6000


class Forgetful(oracle.Oracle):
    """An oracle for which one word of the specification is not there."""
    word = None

    def __init__(self, specs):
        super().__init__({name: self._without(spec) for name, spec in specs.items()})

    def _without(self, value):
        if isinstance(value, dict):
            return {key: self._without(below) for key, below in value.items() if key != self.word}
        return [self._without(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize('word', ['border', 'plane', 'interface', 'networkFunctions', 'networkFunction',
                                  'serviceAccounts', 'images', 'isolation', 'subFunction'])
def test_each_word_counts(program, word):
    """The cases turn on every word: without one of them the two disagree, so the agreement above proves something."""
    forgetful = type('Forgetful', (Forgetful,), {'word': word})
    with pytest.raises(cases.Difference):
        cases.compare(program, 20000, 1, forgetful)


def test_the_scheduler_places_as_the_oracle(build):
    """Every filter and every score, in clusters whose instances, rules and pods change (PLC-1, PLC-2, PLC-5)."""
    counts = placing.compare(build / 'tests' / 'programs' / 'place', 4000, 1)
    assert len(counts) > 10 and counts['Placed'] > 1000


class Blind(placing.Cluster):
    """An oracle that leaves one filter out."""
    filter = None

    def reason(self, question, name):
        return 'Allowed' if (found := super().reason(question, name)) == self.filter else found


@pytest.mark.parametrize('word', sorted(PLACED - {'Placed'}))
def test_each_filter_counts(build, word):
    with pytest.raises(cases.Difference):
        placing.compare(build / 'tests' / 'programs' / 'place', 20000, 1, type('One', (Blind,), {'filter': word}))

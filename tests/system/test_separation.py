# SPDX-License-Identifier: Apache-2.0
"""src/policy/ decides as the oracle of tests/separation does (PLC-1 to PLC-4)."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'separation'))

import cases  # noqa: E402
import oracle  # noqa: E402

REASONS = {'Allowed None', 'Border Server', 'Dedicated Server', 'IsolationUnavailable None', 'NoDomain None',
           'Quarantined Server', 'Separation Instance', 'Separation Server', 'UnknownDomain None',
           'UnknownDomain Server', 'UnknownServer Server'}


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

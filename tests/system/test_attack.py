# SPDX-License-Identifier: Apache-2.0
"""Ways out of a container (tests/attack), tried on the runtime as installed: all are held (ISO-1, ISO-3, ISO-4)."""
import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(TOP / 'tests' / 'attack'))

import attack  # noqa: E402


@pytest.fixture
def probe(build):
    return build / 'tests' / 'attack' / 'probe'


def test_no_probe_gets_out(programs, probe):
    with attack.Attack(programs / 'bulkhead-runtime', probe) as suite:
        results = suite.inside()
    assert [row['name'] for row in results] == [row['name'] for row in attack.listed(probe)]
    assert not [row for row in results if row['result'] not in ('held', 'inapplicable')]
    assert len([row for row in results if row['result'] == 'held']) >= 70

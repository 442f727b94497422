# SPDX-License-Identifier: Apache-2.0
"""Ways out of a container (tests/attack), tried on the runtime as installed: all are held (ISO-1, ISO-3, ISO-4)."""
import json
import pathlib
import re
import shutil
import sys

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(TOP / 'tests' / 'attack'))

import attack  # noqa: E402
import scenes  # noqa: E402
import virtual  # noqa: E402


@pytest.fixture
def probe(build):
    return build / 'tests' / 'attack' / 'probe'


@pytest.fixture
def suite(programs, probe):
    with attack.Attack(programs / 'bulkhead-runtime', probe) as made:
        yield made


def check_held(results, names):
    """Every name has a result, and none got out."""
    assert [row['name'] for row in results] == names
    assert not [row for row in results if row['result'] not in ('held', 'inapplicable')]


@pytest.mark.parametrize('how', ['inside', 'entered'])
def test_no_probe_gets_out(suite, probe, how):
    results = getattr(suite, how)()
    check_held(results, [row['name'] for row in attack.listed(probe)])
    assert len([row for row in results if row['result'] == 'held']) >= 85


@pytest.mark.seconds(180 + scenes.SWAPS // 1000)
@pytest.mark.parametrize('scene', [scene for _, _, scene in scenes.SCENES], ids=lambda scene: scene.__name__)
def test_no_scene_gets_out(suite, scene):
    names = next(names for names, _, function in scenes.SCENES if function is scene)
    check_held([dict(zip(('name', 'result', 'error'), row)) for row in scene(suite)], list(names))


@pytest.mark.vm
@pytest.mark.seconds(virtual.SECONDS + 20)
def test_on_debians_kernel(build, programs, probe):
    """With every layer off the very probes get out, so that they prove something; with all on none does."""
    if not shutil.which('qemu-system-x86_64'):
        pytest.skip('qemu-system-x86_64 is not installed')
    names = [row['name'] for row in attack.listed(probe) + scenes.listed()]
    machine, *results = virtual.run(build / 'tests/attack/bulkhead-runtime-switched', probe, ['-', 'all'])
    assert machine['kernel'].startswith('6.1.')
    held = [row for row in results if row['off'] == '']
    out = [row for row in results if row['off'] == 'all']
    check_held(held, names)
    assert [row['name'] for row in out] == names
    missing = {row['name'] for row in out if row['result'] != 'escaped'}
    # What needs the right moment may never have it where a processor is emulated beside other work.
    chance = set(scenes.JOINED) | set(scenes.WAITING) | {name for name in names if name.endswith('_race')}
    assert virtual.NOT_IN_6_1 <= missing <= virtual.NOT_IN_6_1 | chance
    assert len(missing - virtual.NOT_IN_6_1) < len(chance) / 2


def test_the_installed_runtime_has_no_switches(build, programs):
    """The runtime for tests has them, so this can fail."""
    assert b'BULKHEAD_LAYERS_OFF' not in (programs / 'bulkhead-runtime').read_bytes()
    assert b'BULKHEAD_LAYERS_OFF' in (build / 'tests/attack/bulkhead-runtime-switched').read_bytes()


def test_the_matrix_has_a_row_for_each_way_out(probe):
    """docs/breakout-matrix.md is of this suite and of these layers."""
    page = (TOP / 'docs' / 'breakout-matrix.md').read_text(encoding='utf-8')
    table, _, left = page.partition('## Not counted')
    rows = re.findall(r'^\| (\w+) \| .* \| .* \| .* \|$', table, re.M)
    known = [row['name'] for row in attack.listed(probe) + scenes.listed()]
    assert rows == [name for name in known if name in rows]
    assert set(known) - set(rows) == virtual.NOT_IN_6_1 == set(re.findall(r'\w+(?=[,.]|$)', left.rpartition(':')[2]))
    assert re.findall(r'^\| (\w+) \| [^|]+ \|$', page, re.M)[1:] == list(attack.LAYERS)


def test_unknown_layers_are_refused():
    with pytest.raises(attack.Failure, match="there is no layer 'walls'"):
        attack.layers_off('landlock,walls')
    assert json.dumps(attack.layers_off('all-but:landlock')) == json.dumps(sorted(set(attack.LAYERS) - {'landlock'}))

# SPDX-License-Identifier: Apache-2.0
"""The hardening that the build asks for took effect in the ELF files that are installed (ISO-8)."""
import re
import subprocess

import pytest

PROGRAMS = ['bulkhead', 'bulkhead-cir', 'bulkhead-cis', 'bulkhead-cism', 'bulkhead-runtime']
RUNTIME_MAX = 950_000
# What _FORTIFY_SOURCE replaces calls by; a static program carries the functions themselves.
FORTIFIED = re.compile(r'\b__(?:\w+)_chk\b')


def readelf(path, *options):
    return subprocess.check_output(['readelf', '--wide', *map(str, options), str(path)], text=True)


@pytest.fixture(params=PROGRAMS)
def program(request, programs):
    path = programs / request.param
    assert path.exists(), f'{request.param} is not installed'
    return path


def test_all_programs_are_listed(programs):
    assert sorted(path.name for path in programs.iterdir()) == PROGRAMS


def test_position_independent(program):
    assert re.search(r'Type:\s+DYN \(Position-Independent Executable file\)', readelf(program, '-h'))


def test_relro_and_bind_now(program):
    assert 'GNU_RELRO' in readelf(program, '-l')
    assert re.search(r'\(FLAGS_1\).*\bNOW\b.*\bPIE\b', readelf(program, '-d'))


def test_stack_is_not_executable(program):
    flags = re.search(r'GNU_STACK\s+(?:0x\w+\s+){5}(\S+)', readelf(program, '-l')).group(1)
    assert flags == 'RW'


def test_no_segment_is_writable_and_executable(program):
    loads = re.findall(r'LOAD\s+(?:0x\w+\s+){5}([RWE ]+?)\s+0x', readelf(program, '-l'))
    assert loads and not [flags for flags in loads if 'W' in flags and 'E' in flags]


def test_stack_protector_and_fortify(program):
    symbols = readelf(program, '-s')
    if 'Symbol table' in symbols and '.dynsym' in symbols and '__stack_chk_fail' in symbols:
        assert FORTIFIED.search(symbols)
        return
    # A static program may be stripped of symbols; then the code that reads the canary from the thread block shows it.
    code = subprocess.check_output(['objdump', '-d', '--no-show-raw-insn', str(program)], text=True)
    assert len(re.findall(r'%fs:0x28', code)) > 50


def test_control_flow_protection(build):
    """Debian's C library is built without it, so the linker drops the note of the programs; our objects carry it."""
    objects = list((build / 'src').rglob('*.c.o'))
    assert len(objects) > 20
    notes = readelf(objects[0], '-n', *objects[1:])
    assert len(re.findall(r'x86 feature: IBT, SHSTK', notes)) == len(objects)


def test_runtime_is_static_and_small(programs):
    path = programs / 'bulkhead-runtime'
    assert 'INTERP' not in readelf(path, '-l')
    assert 'NEEDED' not in readelf(path, '-d')
    assert path.stat().st_size <= RUNTIME_MAX


def test_crash_points_are_only_in_the_test_build(programs):
    """The build under test has them, so the check of a release build can fail."""
    data = (programs / 'bulkhead-cism').read_bytes()
    assert b'BULKHEAD_CRASH_AT' in data


def test_the_ledger_is_on(programs):
    assert b'the placement ledger is switched off' not in (programs / 'bulkhead-cism').read_bytes()

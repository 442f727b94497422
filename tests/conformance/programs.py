# SPDX-License-Identifier: Apache-2.0
"""The validation programs of opencontainers/runtime-tools, built once below .cache/ with the libraries the repository
carries. RUNTIME_TOOLS names a checkout of it where none can be cloned. The commit is the last whose programs compare
limits and not pointers to limits.

Two things stand in a program's way and are cleared, for every runtime alike. Programs in Go from 1.19 on raise their
own limit of open files at start: `process_rlimits` compares that limit, so the language's library is built without.
Roots lack what their programs count on: `misc_props` starts /runtimetest without copying it there, and `pidfile` kills
a container that runs `true` and expects to find it running, so that its root has one which takes its time."""
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = TOP / '.cache/runtime-tools'
SOURCE = 'https://github.com/opencontainers/runtime-tools'
COMMIT = 'e5b4542'
SLOW_TRUE = b'#!/bin/sh\nsleep 5\n'


class Missing(Exception):
    """What it takes to build is not there."""


def go_version():
    if not shutil.which('go'):
        raise Missing('Go is needed to build the validation programs')
    found = subprocess.check_output(['go', 'env', 'GOVERSION'], text=True, env=dict(os.environ, GOTOOLCHAIN='local'))
    if tuple(map(int, re.match(r'go(\d+)\.(\d+)', found).groups())) < (1, 21):
        raise Missing(f'Go 1.21 is needed to build the validation programs, this is {found.strip()}')


def checkout():
    if 'RUNTIME_TOOLS' in os.environ:
        return pathlib.Path(os.environ['RUNTIME_TOOLS']).resolve()
    folder = CACHE / 'source'
    if not folder.exists():
        done = subprocess.run(['git', 'clone', '-q', SOURCE, folder], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Missing(f'the validation programs cannot be cloned: {done.stderr.strip()}')
    subprocess.run(['git', '-C', folder, 'checkout', '-q', COMMIT], check=True)
    return folder


def overlay(to):
    """What go build is to read instead of its library's file that raises the limit of open files."""
    library = pathlib.Path(subprocess.check_output(['go', 'env', 'GOROOT'], text=True).strip()) / 'src'
    raising = next(path for path in (library / 'syscall/rlimit.go', library / 'os/rlimit.go') if path.exists())
    text = raising.read_text()
    assert text.count('func init() {') == 1, raising
    (to / 'rlimit.go').write_text(text.replace('func init() {', 'func raiseLimit() {'))
    (to / 'overlay.json').write_text(json.dumps({'Replace': {str(raising): str(to / 'rlimit.go')}}))
    return to / 'overlay.json'


def pack_root(source, to, runtimetest, true=None):
    """A copy of an archive of a root that has runtimetest, and another `true` where one is given."""
    with tarfile.open(source) as old, tarfile.open(to, 'w:gz', compresslevel=1) as new:
        for member in old:
            if not (true and member.name == './bin/true'):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
        for name, content in (('./runtimetest', runtimetest.read_bytes()), ('./bin/true', true)):
            if content:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                new.addfile(member, io.BytesIO(content))


def make_place(source, to, runtimetest, **other):
    """A folder to run programs in: they take runtimetest and the archive of the root from there."""
    to.mkdir()
    shutil.copy(runtimetest, to)
    architecture = subprocess.check_output(['go', 'env', 'GOARCH'], text=True).strip()
    archive = f'rootfs-{architecture}.tar.gz'
    pack_root(source / archive, to / archive, runtimetest, **other)


def build():
    """The folder with the built `programs` and the places `usual` and `slow`. Raises Missing."""
    built = CACHE / 'built'
    if built.exists():
        return built
    go_version()
    source = checkout()
    new = CACHE / 'new'
    shutil.rmtree(new, ignore_errors=True)
    (new / 'programs').mkdir(parents=True)
    environment = dict(os.environ, CGO_ENABLED='0', GOFLAGS='-mod=vendor -buildvcs=false', GOPROXY='off',
                       GOTOOLCHAIN='local')
    for package, to in (('./validation/...', f'{new}/programs/'), ('./cmd/runtimetest', f'{new}/runtimetest')):
        subprocess.run(['go', 'build', '-ldflags=-s -w', '-overlay', overlay(new), '-o', to, package], cwd=source,
                       env=environment, check=True)
    make_place(source, new / 'usual', new / 'runtimetest')
    make_place(source, new / 'slow', new / 'runtimetest', true=SLOW_TRUE)
    new.rename(built)
    return built

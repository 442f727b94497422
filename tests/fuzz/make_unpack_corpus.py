#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz_unpack: archives whose second half is another layer. usage: make_unpack_corpus.py DIR"""
import io
import os
import sys
import tarfile


def layer(*entries):
    """An archive of (name, type, link target, data, pax headers)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target, data, headers in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.pax_headers = kind, target, len(data), headers
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(name, kind=tarfile.REGTYPE, target='', data=b'', **headers):
    return name, kind, target, data, {key.replace('__', '.'): value for key, value in headers.items()}


FOLDER, LINK, SOFT = tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE
CASES = {
    'links': [entry('a', data=b'1'), entry('b', LINK, 'a'), entry('c', SOFT, 'a'), entry('.wh.a'),
              entry('d', LINK, 'b')],
    'whiteouts': [entry('d/e/f', data=b'x'), entry('d/g'), entry('d/.wh.e'), entry('d/.wh..wh..opq'), entry('d/h')],
    'large-folder': [entry(f'd/{"n" * 100}{i}') for i in range(90)],
    'long-target': [entry('l', SOFT, 't' * 4000), entry('m', SOFT, 'u' * 4095), entry('n', SOFT, 'v')],
    'attributes': [entry('f', data=b'x', SCHILY__xattr__user__one='1', SCHILY__xattr__user__two='22' * 700)],
    'attributes-folder': [entry('d', FOLDER, SCHILY__xattr__user__one='1' * 3000), entry('d/f')],
    'names': [entry(name) for name in ('!', '-', '...', '..a', 'z', 'Z', '\xff', '.hidden')],
    'deep': [entry('/'.join('abcdefgh' * 15), data=b'y' * 5000)],
    'replaced': [entry('d/f', data=b'1' * 9000), entry('e', SOFT, 'd'), entry('d', FOLDER), entry('.wh.d'), entry('g')],
    'sizes': [entry(f'f{n}', data=b'z' * n) for n in (0, 1, 4095, 4096, 4097, 140000)],
}

if __name__ == '__main__':
    os.makedirs(sys.argv[1], exist_ok=True)
    for title, entries in CASES.items():
        with open(os.path.join(sys.argv[1], title), 'wb') as file:
            file.write(layer(*entries))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz_tar: good archives of every format, each kind of bad one. usage: make_tar_corpus.py DIR"""
import gzip
import io
import os
import subprocess
import sys
import tarfile

POSIX, GNU = b'ustar\x0000', b'ustar  \x00'


def header(
    name=b'f',
    kind=b'0',
    target=b'',
    size=0,
    mode=b'644',
    uid=b'0',
    gid=b'0',
    mtime=b'1',
    magic=POSIX,
    prefix=b'',
    size_field=None,
    spoil=False,
):
    """One header block, its fields as told, right or wrong."""
    block = bytearray(512)

    def put(at, field):
        block[at:at + len(field)] = field
    put(0, name[:100])
    put(100, mode[:8])
    put(108, uid[:8])
    put(116, gid[:8])
    put(124, size_field if size_field is not None else b'%o' % size)
    put(136, mtime[:12])
    put(156, kind)
    put(157, target[:100])
    put(257, magic)
    put(345, prefix[:155])
    put(148, b'        ')
    put(148, b'%06o\x00' % ((sum(block) + spoil) & 0o777777))
    return bytes(block)


def padded(data):
    return data + b'\0' * (-len(data) % 512)


def file(name=b'f', data=b'', **fields):
    return header(name, size=len(data), **fields) + padded(data)


def extension(kind, data):
    return header(b'ext', kind, size=len(data)) + padded(data)


def record(key, value):
    bare = len(key) + len(value) + 3
    length = bare + 1
    while len(str(length)) + bare != length:
        length += 1
    return b'%d %s=%s\n' % (length, key, value)


END = b'\0' * 1024


def written_by_tarfile(form):
    """What Python's own writer makes of names, links, times and attributes that need extensions."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=form) as tar:
        for name, kind in (('./', tarfile.DIRTYPE), ('etc', tarfile.DIRTYPE), ('etc/' + 'n' * 120, tarfile.REGTYPE),
                           ('s', tarfile.SYMTYPE), ('h', tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1
            info.linkname = {tarfile.SYMTYPE: 'etc/' + 't' * 120, tarfile.LNKTYPE: 'etc/x'}.get(kind, '')
            data = b'data' if kind == tarfile.REGTYPE else b''
            info.size = len(data)
            if form == tarfile.PAX_FORMAT and data:
                info.pax_headers = {'SCHILY.xattr.user.a': 'b', 'comment': 'c'}
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()[:10240]


def good():
    yield 'good-ustar', file(b'./', kind=b'5') + file(b'a', b'x' * 600) + file(b'b', kind=b'1', target=b'a') + END
    yield 'good-prefix', file(b'b', prefix=b'a/c') + END
    yield 'good-gnu', written_by_tarfile(tarfile.GNU_FORMAT)
    yield 'good-pax', written_by_tarfile(tarfile.PAX_FORMAT)
    yield 'good-base256', header(size_field=b'\x80' + b'\0' * 10 + b'\x01') + padded(b'x') + END
    yield 'good-global', extension(b'g', record(b'comment', b'x')) + file() + END
    yield 'good-symlinks', file(b'd/l', kind=b'2', target=b'../x/./y//z') + file(b'm', kind=b'2', target=b'/abs') + END
    yield 'good-old-time', extension(b'x', record(b'mtime', b'-1.5')) + file() + END
    yield 'good-numbers', extension(b'x', b''.join(record(k, v) for k, v in (
        (b'size', b'3'), (b'uid', b'9'), (b'gid', b'8'), (b'mtime', b'17.123456789123')))) + \
        header() + padded(b'abc') + END
    small = file(b'a', b'x' * 2000) + END
    yield 'good-gzip', gzip.compress(small, mtime=0)
    yield 'good-gzip-members', gzip.compress(small[:700], mtime=0) + gzip.compress(small[700:], mtime=0)
    yield 'good-zstd', subprocess.run(['zstd', '-q', '-c'], input=small, stdout=subprocess.PIPE, check=True).stdout


def bad_names():
    for name, kind in ((b'/etc/passwd', b'0'), (b'../x', b'0'), (b'a/../../x', b'0'), (b'a/..', b'5'),
                       (b'a//b', b'0'), (b'a/./b', b'0'),
                       (b'.//e', b'0'), (b'a/', b'0'), (b'./', b'2'), (b'', b'0'),
                       (b'null', b'3'), (b'sda', b'4'), (b'p', b'6'),
                       (b's', b'S'), (b'v', b'V')):
        label = name.decode().replace('/', '_') or 'empty'
        yield 'name-%s-%s' % (kind.decode(), label), file(name, kind=kind, target=b'x') + END
    yield 'name-deep', extension(b'x', record(b'path', b'a/' * 129)) + file(kind=b'5') + END
    yield 'name-long-part', extension(b'x', record(b'path', b'n' * 256)) + file() + END
    yield 'name-long', extension(b'x', record(b'path', b'n/' * 2048)) + file() + END
    for kind, target in ((b'1', b'/etc/shadow'), (b'1', b'../x'), (b'1', b'./'),
                         (b'1', b''), (b'2', b''), (b'2', b'../../x')):
        label = target.decode().replace('/', '_') or 'empty'
        yield 'link-%s-%s' % (kind.decode(), label), file(b'a/l', kind=kind, target=target) + END


def bad_numbers():
    yield 'number-mode', file(mode=b'9') + END
    yield 'number-uid', file(uid=b'x') + END
    yield 'number-uid-large', file(uid=b'200000') + END
    yield 'number-size', file(size_field=b'-1') + END
    yield 'number-size-large', header(size_field=b'\x80' + b'\xff' * 11) + END
    yield 'number-size-tib', header(size_field=b'\x80' + b'\0' * 4 + b'\xff' * 7) + END
    yield 'number-time', file(mtime=b'z') + END
    yield 'number-checksum', file(spoil=True) + END
    yield 'number-magic', file(magic=b'\0' * 8) + END
    yield 'data-behind-folder', file(b'd', b'x', kind=b'5') + END


def bad_extensions():
    for name, data in (('no-length', b'path=x\n'), ('length', b'99 path=x\n'), ('no-key', b'9 path x\n'),
                       ('empty-key', b'5 =b\n'),
                       ('empty', record(b'path', b'')), ('twice', record(b'path', b'x') * 2),
                       ('size', record(b'size', b'x')),
                       ('size-twice', record(b'size', b'1') * 2), ('uid', record(b'uid', b'-1')),
                       ('time', record(b'mtime', b'1.x')),
                       ('time-twice', record(b'mtime', b'1') * 2), ('time-large', record(b'mtime', b'999999999999')),
                       ('sparse', record(b'GNU.sparse.major', b'1')), ('xattr', record(b'SCHILY.xattr.', b'')),
                       ('xattrs', record(b'SCHILY.xattr.user.a', b'') * 33), ('nul', record(b'path', b'a\0b'))):
        yield 'pax-' + name, extension(b'x', data) + file() + END
    yield 'pax-two', extension(b'x', record(b'uid', b'1')) * 2 + file() + END
    yield 'pax-alone', extension(b'x', record(b'uid', b'1')) + END
    yield 'pax-large', header(b'ext', b'x', size=(1 << 20) + 1) + END
    yield 'pax-not-a-size', header(b'ext', b'x', size_field=b'x') + END
    yield 'pax-cut', header(b'ext', b'x', size=600)
    yield 'pax-and-gnu', extension(b'L', b'y\0') + extension(b'x', record(b'path', b'x')) + file(magic=GNU) + END
    yield 'gnu-nul', extension(b'L', b'y\0z\0') + file(magic=GNU) + END
    yield 'gnu-long-target', extension(b'K', b't' * 300 + b'\0') + file(kind=b'1', magic=GNU) + END
    yield 'gnu-device', extension(b'L', b'n' * 300 + b'\0') + file(kind=b'3', magic=GNU) + END
    yield 'global-path', extension(b'g', record(b'path', b'x')) + file() + END
    yield 'global-xattr', extension(b'g', record(b'SCHILY.xattr.user.a', b'x')) + file() + END


def bad_ends():
    small = file(b'a', b'x' * 2000) + END
    packed = gzip.compress(small, mtime=0)
    yield 'end-none', file()
    yield 'end-half', small[:-512]
    yield 'end-cut', small[:-100]
    yield 'end-hidden', END + small
    yield 'cut-data', small[:900]
    yield 'cut-padding', file(b'a', b'x' * 513)[:1100]
    yield 'gzip-cut', packed[:-9]
    yield 'gzip-damaged', packed[:20] + b'\xff\xff\xff' + packed[23:]
    yield 'gzip-behind', packed + b'garbage'
    yield 'zstd-damaged', b'\x28\xb5\x2f\xfd' + b'\xff' * 40
    yield 'zstd-cut', b'\x28\xb5\x2f\xfd\x04\x58'
    yield 'gzip-bomb', gzip.compress(header(size=1 << 27) + b'\0' * (1 << 22), mtime=0)


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for group in (good, bad_names, bad_numbers, bad_extensions, bad_ends):
        for name, data in group():
            with open(os.path.join(sys.argv[1], name), 'wb') as out:
                out.write(data)


if __name__ == '__main__':
    main()

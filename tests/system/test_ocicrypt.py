# SPDX-License-Identifier: Apache-2.0
"""CACHE-2: encrypted images both ways with skopeo, and what becomes of those that were changed on their way."""
import base64
import json
import os
import pathlib
import random
import shutil
import subprocess

import pytest

import support_layout as layouts

KINDS = ('rsa2048', 'rsa3072', 'rsa4096', 'P-256', 'P-384', 'P-521')
# './dev test' takes a share of the ten thousand; BULKHEAD_MUTATIONS=10000 all.
MUTATIONS = int(os.environ.get('BULKHEAD_MUTATIONS', '150'))
DATA = {'etc/secret': b'canary ' * 3000, 'bin/tool': os.urandom(40000)}


@pytest.fixture(scope='module')
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp('keys')
    return {kind: layouts.make_key(folder, kind) for kind in KINDS}


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp('layout') / 'plain'
    layouts.Layout(folder, [layouts.archive(DATA), layouts.archive({'etc/other': b'second layer'})])
    return folder


def run(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)


def good(*words):
    done = run(*words)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}"
    return done


def bulkhead(programs, *words):
    return run(programs / 'bulkhead', *words)


def assert_same(one, other):
    for number in range(2):
        assert layouts.layer_bytes(one, number) == layouts.layer_bytes(other, number)


def option(name, values):
    return [word for value in values for word in (name, value)]


@pytest.mark.parametrize('kind', KINDS)
def test_skopeo_reads_what_we_encrypt(programs, plain, keys, tmp_path, kind):
    private, public = keys[kind]
    good(programs / 'bulkhead', 'encrypt', '--recipient', public, plain, tmp_path / 'encrypted')
    assert b'canary' not in layouts.layer_bytes(tmp_path / 'encrypted')
    for layer in layouts.manifest_of(tmp_path / 'encrypted')['layers']:
        assert layer['mediaType'] == 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted'
    good('skopeo', 'copy', '--decryption-key', private, f'oci:{tmp_path}/encrypted:x', f'oci:{tmp_path}/decrypted:x')
    assert_same(plain, tmp_path / 'decrypted')


@pytest.mark.parametrize('kind', KINDS)
def test_we_read_what_skopeo_encrypts(programs, plain, keys, tmp_path, kind):
    private, public = keys[kind]
    good('skopeo', 'copy', '--encryption-key', f'jwe:{public}', f'oci:{plain}:x', f'oci:{tmp_path}/encrypted:x')
    done = good(programs / 'bulkhead', 'decrypt', '--key', private, tmp_path / 'encrypted', tmp_path / 'decrypted')
    assert done.stdout.startswith('2 layers decrypted, 0.')
    assert_same(plain, tmp_path / 'decrypted')


@pytest.mark.parametrize('count', [2, 8])
def test_many_recipients(programs, plain, keys, tmp_path, count):
    """Each of the recipients alone opens it, by either program's hand and either program's eye."""
    chosen = [keys[KINDS[i % len(KINDS)]] for i in range(count)]
    good(programs / 'bulkhead', 'encrypt', *option('--recipient', [public for _, public in chosen]), plain,
         tmp_path / 'ours')
    good('skopeo', 'copy', *option('--encryption-key', [f'jwe:{public}' for _, public in chosen]), f'oci:{plain}:x',
         f'oci:{tmp_path}/theirs:x')
    for number, (private, _) in enumerate(dict.fromkeys(chosen)):
        for maker in ('ours', 'theirs'):
            good(programs / 'bulkhead', 'decrypt', '--key', private, tmp_path / maker, tmp_path / f'{maker}{number}')
            assert_same(plain, tmp_path / f'{maker}{number}')
        good('skopeo', 'copy', '--decryption-key', private, f'oci:{tmp_path}/ours:x', f'oci:{tmp_path}/by{number}:x')
        assert_same(plain, tmp_path / f'by{number}')


def test_nobody_elses(programs, plain, keys, tmp_path):
    good(programs / 'bulkhead', 'encrypt', '--recipient', keys['P-256'][1], plain, tmp_path / 'encrypted')
    layer = layouts.manifest_of(tmp_path / 'encrypted')['layers'][0]['digest']
    done = bulkhead(programs, 'decrypt', '--key', keys['P-384'][0], '--key', keys['rsa2048'][0],
                    tmp_path / 'encrypted', tmp_path / 'decrypted')
    assert done.stderr == (f"bulkhead: '{tmp_path}/encrypted': layer {layer}: JWE: it is wrapped for other keys than "
                           "the 2 at hand\n")
    assert done.returncode == 6
    done = bulkhead(programs, 'encrypt', plain, tmp_path / 'nobody')
    assert done.stderr == "bulkhead: nobody could read it: name a key by '--recipient'\n"


# --- what was changed ---

def flip(text, chance):
    data = bytearray(text)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def change_text(chance, text):
    """Another text that may well be the same JSON with another value, or none."""
    kind = chance.randrange(4)
    if kind == 0:
        return flip(text.encode(), chance).decode('latin-1')
    if kind == 1:
        return text[:chance.randrange(len(text))]
    if kind == 2:
        at = chance.randrange(len(text))
        return text[:at] + text[at + 1:]
    at = chance.randrange(len(text))
    return text[:at] + chance.choice('AQgw=,+/0') + text[at:]


def change_annotation(chance, _, layer, name):
    """Bits of the base64 text, or of what it says."""
    text = layer['annotations'][layouts.ENCRYPTED + name]
    inner = base64.b64decode(text)
    layer['annotations'][layouts.ENCRYPTED + name] = change_text(chance, text) if chance.random() < 0.3 else \
        base64.b64encode(change_text(chance, inner.decode('latin-1')).encode('latin-1')).decode()


def change_packets(*args):
    change_annotation(*args, 'keys.jwe')


def change_options(*args):
    change_annotation(*args, 'pubopts')


def change_cipher_text(chance, layout, layer):
    data = layouts.path_of(layout.folder, layer['digest']).read_bytes()
    data = flip(data, chance) if chance.random() < 0.6 else data[:chance.randrange(len(data))]
    layer.update(layout.blob(data, layer['mediaType']))


def swap_recipients(_, __, layer, other):
    name = layouts.ENCRYPTED + 'keys.jwe'
    layer['annotations'][name], other['annotations'][name] = other['annotations'][name], layer['annotations'][name]


def swap_hmac(_, __, layer, other):
    name = layouts.ENCRYPTED + 'pubopts'
    layer['annotations'][name], other['annotations'][name] = other['annotations'][name], layer['annotations'][name]


CHANGES = (change_packets, change_options, change_cipher_text)


def refuse_or_same(programs, plain, key, layout, at):
    """Nothing of a changed layer may appear under a name: refused, or the change said nothing and all is as it was."""
    shutil.rmtree(at, ignore_errors=True)
    done = bulkhead(programs, 'decrypt', '--key', key, layout.folder, at)
    names = {path.name for path in (at / 'blobs/sha256').iterdir()}
    if done.returncode == 0:
        assert_same(plain, at)
        return False
    assert done.stderr.startswith('bulkhead: ') and len(done.stderr) < 1200, done.stderr
    assert 'Sanitizer' not in done.stderr and done.returncode in range(1, 20)
    allowed = layouts.manifest_of(plain)
    assert names <= {allowed['config']['digest'][7:], layouts.manifest_of(layout.folder)['config']['digest'][7:]}
    assert not (at / 'index.json').exists() and not (at / 'blobs/.new').exists()
    return True


def copy_layout(folder, to):
    shutil.copytree(folder, to)
    copied = object.__new__(layouts.Layout)
    copied.folder = to
    return copied


@pytest.mark.seconds(180 + MUTATIONS)
def test_changed_layers(programs, plain, keys, tmp_path):
    """Annotations, packets, options and cipher text changed at random, digests made right: not one byte appears."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f'seed {seed}, {MUTATIONS} changes')
    good(programs / 'bulkhead', 'encrypt', *option('--recipient', [keys['P-256'][1], keys['P-521'][1]]), plain,
         tmp_path / 'encrypted')
    before = layouts.manifest_of(tmp_path / 'encrypted')
    layout = copy_layout(tmp_path / 'encrypted', tmp_path / 'changed')
    refused = 0
    for _ in range(MUTATIONS):
        manifest = json.loads(json.dumps(before))
        layer = manifest['layers'][0]
        chance.choice(CHANGES)(chance, layout, layer)
        layout.write(manifest)
        if refuse_or_same(programs, plain, keys['P-256'][0], layout, tmp_path / 'out'):
            refused += 1
        else:
            # An accepted change touched what nobody reads: another recipient's share, or white space of a kind.
            assert layer['digest'] == before['layers'][0]['digest']
    # Some changes hit the part of the recipient P-521, which this key does not need.
    assert refused > MUTATIONS * 0.6


def test_swapped(programs, plain, keys, tmp_path):
    """What belongs to another layer of the same image, for the same key, is refused too."""
    good(programs / 'bulkhead', 'encrypt', '--recipient', keys['P-256'][1], plain, tmp_path / 'encrypted')
    for swap, expected in ((swap_recipients, 'its HMAC is not the one of its public options'),
                           (swap_hmac, 'its HMAC is not the one of its public options')):
        layout = copy_layout(tmp_path / 'encrypted', tmp_path / swap.__name__)
        manifest = layouts.manifest_of(layout.folder)
        swap(None, None, *manifest['layers'])
        layout.write(manifest)
        done = bulkhead(programs, 'decrypt', '--key', keys['P-256'][0], layout.folder, tmp_path / f'out{swap.__name__}')
        assert done.stderr.endswith(f"layer {manifest['layers'][0]['digest']}: {expected}\n")


def test_other_schemes_are_named(programs, plain, keys, tmp_path):
    good(programs / 'bulkhead', 'encrypt', '--recipient', keys['P-256'][1], plain, tmp_path / 'encrypted')
    layout = copy_layout(tmp_path / 'encrypted', tmp_path / 'other')
    manifest = layouts.manifest_of(layout.folder)
    notes = manifest['layers'][0]['annotations']
    notes[layouts.ENCRYPTED + 'keys.pgp'] = notes.pop(layouts.ENCRYPTED + 'keys.jwe')
    layout.write(manifest)
    done = bulkhead(programs, 'decrypt', '--key', keys['P-256'][0], layout.folder, pathlib.Path(tmp_path / 'out'))
    assert done.stderr.splitlines()[0].endswith("its key is wrapped by 'pgp', of which only 'jwe' is supported")

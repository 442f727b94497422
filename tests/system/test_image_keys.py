# SPDX-License-Identifier: Apache-2.0
"""CACHE-2, CACHE-4: encrypted images through the main installation: who may run them, with whose keys, each time."""
import base64
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import cell as cells
import installation
import support_layout as layouts

TOP = pathlib.Path(__file__).parent.parent.parent
DOMAINS = ('ims', 'oam')


@pytest.fixture(scope='module')
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp('keys')
    return {kind: layouts.make_key(folder, kind) for kind in ('P-256', 'P-384', 'rsa2048')}


def keys_of(job, domain):
    return job.root / 'etc/bulkhead/keys' / domain


def give(job, domain, private):
    """The domain has this key, and one for its cache."""
    folder = keys_of(job, domain)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copy(private, folder / 'image.pem')
    if not (folder / 'cache.key').exists():
        (folder / 'cache.key').write_bytes(base64.b64encode(os.urandom(32)))
    for path in folder.iterdir():
        path.chmod(0o600)


@pytest.fixture(scope='module')
def job(programs, kubectls, keys):
    with installation.temporary_root() as root:
        cell = cells.Cell()
        try:
            made = installation.Installation(cell, root, programs, kubectls)
            made.up()
            for name in DOMAINS:
                made.apply({'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': name},
                            'spec': {'isolation': 'Container'}})
                made.apply({'apiVersion': 'v1', 'kind': 'Namespace',
                            'metadata': {'name': name, 'labels': {'trust.bulkhead.dev/domain': name}}})
            give(made, 'ims', keys['P-256'][0])
            yield made
            made.keep_logs()
        finally:
            cell.close()


@pytest.fixture(scope='module')
def encrypted(job, keys, tmp_path_factory):
    """The layout of busybox, encrypted for the key of ims and for one that nobody here has, and pushed."""
    subprocess.run([TOP / 'tools/make-images'], check=True)
    folder = tmp_path_factory.mktemp('layout') / 'busybox'
    subprocess.run([job.programs / 'bulkhead', 'encrypt', '--recipient', keys['P-256'][1], '--recipient',
                    keys['rsa2048'][1], TOP / '.cache/images/busybox', folder], check=True)
    job.push(folder, 'ims/secret:bookworm')
    return folder


def pod_of(job, namespace, name, image='ims/secret:bookworm', script='echo it runs'):
    pod = job.busybox_pod(namespace, name, script)
    pod['spec']['containers'][0]['image'] = f'127.0.0.1:5000/{image}'
    return pod


def reason_of(job, namespace, name, word=''):
    """What the container of a pod that cannot start says, once it says something with this word."""
    def said():
        statuses = job.get('pod', name, '-n', namespace)['status'].get('containerStatuses', [])
        messages = [state.get('message', '') for status in statuses for state in status['state'].values()]
        return [message for message in messages if message and word in message]
    said.__doc__ = f"pod '{namespace}/{name}' says why it does not run"
    return job.wait(said)[0]


def delete(job, namespace, name):
    job.kubectl('delete', 'pod', name, '-n', namespace, '--wait=false')


def run_once(job, name, **options):
    job.apply(pod_of(job, 'ims', name, **options))
    job.wait_phase('ims', name, 'Succeeded')
    assert job.kubectl('logs', name, '-n', 'ims').stdout == 'it runs\n'
    delete(job, 'ims', name)


def first_layer(folder):
    return layouts.manifest_of(folder)['layers'][0]['digest']


def test_runs_and_is_sealed(job, encrypted):
    run_once(job, 'first')
    # Nothing below the state is plain: the program's own banner, which is in the image, is nowhere.
    assert b'multi-call binary' in pathlib.Path('/bin/busybox').read_bytes()
    held = [path for path in (job.state / 'cis/images').rglob('*') if path.is_file()]
    assert held and sum(path.stat().st_size for path in held) > 500_000
    assert not [path for path in held if b'multi-call binary' in path.read_bytes()]
    run_once(job, 'again')


def test_another_domain_is_refused_though_it_is_cached(job, encrypted, keys):
    job.apply(pod_of(job, 'oam', 'stranger'))
    said = reason_of(job, 'oam', 'stranger', 'keys')
    assert said.endswith("keys of TrustDomain 'oam': folder 'etc/bulkhead/keys/oam' is not there"), said
    give(job, 'oam', keys['P-384'][0])
    said = reason_of(job, 'oam', 'stranger', 'none of the 1 keys')
    assert said.endswith(f"layer {first_layer(encrypted)} is encrypted for none of the 1 keys of TrustDomain 'oam' in "
                         "'etc/bulkhead/keys/oam'"), said
    assert job.get('pod', 'stranger', '-n', 'oam')['status']['phase'] == 'Pending'
    delete(job, 'oam', 'stranger')


def test_removed_key_is_refused_until_it_is_back(job, encrypted, keys):
    run_once(job, 'before')
    (keys_of(job, 'ims') / 'image.pem').unlink()
    job.apply(pod_of(job, 'ims', 'without'))
    said = reason_of(job, 'ims', 'without', 'none of the 0 keys')
    assert f"layer {first_layer(encrypted)} is encrypted for none of the 0 keys of TrustDomain 'ims'" in said
    give(job, 'ims', keys['P-256'][0])
    job.wait_phase('ims', 'without', 'Succeeded')
    delete(job, 'ims', 'without')


def test_what_skopeo_encrypted(job, encrypted, keys, tmp_path):
    done = subprocess.run(['skopeo', 'copy', '--encryption-key', f"jwe:{keys['P-256'][1]}",
                           f"oci:{TOP / '.cache/images/busybox'}:bookworm", f'oci:{tmp_path}/theirs:bookworm'],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    job.push(tmp_path / 'theirs', 'ims/theirs:bookworm')
    run_once(job, 'theirs', image='ims/theirs:bookworm')


# --- changed on its way; every digest is right ---

def changed(encrypted, folder, change):
    shutil.copytree(encrypted, folder)
    layout = object.__new__(layouts.Layout)
    layout.folder = folder
    manifest = layouts.manifest_of(folder)
    change(layout, manifest['layers'][0])
    layout.write(manifest)
    index = json.loads((folder / 'index.json').read_text(encoding='utf-8'))
    index['manifests'][0]['annotations']['org.opencontainers.image.ref.name'] = 'bookworm'
    (folder / 'index.json').write_text(json.dumps(index), encoding='utf-8')


def flipped(layout, layer):
    data = bytearray(layouts.path_of(layout.folder, layer['digest']).read_bytes())
    data[-20] ^= 1
    layer.update(layout.blob(bytes(data), layer['mediaType']))


def cut(layout, layer):
    data = layouts.path_of(layout.folder, layer['digest']).read_bytes()
    layer.update(layout.blob(data[:len(data) // 2], layer['mediaType']))


def other_hmac(_, layer):
    name = layouts.ENCRYPTED + 'pubopts'
    options = json.loads(base64.b64decode(layer['annotations'][name]))
    options['hmac'] = base64.b64encode(os.urandom(32)).decode()
    layer['annotations'][name] = base64.b64encode(json.dumps(options).encode()).decode()


def other_tag(_, layer):
    name = layouts.ENCRYPTED + 'keys.jwe'
    packet = json.loads(base64.b64decode(layer['annotations'][name]))
    packet['tag'] = 'A' * 22
    layer['annotations'][name] = base64.b64encode(json.dumps(packet).encode()).decode()


def no_key(_, layer):
    layer['annotations'][layouts.ENCRYPTED + 'keys.pgp'] = layer['annotations'].pop(layouts.ENCRYPTED + 'keys.jwe')


@pytest.mark.parametrize('change, expected', [
    (flipped, 'its HMAC is not the one of its public options'),
    (cut, 'its HMAC is not the one of its public options'),
    (other_hmac, 'its HMAC is not the one of its public options'),
    (other_tag, "is encrypted for none of the 1 keys of TrustDomain 'ims' in 'etc/bulkhead/keys/ims'"),
    (no_key, "its key is wrapped by 'pgp', of which only 'jwe' is supported"),
], ids=lambda value: getattr(value, '__name__', ''))
def test_changed_image_leaves_nothing(job, encrypted, tmp_path, change, expected):
    name = change.__name__.replace('_', '-')
    changed(encrypted, tmp_path / 'changed', change)
    job.push(tmp_path / 'changed', f'ims/{name}:bookworm')
    before = sorted(os.listdir(job.state / 'cis/images'))
    job.apply(pod_of(job, 'ims', name, image=f'ims/{name}:bookworm'))
    assert expected in reason_of(job, 'ims', name, expected[-20:])
    assert job.get('pod', name, '-n', 'ims')['status']['phase'] == 'Pending'
    delete(job, 'ims', name)
    job.wait(lambda: not [entry for entry in os.listdir(job.state / 'cis/images') if entry.startswith('.new-')])
    assert sorted(os.listdir(job.state / 'cis/images')) == before


# --- the platform that runs ---

def test_the_platform_that_runs_is_the_one_that_is_asked_about(job, encrypted, keys, tmp_path):
    """The shape of CVE-2022-24778: of an index, an entry that is not run needs no key, the one that runs does."""
    folder = tmp_path / 'index'
    shutil.copytree(encrypted, folder)
    shutil.copytree(TOP / '.cache/images/busybox', folder, dirs_exist_ok=True,
                    ignore=lambda at, names: [name for name in names if name.endswith('.json')])
    entries = []
    for source, architecture in ((TOP / '.cache/images/busybox', 'arm64'), (encrypted, 'amd64')):
        entry = json.loads((source / 'index.json').read_text(encoding='utf-8'))['manifests'][0]
        entry['platform'] = {'os': 'linux', 'architecture': architecture}
        entry.pop('annotations', None)
        entries.append(entry)
    layout = object.__new__(layouts.Layout)
    layout.folder = folder
    index = {'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json', 'manifests': entries}
    row = layout.blob(json.dumps(index).encode(), index['mediaType'])
    row['annotations'] = {'org.opencontainers.image.ref.name': 'bookworm'}
    (folder / 'index.json').write_text(json.dumps({'schemaVersion': 2, 'manifests': [row]}), encoding='utf-8')
    job.skopeo('copy', '--all', '--dest-authfile', job.root / 'etc/bulkhead/registry-auth.json',
               f'oci:{folder}:bookworm', 'docker://127.0.0.1:5000/ims/index:bookworm')
    run_once(job, 'index', image='ims/index:bookworm')
    job.apply(pod_of(job, 'oam', 'index', image='ims/index:bookworm'))
    said = reason_of(job, 'oam', 'index', 'keys')
    assert f'layer {first_layer(encrypted)} is encrypted for none of the ' in said
    delete(job, 'oam', 'index')


# --- what an instance may ask ---

def ask(job, pod, body):
    pki = job.root / 'etc/bulkhead/pki'
    done = job.cell.run(['curl', '-sS', '--cacert', pki / 'ca.pem', '--cert', pki / 'cis/client.pem', '--key',
                         pki / 'cis/client.key', '-X', 'POST', '-H', 'Content-Type: application/json', '-d', '@-',
                         f'https://127.0.0.1:6443/api/v1/namespaces/ims/pods/{pod}/keys'], input=json.dumps(body))
    return json.loads(done.stdout)


def test_only_images_of_the_pod(job, encrypted):
    """An instance that was taken over gets what opens the images of its pods, not what opens others of the domain."""
    job.apply(pod_of(job, 'ims', 'asks', script='echo it runs; sleep 1000'))
    job.wait_phase('ims', 'asks')
    pod = job.get('pod', 'asks', '-n', 'ims')
    image = json.loads(pod['metadata']['annotations']['nfv.bulkhead.dev/images'])['main']
    manifest = layouts.path_of(encrypted, image.split('@')[1]).read_bytes()
    point = base64.urlsafe_b64encode(b'\x04' + bytes(64)).rstrip(b'=').decode()
    body = {'kind': 'KeyRequest', 'version': 1, 'image': image, 'recipient': point,
            'manifest': base64.b64encode(manifest).decode()}
    assert ask(job, 'asks', body)['message'].endswith('a public key is no point on P-256')
    answer = ask(job, 'asks', dict(body, manifest=base64.b64encode(manifest + b' ').decode()))
    assert 'digest is sha256:' in answer['message'] and answer['code'] == 500
    other = image.split('@')[0].replace('secret', 'theirs') + '@' + image.split('@')[1]
    answer = ask(job, 'asks', dict(body, image=other))
    assert answer['message'].endswith("pod 'ims/asks' has no such image") and answer['code'] == 403
    answer = ask(job, 'asks', dict(body, more=1))
    assert answer['code'] == 422 and "'keyRequest" in answer['message']
    answer = ask(job, 'nobody', body)
    assert answer['code'] in (403, 404)
    delete(job, 'ims', 'asks')


def test_keys_are_in_no_file_and_no_log(job, encrypted):
    """What opens the cache is below etc/bulkhead/keys alone, as text or as bytes."""
    text = (keys_of(job, 'ims') / 'cache.key').read_bytes().strip()
    secret = base64.b64decode(text)
    for folder in (job.state, job.root / 'run', job.root / 'var/log'):
        for path in folder.rglob('*') if folder.exists() else []:
            if path.is_file() and not path.is_symlink() and 'images' not in path.parts[-3:-1]:
                data = path.read_bytes()
                assert text not in data and secret not in data, path


# --- a key that never leaves its token ---

def test_key_in_a_token(job, encrypted, keys, tmp_path):
    """The same image with the domain's key in a PKCS#11 token, SoftHSM, configured in this cell alone."""
    token = job.root / 'softhsm'
    (token / 'tokens').mkdir(parents=True)
    (token / 'softhsm2.conf').write_text(f'directories.tokendir = {token}/tokens\nobjectstore.backend = file\n',
                                         encoding='utf-8')
    module = '/usr/lib/softhsm/libsofthsm2.so'
    job.cell.run(['mount', '--bind', token / 'softhsm2.conf', '/etc/softhsm/softhsm2.conf'], check=True)
    try:
        for words in (['softhsm2-util', '--init-token', '--free', '--label', 'ims', '--so-pin', '4321', '--pin',
                       '1234'],
                      ['pkcs11-tool', '--module', module, '--token-label', 'ims', '--login', '--pin', '1234',
                       '--write-object', keys['P-256'][0], '--type', 'privkey', '--usage-derive', '--label', 'image']):
            done = job.cell.run(words)
            assert done.returncode == 0, done.stdout + done.stderr
        job.cell.run(['chown', '-R', '61904:61904', token], check=True)
        folder = keys_of(job, 'ims')
        (folder / 'ims.pin').write_text('1234\n', encoding='utf-8')
        (folder / 'image.pkcs11').write_text(f'pkcs11:token=ims;object=image?module-path={module}&pin-source=file:'
                                             f'{folder}/ims.pin\n', encoding='utf-8')
        (folder / 'image.pem').unlink()
        for path in folder.iterdir():
            path.chmod(0o600)
        run_once(job, 'by-token')
        (folder / 'ims.pin').write_text('4444\n', encoding='utf-8')
        job.apply(pod_of(job, 'ims', 'wrong-pin'))
        said = reason_of(job, 'ims', 'wrong-pin', 'log in')
        assert said.endswith("keys of TrustDomain 'ims': 'keys/ims/image.pkcs11': the token cannot log in: "
                             "The password or PIN is incorrect"), said
        delete(job, 'ims', 'wrong-pin')
    finally:
        for name in ('image.pkcs11', 'ims.pin'):
            (keys_of(job, 'ims') / name).unlink(missing_ok=True)
        give(job, 'ims', keys['P-256'][0])
        job.cell.run(['umount', '/etc/softhsm/softhsm2.conf'], check=True)

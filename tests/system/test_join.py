# SPDX-License-Identifier: Apache-2.0
"""Instances join with a token that is good once, for one name, server and deployment option, and get a certificate
whose key they made themselves (PLC-6, CISM-6); each wrong way is refused by name."""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import time

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import cell as cells
import installation
from installation import TOP
from registry import Identity

PREFIX = 'bulkhead-join-1.'
SECOND = ['--pod-network', '10.89.0.0/24', '--bridge', 'bh1', '--uid-base', '2000000000', '--cgroup-parent', 'second']


def create(machine, name, server, *words, check=True, **options):
    done = machine.run('token', 'create', name, '--server', server, *words, check=check, **options)
    return done.stdout.strip() if check else done


def inside(token):
    text = token.removeprefix(PREFIX)
    return json.loads(base64.urlsafe_b64decode(text + '=' * (-len(text) % 4)))


def altered(token, **changes):
    text = json.dumps({**inside(token), **changes}).encode()
    return PREFIX + base64.urlsafe_b64encode(text).decode().rstrip('=')


def join(machine, root, *words, **options):
    """'bulkhead join' of another machine, whose files lie below root."""
    return machine.cell.run([machine.programs / 'bulkhead', 'join', '--root', root, *words], **options)


def refused(machine, root, token):
    done = join(machine, root, token)
    assert done.returncode != 0 and not (root / 'etc/bulkhead/machine.json').exists()
    return done.stderr.splitlines()[0].removeprefix('bulkhead: ')


def move(machine, instance, server):
    path = machine.root / 'etc/bulkhead/topology.json'
    topology = json.loads(path.read_text())
    row, = [row for row in topology['instances'] if row['name'] == instance]
    row.update(server=server, epoch=row['epoch'] + 1)
    fresh = path.with_suffix('.new')
    fresh.write_text(json.dumps(topology))
    fresh.rename(path)
    machine.wait(lambda: f'"{server}"' in machine.kubectl('get', 'node', instance, '-o', 'json').stdout)


def csr(name, organization='system:nodes', key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                         x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return key, made.public_bytes(serialization.Encoding.PEM).decode()


def post(machine, token, request, **changes):
    """What a client of another make would send; (status, answer)."""
    said = {**inside(token), **changes}
    body = {'version': 1, **{key: said[key] for key in ('name', 'server', 'deployment', 'secret')}, 'request': request}
    done = machine.cell.run(['curl', '-sS', '--cacert', machine.root / 'etc/bulkhead/pki/ca.pem',
                             '-w', '\n%{http_code}', '-H', 'Content-Type: application/json', '--data-binary', '@-',
                             'https://127.0.0.1:6443/join'], input=json.dumps(body), check=True)
    text, _, status = done.stdout.rpartition('\n')
    return int(status), json.loads(text)


def speak(machine, folder, path):
    """A request with the certificate of a joined machine."""
    done = machine.cell.run(['curl', '-sS', '--cacert', machine.root / 'etc/bulkhead/pki/ca.pem', '--cert',
                             f'{folder}/client.pem', '--key', f'{folder}/client.key', '-w', '\n%{http_code}',
                             f'https://127.0.0.1:6443{path}'], check=False)
    text, _, status = done.stdout.rpartition('\n')
    return int(status), json.loads(text) if text.startswith('{') else text


@pytest.fixture(name='bulkhead', scope='module')
def make_bulkhead(programs, kubectls):
    with installation.temporary_root() as root:
        cell = cells.Cell()
        try:
            made = installation.Installation(cell, root, programs, kubectls)
            made.up()
            yield made
            made.keep_logs()
        finally:
            cell.close()


@pytest.fixture
def second(root):
    """A folder for the root of a second machine; short, as sockets lie below it."""
    folder = root / 'b'
    folder.mkdir(mode=0o755)
    return folder


def test_two_commands_make_an_instance(bulkhead, second):
    """As a new user does it; then a pod runs there."""
    token = create(bulkhead, 'node-2', 'server-2', '--deployment', 'Hybrid')
    (second / 'token').write_text(token + '\n')
    done = join(bulkhead, second, '--token-file', second / 'token', *SECOND)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "joined as instance 'node-2' on server 'server-2' (Hybrid)"
    assert lines[1].split() == ['cis', 'starting:', 'pods', 'of', 'this', 'instance'] and 'ready after' in lines[2]
    etc = second / 'etc/bulkhead'
    assert os.stat(etc / 'pki/cis/client.key').st_mode & 0o777 == 0o600
    shown = subprocess.check_output(['openssl', 'x509', '-in', etc / 'pki/cis/client.pem', '-noout', '-subject',
                                     '-issuer'], text=True)
    assert shown.split('\n')[:2] == ['subject=O = system:nodes, CN = system:node:node-2',
                                     'issuer=CN = bulkhead-instances']
    assert not (etc / 'cism.json').exists() and not (etc / 'pki/ca.key').exists()
    # The secret is kept nowhere.
    secret = inside(token)['secret'].encode()
    state = bulkhead.root / 'var/lib/bulkhead/cism'
    assert not [path for path in state.iterdir() if path.is_file() and secret in path.read_bytes()]
    assert hashlib.sha256(secret).hexdigest() in bulkhead.run('token', 'list', '-o', 'json').stdout

    def ready():
        rows = json.loads(bulkhead.run('status', '-o', 'json', check=False).stdout)['instances']
        return {row['name']: (row['server'], row['deployment']) for row in rows if row['ready']} == {
            'node-1': ('server-1', 'BareMetal'), 'node-2': ('server-2', 'Hybrid')}
    bulkhead.wait(ready)
    subprocess.run([TOP / 'tools/make-images'], check=True, stdout=subprocess.DEVNULL)
    bulkhead.push(TOP / '.cache/images/busybox', 'ims/busybox:bookworm')
    bulkhead.apply('''{apiVersion: trust.bulkhead.dev/v1, kind: TrustDomain, metadata: {name: far}}''')
    bulkhead.apply({'apiVersion': 'v1', 'kind': 'Namespace',
                    'metadata': {'name': 'far', 'labels': {'trust.bulkhead.dev/domain': 'far'}}})
    pod = bulkhead.busybox_pod('far', 'p', 'echo here; sleep 1000')
    pod['spec']['nodeSelector'] = {'kubernetes.io/hostname': 'node-2'}
    bulkhead.apply(pod)
    assert bulkhead.wait_phase('far', 'p')['spec']['nodeName'] == 'node-2'
    assert bulkhead.wait(lambda: bulkhead.kubectl('logs', '-n', 'far', 'p').stdout) == 'here\n'
    # The machine alone: its own command knows what it is; up and down are its own.
    words = [bulkhead.programs / 'bulkhead', 'status', '--root', second, '-o', 'json']
    assert [(row['name'], row['state']) for row in json.loads(bulkhead.cell.run(words).stdout)['parts']] == [
        ('cis', 'running')]
    again = join(bulkhead, second, '--token-file', second / 'token')
    assert again.stderr.startswith("bulkhead: this machine is set up already, as instance 'node-2'\n")
    bulkhead.kubectl('delete', 'pod', 'p', '-n', 'far', '--grace-period=1')
    for word in ('down', 'up', 'down'):
        done = bulkhead.cell.run([bulkhead.programs / 'bulkhead', word, '--root', second])
        assert done.returncode == 0, done.stderr


def test_wrong_tokens_are_refused_by_name(bulkhead, second):
    good = create(bulkhead, 'node-3', 'server-3')
    no_secret = "instance 'node-3' may not join: no join token for this name has this secret"
    assert refused(bulkhead, second, altered(good, secret='x' * 43)) == no_secret
    assert refused(bulkhead, second, altered(good, name='node-9')) == no_secret.replace('node-3', 'node-9')
    assert refused(bulkhead, second, altered(good, server='server-1')) == (
        "instance 'node-3' may not join: its join token is for server 'server-3', not for 'server-1'")
    assert refused(bulkhead, second, altered(good, deployment='Nested')) == (
        "instance 'node-3' may not join: its join token is for deployment option 'BareMetal', not for 'Nested'")
    assert refused(bulkhead, second, altered(good, ca=Identity('ca', 'other').pem)) == (
        'what answers at https://127.0.0.1:6443 does not show a certificate of the CA that the token pins')
    assert refused(bulkhead, second, altered(good, ca='none')).startswith('the CA that the token pins: ')
    assert refused(bulkhead, second, good[:-5]).startswith('cannot read the join token: ')
    assert refused(bulkhead, second, good[len(PREFIX):]) == (
        f"this is no join token: one is a word that begins with '{PREFIX}'")
    # Revoked, then over.
    assert bulkhead.run('token', 'revoke', 'node-3').stdout == (
        "the join token of instance 'node-3' is good for nothing any more\n")
    assert refused(bulkhead, second, good) == no_secret
    short = create(bulkhead, 'node-3', 'server-3', '--ttl', '1')
    time.sleep(1.5)
    assert ' may not join: its join token ended at ' in refused(bulkhead, second, short)
    assert 'over' in [line.split()[-1] for line in bulkhead.run('token', 'list').stdout.splitlines()]
    # What the topology says counts, not the token.
    good = create(bulkhead, 'node-3', 'server-3')
    move(bulkhead, 'node-3', 'server-x')
    assert refused(bulkhead, second, good) == (
        "instance 'node-3' may not join: the topology has it as BareMetal on server 'server-x', its join token as "
        "BareMetal on 'server-3'")
    done = create(bulkhead, 'node-3', 'server-3', check=False)
    assert done.stderr.startswith("bulkhead: topology.json has instance 'node-3' as BareMetal on server 'server-x'\n")
    for wrong in (['create', 'node-3'], ['create', 'Node_2', '--server', 's'], ['make', 'x'], ['list', 'x'],
                  ['create', 'node-3', '--server', 's', '--deployment', 'Bare'],
                  ['create', 'node-3', '--server', 's', '--ttl', '0']):
        assert bulkhead.run('token', *wrong, check=False).returncode != 0


def test_requests_of_another_make(bulkhead):
    """The CISM is asked without 'bulkhead join': the body alone says who may."""
    token = create(bulkhead, 'node-4', 'server-4')
    key, request = csr('system:node:node-4')

    def sentence(request, **changes):
        status, answer = post(bulkhead, token, request, **changes)
        assert status in (400, 401, 403, 422), answer
        return answer['message'].removeprefix("instance 'node-4' may not join: ")

    assert sentence(csr('system:node:node-1')[1]).startswith(
        "its certificate request is for 'system:node:node-1' of 'system:nodes', not for 'system:node:node-4'")
    assert sentence(csr('system:node:node-4', 'system:masters')[1]).startswith(
        "its certificate request is for 'system:node:node-4' of 'system:masters', not for 'system:node:node-4'")
    foreign = csr('system:node:node-4')[1].splitlines()
    foreign[-3] = foreign[-3][:-8] + 'AAAAAAAA'  # the signature
    assert 'certificate request' in sentence('\n'.join(foreign) + '\n')
    assert sentence(request + 'x') == 'its text is not exactly one certificate request in PEM'
    rsa = subprocess.check_output(['openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null',
                                   '-subj', '/O=system:nodes/CN=system:node:node-4'], stderr=subprocess.DEVNULL,
                                  text=True)
    assert sentence(rsa) == 'the key of the certificate request is not an ECDSA key on P-256'
    assert sentence(request, name='../x') == "instance '../x' may not join: name: '../x' is not a DNS label"
    # None of these used the token up.
    status, answer = post(bulkhead, token, request)
    assert status == 200 and answer['registries'] == ['127.0.0.1:5000'], answer
    certificate = x509.load_pem_x509_certificate(answer['certificate'].encode())
    assert certificate.public_key().public_numbers() == key.public_key().public_numbers()
    assert sentence(request).startswith('its join token was used already, at ')
    # The same request with another token: a key is certified once.
    token = create(bulkhead, 'node-4', 'server-4', '--replace')
    assert sentence(request) == "the key of its certificate request was certified before, for instance 'node-4'"


def keep(folder, key, certificate):
    folder.mkdir()
    (folder / 'client.pem').write_text(certificate)
    (folder / 'client.key').write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder


def joined(machine, root, instance, token, name):
    key, request = csr(f'system:node:{instance}')
    status, answer = post(machine, token, request)
    assert status == 200, answer
    return keep(root / name, key, answer['certificate'])


def test_one_name_is_one_instance(bulkhead, root):
    first = joined(bulkhead, root, 'node-5', create(bulkhead, 'node-5', 'server-5'), 'first')
    assert speak(bulkhead, first, '/api/v1/nodes/node-5/holders')[0] == 200
    # A second machine under the same name is refused, until an operator says that the first is no more.
    done = create(bulkhead, 'node-5', 'server-5', check=False)
    assert done.stderr == (
        "bulkhead: instance 'node-5' is there already\n"
        'hint: another name; or --replace, when its machine was installed anew and runs nothing of before\n')
    assert create(bulkhead, 'node-1', 'server-1', check=False).stderr.startswith(
        "bulkhead: instance 'node-1' is there already\n")
    second = joined(bulkhead, root, 'node-5', create(bulkhead, 'node-5', 'server-5', '--replace'), 'second')
    assert speak(bulkhead, second, '/api/v1/nodes/node-5/holders')[0] == 200
    superseded = ("the certificate of instance 'node-5' is superseded: join 2 of that name has another; make a token "
                  "with 'bulkhead token create node-5 --replace' to join again")
    for path in ('/api/v1/nodes/node-5/holders', '/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-5',
                 '/api/v1/nodes/node-5/streams?timeoutSeconds=1'):
        status, answer = speak(bulkhead, first, path)
        assert (status, answer['message']) == (403, superseded)
    assert speak(bulkhead, second, '/api/v1/nodes/node-5/holders')[0] == 200
    # Neither may an operator's certificate for that name take it over.
    pki = bulkhead.root / 'etc/bulkhead/pki'
    key, request = csr('system:node:node-5')
    (root / 'r.csr').write_text(request)
    (root / 'ext').write_text('basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
                              'extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n')
    subprocess.run(['openssl', 'x509', '-req', '-in', root / 'r.csr', '-CA', pki / 'ca.pem', '-CAkey', pki / 'ca.key',
                    '-CAcreateserial', '-days', '1', '-extfile', root / 'ext', '-out', root / 'r.pem'], check=True,
                   stderr=subprocess.DEVNULL)
    third = keep(root / 'third', key, (root / 'r.pem').read_text())
    assert speak(bulkhead, third, '/api/v1/nodes/node-5/holders')[0] == 403
    assert speak(bulkhead, second, '/api/v1/nodes/node-5/holders')[0] == 200


def test_two_at_once_with_one_token(bulkhead, root):
    token = create(bulkhead, 'node-6', 'server-6')
    bodies = []
    for number in range(6):
        said = inside(token)
        bodies.append(root / f'body{number}')
        bodies[-1].write_text(json.dumps({'version': 1, **{key: said[key] for key in (
            'name', 'server', 'deployment', 'secret')}, 'request': csr('system:node:node-6')[1]}))
    asked = [bulkhead.cell.popen(['curl', '-sS', '--cacert', bulkhead.root / 'etc/bulkhead/pki/ca.pem',
                                  '-o', '/dev/null', '-w', '%{http_code}', '--data-binary', f'@{body}',
                                  'https://127.0.0.1:6443/join'],
                                 stdout=subprocess.PIPE, text=True) for body in bodies]
    assert sorted(one.communicate(timeout=60)[0] for one in asked) == ['200'] + ['403'] * 5


def renew(machine, instance, folder, request):
    done = machine.cell.run(['curl', '-sS', '--cacert', machine.root / 'etc/bulkhead/pki/ca.pem', '--cert',
                             f'{folder}/client.pem', '--key', f'{folder}/client.key', '--data-binary', '@-',
                             f'https://127.0.0.1:6443/api/v1/nodes/{instance}/certificate'],
                            input=json.dumps({'request': request}), check=True)
    return json.loads(done.stdout)


def test_a_certificate_is_renewed(bulkhead, root):
    first = joined(bulkhead, root, 'node-7', create(bulkhead, 'node-7', 'server-7'), 'first')
    key, request = csr('system:node:node-7')
    second = keep(root / 'second', key, renew(bulkhead, 'node-7', first, request)['certificate'])
    # Both count until the new one is used: an answer that was lost locks nobody out.
    assert speak(bulkhead, first, '/api/v1/nodes/node-7/holders')[0] == 200
    assert speak(bulkhead, second, '/api/v1/nodes/node-7/holders')[0] == 200
    assert speak(bulkhead, first, '/api/v1/nodes/node-7/holders')[0] == 403
    assert renew(bulkhead, 'node-7', second, request)['message'] == (
        "the key of its certificate request was certified before, for instance 'node-7'")


def test_the_ca_of_instances_certifies_nobody_else(bulkhead, root):
    """Who steals its key from the CISM is an instance at most."""
    place = bulkhead.root / 'etc/bulkhead/pki/cism'
    assert os.stat(place / 'instances.key').st_mode & 0o777 == 0o600
    for subject in ('/O=system:masters/CN=admin', '/O=system:bulkhead/CN=system:cism', '/CN=admin',
                    '/O=system:nodes/O=system:masters/CN=system:node:node-1'):
        words = ['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                 subject, '-keyout', root / 'client.key', '-out', root / 'r.csr']
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        (root / 'ext').write_text('keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n')
        subprocess.run(['openssl', 'x509', '-req', '-in', root / 'r.csr', '-CA', place / 'instances.pem', '-CAkey',
                        place / 'instances.key', '-CAcreateserial', '-days', '1', '-extfile', root / 'ext', '-out',
                        root / 'client.pem'], check=True, stderr=subprocess.DEVNULL)
        status, answer = speak(bulkhead, pathlib.Path(root), '/api/v1/namespaces')
        assert status == 403, (subject, answer)
        assert "the client certificate's issuer may not certify such a name" in str(answer), answer

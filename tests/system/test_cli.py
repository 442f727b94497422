# SPDX-License-Identifier: Apache-2.0
"""The command line by itself: help, completion, set-up on disk, and its own errors."""
import base64
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

COMMANDS = ['up', 'down', 'status', 'why', 'domains', 'images', 'plan', 'quarantine', 'release', 'encrypt', 'decrypt',
            'move-store', 'completion', 'help', 'version']


def run(programs, *words, **environment):
    variables = dict(os.environ, **{key: str(value) for key, value in environment.items()})
    return subprocess.run([programs / 'bulkhead', *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, check=False, env=variables)


@pytest.fixture
def libexec(programs, tmp_path):
    """A folder that has the runtime but none of the daemons."""
    shutil.copy(programs / 'bulkhead-runtime', tmp_path)
    return tmp_path


@pytest.fixture
def prepared(programs, libexec, root):
    """What 'up' leaves on disk when it cannot start the first daemon."""
    done = run(programs, 'up', '--root', root, '--instance', 'n7', '--server', 's7', BULKHEAD_LIBEXEC=libexec)
    assert done.returncode == 4
    assert done.stderr == (f"bulkhead: program 'bulkhead-cism' is not in '{libexec}'\n"
                           'hint: BULKHEAD_LIBEXEC names the folder\n')
    return root / 'etc/bulkhead'


@pytest.mark.parametrize('command', COMMANDS)
def test_help_fits_80_columns(programs, command):
    for words in [('--help',), (command, '--help')]:
        done = run(programs, *words)
        assert done.returncode == 0 and done.stderr == ''
        assert max(map(len, done.stdout.splitlines())) <= 80
    assert command in run(programs, '--help').stdout
    assert done.stdout == run(programs, 'help', command).stdout


@pytest.mark.parametrize('words, code, message', [
    ([], 2, None),
    (['upp'], 2, "bulkhead: unknown command 'upp'\nhint: 'bulkhead --help' lists the commands\n"),
    (['status', '--roto', 'x'], 2, None),
    (['why'], 2, None),
    (['status', '-o', 'xml', '--root', '/nonexistent'], 3, "bulkhead: unknown output format 'xml'\n"),
    (['completion', 'tcsh'], 3, "bulkhead: no completion for shell 'tcsh', only for bash and zsh\n"),
    (['help', 'upp'], 4, "bulkhead: unknown command 'upp'\nhint: 'bulkhead --help' lists the commands\n"),
    (['up', '--root', '/var/tmp/' + 'x' * 60], 3, "bulkhead: option --root is longer than 64 bytes\n"),
])
def test_errors(programs, words, code, message):
    done = run(programs, *words)
    assert done.returncode == code and done.stdout == ''
    assert done.stderr.startswith('bulkhead: ') if message is None else done.stderr == message


@pytest.mark.parametrize('command', ['status', 'domains', 'why'])
def test_nothing_is_set_up(programs, root, command):
    done = run(programs, command, *(['x'] if command == 'why' else []), '--root', root)
    assert done.returncode == 4
    assert done.stderr == (f"bulkhead: nothing is set up here: '{root}/etc/bulkhead/machine.json' does not exist\n"
                           "hint: run 'bulkhead up' first, with the same --root\n")


def test_down_where_nothing_was(programs, root):
    done = run(programs, 'down', '--root', root)
    assert done.returncode == 4
    assert done.stderr == f"bulkhead: nothing runs here: '{root}/var/lib/bulkhead' does not exist\n"


def test_up_needs_root(programs):
    done = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', programs / 'bulkhead', 'up'],
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 6
    assert done.stderr == ("bulkhead: 'bulkhead up' makes namespaces, mounts and firewall rules and needs to be root\n"
                           "hint: sudo bulkhead up\n")


@pytest.mark.parametrize('option, value, expected', [
    ('instance', 'A B', 'a DNS name'), ('server', '', 'a DNS name'),
    ('deployment', 'Cloud', 'BareMetal, Nested or Hybrid'),
    ('address', 'localhost', 'an IPv4 address'), ('cism-port', '0', 'a port from 1 to 65535'),
    ('cir-port', '65536', 'a port from 1 to 65535'), ('pod-network', '10.88.0.1/24', 'an IPv4 network of /8 to /28'),
    ('bridge', 'averylongname', 'a name of at most 8 letters and digits'),
    ('uid-base', '0', 'a user id with room for 1000 ranges of 65536'), ('cgroup-parent', '../x', 'a DNS label'),
])
def test_up_checks_its_options(programs, libexec, root, option, value, expected):
    done = run(programs, 'up', '--root', root, f'--{option}={value}', BULKHEAD_LIBEXEC=libexec)
    assert done.returncode == 3
    assert done.stderr == f"bulkhead: option --{option} '{value}' is not {expected}\n"
    assert not (root / 'etc/bulkhead/machine.json').exists()


def openssl(*words):
    return subprocess.check_output(['openssl', *map(str, words)], text=True)


def test_certificates(prepared):
    pki = prepared / 'pki'
    expected = {'cism/server': 'CN = bulkhead-cism', 'cism/client': 'O = system:bulkhead',
                'cism/binding': 'CN = binding:cism-1', 'cir/server': 'CN = bulkhead-cir',
                'cis/client': 'CN = system:node:n7', 'admin/client': 'O = system:masters'}
    for name, subject in expected.items():
        assert openssl('verify', '-CAfile', pki / 'ca.pem', '-purpose', 'any', pki / f'{name}.pem').endswith(': OK\n')
        assert subject in openssl('x509', '-in', pki / f'{name}.pem', '-noout', '-subject')
        mode = (pki / f'{name}.key').stat()
        assert mode.st_mode & 0o777 == 0o600
        assert (mode.st_uid == 0) == (name.split('/')[0] in ('cis', 'admin'))
    assert (pki / 'ca.key').stat().st_mode & 0o777 == 0o600 and (pki / 'ca.key').stat().st_uid == 0
    names = openssl('x509', '-in', pki / 'cism/server.pem', '-noout', '-ext', 'subjectAltName')
    assert 'IP Address:127.0.0.1' in names
    usage = openssl('x509', '-in', pki / 'cism/binding.pem', '-noout', '-ext', 'extendedKeyUsage')
    assert '1.3.6.1.4.1.59999.1.1' in usage


def test_configuration(prepared, programs):
    def read(name):
        return json.loads((prepared / name).read_text())
    instance = {'name': 'n7', 'server': 's7', 'deployment': 'BareMetal', 'epoch': 1}
    assert read('topology.json') == {'instances': [instance]}
    assert read('cism.json') == {'address': '127.0.0.1', 'port': 6443, 'ticketLifetimeSeconds': 600,
                                 'registries': [{'host': '127.0.0.1:5000', 'ca': str(prepared / 'pki/ca.pem')}]}
    assert read('cir.json') == {'address': '127.0.0.1', 'port': 5000, 'users': str(prepared / 'users.json')}
    cis = read('cis.json')
    assert cis['instance'] == 'n7' and cis['cism'] == 'https://127.0.0.1:6443' and cis['uidRanges'] == 1000
    assert os.path.isabs(cis['runtime']) and os.access(cis['runtime'], os.X_OK)
    user, password = base64.b64decode(read('registry-auth.json')['auths']['127.0.0.1:5000']['auth']).decode().split(':')
    assert user == 'admin' and re.fullmatch('[0-9a-f]{36}', password)
    assert password not in (prepared / 'users.json').read_text()
    assert (prepared / 'registry-auth.json').stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load((prepared / 'kubeconfig').read_text())
    assert config['clusters'][0]['cluster']['server'] == 'https://127.0.0.1:6443'
    certificate = base64.b64decode(config['users'][0]['user']['client-certificate-data'])
    assert certificate == (prepared / 'pki/admin/client.pem').read_bytes()
    assert (prepared / 'kubeconfig').stat().st_mode & 0o777 == 0o600


def test_second_up_keeps_what_is_there(programs, libexec, prepared, root):
    kept = {path: path.read_bytes() for path in prepared.rglob('*') if path.is_file()}
    (prepared / 'topology.json').write_text('{"instances": []}')
    assert run(programs, 'up', '--root', root, BULKHEAD_LIBEXEC=libexec).returncode == 4
    kept[prepared / 'topology.json'] = b'{"instances": []}'
    assert {path: path.read_bytes() for path in prepared.rglob('*') if path.is_file()} == kept
    done = run(programs, 'up', '--root', root, '--server', 's8', BULKHEAD_LIBEXEC=libexec)
    assert done.returncode == 5
    assert done.stderr == ("bulkhead: option --server 's8' differs from 's7', which was set up before\n"
                           "hint: leave the option out, or use another --root\n")


def test_unknown_setting_is_named(programs, libexec, prepared, root):
    path = prepared / 'machine.json'
    path.write_text(json.dumps(dict(json.loads(path.read_text()), color='red')))
    done = run(programs, 'up', '--root', root, BULKHEAD_LIBEXEC=libexec)
    assert done.returncode == 3
    assert done.stderr == f"bulkhead: unknown field '{path}.color'\n"


def test_daemon_that_fails_at_once(programs, libexec, root):
    shutil.copy('/bin/false', libexec / 'bulkhead-cism')
    done = run(programs, 'up', '--root', root, BULKHEAD_LIBEXEC=libexec)
    assert done.returncode == 8
    assert done.stderr == ("bulkhead: cism did not start: exit status 1\n"
                           f"hint: all of its log is in '{root}/var/lib/bulkhead/log/cism.log'\n")


def test_foreign_process_is_not_stopped(programs, prepared, root):
    """A pid file whose number another process has now: that one is left alone."""
    with subprocess.Popen(['sleep', '60']) as other:
        (root / 'run/bulkhead/cism.pid').write_text(f'{other.pid} 12345\n')
        done = run(programs, 'down', '--root', root)
        assert done.returncode == 0 and done.stdout == 'cis    does not run\ncir    does not run\ncism   does not run\n'
        assert other.poll() is None
        assert not (root / 'run/bulkhead/cism.pid').exists()
        other.kill()


def test_status_when_nothing_runs(programs, prepared, root):
    done = run(programs, 'status', '--root', root, '-o', 'json')
    assert done.returncode == 8
    status = json.loads(done.stdout)
    assert status['parts'] == [{'name': name, 'state': 'stopped'} for name in ('cism', 'cir', 'cis')]
    assert 'error' in status
    done = run(programs, 'why', 'x', '--root', root)
    assert done.returncode == 8
    assert done.stderr.endswith("hint: 'bulkhead status' shows which parts run, 'bulkhead up' starts them\n")


def test_completion(programs):
    script = run(programs, 'completion', 'bash').stdout
    ask = 'COMP_WORDS=(bulkhead {}); COMP_CWORD={}; _bulkhead; echo "${{COMPREPLY[*]}}"'

    def complete(words, index):
        return subprocess.check_output(['bash', '-c', script + ask.format(words, index)], text=True).split()
    assert complete('st', 1) == ['status']
    assert set(COMMANDS) <= set(complete("''", 1))
    assert complete('up --pod', 2) == ['--pod-network']
    assert complete('status -o j', 3) == ['json']


@pytest.mark.parametrize('command', COMMANDS)
def test_man_pages(programs, command):
    page = (programs.parent / f'share/man/man1/bulkhead-{command}.1').read_text()
    assert page.startswith(f'.TH BULKHEAD\\-{command} 1 ')
    assert page == run(programs, 'help', '--man', command).stdout

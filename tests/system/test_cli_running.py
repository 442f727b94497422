# SPDX-License-Identifier: Apache-2.0
"""The command line against a running installation (CISM-7)."""
import json
import os
import signal

import pytest
import yaml

MANIFEST = '''
apiVersion: trust.bulkhead.dev/v1
kind: TrustDomain
metadata: {name: alone}
spec: {isolation: Dedicated}
---
apiVersion: trust.bulkhead.dev/v1
kind: TrustDomain
metadata: {name: border}
spec:
  subFunctions:
  - {name: user, images: ["*/upf"]}
  - {name: management, images: ["*/oam"]}
  separation:
  - {subFunction: user, from: {domains: [border], subFunction: management}, level: Instance}
---
apiVersion: v1
kind: Namespace
metadata: {name: none}
'''


@pytest.fixture
def applied(bulkhead):
    for manifest in yaml.safe_load_all(MANIFEST):
        bulkhead.apply(manifest)
    return bulkhead


def show(machine, *words, code=0):
    done = machine.run(*words, '-o', 'json', check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_running(applied):
    status = show(applied, 'status')
    assert [(part['name'], part['state']) for part in status['parts']] == [
        ('cism', 'running'), ('cir', 'running'), ('cis', 'running')]
    assert all(0 < part['memoryBytes'] < 200 << 20 for part in status['parts'])
    instance = {'name': 'node-1', 'server': 'server-1', 'deployment': 'BareMetal', 'epoch': 1, 'ready': True}
    assert status['instances'] == [instance]
    assert status['trustDomains'] == [{'name': 'alone', 'isolation': 'Dedicated'},
                                      {'name': 'border', 'isolation': 'Container'}]
    again = applied.up().stdout
    assert [line.split()[:3] for line in again.splitlines()[:3]] == [
        ['cism', 'runs', 'already'], ['cir', 'runs', 'already'], ['cis', 'runs', 'already']]


def test_matrix(applied):
    lines = [line.split() for line in applied.run('domains').stdout.splitlines()]
    assert lines[1:] == [['alone', 'Dedicated', 'together', 'Server'], ['border', 'Container', 'Server', 'Instance*']]
    pairs = {tuple(pair['domains']): (pair['level'], pair['always']) for pair in show(applied, 'domains')['pairs']}
    assert pairs == {('alone', 'alone'): ('None', True), ('alone', 'border'): ('Server', True),
                     ('border', 'border'): ('Instance', False)}


def test_why(applied):
    applied.apply(applied.busybox_pod('none', 'p', 'true'))
    why = show(applied, 'why', 'none/p')
    assert why['sentence'] == ("pod 'none/p' may not run: namespace 'none' belongs to no trust domain; "
                               'label it trust.bulkhead.dev/domain')
    assert (why['object'], why['phase'], why['instance']) == ('Namespace/none', 'Pending', '')
    assert applied.run('why', 'p', '-n', 'none').stdout == f"{why['sentence']}\nobject: Namespace/none\n"
    done = applied.run('why', 'none/q', check=False)
    assert (done.returncode, done.stderr) == (4, "bulkhead: pod 'none/q' does not exist\n")


def test_proof(applied):
    """PLC-6: the drift check's age and outcome."""
    status = applied.wait(lambda: show(applied, 'status') if 'proof' in show(applied, 'status') else None)
    assert status['proof']['proven'] and 0 <= status['proof']['ageSeconds'] < 60 and status['charged'] == []
    assert 'SEPARATION: proven ' in applied.run('status').stdout


def test_plan(applied, tmp_path):
    """PLC-1: what a change of rules would do, by the functions that place; nothing of it is written."""
    file = tmp_path / 'domains.yaml'
    file.write_text(MANIFEST.replace('Dedicated', 'Container'))
    assert show(applied, 'plan', '-f', file) == {'displaced': [], 'pods': 0}
    assert applied.run('plan', '-f', file).stdout == '0 of 0 running pods would be displaced\n'
    file.write_text(MANIFEST.replace('subFunction: management}', 'subFunction: user}'))
    done = applied.run('plan', '-f', file, check=False)
    assert (done.returncode, done.stderr) == (3, "bulkhead: TrustDomain 'border': spec.separation[0] cannot be "
                                                 "satisfied: it keeps 'border/user' apart from itself\n")
    file.write_text('kind: Namespace\n')
    done = applied.run('plan', '-f', file, check=False)
    assert (done.returncode, done.stderr) == (3, f"bulkhead: '{file}' has no TrustDomain\n")
    assert [row['isolation'] for row in show(applied, 'status')['trustDomains']] == ['Dedicated', 'Container']


def test_release_of_what_is_not_charged(applied):
    done = applied.run('release', 'none/p', '--reason', 'lost', check=False)
    assert (done.returncode, done.stderr) == (4, "bulkhead: no pod 'none/p' is charged to any server\n")
    done = applied.run('release', 'none/p', check=False)
    assert (done.returncode, done.stderr) == (3, 'bulkhead: --reason is needed: it is kept with the release\n')


def test_part_that_was_killed(applied):
    pids = {part['name']: part['pid'] for part in show(applied, 'status')['parts']}
    applied.cell.run(['kill', f'-{int(signal.SIGKILL)}', str(pids['cism'])], check=True)
    status = show(applied, 'status', code=8)
    assert status['parts'][0] == {'name': 'cism', 'state': 'stopped'} and 'error' in status
    applied.up()
    parts = {part['name']: part['pid'] for part in show(applied, 'status')['parts']}
    assert parts['cism'] != pids['cism'] and (parts['cir'], parts['cis']) == (pids['cir'], pids['cis'])
    assert [domain['name'] for domain in show(applied, 'status')['trustDomains']] == ['alone', 'border']
    assert os.path.exists(applied.kubeconfig)


def test_pods_outlive_the_instance(applied):
    """Without the instance nobody may stop its pods: 'down' says so, and works once it runs again."""
    folder = applied.root / 'run/bulkhead/pods/left'
    pids = {part['name']: part['pid'] for part in show(applied, 'status')['parts']}
    applied.cell.run(['kill', f'-{int(signal.SIGKILL)}', str(pids['cis'])], check=True)
    folder.mkdir()
    done = applied.run('down', check=False)
    assert done.returncode == 8
    assert done.stderr == ("bulkhead: the instance does not run, but pods of it do\n"
                           "hint: 'bulkhead up' starts it again; 'bulkhead down --keep-pods' leaves the pods running\n")
    assert show(applied, 'status', code=8)['parts'][0]['state'] == 'running'
    folder.rmdir()
    applied.down()
    assert not (applied.root / 'run/bulkhead').exists()

# SPDX-License-Identifier: Apache-2.0
"""CISM-4: ResourceQuota holds for pods, exactly, whoever creates them where."""
import concurrent.futures

import pytest

from support_cism import Cism, domain, namespace, pod
from test_cism_etcd import make_replicas, make_store, make_three  # noqa: F401 (fixtures)

PODS = '/api/v1/namespaces/ims/pods'


def quota(name, **hard):
    return {'apiVersion': 'v1', 'kind': 'ResourceQuota', 'metadata': {'name': name, 'namespace': 'ims'},
            'spec': {'hard': {key.replace('_', '.'): value for key, value in hard.items()}}}


def asks(cpu, memory='16Mi'):
    return {'resources': {'limits': {'cpu': cpu, 'memory': memory}}}


@pytest.fixture(name='cism')
def make_cism(programs, netns, root, kubectls):
    made = Cism(programs, netns, root, kubectls)
    made.start()
    yield made
    made.stop()


def used(cism, name):
    return cism.get(f'/api/v1/namespaces/ims/resourcequotas/{name}').get('status', {}).get('used')


def wait_used(cism, name, wanted):
    def as_wanted():
        return used(cism, name) == wanted
    as_wanted.__doc__ = f'quota {name} says that {wanted} is used'
    cism.wait(as_wanted)


def create(cism, name, **more):
    return cism.curl('admin', 'POST', PODS, pod('ims', name, **more))


def test_a_quota_holds(cism):
    """What was there before counts, refusals are in the words clients know, what ends or goes is free again."""
    cism.heartbeat()
    cism.apply(domain('core'), namespace('ims', 'core'))
    cism.apply(pod('ims', 'first', container=asks('500m', '32Mi')))
    said = cism.apply(quota('compute', pods='3', limits_cpu='1500m', memory='96Mi'))
    assert said.stderr == ''
    wait_used(cism, 'compute', {'pods': '1', 'limits.cpu': '500m', 'memory': '32Mi'})
    assert create(cism, 'second', container=asks('700m', '32Mi'))[0] == 201
    status, answer = create(cism, 'third', container=asks('500m', '48Mi'))
    assert (status, answer['reason'], answer['message']) == (
        403, 'Forbidden', 'pods "third" is forbidden: exceeded quota: compute, requested: limits.cpu=500m,'
        'requests.memory=48Mi, used: limits.cpu=1200m,requests.memory=64Mi, limited: limits.cpu=1500m,'
        'requests.memory=96Mi')
    failed = cism.kubectl('run', 'third', '-n', 'ims', '--image=x', check=False)
    assert failed.returncode == 1
    assert 'Error from server (Forbidden): pods "third" is forbidden: exceeded quota: compute' in failed.stderr
    # One that has ended counts no more, also once it is removed.
    ended = {'status': {'phase': 'Succeeded'}}
    uid = cism.wait_bound('ims', 'first')['metadata']['uid']
    assert cism.curl('node-1', 'PATCH', f'{PODS}/first/status', ended, 'application/merge-patch+json')[0] == 200
    assert create(cism, 'third', container=asks('500m', '48Mi'))[0] == 201
    cism.stopped(uid)
    assert cism.curl('admin', 'DELETE', f'{PODS}/first?gracePeriodSeconds=0')[0] == 200
    wait_used(cism, 'compute', {'pods': '2', 'limits.cpu': '1200m', 'memory': '80Mi'})
    # A deletion by force and one that the instance confirms.
    assert cism.curl('admin', 'DELETE', f'{PODS}/second?gracePeriodSeconds=0')[0] == 200
    third = cism.wait_bound('ims', 'third')['metadata']['uid']
    assert cism.curl('admin', 'DELETE', f'{PODS}/third')[0] == 200
    cism.stopped(third)
    wait_used(cism, 'compute', {'pods': '0', 'limits.cpu': '0', 'memory': '0'})
    told = cism.kubectl('describe', 'quota', 'compute', '-n', 'ims').stdout
    assert ['limits.cpu', '0', '1500m'] in [line.split() for line in told.splitlines()]


def test_a_quota_that_is_made_smaller(cism):
    """Nothing new until the use is below it again; without it everything may come."""
    cism.apply(domain('core'), namespace('ims', 'core'), quota('count', pods='5'))
    for n in range(4):
        assert create(cism, f'p{n}')[0] == 201
    cism.apply(quota('count', pods='2'))
    for n in range(3):
        assert create(cism, 'more')[1]['message'] == (
            'pods "more" is forbidden: exceeded quota: count, requested: pods=1, '
            f'used: pods={4 - n}, limited: pods=2')
        assert cism.curl('admin', 'DELETE', f'{PODS}/p{n}')[0] == 200
    assert create(cism, 'more')[0] == 201
    assert create(cism, 'again')[0] == 403
    assert cism.curl('admin', 'DELETE', '/api/v1/namespaces/ims/resourcequotas/count')[0] == 200
    assert create(cism, 'again')[0] == 201


def test_what_is_not_counted_is_said(cism):
    cism.apply(domain('core'), namespace('ims', 'core'))
    said = cism.apply(quota('objects', services='1', pods='1'))
    assert 'Warning: spec.hard.services is kept but not enforced yet' in said.stderr
    scoped = quota('scoped', pods='0')
    scoped['spec']['scopes'] = ['BestEffort']
    assert 'a ResourceQuota with spec.scopes is kept but not enforced yet' in cism.apply(scoped).stderr
    assert create(cism, 'one')[0] == 201
    assert create(cism, 'two')[0] == 403


def test_a_namespace_that_goes_is_counted_no_more(cism):
    cism.apply(domain('core'), namespace('ims', 'core'), quota('count', pods='1'))
    assert create(cism, 'one')[0] == 201
    cism.kubectl('delete', 'namespace', 'ims', '--timeout=30s')
    cism.apply(namespace('ims', 'core'), quota('count', pods='1'))
    assert create(cism, 'one')[0] == 201
    assert create(cism, 'two')[0] == 403


@pytest.mark.parametrize('most', [7, 40])
def test_races_of_replicas(three, most):
    """Three replicas over etcd are asked for 90 pods at once: as many are there as the quota allows, not one more."""
    first = three[0]
    first.apply(domain('core'), namespace('ims', 'core'), quota('count', pods=str(most)))

    def one(n):
        return create(three[n % 3], f'p{n}')
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(one, range(90)))
    made = [answer for status, answer in answers if status == 201]
    others = {(status, answer['message'].split(':')[1]) for status, answer in answers if status != 201}
    assert others <= {(403, ' exceeded quota'), (409, ' the object has been modified; please apply your changes to the '
                                                 'latest version and try again')}
    while len(made) < most:
        status, answer = create(first, f'late{len(made)}')
        assert status == 201, answer
        made.append(answer)
    assert create(first, 'over')[0] == 403
    assert len(first.get(PODS)['items']) == most
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: three[n % 3].curl('admin', 'DELETE', f'{PODS}/{made[n]["metadata"]["name"]}'
                                                  '?gracePeriodSeconds=0'), range(len(made))))
    wait_used(first, 'count', {'pods': '0'})

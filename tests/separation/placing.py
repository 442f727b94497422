# SPDX-License-Identifier: Apache-2.0
"""
Where a pod may go, by brute force, from the words of the Kubernetes API and docs/placement.md: every filter asks every
pod and every instance anew. placing.py PROGRAM CASES SEED draws random clusters and compares src/policy/ with it.
"""
import collections
import json
import sys

from cases import Difference, Drawer, Program
from oracle import SERVER, Oracle

INSTANCES = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5']
STEPS = 60
SPACES = {'a': ['d0', {}], 'b': ['d0', {'kind': 'x'}], 'c': ['d1', {'kind': 'x'}], 'd': ['d2', {}], 'e': ['d3', {}]}
MEBI = 1 << 20


# --- the oracle ---

def quantity(text, resource):
    for suffix, factor in (('Mi', MEBI), ('m', 0.001)):
        if text.endswith(suffix):
            value = float(text[:-len(suffix)]) * factor
            break
    else:
        value = float(text)
    return round(value * 1000 if resource == 'cpu' else value)


def asked(pod):
    """What a pod asks for, by resource."""
    def of(container):
        resources = container.get('resources', {})
        return {**resources.get('limits', {}), **resources.get('requests', {})}

    names = {name for kind in ('containers', 'initContainers') for one in pod['spec'].get(kind, []) for name in of(one)}
    total = {}
    for name in names | set(pod['spec'].get('overhead', {})):
        stay = peak = 0
        for one in pod['spec'].get('initContainers', []):
            amount = quantity(of(one).get(name, '0'), name)
            if one.get('restartPolicy') == 'Always':
                stay += amount
                peak = max(peak, stay)
            else:
                peak = max(peak, stay + amount)
        run = stay + sum(quantity(of(one).get(name, '0'), name) for one in pod['spec']['containers'])
        total[name] = max(run, peak) + quantity(pod['spec'].get('overhead', {}).get(name, '0'), name)
    return total


def holds(one, value):
    operator, values = one['operator'], one.get('values', [])
    if operator in ('Gt', 'Lt'):
        try:
            has, wanted = int(value), int(values[0])
        except (TypeError, ValueError):
            return False
        return has > wanted if operator == 'Gt' else has < wanted
    return {'In': value is not None and value in values, 'NotIn': value is None or value not in values,
            'Exists': value is not None, 'DoesNotExist': value is None}[operator]


def selects(selector, labels, also=()):
    if selector is None:
        return False
    every = [{'key': key, 'operator': 'In', 'values': [value]}
             for key, value in selector.get('matchLabels', {}).items()]
    return all(holds(one, labels.get(one['key'])) for one in [*every, *selector.get('matchExpressions', []), *also])


def own_keys(term, labels):
    return [{'key': key, 'operator': operator, 'values': [labels[key]]}
            for field, operator in (('matchLabelKeys', 'In'), ('mismatchLabelKeys', 'NotIn'))
            for key in term.get(field, []) if key in labels]


def labels_of(thing):
    return thing['metadata'].get('labels', {})


class Cluster:
    """What was told, and what follows from it."""

    def __init__(self, specs):
        self.rules = Oracle(specs)
        self.nodes, self.holders = {}, {}
        self.names = []

    # what is where

    def server(self, name):
        node = self.nodes.get(name)
        return node['server'] if node and node['epoch'] else None

    def beside(self, name, key, term, domain, space, own):
        """Pods that a term means at the same value as an instance, and how many there are at any."""
        value = labels_of(self.nodes[name]['node']).get(key)
        found = {one for one in self.meant(term, domain, space, own)
                 if key in labels_of(self.nodes.get(self.holders[one]['instance'], {'node': {'metadata': {}}})['node'])}
        here = {one for one in found
                if labels_of(self.nodes[self.holders[one]['instance']]['node'])[key] == value and value is not None}
        return here, found

    def meant(self, term, domain, space, own):
        return [number for number, one in self.holders.items()
                if self.means(term, domain, space, own, one['domain'], one['pod'])]

    @staticmethod
    def means(term, domain, space, own, other, pod):
        where = pod['metadata']['namespace']
        spaces = term.get('namespaces', [])
        named = where in spaces or selects(term.get('namespaceSelector'), SPACES[where][1]) \
            or (not spaces and term.get('namespaceSelector') is None and where == space)
        return domain == other and named and selects(term.get('labelSelector'), labels_of(pod), own_keys(term, own))

    # filters

    def separated(self, who, name):
        worst = 0
        for one in self.holders.values():
            level = self.rules.level(who, (one['domain'], one['subfunction'] or None))
            servers = {one['server'], self.server(one['instance'])}
            near = level >= 1 and one['instance'] == name or \
                level == SERVER and (None in servers or self.server(name) in servers)
            worst = max(worst, level if near else 0)
        return worst

    def selected(self, pod, name):
        labels = labels_of(self.nodes[name]['node'])
        if any(labels.get(key) != value for key, value in pod['spec'].get('nodeSelector', {}).items()):
            return 'Selector'
        affinity = pod['spec'].get('affinity', {}).get('nodeAffinity', {})
        required = affinity.get('requiredDuringSchedulingIgnoredDuringExecution')
        if required and not any(self.term(one, name) for one in required['nodeSelectorTerms']):
            return 'NodeAffinity'
        return None

    def term(self, term, name):
        every = [(one, labels_of(self.nodes[name]['node']).get(one['key'])) for one in term.get('matchExpressions', [])]
        every += [(one, name) for one in term.get('matchFields', [])]
        return bool(every) and all(holds(*one) for one in every)

    @staticmethod
    def tolerates(pod, taint):
        for one in pod['spec'].get('tolerations', []):
            if one.get('effect', '') not in ('', taint['effect']) or one.get('key', taint['key']) != taint['key']:
                continue
            if one.get('operator') == 'Exists' or ('key' in one and one.get('value', '') == taint.get('value', '')):
                return True
        return False

    def tainted(self, pod, name, soft=False):
        return [one for one in self.nodes[name]['node']['spec'].get('taints', [])
                if (one['effect'] == 'PreferNoSchedule') == soft and not self.tolerates(pod, one)]

    def full(self, pod, name):
        room = collections.Counter({resource: quantity(text, resource) for resource, text in
                                    self.nodes[name]['node']['status']['allocatable'].items()})
        for one in self.holders.values():
            if one['instance'] == name:
                room.subtract({**asked(one['pod']), 'pods': 1})
        return any(amount > 0 and room[resource] < amount for resource, amount in {**asked(pod), 'pods': 1}.items())

    def affinity(self, question, name):
        pod, domain = question['decide'], question['domain']
        space, labels = pod['metadata']['namespace'], labels_of(pod)
        affinity = pod['spec'].get('affinity', {})
        word = 'requiredDuringSchedulingIgnoredDuringExecution'
        for term in affinity.get('podAffinity', {}).get(word, []):
            here, anywhere = self.beside(name, term['topologyKey'], term, domain, space, labels)
            first = not anywhere and self.means(term, domain, space, labels, domain, pod) \
                and term['topologyKey'] in labels_of(self.nodes[name]['node'])
            if not here and not first:
                return 'Near'
        for term in affinity.get('podAntiAffinity', {}).get(word, []):
            if self.beside(name, term['topologyKey'], term, domain, space, labels)[0]:
                return 'Apart'
        for one in self.holders.values():
            for term in one['pod']['spec'].get('affinity', {}).get('podAntiAffinity', {}).get(word, []):
                key = term['topologyKey']
                value = labels_of(self.nodes[name]['node']).get(key)
                there = labels_of(self.nodes.get(one['instance'], {'node': {'metadata': {}}})['node']).get(key)
                if value is not None and value == there and self.means(
                        term, one['domain'], one['pod']['metadata']['namespace'], labels_of(one['pod']), domain, pod):
                    return 'Shunned'
        return None

    def excess(self, question, constraint, name):
        """How far a pod more at an instance exceeds a spread; None when it has no such label."""
        pod, domain = question['decide'], question['domain']
        space, labels, key = pod['metadata']['namespace'], labels_of(pod), constraint['topologyKey']
        counts = collections.Counter()
        for other, node in self.nodes.items():
            if constraint.get('nodeAffinityPolicy') != 'Ignore' and self.selected(pod, other) is not None:
                continue
            if constraint.get('nodeTaintsPolicy') == 'Honor' and self.tainted(pod, other):
                continue
            if key in labels_of(node['node']):
                counts[labels_of(node['node'])[key]] += sum(
                    one['instance'] == other and
                    self.means({**constraint, 'namespaces': [space]}, domain, space, labels, one['domain'], one['pod'])
                    for one in self.holders.values())
        least = min(counts.values(), default=0) if len(counts) >= constraint.get('minDomains', 1) else 0
        value = labels_of(self.nodes[name]['node']).get(key)
        if value is None:
            return None
        itself = self.means({**constraint, 'namespaces': [space]}, domain, space, labels, domain, pod)
        return max(0, counts[value] + itself - least - constraint['maxSkew'])

    def reason(self, question, name):
        node, pod = self.nodes[name], question['decide']
        who = question['domain'], question['subfunction'] or None
        refused = self.rules.decide({'uid': '', 'domain': question['domain'], 'images': [], 'account': ''},
                                    {'quarantined': False, 'server': 's', 'epoch': 1, 'instance': 'n'}, [])[0] \
            if question['domain'] not in self.rules.specs else self.unsupported(who)
        if refused:
            return 'Pod'
        if node['quarantined']:
            return 'Quarantined'
        if not self.server(name):
            return 'UnknownServer'
        if self.separated(who, name):
            return 'Separated'
        ready = [one['status'] for one in node['node']['status']['conditions'] if one['type'] == 'Ready']
        if ready != ['True']:
            return 'NotReady'
        if node['node']['spec'].get('unschedulable'):
            return 'Unschedulable'
        return self.selected(pod, name) or ('Taint' if self.tainted(pod, name) else None) \
            or ('Resources' if self.full(pod, name) else None) or self.affinity(question, name) \
            or self.uneven(question, name) or 'Allowed'

    def uneven(self, question, name):
        for one in question['decide']['spec'].get('topologySpreadConstraints', []):
            if one['whenUnsatisfiable'] == 'DoNotSchedule' and self.excess(question, one, name) != 0:
                return 'Spread'
        return None

    def unsupported(self, who):
        spec = self.rules.specs[who[0]]
        needs = {one['name'] for one in spec.get('interfaces', []) if 'VM' in one.get('border', [])}
        return spec.get('isolation') == 'VM' or any(one.offers & needs for one in self.rules.selves(*who))

    # scores: the table of docs/placement.md

    def score(self, question, name):
        pod, domain = question['decide'], question['domain']
        node, server = self.nodes[name]['node'], self.server(name)
        there = [one for one in self.holders.values() if server in (one['server'], self.server(one['instance']))]
        own = [one for one in there if one['domain'] == domain]
        total = 700 * bool(there) + 1400 * bool(own) + 300 * any(
            one['instance'] == name and one['subfunction'] == question['subfunction'] for one in own)
        for one in pod['spec'].get('affinity', {}).get('nodeAffinity', {}).get(
                'preferredDuringSchedulingIgnoredDuringExecution', []):
            total += 20 * one['weight'] * self.term(one['preference'], name)
        total -= 1000 * len(self.tainted(pod, name, soft=True))
        for kind, sign in (('podAffinity', 20), ('podAntiAffinity', -20)):
            for one in pod['spec'].get('affinity', {}).get(kind, {}).get(
                    'preferredDuringSchedulingIgnoredDuringExecution', []):
                term = one['podAffinityTerm']
                total += sign * one['weight'] * bool(self.beside(name, term['topologyKey'], term, domain,
                                                                 pod['metadata']['namespace'], labels_of(pod))[0])
        for one in pod['spec'].get('topologySpreadConstraints', []):
            if one['whenUnsatisfiable'] == 'ScheduleAnyway':
                excess = self.excess(question, one, name)
                total += -1400 if excess is None else max(-1400, -140 * excess)
        images = [one['image'] for one in pod['spec']['containers']]
        stored = [text for one in node['status'].get('images', []) for text in one['names']]
        total += int(10 * sum(one in stored for one in images) / len(images))
        return total + int(9 * self.fullness(pod, name))

    def fullness(self, pod, name):
        left = 0
        for resource in ('cpu', 'memory'):
            room = quantity(self.nodes[name]['node']['status']['allocatable'].get(resource, '0'), resource)
            used = sum(asked(one['pod']).get(resource, 0) for one in self.holders.values() if one['instance'] == name)
            left += (room - used - asked(pod).get(resource, 0)) / room if room else 0
        return 1 - left / 2


# --- random clusters ---

class Placing(Drawer):
    def labels(self):
        return {key: self.random.choice(values) for key, values in
                (('app', ['u', 'v', 'w']), ('tier', ['x', 'y'])) if not self.rarely(0.3)}

    def requirement(self, choices):
        key = self.random.choice(list(choices))
        operator = self.random.choice(['In', 'NotIn', 'Exists', 'DoesNotExist', 'In'])
        values = {'values': self.some(choices[key])} if operator in ('In', 'NotIn') else {}
        return {'key': key, 'operator': operator, **values}

    def node(self, name):
        labels = {'host': name, 'zone': self.random.choice(['z0', 'z1', 'z2']), 'size': str(self.random.randint(1, 9))}
        for key in list(labels):
            if self.rarely(0.1):
                del labels[key]
        room = {'cpu': f'{self.random.choice([1000, 2000, 4000])}m', 'memory': f'{self.random.choice([512, 2048])}Mi',
                'pods': str(self.random.choice([2, 5, 9]))}
        if self.rarely():
            room['x.example/card'] = str(self.random.randint(1, 3))
        if self.rarely():
            room['hugepages-2Mi'] = '8Mi'
        taints = [{'key': self.random.choice(['k', 'l']), 'value': self.random.choice(['', 'v']),
                   'effect': self.random.choice(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])}
                  for _ in range(self.random.choice([0, 0, 0, 1, 2]))]
        images = [{'names': self.some(['r/a', 'r/b', 's/a'])}] if self.rarely(0.5) else []
        ready = 'Unknown' if self.rarely(0.05) else 'True'
        spec = {'taints': taints, **({'unschedulable': True} if self.rarely(0.05) else {})}
        where = {} if self.rarely(0.04) else {'server': self.random.choice(['s0', 's1', 's2', 's3'])}
        return {'node': {'metadata': {'name': name, 'labels': labels}, 'spec': spec,
                         'status': {'allocatable': room, 'images': images,
                                    'conditions': [{'type': 'Ready', 'status': ready}]}},
                'server': None, 'epoch': 1, 'quarantined': self.rarely(0.04), **where}

    def pod_selector(self):
        if self.rarely(0.1):
            return {}
        if self.rarely(0.5):
            return {'labelSelector': {'matchLabels': {'app': self.random.choice(['u', 'v', 'w'])}}}
        return {'labelSelector': {'matchExpressions': [
            self.requirement({'app': ['u', 'v', 'w'], 'tier': ['x', 'y']}) for _ in range(self.random.randint(0, 2))]}}

    def pod_term(self):
        made = {'topologyKey': self.random.choice(['host', 'zone', 'zone', 'size']), **self.pod_selector()}
        if self.rarely():
            made['namespaces'] = self.some(list(SPACES))
        if self.rarely(0.2):
            made['namespaceSelector'] = self.random.choice([{}, {'matchLabels': {'kind': 'x'}}])
        if self.rarely(0.1):
            made[self.random.choice(['matchLabelKeys', 'mismatchLabelKeys'])] = [self.random.choice(['app', 'tier'])]
        return made

    def affinity(self):
        node_keys = {'host': INSTANCES, 'zone': ['z0', 'z1', 'z2', 'z9']}

        def term():
            if self.rarely(0.1):
                return self.random.choice([{}, {'matchFields': [
                    {'key': 'metadata.name', 'operator': 'In', 'values': [self.random.choice(INSTANCES)]}]}])
            made = [self.requirement(node_keys) for _ in range(self.random.randint(1, 2))]
            if self.rarely():
                made.append({'key': 'size', 'operator': self.random.choice(['Gt', 'Lt']),
                             'values': [str(self.random.randint(1, 9))]})
            return {'matchExpressions': made}

        required, preferred = (f'{word}DuringSchedulingIgnoredDuringExecution' for word in ('required', 'preferred'))
        made = {}
        if self.rarely(0.2):
            made['nodeAffinity'] = {required: {'nodeSelectorTerms': [term() for _ in range(self.random.randint(1, 2))]}}
        if self.rarely(0.2):
            made.setdefault('nodeAffinity', {})[preferred] = [
                {'weight': self.random.randint(1, 100), 'preference': term()} for _ in range(self.random.randint(1, 2))]
        for kind in ('podAffinity', 'podAntiAffinity'):
            if self.rarely(0.2):
                made[kind] = {required: [self.pod_term() for _ in range(self.random.choice([1, 1, 2]))]}
            if self.rarely(0.15):
                made.setdefault(kind, {})[preferred] = [
                    {'weight': self.random.randint(1, 100), 'podAffinityTerm': self.pod_term()}]
        return made

    def container(self):
        asks = {'cpu': f'{self.random.choice([0, 100, 250, 700, 1500])}m',
                'memory': f'{self.random.choice([1, 64, 300, 900])}Mi'}
        if self.rarely(0.1):
            asks['x.example/card'] = '1'
        if self.rarely(0.05):
            asks[self.random.choice(['hugepages-2Mi', 'nobody.example/has'])] = '2'
        resources = {'limits': asks, 'requests': {'cpu': '150m'}} if self.rarely() else {'requests': asks}
        return {'image': self.random.choice(['r/a', 'r/b', 's/a']), 'resources': resources}

    def spread(self):
        made = {'maxSkew': self.random.choice([1, 1, 2]), 'topologyKey': self.random.choice(['host', 'zone']),
                'whenUnsatisfiable': self.random.choice(['DoNotSchedule', 'ScheduleAnyway']), **self.pod_selector()}
        if self.rarely():
            made['minDomains'] = self.random.randint(1, 4)
        if self.rarely():
            made['nodeAffinityPolicy'] = self.random.choice(['Ignore', 'Honor'])
        if self.rarely():
            made['nodeTaintsPolicy'] = self.random.choice(['Ignore', 'Honor'])
        return made

    def workload(self, specs):
        space = self.random.choice(list(SPACES))
        domain = SPACES[space][0]
        names = [row['name'] for row in specs.get(domain, {}).get('subFunctions', [])] + ['']
        spec = {'containers': [self.container() for _ in range(self.random.choice([1, 1, 2]))]}
        if self.rarely(0.1):
            spec['initContainers'] = [{**self.container(), **({'restartPolicy': 'Always'} if self.rarely() else {})}
                                      for _ in range(2)]
        if self.rarely(0.05):
            spec['overhead'] = {'cpu': '100m'}
        if self.rarely(0.1):
            spec['nodeSelector'] = {'zone': self.random.choice(['z0', 'z1'])}
        if self.rarely(0.5):
            spec['affinity'] = self.affinity()
        if self.rarely():
            spec['tolerations'] = [self.toleration() for _ in range(self.random.randint(1, 2))]
        if self.rarely(0.2):
            spec['topologySpreadConstraints'] = [self.spread()]
        return {'decide': {'metadata': {'namespace': space, 'labels': self.labels()}, 'spec': spec}, 'domain': domain,
                'subfunction': self.random.choice(names)}

    def toleration(self):
        made = {'operator': 'Exists'} if self.rarely(0.5) else {'value': 'v'}
        if 'value' in made or not self.rarely(0.3):
            made['key'] = self.random.choice(['k', 'l'])
        if self.rarely():
            made['effect'] = self.random.choice(['NoSchedule', 'NoExecute'])
        return made


# --- the comparison ---

def check(cluster, question, said):
    """The word for what happened; Difference when the program and the oracle do not agree."""
    choice, score, *rows = said.split()
    words = dict(row.split('=') for row in rows)
    expected = {name: cluster.reason(question, name) for name in cluster.nodes}
    what = f'{json.dumps(question)}\n{json.dumps(cluster.nodes)}\n{json.dumps(cluster.holders)}\n' \
           f'{json.dumps(cluster.rules.specs)}'
    if {name: word.split(':')[0] for name, word in words.items()} != expected:
        raise Difference(f'{words}, not {expected}: {what}')
    allowed = {name: cluster.score(question, name) for name, reason in expected.items() if reason == 'Allowed'}
    if (choice == '-') != (not allowed) or (allowed and choice not in allowed):
        raise Difference(f'chose {choice} of {allowed}: {what}')
    # Thousandths that are rounded in another order may differ by one.
    for name, wanted in allowed.items():
        if abs(wanted - int(words[name].split(':')[1])) > 1:
            raise Difference(f'{name} is worth {words[name]}, not {wanted}: {what}')
    if allowed and (abs(allowed[choice] - int(score)) > 1 or allowed[choice] < max(allowed.values()) - 1):
        raise Difference(f'chose {choice} ({score}) of {allowed}: {what}')
    words = collections.Counter(expected.values()).most_common(1)
    return 'Placed' if allowed else words[0][0] if words else 'Empty'


def history(drawer, program, counts, stop, make):
    """One cluster from its beginning, until it is old or enough was asked."""
    specs = program.accepted(drawer.domains())
    program.ask([{'domains': specs}])
    cluster = make(specs)
    program.ask([{'namespace': {'metadata': {'name': name, 'labels': labels}}} for name, (_, labels) in SPACES.items()])
    for step in range(STEPS):
        if sum(counts.values()) >= stop:
            return
        if step < len(INSTANCES) - 1 or drawer.rarely(0.1):
            name = INSTANCES[step] if step < len(INSTANCES) - 1 else drawer.random.choice(INSTANCES)
            cluster.nodes[name] = drawer.node(name)
            program.ask([{key: value for key, value in cluster.nodes[name].items() if value is not None}])
        elif drawer.rarely(0.02):
            name = drawer.random.choice(list(cluster.nodes))
            del cluster.nodes[name]
            program.ask([{'gone': name}])
        elif cluster.holders and drawer.rarely(0.2):
            number = drawer.random.choice(list(cluster.holders))
            del cluster.holders[number]
            program.ask([{'release': number}])
        else:
            question = drawer.workload(specs)
            said = program.ask([question])[0]
            counts[check(cluster, question, said)] += 1
            place(drawer, program, cluster, question, said.split()[0])


def place(drawer, program, cluster, question, choice):
    """Mostly where it was decided; now and then somewhere it should not be, as a ledger may say."""
    if drawer.rarely(0.03) and cluster.nodes:
        choice = drawer.random.choice(list(cluster.nodes))
    if choice == '-':
        return
    server = drawer.random.choice(['s0', 's1', 's2', 's3']) if drawer.rarely(0.03) else cluster.server(choice)
    charge = {'charge': question['decide'], 'domain': question['domain'], 'subfunction': question['subfunction'],
              'instance': choice, **({'server': server} if server else {})}
    number = program.ask([charge])[0]
    cluster.holders[int(number)] = {'pod': question['decide'], 'domain': question['domain'], 'instance': choice,
                                    'subfunction': question['subfunction'], 'server': server}


def compare(path, cases, seed, make=Cluster):
    """How often each outcome was."""
    drawer, counts = Placing(seed), collections.Counter()
    with Program(path) as program:
        while sum(counts.values()) < cases:
            history(drawer, program, counts, cases, make)
    return counts


def main():
    path, cases, seed = sys.argv[1:]
    print(f'seed {seed}', flush=True)
    for what, count in sorted(compare(path, int(cases), int(seed)).items()):
        print(f'{count:9} {what}')


if __name__ == '__main__':
    main()

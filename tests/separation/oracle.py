# SPDX-License-Identifier: Apache-2.0
"""
What may stand beside what, by brute force. A pod of which the platform does not know everything has several possible
selves; two pods must be apart when any two of their selves must.
"""
import fnmatch
import itertools

NONE, INSTANCE, SERVER = 0, 1, 2
LEVELS = ('None', 'Instance', 'Server')
PLANES = ('User', 'Control', 'Management')


def like(patterns, word):
    return any(fnmatch.fnmatchcase(word, pattern) for pattern in patterns)


class Self:
    """One thing a pod may be."""

    def __init__(self, domain, row, plane, function, offers):
        self.domain, self.row, self.plane, self.function, self.offers = domain, row, plane, function, offers


class Oracle:
    def __init__(self, specs):
        self.specs = specs
        self.known = {}

    def row_of(self, pod):
        """The name of the row of the map that means a pod; None when it is unmapped."""
        account = 'ns/' + (pod.get('account') or 'default')
        found = set()
        for image in pod['images']:
            rows = [row['name'] for row in self.specs[pod['domain']].get('subFunctions', [])
                    if ('images' not in row or like(row['images'], image))
                    and ('serviceAccounts' not in row or like(row['serviceAccounts'], account))]
            found.add(rows[0] if len(rows) == 1 else None)
        return found.pop() if len(found) == 1 else None

    def selves(self, domain, name):
        spec = self.specs[domain]
        rows = spec.get('subFunctions', [])
        interfaces = spec.get('interfaces', [])
        functions = sorted({row['networkFunction'] for row in rows if 'networkFunction' in row}) + ['?', '??']
        for row in rows:
            if row['name'] != name:
                continue
            offers = {one['name'] for one in interfaces if one.get('subFunction', name) == name}
            return [Self(domain, name, plane, function, offers)
                    for plane in ([row['plane']] if 'plane' in row else PLANES)
                    for function in ([row['networkFunction']] if 'networkFunction' in row else functions)]
        names = [row['name'] for row in rows] + ['?']
        sure = {one['name'] for one in interfaces if 'subFunction' not in one}
        maybe = [one['name'] for one in interfaces if 'subFunction' in one]
        return [Self(domain, row, plane, function, sure | set(offered))
                for row, plane, function in itertools.product(names, PLANES, functions)
                for size in range(len(maybe) + 1) for offered in itertools.combinations(maybe, size)]

    @staticmethod
    def _is(one, wanted):
        return (wanted.get('subFunction', one.row) == one.row and wanted.get('plane', one.plane) == one.plane
                and ('interface' not in wanted or wanted['interface'] in one.offers))

    def _one_way(self, own, other):
        spec = self.specs[own.domain]
        if spec.get('isolation') == 'Dedicated' and own.domain != other.domain:
            return SERVER
        level = NONE
        for rule in spec.get('separation', []):
            peers = rule['from']
            named = own.domain != other.domain if peers.get('all') else other.domain in peers['domains']
            same = own.domain == other.domain and own.function == other.function
            if named and self._is(own, rule) and self._is(other, peers) \
                    and rule.get('networkFunctions') in (None, 'Same' if same else 'Different'):
                level = max(level, LEVELS.index(rule['level']))
        for one in spec.get('interfaces', []):
            if 'DedicatedServer' in one.get('border', []) and one['name'] in own.offers \
                    and not (other.domain == own.domain and one['name'] in other.offers):
                return SERVER
        return level

    def level(self, a, b):
        """The level of two pods, each as (domain, row)."""
        if (a, b) not in self.known:
            self.known[a, b] = SERVER if a[0] not in self.specs or b[0] not in self.specs else max(
                max(self._one_way(x, y), self._one_way(y, x))
                for x in self.selves(*a) for y in self.selves(*b))
        return self.known[a, b]

    def decide(self, pod, place, holders):
        """(reason, level); the reason is 'apart' when another pod is in the way."""
        if not pod.get('domain'):
            return 'NoDomain', NONE
        spec = self.specs.get(pod['domain'])
        if spec is None:
            return 'UnknownDomain', NONE
        me = pod['domain'], self.row_of(pod)
        needs_vm = {one['name'] for one in spec.get('interfaces', []) if 'VM' in one.get('border', [])}
        if spec.get('isolation') == 'VM' or any(one.offers & needs_vm for one in self.selves(*me)):
            return 'IsolationUnavailable', NONE
        if place['quarantined']:
            return 'Quarantined', SERVER
        if not place.get('server') or not place['epoch']:
            return 'UnknownServer', SERVER
        worst = NONE
        for holder in holders:
            if holder['uid'] == pod['uid']:
                continue
            known = holder['domain'] in self.specs
            level = self.level(me, (holder['domain'], self.row_of(holder) if known else None))
            near = INSTANCE if holder['instance'] == place['instance'] else \
                SERVER if holder.get('server') in (None, '', place['server']) else SERVER + 1
            if level >= near:
                worst = max(worst, level)
        return ('apart', worst) if worst else ('Allowed', NONE)

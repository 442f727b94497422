# SPDX-License-Identifier: Apache-2.0
"""A runtime below a ceiling of its own, and configurations that ask for something."""
import json
import pathlib
import subprocess

from support_runtime import Runtime

NAME = '10-base.json'


class Bounded(Runtime):
    """A runtime with a folder of ceiling files of its own."""

    def __init__(self, program):
        super().__init__(program)
        self.files = self.folder / 'runtime.d'
        self.files.mkdir(mode=0o755)
        self.log = self.folder / 'log'

    def ceiling(self, content=None, name=NAME, **keys):
        """Writes a ceiling file and no other one."""
        for path in self.files.glob('*.json'):
            path.unlink()
        return self.add(content, name, **keys)

    def add(self, content=None, name=NAME, **keys):
        (self.files / name).write_text(json.dumps(keys) if content is None else content)
        (self.files / name).chmod(0o644)

    def call(self, *words, env=None, **more):
        return super().call('--ceiling', self.files, '--log', self.log, *words, env=env, **more)

    def start(self, *args, config=None, **changes):
        """Creates and starts a container that goes on; returns its id."""
        bundle = self.bundle(config or self.config(*(args or ('/bin/sleep', '1000')), **changes))
        name = f'c{self.count}'
        with open(self.folder / f'{name}.out', 'wb') as to:
            done = subprocess.run([self.program, '--root', self.state, '--ceiling', self.files, '--log', self.log,
                                   'create', '--bundle', bundle, name], stdin=subprocess.DEVNULL, stdout=to, stderr=to,
                                  timeout=60, check=False)
        assert done.returncode == 0, (self.folder / f'{name}.out').read_text()
        done = self.call('start', name)
        assert done.returncode == 0, done.stderr
        return name

    def warnings(self):
        """What the log says was changed."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split(' level=warning msg=')[1][1:-1].replace('\\"', '"') for line in lines
                if ' level=warning ' in line]

    def pid(self, name):
        return self.status(name)['pid']

    def proc(self, name, file):
        return pathlib.Path(f'/proc/{self.pid(name)}/{file}').read_text()


def over(asked, key, name=NAME):
    return f"config.json: {asked}, which is over '{key}' of ceiling file '{name}'"


def set_capabilities(config):
    config['process']['capabilities'] = {'bounding': ['CAP_CHOWN', 'CAP_SYS_ADMIN']}


def set_host_network(config):
    config['linux']['namespaces'] = [row for row in config['linux']['namespaces'] if row['type'] != 'network']
    config['mounts'] = [mount for mount in config['mounts'] if mount['type'] != 'sysfs']


def set_joined_network(config):
    set_host_network(config)
    config['linux']['namespaces'].append({'type': 'network', 'path': '/proc/self/ns/net'})


def set_bind(options, source='/etc'):
    def change(config):
        config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': source,
                                 'options': ['bind', *options]})
    return change


def set_device(config):
    config['linux']['devices'] = [{'path': '/dev/fuse', 'type': 'c', 'major': 10, 'minor': 229}]


def set_device_rule(config):
    config['linux']['resources']['devices'] = [
        {'allow': False, 'access': 'rwm'}, {'allow': True, 'type': 'c', 'major': 1, 'minor': 3, 'access': 'rw'},
        {'allow': True, 'type': 'c', 'major': 10, 'access': 'rw'}]


def set_profile(*names, default='SCMP_ACT_ERRNO'):
    def change(config):
        config['linux']['seccomp'] = {'defaultAction': default, 'architectures': ['SCMP_ARCH_X86_64'], 'syscalls': [
            {'names': ['mkdir', *names], 'action': 'SCMP_ACT_ALLOW'}]}
    return change


def set_member(*path, value):
    def change(config):
        at = config
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    return change

# SPDX-License-Identifier: Apache-2.0
"""A whole Bulkhead in a cell, driven by its own command line and by kubectl."""
import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import time

import cell as cells

TOP = pathlib.Path(__file__).parent.parent.parent


def find_kubectls():
    """{version: path}: those beside the kubectl on the path (the Google Cloud SDK keeps several), and Debian's 1.20."""
    found = {}
    ours = shutil.which('kubectl')
    folder = os.path.dirname(os.path.realpath(ours)) if ours else '/nonexistent'
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in names:
        match = re.fullmatch(r'kubectl\.(1\.\d+)', name)
        if match:
            found[match.group(1)] = os.path.join(folder, name)
    if ours and not found:
        done = subprocess.run([ours, 'version', '--client', '-o', 'json'], stdout=subprocess.PIPE, check=True)
        version = json.loads(done.stdout)['clientVersion']
        found[f"{version['major']}.{version['minor'].rstrip('+')}"] = ours
    packaged = subprocess.check_output([TOP / 'tools/debian-package', 'kubernetes-client'], text=True)
    found['1.20'] = packaged.strip() + '/usr/bin/kubectl'
    return dict(sorted(found.items(), key=lambda entry: int(entry[0].split('.')[1])))


def remains(function, path, why):
    if not issubclass(why[0], FileNotFoundError):
        raise why[1]


@contextlib.contextmanager
def temporary_root():
    """A folder for --root, removed afterwards together with what is mounted below it."""
    # Letters and digits alone: engines make names of images of it, in which an underscore cannot stand everywhere.
    folder = pathlib.Path(f'/var/tmp/bulkhead-test-{secrets.token_hex(4)}')
    folder.mkdir()
    # The unprivileged daemons must be able to reach their folders below it.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        with open('/proc/self/mountinfo', encoding='utf-8') as lines:
            below = [line.split()[4] for line in lines if line.split()[4].startswith(f'{folder}/')]
        for mount in reversed(below):
            subprocess.run(['umount', '-l', mount], check=False)
        for loop in cells.loops_below(str(folder)):
            subprocess.run(['losetup', '-d', loop], check=False)
        # What ends at this moment takes its socket along.
        shutil.rmtree(folder, onerror=remains)


def checked(program, words, done):
    if done.returncode:
        line = ' '.join(map(str, words))
        raise AssertionError(f'{program} {line}: status {done.returncode}\n{done.stdout}{done.stderr}')
    return done


class Installation:
    def __init__(self, cell, root, programs, kubectls):
        self.cell = cell
        self.root = pathlib.Path(root)
        self.programs = pathlib.Path(programs)
        self.kubectls = kubectls
        self.newest = list(kubectls)[-1]
        self.oldest = list(kubectls)[0]
        self.kubeconfig = self.root / 'etc/bulkhead/kubeconfig'
        self.state = self.root / 'var/lib/bulkhead'
        self.home = self.root / 'home'

    def run(self, *words, check=True, **options):
        """'bulkhead WORD…' with this installation's root."""
        done = self.cell.run([self.programs / 'bulkhead', *words, '--root', self.root], **options)
        return checked('bulkhead', words, done) if check else done

    def up(self, *words, **options):
        return self.run('up', *words, **options)

    def down(self, **options):
        return self.run('down', **options)

    def kubectl_words(self, words, version=None):
        program = self.kubectls[version or self.newest]
        return ['env', f'HOME={self.home}', f'KUBECONFIG={self.kubeconfig}', program, *words]

    def kubectl(self, *words, version=None, check=True, **options):
        """Runs an unmodified kubectl as the administrator; the newest one unless told."""
        self.home.mkdir(exist_ok=True)
        done = self.cell.run(self.kubectl_words(words, version), **options)
        return checked('kubectl', words, done) if check else done

    def get(self, *words, **options):
        """An object or list as kubectl prints it in JSON."""
        return json.loads(self.kubectl('get', *words, '-o', 'json', **options).stdout)

    def apply(self, manifest, **options):
        """Applies a manifest given as text or as a Python object."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.kubectl('apply', '-f', '-', input=text, **options)

    def skopeo(self, *words, check=True):
        """skopeo with this installation's CA."""
        option = '--dest-cert-dir' if words[0] == 'copy' else '--cert-dir'
        words = [words[0], option, self.root / 'etc/bulkhead/registry-ca', *words[1:]]
        done = self.cell.run(['env', f'HOME={self.home}', 'skopeo', *words])
        return checked('skopeo', words, done) if check else done

    def push(self, layout, name):
        """Pushes an OCI layout to the registry as the administrator."""
        self.skopeo('copy', '--dest-authfile', self.root / 'etc/bulkhead/registry-auth.json', f'oci:{layout}:bookworm',
                    f'docker://127.0.0.1:5000/{name}')

    def curl(self, path, *words, **options):
        """A request to the CISM as the administrator."""
        pki = self.root / 'etc/bulkhead/pki'
        return self.cell.run(['curl', '-sS', '--cacert', pki / 'ca.pem', '--cert', pki / 'admin/client.pem',
                              '--key', pki / 'admin/client.key', *words, f'https://127.0.0.1:6443{path}'], **options)

    def busybox_pod(self, namespace, name, script, restartPolicy='Never', limits=None):
        """A pod that runs a shell script."""
        container = {'name': 'main', 'image': '127.0.0.1:5000/ims/busybox:bookworm', 'command': ['sh', '-c', script],
                     'resources': {'limits': {'cpu': '200m', 'memory': '32Mi', **(limits or {})}}}
        return {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name, 'namespace': namespace},
                'spec': {'restartPolicy': restartPolicy, 'terminationGracePeriodSeconds': 1, 'containers': [container]}}

    def wait(self, what, seconds=60, every=0.2):
        """Waits until what() is true and returns it."""
        deadline = time.monotonic() + seconds
        while True:
            result = what()
            if result:
                return result
            if time.monotonic() > deadline:
                raise AssertionError(f'not within {seconds} s: {what.__doc__ or what}\n{self.describe()}')
            time.sleep(every)

    def wait_phase(self, namespace, pod, phase='Running', seconds=90):
        def reached():
            done = self.kubectl('get', 'pod', pod, '-n', namespace, '-o', 'json', check=False)
            found = json.loads(done.stdout) if done.returncode == 0 else None
            return found if found and found.get('status', {}).get('phase') == phase else None
        reached.__doc__ = f"pod '{namespace}/{pod}' is {phase}"
        return self.wait(reached, seconds)

    def describe(self):
        """What a reader of a failure wants to see."""
        shown = [self.kubectl('get', 'pods,events', '-A', '-o', 'wide', check=False)]
        return ''.join(done.stdout + done.stderr for done in shown) + self.logs()

    def logs(self, lines=15):
        text = ''
        for path in sorted((self.state / 'log').glob('*.log')):
            text += f'-- {path.name}\n' + '\n'.join(path.read_text(errors='replace').splitlines()[-lines:]) + '\n'
        return text

    def keep_logs(self):
        """Shown by pytest when the test failed."""
        sys.stdout.write(self.logs(40))

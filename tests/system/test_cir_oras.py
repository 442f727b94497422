# SPDX-License-Identifier: Apache-2.0
"""oras as a client of the registry, where it is at hand (CIR-1): no package of Debian has it."""
import json
import shutil
import subprocess

import pytest

import registry as registries


@pytest.fixture
def oras(build, root):
    program = shutil.which('oras')
    if not program:
        pytest.skip('oras is not here: no package of Debian, built from its sources with Go')
    registry = registries.Registry(build / 'src/cir/bulkhead-cir', root).start()
    (root / 'ca.pem').write_text(registry.ca.pem)

    def run(*words):
        done = subprocess.run([program, *words[:1], '--ca-file', root / 'ca.pem', '-u', 'pusher', '-p', 'geheim',
                               *words[1:]], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, env={'HOME': str(root), 'PATH': '/usr/bin'})
        assert done.returncode == 0, done.stderr
        return done.stdout
    run.host = registry.host
    yield run
    registry.stop()


def test_artifacts(oras, root):
    """An artifact, what is attached to it and found by its type, pulled again."""
    (root / 'chart.txt').write_text('a chart')
    (root / 'sbom.json').write_text('{"spdxVersion":"SPDX-2.3"}')
    image = f'{oras.host}/ims/chart:v1'
    oras('push', image, '--artifact-type', 'application/vnd.test.chart', 'chart.txt:text/plain')
    oras('attach', image, '--artifact-type', 'application/spdx+json', 'sbom.json:application/spdx+json')
    found = json.loads(oras('discover', image, '--format', 'json', '--artifact-type', 'application/spdx+json'))
    listed = found.get('referrers', found.get('manifests'))
    assert [entry['artifactType'] for entry in listed] == ['application/spdx+json']
    (root / 'chart.txt').unlink()
    oras('pull', image)
    assert (root / 'chart.txt').read_text() == 'a chart'

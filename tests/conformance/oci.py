# SPDX-License-Identifier: Apache-2.0
"""Runs the official suite of the OCI distribution specification against a registry of this build. The suite is in Go;
OCI_CONFORMANCE names one that is built already, otherwise it is cloned and built below .cache/."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / 'tests/system'))

import registry as registries  # noqa: E402

SOURCE = 'https://github.com/opencontainers/distribution-spec'
COMMIT = '967efdc'
WANTED = {'OCI_VERSION': '1.1', 'OCI_API_BLOBS_UPLOAD_CANCEL': 'true', 'OCI_API_BLOBS_DIGEST_HEADER': 'true',
          'OCI_API_MANIFESTS_DIGEST_HEADER': 'true'}


def find_suite():
    """The path of the suite's program, or None where there is no way to build it."""
    if 'OCI_CONFORMANCE' in os.environ:
        return os.environ['OCI_CONFORMANCE']
    folder = TOP / '.cache/distribution-spec'
    program = folder / 'conformance/suite'
    if program.exists():
        return program
    if not shutil.which('go') or not shutil.which('git'):
        return None
    if not folder.exists():
        subprocess.run(['git', 'clone', '-q', SOURCE, folder], check=True)
    subprocess.run(['git', '-C', folder, 'checkout', '-q', COMMIT], check=True)
    subprocess.run(['go', 'build', '-o', program, '.'], cwd=folder / 'conformance', check=True)
    return program


def run(suite, registry, folder):
    (folder / 'ca-of-test.pem').write_text(registry.ca.pem)
    environment = dict(os.environ, **WANTED, OCI_REGISTRY=registry.host, OCI_TLS='enabled', OCI_USERNAME='pusher',
                       OCI_PASSWORD='geheim', OCI_RESULTS_DIR=str(folder / 'results'),
                       SSL_CERT_FILE=str(folder / 'ca-of-test.pem'))
    done = subprocess.run([suite], env=environment, capture_output=True, text=True, check=False)
    print(done.stdout[done.stdout.rfind('OCI Conformance Result'):] or done.stderr)
    failures = re.search(r'FAIL\.+:\s+(\d+)', done.stdout)
    return done.returncode == 0 and failures and failures[1] == '0'


def main():
    suite = find_suite()
    if not suite:
        print('OCI distribution: skipped, Go and git are needed to build the suite')
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-conformance-', dir='/var/tmp'))
    folder.chmod(0o755)
    registry = registries.Registry(pathlib.Path(os.environ['BULKHEAD_BUILD']) / 'src/cir/bulkhead-cir', folder)
    try:
        registry.start()
        passed = run(suite, registry, folder)
        registry.stop()
    finally:
        registry.kill()
        shutil.rmtree(folder)
    sys.exit(0 if passed else 1)


main()

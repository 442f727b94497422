# SPDX-License-Identifier: Apache-2.0
"""The suite in a VM with Debian's kernel, where every layer may be off."""
import json
import pathlib
import subprocess
import tempfile

TOP = pathlib.Path(__file__).parent.parent.parent
# What Debian's kernel is built without, so that there is nothing to try.
NOT_IN_6_1 = {'calls_x32', 'uevent_helper'}

# What a machine has for a few rows where others need its processors too; alone it takes a third of that.
SECONDS = 560


class Failure(Exception):
    """The suite could not be run in a VM."""


def modules():
    """The kernel's modules, which tools/vm unpacked."""
    found = sorted((TOP / '.cache' / 'packages').glob('linux-image-*-cloud-amd64/lib/modules/*'))
    return found[-1] if found else None


def vm(script, seconds):
    with tempfile.NamedTemporaryFile('w', suffix='.sh', encoding='utf-8') as job:
        job.write(script)
        job.flush()
        return subprocess.run([TOP / 'tools/vm', '--timeout', str(seconds), job.name], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)


def run(runtime, probe, rows, seconds=SECONDS, only=(), starts=2):
    """
    [{'name', 'result', 'error', 'off'}] of the whole suite for each row of layers off; '-' for none. The first says on
    what: {'kernel', 'landlock'}. only: the names of the ways out to try; starts: how often a race is tried.
    """
    if not modules():
        vm('true\n', 120)
    done = vm(f"RUNTIME={runtime} PROBE={probe} MODULES={modules()} OFF='{' '.join(rows)}' "
              f"ONLY={','.join(only)} STARTS={starts} "
              f"exec bash {TOP}/tests/vm/attack_v2.sh\n", seconds)
    said = [line for line in done.stdout.splitlines() if not line.startswith('{')]
    if done.returncode:
        raise Failure('\n'.join(said))
    print('\n'.join(said))
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]

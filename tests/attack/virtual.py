# SPDX-License-Identifier: Apache-2.0
"""The suite in a VM with Debian's kernel, where every layer may be off."""
import json
import pathlib
import subprocess
import tempfile

TOP = pathlib.Path(__file__).parent.parent.parent
# What gets out there though every layer is on, and why.
KERNEL_6_1 = {
    'device_of_volume': 'a device that the caller mounts is usable: Landlock judges device ioctls from ABI 5 on',
}


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


def run(runtime, probe, rows, seconds=380):
    """
    [{'name', 'result', 'error', 'off'}] of the whole suite for each row of layers off; '-' for none. The first says on
    what: {'kernel', 'landlock'}.
    """
    if not modules():
        vm('true\n', 120)
    done = vm(f"RUNTIME={runtime} PROBE={probe} MODULES={modules()} OFF='{' '.join(rows)}' "
              f"exec bash {TOP}/tests/vm/attack_v2.sh\n", seconds)
    if done.returncode:
        raise Failure('\n'.join(line for line in done.stdout.splitlines() if not line.startswith('{')))
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]

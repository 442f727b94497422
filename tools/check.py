# SPDX-License-Identifier: Apache-2.0
"""Source checks of './dev check': seconds, no build. Each prints 'file:line: what is wrong'."""
import collections
import concurrent.futures
import importlib.util
import os
import py_compile
import re
import socket
import subprocess
import sys
import tempfile

LINES = [['base'], ['policy', 'api', 'oci'], ['crypto', 'http', 'sandbox'], ['store', 'image', 'network'],
         ['runtime', 'cis', 'cism', 'cir'], ['cli']]
PURE = LINES[1]
# What folders without I/O may not include: the system's files, sockets and processes, and our wrappers of them.
IO_HEADERS = {'fcntl.h', 'sys/socket.h', 'sys/stat.h', 'sys/mount.h', 'sys/epoll.h', 'sys/wait.h', 'dirent.h',
              'netdb.h', 'base/fdio.h', 'base/proc.h', 'base/loop.h', 'base/log.h', 'base/paths.h',
              'base/privilege.h'}
BANNED = ('strcpy strcat sprintf vsprintf gets system popen mktemp tempnam tmpnam atoi atol atoll atof strtok alloca '
          'rand srand scanf wordexp').split()
SPDX = 'SPDX-License-Identifier: Apache-2.0'
README_LINES = 15
FILE_LINES = 600
# Folders of data, whose README is the one above them.
DATA = re.compile(r'^tests/(fuzz/corpus|.*/data|.*/bad)(/|$)|^tools/images/.')

Problem = collections.namedtuple('Problem', 'path line text')


def git_files():
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], check=True, stdout=subprocess.PIPE)
    return [f for f in listed.stdout.decode().splitlines() if os.path.isfile(f)]


def text_of(path):
    with open(path, 'rb') as stored:
        return stored.read().decode('utf-8', 'replace')


def code_of(path):
    """The text of a C file with comments and strings blanked out and its line breaks kept."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text_of(path), flags=re.S)


def numbered(pattern, text):
    for match in re.finditer(pattern, text, re.M):
        yield text.count('\n', 0, match.start()) + 1, match


def c_files(files, kinds='ch', under=''):
    return [f for f in files if f[-2:] in ['.' + k for k in kinds] and f.startswith(under)]


def shell_files(files):
    for path in files:
        if '.' not in os.path.basename(path)[1:] or path.endswith('.sh'):
            with open(path, 'rb') as stored:
                if re.match(rb'#!/(usr/)?bin/(env )?(ba)?sh', stored.readline()):
                    yield path


def python_files(files):
    for path in files:
        with open(path, 'rb') as stored:
            if path.endswith('.py') or re.match(rb'#!/usr/bin/(env )?python3', stored.readline()):
                yield path


def check_layers(files):
    """modules include only those on lower lines; folders without I/O include nothing that does I/O"""
    line_of = {module: i for i, line in enumerate(LINES) for module in line}
    for path in c_files(files, under='src/'):
        module = path.split('/')[1]
        if module not in line_of:
            yield Problem(path, 1, f"folder 'src/{module}' is on no line of the layers")
            continue
        for line, match in numbered(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', text_of(path)):
            name = match.group(2)
            if module in PURE and name in IO_HEADERS:
                yield Problem(path, line, f"'{module}' does no I/O and may not include '{name}'")
            if match.group(1) == '<':
                continue
            other = name.split('/')[0]
            if '/' not in name:
                yield Problem(path, line, f"write the folder in '#include \"{name}\"'")
            elif other != module and line_of.get(other, 99) >= line_of[module]:
                yield Problem(path, line, f"'{module}' may not include '{name}': '{other}' is not below it")


def check_first_include(files):
    """the header of a .c file is its first include"""
    for path in c_files(files, 'c', 'src/'):
        own = path[len('src/'):-2] + '.h'
        if f'src/{own}' in files:
            first = re.search(r'^\s*#\s*include\s+[<"]([^>"]+)', text_of(path), re.M)
            if not first or first.group(1) != own:
                yield Problem(path, 1, f"the first include is not '{own}'")


def compile_header(path):
    command = ['gcc', '-fsyntax-only', '-x', 'c', '-std=gnu11', '-Wall', '-Isrc', '-D_GNU_SOURCE',
               '-DBULKHEAD_CRASHPOINTS=0', '-DBULKHEAD_VERSION=""', '-']
    source = f'#include "{path[len("src/"):]}"\n'.encode()
    done = subprocess.run(command, input=source, stderr=subprocess.PIPE, check=False)
    if not done.returncode:
        return None
    errors = re.findall(r'error: (.*)', done.stderr.decode())
    return Problem(path, 1, 'does not compile alone: ' + (errors or ['?'])[0])


def check_headers(files):
    """each header compiles alone and has a guard named after its path"""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(compile_header, c_files(files, 'h', 'src/')))
    for path in c_files(files, 'h', 'src/'):
        guard = re.sub(r'[^A-Z0-9]', '_', path[len('src/'):].upper())
        if not re.search(rf'^#ifndef {guard}\n#define {guard}$', text_of(path), re.M):
            yield Problem(path, 1, f"has no include guard '{guard}'")


def check_banned(files):
    """functions that cannot be used safely are not used"""
    pattern = rf'(?<![\w.>])({"|".join(BANNED)})\s*\('
    for path in c_files(files, under='src/'):
        for line, match in numbered(pattern, code_of(path)):
            yield Problem(path, line, f"uses '{match.group(1)}'")


def check_names(files):
    """base names of sources are unique in the tree"""
    seen = {}
    for path in c_files(files, 'c', 'src/') + c_files(files, 'h', 'src/'):
        name = os.path.basename(path)[:-2]
        stem = path[:-2]
        if name != 'main' and seen.setdefault(name, stem) != stem:
            yield Problem(path, 1, f"base name '{name}' is also that of '{seen[name]}'")


def check_spdx(files):
    """sources and scripts carry the SPDX line"""
    for path in c_files(files) + list(python_files(files)) + list(shell_files(files)):
        if SPDX not in '\n'.join(text_of(path).splitlines()[:3]):
            yield Problem(path, 1, f"has no line '{SPDX}'")


def check_readmes(files):
    """each folder has a README.md of at most 15 lines"""
    folders = {os.path.dirname(f) for f in files} - {''}
    for folder in sorted(folders):
        readme = folder + '/README.md'
        if DATA.match(folder) or folder == '.ci':
            continue
        if readme not in files:
            yield Problem(folder, 1, 'has no README.md')
        elif len(text_of(readme).splitlines()) > README_LINES:
            yield Problem(readme, README_LINES + 1, f'is longer than {README_LINES} lines')


def check_format(files):
    """C sources are as clang-format leaves them ('./dev format')"""
    done = subprocess.run(['clang-format', '--dry-run', *c_files(files)], stderr=subprocess.PIPE, check=False)
    lines = {}
    for match in re.finditer(r'^([^:\n]+):(\d+):\d+: warning:', done.stderr.decode(), re.M):
        lines.setdefault(match.group(1), int(match.group(2)))
    for path, line in lines.items():
        yield Problem(path, line, "is not formatted: './dev format'")


def check_shell(files):
    """shellcheck"""
    scripts = list(shell_files(files))
    done = subprocess.run(['shellcheck', '-f', 'gcc', *scripts], stdout=subprocess.PIPE, check=False)
    for line in done.stdout.decode().splitlines():
        path, number, rest = line.split(':', 2)
        yield Problem(path, int(number), rest.split(' ', 1)[1])


def check_python(files):
    """Python compiles and passes flake8"""
    scripts = list(python_files(files))
    for path in scripts:
        try:
            with tempfile.NamedTemporaryFile() as unused:
                py_compile.compile(path, cfile=unused.name, doraise=True)
        except py_compile.PyCompileError as error:
            yield Problem(path, 1, str(error.msg).splitlines()[0])
    flake8 = [sys.executable, '-m', 'flake8', '--max-line-length=120', '--extend-ignore=W503,E129']
    done = subprocess.run(flake8 + scripts, stdout=subprocess.PIPE, check=False)
    for line in done.stdout.decode().splitlines():
        path, number, rest = line.split(':', 2)
        yield Problem(path, int(number), rest.split(':', 1)[1].strip())


def machine_words():
    """What would name the machine this runs on: its folders, its name, the hosts of its proxies and package mirrors."""
    standard = {'', 'usr', 'tmp', 'var', 'home', 'root', 'opt', 'srv', 'mnt', 'build', 'src', 'etc', 'run'}
    top = os.getcwd().split('/')
    words = {os.getcwd()}
    if top[1] not in standard:
        words.add(f'/{top[1]}/')
    if top[1] == 'home' and len(top) > 2:
        words.add(f'/home/{top[2]}/')
    host = socket.gethostname()
    if len(host) > 4 and host not in ('localhost', 'debian'):
        words.add(host)
    for name, value in os.environ.items():
        if re.search(r'proxy|index_url|registry|mirror', name, re.I):
            words.update(h for h in re.findall(r'://(?:[^/@]*@)?([\w.-]+)', value) if not public_host(h))
    return words


def public_host(host):
    return re.search(r'(^|\.)(debian\.org|pypi\.org|github\.com|docker\.io|localhost)$|^127\.', host)


def check_leaks(files):
    """no text names a path or host of the machine it was written on"""
    words = machine_words()
    pattern = '|'.join(rf'(?<![\w.]){re.escape(w)}' for w in sorted(words))
    for path in files:
        for line, match in numbered(pattern, text_of(path)):
            yield Problem(path, line, f"names this machine: '{match.group(0)}'")


def check_exit_codes(files):
    """docs/exit-codes.md says what the table of src/base/err.c does"""
    page = text_of('docs/exit-codes.md')
    for line, match in numbered(r'^\t\{[-\w]+, (\d+), (\d+), "(\w+)"\},', text_of('src/base/err.c')):
        http, code, reason = match.groups()
        row = re.search(rf'^\| {code} \|.*', page, re.M)
        if not row or f'{http} {reason}' not in row.group(0):
            yield Problem('src/base/err.c', line, f"exit code {code} is not '{http} {reason}' in docs/exit-codes.md")


def check_named_files(files):
    """what a document names in the tree is there"""
    folders = {part for path in files for part in (path.rsplit('/', n)[0] for n in range(1, path.count('/') + 1))}
    for path in [f for f in files if f.endswith('.md')]:
        for line, match in numbered(r'`((?:src|tests|docs|tools|bench|examples)/[\w./-]+)`', text_of(path)):
            name = match.group(1).rstrip('/')
            if name not in folders and name not in files:
                yield Problem(path, line, f"names '{name}', which is not there")


def load(path):
    """A Python source that is no package's as a module."""
    found = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def check_benches(_):
    """rows of the runtime's benchmark that './dev bench' does not show"""
    runner, bench = load('tools/run_bench.py'), load('bench/runtime.py')
    times = {'ours': [1.0, 2.0, 3.0], 'crun': [4.0, 5.0, 6.0], 'runc': [7.0, 8.0, 9.0]}
    results = [bench.row('mounts', {'ours': 1, 'crun': 2}, 'mounts'), bench.times_row('delete', times)]
    for wrong in filter(None, map(runner.wrong_fields, results)):
        yield Problem('bench/runtime.py', 1, wrong)
    shown = [line.split() for line in runner.table(results)]
    if shown[0] != list(runner.FIELDS + runner.MORE) or shown[2][:3] != ['delete', '2', 'ms']:
        yield Problem('tools/run_bench.py', 1, f'a table is {shown}')


def report_unused(files):
    """exported functions that no other source uses"""
    uses = collections.Counter()
    for path in c_files(files, 'c', 'src/'):
        for name in set(re.findall(r'\b[a-z]\w+\b', code_of(path))):
            uses[name] += 1
    for path in c_files(files, 'h', 'src/'):
        text = code_of(path)
        for line, match in numbered(r'^(?!static|typedef|#|\s)[\w\s*]*?\b([a-z]\w+)\(', text):
            if uses[match.group(1)] < 2 and not match.group(1).isupper():
                yield Problem(path, line, f"'{match.group(1)}' is used by no other source")


def report_long(files):
    """sources of more than 600 lines"""
    for path in c_files(files, 'c', 'src/'):
        count = len(text_of(path).splitlines())
        if count > FILE_LINES:
            yield Problem(path, FILE_LINES, f'has {count} lines')


CHECKS = [check_layers, check_first_include, check_headers, check_banned, check_names, check_spdx, check_shell,
          check_python, check_leaks, check_readmes, check_exit_codes, check_named_files, check_benches, check_format]
REPORTS = [report_unused, report_long]


def show(functions, files, verbose):
    found = 0
    for function in functions:
        problems = list(function(files))
        found += len(problems)
        for problem in problems if verbose else []:
            print(f'{problem.path}:{problem.line}: {problem.text}')
        if problems and not verbose:
            print(f'{len(problems)} times: {function.__doc__}')
    return found


def main():
    if sys.argv[1:] in (['--help'], ['--list']):
        print('Checks that fail:')
        print('\n'.join(f'  {f.__doc__}' for f in CHECKS))
        print("Reports ('./dev check --reports' shows them in full):")
        print('\n'.join(f'  {f.__doc__}' for f in REPORTS))
        return 0
    files = git_files()
    show(REPORTS, files, '--reports' in sys.argv)
    found = show(CHECKS, files, True)
    print(f'{found} problems in {len(files)} files')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""GCC's nested-function tests, with plain gcc and through the plugin: both must do the same.

The tests come from the package gcc-12-source (apt-get install gcc-12-source) and are unpacked into a
temporary directory.  For each test and level the same must hold of both builds: does it compile, which
warnings and errors are given, how does it end and what does it print.  A build through the plugin must not
crash the compiler and must not ask for an executable stack.

A failure prints the commands that show it again.  Last line: "N passed, N failed"; status 1 on failures.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE_PACKAGE = "/usr/src/gcc-12/gcc-12.*.tar.xz"
TREES = ["gcc/testsuite", "libgomp/testsuite"]
COMPILE_SECONDS = 120  # the slowest takes 3 s on an idle machine
RUN_SECONDS = 60
TIMED_OUT = 124
PT_GNU_STACK = 0x6474E551
PF_X = 1
# What the .exp files add: GCC's test driver knows these by directory.
OPTIONS_BY_DIRECTORY = [("/asan/", "-fsanitize=address"), ("/gomp/", "-fopenmp"),
                        ("/libgomp.c/", "-fopenmp"), ("/goacc/", "-fopenacc"),
                        ("/hwasan/", "-fsanitize=hwaddress")]


# Where an object cannot behave as a stack variable does, by (test, mode): only compilation is compared.
DIFFERS_BY_DESIGN = {
    ("gcc/testsuite/gcc.dg/asan/pr78541.c", "all"):
        "expects a report of use after scope: an object lives as long as its function",
    ("gcc/testsuite/gcc.dg/ipa/modref-3.c", "all"):
        "links only if the optimizer proves a captured local unchanged: an object is memory others may write",
}


class Test:
    def __init__(self, tree, kind, path, mode):
        self.kind = "compile" if (path, mode) in DIFFERS_BY_DESIGN else kind
        self.path = path
        self.file = os.path.join(tree, path)
        with open(self.file, encoding="latin-1") as source:
            text = source.read()
        self.options = [option for part, option in OPTIONS_BY_DIRECTORY if part in path]
        for options, selector in re.findall(
                r'dg-(?:additional-)?options\s+"([^"]*)"\s*(\{[^}]*\})?', text):
            if not selector or "86" in selector:
                self.options += [o for o in options.split() if not re.match(r"-O|-fdump|-static$", o)]
        self.sources = [self.file]
        for names in re.findall(r'dg-additional-sources\s+"([^"]*)"', text):
            self.sources += [os.path.join(os.path.dirname(self.file), n) for n in names.split()]


class Build:
    """Outcome of compiling, and for `run` tests of running, one test in one way."""

    def __init__(self, compiler, test, level, directory, before, after):
        output = os.path.join(directory, "out")
        link = test.kind != "compile"
        sources = test.sources if link else [test.file]
        self.command = (compiler + before + level.split() + test.options
                        + ([] if link else ["-c"]) + sources + ["-o", output]
                        + (["-lm"] + after if link else []))
        done = run(self.command, directory, COMPILE_SECONDS)
        self.compiled = done.status == 0 and os.path.exists(output)
        self.crashed = "internal compiler error" in done.errors or done.status < 0
        self.diagnostics = sorted(diagnostics(done.errors))
        self.errors = done.errors
        self.executable_stack = self.compiled and link and has_executable_stack(output)
        self.result = None
        if self.compiled and test.kind == "run":
            ran = run([output], directory, RUN_SECONDS)
            self.result = (ran.status, ran.output)


class run:
    def __init__(self, command, directory, seconds):
        environment = dict(os.environ, LC_ALL="C", TMPDIR=directory)
        try:
            done = subprocess.run(command, cwd=directory, env=environment, timeout=seconds,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=False)
            self.status, self.output = done.returncode, done.stdout
            self.errors = done.stderr.decode("latin-1")
        except subprocess.TimeoutExpired:
            self.status, self.output, self.errors = TIMED_OUT, b"", "timed out"


def diagnostics(errors):
    """Warnings and errors without the plugin's own ("umbel:"), and without -Wtrampolines: we make none."""
    for line in errors.splitlines():
        found = re.match(r".*?:(\d+):\d+: ((?:warning|error): .*)", line)
        if found and "umbel:" not in line and "[-Wtrampolines]" not in line:
            yield found.group(1) + ": " + found.group(2)


def has_executable_stack(path):
    """GNU_STACK of an ELF file; a file without that header counts as executable."""
    with open(path, "rb") as file:
        data = file.read()
    if data[4] != 2:
        return False  # 32-bit: compiled only
    table, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, flags = struct.unpack_from("<II", data, table + i * size)
        if kind == PT_GNU_STACK:
            return bool(flags & PF_X)
    return True


def compare(test, plain, ours):
    """What is wrong with our build, or None."""
    if ours.crashed and not plain.crashed:
        return "the compiler crashed"
    if plain.compiled != ours.compiled:
        return "plain gcc compiles it, we don't" if plain.compiled else "plain gcc rejects it, we don't"
    if plain.diagnostics != ours.diagnostics:
        missing = [d for d in plain.diagnostics if d not in ours.diagnostics]
        added = [d for d in ours.diagnostics if d not in plain.diagnostics]
        return "diagnostics differ: missing %s, added %s" % (missing[:2], added[:2])
    if ours.executable_stack:
        return "executable stack"
    if plain.result != ours.result:
        return "ran differently: plain %r, ours %r" % (plain.result, ours.result)
    return None


def one(arguments, test, level):
    ours_before = ["-fplugin=" + arguments.plugin, "-include",
                   os.path.join(arguments.include, "umbel_abi.h"), "-I" + arguments.include]
    if arguments.mode == "all":
        ours_before.append("-fplugin-arg-%s-all" % os.path.splitext(os.path.basename(arguments.plugin))[0])
    ours_after = [os.path.join(arguments.lib, "umbel_crt.o"), "-L" + arguments.lib, "-lumbel",
                  "-Wl,-rpath," + arguments.lib]
    with tempfile.TemporaryDirectory(prefix="umbel") as plain_directory, \
            tempfile.TemporaryDirectory(prefix="umbel") as ours_directory:
        plain = Build([arguments.gcc], test, level, plain_directory, [], [])
        ours = Build([arguments.gcc], test, level, ours_directory, ours_before, ours_after)
        return plain, ours, compare(test, plain, ours)


def unpack(directory):
    archives = glob.glob(SOURCE_PACKAGE)
    if not archives:
        sys.exit("no %s: apt-get install gcc-12-source" % SOURCE_PACKAGE)
    members = ["*/" + tree + "/*" for tree in TREES]
    subprocess.run(["tar", "-xf", archives[0], "-C", directory, "--strip-components=1", "--wildcards"]
                   + members, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugin", required=True, help="the plugin's shared object, named NAME.so")
    parser.add_argument("--include", required=True, help="directory of umbel_abi.h")
    parser.add_argument("--lib", required=True, help="directory of libumbel.so and umbel_crt.o")
    parser.add_argument("--gcc", default="gcc-12")
    parser.add_argument("--levels", default="-O0 -O2",
                        help='separated by blanks; join options of one level with "+": "-O0 -O3+-g"')
    parser.add_argument("--mode", choices=["default", "all"], default="default")
    parser.add_argument("--subset", choices=["quarter", "full"], default="full")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tree", help="an unpacked gcc 12 source tree (default: unpack the package)")
    parser.add_argument("--only", help="tests whose path contains this")
    arguments = parser.parse_args()
    for key in ("plugin", "include", "lib"):
        setattr(arguments, key, os.path.abspath(getattr(arguments, key)))
    with tempfile.TemporaryDirectory(prefix="umbel-gcc-tests") as unpacked:
        if not arguments.tree:
            unpack(unpacked)
        sys.exit(conform(arguments, arguments.tree or unpacked))


def conform(arguments, tree):
    with open(os.path.join(HERE, "gcc-nested.list"), encoding="ascii") as lines:
        entries = [line.split() for line in lines if not line.startswith("#")]
    entries.sort(key=lambda entry: entry[1])
    if arguments.subset == "quarter":
        entries = entries[::4]
    if arguments.only:
        entries = [entry for entry in entries if arguments.only in entry[1]]
    tests = [Test(tree, kind, path, arguments.mode) for kind, path in entries]
    levels = [level.replace("+", " ") for level in arguments.levels.split()]
    work = [(test, level) for level in levels for test in tests]
    counts = {}
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        pending = {pool.submit(one, arguments, test, level): (test, level) for test, level in work}
        for number, future in enumerate(concurrent.futures.as_completed(pending), 1):
            test, level = pending[future]
            plain, ours, wrong = future.result()
            if wrong:
                failed += 1
                print("FAIL %s %s: %s\n  plain: %s\n  ours:  %s" % (
                    test.path, level, wrong, shlex.join(plain.command), shlex.join(ours.command)))
                for line in ours.errors.splitlines()[:4]:
                    print("  | " + line)
            else:
                what = ("ran" if plain.result and plain.result[0] == 0 else "ran and failed"
                        if plain.result else "compiled" if plain.compiled else "rejected")
                counts[what] = counts.get(what, 0) + 1
            if number % 50 == 0:
                print("%d of %d" % (number, len(work)), flush=True)
    passed = len(work) - failed
    print("the same with both: " + ", ".join("%s %d" % item for item in sorted(counts.items())))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not work else 0


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Feeds the decoders what nobody would send. Called by `./run fuzz`, which builds the targets first.

  fuzz.py --minutes N            all targets, N minutes in all, one process at a time
  fuzz.py --target NAME          only this one; may be given again
  fuzz.py --target NAME FILE...  run these inputs once: what a finding said, again
  fuzz.py --list                 the targets, one a line

The corpus grows in build-fuzz/corpus/NAME, what was found lies in build-fuzz/findings/NAME.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_MINUTES = 10
JSON_TARGETS = {"canonical", "metadata", "refresh", "assignment", "package", "wire", "container"}
# Kilobytes of input that are worth trying, and MiB that one allocation and the process may take.
LIMITS = {"delta_apply": (64, 4, 768), "delta_make": (16, 64, 768)}
DEFAULT_LIMITS = (32, 16, 768)  # of the process: libFuzzer's corpus and the sanitizer's quarantine as well
SECONDS_AN_INPUT = 60  # longer is a finding; of the clock, so that a busy machine is none


def arguments():
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="over all targets together (%(default)s)")
    parser.add_argument("--target", action="append", default=[], help="only this target")
    parser.add_argument("--list", action="store_true", help="print the targets")
    parser.add_argument("--build", default="build-fuzz", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", help="inputs to run once through the one --target")
    return parser.parse_args()


def targets():
    with open(os.path.join(HERE, "CMakeLists.txt"), encoding="utf-8") as file:
        return re.findall(r"^drover_fuzz\((\w+)", file.read(), re.MULTILINE)


def read_input(path):
    """A file as it is; of a .hex file what its digits say."""
    with open(path, "rb") as file:
        data = file.read()
    return bytes.fromhex(data.decode("ascii")) if path.endswith(".hex") else data


def seed(program, name, corpus):
    """The corpus begins with the target's own seeds and the inputs that are kept in the tree."""
    os.makedirs(corpus, exist_ok=True)
    subprocess.run([program, f"--write-seeds={corpus}"], check=True)
    kept = os.path.join(HERE, "corpus", name)
    for file in sorted(os.listdir(kept)) if os.path.isdir(kept) else []:
        with open(os.path.join(corpus, "kept-" + file), "wb") as out:
            out.write(read_input(os.path.join(kept, file)))


def environment():
    return dict(os.environ, ASAN_OPTIONS="abort_on_error=0:allocator_may_return_null=0:detect_leaks=1:quarantine_size_mb=32",
                UBSAN_OPTIONS="print_stacktrace=1")


def replay(program, files):
    failed = 0
    for path in files:
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(read_input(path))
            copy.flush()
            result = subprocess.run([program, f"-timeout={SECONDS_AN_INPUT}", copy.name], env=environment())
        print(f"{path}: {'ok' if result.returncode == 0 else 'FAULT'}")
        failed += result.returncode != 0
    return failed


class Outcome:
    def __init__(self, name, output, code, seconds, findings):
        self.name, self.code, self.seconds, self.findings = name, code, seconds, findings
        executions = re.search(r"stat::number_of_executed_units:\s+(\d+)", output)
        coverage = re.findall(r"\bcov: (\d+)", output)
        self.executions = int(executions.group(1)) if executions else 0
        self.coverage = int(coverage[-1]) if coverage else 0


def fuzz(build, name, seconds):
    program = os.path.join(build, "fuzz", "fuzz_" + name)
    corpus, findings = (os.path.join(build, folder, name) for folder in ("corpus", "findings"))
    seed(program, name, corpus)
    os.makedirs(findings, exist_ok=True)
    before = set(os.listdir(findings))
    kilobytes, one_allocation, memory = LIMITS.get(name, DEFAULT_LIMITS)
    command = [program, corpus, f"-max_total_time={max(1, round(seconds))}", f"-artifact_prefix={findings}/",
               f"-max_len={kilobytes * 1024}", f"-malloc_limit_mb={one_allocation}", f"-rss_limit_mb={memory}",
               f"-timeout={SECONDS_AN_INPUT}", "-print_final_stats=1", "-use_value_profile=1", "-reload=0"]
    if name in JSON_TARGETS:
        command.append("-dict=" + os.path.join(HERE, "json.dict"))
    log = os.path.join(build, f"{name}.log")
    begin = time.monotonic()
    with open(log, "wb") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=environment()).returncode
    with open(log, encoding="utf-8", errors="replace") as file:
        output = file.read()
    # libFuzzer also keeps what took ten seconds of the clock: on a busy machine that says nothing.
    found = sorted(file for file in set(os.listdir(findings)) - before if not file.startswith("slow-unit"))
    return Outcome(name, output, code, time.monotonic() - begin, found)


def report(outcomes, build):
    print(f"\n{'target':12}  {'executions':>11}  {'a second':>8}  {'edges':>6}  findings")
    for one in outcomes:
        print(f"{one.name:12}  {one.executions:11}  {one.executions / max(one.seconds, 1):8.0f}  {one.coverage:6}  "
              f"{len(one.findings) or '-'}")
    for one in outcomes:
        for file in one.findings:
            print(f"\n{one.name}: {build}/findings/{one.name}/{file}\n  what it said: {build}/{one.name}.log"
                  f"\n  again: ./run fuzz --target {one.name} {build}/findings/{one.name}/{file}"
                  f"\n  to keep it: copy it to tests/fuzz/corpus/{one.name}/ (binary ones as .hex), where ./run test runs it")
        if one.code != 0 and not one.findings:
            print(f"\n{one.name} ended with {one.code}: {build}/{one.name}.log")
    return any(one.code != 0 or one.findings for one in outcomes)


def main():
    given = arguments()
    known = targets()
    if given.list:
        print("\n".join(known))
        return 0
    for name in given.target:
        if name not in known:
            sys.exit(f"fuzz: no target {name}; there are: {' '.join(known)}")
    if given.files:
        if len(given.target) != 1:
            sys.exit("fuzz: inputs are run through one target: --target NAME FILE...")
        return 1 if replay(os.path.join(given.build, "fuzz", "fuzz_" + given.target[0]), given.files) else 0
    names = given.target or known
    outcomes = []
    for name in names:
        print(f"{name} for {given.minutes * 60 / len(names):.0f} s", file=sys.stderr, flush=True)
        outcomes.append(fuzz(given.build, name, given.minutes * 60 / len(names)))
    return 1 if report(outcomes, given.build) else 0


if __name__ == "__main__":
    sys.exit(main())

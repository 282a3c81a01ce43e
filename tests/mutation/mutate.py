#!/usr/bin/env python3
"""Takes one rule after the other out of what must not believe its input, and looks whether a test notices.

  mutate.py                 every mutation, in scratch copies under build/mutation
  mutate.py --part NAME     those of one part: metadata (mutations.py), delta (delta_mutations.py)
  mutate.py --rule TEXT     only the rules whose sentence or file's name holds the text
  mutate.py --check         builds nothing: each mutation's text stands exactly once in its file (a tidy test)

Prints a table, and fails when a rule can be taken out without any test failing. Called by `./run mutate`.
"""

import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

from delta_mutations import DELTA_MUTATIONS  # noqa: E402
from mutations import MUTATIONS  # noqa: E402

# How the sources are compiled: the codec's tests take several times as long without the optimiser.
Part = namedtuple("Part", "mutations flags")
PARTS = {"metadata": Part(MUTATIONS, "-O0 -g0"), "delta": Part(DELTA_MUTATIONS, "-O1 -g0")}

# What a test program starts, and so must be built beside it.
STARTS = {"integration_patch": ["drover-patch"]}
TEST_SECONDS = 120  # a mutation may make an endless loop: that is noticed, too
MAX_COPIES = 4  # of the tree at once: each is built on its own


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def check(mutations):
    """What is wrong with the list itself, as sentences."""
    seen = set()
    for mutation in mutations:
        text = read(os.path.join(TOP, mutation.file))
        times = text.count(mutation.text)
        if times != 1:
            yield f"{mutation.file}: the text of \"{mutation.rule}\" stands there {times} times: {mutation.text!r}"
        if mutation.text == mutation.replacement:
            yield f"\"{mutation.rule}\" changes nothing"
        if mutation.rule in seen:
            yield f"two mutations are called \"{mutation.rule}\""
        seen.add(mutation.rule)


class Scratch:
    """A copy of the tree with a build folder of its own; files keep their times, so that builds are small."""

    def __init__(self, folder, flags):
        self.tree, self.build = os.path.join(folder, "tree"), os.path.join(folder, "build")
        names = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        wanted = {name for name in names if os.path.isfile(os.path.join(TOP, name))}
        for folder_path, _, files in os.walk(self.tree):
            for file in files:
                path = os.path.join(folder_path, file)
                if os.path.relpath(path, self.tree) not in wanted:
                    os.remove(path)
        for name in sorted(wanted):
            self._copy(name)
        subprocess.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-Wno-dev", "-DCMAKE_BUILD_TYPE=None",
                        f"-DCMAKE_CXX_FLAGS={flags}"], check=True, stdout=subprocess.DEVNULL)

    def _copy(self, name):
        source, copy = os.path.join(TOP, name), os.path.join(self.tree, name)
        if os.path.exists(copy) and not os.path.islink(source) and read_bytes(copy) == read_bytes(source):
            return
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(source, copy, follow_symlinks=False)

    def make(self, programs, jobs):
        targets = sorted(programs) + [more for program in programs for more in STARTS.get(program, [])]
        return subprocess.run(["ninja", "-C", self.build, "-j", str(jobs), *targets], capture_output=True, text=True)

    def test(self, program):
        """None when every test passes, otherwise what noticed."""
        command = [os.path.join(self.build, "tests", program), "--gtest_fail_fast", "--gtest_brief=1"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TEST_SECONDS)
        except subprocess.TimeoutExpired:
            return "a test that does not end"
        if result.returncode == 0:
            return None
        failed = re.search(r"^\[  FAILED  \] ([\w./]+)", result.stdout, re.MULTILINE)
        return failed.group(1) if failed else f"a test program that ended with {result.returncode}"

    def try_out(self, mutation, jobs):
        """(what noticed or None, what went wrong or None)"""
        path = os.path.join(self.tree, mutation.file)
        text = read(path)
        write(path, text.replace(mutation.text, mutation.replacement))
        try:
            made = self.make([mutation.program], jobs)
            if made.returncode != 0:
                return None, "does not compile:\n" + "\n".join(re.findall(r".*error.*", made.stdout)[:5])
            return self.test(mutation.program), None
        finally:
            write(path, text)


def prepare(mutations, folder, flags, jobs):
    """A copy that is built and whose tests pass."""
    programs = {mutation.program for mutation in mutations}
    scratch = Scratch(folder, flags)
    made = scratch.make(programs, jobs)
    if made.returncode != 0:
        sys.exit("mutate: the tree does not build as it is:\n" + made.stdout[-3000:])
    return scratch


def run(name, mutations, folder, jobs):
    begun = time.monotonic()
    copies = max(1, min(jobs, MAX_COPIES, len(mutations)))
    free = queue.SimpleQueue()
    for i in range(copies):
        scratch = prepare(mutations, os.path.join(folder, f"{name}-{i + 1}"), PARTS[name].flags, jobs)
        free.put(scratch)
    for program in sorted({mutation.program for mutation in mutations}):
        noticed = scratch.test(program)
        if noticed is not None:
            sys.exit(f"mutate: a test of {program} fails without any mutation: {noticed}")

    def one(mutation):
        mine = free.get()
        try:
            return mine.try_out(mutation, max(1, jobs // copies))
        finally:
            free.put(mine)

    width = max(len(mutation.rule) for mutation in mutations)
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(copies) as pool:
        for mutation, (by, trouble) in zip(mutations, pool.map(one, mutations)):
            survivors += by is None
            print(f"{mutation.rule:{width}}  {by or trouble or 'NOBODY NOTICED'}", flush=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"\n{name}: {len(mutations)} rules taken out one by one, {survivors} of them unnoticed ({minutes:.1f} minutes)\n")
    return survivors


def main():
    parser = argparse.ArgumentParser(prog="./run mutate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), help="only this part")
    parser.add_argument("--rule", default="", help="only rules whose sentence or file holds this text")
    parser.add_argument("--check", action="store_true", help="only check that the lists fit the sources")
    parser.add_argument("--scratch", default=os.path.join(TOP, "build", "mutation"), help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    wrong = list(check([mutation for part in PARTS.values() for mutation in part.mutations]))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong or given.check:
        return 1 if wrong else 0
    survivors, tried = 0, 0
    for name, part in PARTS.items():
        chosen = [mutation for mutation in part.mutations if given.rule in mutation.rule or given.rule in mutation.file]
        if not chosen or given.part not in (None, name):
            continue
        tried += len(chosen)
        survivors += run(name, chosen, given.scratch, given.jobs)
    if not tried:
        sys.exit(f"mutate: no rule and no file holds \"{given.rule}\"")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

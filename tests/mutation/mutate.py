#!/usr/bin/env python3
"""Takes one rule after the other out of the metadata client and looks whether a unit test notices.

  mutate.py                 every mutation of mutations.py, in a scratch copy under build/mutation
  mutate.py --rule TEXT     only the rules whose sentence holds the text
  mutate.py --check         builds nothing: each mutation's text stands exactly once in its file (a tidy test)

Prints a table, and fails when a rule can be taken out without any test failing. Called by `./run mutate`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

from mutations import MUTATIONS  # noqa: E402

TARGET = "tuf_test"
TEST_SECONDS = 120  # a mutation may make an endless loop: that is noticed, too


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


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

    def __init__(self, folder):
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
        flags = "-O0 -g0"
        subprocess.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-Wno-dev", "-DCMAKE_BUILD_TYPE=None",
                        f"-DCMAKE_CXX_FLAGS={flags}"], check=True, stdout=subprocess.DEVNULL)

    def _copy(self, name):
        source, copy = os.path.join(TOP, name), os.path.join(self.tree, name)
        if os.path.exists(copy) and not os.path.islink(source) and read_bytes(copy) == read_bytes(source):
            return
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(source, copy, follow_symlinks=False)

    def make(self, jobs):
        return subprocess.run(["ninja", "-C", self.build, "-j", str(jobs), TARGET], capture_output=True, text=True)

    def test(self):
        """None when every test passes, otherwise what noticed."""
        command = [os.path.join(self.build, "tests", TARGET), "--gtest_fail_fast", "--gtest_brief=1"]
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
            made = self.make(jobs)
            if made.returncode != 0:
                return None, "does not compile:\n" + "\n".join(re.findall(r".*error.*", made.stdout)[:5])
            return self.test(), None
        finally:
            write(path, text)


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def run(mutations, folder, jobs):
    scratch = Scratch(folder)
    made = scratch.make(jobs)
    if made.returncode != 0:
        sys.exit("mutate: the tree does not build as it is:\n" + made.stdout[-3000:])
    noticed = scratch.test()
    if noticed is not None:
        sys.exit(f"mutate: a test fails without any mutation: {noticed}")
    width = max(len(mutation.rule) for mutation in mutations)
    survivors = 0
    for mutation in mutations:
        by, trouble = scratch.try_out(mutation, jobs)
        survivors += by is None
        print(f"{mutation.rule:{width}}  {by or trouble or 'NOBODY NOTICED'}", flush=True)
    print(f"\n{len(mutations)} rules taken out one by one, {survivors} of them unnoticed")
    return survivors


def main():
    parser = argparse.ArgumentParser(prog="./run mutate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", default="", help="only rules whose sentence holds this text")
    parser.add_argument("--check", action="store_true", help="only check that the list fits the sources")
    parser.add_argument("--scratch", default=os.path.join(TOP, "build", "mutation"), help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    wrong = list(check(MUTATIONS))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong or given.check:
        return 1 if wrong else 0
    chosen = [mutation for mutation in MUTATIONS if given.rule in mutation.rule]
    if not chosen:
        sys.exit(f"mutate: no rule holds \"{given.rule}\"")
    return 1 if run(chosen, given.scratch, given.jobs) else 0


if __name__ == "__main__":
    sys.exit(main())

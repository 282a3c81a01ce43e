"""`./run lint`: clang-format, then clang-tidy, then clang's view of every file, which sees a coroutine whose result is
dropped (`co_await f();` with a [[nodiscard]] result), as g++ does not.

By default the files that differ from the last commit or from the main branch; --all takes every file.
"""

import argparse
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

from project import CPP, Project

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Unused results are what this pass is for. The rest is g++'s business, or clang 14 disagreeing with g++'s library.
CLANG_FLAGS = ["-fsyntax-only", "-Wno-everything", "-Wunused-result", "-Werror=unused-result"]
NOT_CLANG = ("-fuse-ld=", "-fno-sanitize-recover", "-Winvalid-pch", "-W")


def changed_files():
    """Relative paths that differ from the last commit, with the last commit itself; None without git."""
    out = []
    for command in (["git", "diff", "--name-only", "HEAD"], ["git", "diff", "--name-only", "HEAD~1", "HEAD"],
                    ["git", "ls-files", "--others", "--exclude-standard"]):
        try:
            done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        out += done.stdout.split()
    return set(out)


def compile_commands(build):
    """source path -> (folder, arguments)"""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    return {os.path.relpath(e["file"], TOP): (e["directory"], shlex.split(e["command"])) for e in entries}


def clang_arguments(arguments):
    """g++'s arguments as clang takes them: without launcher, output and precompiled headers."""
    start = next(i for i, a in enumerate(arguments) if os.path.basename(a) in ("g++", "c++", "clang++", "g++-12"))
    kept, rest = [], iter(arguments[start + 1 :])
    for argument in rest:
        if argument in ("-o", "-MF", "-MT"):
            next(rest)
        elif argument == "-include":
            name = next(rest)
            if "cmake_pch" not in name:
                kept += [argument, name]
        elif argument in ("-c", "-MD") or argument.startswith(NOT_CLANG):
            continue
        else:
            kept.append(argument)
    return kept


def run(command, folder=TOP):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def format_one(path):
    return run(["clang-format", "--dry-run", "--Werror", path])


def discarded_one(entry):
    folder, arguments = entry
    return run(["clang++-14", *clang_arguments(arguments), *CLANG_FLAGS], folder)


def tidy_one(path, build):
    return run(["clang-tidy", "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option", path])


def each(title, work, items, jobs):
    """Runs `work` over the items and prints what fails. Returns the number of failures."""
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for item, (code, text) in zip(items, pool.map(work, items)):
            if code:
                bad += 1
                print(f"--- {title}: {item if isinstance(item, str) else ''}\n{text.rstrip()}")
    print(f"{title}: {len(items)} files, {bad} with faults", flush=True)
    return bad


def self_test(commands):
    """The pass that looks for dropped results must find one, with the very flags that it uses."""
    path, (folder, arguments) = next(iter(commands.items()))
    example = """
#include <coroutine>
struct [[nodiscard]] R {};
struct A { bool await_ready(); void await_suspend(std::coroutine_handle<>); R await_resume(); };
struct T { struct promise_type { T get_return_object(); std::suspend_never initial_suspend();
  std::suspend_never final_suspend() noexcept; void return_void(); void unhandled_exception(); }; };
T f() { co_await A(); }
"""
    kept = [a for a in clang_arguments(arguments) if not a.endswith((".cpp", ".cc"))]
    done = subprocess.run(["clang++-14", *kept, *CLANG_FLAGS, "-xc++", "-"], cwd=folder, input=example, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return "unused-result" in done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--all", action="store_true", help="every file, not only the changed ones")
    parser.add_argument("--only", choices=["format", "tidy", "discarded"])
    options = parser.parse_args()
    os.chdir(TOP)

    files = [path for path in Project(TOP).files() if path.endswith(CPP)]
    chosen = None if options.all else changed_files()
    if chosen is not None:
        files = [path for path in files if path in chosen]
    commands = compile_commands(options.build)
    sources = [path for path in files if path in commands]
    if not self_test(commands):
        print("clang no longer reports dropped results of coroutines: this pass is blind")
        return 1

    bad = 0
    if options.only in (None, "format"):
        bad += each("clang-format", format_one, files, options.jobs)
    if options.only in (None, "discarded"):
        by_path = {path: commands[path] for path in sources}
        bad += each("discarded results", lambda path: discarded_one(by_path[path]), sources, options.jobs)
    if options.only in (None, "tidy"):
        bad += each("clang-tidy", lambda path: tidy_one(path, options.build), sources, options.jobs)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

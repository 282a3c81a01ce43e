#!/usr/bin/env python3
"""Lets the public TUF conformance suite judge the metadata client. Called by `./run conformance SUITE_FOLDER`.

The suite is used as it is checked out. Its Python requirements come from the package index, by the names in its
pyproject.toml, into a virtual environment under build/. Every test must pass: one that fails, is skipped or is expected
to fail ends this with 1. What follows the folder goes to pytest (-k name, -x, -v).
"""

import json
import os
import subprocess
import sys
import tomllib

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLIENT = os.path.join(TOP, "build", "tests", "tuf-client")
VENV = os.path.join(TOP, "build", "conformance-venv")
REPORT = os.path.join(TOP, "build", "conformance.json")
WORK = os.path.join(TOP, "build", "conformance")


def requirements(suite):
    with open(os.path.join(suite, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)["project"]["dependencies"]


def environment(wanted):
    """The Python of a virtual environment that has what is wanted; made anew when something else is."""
    python, marker = os.path.join(VENV, "bin", "python"), os.path.join(VENV, "requirements.json")
    try:
        with open(marker, encoding="utf-8") as file:
            if json.load(file) == wanted:
                return python
    except (OSError, ValueError):
        pass
    print("installing " + " ".join(wanted), file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True)
    with open(marker, "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    return python


def judge(suite, python, options):
    """What the suite said: {"passed": 113, ...}."""
    if os.path.exists(REPORT):
        os.remove(REPORT)
    os.makedirs(WORK, exist_ok=True)
    env = dict(os.environ, PYTHONPATH=suite, PYTHONDONTWRITEBYTECODE="1")
    # An empty configuration: only what the suite itself says counts, and nothing is written into it.
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--json-report", "--json-report-omit=collectors",
               f"--json-report-file={REPORT}", "--entrypoint", CLIENT, *options, os.path.join(suite, "tuf_conformance")]
    subprocess.run(command, cwd=WORK, env=env)
    try:
        with open(REPORT, encoding="utf-8") as file:
            return json.load(file)["summary"]
    except (OSError, ValueError, KeyError):
        return {}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    suite = os.path.abspath(sys.argv[1])
    if not os.path.isdir(os.path.join(suite, "tuf_conformance")):
        sys.exit(f"conformance: {suite} is no checkout of theupdateframework/tuf-conformance: it has no tuf_conformance/")
    summary = judge(suite, environment(requirements(suite)), sys.argv[2:])
    passed, total = summary.get("passed", 0), summary.get("total", 0)
    print(f"{passed} of {total} passed", file=sys.stderr)
    return 0 if total > 0 and passed == total else 1


if __name__ == "__main__":
    sys.exit(main())

"""Looks over the whole tree with the rules of rules.py and prints what breaks them. Run by ctest, and by hand:

    /usr/bin/python3 tests/tidy/tidy.py [path ...]
"""

import os
import sys

from project import CPP, Project
from rules import CPP_RULES, TEXT_RULES
from source import Source


def findings(project, path):
    source = Source(path, project.read(path))
    rules = TEXT_RULES + (CPP_RULES if path.endswith(CPP) else ())
    for rule in rules:
        for line, sentence in rule(source, project):
            yield f"{path}:{line}: {rule.__name__}: {sentence}"


def main(arguments):
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    project = Project(top)
    paths = project.files()
    if arguments:
        paths = [path for path in paths if any(path == a or path.startswith(a.rstrip("/") + "/") for a in arguments)]
    faults = [fault for path in paths for fault in findings(project, path)]
    faults += [f"{path}: left behind by a tool: it does not belong into the tree" for path in project.left_overs()]
    print("\n".join(faults))
    print(f"{len(paths)} files, {len(faults)} faults")
    return 1 if faults or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

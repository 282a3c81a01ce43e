"""The tree that is looked at: its files, and the layers table of docs/ARCHITECTURE.md."""

import os
import re

SKIPPED = re.compile(r"^(?:build.*|\..*|node_modules|__pycache__)$")
KEPT_HIDDEN = {".ci", ".clang-format", ".clang-tidy", ".gitignore"}
CPP = (".h", ".hpp", ".cpp", ".cc")
TEXT = CPP + (".py", ".md", ".txt", ".cmake", ".json", ".yaml", ".yml", ".sh", ".sql", ".toml", ".js", ".css", ".html")
BARE = {"run", "LICENSE", ".clang-format", ".clang-tidy", ".gitignore"}
LEFT_OVER = (".s", ".o", ".a", ".so", ".ii", ".gch", ".out", ".orig", ".rej", ".profraw", ".gcda", ".gcno")  # what tools leave
DATA = re.compile(r"/(?:data|vectors|corpus|examples|golden)/")  # kept as they came, whatever they look like


class Project:
    def __init__(self, top, table_text=None):
        self.top = top
        self._python_tests = None
        if table_text is None:
            table_text = self.read("docs/ARCHITECTURE.md")
        self.groups, self.rows, self.pure_folders = _parse_table(table_text)

    def read(self, path):
        with open(os.path.join(self.top, path), encoding="utf-8") as file:
            return file.read()

    def exists(self, path):
        return os.path.exists(os.path.join(self.top, path))

    def python_tests(self):
        """Names of all test functions in Python."""
        if self._python_tests is None:
            found = (path for path in self.files() if path.startswith("tests/") and path.endswith(".py"))
            self._python_tests = {name for path in found for name in re.findall(r"def (test_\w+)\(", self.read(path))}
        return self._python_tests

    def files(self):
        """Every text file of the tree, sorted, with '/'."""
        return sorted(path for path in self._all_files()
                      if (path.endswith(TEXT) or os.path.basename(path) in BARE) and not DATA.search(path))

    def left_overs(self):
        """What compilers and merges leave, outside the build folders."""
        return sorted(path for path in self._all_files() if path.endswith(LEFT_OVER))

    def _all_files(self):
        for folder, subfolders, names in os.walk(self.top):
            subfolders[:] = sorted(n for n in subfolders if not SKIPPED.match(n) or n in KEPT_HIDDEN)
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.top).replace(os.sep, "/")

    def layer_of(self, path):
        """The longest row that the path lies under."""
        under = [row for row in self.rows if path.startswith(row + "/")]
        return max(under, key=len, default=None)

    def may_include(self, here, there):
        return there in self.rows[here] or "*" in self.rows[here]

    def is_pure(self, path):
        return self.layer_of(path) in self.pure_folders


def _parse_table(text):
    """The fenced block ```layers: rows `folder: allowed ...`, groups `@name = folder ...`, and `pure: folder ...`."""
    block = re.search(r"^```layers\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if not block:
        raise SystemExit("docs/ARCHITECTURE.md has no ```layers table")
    groups, rows, pure = {}, {}, set()
    for line in re.sub(r"\\\n", " ", block.group(1)).split("\n"):
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.startswith("@") and "=" in line:
            name, _, members = line.partition("=")
            groups[name.strip()] = _expand(members.split(), groups)
            continue
        folder, _, allowed = line.partition(":")
        if folder.strip() == "pure":
            pure |= set(_expand(allowed.split(), groups))
        else:
            for one in _expand([folder.strip()], groups):
                rows[one] = set(_expand(allowed.split(), groups)) - {one}
    for folder, allowed in rows.items():
        for other in allowed - {"*"}:
            if other not in rows:
                raise SystemExit(f"layers table: {folder} names {other}, which has no row")
    return groups, rows, pure


def _expand(words, groups):
    out = []
    for word in words:
        if word.startswith("@"):
            if word not in groups:
                raise SystemExit(f"layers table: unknown group {word}")
            out += groups[word]
        else:
            out.append(word)
    return out

"""The rules. Each takes a Source and the Project and yields (line, sentence). What is allowed where stands in the
tables below and in docs/ARCHITECTURE.md; a single place is excused by a comment on its line or on the line above:

    // tidy: allow <rule> because <reason>
    // tidy: long because <reason>          (above a function, or in the first lines of a file)
"""

import os
import re

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600
MAX_README_LINES = 80

# The seams: only here may the machine be asked for time, randomness, threads or its environment.
SEAMS = ("common/time/", "common/rng/", "common/fs/", "common/net/", "common/process/", "common/async/", "common/obs/",
         "common/config/")
# Real processes and real sockets: these may wait and may use threads.
REAL_TESTS = ("tests/integration/", "tests/e2e/", "tests/support/", "bench/")

BANS = (
    # rule, pattern over the code, what to use, where it is allowed
    ("time", r"\b(?:system_clock|steady_clock|high_resolution_clock|utc_clock)\s*::\s*now\b"
             r"|\b(?:gettimeofday|clock_gettime|localtime(?:_r)?|gmtime(?:_r)?)\s*\("
             r"|(?<![\w.>])(?:std::)?time\s*\(\s*(?:nullptr|NULL|0|&)",
     "asks the machine for the time: take a Clock (common/time/clock.h)", SEAMS + ("bench/",)),
    ("sleep", r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\s*\(|(?<![\w.>])(?:::)?sleep\s*\(",
     "sleeps: wait for what is waited for, through common/async", SEAMS + REAL_TESTS),
    ("random", r"\brandom_device\b|\bmt19937|\bminstd_rand|(?<![\w.>])(?:std::)?s?rand\s*\(|\brandombytes_\w+|\bgetrandom\s*\(",
     "takes randomness from elsewhere: take an Rng (common/rng/rng.h)", SEAMS + ("common/crypto/",)),
    ("thread", r"\bstd\s*::\s*(?:jthread|thread|async)\b|\bpthread_create\b",
     "starts a thread: use the executors of common/async", SEAMS + REAL_TESTS + ("tests/contract/",)),
    ("environment", r"(?<![\w.>])(?:std::|::)?(?:secure_)?(?:getenv|setenv|putenv|unsetenv)\s*\(",
     "reads the environment: settings are declared in common/config", SEAMS + REAL_TESTS),
)

# Heavy or leaky headers: in implementation files only.
THIRD_PARTY = re.compile(r"^(?:boost/beast|boost/asio/ssl|openssl/|sqlite3\.h|sodium|zstd|seccomp\.h|p11-kit/|CLI/|libfdt)")
INTERNAL_HEADER = re.compile(r"(?:_impl|/detail)\.h$|/detail/|/platform/")

MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|home|root|Users)/\w|/tmp/[b]/")
_DOT = r"\."
REGISTRIES = re.compile(
    "|".join(
        name.replace(" ", _DOT)
        for name in ("registry npmjs org", "pypi org", "files pythonhosted org", "crates io", "proxy golang org",
                     "registry-1 docker io", "ghcr io", "quay io", "repo maven apache org", "deb debian org",
                     "rubygems org", "conan io", "vcpkg io"))
)


def _excused(source, line, rule):
    pattern = re.compile(rf"//\s*tidy:\s*allow\s+{re.escape(rule)}\s+because\s+\S")
    return any(0 < n <= len(source.lines) and pattern.search(source.lines[n - 1]) for n in (line, line - 1))


def _long_excused(source, first, last):
    lines = source.lines[max(first - 1, 0) : last]
    return any(re.search(r"(?://|#)\s*tidy:\s*long because \S", text) for text in lines)


def layers(source, project):
    """Includes go from the top of the tree, and only to the folders that docs/ARCHITECTURE.md allows."""
    here = project.layer_of(source.path)
    if here is None:
        yield 1, f"{os.path.dirname(source.path)}/ stands in no row of the layers table in docs/ARCHITECTURE.md"
        return
    for line, name, quoted in source.includes:
        if not quoted:
            continue
        if not project.exists(name):
            yield line, f'"{name}" is not a file seen from the top of the tree (system headers take <>)'
            continue
        there = project.layer_of(name)
        if there is not None and there != here and not project.may_include(here, there):
            if not _excused(source, line, "layers"):
                yield line, f"{here} may not include {there} ({name})"


def pure(source, project):
    """Pure folders decide; they have no coroutine, no stream, no file."""
    if not project.is_pure(source.path):
        return
    bad = re.compile(r"\bco_(?:await|return|yield)\b|\bstd\s*::\s*(?:o|i)?fstream\b|\bstd\s*::\s*(?:cout|cerr|clog)\b"
                     r"|\bf?printf\s*\(|\bboost\s*::\s*asio\b")
    for line, text in enumerate(source.code_lines, 1):
        if bad.search(text) and not _excused(source, line, "pure"):
            yield line, "a pure folder has no input, output or coroutine: " + text.strip()


def bans(source, project):
    """Time, sleep, randomness, threads and the environment only through their seams."""
    for rule, pattern, why, allowed in _COMPILED_BANS:
        if source.path.startswith(allowed):
            continue
        for line, text in enumerate(source.code_lines, 1):
            if pattern.search(text) and not _excused(source, line, rule):
                yield line, f"{why} [{rule}]"


_COMPILED_BANS = [(rule, re.compile(pattern), why, allowed) for rule, pattern, why, allowed in BANS]


def headers(source, project):
    """A header opens with a comment, is guarded by #pragma once, and forces no namespace on its readers."""
    if not source.is_header:
        return
    first = next((text for text in source.lines if text.strip()), "")
    if not first.startswith(("//", "/*")):
        yield 1, "a header opens with a comment: what it is, who owns what, what is bounded"
    if not re.search(r"^#pragma once$", source.text, re.MULTILINE):
        yield 1, "no #pragma once"
    for line, text in enumerate(source.code_lines, 1):
        if re.search(r"\busing\s+namespace\b(?!\s+std\s*::\s*(?:chrono_literals|literals|string_literals))", text):
            yield line, "no `using namespace` in a header"


def third_party(source, project):
    """Beast, OpenSSL, SQLite, libsodium and their like stay below, in implementation files."""
    if not source.is_header or INTERNAL_HEADER.search(source.path):
        return
    for line, name, _ in source.includes:
        if THIRD_PARTY.match(name) and not _excused(source, line, "third_party"):
            yield line, f"{name} belongs into a .cpp file or an internal header (*_impl.h, detail/)"


def coroutines(source, project):
    """What g++ 12 compiles wrongly: nothing braced and no lambda beside co_await, no lambda coroutine that captures."""
    for statement in source.statements:
        if not statement.awaits or _excused(source, statement.awaits_line, "coroutines"):
            continue
        if statement.braced_line:
            yield statement.braced_line, "a braced list in a statement with co_await: name it on the line above"
        if statement.lambda_line:
            yield statement.lambda_line, "a lambda in a statement with co_await: name it on the line above"
    for found in source.lambdas:
        if found.coroutine and found.captures and not _excused(source, found.line, "coroutines"):
            yield found.line, f"a coroutine lambda captures [{found.captures}]: pass it as parameters"


def length(source, project):
    """Functions over 70 lines and files over 600 need a reason."""
    if len(source.lines) > MAX_FILE_LINES + 1 and not _long_excused(source, 1, 20):
        yield 1, f"{len(source.lines) - 1} lines: split it, or say `// tidy: long because ...` at its top"
    for function in source.functions:
        if function.lines > MAX_FUNCTION_LINES and not _long_excused(source, function.first - 2, function.first + 3):
            yield function.first, f"a function of {function.lines} lines: split it, or say `// tidy: long because ...`"


CPP_RULES = (layers, pure, bans, headers, third_party, coroutines, length)


# --- every text file ------------------------------------------------------------------------------------------------


def places(source, project):
    """No path of somebody's machine, no host of a package registry."""
    for line, text in enumerate(source.lines, 1):
        if MACHINE_PATHS.search(text) and not _excused(source, line, "places"):
            yield line, "a path of one machine: " + MACHINE_PATHS.search(text).group()
        if REGISTRIES.search(text):
            yield line, "a registry's host name: use its ordinary client"


def white_space(source, project):
    """No tab, no trailing blank, one newline at the end."""
    for line, text in enumerate(source.lines, 1):
        if text != text.rstrip():
            yield line, "blanks at the end of the line"
    if source.text and not source.text.endswith("\n") or source.text.endswith("\n\n"):
        yield len(source.lines), "a file ends with exactly one newline"


def python_length(source, project):
    """Scripts keep to the same file length."""
    if source.path.endswith(".py") and len(source.lines) > MAX_FILE_LINES + 1 and not _long_excused(source, 1, 20):
        yield 1, f"{len(source.lines) - 1} lines: split it, or say `# tidy: long because ...` at its top"


def documents(source, project):
    """Links and paths in documents lead somewhere; functions said to be in a file are in it."""
    if not source.path.endswith(".md"):
        return
    folder = os.path.dirname(source.path)
    if source.path == "README.md" and len(source.lines) > MAX_README_LINES:
        yield 1, f"README.md has {len(source.lines) - 1} lines; it stays under {MAX_README_LINES}"
    for line, text in enumerate(source.lines, 1):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            if not project.exists(os.path.normpath(os.path.join(folder, target))):
                yield line, f"a link to {target}, which does not exist"
        for path in re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:h|cpp|py|md|json|yaml|sql|sh|txt))(?::\d+)?`", text):
            if not project.exists(path) and not project.exists(os.path.normpath(os.path.join(folder, path))):
                yield line, f"`{path}` does not exist"
        for name, path in re.findall(r"`([\w:~]+)\(\)` in `([\w./-]+)`", text):
            if project.exists(path) and not re.search(rf"\b{re.escape(name.split('::')[-1])}\b", project.read(path)):
                yield line, f"{name}() is not in {path}"


def named_tests(source, project):
    """A test that a document names as its proof is there."""
    if not source.path.endswith(".md"):
        return
    for line, text in enumerate(source.lines, 1):
        for name in re.findall(r"`(test_\w+)`", text):
            if name not in project.python_tests():
                yield line, f"there is no test {name}"


TEXT_RULES = (places, white_space, python_length, documents, named_tests)

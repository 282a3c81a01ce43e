"""What trust costs a device: verifying a whole refresh, and Ed25519 beside OpenSSL's own benchmark, on one core."""

import re
import statistics
import subprocess

from harness import SERVER_CORE, Missing, need, row

MODELS = 100
ROOTS = 5


def ours(run, *arguments):
    command = ["taskset", "-c", SERVER_CORE, run.binary("trust_verify"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")


def openssl(run):
    """Ed25519 verifications a second of `openssl speed`, by the processor's time as it counts them."""
    command = ["taskset", "-c", SERVER_CORE, need("openssl"), "speed", "-seconds", str(run.seconds), "ed25519"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Ed25519\)?.*?([\d.]+)\s+([\d.]+)\s*$", out, re.MULTILINE)
    if found is None:
        raise Missing("openssl speed printed no figure for ed25519")
    return float(found.group(2))


def trust(run, _world):
    mine, theirs, refreshes, signatures = [], [], [], 0
    for _ in range(run.rounds):
        mine.append(float(ours(run, "ed25519", run.seconds)[0]))
        theirs.append(openssl(run))
        for line in filter(None, ours(run, "refresh", MODELS, ROOTS, 5)):
            refreshes.append(float(line.split()[0]))
            signatures = int(line.split()[1])
    verify, peer = statistics.median(mine), statistics.median(theirs)
    bare = signatures / peer * 1000
    return [row("Ed25519 verifications", "1/s", verify, peer, "openssl speed", 1.0),
            row(f"full refresh, {ROOTS} roots, {MODELS} models, {signatures} signatures", "ms", statistics.median(refreshes),
                bare, "openssl speed, the signatures alone", None, less_is_better=True)]

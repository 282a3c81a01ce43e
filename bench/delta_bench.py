"""Deltas of model versions beside the tools that people use for them. Models: delta_models.py; peers: delta_peers.py.

Models and the peers' figures are kept in build-bench/deltas (or $DROVER_BENCH_DELTAS): a second run measures only what is
ours, and only if the program has changed; a run that was interrupted goes on where it was.
"""

import hashlib
import json
import math
import os
import subprocess
import sys
import time

import delta_models
import delta_report
import delta_snap
from delta_peers import PEER_CPU_SECONDS, TooSlow, check_same, find_peers, run_measured
from harness import Missing

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE_GOAL, APPLY_GOAL = 10, 100  # MB of the new file a second of CPU
MIB = 1 << 20
TICK = 0.005  # time(1) counts in hundredths of a second
# Where xdelta3 saves less than a tenth of a large file, bsdiff saves nothing either (its bzip2 is worse than zstd) and takes
# minutes: it is measured once, in the first cell.
BSDIFF_BYTES, BSDIFF_SHARE = 8 << 20, 0.9


class Cache:
    """A JSON file of figures, written after each."""

    def __init__(self, path):
        self.path, self.figures = path, {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.figures = json.load(file)

    def get(self, key, make):
        if key not in self.figures:
            self.figures[key] = make()
            with open(self.path + ".part", "w", encoding="utf-8") as file:
                json.dump(self.figures, file, indent=0)
            os.rename(self.path + ".part", self.path)
        return self.figures[key]


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def figures(size, made, applied):
    return {"bytes": size, "make_s": round(made[0], 3), "make_mib": round(made[1], 1), "apply_s": round(applied[0], 3),
            "apply_mib": round(applied[1], 1)}


class Bench:
    def __init__(self, run, quick, peer_minutes):
        self.folder = os.environ.get("DROVER_BENCH_DELTAS") or os.path.join(os.path.dirname(run.binaries), "deltas")
        os.makedirs(self.folder, exist_ok=True)
        self.run, self.quick, self.tool = run, quick, run.binary("drover")
        self.cache = Cache(os.path.join(self.folder, "figures.json"))
        self.tool_digest = digest(self.tool)
        self.peers = find_peers(self.folder)
        self.deadline = time.monotonic() + 60 * peer_minutes
        self.digests = {}

    def models(self):
        folder = os.path.join(self.folder, "models")
        command = ["/usr/bin/python3", os.path.join(HERE, "delta_models.py"), folder] + (["--quick"] if self.quick else [])
        subprocess.run(command, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
        return folder

    def key(self, who, *paths):
        for path in paths:
            if path not in self.digests:
                self.digests[path] = digest(path)
        return " ".join([who, *(self.digests[path] for path in paths)])

    def ours(self, base, new):
        """`base` "-": none."""
        def measure():
            out, back = self.run.path("out.delta"), self.run.path("back")
            made = run_measured([self.tool, "delta", "make", base, new, "--out", out])
            applied = run_measured([self.tool, "delta", "apply", base, out, "--out", back])
            check_same("drover", new, back)
            return figures(os.path.getsize(out), made, applied)
        paths = [new] if base == "-" else [base, new]
        return self.cache.get(self.key("drover " + self.tool_digest, *paths), measure)

    def peer(self, peer, base, new):
        """None: not measured, since the time of this run is over."""
        key = self.key(peer.name, base, new)
        if key not in self.cache.figures and time.monotonic() > self.deadline:
            return None

        def measure():
            try:
                return figures(*peer.measure(base, new, self.run.folder))
            except TooSlow:
                return {"left_out": f"over {PEER_CPU_SECONDS} s of CPU"}
        return self.cache.get(key, measure)

    def cell(self, folder, cell):
        """What everybody makes of one pair; None while a peer is missing."""
        base, new = (delta_models.file_name(folder, cell, which) for which in ("base", "new"))
        result = {"cell": cell, "plain": os.path.getsize(new), "peers": {}}
        for peer in self.peers:
            got = self.peer(peer, base, new) if self.worth(peer, cell, result) else {"left_out": "it takes minutes for nothing"}
            if got is None:
                return None
            result["peers"][peer.name] = got
        result["ours"] = self.ours(base, new)
        measured = {name: f for name, f in result["peers"].items() if "bytes" in f}
        result["best"] = min(measured, key=lambda name: measured[name]["bytes"])
        result["share"] = result["ours"]["bytes"] / measured[result["best"]]["bytes"]
        print("{}: {:.4f} of the file, {:.3f} of {}".format(" ".join(cell), result["ours"]["bytes"] / result["plain"],
                                                            result["share"], result["best"]), file=sys.stderr, flush=True)
        return result

    @staticmethod
    def worth(peer, cell, result):
        xdelta = result["peers"].get("xdelta3", {}).get("bytes", 0)
        slow = result["plain"] > BSDIFF_BYTES and xdelta > BSDIFF_SHARE * result["plain"]
        return peer.name != "bsdiff" or not slow or cell == delta_models.cells(True)[0]

    def alone(self, folder, label, kind):
        """Without a base."""
        new = delta_models.file_name(folder, (label, "usual", kind, "onnx"), "new")
        return {"kind": kind, "label": label, "plain": os.path.getsize(new), "ours": self.ours("-", new),
                "peers": {"zstd -19": self.peer(self.peers[0], new.replace(".new.", ".base."), new)}}


def goal_of(cell):
    """What each cell is to reach, as our bytes against the best peer's; in the table its inverse."""
    _, pair, kind, _ = cell
    if pair == "head-only":
        return 0.90
    if pair == "retrained":
        return 1.0
    if pair == "pruned-80":
        return 0.41 if kind.startswith("int8") else 0.60
    if kind == "fp32":
        return 0.60 if pair == "gentle" else 0.70
    if kind == "bf16":
        return 0.30 if pair == "gentle" else 0.41
    return 0.53 if kind == "fp16" else 0.97


def row(what, unit, ours, peer, peer_name, ratio, goal, **more):
    return {"what": what, "unit": unit, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio, "goal": goal, **more}


def cell_row(result):
    best = result["peers"][result["best"]]["bytes"]
    return row("delta " + " ".join(result["cell"]), "bytes", result["ours"]["bytes"], best, result["best"],
               round(1 / result["share"], 3), round(1 / goal_of(result["cell"]), 3),
               new_bytes=result["plain"], figures={"drover": result["ours"], **result["peers"]})


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def mean_rows(results):
    def mean_row(what, some, goal):
        mean = geometric_mean([r["share"] for r in some])
        return row(what, "share of the best peer's bytes", round(mean, 3), 1, "best of each cell", round(1 / mean, 3), goal)
    def mean_rows_by(part):
        values = dict.fromkeys(r["cell"][part] for r in results)
        return [mean_row(f"delta, geometric mean, {value}", [r for r in results if r["cell"][part] == value], None) for value in values]
    return mean_rows_by(0) + mean_rows_by(2) + [mean_row(f"delta, geometric mean of all {len(results)} cells", results, 2.0)]


def speed_rows(results):
    """Whole processes, start and reading included. Memory beyond the mapped base: peak resident less the base's size."""
    rates = {verb: sorted(r["plain"] / 1e6 / max(r["ours"][verb + "_s"], TICK) for r in results) for verb in ("make", "apply")}
    beyond = max(r["ours"]["apply_mib"] - r["plain"] / MIB for r in results)
    rows = []
    for verb, goal in (("make", MAKE_GOAL), ("apply", APPLY_GOAL)):
        for which, at in (("slowest cell", 0), ("median", len(rates[verb]) // 2)):
            rows.append(row(f"delta, {verb}, {which}", "MB/s of CPU", round(rates[verb][at], 1), None, "", None, goal))
    return rows + [row("delta, apply, most memory beyond the mapped base, the program itself included", "MiB", round(beyond, 1), None,
                       "", None, None)]


def alone_row(result):
    peer, goal = result["peers"]["zstd -19"], {"bf16": 0.67, "fp32": 0.83}.get(result["kind"])
    if peer is None or "bytes" not in peer:
        return None
    share, peer_share = (f["bytes"] / result["plain"] for f in (result["ours"], peer))
    return row(f"without a base, {result['label']} {result['kind']}", "share of the file", round(share, 4), round(peer_share, 4),
               "zstd -19", round(peer_share / share, 3), goal and f"<= {goal}")


def delta(run, _world, quick=False, peer_minutes=60):
    bench = Bench(run, quick, peer_minutes)
    folder = bench.models()
    cells = delta_models.cells(quick)
    results = [bench.cell(folder, cell) for cell in cells]
    missing = results.count(None)
    results = [r for r in results if r]
    if not results:
        raise Missing("no cell could be measured in the time of one run")
    kinds = ("fp32", "bf16", "int8-frozen") if quick else ("fp32", "fp16", "bf16", "int8-frozen")
    alone = [bench.alone(folder, "mlp", kind) for kind in kinds]
    rows = [cell_row(r) for r in results] + [r for r in map(alone_row, alone) if r] + mean_rows(results) + speed_rows(results)
    rows += [] if quick else delta_snap.rows(bench)
    if missing:
        print(f"delta: {missing} cells wait for their peers: run it again", file=sys.stderr)
    if not quick:
        delta_report.write(bench.folder, results, rows)
    return rows

#!/usr/bin/env python3
"""Benchmarks beside a peer, in turns, medians. Called by `./run bench`.

  run.py --bin FOLDER [--json] [--rounds N] [--seconds N] [--bare] [--quick] [--peer-minutes N] [name ...]
"""

import argparse
import functools
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import delta_bench  # noqa: E402
import delta_floor  # noqa: E402
import fleet_benches  # noqa: E402
import http_benches  # noqa: E402
import patch_bench  # noqa: E402
import trust_benches  # noqa: E402
from harness import Missing, Run  # noqa: E402
from worlds import BareWorld, RealWorld  # noqa: E402

BENCHES = {"checkin": http_benches.checkin, "newconn": http_benches.newconn, "download": http_benches.download,
           "agent": fleet_benches.agent, "rollout": fleet_benches.rollout, "trust": trust_benches.trust,
           "delta": delta_bench.delta, "floor": delta_floor.floor, "patch": patch_bench.patch}
# Deltas are compared with tools that take minutes for each file: only when asked for.
USUAL = [name for name in BENCHES if name not in ("delta", "floor", "patch")]
BARE = ("checkin", "newconn", "download")


def print_table(rows):
    head = ["what", "unit", "ours", "peer", "peer's name", "ratio", "goal"]
    lines = [head]
    for r in rows:
        lines.append(["-" if v is None else f"{v:g}" if isinstance(v, float) and abs(v) < 1000 else
                      f"{v:.0f}" if isinstance(v, float) else str(v)
                      for v in (r[k] for k in ("what", "unit", "ours", "peer", "peer_name", "ratio", "goal"))])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(w) if i in (0, 1, 4) else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description="benchmarks beside a peer")
    parser.add_argument("--bin", required=True, help="folder of the built programs")
    parser.add_argument("--json", action="store_true", help="one array of results on standard output")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement, in turns with the peer")
    parser.add_argument("--seconds", type=int, default=3, help="length of one round of load")
    parser.add_argument("--quick", action="store_true", help="delta: nine cells instead of all; floor: one network")
    parser.add_argument("--peer-minutes", type=int, default=60, metavar="N",
                        help="delta: time for peers in this run; what is left over is measured by the next one")
    parser.add_argument("--bare", action="store_true", help="the HTTP layer alone instead of the server: " + " ".join(BARE))
    parser.add_argument("names", nargs="*", metavar="name", help="of " + ", ".join(BENCHES))
    args = parser.parse_args()
    BENCHES["delta"] = functools.partial(delta_bench.delta, quick=args.quick, peer_minutes=args.peer_minutes)
    BENCHES["floor"] = functools.partial(delta_floor.floor, quick=args.quick)
    unknown = [name for name in args.names if name not in BENCHES]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(BENCHES)})")
    rows, failed = [], False
    for name in args.names or (BARE if args.bare else USUAL):
        with tempfile.TemporaryDirectory(prefix="drover-bench-") as folder:
            run = Run(folder, args.bin, args.rounds, args.seconds)
            try:
                print(f"{name} ...", file=sys.stderr)
                rows += BENCHES[name](run, BareWorld(run) if args.bare else RealWorld(run))
            except Missing as reason:
                failed = True
                print(f"{name}: {reason}", file=sys.stderr)
            finally:
                run.stop_all()
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

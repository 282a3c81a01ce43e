"""Deltas of model versions beside the tools that people use for them. The models are made by delta_models.py."""

import glob
import math
import os
import shutil
import subprocess
import sys
import time

from harness import Missing

HERE = os.path.dirname(os.path.abspath(__file__))
PEER_SECONDS = 300  # bsdiff takes minutes on weights; a peer that takes longer is left out of the cell


def run_measured(command, timeout=PEER_SECONDS):
    """(seconds of CPU, peak MiB) of one command, or None when it took too long. The shell's own time is nothing beside it."""
    process = subprocess.Popen(command, shell=isinstance(command, str), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + timeout
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            return None
        time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Missing(f"{command if isinstance(command, str) else command[0]} failed: {process.stderr.read().decode()[-300:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def peers():
    """name -> command that turns {base} and {new} into {out}. Only those that are installed."""
    known = {
        "zstd -19": "zstd -q -f -19 {new} -o {out}",
        "zstd --patch-from": "zstd -q -f -19 --long=27 --patch-from={base} {new} -o {out}",
        "xdelta3": "xdelta3 -e -f -9 -S lzma -B 67108864 -s {base} {new} {out}",
        "bsdiff": "bsdiff {base} {new} {out}",
        "hdiffz": "hdiffz -f -SD -c-zstd-21 {base} {new} {out}",
    }
    found = {name: command for name, command in known.items() if shutil.which(command.split()[0])}
    if shutil.which("casync"):
        found["casync"] = casync
    return found


def casync(base, new, out):
    """Bytes of the chunks that a device with the base lacks, and the index."""
    folder = out + ".casync"
    os.makedirs(folder, exist_ok=True)
    for name, path in (("base", base), ("new", new)):
        store, index = (os.path.join(folder, name + ending) for ending in (".castr", ".caibx"))
        run_measured(["casync", "make", "--store=" + store, index, path])

    def chunks(name):
        return {os.path.basename(p): os.path.getsize(p) for p in glob.glob(os.path.join(folder, name + ".castr", "*", "*"))}
    have, want = chunks("base"), chunks("new")
    size = sum(bytes_ for chunk, bytes_ in want.items() if chunk not in have)
    size += os.path.getsize(os.path.join(folder, "new.caibx"))
    shutil.rmtree(folder)
    return size


def peer_sizes(base, new, out):
    sizes = {}
    for name, command in peers().items():
        if callable(command):
            sizes[name] = command(base, new, out)
        elif run_measured(command.format(base=base, new=new, out=out)) is not None:
            sizes[name] = os.path.getsize(out)
    return sizes


def ours(tool, base, new, out):
    """Bytes, seconds and MiB to make, seconds and MiB to apply."""
    made = run_measured([tool, "delta", "make", base, new, "--out", out])
    applied = run_measured([tool, "delta", "apply", base, out, "--out", out + ".new"])
    with open(new, "rb") as a, open(out + ".new", "rb") as b:
        if a.read() != b.read():
            raise Missing(f"the delta for {new} does not give it back")
    return os.path.getsize(out), made, applied


def goal_of(pair, kind):
    """What each cell is to reach, as our bytes against the best peer's; in the table its inverse."""
    if pair in ("head-only",):
        return 0.90
    if pair == "retrained":
        return 1.0
    if pair == "pruned-80":
        return 0.41 if kind.startswith("int8") else 0.60
    return {"fp32": 0.60 if pair == "gentle" else 0.70, "fp16": 0.53, "bf16": 0.41}.get(kind, 0.97)


def cell(run, tool, base, rows, shares, speeds):
    label, pair, kind, _, container = os.path.basename(base).split(".")
    new = base.replace(".base.", ".new.")
    out = run.path("out.delta")
    size, made, applied = ours(tool, base, new, out)
    sizes = peer_sizes(base, new, run.path("peer.out"))
    best = min(sizes, key=sizes.get)
    what = f"delta {label} {pair} {kind} {container}"
    rows.append({"what": what, "unit": "bytes", "ours": size, "peer": sizes[best], "peer_name": best,
                 "ratio": round(sizes[best] / size, 3), "goal": round(1 / goal_of(pair, kind), 3)})
    shares.append(size / sizes[best])
    plain = os.path.getsize(new)
    speeds.append((plain / 1e6 / made[0], plain / 1e6 / applied[0], applied[1], plain))
    print(f"{what}: {size / plain:.4f} of the file, {size / sizes[best]:.3f} of {best}", file=sys.stderr, flush=True)


def alone(run, tool, new, rows):
    """Without a base: beside zstd -19."""
    _, _, kind, _, _ = os.path.basename(new).split(".")
    out = run.path("alone.delta")
    size, _, _ = ours(tool, "-", new, out)
    run_measured(f"zstd -q -f -19 {new} -o {out}")
    peer = os.path.getsize(out)
    goal = {"bf16": 0.67, "fp32": 0.83}.get(kind)
    rows.append({"what": f"without a base, {kind}", "unit": "share of the file", "ours": round(size / os.path.getsize(new), 4),
                 "peer": round(peer / os.path.getsize(new), 4), "peer_name": "zstd -19", "ratio": round(peer / size, 3),
                 "goal": None if goal is None else f"{goal} of the file"})


def delta(run, _world):
    tool = run.binary("drover")
    models = os.environ.get("DROVER_BENCH_MODELS") or run.path("models")
    if not glob.glob(os.path.join(models, "*.new.onnx")):
        subprocess.run(["/usr/bin/python3", os.path.join(HERE, "delta_models.py"), models], check=True,
                       env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    rows, shares, speeds = [], [], []
    for base in sorted(glob.glob(os.path.join(models, "*.base.*"))):
        cell(run, tool, base, rows, shares, speeds)
    for kind in ("fp32", "fp16", "bf16", "int8-own"):
        alone(run, tool, os.path.join(models, f"mlp.usual.{kind}.new.onnx"), rows)
    mean = math.exp(sum(map(math.log, shares)) / len(shares))
    rows.append({"what": "delta, geometric mean of all cells", "unit": "share of the best peer's bytes", "ours": round(mean, 3),
                 "peer": 1, "peer_name": "best of each cell", "ratio": round(1 / mean, 3), "goal": 2.0})
    rows += speed_rows(speeds)
    return rows


def speed_rows(speeds):
    making, applying, memory = (sorted(s[i] for s in speeds) for i in range(3))
    def plain(what, unit, value, goal):
        return {"what": what, "unit": unit, "ours": round(value, 1), "peer": None, "peer_name": "", "ratio": None, "goal": goal}
    # Whole processes, start and reading included; memory counts the mapped base as far as it is resident.
    return [plain("delta, making, slowest cell", "MB/s of CPU", making[0], ">= 10"),
            plain("delta, making, median", "MB/s of CPU", making[len(making) // 2], ">= 10"),
            plain("delta, applying, slowest cell", "MB/s of CPU", applying[0], ">= 100"),
            plain("delta, applying, median", "MB/s of CPU", applying[len(applying) // 2], ">= 100"),
            plain("delta, applying, most memory resident, mapped base included", "MiB", memory[-1], None)]

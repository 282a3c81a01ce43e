"""Memory of what applies a delta to a large model: drover-patch beside the tools that people use, and the agent that waits
for it beside itself with a whole file."""

import json
import os
import shutil
import struct
import subprocess
import time

from fleet_benches import wait_for
from harness import Missing, memory, row
from worlds import KIND, MODEL, Server

MIB = 64
COLUMNS = 1024
SAMPLE = 0.002  # seconds between two looks at a process


def make_models(folder):
    """A matrix of 64 MiB fp32 as safetensors, and the same after a small step of training (of low rank, and noise)."""
    import numpy
    rng = numpy.random.default_rng(3)
    rows = MIB * (1 << 20) // 4 // COLUMNS
    old = rng.normal(0, 0.05, (rows, COLUMNS)).astype(numpy.float32)
    step = rng.normal(0, 1, (rows, 4)) @ rng.normal(0, 1, (4, COLUMNS)) * 1e-5 + rng.normal(0, 1e-5, (rows, COLUMNS))
    head = json.dumps({"dense.weight": {"dtype": "F32", "shape": [rows, COLUMNS], "data_offsets": [0, old.nbytes]}}).encode()
    head += b" " * (-len(head) % 8)
    paths = [os.path.join(folder, name) for name in ("old.safetensors", "new.safetensors")]
    for path, values in zip(paths, (old, (old + step).astype(numpy.float32))):
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(head)) + head)
            file.write(values.tobytes())
    return paths


def peaks(command):
    """(own memory, resident memory) in MiB at their peaks, and seconds of CPU. Own memory is what is not a file's."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    own = resident = 0
    while True:
        try:
            own, resident = max(own, memory(process.pid, "RssAnon")), memory(process.pid, "VmHWM")
        except (Missing, OSError):
            pass  # it has ended, or has not begun
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(SAMPLE)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Missing(f"{command[0]} failed: {process.stderr.read().decode()[-300:]}")
    return own, resident, usage.ru_utime + usage.ru_stime


def peers(old, new, out):
    """name -> (command that makes the delta, command that applies it)."""
    return {
        "xdelta3": (["xdelta3", "-e", "-f", "-1", "-B", str(MIB << 20), "-s", old, new, out],
                    ["xdelta3", "-d", "-f", "-B", str(MIB << 20), "-s", old, out, out + ".new"]),
        "zstd --patch-from": (["zstd", "-q", "-f", "-3", "--long=27", f"--patch-from={old}", new, "-o", out],
                              ["zstd", "-q", "-f", "-d", "--long=27", f"--patch-from={old}", out, "-o", out + ".new"]),
        "bspatch": (["bsdiff", old, new, out], ["bspatch", old, out + ".new", out]),
    }


def ours(run, old, new):
    out = run.path("ours.delta")
    subprocess.run([run.binary("drover"), "delta", "make", old, new, "--out", out], check=True, stdout=subprocess.DEVNULL)
    measured = peaks([run.binary("drover-patch"), "--delta", out, "--base", old, "--out", out + ".new", "--size",
                      str(os.path.getsize(new))])
    same(new, out + ".new")
    return measured


def same(new, made):
    if subprocess.run(["cmp", "-s", new, made], check=False).returncode != 0:
        raise Missing(f"{made} is not {new}")


def decoders(run, old, new):
    own, resident, seconds = ours(run, old, new)
    out = run.path("peer.delta")
    rows = []
    for name, (make, apply) in peers(old, new, out).items():
        if shutil.which(make[0]) is None or shutil.which(apply[0]) is None:
            continue
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        their_own, their_resident, their_seconds = peaks(apply)
        same(new, out + ".new")
        rows += [row(f"applying a delta to {MIB} MiB, own memory", "MiB", own, their_own, name, None, True),
                 row(f"applying a delta to {MIB} MiB, resident, files included", "MiB", resident, their_resident, name, None, True),
                 row(f"applying a delta to {MIB} MiB, CPU", "s", seconds, their_seconds, name, None, True)]
    return rows


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def agent_peaks(run, old, new):
    """VmHWM of the agent while it installs the whole of `old`, and then `new` by a delta."""
    server = Server(run, "patch-server")
    server.publish(old)
    server.call("group", "create", "all", "--query", f'kind = "{KIND}"')
    state = run.path("patch-device")
    os.makedirs(state)
    config = run.write("patch-agent.json", json.dumps({
        "server": server.url, "ca": run.certificate()[0], "state": state, "name": "bench", "kind": KIND, "metered": True,
        "trusted_root": os.path.join(server.folder, "profile", "trust", "root.json"), "poll_seconds": 1,
        "enrolment_token": server.enrolment_token(), "validator": run.binary("pass_validator"),
        "confirm_without_application": True}))
    agent = run.start([run.binary("drover-agent"), "--config", config], "0,1", "agent.out")
    wait_for(run, agent, "enrol", lambda: json.loads(server.ask("GET", "/devices?state=active")[1])["items"])
    found = []
    for version, file in (("1.0.0", old), ("2.0.0", new)):
        if version != "1.0.0":
            server.publish(file, version)
        reset_peak(agent.pid)
        server.call("rollout", "create", "--name", version, "--model", MODEL, "--release", version, "--group", "all", "--stage",
                    "100%,auto")
        shown = os.path.join(state, "current", MODEL, "model.onnx")
        wait_for(run, agent, "install " + version, lambda: os.path.exists(shown) and os.path.getsize(shown) ==
                 os.path.getsize(file) and subprocess.run(["cmp", "-s", shown, file], check=False).returncode == 0)
        found.append(memory(agent.pid, "VmHWM"))
    run.stop(agent)
    return found


def patch(run, _):
    old, new = make_models(run.folder)
    rows = decoders(run, old, new)
    whole, by_delta = agent_peaks(run, old, new)
    rows.append(row(f"agent's peak memory, installing {MIB} MiB by a delta", "MiB", by_delta, whole, "itself, the whole file",
                    None, True))
    return rows

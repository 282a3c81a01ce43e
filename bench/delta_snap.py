"""Releases that are brought near to their base before they are signed: what snapping and kept scales send and cost.

The tool itself does it, as people do: release build --base, measured in ONNX Runtime on a golden set and on held-out samples.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np

from delta_formats import model_bytes, scales_of
from delta_models import NETS, Maker
from delta_nets import CLASSES, SIDE
from harness import Missing

GOLDEN, HELD_OUT = 200, 4000
MAX_LOSS = 0.5  # points
SHARE_GOAL = 0.10
SNAPPED = (("mlp", "usual"), ("mlp", "gentle"), ("mlp", "strong"), ("cnn", "usual"), ("cnn", "strong"), ("wide", "usual"))
KEPT = (("mlp", "usual"), ("mlp", "gentle"), ("mlp", "last-layers"), ("mlp", "strong"), ("cnn", "usual"))


def put(folder, name, content):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return path


def sample_shape(net):
    return [1, SIDE, SIDE] if net.conv else [SIDE * SIDE]


def package(folder, maker, net, params, model):
    """A folder for `release build`: the model and a golden set with labels."""
    x, labels = maker.images.batch(GOLDEN, 1, np.random.default_rng(98))
    outputs = net.forward(params, x)[2][-1].astype(np.float32)
    golden = {"inputs": "golden/x.f32", "outputs": "golden/y.f32", "labels": "golden/labels.u8", "samples": GOLDEN,
              "input_shape": sample_shape(net), "output_shape": [CLASSES], "atol": 0.01}
    policy = {"version": 1, "model": {"file": "model.onnx", "runtime": "onnx"}, "validation": {"golden": golden}}
    for name, content in (("model.onnx", model), ("golden/x.f32", x.tobytes()), ("golden/y.f32", outputs.tobytes()),
                          ("golden/labels.u8", labels.astype(np.uint8).tobytes()), ("drover.json", json.dumps(policy).encode())):
        put(folder, name, content)
    return folder


def held_out(folder, maker, net):
    """Samples that neither training nor the golden set has seen."""
    x, labels = maker.images.batch(HELD_OUT, 1, np.random.default_rng(97))
    put(folder, "x.f32", x.tobytes())
    put(folder, "labels.u8", labels.astype(np.uint8).tobytes())
    text = {"inputs": "x.f32", "labels": "labels.u8", "samples": HELD_OUT, "input_shape": sample_shape(net)}
    return put(folder, "held-out.json", json.dumps(text).encode())


def build(tool, out, files, version, *options):
    done = subprocess.run([tool, "release", "build", "net", version, "--variant", f"device={files}", "--out", out, "--json", *options],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"release build: {done.stderr.strip()}")
    return json.loads(done.stdout)


def moved(tool, folder, maker, label, pair, kind, options, plot=None):
    """What `release build --base` says of one pair: its report."""
    net = NETS[label]
    base, new = maker.pair(label, pair)
    shutil.rmtree(folder, ignore_errors=True)
    files = [package(os.path.join(folder, which), maker, net, params, model_bytes(net, params, kind, scales_of(params), "onnx"))
             for which, params in (("v1", base), ("v2", new))]
    out = os.path.join(folder, "base")
    build(tool, out, files[0], "1")
    wanted = ["--base", out, "--max-loss", str(MAX_LOSS), "--held-out", held_out(os.path.join(folder, "data"), maker, net), *options]
    if "--float-model" in options:
        wanted.append(put(folder, "float.onnx", model_bytes(net, new, "fp32", scales_of(new), "onnx")))
    report = build(tool, os.path.join(folder, "out"), files[1], "2", *wanted, *(["--plot", plot] if plot else []))["moved"][0]
    shutil.rmtree(folder)
    return report


def row_of(what, report, taken, goal):
    exact = report["trials"][0]
    score = taken["scores"]["held-out"]
    print(f"{what}: {taken['share']:.4f} of the file, held-out {score['before']:.4f} -> {score['after']:.4f}", file=sys.stderr, flush=True)
    return {"what": what, "unit": "share of the file", "ours": round(taken["share"], 4), "peer": round(exact["share"], 4),
            "peer_name": "its exact delta", "ratio": round(exact["share"] / taken["share"], 3), "goal": goal, "trials": report["trials"]}


def rows(bench):
    """bench: delta_bench.Bench."""
    if not os.environ.get("DROVER_ONNXRUNTIME"):
        print("delta: snapped releases are left out: DROVER_ONNXRUNTIME names no runtime", file=sys.stderr)
        return []
    maker, out = Maker(os.path.join(bench.folder, "models")), []
    work = os.path.join(bench.folder, "moved")

    def report(label, pair, kind, options):
        plot = os.path.join(bench.folder, "snap.svg") if (label, pair, kind) == ("mlp", "usual", "fp32") else None
        return bench.cache.get(f"moved {bench.tool_digest} {label} {pair} {kind} {' '.join(options)}",
                               lambda: moved(bench.tool, work, maker, label, pair, kind, options, plot))
    for label, pair in SNAPPED:
        got = report(label, pair, "fp32", ["--snap", "auto"])
        taken = [t for t in got["trials"] if t["deviations"] == got["deviations"]][0]
        what = f"snapped release, {label} {pair} fp32, K = {got['deviations']:g}, loss {taken['loss']:.2f} points"
        out.append(row_of(what, got, taken, f"<= {SHARE_GOAL}"))
    for label, pair in KEPT:
        for words, options in (("kept scales", ["--keep-scales"]), ("kept scales, from floats", ["--keep-scales", "--float-model"])):
            got = report(label, pair, "int8-own", options)
            taken = got["trials"][1]
            out.append(row_of(f"{words}, {label} {pair} int8, loss {taken['loss']:.2f} points", got, taken, None))
    return out

#!/usr/bin/python3
"""Makes the models of the demo: a small image classifier that is really trained, on synthetic data, in seconds.

    make_models.py --runner PATH/drover-onnx-run --out DIR

Needs the distribution's python3-numpy and python3-onnx only. ONNX Runtime is used through drover-onnx-run, which finds
it through the environment variable DROVER_ONNXRUNTIME.

The classifier tells ten shapes apart in 16x16 grey images that are shifted, scaled and noisy. One convolution (3x3,
stride 2, 16 channels), a hidden layer of 768, ten outputs: 800,000 parameters, 3.2 MB as float32.

    v1  one pass over the training data
    v2  two more, the last with a lower rate: better
    v3  v2 damaged after its golden set was computed: refused on the device, before activation (validate_golden)
    v4  passes every check of the model, but its labels.txt lacks a class: the application that shows names
        instead of numbers finds nine names for ten outputs and says that it is unwell (unhealthy)

Each in two variants, fp32 and int8 (static QDQ: per-channel weights, activation ranges from calibration data):
DIR/v1/fp32/{model.onnx,drover.json,labels.txt,golden/inputs.f32,golden/outputs.f32,golden/labels.u8} and so on.
Golden outputs are computed by the very variant, in ONNX Runtime. The same seed gives the same files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
CHANNELS = 16
HIDDEN = 768
FLAT = CHANNELS * (SIDE // 2) ** 2
LABELS = ["disc", "ring", "square", "frame", "plus", "cross", "triangle", "bar", "stripes", "arrow"]
SEED = 20240

TRAIN_SAMPLES = 2048
TEST_SAMPLES = 1000
CALIBRATION_SAMPLES = 256
GOLDEN_SAMPLES = 64
BATCH = 32

OPSET = 13
IR_VERSION = 8  # what OPSET belongs to; the newest that this python3-onnx writes would need newer runtimes


# --- synthetic data ---------------------------------------------------------------------------------------------------


def shape_masks(kind, u, v):
    """Where each shape is, for coordinates u, v of its own frame (about -1..1). kind: (n,), u and v: (n, SIDE, SIDE)."""
    radius = np.hypot(u, v)
    reach = np.maximum(abs(u), abs(v))
    near_axes = np.minimum(abs(u), abs(v)) < 0.3
    near_diagonals = np.minimum(abs(u - v), abs(u + v)) < 0.4
    shaft = (abs(u) < 0.22) & (v > -0.2) & (v < 1)
    all_masks = [
        radius < 0.9,
        (radius < 1) & (radius > 0.55),
        reach < 0.8,
        (reach < 0.95) & (reach > 0.55),
        near_axes & (reach < 1),
        near_diagonals & (reach < 0.9),
        (v > -0.8) & (v < 0.8) & (abs(u) < (v + 0.8) * 0.6),
        (abs(v) < 0.3) & (abs(u) < 1),
        (np.sin(v * 7) > 0) & (reach < 0.95),
        shaft | ((v <= 0) & (v > -1) & (abs(u) < (v + 1) * 0.9)),
    ]
    return np.choose(kind[:, None, None], all_masks)


def make_images(rng, count):
    """Returns float32 images (count, 1, SIDE, SIDE), roughly within -1..1.5, and their classes (count,)."""
    kind = rng.integers(0, len(LABELS), count)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    centre = SIDE / 2 - 0.5 + rng.uniform(-1.5, 1.5, (2, count, 1, 1))
    size = rng.uniform(3.6, 6.2, (count, 1, 1))
    angle = rng.uniform(-0.25, 0.25, (count, 1, 1))
    du, dv = (x - centre[0]) / size, (y - centre[1]) / size
    mask = shape_masks(kind, du * np.cos(angle) - dv * np.sin(angle), du * np.sin(angle) + dv * np.cos(angle))
    contrast = rng.uniform(0.6, 1.0, (count, 1, 1))
    slope = rng.uniform(-0.02, 0.02, (count, 1, 1)) * (x - SIDE / 2)
    images = mask * contrast + slope + rng.normal(0, 0.15, (count, SIDE, SIDE))
    return images[:, None].astype(np.float32), kind


# --- the network ------------------------------------------------------------------------------------------------------


def init_parameters(rng):
    def weights(*shape, fan_in):
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    return {
        "conv_w": weights(CHANNELS, 9, fan_in=9),
        "conv_b": np.zeros(CHANNELS, np.float32),
        "hidden_w": weights(FLAT, HIDDEN, fan_in=FLAT),
        "hidden_b": np.zeros(HIDDEN, np.float32),
        "out_w": weights(HIDDEN, len(LABELS), fan_in=HIDDEN),
        "out_b": np.zeros(len(LABELS), np.float32),
    }


def patches(images):
    """The 3x3 patches that the convolution sees (padding 1 at the start, stride 2): (n, 9, positions)."""
    padded = np.pad(images[:, 0], ((0, 0), (1, 0), (1, 0)))
    half = SIDE // 2
    columns = [padded[:, dy : dy + 2 * half - 1 : 2, dx : dx + 2 * half - 1 : 2] for dy in range(3) for dx in range(3)]
    return np.stack(columns, 1).reshape(len(images), 9, half * half)


def forward(p, columns):
    conv = np.maximum(np.matmul(p["conv_w"], columns) + p["conv_b"][:, None], 0)
    flat = conv.reshape(len(columns), FLAT)
    hidden = np.maximum(flat @ p["hidden_w"] + p["hidden_b"], 0)
    return conv, flat, hidden, hidden @ p["out_w"] + p["out_b"]


def gradients(p, columns, kind):
    """Of the mean cross entropy."""
    conv, flat, hidden, logits = forward(p, columns)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    d_logits = shifted / shifted.sum(1, keepdims=True)
    d_logits[np.arange(len(kind)), kind] -= 1
    d_logits /= len(kind)
    d_hidden = (d_logits @ p["out_w"].T) * (hidden > 0)
    d_conv = (d_hidden @ p["hidden_w"].T).reshape(conv.shape) * (conv > 0)
    return {
        "out_w": hidden.T @ d_logits,
        "out_b": d_logits.sum(0),
        "hidden_w": flat.T @ d_hidden,
        "hidden_b": d_hidden.sum(0),
        "conv_w": np.matmul(d_conv, columns.transpose(0, 2, 1)).sum(0),
        "conv_b": d_conv.sum((0, 2)),
    }


class Trainer:
    """Stochastic gradient descent with momentum."""

    def __init__(self, rng, images, kind):
        self.rng, self.kind = rng, kind
        self.columns = patches(images)
        self.parameters = init_parameters(rng)
        self.velocity = {name: np.zeros_like(value) for name, value in self.parameters.items()}

    def one_pass(self, rate, share=1):
        order = self.rng.permutation(len(self.kind))[: int(share * len(self.kind))]
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            step = gradients(self.parameters, self.columns[chosen], self.kind[chosen])
            for name, gradient in step.items():
                self.velocity[name] = 0.9 * self.velocity[name] - rate * gradient
                self.parameters[name] += self.velocity[name]

    def snapshot(self):
        return {name: value.copy() for name, value in self.parameters.items()}


# --- graphs -----------------------------------------------------------------------------------------------------------


def save_graph(path, nodes, initializers):
    graph = helper.make_graph(
        nodes,
        "shapes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="drover-demo")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    onnx.save(model, path)


CONV = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}


def save_fp32(path, p):
    nodes = [
        helper.make_node("Conv", ["image", "conv_w", "conv_b"], ["conv"], **CONV),
        helper.make_node("Relu", ["conv"], ["conv_relu"]),
        helper.make_node("Flatten", ["conv_relu"], ["flat"]),
        helper.make_node("Gemm", ["flat", "hidden_w", "hidden_b"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["hidden_relu"]),
        helper.make_node("Gemm", ["hidden_relu", "out_w", "out_b"], ["logits"]),
    ]
    save_graph(path, nodes, {**p, "conv_w": p["conv_w"].reshape(CHANNELS, 1, 3, 3)})


def activation_scale(values):
    """Scale and zero point of uint8 for values seen in calibration. The range holds 0, which must be exact."""
    low, high = min(0.0, float(values.min())), max(1e-6, float(values.max()))
    scale = np.float32((high - low) / 255)
    return scale, np.uint8(np.clip(round(-low / scale), 0, 255))


def quantise_weights(weights, axis):
    """Symmetric, one scale a channel, 7 of the 8 bits: with all 8, machines without VNNI saturate in between."""
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scale = np.maximum(abs(weights).max(others), 1e-8).astype(np.float32) / np.float32(63)
    shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
    return np.clip(np.rint(weights / scale.reshape(shape)), -63, 63).astype(np.int8), scale


class Quantised:
    """Collects the nodes of a QDQ graph: quantise and at once dequantise, which the runtime fuses into int8 kernels."""

    def __init__(self):
        self.nodes, self.initializers = [], {}

    def activation(self, name, values):
        scale, zero = activation_scale(values)
        self.initializers.update({name + "_scale": scale, name + "_zero": zero})
        ends = [name + "_scale", name + "_zero"]
        self.nodes.append(helper.make_node("QuantizeLinear", [name] + ends, [name + "_q"]))
        self.nodes.append(helper.make_node("DequantizeLinear", [name + "_q"] + ends, [name + "_dq"]))
        return scale

    def layer(self, kind, source, weights, bias, axis, name, source_scale, output, **attributes):
        quantised, scale = quantise_weights(weights, axis)
        bias_scale = scale * source_scale
        self.initializers.update({
            name + "_w": quantised, name + "_w_scale": scale, name + "_w_zero": np.zeros(len(scale), np.int8),
            name + "_b": np.rint(bias / bias_scale).astype(np.int32),
            name + "_b_scale": bias_scale, name + "_b_zero": np.zeros(len(scale), np.int32),
        })
        for part, part_axis in (("_w", axis), ("_b", 0)):
            ends = [name + part, name + part + "_scale", name + part + "_zero"]
            self.nodes.append(helper.make_node("DequantizeLinear", ends, [name + part + "_dq"], axis=part_axis))
        self.nodes.append(
            helper.make_node(kind, [source + "_dq", name + "_w_dq", name + "_b_dq"], [output], **attributes))


def save_int8(path, p, calibration):
    conv, _, hidden, _ = forward(p, patches(calibration))
    q = Quantised()
    image_scale = q.activation("image", calibration)
    conv_w = p["conv_w"].reshape(CHANNELS, 1, 3, 3)
    q.layer("Conv", "image", conv_w, p["conv_b"], 0, "conv", image_scale, "conv_out", **CONV)
    q.nodes.append(helper.make_node("Relu", ["conv_out"], ["conv"]))
    conv_scale = q.activation("conv", conv)
    q.nodes.append(helper.make_node("Flatten", ["conv_dq"], ["flat"]))
    q.activation("flat", conv)  # the runtime fuses a layer only where its very input is dequantised
    q.layer("Gemm", "flat", p["hidden_w"], p["hidden_b"], 1, "hidden", conv_scale, "hidden_out")
    q.nodes.append(helper.make_node("Relu", ["hidden_out"], ["hidden"]))
    hidden_scale = q.activation("hidden", hidden)
    q.layer("Gemm", "hidden", p["out_w"], p["out_b"], 1, "out", hidden_scale, "logits")
    save_graph(path, q.nodes, q.initializers)


# --- packages ---------------------------------------------------------------------------------------------------------


class Runner:
    """ONNX Runtime, through drover-onnx-run."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def run(self, model, images):
        inputs, outputs = os.path.join(self.folder, "in.f32"), os.path.join(self.folder, "out.f32")
        images.astype("<f4").tofile(inputs)
        done = subprocess.run([self.program, model, inputs, outputs], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            sys.exit(f"make_models.py: {self.program} cannot run {model}: {done.stderr.strip()}")
        return np.fromfile(outputs, "<f4").reshape(len(images), len(LABELS))


def policy(precision):
    # Another machine rounds in another order. In int8 such a difference may become one step of an activation.
    atol = {"fp32": 0.001, "int8": 0.25}[precision]
    return {
        "version": 1,
        "model": {"file": "model.onnx", "runtime": "onnx"},
        "validation": {
            "golden": {
                "inputs": "golden/inputs.f32", "outputs": "golden/outputs.f32", "samples": GOLDEN_SAMPLES,
                "input_shape": [1, SIDE, SIDE], "output_shape": [len(LABELS)], "atol": atol,
                "min_agreement": 1.0 if precision == "fp32" else 0.98,
                "labels": "golden/labels.u8", "min_accuracy": 0.5,
            },
            "latency": {"budget_us": 50000, "max_ratio_to_incumbent": 5.0, "runs": 50},
            "memory": {"budget_bytes": 128 << 20},
            "timeout_seconds": 30,
        },
        "confirmation": {"deadline_seconds": 20, "healthy_reports": 3, "max_restarts": 2},
    }


def write(folder, name, content):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def write_package(folder, precision, parameters, labels, data, runner):
    """Writes one variant; returns its accuracy on the test images."""
    os.makedirs(folder, exist_ok=True)
    model = os.path.join(folder, "model.onnx")
    if precision == "fp32":
        save_fp32(model, parameters)
    else:
        save_int8(model, parameters, data["calibration"])
    golden, kind = data["test"][0][:GOLDEN_SAMPLES], data["test"][1][:GOLDEN_SAMPLES]
    write(folder, "golden/inputs.f32", golden.astype("<f4").tobytes())
    outputs = runner.run(model, data["test"][0])
    write(folder, "golden/outputs.f32", outputs[:GOLDEN_SAMPLES].astype("<f4").tobytes())
    write(folder, "golden/labels.u8", kind.astype(np.uint8).tobytes())
    write(folder, "labels.txt", ("\n".join(labels) + "\n").encode())
    write(folder, "drover.json", (json.dumps(policy(precision), indent=2) + "\n").encode())
    return float((outputs.argmax(1) == data["test"][1]).mean())


def damage(folder, data, runner):
    """Overwrites an eighth of the largest weights with noise of their own kind, as a faulty export would."""
    path = os.path.join(folder, "model.onnx")
    model = onnx.load(path)
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(largest).copy()
    part = values[: len(values) // 8]
    part[:] = np.random.default_rng(SEED).permutation(part.reshape(-1)).reshape(part.shape)
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))
    onnx.save(model, path)
    outputs = runner.run(path, data["test"][0])
    return float((outputs.argmax(1) == data["test"][1]).mean())


def make_release(out, version, parameters, data, runner, labels=None, damaged=False):
    for precision in ("fp32", "int8"):
        folder = os.path.join(out, version, precision)
        accuracy = write_package(folder, precision, parameters, labels or LABELS, data, runner)
        if damaged:
            accuracy = damage(folder, data, runner)
        size = os.path.getsize(os.path.join(folder, "model.onnx"))
        print(f"{version} {precision}: accuracy {100 * accuracy:.1f} % on {TEST_SAMPLES} images, {size:,} bytes"
              + (", damaged" if damaged else ""), flush=True)


def train(data_rng):
    trainer = Trainer(np.random.default_rng(SEED + 1), *make_images(data_rng, TRAIN_SAMPLES))
    models = {}
    trainer.one_pass(0.02)
    models["v1"] = trainer.snapshot()
    trainer.one_pass(0.02)
    trainer.one_pass(0.005)
    models["v2"] = trainer.snapshot()
    trainer.one_pass(0.002, share=0.25)
    models["v4"] = trainer.snapshot()
    return models


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", required=True, help="folder for the release directories")
    arguments.add_argument("--runner", required=True, help="path of drover-onnx-run")
    arguments = arguments.parse_args()
    started = time.monotonic()
    data_rng = np.random.default_rng(SEED)
    data = {"test": make_images(data_rng, TEST_SAMPLES), "calibration": make_images(data_rng, CALIBRATION_SAMPLES)[0]}
    models = train(data_rng)
    print(f"trained in {time.monotonic() - started:.1f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(os.path.abspath(arguments.runner), folder)
        make_release(arguments.out, "v1", models["v1"], data, runner)
        make_release(arguments.out, "v2", models["v2"], data, runner)
        make_release(arguments.out, "v3", models["v2"], data, runner, damaged=True)
        make_release(arguments.out, "v4", models["v4"], data, runner, labels=LABELS[:-1])
    print(f"done in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()

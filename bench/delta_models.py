#!/usr/bin/env python3
"""Pairs of model versions as training makes them, for the delta benchmark. numpy and onnx only; seeds are fixed.

  delta_models.py FOLDER      writes FOLDER/<net>.<pair>.<type>.{base,new}.<container>

Two networks of about 10 MB in fp32 are trained on synthetic images, then fine-tuned on a shifted domain in the ways that
people do it. Every pair is written in several element types.
"""

import json
import os
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES, SIDE, BATCH = 16, 32, 48
TYPES = ("fp32", "fp16", "bf16", "int8-own", "int8-frozen")


class Images:
    """Noisy shapes; the second domain is shifted, dimmer, and has a stain."""

    def __init__(self, rng):
        shapes = np.cumsum(rng.normal(size=(CLASSES, SIDE, SIDE)), axis=2)
        self.shapes = (shapes / shapes.std(axis=(1, 2), keepdims=True)).astype(np.float32)
        self.stain = (0.4 * rng.normal(size=(SIDE, SIDE))).astype(np.float32)

    def batch(self, count, domain, rng):
        labels = rng.integers(0, CLASSES, count)
        images = self.shapes[labels] * rng.uniform(0.5, 1.2, (count, 1, 1)) + rng.normal(size=(count, SIDE, SIDE)) * 1.5
        if domain:
            images = np.roll(images, 2, axis=1) * 0.8 + self.stain
        return images.reshape(count, -1).astype(np.float32), labels


class Net:
    """Optionally one convolution (as a product over patches), then dense layers; leaky or plain ReLU."""

    def __init__(self, dense, conv=0, leak=0.01):
        self.dense, self.conv, self.leak = dense, conv, leak

    def names(self):
        layers = (["conv"] if self.conv else []) + [f"dense{i}" for i in range(len(self.dense) - 1)]
        return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]

    def start(self, rng):
        sizes = ([(self.conv, 25)] if self.conv else []) + list(zip(self.dense[1:], self.dense[:-1]))
        return [p for rows, columns in sizes
                for p in ((rng.normal(size=(rows, columns)) * np.sqrt(2 / columns)).astype(np.float32),
                          np.zeros(rows, np.float32))]

    def act(self, z):
        return np.where(z > 0, z, np.float32(self.leak) * z)

    def slope(self, a):
        return np.where(a > 0, np.float32(1), np.float32(self.leak))

    def patches(self, x):
        windows = np.lib.stride_tricks.sliding_window_view(x.reshape(-1, SIDE, SIDE), (5, 5), axis=(1, 2))[:, ::4, ::4]
        return np.ascontiguousarray(windows).reshape(len(x), -1, 25)

    def gradients(self, params, x, labels):
        params, grads = list(params), [None] * len(params)
        first = 2 if self.conv else 0
        if self.conv:
            patches = self.patches(x)
            conv = self.act(patches @ params[0].T + params[1])
            x = conv.reshape(len(x), -1)
        acts = [x]
        for k in range(first, len(params), 2):
            z = acts[-1] @ params[k].T + params[k + 1]
            acts.append(z if k == len(params) - 2 else self.act(z))
        p = np.exp(acts[-1] - acts[-1].max(1, keepdims=True))
        g = p / p.sum(1, keepdims=True)
        g[np.arange(len(x)), labels] -= 1
        g /= np.float32(len(x))
        for i, k in reversed(list(enumerate(range(first, len(params), 2)))):
            grads[k], grads[k + 1] = g.T @ acts[i], g.sum(0)
            if i or self.conv:
                g = (g @ params[k]) * self.slope(acts[i])
        if self.conv:
            g = g.reshape(conv.shape)
            grads[0] = np.tensordot(g, patches, ((0, 1), (0, 1)))
            grads[1] = g.sum((0, 1))
        return grads, acts[-1]

    def accuracy(self, params, images, domain):
        x, labels = images.batch(1000, domain, np.random.default_rng(99))
        return float((self.gradients(params, x, labels)[1].argmax(1) == labels).mean())


def train(net, images, params, steps, rate, domain, seed, decay=0.01, only=None, mask=None):
    """AdamW; `only`: indices of the parameters that move; `mask`: zeros that stay zero."""
    rng = np.random.default_rng(seed)
    params = [p.copy() for p in params]
    first = [np.zeros_like(p) for p in params]
    second = [np.zeros_like(p) for p in params]
    for t in range(1, steps + 1):
        x, labels = images.batch(BATCH, domain, rng)
        for k, g in enumerate(net.gradients(params, x, labels)[0]):
            if only is not None and k not in only:
                continue
            first[k] = 0.9 * first[k] + 0.1 * g
            second[k] = 0.999 * second[k] + 0.001 * g * g
            step = first[k] / (1 - 0.9 ** t) / (np.sqrt(second[k] / (1 - 0.999 ** t)) + 1e-8) + decay * params[k]
            params[k] = (params[k] - np.float32(rate) * step).astype(np.float32)
            if mask is not None and mask[k] is not None:
                params[k] = params[k] * mask[k] + 0.0
    return params


def pairs(net, images):
    """(name, base, new) for each way of making a new version."""
    base = train(net, images, net.start(np.random.default_rng(1)), 200, 1e-3, 0, 5)
    last = len(base)
    for name, rate, steps in (("gentle", 1e-6, 80), ("usual", 1e-5, 80), ("strong", 1e-4, 120)):
        yield name, base, train(net, images, base, steps, rate, 1, 7)
    yield "adam-no-decay", base, train(net, images, base, 80, 1e-5, 1, 7, decay=0.0)
    yield "head-only", base, train(net, images, base, 60, 1e-4, 1, 8, only={last - 2, last - 1})
    yield "last-layers", base, train(net, images, base, 60, 1e-4, 1, 9, only=set(range(last - 4, last)))
    mask = [(np.abs(p) > np.quantile(np.abs(p), 0.8)).astype(np.float32) if p.size > 100000 else None for p in base]
    pruned = train(net, images, [p * m + 0.0 if m is not None else p for p, m in zip(base, mask)], 40, 1e-4, 0, 10, mask=mask)
    yield "pruned-80", pruned, train(net, images, pruned, 80, 1e-5, 1, 11, mask=mask)
    yield "retrained", base, train(net, images, net.start(np.random.default_rng(77)), 200, 1e-3, 1, 50)


def bf16(p):
    u = p.view(np.uint32).astype(np.uint64)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def scales_of(params):
    return [np.maximum(np.abs(p).max(1), 1e-12).astype(np.float32) / 127 if p.ndim == 2 else None for p in params]


def tensors(net, params, kind, scales):
    """(name, type of safetensors, type of ONNX, array) in the given element type."""
    for name, p, s in zip(net.names(), params, scales):
        if kind == "bf16":
            yield name, "BF16", TensorProto.BFLOAT16, bf16(p)
        elif kind == "fp16":
            yield name, "F16", TensorProto.FLOAT16, p.astype(np.float16)
        elif kind.startswith("int8") and s is not None:
            yield name, "I8", TensorProto.INT8, np.clip(np.round(p / s[:, None]), -127, 127).astype(np.int8)
            yield name + "_scale", "F32", TensorProto.FLOAT, s
        else:
            yield name, "F32", TensorProto.FLOAT, p


def as_onnx(items):
    initialisers = []
    for name, _, number, array in items:
        t = TensorProto(name=name, data_type=number, raw_data=array.tobytes())
        t.dims.extend(array.shape)
        initialisers.append(t)
    # The graph's nodes do not matter here, its weights do.
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "net",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])], initialisers)
    return helper.make_model(graph).SerializeToString()


def as_safetensors(items):
    header, data = {}, b""
    for name, word, _, array in items:
        raw = array.tobytes()
        header[name] = {"dtype": word, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def as_raw(items):
    return b"".join(array.tobytes() for _, _, _, array in items)


CONTAINERS = {"onnx": as_onnx, "safetensors": as_safetensors, "raw": as_raw}


def containers_for(pair, kind):
    """Everything as ONNX; the usual pair in the other containers too."""
    return CONTAINERS if pair == "usual" and kind in ("fp32", "bf16", "int8-frozen") else ("onnx",)


def write_pair(folder, label, net, base, new, pair):
    for kind in TYPES:
        own, frozen = scales_of(new), scales_of(base)
        after = frozen if kind == "int8-frozen" else own
        for container in containers_for(pair, kind):
            for which, params, scales in (("base", base, frozen), ("new", new, after)):
                content = CONTAINERS[container](list(tensors(net, params, kind, scales)))
                with open(os.path.join(folder, f"{label}.{pair}.{kind}.{which}.{container}"), "wb") as file:
                    file.write(content)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    images = Images(np.random.default_rng(3))
    nets = {"mlp": Net((SIDE * SIDE, 1024, 1024, 512, CLASSES)), "cnn": Net((49 * 40, 1024, 512, CLASSES), conv=40),
            "relu": Net((SIDE * SIDE, 1024, 1024, 512, CLASSES), leak=0.0)}
    for label, net in nets.items():
        for pair, base, new in pairs(net, images):
            if label == "relu" and pair not in ("adam-no-decay", "usual"):
                continue  # dead units make most weights identical: one kind of net among others, not the benchmark
            if label != "relu" and pair == "adam-no-decay":
                continue
            print(f"{label:5} {pair:14} accuracy on the new domain {net.accuracy(base, images, 1):.3f} -> "
                  f"{net.accuracy(new, images, 1):.3f}", file=sys.stderr, flush=True)
            write_pair(folder, label, net, base, new, pair)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])

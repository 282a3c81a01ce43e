#!/usr/bin/env python3
"""Pairs of model versions as training makes them, for the delta benchmark. numpy and onnx only; seeds are fixed.

  delta_models.py FOLDER [--quick]     writes FOLDER/<net>.<pair>.<type>.{base,new}.<container>

Networks of 10 to 58 MB in fp32 are trained on synthetic images, then fine-tuned on a shifted domain in the ways that
people do it, and written in several element types and containers. What is there already is kept: a run that was
interrupted goes on where it was.
"""

import json
import os
import sys

import numpy as np

from delta_formats import TYPES, model_bytes, scales_of
from delta_nets import CLASSES, SIDE, Images, Net, largest, masked, train

EDITION = "2"  # raise it when the models change: what other editions left is made anew

NETS = {"mlp": Net((SIDE * SIDE, 1024, 1024, 512, CLASSES)),                  # 10.5 MB
        "cnn": Net((49 * 40, 1024, 512, CLASSES), conv=40),                   # 10.2 MB
        "relu": Net((SIDE * SIDE, 1024, 1024, 512, CLASSES), leak=0.0),       # dead units: most weights stay identical
        "wide": Net((SIDE * SIDE, 2048, 2048, 512, CLASSES)),                 # 29 MB
        "large": Net((SIDE * SIDE, 3000, 3000, 768, CLASSES))}                # 58 MB
STEPS = {"wide": 100, "large": 60}  # of the base; 200 for the others
ONNX, ALL_CONTAINERS = ("onnx",), ("onnx", "safetensors", "raw")

PAIRS = ("usual", "gentle", "strong", "pruned-80", "last-layers", "head-only", "retrained")
FINE_TUNED = ("usual", "gentle", "strong")
# net, pair, element types, containers: in the order of being made and measured, a useful selection first, then what takes
# peers longer and longer. The two small networks in every way and type, the larger ones as they are mostly trained.
CELLS = (
    [("mlp", "usual", ("fp32", "bf16", "int8-frozen"), ONNX), ("mlp", "gentle", ("fp32", "bf16", "int8-frozen"), ONNX),
     ("mlp", "head-only", ("fp32", "bf16", "int8-frozen"), ONNX)]
    + [(net, pair, TYPES, ONNX) for net in ("mlp", "cnn") for pair in PAIRS]
    + [("relu", "adam-no-decay", ("fp32", "bf16", "int8-frozen"), ONNX)]
    + [("mlp", "usual", ("int8-frozen", "bf16", "fp32"), ALL_CONTAINERS)]
    + [("wide", pair, TYPES, ONNX) for pair in FINE_TUNED] + [("large", "usual", ("fp32", "bf16", "int8-frozen"), ONNX)])
QUICK = 3  # of the lines above


def cells(quick):
    """(net, pair, type, container), each once."""
    lines = CELLS[:QUICK] if quick else CELLS
    return list(dict.fromkeys((net, pair, kind, container) for net, pair, kinds, containers in lines
                              for kind in kinds for container in containers))


def file_name(folder, cell, which):
    net, pair, kind, container = cell
    return os.path.join(folder, f"{net}.{pair}.{kind}.{which}.{container}")


def fine_tuned(net, images, base, pair):
    """(base, new) parameters for one way of making a new version."""
    rates = {"gentle": (1e-6, 80), "usual": (1e-5, 80), "strong": (1e-4, 120)}
    if pair in rates:
        rate, steps = rates[pair]
        return base, train(net, images, base, steps, rate, 1, 7)
    if pair == "adam-no-decay":
        return base, train(net, images, base, 80, 1e-5, 1, 7, decay=0)
    if pair in ("head-only", "last-layers"):
        lowest = len(base) - (2 if pair == "head-only" else 4)
        return base, train(net, images, base, 60, 1e-4, 1, 8, lowest=lowest)
    if pair == "pruned-80":
        mask = [largest(p, 0.2) for p in base]
        pruned = train(net, images, masked(base, mask), 40, 1e-4, 0, 10, mask=mask)
        return pruned, train(net, images, pruned, 80, 1e-5, 1, 11, mask=mask)
    if pair == "retrained":
        return base, train(net, images, net.start(np.random.default_rng(77)), 150, 1e-3, 1, 50)
    raise ValueError(pair)


class Maker:
    """Trains at most once what several cells need, also across runs."""

    def __init__(self, folder):
        self.folder, self.images = folder, Images(np.random.default_rng(3))
        os.makedirs(folder, exist_ok=True)
        self.accuracies = {}
        path = os.path.join(folder, "accuracies.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.accuracies = json.load(file)

    def kept(self, name, make):
        """The lists of parameters that make() gives, from the folder when they are there."""
        path = os.path.join(self.folder, f"{name}.{EDITION}.npz")
        if not os.path.exists(path):
            arrays = {f"{i}.{k}": p for i, params in enumerate(make()) for k, p in enumerate(params)}
            np.savez(path + ".part.npz", **arrays)
            os.rename(path + ".part.npz", path)
        with np.load(path) as file:
            count = 1 + max(int(key.split(".")[0]) for key in file)
            return [[file[f"{i}.{k}"] for k in range(sum(key.startswith(f"{i}.") for key in file))] for i in range(count)]

    def base(self, label):
        net = NETS[label]
        start = net.start(np.random.default_rng(1))
        return self.kept(label, lambda: [train(net, self.images, start, STEPS.get(label, 200), 1e-3, 0, 5)])[0]

    def pair(self, label, pair):
        base, new = self.kept(f"{label}.{pair}", lambda: fine_tuned(NETS[label], self.images, self.base(label), pair))
        key = f"{label}.{pair}.{EDITION}"
        if key not in self.accuracies:
            self.accuracies[key] = [NETS[label].accuracy(p, self.images, 1) for p in (base, new)]
            with open(os.path.join(self.folder, "accuracies.json"), "w", encoding="utf-8") as file:
                json.dump(self.accuracies, file, indent=1)
            print("{:5} {:14} accuracy on the new domain {:.3f} -> {:.3f}".format(label, pair, *self.accuracies[key]),
                  file=sys.stderr, flush=True)
        return base, new

    def write(self, cell):
        """The two files of a cell, unless they are there."""
        label, pair, kind, container = cell
        paths = [file_name(self.folder, cell, which) for which in ("base", "new")]
        if all(os.path.exists(path) for path in paths) and self.current():
            return
        base, new = self.pair(label, pair)
        frozen = scales_of(base)
        after = frozen if kind == "int8-frozen" else scales_of(new)
        for path, params, scales in zip(paths, (base, new), (frozen, after)):
            with open(path + ".part", "wb") as file:
                file.write(model_bytes(NETS[label], params, kind, scales, container))
            os.rename(path + ".part", path)

    def current(self):
        """Files of another edition count as not there."""
        path = os.path.join(self.folder, "edition")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                if file.read() == EDITION:
                    return True
        for name in os.listdir(self.folder):
            if name.endswith(ALL_CONTAINERS):
                os.remove(os.path.join(self.folder, name))
        with open(path, "w", encoding="utf-8") as file:
            file.write(EDITION)
        return False


def main(arguments):
    quick = "--quick" in arguments
    folders = [a for a in arguments if a != "--quick"]
    if len(folders) != 1:
        sys.exit(__doc__)
    maker = Maker(folders[0])
    for cell in cells(quick):
        maker.write(cell)


if __name__ == "__main__":
    main(sys.argv[1:])

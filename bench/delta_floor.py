"""What a delta of the benchmark's models could come to at best, so that a missed goal can be judged.

An oracle that no codec can be: for each weight matrix it knows the unrounded change's best approximation of low rank, free
of noise, at 3 bits a number (the rank is the cheapest), and the exact scale of each row and column of what is left, for
nothing. What is left it takes for normal, and the true weight for evenly distributed within the cell that rounding made of
the base's. Everything else in the file is free: biases, scales, names. An element of a masked model that is zero costs nothing.
"""

import math
import os

import numpy as np

import delta_bench
import delta_models
from delta_formats import bf16, scales_of

PAIRS = ("gentle", "usual", "strong", "pruned-80")
TYPES = ("fp32", "fp16", "bf16", "int8-frozen")  # own scales are another change: of every element
RANKS = (0, 2, 8, 16, 32, 64)
BITS_OF_FACTOR = 3
SAMPLE = 20_000  # elements of a matrix
MANTISSA = {"fp16": (10, -14), "bf16": (7, -126), "fp32": (23, -126)}  # bits, smallest exponent

erf = np.vectorize(math.erf, otypes=[float])


def density(z):
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def integral(z):
    """Of the normal distribution function."""
    return 0.5 * z * (1 + erf(z / math.sqrt(2))) + density(z)


def stored(params, kind, scales):
    """The values that a file of this type has."""
    if kind == "fp32":
        return params.astype(np.float64)
    if kind == "fp16":
        return params.astype(np.float16).astype(np.float64)
    if kind == "bf16":
        return (bf16(params).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.clip(np.round(params / scales[:, None]), -127, 127) * scales[:, None].astype(np.float64)


def steps(values, kind, scales):
    """Between one number and the next."""
    if kind not in MANTISSA:
        return np.broadcast_to(scales[:, None].astype(np.float64), values.shape)
    bits, least = MANTISSA[kind]
    return 2.0 ** (np.maximum(np.floor(np.log2(np.maximum(np.abs(values), 1e-300))), least) - bits)


def bits_of(moved, step, mean, sigma, rounded):
    """The mean length of the codes of `moved` (multiples of `step`), of which mean and deviation are known."""
    place, width = (moved - mean) / sigma, step / sigma
    share = width * density(place)
    if rounded:  # of two roundings, evenly distributed each: a second difference
        wide = width > 0.02
        h, z = width[wide], place[wide]
        share[wide] = (integral(z + h) - 2 * integral(z) + integral(z - h)) / h
    return -np.log2(np.clip(share, 1e-6, 1)).mean()


class Matrix:
    """One matrix of a pair: its change, and that change's decomposition."""

    def __init__(self, base, new, masked, rng):
        self.base, self.new = base, new
        self.there = base != 0 if masked else np.ones(base.shape, bool)
        self.change = new.astype(np.float64) - base
        raised = np.where(self.there, self.change, 0) / max(self.there.mean(), 1e-9)
        places = np.flatnonzero(self.there)
        self.at = np.unravel_index(rng.choice(places, min(SAMPLE, len(places)), replace=False), base.shape)
        left, values, right = np.linalg.svd(raised.astype(np.float32), full_matrices=False)
        self.known = [(rank, *self.known_at(left[:, :rank] * values[:rank] @ right[:rank]))
                      for rank in RANKS if rank <= min(base.shape) // 4]

    def known_at(self, mean):
        """Mean and deviation of the sample's elements."""
        squares = np.where(self.there, (self.change - mean) ** 2, 0)
        rows, columns = (squares.sum(axis) / np.maximum(self.there.sum(axis), 1) for axis in (1, 0))
        whole = squares.sum() / max(self.there.sum(), 1)
        rows, columns = rows[self.at[0]], columns[self.at[1]]
        return mean[self.at], np.sqrt(np.maximum(rows * columns / max(whole, 1e-300), 1e-30))

    def floor(self, kind):
        """Bits."""
        scales = scales_of([self.base])[0]
        before, after = stored(self.base, kind, scales), stored(self.new, kind, scales)
        moved, step = (after - before)[self.at], steps(before, kind, scales)[self.at]
        return min(bits_of(moved, step, mean, sigma, kind != "fp32") * self.there.sum()
                   + rank * BITS_OF_FACTOR * sum(self.base.shape) for rank, mean, sigma in self.known)


def matrices(maker, label, pair):
    rng = np.random.default_rng(1)
    return [Matrix(b, n, pair == "pruned-80", rng) for b, n in zip(*maker.pair(label, pair)) if b.ndim == 2 and b.size > 4096]


def floor(run, _world, quick=False):
    bench = delta_bench.Bench(run, quick, 0)
    folder = os.path.join(bench.folder, "models")
    maker, rows = delta_models.Maker(folder), []
    for label in ("mlp",) if quick else ("mlp", "cnn"):
        for pair in PAIRS:
            found = matrices(maker, label, pair)
            for kind in TYPES:
                cell = (label, pair, kind, "onnx")
                maker.write(cell)
                base, new = (delta_models.file_name(folder, cell, which) for which in ("base", "new"))
                ours = bench.ours(base, new)["bytes"]
                least, plain = sum(m.floor(kind) for m in found) / 8, os.path.getsize(new)
                rows.append(delta_bench.row("floor " + " ".join(cell[:3]), "share of the file", round(ours / plain, 4),
                                            round(least / plain, 4), "oracle", round(least / ours, 3), None))
    return rows

"""A small network as an ONNX model that computes, a new version of it as training makes one, and samples that it gets right."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WIDTH, HIDDEN, CLASSES = 48, 96, 8


def network(seed, hidden=HIDDEN):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((hidden, WIDTH)).astype(np.float32) / 7, np.zeros(hidden, np.float32),
            rng.standard_normal((CLASSES, hidden)).astype(np.float32) / 10, np.zeros(CLASSES, np.float32)]


def tuned(params, size=0.002):
    """A change as training makes it: two directions and a little noise; every weight moves."""
    rng = np.random.default_rng(5)

    def change(p):
        if p.ndim == 1:
            return np.zeros_like(p)
        low_rank = rng.standard_normal((len(p), 2)) @ rng.standard_normal((2, p.shape[1]))
        return (size * (low_rank + 0.3 * rng.standard_normal(p.shape))).astype(np.float32)
    return [p + change(p) for p in params]


def outputs(params, x):
    return np.maximum(x @ params[0].T + params[1], 0) @ params[2].T + params[3]


def samples(params, count, seed):
    """Inputs and the labels that the model gives them, where it is sure."""
    x = np.random.default_rng(seed).standard_normal((20 * count, WIDTH)).astype(np.float32)
    y = np.sort(outputs(params, x), axis=1)
    sure = x[y[:, -1] - y[:, -2] > 0.1][:count]
    assert len(sure) == count
    return sure, outputs(params, sure).argmax(1).astype(np.uint8)


def onnx_model(params, kind="fp32"):
    nodes, initialisers, names = [], [], []
    for i, p in enumerate(params):
        names.append(f"p{i}")
        if kind == "int8" and p.ndim == 2:
            scale = (np.abs(p).max(1) / 127).astype(np.float32)
            initialisers += [numpy_helper.from_array(np.round(p / scale[:, None]).astype(np.int8), f"q{i}"),
                             numpy_helper.from_array(scale, f"s{i}")]
            nodes.append(helper.make_node("DequantizeLinear", [f"q{i}", f"s{i}"], [f"p{i}"], axis=0))
        else:
            initialisers.append(numpy_helper.from_array(p, f"p{i}"))
    nodes += [helper.make_node("Gemm", ["x", names[0], names[1]], ["h"], transB=1), helper.make_node("Relu", ["h"], ["a"]),
              helper.make_node("Gemm", ["a", names[2], names[3]], ["y"], transB=1)]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])], initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()

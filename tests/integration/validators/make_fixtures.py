#!/usr/bin/python3
"""Writes packages with small models, good and hostile, for the test of drover-validate-onnx.

    make_fixtures.py DIR
"""

import json
import os
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WIDTH = 4
SAMPLES = 8
INPUTS = np.arange(SAMPLES * WIDTH, dtype=np.float32).reshape(SAMPLES, WIDTH)
OUTPUTS = INPUTS * 2 + 1
MIB = 1 << 20


def tensor(name, value, kind=None):
    return numpy_helper.from_array(np.asarray(value, kind), name)


def model(nodes, initializers=(), inputs=None):
    inputs = inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTH])
    graph = helper.make_graph(nodes, "fixture", inputs, [output], list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made.SerializeToString()


CONSTANTS = [tensor("two", 2.0, np.float32), tensor("one", 1.0, np.float32)]
DOUBLE = [helper.make_node("Mul", ["x", "two"], ["twice"]), helper.make_node("Add", ["twice", "one"], ["y"])]


def good():
    return model(DOUBLE, CONSTANTS)


def heavy():
    """The same function after some hundred microseconds of work whose result counts for nothing."""
    size = 256
    nodes = [helper.make_node("MatMul", ["x", "widen"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{i}", "square"], [f"m{i + 1}"]) for i in range(40)]
    nodes += [helper.make_node("ReduceSum", ["m40", "axis"], ["nothing"], keepdims=1),
              helper.make_node("Add", ["x", "nothing"], ["same"]),
              helper.make_node("Mul", ["same", "two"], ["twice"]), helper.make_node("Add", ["twice", "one"], ["y"])]
    zeros = [tensor("widen", np.zeros((WIDTH, size)), np.float32),
             tensor("square", np.zeros((size, size)), np.float32), tensor("axis", [1], np.int64)]
    return model(nodes, CONSTANTS + zeros)


def loop(carried, body_nodes, body_value, extra_nodes=(), initializers=()):
    """A loop that goes on for the rest of time."""
    body = helper.make_graph(
        body_nodes, "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go_in", TensorProto.BOOL, []), body_value("v_in")],
        [helper.make_tensor_value_info("go_out", TensorProto.BOOL, []), body_value("v_out")])
    nodes = list(extra_nodes) + [helper.make_node("Loop", ["trips", "go", carried], ["looped"], body=body)]
    nodes += [helper.make_node("ReduceMax", ["looped"], ["end"], keepdims=0),
              helper.make_node("Add", ["x", "end"], ["y"])]
    return model(nodes, [tensor("trips", 2**62, np.int64), tensor("go", True, np.bool_), *initializers])


def spinning():
    nodes = [helper.make_node("Identity", ["go_in"], ["go_out"]), helper.make_node("Add", ["v_in", "step"], ["v_out"])]
    return loop("x", nodes, lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None),
                initializers=[tensor("step", 1.0, np.float32)])


def size_from_input(elements):
    """Nodes that make a tensor of so many floats. Its size comes from the input, so that nothing is folded at load."""
    nodes = [helper.make_node("Shape", ["x"], ["dims"]),
             helper.make_node("Gather", ["dims", "first"], ["rows"]),
             helper.make_node("Mul", ["rows", "elements"], ["size"]),
             helper.make_node("ConstantOfShape", ["size"], ["big"], value=tensor("", [1.0], np.float32))]
    return nodes, [tensor("first", [0], np.int64), tensor("elements", [elements], np.int64)]


def eating(elements):
    nodes, initializers = size_from_input(elements)
    nodes += [helper.make_node("ReduceMax", ["big"], ["end"], keepdims=0), helper.make_node("Add", ["x", "end"], ["y"])]
    return model(nodes, initializers)


def eating_and_spinning(elements):
    nodes, initializers = size_from_input(elements)
    body = [helper.make_node("Identity", ["go_in"], ["go_out"]), helper.make_node("Identity", ["v_in"], ["v_out"])]
    return loop("big", body, lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None), nodes,
                initializers)


def reading(location):
    """Weights that lie in another file."""
    weights = TensorProto(name="two", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        weights.external_data.add(key=key, value=value)
    return model(DOUBLE, [weights, CONSTANTS[1]])


def two_inputs():
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in ("x", "z")]
    return model([helper.make_node("Add", ["x", "z"], ["y"])], inputs=inputs)


def whole_numbers():
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", WIDTH])]
    return model([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], inputs=inputs)


def write(root, name, content, outputs=OUTPUTS, labels=None, golden=None, names=WIDTH, **validation):
    """One package. `golden` and `validation` change its policy; golden=False leaves the golden set out."""
    folder = os.path.join(root, name)
    os.makedirs(os.path.join(folder, "golden"))
    files = {"model.onnx": content, "golden/in.f32": INPUTS.tobytes(),
             "golden/out.f32": np.asarray(outputs, np.float32).tobytes(),
             "labels.txt": "".join(f"class {i}\n" for i in range(names)).encode()}
    rules = {"timeout_seconds": 60, **validation}
    if golden is not False:
        rules["golden"] = {"inputs": "golden/in.f32", "outputs": "golden/out.f32", "samples": SAMPLES,
                           "input_shape": [WIDTH], "output_shape": [WIDTH], "atol": 0.01, "min_agreement": 1.0,
                           **(golden or {})}
    if labels is not None:
        files["golden/labels.u8"] = np.asarray(labels, np.uint8).tobytes()
        rules["golden"].update(labels="golden/labels.u8", min_accuracy=0.9)
    policy = {"version": 1, "model": {"file": "model.onnx", "runtime": "onnx"}, "validation": rules,
              "confirmation": {"deadline_seconds": 20, "healthy_reports": 3, "max_restarts": 2}}
    files["drover.json"] = json.dumps(policy).encode()
    for file, data in files.items():
        with open(os.path.join(folder, file), "wb") as out:
            out.write(data)


def main(root):
    latency = {"budget_us": 1_000_000, "max_ratio_to_incumbent": 2.0, "runs": 30}
    memory = {"budget_bytes": 96 * MIB}
    right = OUTPUTS.argmax(1)
    write(root, "good", good(), labels=right, latency={**latency, "max_ratio_to_incumbent": 100}, memory=memory)
    write(root, "no-golden-set", good(), golden=False)
    write(root, "a-name-short", good(), names=WIDTH - 1)
    write(root, "off-by-half", good(), OUTPUTS + 0.5)
    write(root, "another-answer", good(), OUTPUTS[:, ::-1], golden={"atol": 1000})
    write(root, "wrong-labels", good(), labels=(right + 1) % WIDTH)
    logarithm = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Log", ["minus"], ["y"])]
    write(root, "no-number", model(logarithm), golden={"atol": 1000})
    write(root, "other-shape", good(), golden={"input_shape": [2, 2]})
    write(root, "two-inputs", two_inputs())
    write(root, "whole-numbers", whole_numbers())
    write(root, "truncated", good()[:-20])
    write(root, "garbage", np.random.default_rng(1).bytes(5000))
    write(root, "empty", b"")
    write(root, "reads-files", reading("/etc/hostname"))
    write(root, "reads-relative-files", reading("etc/hostname"))
    write(root, "heavy", heavy(), latency=latency)
    write(root, "over-latency", heavy(), latency={**latency, "budget_us": 2})
    write(root, "over-memory", good(), memory={"budget_bytes": 8 * MIB})
    write(root, "spins", spinning(), timeout_seconds=1)
    write(root, "spins-on", spinning(), timeout_seconds=600)
    write(root, "eats-all", eating(1 << 36), memory=memory)
    write(root, "eats-more", eating(100 * MIB // 4), memory=memory)
    write(root, "eats-and-spins", eating_and_spinning(400 * MIB // 4), memory=memory)


if __name__ == "__main__":
    main(sys.argv[1])

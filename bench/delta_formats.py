"""Trained parameters as model files: element types, and ONNX, safetensors or raw around them. ONNX files compute."""

import json
import struct

import numpy as np
from onnx import TensorProto, helper

from delta_nets import SIDE

TYPES = ("fp32", "fp16", "bf16", "int8-own", "int8-frozen")
CODES = {"fp32": ("F32", TensorProto.FLOAT), "fp16": ("F16", TensorProto.FLOAT16), "bf16": ("BF16", TensorProto.BFLOAT16),
         "int8": ("I8", TensorProto.INT8)}
OPSET, IR_VERSION = 13, 8  # what every runtime of the last years reads


def bf16(p):
    u = p.view(np.uint32).astype(np.uint64)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def scales_of(params):
    """One for each row of a matrix, so that its largest weight becomes 127."""
    return [np.maximum(np.abs(p).max(1), 1e-12).astype(np.float32) / np.float32(127) if p.ndim == 2 else None for p in params]


def tensors(net, params, kind, scales):
    """(name, code, array) in the given element type; biases of int8 models stay fp32."""
    for name, p, s in zip(net.names(), params, scales):
        if kind == "bf16":
            yield name, "bf16", bf16(p)
        elif kind == "fp16":
            yield name, "fp16", p.astype(np.float16)
        elif kind.startswith("int8") and s is not None:
            yield name, "int8", np.clip(np.round(p / s[:, None]), -127, 127).astype(np.int8)
            yield name + "_scale", "fp32", s
        else:
            yield name, "fp32", p


def initialiser(name, code, array):
    shape = (len(array), 1, 5, 5) if name == "conv.weight" else array.shape
    tensor = TensorProto(name=name, data_type=CODES[code][1], raw_data=array.tobytes())
    tensor.dims.extend(shape)
    return tensor


def readers(items):
    """Nodes that turn what is stored into fp32, and the names under which the layers find it."""
    nodes, names = [], {}
    for name, code, _ in items:
        names[name] = name if code == "fp32" else name + "_as_fp32"
        if code == "int8":
            nodes.append(helper.make_node("DequantizeLinear", [name, name + "_scale"], [names[name]], axis=0))
        elif code != "fp32":
            nodes.append(helper.make_node("Cast", [name], [names[name]], to=TensorProto.FLOAT))
    return nodes, names


def as_onnx(net, items):
    nodes, names = readers(items)
    at = "x"
    if net.conv:
        nodes += [helper.make_node("Conv", [at, names["conv.weight"], names["conv.bias"]], ["conv"], strides=[4, 4]),
                  helper.make_node("LeakyRelu", ["conv"], ["conv_act"], alpha=net.leak),
                  helper.make_node("Transpose", ["conv_act"], ["conv_last"], perm=[0, 2, 3, 1]),
                  helper.make_node("Flatten", ["conv_last"], ["flat"])]
        at = "flat"
    count = len(net.dense) - 1
    for i in range(count):
        out = "y" if i == count - 1 else f"dense{i}"
        inputs = [at, names[f"dense{i}.weight"], names[f"dense{i}.bias"]]
        nodes.append(helper.make_node("Gemm", inputs, [out], transB=1))
        if i < count - 1:
            nodes.append(helper.make_node("LeakyRelu", [out], [out + "_act"], alpha=net.leak))
        at = out + "_act"
    shape = ["n", 1, SIDE, SIDE] if net.conv else ["n", net.dense[0]]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", net.dense[-1]])],
                              [initialiser(*item) for item in items])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                             producer_name="drover-bench").SerializeToString()


def as_safetensors(_net, items):
    header, data = {}, b""
    for name, code, array in items:
        raw = array.tobytes()
        header[name] = {"dtype": CODES[code][0], "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def as_raw(_net, items):
    return b"".join(array.tobytes() for _, _, array in items)


CONTAINERS = {"onnx": as_onnx, "safetensors": as_safetensors, "raw": as_raw}


def model_bytes(net, params, kind, scales, container):
    return CONTAINERS[container](net, list(tensors(net, params, kind, scales)))

"""Small real models for the tests, and JPEGs to show them."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from mediagate.classifier import ClassifierConfig

EDGE = 32
RED, GREEN, BLUE = (240, 16, 16), (16, 240, 16), (16, 16, 240)


def jpeg(*colours: tuple[int, int, int], width: int = 300, height: int = 200) -> bytes:
    """Vertical stripes of these colours, as the imaging pipeline would write them."""
    image = Image.new("RGB", (width, height))
    for index, colour in enumerate(colours):
        image.paste(colour, (index * width // len(colours), 0, width, height))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=90)
    return target.getvalue()


def colour_model(
    *,
    layout: str = "nchw",
    shape: Sequence[str | int | None] | None = None,
    weights: Sequence[Sequence[float]] = ((12, 0, 0), (0, 12, 0), (0, 0, 12)),
    bias: float = -6,
    outputs: int | None = None,
) -> onnx.ModelProto:
    """The mean of each channel (0..1), weighed: one output per row of `weights` (given in the model's channel order).

    With the defaults and a sigmoid after it, output 0 says how red the picture is: 0.5 at half of full red.
    """
    shape = shape or ([1, 3, EDGE, EDGE] if layout == "nchw" else [1, EDGE, EDGE, 3])
    matrix = np.array(weights, np.float32).T
    last = [1, outputs or matrix.shape[1]]
    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["means"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["means", "matrix", "bias"], ["out"]),
    ]
    constants = [
        numpy_helper.from_array(matrix, "matrix"),
        numpy_helper.from_array(np.full(matrix.shape[1], bias, np.float32), "bias"),
    ]
    return model(nodes, shape, last, constants)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[str | int | None],
    last: Sequence[str | int | None],
    constants: Sequence[Any] = (),
) -> onnx.ModelProto:
    """A model from `picture` to `out`."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, last)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def label_map(**changes: Any) -> dict[str, Any]:
    """For `colour_model`: red is nudity, green is gore, blue is nothing."""
    return {
        "model": "colours-1",
        "activation": "sigmoid",
        "labels": [
            {"name": "red", "category": "nudity"},
            {"name": "green", "category": "gore"},
            {"name": "blue", "category": None},
        ],
        **changes,
    }


def write(folder: Path, made: onnx.ModelProto | bytes, labels: dict[str, Any] | None = None) -> ClassifierConfig:
    """The files of a model and its label map, and the settings that name them."""
    data = made if isinstance(made, bytes) else made.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    (folder / "labels.json").write_text(json.dumps(labels or label_map()))
    return ClassifierConfig(
        model=folder / "model.onnx", sha256=hashlib.sha256(data).hexdigest(), labels=folder / "labels.json"
    )

"""A model file as a session of ONNX Runtime: the bytes that were checked, on the CPU, nothing read from beside them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mediagate.classifier.config import read_bounded
from mediagate.errors import ClassifierUnusable
from mediagate.media.values import MIB

if TYPE_CHECKING:
    from numpy import float32, float64
    from numpy.typing import NDArray

MAX_MODEL = 1024 * MIB
MOST_EDGE = 2048
"""Pixels; the moderation copy has no more."""

_SILENT = 4
"""ONNX Runtime logs fatal errors only: what goes wrong is raised as well."""
_FLOATS = frozenset({"tensor(float)", "tensor(double)", "tensor(float16)"})


class Geometry(NamedTuple):
    """The picture that a model takes."""

    width: int
    height: int
    layout: str
    """`nchw` or `nhwc`"""


class Model:
    """A loaded model with one picture in and one row of numbers out."""

    def __init__(self, session: Any, layout: str | None) -> None:
        """`layout`: as the label map tells; None: found out.

        Raises:
            ClassifierUnusable: its inputs or outputs are of another kind.
        """
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            raise ClassifierUnusable(f"The model must take one tensor(float), not {_kinds(inputs)}.")
        if len(outputs) != 1 or outputs[0].type not in _FLOATS:
            raise ClassifierUnusable(f"The model must give one tensor of floats, not {_kinds(outputs)}.")
        self.geometry = geometry(inputs[0].shape, layout)
        self._session = session
        self._input: str = inputs[0].name

    def run(self, picture: "NDArray[float32]") -> "NDArray[float64]":
        """The outputs, flat, for a picture of `geometry` as height × width × 3.

        Raises:
            ClassifierUnusable: the model fails, or gives something that is no number.
        """
        import numpy as np

        axes = (2, 0, 1) if self.geometry.layout == "nchw" else (0, 1, 2)
        batch = np.ascontiguousarray(picture.transpose(axes)[np.newaxis])
        try:
            (found,) = self._session.run(None, {self._input: batch})
        except MemoryError:
            raise
        except Exception as error:  # the runtime's own have no class in common
            raise ClassifierUnusable(f"The model cannot be run: {_first_line(error)}") from error
        outputs: NDArray[float64] = np.asarray(found, dtype=np.float64).reshape(-1)
        if not np.isfinite(outputs).all():
            raise ClassifierUnusable("The model gives infinite outputs, or such that are no numbers.")
        return outputs


def load_model(path: Path, sha256: str, layout: str | None) -> Model:
    """The model in a file, which is read once: the bytes that have the checksum are the ones that are loaded.

    Raises:
        ClassifierUnusable: ONNX Runtime is not installed; the file cannot be read, is another one or no such model.
    """
    runtime = _runtime()
    data = read_bounded(path, MAX_MODEL)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ClassifierUnusable(f"The model {path} has the SHA-256 {found}, and not {sha256} as it should.")
    options = runtime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as many processes as there are cores do this
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Tensors in other files are looked for in this folder, which can have none: such a model is not loaded.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:
        raise ClassifierUnusable(f"The model {path} cannot be loaded: {_first_line(error)}") from error
    return Model(session, layout)


def geometry(shape: Sequence[object], told: str | None) -> Geometry:
    """What a model's input shape says; axes without a fixed length are names or None in it.

    Raises:
        ClassifierUnusable: it is no batch of pictures with three channels and a fixed size, or not as was told.
    """
    if len(shape) != 4 or (isinstance(shape[0], int) and shape[0] != 1):
        raise ClassifierUnusable(f"The model's input {_axes(shape)} is no batch of one picture.")
    fitting = [layout for layout, axis in (("nchw", 1), ("nhwc", 3)) if shape[axis] == 3 and told in (None, layout)]
    if not fitting:
        raise ClassifierUnusable(
            f"The model's input {_axes(shape)} has no three channels where {told or 'any layout'} has."
        )
    if len(fitting) > 1:
        raise ClassifierUnusable(f"The model's input {_axes(shape)} may be nchw or nhwc: say which in the label map.")
    height, width = shape[2:4] if fitting == ["nchw"] else shape[1:3]
    if not (
        isinstance(height, int)
        and isinstance(width, int)
        and 1 <= min(height, width) <= max(height, width) <= MOST_EDGE
    ):
        raise ClassifierUnusable(f"The model's input {_axes(shape)} has no fixed size of at most {MOST_EDGE} pixels.")
    return Geometry(width, height, fitting[0])


def _runtime() -> Any:
    try:
        import numpy as np  # noqa: F401  # the other half of the extra
        import onnxruntime
    except ImportError as error:
        raise ClassifierUnusable(f"A model needs ONNX Runtime ({error}): install mediagate[onnx].") from error
    onnxruntime.set_default_logger_severity(_SILENT)
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _axes(shape: Sequence[object]) -> str:
    return "×".join(str(axis) if isinstance(axis, int) else "?" for axis in shape)


def _kinds(tensors: Sequence[Any]) -> str:
    return " and ".join(str(tensor.type) for tensor in tensors) or "none"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:500]

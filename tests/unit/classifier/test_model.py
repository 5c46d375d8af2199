"""Which model files are loaded, and what is said of the others."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from mediagate.classifier import ClassifierConfig, LocalClassifier, check
from mediagate.classifier.model import Geometry, geometry
from mediagate.errors import ClassifierUnusable
from tests.unit.classifier.models import EDGE, colour_model, jpeg, label_map, model, write

ROOT = Path(__file__).parents[3]


def refusal(folder: Path, made: onnx.ModelProto | bytes, **labels: object) -> str:
    """Why a model is not loaded."""
    with pytest.raises(ClassifierUnusable) as refused:
        LocalClassifier.load(write(folder, made, label_map(**labels)))
    return refused.value.message


def output_of(program: str, config: ClassifierConfig | None = None) -> bytes:
    """What a Python process prints that finds the config on its standard input; it must not complain."""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, input=pickle.dumps(config), capture_output=True, cwd=ROOT, timeout=60, check=True)
    assert ended.stderr == b""
    return ended.stdout


class TestGeometry:
    @pytest.mark.parametrize(
        ("shape", "told", "found"),
        [
            ([1, 3, 224, 299], None, Geometry(299, 224, "nchw")),
            (["batch", 3, 224, 224], None, Geometry(224, 224, "nchw")),
            ([None, 224, 299, 3], None, Geometry(299, 224, "nhwc")),
            ([1, 3, 3, 3], "nhwc", Geometry(3, 3, "nhwc")),
        ],
    )
    def test_is_seen_from_the_shape(self, shape: list[object], told: str | None, found: Geometry) -> None:
        assert geometry(shape, told) == found

    @pytest.mark.parametrize(
        ("shape", "told", "why"),
        [
            ([1, 3, 224], None, "no batch of one picture"),
            ([8, 3, 224, 224], None, "no batch of one picture"),
            ([1, 1, 224, 224], None, "no three channels"),
            ([1, 3, 224, 224], "nhwc", "no three channels where nhwc"),
            ([1, 3, 3, 3], None, "say which"),
            ([1, 3, "height", "width"], None, "no fixed size"),
            ([1, 3, 224, 4096], None, "no fixed size"),
            ([1, 3, 0, 224], None, "no fixed size"),
        ],
    )
    def test_that_does_not_fit_is_refused(self, shape: list[object], told: str | None, why: str) -> None:
        with pytest.raises(ClassifierUnusable, match=why):
            geometry(shape, told)


class TestTheFile:
    def test_another_one_is_not_loaded(self, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        config.model.write_bytes(colour_model(bias=-7).SerializeToString())
        with pytest.raises(ClassifierUnusable, match=f"and not {config.sha256} as it should"):
            LocalClassifier.load(config)

    @pytest.mark.parametrize("data", [b"", b"no model at all", b"\x00" * 4096])
    def test_that_is_no_model(self, tmp_path: Path, data: bytes) -> None:
        assert "cannot be loaded" in refusal(tmp_path, data)

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
    def test_that_was_cut_off(self, tmp_path: Path, share: float) -> None:
        data = colour_model().SerializeToString()
        assert "cannot be loaded" in refusal(tmp_path, data[: int(len(data) * share)])

    def test_that_is_not_there(self, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        config.model.unlink()
        with pytest.raises(ClassifierUnusable, match="cannot be read: No such file"):
            LocalClassifier.load(config)

    def test_that_is_larger_than_any_model(self, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        with config.model.open("ab") as file:
            file.truncate(1024**3 + 1)  # sparse
        with pytest.raises(ClassifierUnusable, match="larger than 1024 MiB"):
            LocalClassifier.load(config)


class TestOtherFiles:
    @pytest.mark.parametrize("where", ["initializer", "constant"])
    @pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{folder}/weights.bin"])
    def test_are_never_read(self, tmp_path: Path, where: str, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
        matrix = np.eye(3, dtype=np.float32)
        (tmp_path / "weights.bin").write_bytes(matrix.tobytes())
        inner = tmp_path / "inner"
        inner.mkdir()
        monkeypatch.chdir(inner if location.startswith("..") else tmp_path)
        tensor = numpy_helper.from_array(matrix, "matrix")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location.format(folder=tmp_path)), ("length", str(matrix.nbytes))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        nodes = [
            helper.make_node("ReduceMean", ["picture"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "matrix"], ["out"]),
        ]
        if where == "constant":
            nodes.insert(0, helper.make_node("Constant", [], ["matrix"], value=tensor))
        made = model(nodes, [1, 3, EDGE, EDGE], [1, 3], [tensor] if where == "initializer" else [])
        assert "xternal data" in refusal(Path.cwd(), made)


class TestForeignCode:
    def test_operators_of_others_are_unknown(self, tmp_path: Path) -> None:
        made = colour_model()
        made.graph.node[1].domain = "their.own"
        made.opset_import.append(helper.make_opsetid("their.own", 1))
        assert "their.own:Gemm" in refusal(tmp_path, made)


class TestInputsAndOutputs:
    def test_a_model_that_takes_bytes(self, tmp_path: Path) -> None:
        made = colour_model()
        made.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
        for constant in made.graph.initializer:
            constant.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float64), constant.name)
            )
        made.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
        assert "must take one tensor(float), not tensor(double)" in refusal(tmp_path, made)

    def test_a_model_with_two_outputs(self, tmp_path: Path) -> None:
        made = colour_model()
        made.graph.output.append(helper.make_tensor_value_info("means", TensorProto.FLOAT, [1, 3]))
        assert "must give one tensor of floats" in refusal(tmp_path, made)

    def test_a_label_map_of_another_model(self, tmp_path: Path) -> None:
        told = refusal(tmp_path, colour_model(weights=((1, 0, 0), (0, 1, 0))))
        assert told == "The model gives 2 outputs, and the label map names 3."

    def test_outputs_that_are_no_probabilities(self, tmp_path: Path) -> None:
        assert "not within 0..1" in refusal(tmp_path, colour_model(), activation="none")

    def test_outputs_that_are_no_numbers(self, tmp_path: Path) -> None:
        assert "no numbers" in refusal(tmp_path, colour_model(bias=float("nan")))


class TestTheOptionalExtra:
    @pytest.mark.parametrize("absent", ["onnxruntime", "numpy"])
    def test_is_asked_for_where_it_is_missing(self, tmp_path: Path, absent: str) -> None:
        config = write(tmp_path, colour_model())
        program = (
            "import pickle, sys\n"
            f"sys.modules[{absent!r}] = None\n"
            "from mediagate.classifier import check\n"
            "from mediagate.errors import ClassifierUnusable\n"
            "config = pickle.load(sys.stdin.buffer)\n"
            "try:\n    check(config)\n"
            "except ClassifierUnusable as error:\n    print(error)\n"
        )
        told = output_of(program, config).decode()
        assert f"import of {absent} halted" in told
        assert told.endswith("install mediagate[onnx].\n")

    def test_is_not_loaded_before_there_is_a_model(self) -> None:
        program = "import sys, mediagate.classifier; print(sorted({'numpy', 'onnxruntime'} & sys.modules.keys()))"
        assert output_of(program) == b"[]\n"


class TestCheck:
    def test_says_what_is_loaded(self, tmp_path: Path) -> None:
        assert check(write(tmp_path, colour_model())) == "colours-1: 32×32 nchw, 3 labels for gore, nudity"

    @pytest.mark.parametrize(
        ("made", "told"), [(b"no model", b"ClassifierUnusable\n"), (colour_model(outputs=7).SerializeToString(), b"")]
    )
    def test_leaves_the_streams_alone(self, tmp_path: Path, made: bytes, told: bytes) -> None:
        program = (
            "import pickle, sys\n"
            "from mediagate.classifier import check\n"
            "try:\n    check(pickle.load(sys.stdin.buffer))\n"
            "except Exception as error:\n    print(type(error).__name__)\n"
        )
        assert output_of(program, write(tmp_path, made)) == told

    def test_starts_no_threads(self, tmp_path: Path) -> None:
        process = psutil.Process()
        before = process.num_threads()
        LocalClassifier.load(write(tmp_path, colour_model())).classify(jpeg((255, 0, 0)))
        assert process.num_threads() <= before

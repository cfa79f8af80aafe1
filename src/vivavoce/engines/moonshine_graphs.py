"""Convert the published Moonshine files into graphs that decode about eight times faster.

The publisher ships `.ort` files whose int8 weights are dequantized by Cast, Mul and Add nodes.
onnxruntime folds such constants when it loads an `.onnx` file but not when it loads an `.ort`
file, so the published decoder dequantizes all of its weights for every token: 77 ms a token on
one thread, against 9 ms after this conversion.

The conversion runs once, when the weights are unpacked (5 s of CPU), and writes:

    encoder.onnx     float32: int8 would cost three points of word error rate in noise at 10 dB
    first.onnx       decoder without a cache: any number of tokens in, logits for each of them
    step.onnx        decoder with a cache: one token in
    embedding.npy    token embeddings, float32 [32768, 416], shared by both decoder graphs
    tokenizer.bin    as published

The matrix products of the decoder are quantized to int8 (dynamic, per channel): the word error
rate in quiet stays the same, a token costs half as much.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vivavoce.engines.weights import import_onnxruntime
from vivavoce.errors import EngineError
from vivavoce.install_hints import missing_library

if TYPE_CHECKING:
    import onnx

ENGINE = "recognizer.moonshine"
TOKENIZER = "tokenizer.bin"
PUBLISHED_ENCODER = "encoder_model.ort"
PUBLISHED_DECODER = "decoder_model_merged.ort"
SOURCE_FILES = (PUBLISHED_ENCODER, PUBLISHED_DECODER, TOKENIZER)
ENCODER, FIRST, STEP, EMBEDDING = "encoder.onnx", "first.onnx", "step.onnx", "embedding.npy"
CONVERTED_FILES = (ENCODER, FIRST, STEP, EMBEDDING, TOKENIZER)

BRANCHES = {"else_branch": FIRST, "then_branch": STEP}
"""The published decoder is one `If` on whether a cache is given; each branch becomes a graph."""


def convert(source: Path, target: Path) -> None:
    """Write `CONVERTED_FILES` into `target`, made from the `SOURCE_FILES` in `source`.

    Raises `EngineMissing` when the package `onnx` is not installed, `EngineError` when the files
    are not the ones that this conversion knows.
    """
    _require_onnx()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".convert-") as name:
        work = Path(name)
        try:
            _convert_encoder(source / PUBLISHED_ENCODER, work)
            _convert_decoder(source / PUBLISHED_DECODER, work)
        except (EngineError, OSError):
            raise
        except Exception as error:  # onnx and onnxruntime share no base for their errors
            raise EngineError(ENGINE, f"{source} can't be converted: {error}") from error
        shutil.copyfile(source / TOKENIZER, work / TOKENIZER)
        for file in CONVERTED_FILES:
            (work / file).replace(target / file)


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise missing_library(ENGINE, error, "onnx") from error


def _convert_encoder(published: Path, work: Path) -> None:
    raw = work / "encoder.raw.onnx"
    _rewrite(published, raw, fold=False)
    _rewrite(raw, work / ENCODER, fold=True)


def _convert_decoder(published: Path, work: Path) -> None:
    import onnx

    raw, named, folded = (work / f"decoder.{step}.onnx" for step in ("raw", "named", "folded"))
    _rewrite(published, raw, fold=False)
    model = onnx.load(raw)
    for branch in _branches(model):
        branch.g.name = branch.name  # lost in the .ort file; onnxruntime refuses an empty name
    onnx.save(model, named)
    _rewrite(named, folded, fold=True)
    model = onnx.load(folded)
    for branch in _branches(model):
        graph = _extract_branch(model, branch.g)
        _take_out_embedding(graph, work / EMBEDDING)
        _quantize_products(graph)
        onnx.save(graph, work / BRANCHES[branch.name])


def _rewrite(source: Path, target: Path, fold: bool) -> None:
    """Have onnxruntime write `source` as `.onnx`, with or without its constants folded."""
    ort = import_onnxruntime(ENGINE)
    levels = ort.GraphOptimizationLevel
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(target)
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC if fold else levels.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ONNX")
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _branches(model: onnx.ModelProto) -> list[onnx.AttributeProto]:
    conditions = [node for node in model.graph.node if node.op_type == "If"]
    branches = [branch for node in conditions for branch in node.attribute]
    if {branch.name for branch in branches} != set(BRANCHES):
        raise EngineError(ENGINE, "the decoder is an unknown one: it has no two branches.")
    return branches


def _extract_branch(model: onnx.ModelProto, branch: onnx.GraphProto) -> onnx.ModelProto:
    """Return a branch of the `If` as a model of its own, with its weights and inputs."""
    from onnx import helper

    used = _names_in(branch)
    graph = helper.make_graph(
        list(branch.node),
        branch.name,
        [each for each in model.graph.input if each.name in used],
        list(branch.output),
        [each for each in model.graph.initializer if each.name in used] + list(branch.initializer),
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _names_in(graph: onnx.GraphProto) -> set[str]:
    """Return the values that the nodes of `graph` and of graphs inside it read, and its outputs."""
    names = {output.name for output in graph.output}
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= _names_in(attribute.g)
    return names


def _take_out_embedding(model: onnx.ModelProto, target: Path) -> None:
    """Replace the input `input_ids` by `embedded`, and write the embedding table to `target`.

    Both decoder graphs would hold a copy of the table, 55 MB each; outside of them there is one,
    which is mapped from its file and of which only the rows in use are read.
    """
    from onnx import numpy_helper

    graph = model.graph
    lookup = next(node for node in graph.node if node.op_type == "Gather" and _reads_ids(node))
    table = next(each for each in graph.initializer if each.name == lookup.input[0])
    if any(table.name in node.input for node in graph.node if node is not lookup):
        raise EngineError(ENGINE, "the decoder is an unknown one: its embedding is shared.")
    np.save(target, numpy_helper.to_array(table))
    embedded = _embedded_input(table.dims[1])
    ids = next(each for each in graph.input if each.name == "input_ids")
    graph.input.remove(ids)
    graph.input.insert(0, embedded)
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name == lookup.output[0]:
                node.input[at] = embedded.name
    graph.node.remove(lookup)
    graph.initializer.remove(table)


def _reads_ids(node: onnx.NodeProto) -> bool:
    return len(node.input) > 1 and node.input[1] == "input_ids"


def _embedded_input(width: int) -> Any:
    from onnx import TensorProto, helper

    shape: list[str | int | None] = ["batch_size", "decoder_sequence_length", width]
    return helper.make_tensor_value_info("embedded", TensorProto.FLOAT, shape)


def _quantize_products(model: onnx.ModelProto) -> None:
    """Replace each product with a constant matrix by its dynamic int8 form, one scale a column.

    The same scheme as `onnxruntime.quantization.quantize_dynamic` with `per_channel`, which loops
    over 172,032 columns in Python: 24 s of CPU at a user's first start, against 0.3 s here.
    """
    from onnx import numpy_helper

    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    nodes = []
    for node in graph.node:
        matrix = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if matrix is None:
            nodes.append(node)
            continue
        graph.initializer.remove(matrix)
        weights = numpy_helper.to_array(matrix)
        graph.initializer.extend(_quantize_columns(matrix.name, weights))
        nodes += _int8_product(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _quantize_columns(name: str, weights: Any) -> list[onnx.TensorProto]:
    """Return int8 values and float32 scales of a matrix [rows, columns], symmetric around zero."""
    from onnx import numpy_helper

    scales = np.abs(weights).max(axis=0) / np.float32(127)
    scales[scales == 0] = 1
    values = np.rint(weights / scales).astype(np.int8)
    return [
        numpy_helper.from_array(values, f"{name}.int8"),
        numpy_helper.from_array(scales.astype(np.float32), f"{name}.scale"),
        numpy_helper.from_array(np.zeros(weights.shape[1], np.int8), f"{name}.zero"),
    ]


def _int8_product(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the nodes of `node`'s product in int8, which onnxruntime fuses when it loads them."""
    from onnx import TensorProto, helper

    left, matrix = node.input
    (product,) = node.output
    quantized, scale, zero = (f"{product}.{part}" for part in ("left", "left_scale", "left_zero"))
    integers, floats, scales = (f"{product}.{part}" for part in ("integers", "floats", "scales"))
    make = helper.make_node
    return [
        make("DynamicQuantizeLinear", [left], [quantized, scale, zero]),
        make("MatMulInteger", [quantized, f"{matrix}.int8", zero, f"{matrix}.zero"], [integers]),
        make("Cast", [integers], [floats], to=TensorProto.FLOAT),
        make("Mul", [scale, f"{matrix}.scale"], [scales]),
        make("Mul", [floats, scales], [product]),
    ]

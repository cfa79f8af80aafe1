"""Conversion of the published Moonshine files into graphs that decode about eight times faster.

The publisher ships `.ort` files whose int8 weights are dequantized by Cast, Mul and Add nodes.
onnxruntime folds such constants when it loads an `.onnx` file but not when it loads an `.ort`
file, so the published decoder dequantizes all of its weights for every token: 77 ms a token on
one thread, against 9 ms after this conversion.

The conversion runs once, when the weights are unpacked (about 15 s of CPU), and writes:

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

from vivavoce.engines.libraries import missing_library
from vivavoce.engines.onnx_sessions import import_onnxruntime
from vivavoce.errors import EngineError

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
        _quantize(graph, work / BRANCHES[branch.name], work)


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
    """One branch of the `If` as a model of its own, with the weights and inputs that it uses."""
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
    """Every value that the nodes of `graph`, or of a graph inside it, read; and its outputs."""
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
    import numpy as np
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


def _quantize(model: onnx.ModelProto, target: Path, work: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = work / "float32.onnx"
    # What the library's own preparation would do was done by folding; without this it warns.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, plain)
    quantize_dynamic(
        plain,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )

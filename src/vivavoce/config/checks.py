"""What is wrong with a configuration whose every entry is right by itself."""

from __future__ import annotations

from collections.abc import Mapping

from vivavoce.config.addresses import is_loopback
from vivavoce.config.tree import EMBEDDED, Config
from vivavoce.domain.model_family import model_id


def find_conflicting_names(models: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of one model, with `models/` before it and without, that differ in the profile."""
    return [
        (f"{name!r} and {short!r} are one model and name different profiles.",
         "Keep one of them under [models].")
        for name, profile in models.items()
        if (short := model_id(name)) != name and models.get(short, profile) != profile
    ]  # fmt: skip


def find_contradictions(config: Config) -> list[tuple[str, str]]:
    """What no type can say: problems and their fixes."""
    problems = []
    server = config.server
    known = ", ".join(sorted(config.profiles))
    for model, profile in config.models.items():
        if profile not in config.profiles:
            problems.append(
                (f"Model {model!r} names the profile {profile!r}, which is not there.",
                 f"Known profiles: {known}.")
            )  # fmt: skip
    swappable = isinstance(config.profiles[EMBEDDED].responder, dict)
    if config.model and not (swappable and EMBEDDED in config.models.values()):
        problems.append(
            (f"model = {config.model!r} replaces the model of the profile {EMBEDDED!r}, which no "
             "model name leads to, or whose responder is not a table.",
             f"Leave profile = {EMBEDDED!r}, or set the model in the profile that you use.")
        )  # fmt: skip
    if not (is_loopback(server.host) or server.tls.enabled or server.tls.plain == "anywhere"):
        problems.append(
            (f"server.host = {server.host!r} is reachable by others and TLS is off.",
             'Turn server.tls.enabled on; behind a proxy that ends TLS, set server.tls.plain = '
             '"anywhere".')
        )  # fmt: skip
    if (config.store.use == "redis") != bool(config.store.url):
        problems.append(
            ("store.use and store.url belong together: an address is Redis's, and Redis needs one.",
             'Set store.use = "redis" and store.url = "redis://HOST:6379/0", or neither.')
        )  # fmt: skip
    if (server.tls.certificate is None) != (server.tls.key is None):
        problems.append(
            ("server.tls names only one of certificate and key.",
             "Name both files, or neither to use the local CA.")
        )  # fmt: skip
    return problems

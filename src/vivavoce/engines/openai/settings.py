"""Settings of `model.openai`, checked as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from vivavoce.errors import ConfigError

ENGINE = "model.openai"
ROUTER = "router"
SPOKEN = (
    "Your answer is read aloud: use plain spoken sentences, no lists, no markdown, no emoji,"
    " and keep it short unless more is asked for."
)


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Where the chat endpoint is and what the model behind it can do.

    `base_url` ends where `/chat/completions` begins. `api_key_env` names an environment
    variable that holds the key. `body` is joined into every request as it is. `spoken` is
    added to the instruction when the answer will be heard; empty leaves it out. Times are
    in seconds: `first_token_s` until the first word, `idle_s` between two chunks after it.
    `tools = "router"` is for an endpoint without tools: functions are chosen by the router.
    """

    base_url: str
    model: str = ""
    api_key: str = ""
    api_key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    tools: bool | str = True
    images: bool = False
    thinking: bool = False
    context_tokens: int = 32768
    slots: int = 8
    spoken: str = SPOKEN
    connect_s: float = 5.0
    first_token_s: float = 30.0
    idle_s: float = 30.0

    @property
    def url(self) -> str:
        """The address that requests go to."""
        return self.base_url.rstrip("/") + "/chat/completions"

    @property
    def key(self) -> str:
        """The key, from the settings or the environment; empty if there is none."""
        return self.api_key or (os.environ.get(self.api_key_env, "") if self.api_key_env else "")


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "bool | str": (bool, str),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, str]": (Mapping,),
    "Mapping[str, Any]": (Mapping,),
}


def read_settings(table: Mapping[str, Any]) -> OpenAISettings:
    """The settings in a configuration table. Raises `ConfigError` naming every fault."""
    kinds = {one.name: _KINDS[str(one.type)] for one in fields(OpenAISettings)}
    faults = [f"`{key}` is not known" for key in table if key not in kinds]
    for key, value in table.items():
        allowed = kinds.get(key, (object,))
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            faults.append(f"`{key}` can't be {value!r}")
    address = urlsplit(str(table.get("base_url", "")))
    if address.scheme not in ("http", "https") or not address.hostname:
        faults.append("`base_url` is not an http address")
    variable = str(table.get("api_key_env", ""))
    if variable and not table.get("api_key") and variable not in os.environ:
        faults.append(f"the environment variable {variable} is not set")
    faults += [
        f"`{key}` must be more than 0"
        for key in ("context_tokens", "slots", "connect_s", "first_token_s", "idle_s")
        if isinstance(value := table.get(key, 1), int | float) and value <= 0
    ]
    if isinstance(tools := table.get("tools"), str) and tools != ROUTER:
        faults.append(f"`tools` can't be {tools!r}")
    if faults:
        raise ConfigError(
            f"The language model `openai` is set up wrongly: {'; '.join(faults)}.",
            'Give at least {use = "openai", base_url = "http://host:port/v1", model = "name"}.',
        )
    return OpenAISettings(**table)

"""One process of a storm: does one thing to a store many times at once, and reports what it got.

    python tests/store/storm.py claim TIMES sqlite PATH
    python tests/store/storm.py take HANDLE redis URL PREFIX

`claim` takes uses of the token whose digest is "storm"; `take` takes a session by its handle, and
in a second step saves it. Before every step the process writes what the last one gave on a line of
standard output, and waits for a line of standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from vivavoce.domain.accounts import TokenRecord
from vivavoce.store import build_store
from vivavoce.store.port import SavedSession, StateStore
from vivavoce.testing.store_contract import LATER, NOW


def store_at(arguments: list[str]) -> StateStore:
    use, place, *prefix = arguments
    if use == "sqlite":
        return build_store("sqlite", Path(place))
    return build_store("redis", url=place, prefix=prefix[0])


async def main(what: str, argument: str, *place: str) -> None:
    store = store_at(list(place))
    await store.start()
    try:
        await report("ready")
        if what == "claim":
            await report(await claim(store, int(argument)))
        else:
            await take_and_save(store, argument)
    finally:
        await store.aclose()


async def report(got: object) -> None:
    """Write a line, and wait for the line that lets the next step begin."""
    sys.stdout.write(json.dumps(got) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


async def claim(store: StateStore, times: int) -> int:
    claims = await asyncio.gather(
        *(store.claim_token("storm", NOW, resuming=False) for _ in range(times))
    )
    return sum(isinstance(each, TokenRecord) for each in claims)


async def take_and_save(store: StateStore, handle: str) -> None:
    taken = await store.take_session(handle, "owner", "model", NOW, exact=False)
    assert isinstance(taken, SavedSession)
    await report(taken.lease)
    await report(await store.save_session(taken, f"{handle}-{taken.lease}", NOW, LATER))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

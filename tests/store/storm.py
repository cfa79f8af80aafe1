"""One process of a storm: does one thing to a store many times at once, and prints what it got.

    python tests/store/storm.py claim TIMES sqlite PATH
    python tests/store/storm.py take HANDLE redis URL PREFIX

`claim` takes uses of the token whose digest is "storm"; `take` takes a session by its handle and
then tries to write it down. Both begin when their standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from vivavoce.domain.accounts import TokenRecord
from vivavoce.store.factory import build_store
from vivavoce.store.port import SavedSession, StateStore
from vivavoce.testing.store_contract import LATER, NOW


def store_at(arguments: list[str]) -> StateStore:
    use, place, *prefix = arguments
    if use == "sqlite":
        return build_store("sqlite", Path(place))
    return build_store("redis", url=place, prefix=prefix[0])


async def main(what: str, argument: str, *place: str) -> object:
    store = store_at(list(place))
    await store.start()
    await asyncio.to_thread(sys.stdin.read)
    try:
        if what == "claim":
            return await claim(store, int(argument))
        return await take(store, argument)
    finally:
        await store.aclose()


async def claim(store: StateStore, times: int) -> int:
    claims = await asyncio.gather(
        *(store.claim_token("storm", NOW, resuming=False) for _ in range(times))
    )
    return sum(isinstance(each, TokenRecord) for each in claims)


async def take(store: StateStore, handle: str) -> tuple[int, bool]:
    taken = await store.take_session(handle, "owner", "model", NOW, exact=False)
    assert isinstance(taken, SavedSession)
    await asyncio.sleep(0.2)  # until the other one has taken it, too
    return taken.lease, await store.save_session(taken, f"{handle}-{taken.lease}", NOW, LATER)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))

"""Conformance tests for state stores; subclass `StateStoreContract` to test your own.

    class TestMyStore(StateStoreContract):
        async def open(self) -> StateStore:
            return MyStore()

Two calls of `open` must lead to the same store where it is `shared`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from vivavoce.domain.accounts import KeyRecord, Quota, Scope, TokenRecord
from vivavoce.domain.ids import SessionId
from vivavoce.store.port import KEEP_EXPIRED_S, Refusal, SavedSession, StateStore

NOW = 1_800_000_000.0
LATER = NOW + 7200
SESSION = SessionId("session")
SAVED = SavedSession(SESSION, "owner", "model", 1, b"one")
TOKEN = TokenRecord("t" * 64, "owner", 1, NOW + 1800, NOW + 60, b'{"model":"m"}', ("model",))
KEY = KeyRecord(
    "id", "name", "d" * 64, "vv-abc", NOW, NOW + 10, frozenset({Scope.LIVE}), Quota(3, 1.5, 2, 0.5)
)


class StateStoreContract:
    """Tests of one implementation. Subclasses define `open`."""

    async def open(self) -> StateStore:
        """Make a store that is not started."""
        raise NotImplementedError

    @asynccontextmanager
    async def store(self) -> AsyncIterator[StateStore]:
        """Context manager for a started store."""
        store = await self.open()
        await store.start()
        try:
            yield store
        finally:
            await store.aclose()

    # --- sessions -------------------------------------------------------------------------

    async def test_a_session_is_taken_by_its_handle_under_the_next_lease(self) -> None:
        async with self.store() as store:
            assert await store.save_session(SAVED, "h1", NOW, LATER)
            taken = await store.take_session("h1", "owner", "model", NOW + 1, exact=False)
            assert taken == replace(SAVED, lease=2)
            again = await store.take_session("h1", "owner", "model", NOW + 2, exact=False)
            assert again == replace(SAVED, lease=3)

    async def test_unknown_and_foreign_handles_are_refused(self) -> None:
        async with self.store() as store:
            await store.save_session(SAVED, "h1", NOW, LATER)
            for handle, owner in (("other", "owner"), ("h1", "somebody"), ("h1", "")):
                taken = await store.take_session(handle, owner, "model", NOW, exact=False)
                assert taken is Refusal.UNKNOWN
            other = await store.take_session("h1", "owner", "another", NOW, exact=False)
            assert other is Refusal.OTHER_MODEL
            mine = await store.take_session("h1", "owner", "model", NOW, exact=False)
            assert mine == replace(SAVED, lease=2), "no refusal has changed anything"

    async def test_the_last_two_handles_lead_to_the_newest_state(self) -> None:
        for handle in ("h2", "h3"):
            async with self.store() as store:
                await self._three_states(store)
                taken = await store.take_session(handle, "owner", "model", NOW, exact=False)
                assert taken == SavedSession(SESSION, "owner", "model", 2, b"three")
                await store.forget_session(SESSION, 2)

    async def test_the_last_two_handles_have_states_of_their_own(self) -> None:
        for handle, state in (("h2", b"two"), ("h3", b"three")):
            async with self.store() as store:
                await self._three_states(store)
                taken = await store.take_session(handle, "owner", "model", NOW, exact=True)
                assert taken == SavedSession(SESSION, "owner", "model", 2, state)
                again = await store.take_session(handle, "owner", "model", NOW, exact=False)
                assert again == SavedSession(SESSION, "owner", "model", 3, state)
                await store.forget_session(SESSION, 3)

    async def test_older_handles_lead_to_the_newest_state(self) -> None:
        for exact in (False, True):
            async with self.store() as store:
                await self._three_states(store)
                taken = await store.take_session("h1", "owner", "model", NOW, exact=exact)
                assert taken == SavedSession(SESSION, "owner", "model", 2, b"three")
                await store.forget_session(SESSION, 2)

    async def test_every_handle_stays_valid_however_often_the_session_is_taken(self) -> None:
        async with self.store() as store:
            await self._three_states(store)
            for lease, handle in enumerate(("h2", "h3", "h1", "h2"), 2):
                taken = await store.take_session(handle, "owner", "model", NOW, exact=False)
                assert taken == SavedSession(SESSION, "owner", "model", lease, b"three")
            await store.save_session(replace(SAVED, lease=5, data=b"four"), "h4", NOW, LATER)
            for lease, (handle, exact) in enumerate((("h2", True), ("h1", False), ("h3", True)), 6):
                taken = await store.take_session(handle, "owner", "model", NOW, exact=exact)
                assert taken == SavedSession(SESSION, "owner", "model", lease, b"three")

    async def test_older_handles_live_as_long_as_their_session(self) -> None:
        async with self.store() as store:
            for handle in ("h1", "h2", "h3", "h4"):
                await store.save_session(SAVED, handle, NOW, NOW + 10)
            await store.renew_sessions({SESSION: 1}, NOW + 9, NOW + 20)
            taken = await store.take_session("h1", "owner", "model", NOW + 19, exact=False)
            assert taken == replace(SAVED, lease=2)
            late = await store.take_session("h2", "owner", "model", NOW + 20, exact=False)
            assert late is Refusal.UNKNOWN

    async def test_handles_are_bounded_and_the_oldest_are_forgotten(self) -> None:
        async with self.store() as store:
            store.max_handles = 5
            for number in range(6):
                await store.save_session(SAVED, f"h{number}", NOW, LATER)
            assert (
                await store.take_session("h0", "owner", "model", NOW, exact=False)
                is Refusal.UNKNOWN
            )
            taken = await store.take_session("h1", "owner", "model", NOW, exact=False)
            assert taken == replace(SAVED, lease=2)

    async def test_a_state_is_replaced_under_its_handle(self) -> None:
        async with self.store() as store:
            await store.save_session(SAVED, "h1", NOW, LATER)
            await store.save_session(replace(SAVED, data=b"two"), "h2", NOW, LATER)
            await store.save_session(replace(SAVED, data=b"two and more"), "h2", NOW, LATER)
            former = await store.take_session("h1", "owner", "model", NOW, exact=False)
            assert former == replace(SAVED, lease=2, data=b"two and more"), (
                "it took no other's place"
            )

    async def test_an_older_lease_cannot_write(self) -> None:
        async with self.store() as store:
            await store.save_session(SAVED, "h1", NOW, LATER)
            await store.take_session("h1", "owner", "model", NOW, exact=False)
            assert not await store.save_session(replace(SAVED, data=b"stale"), "h2", NOW, LATER)
            assert await store.renew_sessions({SESSION: 1}, NOW, LATER + 1000) == {SESSION: 2}
            await store.forget_session(SESSION, 1)
            taken = await store.take_session("h1", "owner", "model", LATER - 1, exact=False)
            assert taken == replace(SAVED, lease=3)
            gone = await store.take_session("h1", "owner", "model", LATER, exact=False)
            assert gone is Refusal.UNKNOWN, "it was not renewed"

    async def test_sessions_expire_unless_they_are_renewed(self) -> None:
        async with self.store() as store:
            other = SessionId("other")
            await store.save_session(SAVED, "h1", NOW, NOW + 10)
            await store.save_session(replace(SAVED, session=other), "o1", NOW, NOW + 10)
            assert await store.renew_sessions(
                {SESSION: 1, SessionId("no"): 1}, NOW + 9, NOW + 20
            ) == {SESSION: 1}
            late = await store.take_session("o1", "owner", "model", NOW + 10, exact=False)
            assert late is Refusal.UNKNOWN
            kept = await store.take_session("h1", "owner", "model", NOW + 19, exact=False)
            assert kept == replace(SAVED, lease=2)

    async def test_a_session_that_expired_can_be_written_down_anew(self) -> None:
        async with self.store() as store:
            await store.save_session(replace(SAVED, lease=5), "h1", NOW, NOW + 10)
            assert await store.save_session(replace(SAVED, lease=2), "h2", NOW + 10, LATER)
            taken = await store.take_session("h2", "owner", "model", NOW + 11, exact=False)
            assert taken == replace(SAVED, lease=3)

    async def test_a_session_is_forgotten_with_its_handles(self) -> None:
        async with self.store() as store:
            await self._three_states(store)
            await store.forget_session(SESSION, 1)
            for handle in ("h1", "h2", "h3"):
                taken = await store.take_session(handle, "owner", "model", NOW, exact=False)
                assert taken is Refusal.UNKNOWN
            assert await store.renew_sessions({SESSION: 1}, NOW, LATER) == {}

    async def test_concurrent_takers_get_different_leases(self) -> None:
        async with self.store() as store:
            await store.save_session(SAVED, "h1", NOW, LATER)
            taken = await asyncio.gather(
                *(store.take_session("h1", "owner", "model", NOW, exact=False) for _ in range(50))
            )
            leases = sorted(each.lease for each in taken if isinstance(each, SavedSession))
            assert leases == list(range(2, 52))

    async def test_large_states_are_restored(self) -> None:
        async with self.store() as store:
            data = bytes(range(256)) * 8192
            await store.save_session(replace(SAVED, data=data), "h1", NOW, LATER)
            taken = await store.take_session("h1", "owner", "model", NOW, exact=False)
            assert isinstance(taken, SavedSession)
            assert taken.data == data

    async def test_media_is_restored_with_the_state_that_refers_to_it(self) -> None:
        one, two = {"aa": bytes(range(256)) * 4096}, {"bb": b"second"}
        for handle, state in (("h1", one), ("h2", {**one, **two})):
            async with self.store() as store:
                await store.save_session(replace(SAVED, media=one), "h1", NOW, LATER)
                await store.save_session(replace(SAVED, media={**one, **two}), "h2", NOW, LATER)
                taken = await store.take_session(handle, "owner", "model", NOW, exact=True)
                assert taken == replace(SAVED, lease=2, media=state)
                newest = await store.take_session(handle, "owner", "model", NOW, exact=False)
                assert newest == replace(SAVED, lease=3, media=state)
                await store.forget_session(SESSION, 3)

    async def test_an_older_handle_leads_to_the_newest_media(self) -> None:
        async with self.store() as store:
            await store.save_session(replace(SAVED, media={"aa": b"a"}), "h1", NOW, LATER)
            await store.save_session(replace(SAVED, media={"bb": b"b"}), "h2", NOW, LATER)
            taken = await store.take_session("h1", "owner", "model", NOW, exact=False)
            assert taken == replace(SAVED, lease=2, media={"bb": b"b"})
            again = await store.take_session("h1", "owner", "model", NOW, exact=True)
            assert again == replace(SAVED, lease=3, media={"bb": b"b"})

    async def test_media_under_a_digest_is_written_once(self) -> None:
        async with self.store() as store:
            await store.save_session(replace(SAVED, media={"aa": b"first"}), "h1", NOW, LATER)
            await store.save_session(replace(SAVED, media={"aa": b"again"}), "h2", NOW, LATER)
            taken = await store.take_session("h2", "owner", "model", NOW, exact=False)
            assert taken == replace(SAVED, lease=2, media={"aa": b"first"})

    async def test_media_is_dropped_with_the_last_state_that_refers_to_it(self) -> None:
        async with self.store() as store:
            await store.save_session(replace(SAVED, media={"aa": b"first"}), "h1", NOW, LATER)
            for handle in ("h2", "h3", "h4"):
                await store.save_session(SAVED, handle, NOW, LATER)
            await store.save_session(replace(SAVED, media={"aa": b"again"}), "h5", NOW, LATER)
            taken = await store.take_session("h5", "owner", "model", NOW, exact=False)
            assert taken == replace(SAVED, lease=2, media={"aa": b"again"})

    async def test_media_is_private_to_its_session_and_dropped_with_it(self) -> None:
        async with self.store() as store:
            other = replace(SAVED, session=SessionId("other"), media={"aa": b"theirs"})
            await store.save_session(replace(SAVED, media={"aa": b"mine"}), "h1", NOW, LATER)
            await store.save_session(other, "o1", NOW, LATER)
            await store.forget_session(SESSION, 1)
            taken = await store.take_session("o1", "owner", "model", NOW, exact=False)
            assert taken == replace(other, lease=2)
            await store.save_session(replace(SAVED, media={"aa": b"new"}), "h2", NOW, LATER)
            mine = await store.take_session("h2", "owner", "model", NOW, exact=False)
            assert mine == replace(SAVED, lease=2, media={"aa": b"new"})
            await store.forget_session(SESSION, 2)
            await store.forget_session(SessionId("other"), 2)

    @staticmethod
    async def _three_states(store: StateStore) -> None:
        for handle, data in (("h1", b"one"), ("h2", b"two"), ("h3", b"three")):
            assert await store.save_session(replace(SAVED, data=data), handle, NOW, LATER)

    # --- tokens ---------------------------------------------------------------------------

    async def test_a_token_is_found_as_it_was_put(self) -> None:
        async with self.store() as store:
            for token in (TOKEN, replace(TOKEN, digest="u", uses=None, setup=b"", mask=None)):
                await store.put_token(token)
                assert await store.find_token(token.digest, NOW) == token
            assert await store.find_token("other", NOW) is None
            assert await store.claim_token("other", NOW, resuming=False) is Refusal.UNKNOWN

    async def test_a_token_has_limited_uses(self) -> None:
        async with self.store() as store:
            await store.put_token(replace(TOKEN, uses=2))
            left = [await store.claim_token(TOKEN.digest, NOW, resuming=False) for _ in range(3)]
            assert left == [replace(TOKEN, uses=1), replace(TOKEN, uses=0), Refusal.EXHAUSTED]
            resumed = await store.claim_token(TOKEN.digest, NOW, resuming=True)
            assert resumed == replace(TOKEN, uses=0), "resuming takes none"

    async def test_a_token_may_be_unlimited(self) -> None:
        async with self.store() as store:
            token = replace(TOKEN, uses=None)
            await store.put_token(token)
            for _ in range(3):
                assert await store.claim_token(token.digest, NOW, resuming=False) == token

    async def test_a_token_stops_new_sessions_before_it_expires(self) -> None:
        async with self.store() as store:
            await store.put_token(TOKEN)
            begun = NOW + 60
            refused = await store.claim_token(TOKEN.digest, begun, resuming=False)
            assert refused is Refusal.EXPIRED
            assert await store.claim_token(TOKEN.digest, begun, resuming=True) == TOKEN
            for resuming in (True, False):
                over = await store.claim_token(TOKEN.digest, NOW + 1800, resuming)
                assert over is Refusal.EXPIRED
            gone = NOW + 1800 + KEEP_EXPIRED_S
            assert await store.find_token(TOKEN.digest, gone) is None
            assert await store.claim_token(TOKEN.digest, gone, resuming=True) is Refusal.UNKNOWN

    async def test_concurrent_claims_never_exceed_the_uses(self) -> None:
        async with self.store() as store:
            await store.put_token(replace(TOKEN, uses=7))
            claims = await asyncio.gather(
                *(store.claim_token(TOKEN.digest, NOW, resuming=False) for _ in range(100))
            )
            assert sum(isinstance(claim, TokenRecord) for claim in claims) == 7
            assert claims.count(Refusal.EXHAUSTED) == 93

    # --- keys -----------------------------------------------------------------------------

    async def test_keys_are_kept_replaced_and_dropped(self) -> None:
        async with self.store() as store:
            older = replace(
                KEY, id="older", name="other", digest="e" * 64, created=NOW - 1, expires=0.0
            )
            await store.put_key(KEY)
            await store.put_key(older)
            assert await store.list_keys() == (older, KEY)
            await store.put_key(replace(KEY, name="renamed"))
            assert await store.list_keys() == (older, replace(KEY, name="renamed"))
            assert await store.drop_key("older")
            assert not await store.drop_key("older")
            assert [key.id for key in await store.list_keys()] == ["id"]
            await store.drop_key("id")

    async def test_key_names_are_unique(self) -> None:
        async with self.store() as store:
            wanted = [replace(KEY, id=f"{n}", digest=f"{n}" * 64) for n in range(5)]
            kept = await asyncio.gather(*(store.put_key(key) for key in wanted))
            assert sum(kept) == 1
            (key,) = await store.list_keys()
            assert await store.put_key(replace(key, expires=0.0)), "its own name is no other's"
            await store.drop_key(key.id)
            assert await store.put_key(next(each for each in wanted if each.id != key.id))
            for each in await store.list_keys():
                await store.drop_key(each.id)

    # --- quotas ---------------------------------------------------------------------------

    async def test_places_are_limited(self) -> None:
        async with self.store() as store:
            assert await store.acquire_slot("o", "a", 2, NOW, NOW + 10)
            assert await store.acquire_slot("o", "b", 2, NOW, NOW + 10)
            assert not await store.acquire_slot("o", "c", 2, NOW, NOW + 10)
            assert await store.acquire_slot("o", "a", 2, NOW + 5, NOW + 15), (
                "who holds one keeps it"
            )
            assert await store.acquire_slot("other", "c", 2, NOW, NOW + 10)
            assert await store.acquire_slot("o", "c", 2, NOW + 10, NOW + 20), "b has let it lapse"
            assert not await store.acquire_slot("o", "d", 2, NOW + 11, NOW + 20)
            await store.release_slot("o", "a")
            assert await store.acquire_slot("o", "d", 2, NOW + 11, NOW + 20)
            assert await store.acquire_slot("o", "e", 0, NOW + 11, NOW + 20), "0 is no limit"

    async def test_concurrent_holders_never_exceed_the_places(self) -> None:
        async with self.store() as store:
            held = await asyncio.gather(
                *(store.acquire_slot("crowd", f"{n}", 5, NOW, NOW + 10) for n in range(40))
            )
            assert sum(held) == 5

    async def test_counters_add_up_until_they_expire(self) -> None:
        async with self.store() as store:
            assert await store.add_usage("o", "audio", 0, NOW, NOW + 10) == 0
            totals = [await store.add_usage("o", "audio", 1.5, NOW, NOW + 10) for _ in range(3)]
            assert totals == [1.5, 3.0, 4.5]
            assert await store.add_usage("o", "audio", 0, NOW + 9, NOW + 19) == 4.5
            assert await store.add_usage("o", "calls", 1, NOW, NOW + 10) == 1
            assert await store.add_usage("p", "audio", 1, NOW, NOW + 10) == 1
            assert await store.add_usage("o", "audio", 2, NOW + 10, NOW + 20) == 2

    async def test_concurrent_counting_loses_nothing(self) -> None:
        async with self.store() as store:
            await asyncio.gather(
                *(store.add_usage("busy", "calls", 1, NOW, NOW + 10) for _ in range(100))
            )
            assert await store.add_usage("busy", "calls", 0, NOW, NOW + 10) == 100

    # --- callers that give up -------------------------------------------------------------

    async def test_a_cancelled_call_does_no_harm(self) -> None:
        async with self.store() as store, self.store() as other:
            await store.put_token(replace(TOKEN, uses=None))
            for steps in range(0, 40, 2):
                given_up = [
                    asyncio.ensure_future(store.save_session(SAVED, "h1", NOW, LATER)),
                    asyncio.ensure_future(store.claim_token(TOKEN.digest, NOW, resuming=False)),
                ]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for call in given_up:
                    call.cancel()
                await asyncio.gather(*given_up, return_exceptions=True)
                assert await other.add_usage("other", f"{steps}", 2, NOW, LATER) == 2
                assert await store.add_usage("mine", f"{steps}", 3, NOW, LATER) == 3

    # --- several processes ----------------------------------------------------------------

    async def test_shared_stores_see_the_writes_of_others(self) -> None:
        async with self.store() as one, self.store() as other:
            await one.save_session(SAVED, "h1", NOW, LATER)
            taken = await other.take_session("h1", "owner", "model", NOW, exact=False)
            if one.shared:
                assert taken == replace(SAVED, lease=2)
                assert not await one.save_session(SAVED, "h2", NOW, LATER)
            else:
                assert taken is Refusal.UNKNOWN

    async def test_it_answers_pings_and_closes_twice(self) -> None:
        async with self.store() as store:
            await store.ping()
            assert store.name
            await store.aclose()

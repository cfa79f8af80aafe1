"""Which conversation uses which slot, and how much of its history it still shows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class Place:
    """A conversation's own state: its slot, and the first content that it still shows."""

    slot: int
    first: int = 0


class Places:
    """Hands out slots; when there are none left, the one used longest ago changes hands."""

    def __init__(self, slots: int) -> None:
        self._free = list(range(slots))
        self._places: OrderedDict[str, Place] = OrderedDict()

    def of(self, session: str) -> Place:
        """The place of a conversation, its own from now on."""
        place = self._places.get(session)
        if place is None:
            if self._free:
                place = Place(self._free.pop(0))
            else:
                _, oldest = self._places.popitem(last=False)
                place = Place(oldest.slot)
            self._places[session] = place
        self._places.move_to_end(session)
        return place

    def release(self, session: str) -> None:
        """The conversation is over: its slot is free."""
        place = self._places.pop(session, None)
        if place is not None:
            self._free.append(place.slot)

    def __len__(self) -> int:
        return len(self._places)

"""`MemoryStore`: sessions in the memory of this process. For tests, and for programs of one process."""

import time
from collections.abc import Callable

from forzium.session_stores.base import SessionStore

__all__ = ["MemoryStore"]


class MemoryStore(SessionStore):
    """Keeps sessions in a dict. Those whose time is over are dropped when others are saved.

    Args:
        clock: Gives seconds. Default is `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, str]] = {}

    async def load(self, session_id: str) -> str | None:
        expires, text = self._kept.get(session_id, (0.0, ""))
        return text if expires > self._clock() else None

    async def save(self, session_id: str, text: str, seconds: float) -> None:
        now = self._clock()
        # A few of the oldest at a time, so that no save is slow: saving again moves a session to the end.
        for old in [key for key, _ in zip(self._kept, range(8), strict=False) if self._kept[key][0] <= now]:
            del self._kept[old]
        self._kept.pop(session_id, None)
        self._kept[session_id] = now + seconds, text

    async def delete(self, session_id: str) -> None:
        self._kept.pop(session_id, None)

    async def touch(self, session_id: str, seconds: float) -> None:
        text = await self.load(session_id)
        if text is not None:
            await self.save(session_id, text, seconds)

"""The interface of a store of sessions. Nothing else."""

from abc import ABC, abstractmethod

__all__ = ["SessionStore"]


class SessionStore(ABC):
    """Keeps text under session ids, each for a limited time.

    Ids are the middleware's: long, random, of characters that are safe in URLs. The text is JSON. Of two writes at the
    same time either may be the one that stays. Every method may be called under asyncio and trio, unless a store says
    otherwise.
    """

    @abstractmethod
    async def load(self, session_id: str) -> str | None:
        """Return what is kept; None where there is nothing, or its time is over."""

    @abstractmethod
    async def save(self, session_id: str, text: str, seconds: float) -> None:
        """Keep text for so many seconds from now, in the place of what was there."""

    @abstractmethod
    async def delete(self, session_id: str) -> None:
        """Forget it; nothing happens where nothing is kept."""

    @abstractmethod
    async def touch(self, session_id: str, seconds: float) -> None:
        """Keep it for so many seconds from now; nothing happens where nothing is kept."""

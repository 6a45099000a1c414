"""`RedisStore`: sessions in Redis, for services of several machines. Needs `redis` (extra `redis`).

Redis itself lets sessions expire. Its client speaks asyncio only.
"""

from typing import TYPE_CHECKING, Any

from forzium.session_stores.base import SessionStore

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisStore"]


class RedisStore(SessionStore):
    """Keeps each session under a key of its own.

    Args:
        redis: A URL such as `"redis://localhost:6379/0"`, or a client of `redis.asyncio`.
        prefix: What the keys begin with. Default is `"session:"`.

    Raises:
        ModuleNotFoundError: A URL is given and `redis` is not installed.
    """

    def __init__(self, redis: "str | Redis", prefix: str = "session:") -> None:
        client: Any = redis
        if isinstance(redis, str):
            from redis.asyncio import Redis

            client = Redis.from_url(redis)
        self.redis = client
        self.prefix = prefix

    async def load(self, session_id: str) -> str | None:
        kept = await self.redis.get(self.prefix + session_id)
        return kept.decode("utf-8") if isinstance(kept, bytes) else kept

    async def save(self, session_id: str, text: str, seconds: float) -> None:
        await self.redis.set(self.prefix + session_id, text, px=_milliseconds(seconds))

    async def delete(self, session_id: str) -> None:
        await self.redis.delete(self.prefix + session_id)

    async def touch(self, session_id: str, seconds: float) -> None:
        await self.redis.pexpire(self.prefix + session_id, _milliseconds(seconds))

    async def aclose(self) -> None:
        """Close the client's connections; call it when the application ends."""
        await self.redis.aclose()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))

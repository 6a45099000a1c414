"""Sessions that the server keeps: what the client has, what the store gets, and the stores themselves."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from forzium import FastAPI, Request, WebSocket
from forzium.middleware.server_sessions import ServerSessionMiddleware
from forzium.responses import StreamingResponse
from forzium.session_stores import FileStore, MemoryStore, SessionStore
from forzium.testclient import TestClient


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Recording(MemoryStore):
    """Says what is asked of it."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(clock=lambda: self.now)
        self.log: list[str] = []

    async def load(self, session_id: str) -> str | None:
        self.log.append("load")
        return await super().load(session_id)

    async def save(self, session_id: str, text: str, seconds: float) -> None:
        self.log.append("save")
        await super().save(session_id, text, seconds)

    async def delete(self, session_id: str) -> None:
        self.log.append("delete")
        await super().delete(session_id)

    async def touch(self, session_id: str, seconds: float) -> None:
        self.log.append("touch")
        await super().touch(session_id, seconds)


class Service:
    def __init__(self, backend: Any = "asyncio", store: SessionStore | None = None, **options: Any) -> None:
        self.store = Recording() if store is None else store
        self.app = app = FastAPI()
        app.add_middleware(ServerSessionMiddleware, store=self.store, secret_key="key", **options)
        self.client = TestClient(app, backend=backend)

        @app.get("/untouched")
        async def untouched() -> None: ...

        @app.get("/read")
        async def read(request: Request) -> Any:
            return {**request.session, "id": request.session.session_id is not None}  # type: ignore[attr-defined]

        @app.get("/add/{value}")
        async def add(request: Request, value: str) -> Any:
            request.session.setdefault("values", []).append(value)  # the second time a change inside of a value
            return request.session

        @app.get("/login")
        async def login(request: Request) -> Any:
            request.session.regenerate()  # type: ignore[attr-defined]
            request.session["user"] = "ada"
            return request.session

        @app.get("/logout")
        async def logout(request: Request) -> Any:
            request.session.clear()

        @app.get("/late")
        async def late(request: Request) -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                request.session["late"] = True
                with pytest.raises(RuntimeError, match="has started"):
                    request.session.regenerate()  # type: ignore[attr-defined]
                yield b"x"

            return StreamingResponse(parts())

        @app.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            websocket.session["from socket"] = True
            await websocket.close()

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200
        return response.json()

    def calls(self) -> list[str]:
        assert isinstance(self.store, Recording)
        log, self.store.log = self.store.log, []
        return log


def test_a_session_lasts_from_request_to_request(backend: Any) -> None:
    service = Service(backend)
    assert service.get("/add/one") == {"values": ["one"]}
    assert service.get("/add/two") == {"values": ["one", "two"]}
    assert service.get("/read") == {"values": ["one", "two"], "id": True}


def test_the_store_is_asked_for_no_more_than_is_needed() -> None:
    service = Service()
    service.get("/untouched")
    service.get("/read")
    assert service.calls() == []
    service.get("/add/one")
    assert service.calls() == ["save"]
    service.get("/untouched")
    service.get("/read")
    assert service.calls() == ["load", "load"]
    service.get("/add/two")
    assert service.calls() == ["load", "save"]
    service.get("/logout")
    assert service.calls() == ["load", "delete"]


def test_the_client_has_a_signed_random_id_and_nothing_else() -> None:
    service = Service(https_only=True, domain="test", partitioned=True, max_age=60, path="/", same_site="strict")
    response = service.client.get("/add/secret")
    name, _, cookie = response.headers["set-cookie"].partition("=")
    value, _, attributes = cookie.partition("; ")
    assert name == "session"
    assert attributes == "path=/; Max-Age=60; httponly; samesite=strict; secure; domain=test; partitioned"
    session_id, _, signature = value.rpartition(".")
    assert len(session_id) == 43
    assert signature
    assert response.headers["vary"] == "Cookie"
    other = Service(store=service.store)
    other.client.cookies.set("session", f"{session_id}.{'A' * len(signature)}")
    service.calls()
    assert other.get("/read") == {"id": False}
    assert service.calls() == []


def test_an_id_that_the_store_does_not_know_is_not_taken_over() -> None:
    service = Service()
    service.get("/add/one")
    old = service.client.cookies["session"]
    service.get("/logout")
    other = Service(store=service.store)
    answer = other.client.get("/add/two", headers={"cookie": f"session={old}"})
    assert answer.json() == {"values": ["two"]}
    assert other.client.cookies["session"] != old


def test_a_login_changes_the_id_and_ends_the_old_session() -> None:
    service = Service()
    service.get("/add/one")
    before = service.client.cookies["session"]
    assert service.get("/login") == {"values": ["one"], "user": "ada"}
    assert service.calls() == ["save", "load", "save", "delete"]
    after = service.client.cookies["session"]
    assert after != before
    assert service.get("/read")["user"] == "ada"
    attacker = Service(store=service.store)
    attacker.client.cookies.set("session", before)
    assert attacker.get("/read") == {"id": False}


def test_a_session_ends_with_its_time_unless_it_rolls() -> None:
    fixed, rolling = Service(max_age=100), Service(max_age=100, rolling=True)
    for service in (fixed, rolling):
        service.get("/add/one")
        for _ in range(3):
            service.store.now += 60  # type: ignore[attr-defined]
            service.get("/read")
    assert fixed.get("/read") == {"id": False}
    assert rolling.get("/read") == {"values": ["one"], "id": True}
    assert rolling.calls().count("touch") == 4
    assert "Max-Age=100" in rolling.client.get("/read").headers["set-cookie"]
    assert "set-cookie" not in rolling.client.get("/untouched").headers


def test_what_changes_after_the_response_has_started_is_saved_as_well() -> None:
    service = Service()
    service.get("/add/one")
    assert service.client.get("/late").text == "x"
    assert service.get("/read")["late"] is True
    with service.client.websocket_connect("/socket"):
        pass
    assert service.get("/read")["from socket"] is True


def test_a_cookie_of_the_browsers_session_has_no_age() -> None:
    assert "Max-Age" not in Service(max_age=None).client.get("/add/one").headers["set-cookie"]


# ---------------------------------------------------------------- stores


class FakeRedis:
    """As much of a Redis server as the store asks of it."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, int | None]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2])
            writer.write(self.answer(words[0].upper(), *words[1:]))
            await writer.drain()
        writer.close()

    def answer(self, command: bytes, *words: bytes) -> bytes:
        if command == b"GET":
            kept = self.kept.get(words[0])
            return b"$-1\r\n" if kept is None else b"$%d\r\n%s\r\n" % (len(kept[0]), kept[0])
        if command == b"SET":
            assert words[2].upper() == b"PX"
            self.kept[words[0]] = words[1], int(words[3])
            return b"+OK\r\n"
        if command == b"DEL":
            return b":%d\r\n" % (self.kept.pop(words[0], None) is not None)
        if command == b"PEXPIRE":
            if words[0] in self.kept:
                self.kept[words[0]] = self.kept[words[0]][0], int(words[1])
            return b":1\r\n"
        return b"+OK\r\n"


def suffixes(directory: Path) -> list[str]:
    return sorted(path.suffix for path in directory.iterdir())


def files_below(directory: Path) -> list[tuple[str, int, int]]:
    """The folder of each file, and the modes of both."""
    return [
        (path.parent.name, stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode))
        for path in directory.rglob("*")
        if path.is_file()
    ]


async def exercise(store: SessionStore) -> None:
    assert await store.load("a") is None
    await store.touch("a", 60)
    await store.delete("a")
    await store.save("a", '{"ä": 1}', 60)
    await store.save("b", "{}", 60)
    assert await store.load("a") == '{"ä": 1}'
    await store.save("a", '{"ä": 2}', 60)
    assert await store.load("a") == '{"ä": 2}'
    await store.touch("a", 120)
    await store.delete("b")
    assert await store.load("b") is None
    assert await store.load("a") == '{"ä": 2}'


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_a_store_keeps_what_it_is_given(kind: str, tmp_path: Path) -> None:
    await exercise(MemoryStore() if kind == "memory" else FileStore(tmp_path / "new" / "folder"))


def test_redis_keeps_what_it_is_given() -> None:
    pytest.importorskip("redis")
    from forzium.session_stores.redis import RedisStore

    async def run() -> None:
        fake = FakeRedis()
        async with fake.running() as url:
            store = RedisStore(url, prefix="s:")
            await exercise(store)
            assert fake.kept == {b"s:a": ('{"ä": 2}'.encode(), 120_000)}
            await store.aclose()

    asyncio.run(run())


@pytest.mark.anyio
async def test_memory_forgets_what_is_over() -> None:
    store = Recording()
    for number in range(20):
        await store.save(str(number), "{}", 10)
    await store.touch("19", 100)
    store.now += 11
    assert await store.load("0") is None
    await store.touch("0", 100)
    assert await store.load("0") is None
    for number in range(3):
        await store.save(f"new {number}", "{}", 10)
    assert sorted(store._kept) == ["19", "new 0", "new 1", "new 2"]


@pytest.mark.anyio
async def test_files_expire_and_are_removed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    await store.save("kept", "{}", 60)
    await store.save("over", "{}", -1)
    for name in ("somebody else's", "being written.unfinished"):
        await anyio.Path(tmp_path / name).write_text("stays")
    assert await store.load("over") is None
    await store.touch("over", 60)
    assert await store.load("over") is None
    assert await store.cleanup() == 1
    assert suffixes(tmp_path) == ["", ".session", ".unfinished"]
    assert await store.load("kept") == "{}"


@pytest.mark.anyio
async def test_a_save_cleans_up_when_it_is_time(tmp_path: Path) -> None:
    store = FileStore(tmp_path, cleanup_every=0)
    await store.save("over", "{}", -1)
    await store.save("kept", "{}", 60)
    assert suffixes(tmp_path) == [".session"]


@pytest.mark.anyio
@pytest.mark.parametrize("session_id", ["../../outside", "/etc/passwd", "a\0b", "", "x" * 10_000, "ä"])
async def test_no_id_leads_out_of_the_directory(session_id: str, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "inside")
    await store.save(session_id, "{}", 60)
    assert await store.load(session_id) == "{}"
    assert files_below(tmp_path) == [("inside", 0o700, 0o600)]


@pytest.mark.anyio
async def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    seen = set()

    async def save(letter: str) -> None:
        for _ in range(20):
            await store.save("a", letter * 50_000, 60)

    async def load() -> None:
        for _ in range(40):
            text = await store.load("a")
            seen.add(None if text is None else (len(text), len(set(text))))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(save, "a")
        tasks.start_soon(save, "b")
        tasks.start_soon(load)
    assert seen <= {None, (50_000, 1)}
    assert suffixes(tmp_path) == [".session"]


def test_files_hold_a_service_up(tmp_path: Path, backend: Any) -> None:
    first, second = (Service(backend, FileStore(tmp_path)) for _ in range(2))
    first.get("/add/one")
    second.client.cookies.update(first.client.cookies)
    assert second.get("/add/two") == {"values": ["one", "two"]}

"""Static files: which file, which headers, or which refusal, as by Starlette."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.harness import Framework, describe, frameworks

Build = Callable[[Any], Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("static")
    root = base / "root"
    for name, text in {
        "root/a.txt": "a",
        "root/404.html": "<p>missing</p>",
        "root/dir/index.html": "<p>dir</p>",
        "root/dir/é ü.css": "p {}",
        "root/empty/.keep": "",
        "other/secret.txt": "secret",
        "root-sibling/secret.txt": "secret",
    }.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (root / "link.txt").symlink_to(base / "other" / "secret.txt")
    (root / "linked").symlink_to(base / "other")
    (root / "inner.txt").symlink_to(root / "a.txt")
    return root


def answer(fw: Framework, build: Build, path: str, method: str, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "server": ("testserver", 80),
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "asgi": {"spec_version": "2.4"},
    }

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        try:
            await build(fw.starlette.staticfiles)(scope, None, send)
        except Exception as error:
            sent.append((describe(error)[:1], getattr(error, "status_code", None), getattr(error, "headers", None)))

    anyio.run(main)
    return sent


def assert_alike(build: Build, path: str, method: str = "GET", headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    theirs, ours = (answer(fw, build, path, method, headers or []) for fw in frameworks())
    assert ours == theirs
    return ours


PATHS = [
    "/",
    "",
    "/a.txt",
    "/a.txt/",
    "/a.txt/b",
    "/inner.txt",
    "/link.txt",
    "/linked/secret.txt",
    "/dir",
    "/dir/",
    "/dir/index.html",
    "/dir/é ü.css",
    "/empty",
    "/empty/",
    "/missing",
    "/../other/secret.txt",
    "/../root-sibling/secret.txt",
    "/dir/../../other/secret.txt",
    "//etc/passwd",
    "/dir//index.html",
    "/\\etc",
    "/\0",
    "/" + "x" * 300,
]


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("follow_symlink", [False, True])
def test_a_path_leads_where_it_leads_with_starlette(root: Path, html: bool, follow_symlink: bool) -> None:
    for path in PATHS:
        sent = assert_alike(lambda m: m.StaticFiles(directory=root, html=html, follow_symlink=follow_symlink), path)
        if not follow_symlink:
            assert b"secret" not in sent[-1].get("body", b"") if isinstance(sent[-1], dict) else True


@given(
    st.lists(st.sampled_from(["..", ".", "", "a.txt", "dir", "index.html", "other", "link.txt", "linked"]), max_size=5)
)
def test_any_path_leads_where_it_leads_with_starlette(root: Path, parts: list[str]) -> None:
    assert_alike(lambda m: m.StaticFiles(directory=str(root), html=True), "/" + "/".join(parts))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "get"])
def test_a_method_is_served_or_refused_as_by_starlette(root: Path, method: str) -> None:
    assert_alike(lambda m: m.StaticFiles(directory=root), "/a.txt", method)


def test_a_known_copy_is_not_sent_again_as_with_starlette(root: Path) -> None:
    def build(m: Any) -> Any:
        return m.StaticFiles(directory=root)

    headers = dict(assert_alike(build, "/a.txt")[0]["headers"])
    etag, modified = headers[b"etag"], headers[b"last-modified"]
    for given_headers in (
        {b"if-none-match": etag},
        {b"if-none-match": b'"x", W/' + etag},
        {b"if-none-match": b"*"},
        {b"if-none-match": b'"x"', b"if-modified-since": modified},
        {b"if-none-match": b""},
        {b"if-modified-since": modified},
        {b"if-modified-since": b"Wed, 21 Oct 2015 07:28:00 GMT"},
        {b"if-modified-since": b"Wed, 21 Oct 2099 07:28:00 GMT"},
        {b"if-modified-since": b"yesterday"},
        {b"range": b"bytes=0-0"},
    ):
        assert_alike(build, "/a.txt", headers=list(given_headers.items()))


@pytest.mark.parametrize(
    "options",
    [
        {"directory": "/nowhere/at/all"},
        {"directory": "/nowhere/at/all", "check_dir": False},
        {"directory": __file__, "check_dir": False},
        {"packages": ["no_such_package"]},
        {"packages": ["json"]},
        {"packages": [("json", "")]},
        {"packages": [("json", "nothing")]},
    ],
    ids=str,
)
def test_a_directory_is_checked_as_by_starlette(options: dict[str, Any]) -> None:
    assert_alike(lambda m: m.StaticFiles(**options), "/decoder.py", "HEAD")


def test_a_websocket_is_closed_as_by_starlette(root: Path) -> None:
    for fw in frameworks():
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        anyio.run(fw.staticfiles.StaticFiles(directory=root), {"type": "websocket", "path": "/"}, None, send)
        assert sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]

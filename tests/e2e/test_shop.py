"""The example under a real server, used as a client would, on forzium and on fastapi: both must tell the same story."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e import servers

SHOP = servers.ROOT / "examples" / "shop"
# What a server or a clock writes into an answer.
VOLATILE_HEADERS = {"date", "server", "connection", "transfer-encoding"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


class Story:
    """A client that writes down every answer it gets."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.lines: list[tuple[str, int, dict[str, str], Any]] = []

    def __call__(self, expected: int, method: str, url: str, **request: Any) -> httpx.Response:
        response = self._client.request(method, url, **request)
        origin = str(self._client.base_url).rstrip("/")  # with a port of the kernel's choice
        headers = {n: v.replace(origin, "") for n, v in response.headers.items() if n not in VOLATILE_HEADERS}
        body: object = response.content
        if headers.get("content-type") == "application/json":
            body = _without_volatile(response.text)
        elif headers.get("content-type", "").startswith("text/html"):  # each has its own words around Swagger UI
            body = "SwaggerUIBundle(" in response.text
            del headers["content-length"]
        self.lines.append((f"{method} {url}", response.status_code, headers, body))
        assert response.status_code == expected, (method, url, response.text)
        return response


def _without_volatile(text: str) -> str:
    text = re.sub(r'"access_token":"[^"]+"', '"access_token":"…"', text)
    return re.sub(r'"placed_at":"[^"]+"', '"placed_at":"…"', text)


def tell(story: Story) -> None:
    """Go through the shop: look around, fail to get in, get in, sell, buy."""
    story(200, "GET", "/health")
    story(200, "GET", "/docs")
    story(200, "GET", "/openapi.json")
    names = [product["name"] for product in story(200, "GET", "/products").json()]
    assert names == sorted(names)
    story(200, "GET", "/products?search=tea&in_stock=true&limit=1&offset=1")
    story(422, "GET", "/products?limit=0&in_stock=perhaps")
    story(200, "GET", "/products/1")
    story(404, "GET", "/products/99")
    story(422, "GET", "/products/teapot")
    story(404, "GET", f"/products/{2**63 - 1}")
    story(422, "GET", f"/products/{2**63}")  # more than the database can look for
    story(422, "GET", f"/products?offset={2**63}")
    story(404, "GET", "/nowhere")
    story(405, "DELETE", "/products/1")
    story(307, "GET", "/products/")

    story(422, "POST", "/accounts", json={"name": "A n n", "password": "short"})
    story(422, "POST", "/accounts", content=b'{"name": ', headers={"content-type": "application/json"})
    story(201, "POST", "/accounts", json={"name": "ann", "password": "four words of hers"})
    story(409, "POST", "/accounts", json={"name": "ann", "password": "another password"})
    story(401, "POST", "/token", data={"username": "ann", "password": "wrong"})
    story(401, "POST", "/token", data={"username": "bob", "password": "wrong"})
    story(422, "POST", "/token", data={"username": "ann"})
    token = story(200, "POST", "/token", data={"username": "ann", "password": "four words of hers"}).json()
    ann = {"authorization": f"Bearer {token['access_token']}"}

    story(401, "GET", "/accounts/me")
    story(401, "GET", "/accounts/me", headers={"authorization": "Bearer forged"})
    story(200, "GET", "/accounts/me", headers=ann)

    story(401, "POST", "/products", json={"name": "jar", "price": "3.50", "stock": 2})
    story(422, "POST", "/products", json={"name": "", "price": "-1.005"}, headers=ann)
    added = story(201, "POST", "/products", json={"name": "jar", "price": "3.50", "stock": 2}, headers=ann)
    jar = added.headers["location"]
    story(409, "POST", "/products", json={"name": "jar", "price": "3.50"}, headers=ann)
    story(404, "GET", f"{jar}/picture")
    story(415, "PUT", f"{jar}/picture", files={"picture": ("jar.txt", b"a jar", "text/plain")}, headers=ann)
    story(422, "PUT", f"{jar}/picture", data={"picture": "not a file"}, headers=ann)
    story(204, "PUT", f"{jar}/picture", files={"picture": ("jar.png", PNG, "image/png")}, headers=ann)
    assert story(200, "GET", f"{jar}/picture").content == PNG

    number = added.json()["id"]
    lines = [{"product_id": 1, "quantity": 2}, {"product_id": number, "quantity": 1}]
    too_many = [{"product_id": 1, "quantity": 2}, {"product_id": number, "quantity": 3}]
    story(401, "POST", "/orders", json={"lines": lines})
    story(422, "POST", "/orders", json={"lines": [*lines, lines[0]]}, headers=ann)
    story(409, "POST", "/orders", json={"lines": too_many}, headers=ann)
    assert story(200, "GET", "/products/1").json()["stock"] == 12  # rolled back: the teapots are still there
    assert story(200, "GET", "/orders", headers=ann).json() == []
    order = story(201, "POST", "/orders", json={"lines": lines}, headers=ann).json()
    assert order["total"] == "52.50"
    assert story(200, "GET", "/products/1").json()["stock"] == 10
    story(404, "GET", "/orders/99", headers=ann)

    front_end = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    story(200, "OPTIONS", "/orders", headers=front_end | {"access-control-request-headers": "authorization"})
    story(400, "OPTIONS", "/orders", headers=front_end | {"origin": "http://elsewhere.example"})
    story(200, "GET", "/health", headers={"origin": "http://localhost:3000"})


def wait_until_confirmed(client: httpx.Client) -> None:
    """The background task runs after the answer; look until it has."""
    account = {"username": "ann", "password": "four words of hers"}
    token = client.post("/token", data=account).json()["access_token"]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if client.get("/orders/1", headers={"authorization": f"Bearer {token}"}).json()["confirmed"]:
            return
        time.sleep(0.02)
    raise AssertionError("the background task did not run")


def shop_on(framework: str, folder: Path) -> Path:
    """A copy of the example in `folder` whose imports name `framework`; nothing else is changed."""
    copy = folder / framework / "shop"
    shutil.copytree(SHOP, copy, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    for file in copy.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"(?m)^(from|import) forzium\b", rf"\1 {framework}", source), encoding="utf-8")
    return copy.parent


def visit(framework: str, folder: Path) -> list[tuple[str, int, dict[str, str], Any]]:
    """Start the shop on `framework`, tell the story, stop it."""
    home = shop_on(framework, folder)
    env = servers.environment(home, SHOP_DATABASE=str(home / "shop.sqlite3"))
    with servers.run(["-m", "shop", "--port", "0"], env=env, cwd=home) as server:
        url = server.wait_for_line("docs:").removesuffix("/docs")
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            story = Story(client)
            tell(story)
            wait_until_confirmed(client)
        assert "Traceback" not in server.output()
    return story.lines


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, int, dict[str, str], Any]]]:
    return {framework: visit(framework, tmp_path_factory.mktemp(framework)) for framework in ("fastapi", "forzium")}


def test_the_shop_answers_the_same_on_fastapi_and_on_forzium(stories: dict[str, list[Any]]) -> None:
    assert stories["forzium"] == stories["fastapi"]


def test_the_example_imports_the_framework_by_one_name_only() -> None:
    for file in SHOP.glob("*.py"):
        code = [line for line in file.read_text(encoding="utf-8").splitlines() if "forzium" in line]
        assert all(re.match(r"from forzium[\w.]* import ", line) for line in code if "``" not in line), file

"""The document is written once, for as long as nobody can have changed it."""

from typing import Any

import pytest

from forzium import FastAPI
from forzium.applications import document
from forzium.testclient import TestClient


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The documents that were written as JSON."""
    contents: list[Any] = []
    response = document.JSONResponse

    def write(content: Any) -> Any:
        contents.append(content)
        return response(content)

    monkeypatch.setattr(document, "JSONResponse", write)
    return contents


def test_the_document_is_written_once_for_each_root_path(written: list[Any]):
    app = FastAPI()
    clients = [TestClient(app), TestClient(app, root_path="/below"), TestClient(app)]
    texts = [client.get("/openapi.json").text for client in clients + clients]
    assert len(written) == 2
    assert texts[0] == texts[2] != texts[1]


def test_a_document_that_was_handed_out_is_written_for_every_request(written: list[Any]):
    app = FastAPI()
    client = TestClient(app)
    client.get("/openapi.json")
    app.openapi()
    client.get("/openapi.json")
    client.get("/openapi.json")
    assert len(written) == 3


def test_root_paths_that_a_client_chooses_do_not_fill_the_memory():
    app = FastAPI()
    for number in range(100):
        TestClient(app, root_path=f"/{number}").get("/openapi.json")
    assert len(app._document._bodies) <= document._MOST_ROOT_PATHS

"""Testing an application with its client: no server, no socket."""

from first import app

from forzium.testclient import TestClient


def test_an_item_is_read() -> None:
    client = TestClient(app)
    response = client.get("/items/1", params={"q": "tea"})
    assert response.status_code == 200
    assert response.json() == {"item_id": 1, "q": "tea"}


def test_a_number_is_asked_for() -> None:
    client = TestClient(app)
    assert client.get("/items/one").status_code == 422

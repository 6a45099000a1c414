"""Documentation pages that reach no outside host."""

import re
import sys
from pathlib import Path

import pytest

from forzium import FastAPI
from forzium.openapi.assets import serve_docs
from forzium.testclient import TestClient

FILES = [
    "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui-dist/swagger-ui.css",
    "swagger-ui-dist/favicon-32x32.png",
    "redoc/bundles/redoc.standalone.js",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder laid out like the package's, with small files."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_everything_a_page_loads_is_on_this_host_and_there(folder: Path, page: str, root_path: str):
    app = FastAPI(title="Mine")
    serve_docs(app, folder=folder)
    client = TestClient(app, root_path=root_path)
    text = client.get(page).text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert loaded
    for url in loaded:
        assert url.startswith(f"{root_path}/docs-assets/")
        answer = client.get(url.removeprefix(root_path))
        assert answer.status_code == 200
        assert answer.text in FILES
    assert f"{root_path}/openapi.json" in text
    assert client.get("/openapi.json").json()["info"]["title"] == "Mine"


def test_pages_keep_their_places_before_what_catches_all(folder: Path):
    app = FastAPI(docs_url="/d", redoc_url=None, swagger_ui_parameters={"deepLinking": False})

    @app.get("/{path:path}")
    def catch_all(path: str):
        return path

    serve_docs(app, folder=folder, assets_url="/files")
    client = TestClient(app)
    assert '"deepLinking": false' in client.get("/d").text
    assert client.get("/files/" + FILES[0]).text == FILES[0]
    assert client.get("/redoc").json() == "redoc"
    assert list(app.openapi()["paths"]) == ["/{path}"]


def test_images_of_other_hosts_are_not_loaded_by_redoc(folder: Path):
    app = FastAPI()
    serve_docs(app, folder=folder)
    assert TestClient(app).get("/redoc").headers["content-security-policy"] == "img-src 'self' data:"


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RuntimeError, match="neither docs_url nor redoc_url"):
        serve_docs(FastAPI(openapi_url=None), folder=tmp_path)
    with pytest.raises(RuntimeError, match="expected a folder"):
        serve_docs(FastAPI(), folder=tmp_path / "nowhere")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "drf_spectacular_sidecar", raising=False)
    with pytest.raises(RuntimeError, match=r'pip install "forzium\[docs\]"'):
        serve_docs(FastAPI())


@pytest.mark.parametrize(
    "file", ["../secret", "%2e%2e/secret", "swagger-ui-dist/../../secret", "/etc/hostname", "", "none"]
)
def test_nothing_beside_the_folder_is_served(folder: Path, file: str):
    (folder.parent / "secret").write_text("secret")
    app = FastAPI()
    serve_docs(app, folder=folder)
    assert TestClient(app).get(f"/docs-assets/{file}").status_code in (404, 405)

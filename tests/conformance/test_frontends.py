"""Front ends: which request gets a file, a fallback, a redirect, another route's answer, or an error."""

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from conformance.harness import Framework, Request, compare, frameworks, outcome_of

A_PAGE = (("accept", "text/html"),)
ACCEPTED = [
    "*/*",
    "text/*",
    "TEXT/HTML;level=1",
    "application/xhtml+xml",
    "application/json, text/html;q=0",
    'text/html;q="0"',
    "text/html;q=0.0, application/xhtml+xml",
    "text/html; q=x",
    "text/html;q=0.1, */*",
    "",
]
PATHS = [
    *("", "/", "/index.html", "/assets/app.js", "/assets", "/assets/", "/page", "/page/", "/page?q=1", "/page//"),
    *("/nope", "/nope/", "/nope.js", "/assets/nope.js", "/404.html", "/item/1", "/item/x", "//", "/a.b/c"),
    *("/../out", "/..%2fout", "/%00", "/" + "x" * 300, "/link", "/item/"),
]
PLACES = ["/both", "/pages", "/missing", "/plain", "/unbuilt", "/unfounded", "/router", "/outer/inner/deep"]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories of built front ends; all files are of one moment."""
    root = tmp_path_factory.mktemp("sites")
    files = {
        "spa/index.html": "the application",
        "spa/assets/app.js": "script",
        "spa/page/index.html": "a page",
        "static/404.html": "not here",
        "static/index.html": "static",
        "plain/file.txt": "text",
        "out": "outside",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (root / "spa" / "link").symlink_to(root / "out")
    return root


def application(fw: Framework, sites: Path) -> Any:
    app = fw.FastAPI()

    def marked(response: fw.Response, tasks: fw.BackgroundTasks, mark: str = "none") -> None:  # type: ignore[name-defined]
        response.headers["x-mark"] = mark
        tasks.add_task(lambda: None)

    def guarded(deny: bool = False) -> Any:
        if deny:
            raise fw.HTTPException(403, "denied")
        yield

    app.frontend("/both", directory=sites / "spa")
    app.frontend("/pages", directory=sites / "spa", fallback="index.html")
    app.frontend("/missing", directory=sites / "static")
    app.frontend("/plain", directory=sites / "plain", fallback=None)
    app.frontend("/unbuilt", directory=sites / "nowhere", check_dir=False)
    app.frontend("/unfounded", directory=sites / "plain", fallback="404.html", check_dir=False)

    router = fw.APIRouter(dependencies=[fw.Depends(marked), fw.Depends(guarded)])
    router.frontend("/", directory=sites / "spa")

    @router.get("/item/{number}")
    def read_item(number: int) -> int:
        return number

    app.include_router(router, prefix="/router")
    inner, outer = fw.APIRouter(), fw.APIRouter()
    inner.frontend("/deep", directory=sites / "static")
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer", dependencies=[fw.Depends(guarded)])

    @app.get("/both/item/{number}")
    def read_other(number: int) -> int:
        return number

    return app


@pytest.mark.parametrize("place", PLACES)
def test_a_path_is_answered_alike(sites: Path, place: str):
    requests = [
        *(Request(place + path, headers=headers) for path in PATHS for headers in ((), A_PAGE)),
        *(
            Request(place + path, method=method, headers=A_PAGE)
            for path, method in itertools.product(("/", "/nope", "/item/1"), ("HEAD", "POST", "OPTIONS"))
        ),
    ]
    compare(lambda fw: application(fw, sites), *requests, backends=("asyncio",))


@pytest.mark.parametrize("place", ["/both", "/pages", "/router"])
def test_who_asks_for_a_page_is_told_alike(sites: Path, place: str):
    requests = [Request(f"{place}/nope", headers=(("accept", accepted),)) for accepted in ACCEPTED]
    several = Request(f"{place}/nope", headers=(("accept", "application/json"), ("accept", "text/html")))
    compare(lambda fw: application(fw, sites), *requests, several)


def test_dependencies_come_before_the_files(sites: Path):
    compare(
        lambda fw: application(fw, sites),
        *(
            Request(f"/router{path}?{query}", method=method, headers=A_PAGE)
            for path in ("/", "/nope", "/assets/app.js")
            for query in ("mark=1", "deny=true", "deny=perhaps")
            for method in ("GET", "PUT")
        ),
        Request("/outer/inner/deep/nope?deny=true"),
        Request("/router/page", scope={"root_path": "/proxy"}),
        Request("/proxy/router/page", scope={"root_path": "/proxy"}),
    )


def test_known_copies_and_ranges(sites: Path):
    (answer,) = compare(lambda fw: application(fw, sites), Request("/both/"), backends=("asyncio",))
    tag = dict(answer.headers)["etag"]
    conditions = [("if-none-match", tag), ("if-none-match", "*"), ("range", "bytes=1-3"), ("range", "bytes=99-")]
    conditions.append(("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT"))
    compare(
        lambda fw: application(fw, sites),
        *(
            Request(path, headers=(condition, *A_PAGE))
            for path in ("/both/", "/both/nope", "/missing/nope")
            for condition in conditions
        ),
    )


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("", {}),
        ("relative", {}),
        ("/", {"fallback": "other.html"}),
        ("/", {"directory": "nowhere"}),
        ("/", {"directory": "plain", "fallback": "index.html"}),
        ("/", {"directory": "out"}),
    ],
)
def test_a_front_end_that_cannot_be_is_refused_alike(sites: Path, path: str, options: dict[str, Any]):
    errors = []
    for fw in frameworks():
        app = fw.FastAPI()
        given = {**options, "directory": sites / options.get("directory", "spa")}
        _, raised, _ = outcome_of(lambda app=app, given=given: app.frontend(path, **given))
        errors.append([line.split("\n")[0] for line in raised])
    assert errors[1] == errors[0] != []

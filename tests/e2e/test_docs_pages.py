"""The documentation pages in a browser that reaches no outside host: what people see and can do there.

Skipped where there is no Chromium; `.ci/run` installs one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import browser, servers

HERE = Path(__file__).parent
CHROMIUM = browser.find()

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install one (Debian: apt-get install chromium), or name it in $CHROMIUM"
)


PLACES = {"app": "", "mounted": "/below/this"}


@pytest.fixture(scope="module", params=PLACES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the application `documented` runs, at the root of the host or not."""
    with servers.listening_socket() as listener:
        descriptor = listener.fileno()
        command = ["-m", "uvicorn", f"documented:{request.param}", "--fd", str(descriptor)]
        port = listener.getsockname()[1]
        with servers.run(command, env=servers.environment(HERE), cwd=HERE, inherit=[descriptor]) as server:
            server.wait_until_answering(port)
            yield f"http://127.0.0.1:{port}{PLACES[request.param]}"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    assert CHROMIUM is not None
    with browser.run(CHROMIUM, tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture
def page(chromium: browser.Browser) -> Iterator[browser.Page]:
    """An empty page, and afterwards the assertion that nothing outside was asked for and nothing went wrong."""
    chromium.errors.clear()
    yield chromium.page()
    assert chromium.outside == []
    assert chromium.errors == []


def expand(page: browser.Page, operation: str) -> str:
    """Open an operation in Swagger UI and begin to try it; returns the selector of its block."""
    block = f"[id='operations-default-{operation}']"
    page.click(f"{block} .opblock-summary-control")
    page.click(f"{block} .try-out__btn")
    return block


def execute(page: browser.Page, block: str) -> tuple[str, object]:
    """Execute the operation: the status and the body that are shown."""
    page.click(f"{block} .execute")
    live = f"document.querySelector({json.dumps(block + ' .live-responses-table tbody')})"
    status = page.wait(f"{live}.querySelector('.response-col_status').innerText.trim()")
    body = page.wait(f"{live}.querySelector('.highlight-code code, .highlight-code .microlight').innerText")
    return status.split()[0], json.loads(body)


def test_an_operation_is_expanded_and_executed_in_swagger_ui(page: browser.Page, url: str):
    page.open(f"{url}/docs")
    block = expand(page, "create_item_items__number__post")
    page.type(f"{block} tr[data-param-name='number'] input", "7")
    page.type(f"{block} textarea.body-param__text", '{"name": "tea"}')
    assert execute(page, block) == ("201", {"number": 7, "q": "none", "name": "tea"})


def test_a_refused_body_is_shown(page: browser.Page, url: str, chromium: browser.Browser):
    page.open(f"{url}/docs")
    block = expand(page, "create_item_items__number__post")
    page.type(f"{block} tr[data-param-name='number'] input", "7")
    page.type(f"{block} textarea.body-param__text", '{"tags": []}')
    status, body = execute(page, block)
    assert status == "422"
    assert isinstance(body, dict)
    assert body["detail"][0]["loc"] == ["body", "name"]
    assert all("422" in error for error in chromium.errors)  # the browser logs every answer that is an error
    chromium.errors.clear()


def test_the_redirect_page_hands_the_code_to_swagger_ui(page: browser.Page, url: str):
    page.open(f"{url}/docs")
    page.click(".auth-wrapper .authorize")
    page.click(".modal-ux .auth-btn-wrapper .authorize")  # opens a window, which goes to and fro and closes itself
    page.wait("document.querySelector('.modal-ux .auth-btn-wrapper').innerText.includes('Logout')")
    page.click(".modal-ux .auth-btn-wrapper .btn-done")
    block = expand(page, "read_secret_secret_get")
    assert execute(page, block) == ("200", {"token": "the token of this test"})


def test_redoc_shows_the_document_and_expands_an_answer(page: browser.Page, url: str, chromium: browser.Browser):
    page.open(f"{url}/redoc")
    page.wait("document.querySelector('h1').innerText.includes('Documented')")
    operation = "[data-section-id='operation/create_item_items__number__post']"
    page.wait(f"document.querySelector({json.dumps(operation)}).innerText.includes('Make an item.')")
    page.click(f"{operation} button", "422 Validation Error")
    page.wait(f"document.querySelector({json.dumps(operation)}).innerText.includes('Array of objects')")
    # It shows its maker's logo, which is on another host; the page's policy keeps the browser from asking for it.
    assert all("Content Security Policy" in error and "logo" in error for error in chromium.errors)
    chromium.errors.clear()

"""The documentation pages: what they load, how they start it, and what cannot break out of them."""

import inspect
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from conformance.harness import frameworks

PAGES = ["get_swagger_ui_html", "get_redoc_html", "get_swagger_ui_oauth2_redirect_html"]


class Facts(HTMLParser):
    """What a browser makes of a page: what it loads, its title, and the element that ReDoc replaces."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: set[tuple[str, str]] = set()
        self.title = ""
        self.document: str | None = None
        self.elements: set[str] = set()
        self._path: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self._path.append(tag)
        for name in ("src", "href"):
            if values.get(name):
                self.loaded.add((tag, values[name] or ""))
        self.document = values.get("spec-url") or self.document
        if "id" in values:
            self.elements.add(values["id"] or "")

    def handle_data(self, data: str) -> None:
        if self._path and self._path[-1] == "title" and not self.title:
            self.title = data


def facts(response: Any) -> dict[str, Any]:
    """The facts of a page, with the members of Swagger UI's options as they are read by JavaScript."""
    text = response.body.decode()
    page = Facts(text)
    options = re.search(r"SwaggerUIBundle\(\{(.*?)\}\)", text, re.DOTALL)
    members = dict(re.findall(r'^\s*"(\w+)": (.*),$', options[1], re.MULTILINE)) if options else {}
    url = re.search(r"url: '([^']*)',", options[1]) if options else None
    redirect = re.search(r"oauth2RedirectUrl: (.*?),", options[1]) if options else None
    init = re.search(r"ui\.initOAuth\((.*)\)", text)
    return {
        "status": response.status_code,
        "media type": response.headers["content-type"],
        "loaded": page.loaded,
        "title": page.title.strip(),
        "document": page.document,
        "elements": page.elements,
        "options": {name: json.loads(value) for name, value in members.items()},
        "url": url and url[1],
        "redirect": redirect and redirect[1],
        "init": init and json.loads(init[1]),
        "presets": re.findall(r"SwaggerUIBundle\.(?:presets\.)?\w+", text),
    }


def both(function: str, **arguments: Any) -> tuple[Any, Any]:
    theirs, ours = (getattr(fw.module("openapi.docs"), function)(**arguments) for fw in frameworks())
    return theirs, ours


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"oauth2_redirect_url": "/docs/oauth2-redirect"},
        {"swagger_js_url": "/s.js?a=1&b=2", "swagger_css_url": "/s.css", "swagger_favicon_url": "/s.png"},
        {"init_oauth": {"clientId": "<b>&", "scopes": ["a"]}},
        {"swagger_ui_parameters": {"deepLinking": False, "syntaxHighlight": {"theme": "<&>"}, "custom": None}},
    ],
)
def test_swagger_ui_is_started_alike(arguments: dict[str, Any]):
    theirs, ours = both("get_swagger_ui_html", openapi_url="/openapi.json", title="An API", **arguments)
    assert facts(ours) == facts(theirs)


@pytest.mark.parametrize(
    "arguments", [{}, {"with_google_fonts": False}, {"redoc_js_url": "/r", "redoc_favicon_url": "/f"}]
)
def test_redoc_is_started_alike(arguments: dict[str, Any]):
    theirs, ours = both("get_redoc_html", openapi_url="/openapi.json", title="An API", **arguments)
    assert facts(ours) == facts(theirs)


def test_the_redirect_page_answers_the_window_that_opened_it():
    for response in both("get_swagger_ui_oauth2_redirect_html"):
        assert "window.opener.swaggerUIRedirectOauth2" in response.body.decode()
        assert response.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("function", PAGES)
def test_signatures_agree(function: str):
    theirs, ours = (
        {
            name: (parameter.kind, parameter.default)
            for name, parameter in inspect.signature(getattr(fw.module("openapi.docs"), function)).parameters.items()
        }
        for fw in frameworks()
    )
    assert ours == theirs


def test_default_parameters_agree():
    theirs, ours = (fw.module("openapi.docs").swagger_ui_default_parameters for fw in frameworks())
    assert ours == theirs


NASTY = "</title></script><script>alert(1)</script>'\"\\\n\u2028"


def test_no_value_breaks_out_of_its_place():
    """FastAPI escapes a part of the values only, so this is about forzium alone."""
    docs = frameworks()[1].module("openapi.docs")
    swagger = docs.get_swagger_ui_html(
        openapi_url=NASTY,
        title=NASTY,
        swagger_js_url=NASTY,
        swagger_css_url=NASTY,
        swagger_favicon_url=NASTY,
        oauth2_redirect_url=NASTY,
        init_oauth={NASTY: NASTY},
        swagger_ui_parameters={NASTY: NASTY},
    ).body.decode()
    redoc = docs.get_redoc_html(
        openapi_url=NASTY, title=NASTY, redoc_js_url=NASTY, redoc_favicon_url=NASTY
    ).body.decode()
    assert "<script>alert" not in swagger + redoc
    assert swagger.count("</script>") == 2
    assert redoc.count("</script>") == 1
    assert "\u2028" not in swagger.split("<script>")[-1]
    assert Facts(redoc).document == NASTY

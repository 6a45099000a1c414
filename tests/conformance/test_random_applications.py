"""Random applications answer random requests alike: status, headers, body, OpenAPI document.

Each case declares an endpoint with a dependency, both with random signatures, and sends some requests of every kind.
``HYPOTHESIS_PROFILE=long`` runs 5,000 cases of each test; CI runs the default's few.
"""

import json
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given, note
from hypothesis import strategies as st

from conformance.harness import Framework, Request, exchange
from conformance.signatures import attempt, both, make_endpoint, plain, signatures
from conformance.test_extraction import EMPTY_FILE, FILE, NAMES, VALUES, documents

names = st.sampled_from([name for name in NAMES if name])
values = st.sampled_from(VALUES)
pairs = st.lists(st.tuples(names, values), max_size=4)
BOUNDARY = "xXx"


def _multipart(fields: list[tuple[str, str]]) -> bytes:
    parts = []
    for name, value in fields:
        disposition = f'form-data; name="{name}"'
        content = value
        if value in (FILE, EMPTY_FILE):
            disposition += f'; filename="{"f.txt" if value == FILE else ""}"\r\nContent-Type: text/plain'
            content = "content" if value == FILE else ""
        parts.append(f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n{content}\r\n")
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request with some parameters, and a body as JSON, a form, something else, or none."""
    query = urlencode(draw(pairs))
    headers: list[tuple[str, str]] = [(name, value.strip() or "x") for name, value in draw(pairs) if value.isascii()]
    cookies = [f"{name}={quote(value)}" for name, value in draw(pairs)]
    if cookies:
        headers.append(("cookie", "; ".join(cookies)))
    kind = draw(st.sampled_from(["json", "urlencoded", "multipart", "broken", "other", "none"]))
    body: bytes | None = None
    content_type = None
    if kind == "json":
        body, content_type = json.dumps(draw(documents)).encode(), "application/json"
    elif kind == "urlencoded":
        body, content_type = urlencode(draw(pairs)).encode(), "application/x-www-form-urlencoded"
    elif kind == "multipart":
        fields = draw(st.lists(st.tuples(names, st.sampled_from([*VALUES, FILE, EMPTY_FILE])), max_size=4))
        body, content_type = _multipart(fields), f"multipart/form-data; boundary={BOUNDARY}"
    elif kind == "broken":
        body, content_type = b'{"name": ', "application/json"
    elif kind == "other":
        body, content_type = b"1", draw(st.sampled_from(["text/plain", "application/vnd.api+json", "application/xml"]))
    if content_type is not None:
        headers.append(("content-type", content_type))
    path = "/items/" + quote(draw(values.filter(bool)), safe="")
    return Request(f"{path}?{query}", method="POST", headers=tuple(headers), body=body)


def _seen(value: Any) -> Any:
    """What an endpoint has received, in a form that says the type of everything in it."""
    if hasattr(value, "filename"):
        return ["file", value.filename, value.size, value.file.read().decode()]
    if isinstance(value, dict):
        return {str(key): _seen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(_seen(item) for item in value)]
    return [type(value).__name__, plain(value).encode("ascii", "backslashreplace").decode()]


def _application(fw: Framework, specs: Any, inner: Any) -> Any:
    app = fw.FastAPI()
    endpoint = make_endpoint(fw, specs)
    signature = endpoint.__signature__
    dependency = make_endpoint(fw, inner)
    parameters = [*signature.parameters.values()]
    extra = type(parameters[0])("inner", parameters[0].kind, default=fw.Depends(dependency), annotation=Any)

    def operation(**arguments: Any) -> Any:
        return {name: _seen(value) for name, value in arguments.items()}

    operation.__signature__ = signature.replace(parameters=[*parameters, extra])  # type: ignore[attr-defined]
    app.post("/items/{item_id}")(operation)
    return app


@given(signatures(3), signatures(2), st.lists(requests(), min_size=1, max_size=5))
def test_random_requests_to_random_applications_are_answered_alike(specs: Any, inner: Any, sent: Any) -> None:
    oracle, ours = both(lambda fw: _application(fw, specs, inner))
    if oracle is None:
        return
    documents_ = [attempt(app.openapi) for app in (oracle, ours)]
    assert documents_[1][:2] == documents_[0][:2]
    assert json.dumps(documents_[1][0]) == json.dumps(documents_[0][0])
    for request in sent:
        note(str(request))
        expected, found = exchange(oracle, request), exchange(ours, request)
        if expected.raised and not found.raised:
            continue  # where FastAPI crashes, forzium may answer: docs/compatibility.md
        assert (found.status, found.headers, found.body) == (expected.status, expected.headers, expected.body)
        assert [line.split(":")[0] for line in found.raised] == [line.split(":")[0] for line in expected.raised]

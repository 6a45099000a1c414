"""Values are taken out of requests alike: same values of the same types, same errors."""

import io
import math
from typing import Any

import anyio
from hypothesis import assume, given
from hypothesis import strategies as st

from conformance.harness import Framework
from conformance.signatures import both, make_endpoint, plain, signatures

NAMES = [
    *("item_id", "item-id", "q", "x_token", "x-token", "X-Token", "user_id", "user-id", "userId", "page_size"),
    *("page-size", "limit", "ids", "name", "price", "tags", "kind", "type", "a-b", "v", "c1", "c2", "c", "other", ""),
]
VALUES = ["", "1", "3", "abc", "a", "red", "true", "[1, 2]", "1.5", "2020-01-01", "0", "é"]
FILE = "<file>"
EMPTY_FILE = "<no file>"

pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)
form_pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*VALUES, FILE, EMPTY_FILE])), max_size=6)
scalars = st.sampled_from([*VALUES, 1, 2.5, True, None])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


def _facts(value: Any) -> Any:
    """A value with the types of everything in it, since `1 == True`."""
    if isinstance(value, dict):
        return {key: _facts(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(_facts(item) for item in value)]
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if hasattr(value, "filename"):
        return ("file", value.filename, value.size)
    return (type(value).__name__, plain(value))


def _without_none(result: Any) -> Any:
    values, errors = result
    for error in errors:
        error["loc"] = tuple(error["loc"])
    return _facts(values), _facts(errors)


def _parameters(fw: Framework, fields: Any, received: Any) -> Any:
    utils = fw.module("dependencies.utils")
    return _without_none(utils.request_params_to_args(fields, received))


@given(signatures(4), pairs, st.sampled_from(["/", "/{item_id}"]))
def test_parameters_have_the_same_values_and_errors(specs: Any, received: Any, path: str) -> None:
    def extract(fw: Framework) -> Any:
        dependant = fw.module("dependencies.utils").get_dependant(path=path, call=make_endpoint(fw, specs))
        structures = fw.starlette.datastructures
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in received]
        return [
            _parameters(fw, dependant.path_params, dict(received)),
            _parameters(fw, dependant.query_params, structures.QueryParams(received)),
            _parameters(fw, dependant.header_params, structures.Headers(raw=raw)),
            _parameters(fw, dependant.cookie_params, dict(received)),
        ]

    oracle, ours = both(extract)
    assert ours == oracle


def _form(fw: Framework, received: Any) -> Any:
    structures = fw.starlette.datastructures

    def item(value: str) -> Any:
        if value not in (FILE, EMPTY_FILE):
            return value
        content = b"content" if value == FILE else b""
        return structures.UploadFile(io.BytesIO(content), size=len(content), filename="f.txt" if content else "")

    return structures.FormData([(name, item(value)) for name, value in received])


def _body(fw: Framework, specs: Any, body: Any, force: bool) -> Any:
    utils = fw.module("dependencies.utils")
    dependant = utils.get_dependant(path="/", call=make_endpoint(fw, specs))
    ours = fw.name == "forzium"
    flat = (utils.get_flat_body_params if ours else utils._get_flat_body_params)(dependant)
    if not flat:
        return None
    embed = force or (utils.should_embed_body_fields if ours else utils._should_embed_body_fields)(flat)
    return _without_none(anyio.run(utils.request_body_to_args, flat, body, embed, backend="trio"))


@given(signatures(4), documents | st.binary(max_size=4), st.booleans())
def test_documents_have_the_same_values_and_errors(specs: Any, document: Any, force: bool) -> None:
    oracle, ours = both(lambda fw: _body(fw, specs, document, force))
    assert ours == oracle


@given(signatures(4), form_pairs, st.booleans())
def test_forms_have_the_same_values_and_errors(specs: Any, received: Any, force: bool) -> None:
    # A file in place of a JSON list: FastAPI asks it for its length, which it has not.
    assume(not any("Json" in str(spec.annotation) for spec in specs) or not any(value == FILE for _, value in received))
    oracle, ours = both(lambda fw: _body(fw, specs, _form(fw, received), force))
    assert ours == oracle

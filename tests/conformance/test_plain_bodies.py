"""Bodies of plain JSON types: what is read may be the argument as it is, wherever pydantic would give an equal value."""

from typing import Annotated, Any, Optional

import pytest

from conformance.harness import Framework, Request, compare

TYPES: list[Any] = [
    list[dict[str, Any]], dict[str, Any], list[Any], list, dict, Any, list[str], list[int], list[float], list[bool],
    dict[str, list[int]], dict[str, str], dict[int, str], Optional[list[dict[str, Any]]], set[int], tuple[int, ...],
]  # fmt: skip

BODIES = [
    b'[{"a":1,"b":{"c":[1.5,null]}},{}]', b'{"a":1}', b'{"a":[1,2]}', b'{"1":"x"}', b"[]", b"{}", b"[1,2]", b"[true]",
    b'["a","b"]', b"[1.0,2.5]", b'[1,"2"]', b"[1,2.5]", b"[1e400]", b"[NaN]", b"[123456789012345678901234567890]",
    b"null", b"1", b'"text"', b'["\\ud800"]', b'[{"\\ud800":1}]', b'{"\\ud800":"x"}', b'{"a":"\\ud800"}', b'["\\u00e9"]',
    b'{"rows":[{"a":1}]}', b"[[1]]", b'{"a":{"b":1}}',
]  # fmt: skip


@pytest.mark.parametrize("annotation", TYPES, ids=str)
def test_a_plain_body_is_the_argument_that_fastapi_makes(annotation: Any) -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        # Shown as text: some of what is refused has no form in JSON.
        @app.exception_handler(fw.exceptions.RequestValidationError)
        async def refused(request: Any, error: Any) -> Any:
            return fw.responses.JSONResponse({"errors": repr(error.errors()), "body": repr(error.body)}, 422)

        @app.post("/")
        async def endpoint(rows: Annotated[annotation, fw.Body()]) -> Any:
            return {"seen": repr(rows)}

        @app.post("/embedded")
        async def embedded(rows: Annotated[annotation, fw.Body(embed=True)]) -> Any:
            return {"seen": repr(rows)}

        return app

    headers = (("content-type", "application/json"),)
    requests = [Request(path, "POST", headers, body=body) for path in ("/", "/embedded") for body in BODIES]
    compare(build, *requests, Request("/", "POST", body=b'{"a":1}'), backends=("asyncio",))


def test_two_that_ask_for_the_same_body_do_not_share_it() -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        def emptied(rows: Annotated[list[dict[str, Any]], fw.Body()]) -> int:
            count = len(rows)
            rows.clear()
            return count

        @app.post("/")
        async def endpoint(
            count: Annotated[int, fw.Depends(emptied)], rows: Annotated[list[dict[str, Any]], fw.Body()]
        ) -> Any:
            return {"count": count, "rows": rows}

        return app

    compare(build, Request("/", "POST", json=[{"a": 1}, {"b": 2}]))


def test_an_argument_may_be_changed_and_the_request_read_again() -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.post("/")
        async def endpoint(rows: list[dict[str, Any]], request: fw.Request) -> Any:  # type: ignore[name-defined]
            rows[0]["new"] = 1
            rows.append({})
            return {"rows": rows, "again": await request.json()}

        return app

    compare(build, Request("/", "POST", json=[{"a": 1}]))

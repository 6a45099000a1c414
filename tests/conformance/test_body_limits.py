"""Limits of the body where something else happens, too: what is answered, and what is raised, as by FastAPI."""

from typing import Any

import pytest

from .harness import Framework, Request, compare


@pytest.mark.parametrize("on", ["application", "router", "route"])
@pytest.mark.parametrize("handled", [None, "Exception", "LookupError"])
@pytest.mark.parametrize("outcome", ["replaces", "swallows", "passes on"])
def test_a_response_started_in_vain_is_a_413_whatever_becomes_of_its_exception(
    on: str, handled: str | None, outcome: str
) -> None:
    def build(fw: Framework) -> Any:
        limit = {"max_body_size": 3}
        app = fw.FastAPI(**limit if on == "application" else {})
        router = fw.APIRouter(**limit if on == "router" else {})

        async def waiting() -> Any:
            try:
                yield
            except Exception as error:
                if outcome == "replaces":
                    raise LookupError("another one") from error
                if outcome == "passes on":
                    raise

        @router.post("/", dependencies=[fw.Depends(waiting)], **limit if on == "route" else {})
        def unread() -> Any:
            return "unread"

        app.include_router(router)
        if handled is not None:

            @app.exception_handler({"Exception": Exception, "LookupError": LookupError}[handled])
            async def answer(request: Any, error: Any) -> Any:
                return fw.responses.JSONResponse({"handled": type(error).__name__}, 499)

        return app

    outcomes = compare(build, Request("/", "POST", body=b"1234"), Request("/", "POST", body=b"123"))
    assert {each.status for each in outcomes} == {413, 200}


LENGTHS = [
    "4",
    "+4",
    " 4",
    "4\t",
    "0_4",
    "1_0",
    "_4",
    "4_",
    "-4",
    "- 4",
    "4.0",
    "",
    "+",
    "0x4",
    "4e0",
    "9" * 40,
    "-" + "9" * 40,
]


@pytest.mark.parametrize("length", [*LENGTHS, b"\xb2", b"4\xa0", b"\x1c4", "\N{ARABIC-INDIC DIGIT FOUR}".encode()])
def test_an_announced_length_is_what_python_reads_as_an_integer(length: str | bytes) -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI(max_body_size=3)

        @app.post("/")
        def unread() -> Any:
            return "unread"

        return app

    compare(build, Request("/", "POST", headers=(("content-length", length),)), backends=("asyncio",))


@pytest.mark.parametrize("on", ["application", "route"])
def test_a_streamed_answer_to_an_unhandled_exception_listens_outside_of_the_limit(on: str) -> None:
    def build(fw: Framework) -> Any:
        limit = {"max_body_size": 3}
        app = fw.FastAPI(**limit if on == "application" else {})

        @app.post("/", **limit if on == "route" else {})
        def unread() -> Any:
            raise LookupError("unread")

        @app.exception_handler(Exception)
        def answer(request: Any, error: Any) -> Any:
            return fw.responses.StreamingResponse(iter([b"one", b"two"]), 499)

        return app

    [*answers] = compare(build, Request("/", "POST", chunks=(b"some", b"text"), headers=(("content-length", "8"),)))
    assert {(each.status, each.body) for each in answers} == {(499, b"onetwo")}

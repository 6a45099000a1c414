"""Parameters in the spellings that are easily got wrong, as FastAPI takes them."""

from typing import Any, Optional

from conformance.harness import Framework, Request, compare


def test_a_forward_reference_that_nobody_resolves_matters_only_where_a_value_comes() -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.get("/")
        def read(
            names: Optional[list["Nowhere"]] = fw.Query(None),  # type: ignore[name-defined]  # noqa: F821, B008, UP045
            number: int = 0,
        ) -> Any:
            return [names, number]

        @app.post("/")
        def write(number: int, items: list["Nowhere"]) -> Any:  # type: ignore[name-defined]  # noqa: F821
            return [number, items]

        @app.get("/answer")
        def answer(fail: bool = False) -> list["Nowhere"]:  # type: ignore[name-defined]  # noqa: F821
            if fail:
                raise fw.HTTPException(418)
            return []

        return app

    requests = [Request(target) for target in ("/", "/?number=x", "/?names=1", "/answer?fail=1", "/answer")]
    compare(build, *requests, Request("/", "POST", json=[]), Request("/?number=1", "POST", json=[1]), openapi=False)

"""Dependencies are declared, solved, cached and cleaned up alike."""

from typing import Any

from conformance.harness import Framework, Request, exchange, frameworks


def test_a_dependency_that_is_wrong_fails_where_fastapi_fails() -> None:
    class NoField:
        pass

    def wrong(value: NoField) -> None: ...

    def endpoint() -> int:
        return 1

    def build(fw: Framework) -> Any:
        before, broken, after = (fw.APIRouter() for _ in range(3))
        for router, path in ((before, "/before"), (broken, "/broken"), (after, "/after")):
            router.add_api_route(path, endpoint)
        app = fw.FastAPI()
        app.include_router(before)
        app.include_router(broken, prefix="/of", dependencies=[fw.Depends(wrong)])
        app.include_router(after)
        return app

    def seen(app: Any) -> list[Any]:
        outcomes = [exchange(app, Request(target)) for target in ("/before", "/of/broken", "/nothing")]
        # forzium's message says also where the dependency stands.
        return [(outcome.status, [line.split("\n")[0] for line in outcome.raised]) for outcome in outcomes]

    oracle, ours = (seen(build(fw)) for fw in frameworks())
    assert ours == oracle
    assert [status for status, _ in ours] == [200, 500, 500]

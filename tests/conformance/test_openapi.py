"""The OpenAPI document: equal to FastAPI's, down to the order of its keys."""

import json
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from conformance.declarations import Declaration, Owner
from conformance.hard_declarations import DECLARATIONS
from conformance.harness import Framework, frameworks


def document(fw: Framework, build: Callable[[Framework], Any]) -> tuple[str, list[str]]:
    """An application's document as text, and what was warned about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        app = build(fw)
        text = json.dumps(app.openapi(), indent=1)
    return text, [str(warning.message) for warning in caught]


def assert_equal_documents(build: Callable[[Framework], Any]) -> None:
    theirs, ours = (document(fw, build) for fw in frameworks())
    assert ours == theirs


def application_of(*declarations: Declaration, **options: Any) -> Callable[[Framework], Any]:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI(**options)
        for declare in declarations:
            declare(fw, app)
        return app

    return build


@pytest.mark.parametrize("declare", DECLARATIONS, ids=lambda declare: declare.__name__)
def test_each_declaration_is_described_alike(declare: Declaration):
    assert_equal_documents(application_of(declare))


# What these declare is not OpenAPI, and is handed on as FastAPI hands it on.
NOT_OPENAPI = {
    "odd_extras",
    "wrong_schema_keywords",
    "extras_beside_what_is_shared",
    "api_keys",  # the name of a scheme has a space
    "fields_of_models",  # a default that is not what the schema of the field says, as below
    "configured_models",
    "documented_parameters_and_odd_endpoints",  # one operation id for several methods
}


def without_item_schemas(value: Any) -> Any:
    """A document without the one keyword that FastAPI takes from OpenAPI 3.2, for streams."""
    if isinstance(value, dict):
        return {key: without_item_schemas(member) for key, member in value.items() if key != "itemSchema"}
    return [without_item_schemas(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "declare", [one for one in DECLARATIONS if one.__name__ not in NOT_OPENAPI], ids=lambda declare: declare.__name__
)
def test_documents_are_openapi(declare: Declaration):
    text, _ = document(frameworks()[1], application_of(declare))
    OpenAPIV31SpecValidator(without_item_schemas(json.loads(text))).validate()


@pytest.mark.parametrize("count", range(2, len(DECLARATIONS) + 1, 4))
def test_growing_applications_are_described_alike(count: int):
    assert_equal_documents(application_of(*DECLARATIONS[:count]))


@pytest.mark.parametrize("count", [10, 25, len(DECLARATIONS)])
def test_one_schema_for_input_and_output_where_asked_for(count: int):
    assert_equal_documents(application_of(*DECLARATIONS[-count:], separate_input_output_schemas=False))


def test_what_stands_around_the_operations():
    assert_equal_documents(
        application_of(
            *DECLARATIONS[:3],
            title="A title",
            summary="A summary",
            description="A description",
            version="2.0",
            terms_of_service="https://example.com/terms",
            contact={"name": "Me", "url": "https://example.com", "email": "me@example.com", "x-more": None},
            license_info={"name": "MIT", "identifier": "MIT"},
            servers=[
                {"url": "/here"},
                {"url": "https://{a}.example.com", "variables": {"a": {"enum": ["b"], "default": "b"}}},
            ],
            openapi_tags=[{"name": "t", "description": "T", "externalDocs": {"url": "https://example.com"}}],
            openapi_external_docs={"description": "More", "url": "https://example.com/docs"},
        )
    )


def test_settings_of_the_application_reach_its_operations():
    def build(fw: Framework) -> Any:
        app = fw.FastAPI(
            responses={500: {"model": Owner}},
            deprecated=True,
            dependencies=[fw.Depends(fw.module("security").HTTPBearer())],
            default_response_class=fw.module("responses").PlainTextResponse,
            generate_unique_id_function=lambda route: f"id-{route.name}",
        )
        DECLARATIONS[0](fw, app)

        @app.get("/json", response_class=fw.module("responses").JSONResponse)
        def read_json(): ...

        return app

    assert_equal_documents(build)


def test_an_id_used_twice_is_warned_about():
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.get("/a", operation_id="same")
        def first(): ...

        @app.get("/b", operation_id="same")
        def second(): ...

        @app.api_route("/c", methods=["GET", "POST"])
        def third(): ...

        return app

    assert_equal_documents(build)


@pytest.mark.parametrize(
    "options",
    [
        {"contact": {"url": "not a url"}},
        {"openapi_tags": [{"description": "no name"}]},
        {"license_info": {"url": "https://example.com"}},
        {"servers": [{"url": 5}]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_is_not_openapi_is_refused_alike(options: dict[str, Any]):
    errors = []
    for fw in frameworks():
        with pytest.raises(pydantic.ValidationError) as caught:
            application_of(DECLARATIONS[0], **options)(fw).openapi()
        errors.append(caught.value.errors(include_url=False))
    assert errors[1] == errors[0]


def test_a_schema_that_is_none_is_refused_at_its_place():
    class Wrong(pydantic.BaseModel):
        model_config = {"json_schema_extra": {"type": "unheard-of"}}

    places = []
    for fw in frameworks():
        app = fw.FastAPI()

        @app.post("/wrong")
        def post_wrong(value: Wrong, owner: Owner): ...

        with pytest.raises(pydantic.ValidationError) as caught:
            app.openapi()
        places.append([(error["loc"], error["type"]) for error in caught.value.errors()])
    assert places[1] == places[0]


def test_routes_added_later_and_documents_of_some_routes():
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        router = fw.APIRouter()
        app.include_router(router, prefix="/late")
        app.openapi()

        @router.get("/route")
        def read_late(q: Annotated[int, fw.Query()] = 1): ...

        return app

    assert_equal_documents(build)
    parts = []
    for fw in frameworks():
        app = build(fw)
        parts.append(fw.module("openapi.utils").get_openapi(title="Part", version="1", routes=app.routes[-1:]))
    assert parts[1] == parts[0]

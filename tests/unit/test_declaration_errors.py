"""A declaration that cannot work is refused where it stands: the error names the parameter, function, file and line."""

import json
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Json, model_validator

from forzium import APIRouter, FastAPI, UploadFile
from forzium.dependencies.utils import DependencyCycleError, get_dependant, get_parameterless_sub_dependant
from forzium.exceptions import DependencyScopeError, FastAPIError
from forzium.param_functions import Body, Depends, Form, Header, Query
from forzium.requests import Request


class Item(BaseModel):
    name: str


class NotAField:
    pass


def _line_of(function: Any) -> str:
    code = function.__code__
    return f"file {code.co_filename!r}, line {code.co_firstlineno}"


def default_in_annotated(a: int, q: Annotated[int, Query(5)]) -> None: ...
def query_in_path(item_id: int = Query()) -> None: ...
def default_in_path(item_id: Annotated[int, Query()] = 3) -> None: ...
def query_of_models(q: list[Item] = Query()) -> None: ...
def query_for_request(q: Annotated[Request, Query()]) -> None: ...
def two_declarations(q: Annotated[int, Query()] = Depends(len)) -> None: ...
def no_field(q: NotAField) -> None: ...
def not_callable(q: int = Depends(5)) -> None: ...  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "kind", "parameter"),
    [
        (default_in_annotated, AssertionError, "q"),
        (query_in_path, AssertionError, "item_id"),
        (default_in_path, AssertionError, "item_id"),
        (query_of_models, AssertionError, "q"),
        (query_for_request, AssertionError, "q"),
        (two_declarations, AssertionError, "q"),
        (no_field, FastAPIError, "q"),
    ],
)
def test_refused_parameters_are_named_with_their_place(function: Any, kind: type[Exception], parameter: str) -> None:
    with pytest.raises(kind) as caught:
        get_dependant(path="/{item_id}", call=function)
    assert f"parameter {parameter!r} of `{function.__qualname__}`, {_line_of(function)}" in str(caught.value)


def test_the_place_is_that_of_the_dependency_not_of_what_depends_on_it() -> None:
    def endpoint(value: Any = Depends(query_of_models)) -> None: ...

    with pytest.raises(AssertionError) as caught:
        get_dependant(path="/", call=endpoint)
    assert _line_of(query_of_models) in str(caught.value)
    assert _line_of(endpoint) not in str(caught.value)


def test_what_cannot_be_called_is_refused_in_the_function_that_depends_on_it() -> None:
    with pytest.raises(TypeError) as caught:
        get_dependant(path="/", call=not_callable)
    assert "5 cannot be called" in str(caught.value)
    assert _line_of(not_callable) in str(caught.value)
    with pytest.raises(AssertionError, match="this one has 5"):
        get_parameterless_sub_dependant(depends=Depends(5), path="/")


def test_a_cycle_is_refused_with_its_steps() -> None:
    class First:
        def __init__(self, second: Any) -> None: ...

    def second(first: First = Depends()) -> None: ...

    First.__init__.__annotations__["second"] = Annotated[Any, Depends(second)]
    with pytest.raises(DependencyCycleError) as caught:
        get_dependant(path="/", call=second)
    assert isinstance(caught.value, (FastAPIError, RecursionError))
    text = str(caught.value)
    assert text.count(_line_of(second)) == 2
    assert text.count(_line_of(First.__init__)) == 1


def test_one_dependency_on_two_ways_is_no_cycle() -> None:
    def shared() -> int:
        return 1

    def left(value: int = Depends(shared)) -> int:
        return value

    def endpoint(a: int = Depends(left), b: int = Depends(shared), c: int = Depends(left)) -> None: ...

    dependant = get_dependant(path="/", call=endpoint)
    assert [inner.call for inner in dependant.dependencies] == [left, shared, left]


def test_scopes_that_cannot_work_are_refused_with_both_names() -> None:
    def connection() -> Any:
        yield 1

    def session(value: Any = Depends(connection, scope="function")) -> Any:
        yield value

    def endpoint(value: Any = Depends(session)) -> None: ...

    with pytest.raises(DependencyScopeError) as caught:
        get_dependant(path="/", call=endpoint)
    assert "session" in str(caught.value)
    assert "connection" in str(caught.value)
    assert _line_of(session) in str(caught.value)


def of_a_query(q: str) -> None: ...
def of_a_header(engine: Annotated[str, Header()] = "") -> None: ...
def of_a_request(request: Request | None) -> None: ...
def of_the_request(request: Request) -> None: ...
def of_a_default(item: Any = Body(None)) -> None: ...
def of_a_dependency(value: Any = Depends(of_the_request)) -> None: ...
def of_two_dependencies(value: Annotated[Any, Depends(scope="lifespan")] = Depends(len, scope="lifespan")) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind", "parameter", "instead"),
    [
        (of_a_query, DependencyScopeError, "q", "a dependency without that scope"),
        (of_a_header, DependencyScopeError, "engine", "a dependency without that scope"),
        (of_a_request, DependencyScopeError, "request", "a dependency without that scope"),
        (of_the_request, DependencyScopeError, "request", "a dependency without that scope"),
        (of_a_default, DependencyScopeError, "item", "a dependency without that scope"),
        (of_a_dependency, DependencyScopeError, "value", '`Depends(of_the_request, scope="lifespan")`'),
        (of_two_dependencies, AssertionError, "value", "Keep the one in `Annotated`"),
    ],
)
def test_what_is_made_for_the_lifespan_takes_nothing_of_a_request(
    function: Any, kind: type[Exception], parameter: str, instead: str
) -> None:
    def between(value: Any = Depends(function, scope="lifespan")) -> None: ...

    def endpoint(value: Any = Depends(between, scope="lifespan")) -> None: ...

    with pytest.raises(kind) as caught:
        FastAPI().get("/{q}")(endpoint)
    assert instead in str(caught.value)
    assert f"parameter {parameter!r} of `{function.__qualname__}`, {_line_of(function)}" in str(caught.value)


def note_of_form(note: Annotated[str, Form()]) -> str:
    return note


def form_beside_model(item: Item, note: Annotated[str, Form()]) -> None: ...
def file_beside_model(file: UploadFile, item: Annotated[Item, Body()]) -> None: ...
def model_beside_form_of_dependency(item: Item, note: Any = Depends(note_of_form)) -> None: ...


@pytest.mark.parametrize("function", [form_beside_model, file_beside_model, model_beside_form_of_dependency])
def test_a_form_and_a_json_body_are_refused_together(function: Any) -> None:
    for router in (FastAPI(), APIRouter()):
        with pytest.raises(FastAPIError, match="A form and a JSON body cannot be combined") as caught:
            router.post("/")(function)
        code = function.__code__
        assert f"in {function.__name__}, {code.co_filename}:{code.co_firstlineno}: " in str(caught.value)
        assert "a form cannot carry the model of 'item': declare its fields with Form()" in str(caught.value)


class FromText(BaseModel):
    name: str

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value


def test_what_a_form_may_carry_after_all_is_left_alone() -> None:
    app = FastAPI()

    def text(note: Annotated[str, Form()], other: Annotated[str, Body()]) -> None: ...
    def optional(note: Annotated[str, Form()], item: Item | None = None) -> None: ...
    def validated(note: Annotated[str, Form()], item: FromText) -> None: ...
    def as_json(note: Annotated[str, Form()], item: Annotated[Json[Item], Form()]) -> None: ...
    def models(item: Item, other: FromText) -> None: ...
    def form_model(item: Annotated[Item, Form()], note: Annotated[str, Form()]) -> None: ...

    for number, function in enumerate((text, optional, validated, as_json, models, form_model)):
        app.post(f"/{number}")(function)
    assert len(app.openapi()["paths"]) == 6

"""A value that could not be written the first time was written a second time, when its iterators were at their end."""

from collections.abc import Iterable
from typing import Any

import pytest
from conformance.harness import Framework, Request, compare, exchange, frameworks
from pydantic import BaseModel

NAN = float("nan")


@pytest.mark.parametrize("value", [lambda: iter(["x"]), lambda: [iter(["x"])], lambda: map(str, [1])])
def test_an_iterator_that_json_has_no_form_for_is_an_error(value: Any):
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        app.get("/")(value)
        return app

    compare(build, Request("/"))


@pytest.mark.parametrize("value", [lambda: [(n for n in (1, NAN))], lambda: {"a": (n for n in (1, 2)), "b": [NAN]}])
def test_a_generator_beside_a_number_that_is_not_finite_is_not_written_as_empty(value: Any):
    app = frameworks()[1].FastAPI()
    app.get("/")(value)
    assert exchange(app, Request("/")).status == 500


def test_a_generator_that_was_not_begun_is_written():
    app = frameworks()[1].FastAPI()
    app.get("/")(lambda: [NAN, (n for n in (1, 2))])
    assert exchange(app, Request("/")).body == b"[null,[1,2]]"


class Numbers(BaseModel):
    numbers: Iterable[int]


def test_an_item_that_a_models_iterator_refuses_is_an_error():
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        app.get("/")(lambda: [Numbers(numbers=["1", "x", "3"])])
        return app

    assert compare(build, Request("/"), openapi=False)[0].status == 500

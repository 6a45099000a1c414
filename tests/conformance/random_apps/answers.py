"""What endpoints return, or yield: statements, options of the decorator, annotations.

Stands on `declarations`. Where a stream may be made to fail is added to the points of its operation.
"""

from random import Random
from typing import Any

from . import kinds
from .declarations import Model, Param

Answer = tuple[str, str, str]
"""The statement, an option of the decorator, the annotation of what is returned."""


def draw(
    rng: Random, name: str, params: list[Param], points: list[str], models: list[Model], *, is_async: bool
) -> Answer:
    """Draw what an endpoint returns: the statement, an option of the decorator, an annotation."""
    chance = rng.random()
    if chance < 0.35:
        return "return {'n': len(LOG)}", "", ""
    if chance < 0.5:
        # As they are: `jsonable_encoder` and the JSON codec have their say.
        values = [each.name for each in params if each.place != "file"]
        return f"return {{{', '.join(f'{each!r}: {each}' for each in values)}}}", "", ""
    if chance < 0.6:
        value = rng.choice(
            [
                *("None", "[1, 'a', None]", "'text'", "5", "1.5", "True", "b'bytes'", "{'é': 'ü'}"),
                *("(1, 2)", "{'a': datetime.date(2020, 1, 1)}", "{1: 2, None: 3}", "uuid.UUID(int=0)"),
                *("{'b': 10**30, 'c': 0.1}", "[decimal.Decimal('1.50'), decimal.Decimal('2')]", "ValueError"),
            ]
        )
        return f"return {value}", "", ""
    if chance < 0.72:
        value = rng.choice(
            [
                "Response('plain', status_code=203, headers={'x-own': '1'})",
                "JSONResponse({'own': 1}, status_code=201)",
                "PlainTextResponse('é')",
                "HTMLResponse('<p>')",
                "RedirectResponse('/o0')",
                "Response(status_code=204)",
                "JSONResponse({'t': 1}, background=own_tasks())",
                "StreamingResponse(iter([b'a', b'b']))",
                *(f"StreamingResponse({kind}({name!r}), 201)" for kind in ("chunks", "chunks_async")),
            ]
        )
        if "chunks" in value:
            points.append(f"{name} chunk")
        return f"return {value}", rng.choice(["", "", "response_model=None"]), rng.choice(["", " -> Response"])
    if chance < 0.74:
        return _stream(rng, name, points, is_async)
    if chance < 0.77:
        option = f"response_class={rng.choice(['Plain', 'PlainTextResponse', 'HTMLResponse', 'JSONResponse'])}"
        return "return 'text'", option, ""
    return _modelled(rng, models)


def _stream(rng: Random, name: str, points: list[str], is_async: bool) -> Answer:
    """Draw an endpoint that yields."""
    value = rng.choice(["{'n': 1}", "[1, 'a', None]", "'text'", "datetime.date(2020, 1, 1)"])
    where = f"{name} chunk"
    lines = rng.choice(
        [
            f"yield {value}",
            f"yield {value}; at({where!r}); yield 2",
            f"at({where!r}); yield {value}",
            f"for each in range(3): note('each', n=each); yield {value}",
        ]
    )
    if where in lines:
        points.append(where)
    kind = "AsyncIterable" if is_async else "Iterable"
    returns = rng.choice(["", "", f" -> {kind}[Any]", f" -> {kind}[int]", f" -> {kind}[Point]"])
    option = ""
    if rng.random() < 0.2 and "at(" not in lines:
        option = "response_class=EventSourceResponse"
    elif rng.random() < 0.1:
        lines, option = f"yield 'a'; note('{name} between'); yield b'b'", "response_class=StreamingResponse"
    return lines, option, returns


def _modelled(rng: Random, models: list[Model]) -> Answer:
    draw = rng.choice([kinds.document, kinds.scalar, kinds.repeated])
    kind = draw(rng)
    if models and rng.random() < 0.6:
        kind = rng.choice(models).kind
        if rng.random() < 0.3:
            kind = kinds.many(kind, rng)
    value: Any = kind.value(rng)
    if rng.random() < 0.15:
        value = rng.choice([None, "odd", {"a": "odd"}, [1], 3])
    options = []
    if rng.random() < 0.3:
        options.append(
            rng.choice(
                [
                    *("response_model_exclude_unset=True", "response_model_exclude_none=True"),
                    *("response_model_exclude_defaults=True", "response_model_by_alias=False"),
                    *("response_model_include={'a', 'q'}", "response_model_exclude={'a'}"),
                    "response_model_exclude={'limit': {'x'}}",
                ]
            )
        )
    if rng.random() < 0.1:
        options.append(f"response_class={rng.choice(['Plain', 'JSONResponse'])}")
    statement = f"return {value!r}"
    if kind.source.startswith("Model") and isinstance(value, dict):
        statement = rng.choice([statement, f"return {kind.source}.model_validate({value!r})"])
    if rng.random() < 0.5:
        return statement, ", ".join([f"response_model={kind.source}", *options]), ""
    return statement, ", ".join(options), f" -> {kind.source}"

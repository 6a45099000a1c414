"""Form routes: whatever is sent, in whatever chunks, has fastapi's answer, and the same files in the endpoint."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from .harness import Framework, Request, compare
from .random_apps.cases import breaks_off

URLENCODED = (("content-type", "application/x-www-form-urlencoded"),)
MULTIPART = (("content-type", "multipart/form-data; boundary=BND"),)


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    a: int
    tags: list[str] = Field(default=[], alias="tag")


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int | None = None


class Circle(BaseModel):
    radius: float


class Square(BaseModel):
    side: float


def shown(file: Any) -> Any:
    if isinstance(file, list | tuple):
        return [shown(each) for each in file]
    if not hasattr(file, "filename"):
        return repr(file)
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in file.headers.raw]
    content = file.file.read()
    return [file.filename, file.size, file.content_type, headers, len(content), content[-9:].hex(), file.file._rolled]


def build(fw: Framework) -> Any:
    app = fw.FastAPI(form_limits={"max_part_size": 60})
    form, file, upload = fw.Form, fw.File, fw.UploadFile

    @app.post("/fields")
    async def fields(
        a: fw.Annotated[int, form()],
        b: fw.Annotated[str | None, form(alias="be")] = None,
        c: fw.Annotated[list[float], form()] = [],
        d: fw.Annotated[bool, form(validate_default=True)] = "yes",
    ) -> Any:
        return {"a": a, "b": b, "c": c, "d": d}

    @app.post("/model")
    async def model(model: fw.Annotated[Wanted, form()]) -> Any:
        return model

    @app.post("/models")
    async def models(
        loose: fw.Annotated[Loose | None, form()] = None, wanted: fw.Annotated[Wanted | None, form()] = None
    ) -> Any:
        return {"loose": loose, "wanted": wanted}

    @app.post("/union")
    async def union(shape: fw.Annotated[Circle | Square, form()]) -> Any:
        return shape

    @app.post("/files")
    async def files(
        a: upload,
        b: fw.Annotated[bytes | None, file()] = None,
        c: fw.Annotated[list[upload], file()] = [],
        d: fw.Annotated[tuple[bytes, ...], file()] = (),
        e: fw.Annotated[str | None, form()] = None,
    ) -> Any:
        return [shown(each) for each in (a, b, c, d, e)]

    def wants_all(a: fw.Annotated[str | None, form()] = None) -> Any:
        return a

    @app.post("/both", form_limits={"max_fields": 2, "max_files": 1})
    async def both(
        request: fw.Request, given: fw.Annotated[Any, fw.Depends(wants_all)], b: fw.Annotated[str, form()] = ""
    ) -> Any:
        found = await request.form()
        again = await request.form()
        rest: Any
        try:
            rest = repr(await request.body())
        except RuntimeError as error:
            rest = str(error)
        return {"given": given, "b": b, "found": found.multi_items(), "same": found is again, "rest": rest}

    return app


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = "\r\n".join([f"Content-Disposition: {disposition}", *headers])
    return b"--BND\r\n" + lines.encode() + b"\r\n\r\n" + content + b"\r\n"


END = b"--BND--\r\n"
NAMES = [
    '"a.txt"',
    "a.txt",
    '"\u00e9 \u65e5\u672c \U0001f600.txt"',  # as every browser sends it: UTF-8
    '"a\\"b\\\\c.txt"',
    '"a%22b%0D%0A.txt"',  # as browsers escape quotes and line ends
    '"a;b=c.txt"',
    '"C:\\dir\\a.txt"',
    '"\\\\host\\a.txt"',
    "\"a\"; filename*=UTF-8''%e2%82%ac.txt",
    "; filename*=UTF-8''%e2%82%ac.txt",
    '""',
    '"',
    '"a',
    '"a" ; FileName="b"',
]


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_read_alike_in_every_spelling(name: str) -> None:
    body = part(f'form-data; name="a"; filename={name}', b"1", "Content-Type: text/plain", "X-More: 1") + END
    latin1 = body.decode().encode("latin-1", "replace")
    charset = (("content-type", 'multipart/form-data; boundary="BND"; charset=latin-1'),)
    compare(
        build,
        Request("/files", "POST", MULTIPART, body=body),
        Request("/files", "POST", MULTIPART, body=latin1),
        Request("/files", "POST", charset, body=body),
        Request("/files", "POST", MULTIPART, chunks=(body[:70], body[70:])),
    )


def test_files_are_files_bytes_lists_or_nothing_alike() -> None:
    one = part('form-data; name="a"; filename="a"', b"1" * 2000)
    large = part('form-data; name="b"; filename="b"', b"2" * (1024 * 1024 + 1))
    limit = part('form-data; name="c"; filename="c"', b"3" * 1024 * 1024)
    bodies = [
        END,
        one + END,
        one + large + END,
        one + large + limit + limit + END,
        one + part('form-data; name="b"', b"text") + part('form-data; name="d"', b"text") + END,
        one + part('form-data; name="d"; filename="x"', b"x") * 3 + END,
        one + part('form-data; name="c"; filename=""', b"") + part('form-data; name="b"; filename=""', b"") + END,
        one + part('form-data; name="d"; filename="d"', b"4" * (1024 * 1024 + 1)) + END,
        part('form-data; name="a"', b"text") + part('form-data; name="e"; filename="e"', b"file") + END,
        one + part('form-data; name="e"', b"5" * 61) + END,
        one + part('form-data; name="e"', b"5" * 60) + END,
    ]
    compare(build, *(Request("/files", "POST", MULTIPART, body=body) for body in bodies))
    chunks = tuple(bodies[3][at : at + 65536] for at in range(0, len(bodies[3]), 65536))
    compare(build, Request("/files", "POST", MULTIPART, chunks=chunks))


FORMS = [b"", b"a=1", b"a=1&be=x+y&c=1.5&c=2&d=0", b"a=&be=&c=&d=", b"a=x&c=1&c=x&d=x&b=1", b"a=1&a=2&be=%C3%A9&be=%ff"]
MORE_FORMS = [
    b"a=1&tag=x&tags=y&tag=z",
    b"tags=1&tags=2&a=1&e=1&e=2",
    b"x=1",
    b"radius=1&side=2",
    b"side=x",
    b"a=" + b"1" * 60,
]


@pytest.mark.parametrize("path", ["/fields", "/model", "/models", "/union", "/both"])
def test_fields_and_models_are_taken_out_of_a_form_alike(path: str) -> None:
    forms = [*FORMS, *MORE_FORMS]
    compare(build, *(Request(path, "POST", URLENCODED, body=body) for body in forms))
    compare(build, *(Request(path, "POST", URLENCODED, chunks=(body[:3], body[3:4], b"", body[4:])) for body in forms))
    for body in forms:
        pairs = [pair.partition(b"=") for pair in body.split(b"&") if pair]
        parts = b"".join(part(f'form-data; name="{name.decode()}"', value) for name, _, value in pairs)
        compare(build, Request(path, "POST", MULTIPART, body=parts + END))


def test_a_body_of_another_kind_is_an_empty_form_and_can_still_be_read() -> None:
    types = [
        "text/plain",
        "",
        "multipart/form-data",
        "application/json",
        " Application/X-WWW-Form-urlencoded ; a=b",
        None,
    ]
    for kind in types:
        headers = () if kind is None else (("content-type", kind),)
        compare(build, Request("/both", "POST", headers, body=b"a=1"), Request("/fields", "POST", headers, body=b"a=1"))


PIECES = [
    b"--BND\r\n",
    b"\r\n--BND\r\n",
    b"\r\n--BND--",
    b"\r\n--BND--\r\n",
    b"\r\n--BN",
    b"--BND \t\r\n",
    b'Content-Disposition: form-data; name="a"',
    b'content-disposition:form-data; name="b"; filename="f"',
    b"Content-Type: text/plain",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b"--",
    b"-",
    b": ",
    b"\x00\xff",
    b"content",
    b"x" * 40,
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join),
    st.lists(st.integers(0, 300), max_size=5),
    st.booleans(),
)
@example(b"--BND\r\n" + PIECES[6] + b"\r\n\r\n1\r\n--BND--", [9], False)
@example(b"--BND\r\n" + PIECES[7] + b"\r\n\r\n\r\n--BNDx\r\n--BND-x\r\n--BND--", [67, 70, 74, 75], False)
@example(b"\r\nx--BND\r\n", [3], False)
def test_any_multipart_body_is_parsed_alike(body: bytes, cuts: list[int], begun: bool) -> None:
    if begun:
        body = b"--BND\r\n" + PIECES[6] + b"\r\n\r\n" + body
    body += b"\r\n--BND--"
    ends = sorted(min(cut, len(body)) for cut in cuts)
    chunks = tuple(body[at:end] for at, end in zip([0, *ends], [*ends, len(body)], strict=True))
    assume(not breaks_off(b"BND", chunks))
    compare(build, Request("/both", "POST", MULTIPART, chunks=chunks))

"""Requests for an application: valid, nearly valid, adversarial.

Stands on `applications` (what an operation takes) and `driver` (the form of a request).
"""

import base64
import json
from random import Random
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

from .applications import Application, Operation
from .declarations import Param
from .driver import Step

# What no declaration asked for, or most types refuse.
ODD_TEXTS = (
    *(
        "",
        " ",
        "abc",
        "1",
        "-1",
        "1.0",
        "1e5",
        "+1",
        " 1 ",
        "1_000",
        "0x10",
        "\u0663",
        "\uff11",
        "9" * 25,
        "9" * 5000,
        "-",
        "1.5.",
    ),
    *(
        "true",
        "null",
        "None",
        "é",
        "日本",
        "\U0001f600",
        "a b",
        "a+b",
        "a,b",
        "[1, 2]",
        "{}",
        '{"a": 1}',
        '"x"',
        "\x00",
    ),
    *(
        "2020-02-30",
        "2020-13-01T00:00",
        "2020-01-01",
        "red",
        "cat",
        "12345678-1234",
        "<b>",
        "\x7f",
        "0",
        "00",
        "1" * 300,
    ),
    *("1e400", "-0", "0.1e1", "Infinity1", "x" * 3000, "\ufeff1", "\u2028"),
)
# Not drawn for numbers that come back: where FastAPI answers with a 500 for a NaN, forzium answers (deliberate).
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 1e300, 10**18, 2**63, 10**25, 10**400, "", "abc", "1", "1.5", " "),
    *([], [1], [None], [[]], {}, {"a": 1}, {"": None}, {"a": {"b": [1, {}]}}, ["a", 1, None], "é", "\u0000", "x" * 300),
    *("2020-01-01", "red", "true", "\U0001f600"),
)
FAILURES = (
    *("http", "plain http", "empty http", "starlette", "custom", "custom", "subclassed", "value", "key", "invalid"),
    *(
        "group",
        "stop",
        "async stop",
        "runtime",
        "group of http",
        "oserror",
        "timeout",
        "caused",
        "odd text",
        "response",
    ),
)
BOUNDARY = "a-Boundary.1"
# What hosts say that are not like most; see `driver.Step`.
HOSTS: tuple[dict[str, Any], ...] = (
    *({"asgi": {"version": "3.0"}}, {"asgi": {"version": "3.0", "spec_version": "2.4"}}, {"asgi": None}),
    *({"root_path": "/mounted"}, {"root_path": None}, {"client": None, "server": None}, {"state": None}),
    *({"http_version": "2"}, {"http_version": "1.0", "scheme": "https"}, {"raw_path": None}, {"extensions": {}}),
    *({"server": ("::1", 8443), "scheme": "https"}, {"client": ("unix", None), "server": ("/run/socket", None)}),
)
LENGTHS = ("0", "1", "99999", "abc", "-1", "", "1, 2", "+5", " 7", "5.0", "9" * 30)
# File names as browsers, libraries and nobody sane write them: what follows the part's name.
FILE_NAMES = (
    *('filename="f.txt"', "filename=f.txt", 'filename=""', "filename=", "filename", 'filename="a;b.txt"'),
    *('filename="é.txt"', 'filename="日本.png"', 'filename="%E6%97%A5.txt"', 'filename="%22quoted%22.txt"'),
    *('filename="a\\"b.txt"', 'filename="a\\\\b.txt"', 'filename="C:\\\\dir\\\\f.txt"', 'filename="C:\\dir\\f.txt"'),
    *('filename="../../etc/passwd"', 'filename="a/b.txt"', 'filename="a b.txt"', "filename=a b.txt", 'filename=" f "'),
    *("filename*=UTF-8''star.txt", "filename*=utf-8'en'%e2%82%ac%20rates", "filename*=ISO-8859-1''%A3.txt"),
    *("filename*=UTF-8''%ff.txt", "filename*=nonsense''x.txt", "filename*=no-quotes.txt", "filename*=''", "filename*="),
    *("filename=\"f.txt\"; filename*=UTF-8''%C3%A9.txt", "filename*=UTF-8''first.txt; filename=\"second.txt\""),
    *('filename*0="long-"; filename*1="name.txt"', "filename*0*=UTF-8''%C3%A9; filename*1=b.txt", 'filename*1="only"'),
    *('filename="f.txt"; filename="g.txt"', 'filename="=?utf-8?B?w6k=?="', 'FILENAME="up.txt"', 'filename = "sp.txt"'),
    *(
        'filename="f.txt";',
        'filename="f.txt"; size=3',
        'filename="unclosed',
        "filename='single.txt'",
        'filename="\ud83d"',
    ),
    *('filename="a\tb"', 'filename="a\x00b"', 'filename="nul\x01"', 'filename="&#26085;.txt"', 'filename="x\r\n y"'),
)
# How the name of a part may be written.
PART_NAMES = (
    *("name={}", "name='{}'", 'NAME="{}"', 'name = "{}"', 'name="{}";', "name*=UTF-8''{}", 'name="{}"; name="other"'),
    *('name*0="{}"', ' name="{}" ', '\tname="{}"', 'name="{}"; charset=latin-1', 'x=1; name="{}"', 'name="\\{}"'),
)
# Headers of a part beside or instead of the usual two.
PART_HEADERS = (
    *("Content-Type: text/plain; charset=latin-1", "Content-Type: text/plain; charset=utf-16", "Content-Type:"),
    *("Content-Type: text/plain;\r\n charset=utf-8", "content-type: IMAGE/PNG", "Content-Type : text/plain"),
    *("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "Content-Length: 3"),
    *("X-Own: 1", "X-Own: é", "X-Own:", "X Own: 1", ": 1", "no colon", "X-Long: " + "x" * 300, "X-Fold: a\r\n\tb"),
    *("Content-Disposition: attachment", "content-disposition: form-data; name=again", "Content-Type: a/b\r\nX: 2"),
)
# The media type of a form, in spellings that servers meet.
CONTENT_TYPES = (
    *('multipart/form-data; boundary="{}"', "multipart/form-data;boundary={}", "Multipart/Form-Data; Boundary={}"),
    *("multipart/form-data; charset=utf-8; boundary={}", "multipart/form-data; charset=latin-1; boundary={}"),
    *("multipart/form-data; boundary={}; charset=utf-16", "multipart/form-data; boundary={}; charset=nonsense"),
    *("multipart/form-data; boundary= {}", "multipart/form-data; boundary={} ", "multipart/form-data ; boundary={}"),
    *("multipart/form-data; boundary='{}'", "multipart/form-data; boundary={}x", "multipart/form-data; boundary="),
    *("multipart/form-data", "multipart/mixed; boundary={}", "multipart/form-data, boundary={}", "multipart/"),
    *("multipart/form-data; boundary={}; boundary=other", "multipart/form-data; boundary*=utf-8''{}"),
)
# What is done to a whole multipart body.
MANGLED = (
    *((b"\r\n", b"\n"), (b"\r\n\r\n", b"\r\n"), (b"\r\n\r\n", b"\n\n"), (b"--\r\n", b"--"), (b"\r\n--", b"--")),
    *((b"Content-Disposition", b"content-DISPOSITION"), (b": form-data", b":form-data"), (b": ", b":  \t")),
    *((b"form-data;", b"form-data ;"), (b"Content-Disposition", b" Content-Disposition"), (b"; ", b";\r\n ")),
    *((b"; ", b";"), (b"; ", b" ; "), (b"Boundary.1\r\n", b"Boundary.1 \t\r\n"), (b"\r\n\r\n", b"\r\n\r\n\r\n")),
)


class Writer:
    """Draws requests to one operation.

    A request has a temper: `valid` takes what is right for each parameter, `nearly` spoils one of them, `wild` any.
    """

    def __init__(self, rng: Random, operation: Operation) -> None:
        self.rng = rng
        self.operation = operation
        self.temper = rng.choice(["valid", "valid", "valid", "nearly", "nearly", "nearly", "wild"])
        self.spoilt = rng.choice(operation.params) if operation.params and self.temper == "nearly" else None

    def chance(self, of: float) -> bool:
        return self.rng.random() < of

    def draw(self) -> Step:
        """Draw one request."""
        rng = self.rng
        operation = self.operation
        method = (
            operation.method
            if operation.method == "WEBSOCKET" or self.chance(0.96)
            else rng.choice(["GET", "POST", "HEAD", "OPTIONS", "TRACE", "X"])
        )
        headers: list[tuple[bytes, bytes]] = [(b"host", b"testserver")]
        query = self._query()
        headers += self._headers()
        headers += self._cookies()
        headers += self._credentials()
        content_type, body = self._body()
        if content_type is not None:
            headers.append((b"content-type", content_type.encode("latin-1")))
        if body and self.chance(0.08):
            headers.append((b"transfer-encoding", b"chunked"))
        elif body or self.chance(0.1):
            length = str(len(body)) if self.chance(0.97) else rng.choice(LENGTHS)
            headers.append((b"content-length", length.encode()))
        if self.chance(0.03):
            headers.append(rng.choice(headers))
        leaves = bool(body) and self.chance(0.04)
        step = Step(method, self._path(), query, headers, self._chunks(body), self._failures(), leaves=leaves)
        if self.chance(0.15):
            step.scope = rng.choice(HOSTS)
        step.waits = self.chance(0.15)
        return step

    # Values

    def _wild(self, param: Param) -> bool:
        return param is self.spoilt or (self.temper == "wild" and self.chance(0.5))

    def _texts(self, param: Param) -> list[str]:
        """Draw what is sent for a parameter: none, one or several texts."""
        rng = self.rng
        if self._wild(param):
            chance = rng.random()
            if chance < 0.25:
                return []
            if chance < 0.4:
                return [rng.choice(ODD_TEXTS), rng.choice(ODD_TEXTS)]
            return [rng.choice(ODD_TEXTS)]
        if not param.required and self.chance(0.35):
            return []
        drawn = param.kind.text(rng)
        texts = list(drawn) if isinstance(drawn, tuple) else [drawn]
        if self.chance(0.05):
            texts += texts
        return texts

    def _pairs(self, place: str) -> list[tuple[str, str]]:
        """Draw names and texts for a place."""
        pairs: list[tuple[str, str]] = []
        for param in self.operation.params:
            if param.place != place:
                continue
            members = param.model.fields if param.model is not None else [param]
            for member in members:
                spoilt = param is self.spoilt and self.chance(0.5)
                texts = [self.rng.choice(ODD_TEXTS)] if spoilt else self._texts(member)
                name = self._name(member)
                if place == "header" and param.model is not None and self.chance(0.9):
                    name = name.replace("_", "-")
                pairs += [(name, text) for text in texts]
        if self.chance(0.1):
            pairs.append((self.rng.choice(["extra", "a", "", "b", "q"]), self.rng.choice(["1", "x", ""])))
        if self.temper == "wild":
            self.rng.shuffle(pairs)
        return pairs

    def _name(self, param: Param) -> str:
        return param.wires[0] if self.chance(0.92) else self.rng.choice(param.wires)

    # Places

    def _path(self) -> str:
        path = self.operation.path
        for param in self.operation.params:
            if param.place == "path":
                texts = self._texts(param) or ["x"]
                for form in ("", ":int", ":path", ":float", ":uuid"):
                    path = path.replace("{" + param.name + form + "}", texts[0])
        # A parameter that is part of a router's prefix, and that nobody declares.
        path = path.replace("{a}", "1")
        if self.chance(0.03):
            path = self.rng.choice([path + "/", path.rstrip("/"), path + "/x", "//" + path, path.upper()])
        return path

    def _query(self) -> bytes:
        rng = self.rng
        pieces = []
        for name, text in self._pairs("query"):
            encoded = rng.choice([quote(text), quote_plus(text), quote(text, safe="/:,~")])
            pieces.append(f"{quote(name)}={encoded}")
        if self.temper == "wild" and self.chance(0.5):
            pieces.append(
                rng.choice(["a", "a=", "=1", "&", "a=%zz", "a=%FF", "b=%", "q=%E9", "a=1;b=2", "a==1", "q=%00"])
            )
            pieces.append(rng.choice(["a[]=1", "%61=7", "A=1", "a=1&a=2", "q=" + "%41" * 500, "item_id=%D9%A3"]))
        # Bytes that are not ASCII are not drawn: where the URL is asked for, FastAPI answers 500 (deliberate).
        return "&".join(pieces).encode()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = []
        for name, text in self._pairs("header"):
            if not name or any(char in text for char in "\x00\r\n"):
                continue  # No server hands these over.
            encoding = "latin-1" if all(ord(char) < 256 for char in text) else "utf-8"
            wire = name.lower().encode("latin-1", "replace").replace(b" ", b"-")
            if wire in (b"host", b"content-length", b"content-type", b"cookie", b"transfer-encoding"):
                continue
            headers.append((wire, text.strip().encode(encoding)))
        return headers

    def _cookies(self) -> list[tuple[bytes, bytes]]:
        rng = self.rng
        pieces = []
        for name, text in self._pairs("cookie"):
            if any(char in text for char in "\x00\r\n\\"):
                continue
            quoted = f'"{text}"' if self.chance(0.1) else text
            pieces.append(f"{name}={quoted}")
        if self.temper == "wild" and self.chance(0.4):
            pieces.append(rng.choice(["a", "=x", "a=", "a = 1", " q=2 ", "a=1,b=2", 'q="x;y"', "$Path=/", "a=1;;b=2"]))
        if not pieces:
            return []
        joiner = rng.choice(["; ", "; ", "; ", ";", " ; "])
        if len(pieces) > 1 and self.chance(0.1):
            return [(b"cookie", each.encode("utf-8")) for each in pieces]
        return [(b"cookie", joiner.join(pieces).encode("utf-8"))]

    def _credentials(self) -> list[tuple[bytes, bytes]]:
        rng = self.rng
        headers = []
        if self.chance(0.5):
            basic = base64.b64encode(rng.choice(["u:p", "u", "ü:p", ":", "u:p:q"]).encode()).decode()
            value = rng.choice(
                [
                    *(f"Basic {basic}", f"basic {basic}", "Basic !!", "Basic", "Bearer token", "bearer t u", "Bearer"),
                    *("Bearer ", "", "Digest x", "Token t", f"Basic  {basic}", "Basic " + basic.rstrip("=")),
                ]
            )
            headers.append((b"authorization", value.encode()))
        if self.chance(0.3):
            headers.append((b"x-key", rng.choice([b"secret", b""])))
        if self.chance(0.1):
            headers.append((b"cookie", b"key=c"))
        return headers

    # Bodies

    def _body(self) -> tuple[str | None, bytes]:
        style = self.operation.style
        places = {param.place for param in self.operation.params}
        if not places & {"body", "form", "file"}:
            if self.chance(0.9):
                return None, b""
        elif self.chance(0.3 if self.temper == "wild" else 0.03):
            return self._foreign()
        if style == "json" or (style == "none" and self.chance(0.5)):
            return self._json()
        return self._form(multipart=style == "files" or self.chance(0.2))

    def _foreign(self) -> tuple[str | None, bytes]:
        """Draw a body of another kind than the one asked for."""
        chance = self.rng.random()
        if chance < 0.3:
            return self._json() if chance < 0.1 else self._form(multipart=chance < 0.2)
        choices: list[tuple[str | None, bytes]] = [
            (None, b""),
            ("text/plain", b"text"),
            ("", b'{"a": 1}'),
            (None, b'{"a": 1}'),
            ("application/json", b""),
            ("application/octet-stream", b"\xff\x00"),
            ("multipart/form-data", b"--x--"),
            ("multipart/form-data; boundary=x", b"--x--\r\n"),
            ("application/x-www-form-urlencoded", b"%ff=%fe&=&a&&b=%zz;c=+"),
        ]
        return self.rng.choice(choices)

    def _document(self) -> Any:
        rng = self.rng
        body = [param for param in self.operation.params if param.place == "body"]
        if self.temper == "wild" and self.chance(0.4):
            return rng.choice(ODD_VALUES)
        embedded = len(body) != 1 or "embed=True" in body[0].source or self.chance(0.04)
        if not embedded:
            return self._value(body[0])
        found: dict[str, Any] = {}
        for param in body:
            if not param.required and self.chance(0.3):
                continue
            if self._wild(param) and self.chance(0.3):
                continue
            found[self._name(param)] = self._value(param)
        if self.chance(0.1):
            found["extra"] = 1
        return found

    def _value(self, param: Param) -> Any:
        value = param.kind.value(self.rng)
        if self._wild(param):
            return self._spoil(value)
        return value

    def _spoil(self, value: Any) -> Any:
        """Change something, somewhere in a document."""
        rng = self.rng
        if isinstance(value, dict) and value and self.chance(0.75):
            key = rng.choice(list(value))
            changed = dict(value)
            chance = rng.random()
            if chance < 0.2:
                del changed[key]
            elif chance < 0.3:
                changed["extra"] = rng.choice(ODD_VALUES)
            else:
                changed[key] = self._spoil(value[key])
            return changed
        if isinstance(value, list) and value and self.chance(0.75):
            at = rng.randrange(len(value))
            return [*value[:at], self._spoil(value[at]), *value[at + 1 :]]
        return rng.choice(ODD_VALUES)

    def _json(self) -> tuple[str | None, bytes]:
        rng = self.rng
        text = json.dumps(self._document(), ensure_ascii=self.chance(0.5), indent=rng.choice([None, None, None, 1]))
        body = text.encode()
        content_type: str | None = "application/json"
        if self.chance(0.15):
            content_type = rng.choice(
                [
                    *("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json", "text/json"),
                    *(
                        "application/problem+json;x=y",
                        "application/jsonx",
                        "application/json/x",
                        "json",
                        " application/json",
                    ),
                    *("application/ld+json ", "application/+json", "", "application/json;", None, "text/plain"),
                ]
            )
        if self.temper == "wild" and self.chance(0.4):
            body = rng.choice(
                [
                    *(
                        body[:-1],
                        body[: len(body) // 2],
                        body + b" x",
                        body + b"\n\t ",
                        b"\xef\xbb\xbf" + body,
                        b" " + body,
                    ),
                    *(text.encode("utf-16"), text.encode("utf-32-le"), b"\xff" + body, b'{"a": 1, "a": "2"}', b"[1,]"),
                    *(b'{"a": 01}', b"{'a': 1}", b'{"a" 1}', b'{"a": 1e999}', b'"\xe9"', b'"\\x"', b'"a\nb"', b"[1 2]"),
                    *(
                        b"[" * 60 + b"]" * 60,
                        b"nul",
                        b"-",
                        b"1.",
                        b'{"a": 1',
                        b'{"a": tru}',
                        b'"\\u12"',
                        b"{1: 2}",
                        b"//",
                    ),
                    *(b"1" * 5000, b'{"a": ' + b"9" * 4400 + b"}", b'{"a": 1.0000000000000000000001}', b"\x00", b" "),
                    *(b'{"a":1,}', b'["\\ud83d\\ude00"]', b'{"a": -0, "b": -0.0}', b'{"a":1}{"b":2}', b'"\\/\\u0041"'),
                ]
            )
        return content_type, body

    def _form(self, *, multipart: bool) -> tuple[str | None, bytes]:
        rng = self.rng
        pairs = self._pairs("form")
        files = self._files() if multipart or self.chance(0.1) else []
        if not multipart and not files:
            content_type = "application/x-www-form-urlencoded"
            if self.chance(0.1):
                content_type += rng.choice(["; charset=utf-8", ";charset=latin-1", " "])
            pieces = [f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs]
            if self.temper == "wild" and self.chance(0.5):
                pieces.append(rng.choice(["a", "=1", "", "a=%zz", "a=%FF", "a=1;b=2", "a==", "q=%00", "a=é", "%"]))
            return content_type, "&".join(pieces).encode()
        parts = [(f"form-data; {self._part_name(name)}", "", text.encode()) for name, text in pairs] + files
        if self.temper == "wild":
            rng.shuffle(parts)
            if self.chance(0.3):
                parts.append(
                    rng.choice(
                        [
                            *(
                                ('form-data; name=""', "", b"1"),
                                ("form-data; name=a", "", b"1"),
                                ("form-data", "", b"1"),
                            ),
                            *(
                                ('form-data; filename="f"', "", b"1"),
                                ('attachment; name="a"', "", b"1"),
                                ("", "", b"1"),
                            ),
                            *(
                                ('form-data; name="a"', "text/plain; charset=latin-1", b"\xe9"),
                                ('form-data; name="q"', "", b""),
                            ),
                            ('FORM-DATA; NAME="a"', "", b"1"),
                        ]
                    )
                )
        encoded: list[bytes] = []
        for disposition, kind, content in parts:
            lines = ([f"Content-Disposition: {disposition}"] if disposition else []) + (
                [f"Content-Type: {kind}"] if kind else []
            )
            if self.temper != "valid" and self.chance(0.1):
                lines.insert(rng.randrange(len(lines) + 1), rng.choice(PART_HEADERS))
            head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
            encoded.append(f"--{BOUNDARY}\r\n".encode() + head + b"\r\n\r\n" + content + b"\r\n")
        if self.chance(0.02):
            encoded.append(
                f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\nlatin-1\r\n'.encode()
            )
        body = b"".join(encoded) + f"--{BOUNDARY}--\r\n".encode()
        if self.temper != "valid" and self.chance(0.08):
            body = body.replace(*rng.choice(MANGLED), rng.choice([-1, 1, 2]))
        if self.chance(0.05):
            body = rng.choice([b"\r\n" + body, body + b"epilogue", body[:-2]])
        if self.chance(0.05):
            body = body[: rng.randrange(len(body))]  # broken off
        if self.chance(0.02):
            at = rng.randrange(len(body) + 1)
            noise = rng.choice([b"\r", b"\n", b"\r\n", b"-", f"\r\n--{BOUNDARY}".encode(), b"\x00", b": ", b";", b'"'])
            body = body[:at] + noise + body[at + rng.choice([0, 0, 1]) :]
        content_type = f"multipart/form-data; boundary={BOUNDARY}"
        if self.chance(0.12):
            content_type = rng.choice(CONTENT_TYPES).format(BOUNDARY)
        return content_type, body

    def _files(self) -> list[tuple[str, str, bytes]]:
        rng = self.rng
        files = []
        for param in self.operation.params:
            if param.place != "file" or (not param.required and self.chance(0.3)):
                continue
            if self._wild(param) and self.chance(0.4):
                if self.chance(0.5):
                    files.append((f'form-data; name="{self._name(param)}"', "", b"text"))
                continue
            for _ in range(rng.choice([1, 1, 2]) if param.kind.shape == "many" or self.chance(0.1) else 1):
                filename = "" if self.chance(0.02) else f"; {rng.choice(FILE_NAMES)}"
                if self.temper == "valid" and self.chance(0.7):
                    filename = '; filename="f.txt"'
                kind = rng.choice(["text/plain", "image/png", "", "text/plain; charset=utf-8"])
                content = rng.choice([b"content", b"", b"\x00\xff\r\n--a", b"x" * 3000, "é".encode()])
                files.append((f"form-data; {self._part_name(self._name(param))}{filename}", kind, content))
        return files

    def _part_name(self, name: str) -> str:
        form = 'name="{}"'
        if self.temper != "valid" and self.chance(0.05):
            form = self.rng.choice(PART_NAMES)
        return form.format(name)

    def _chunks(self, body: bytes) -> list[bytes]:
        if len(body) > 1 and self.operation.style in ("form", "files") and self.chance(0.1):
            cuts = sorted(self.rng.randrange(len(body) + 1) for _ in range(self.rng.choice([2, 3, 5, 9])))
            return [body[at:end] for at, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        if len(body) > 1 and self.chance(0.15):
            at = self.rng.randrange(1, len(body))
            return [body[:at], b"", body[at:]] if self.chance(0.3) else [body[:at], body[at:]]
        return [body, b""] if self.chance(0.03) else [body]

    def _failures(self) -> dict[str, str]:
        if not self.operation.points or self.chance(0.7):
            return {}
        points = self.rng.sample(self.operation.points, min(len(self.operation.points), self.rng.choice([1, 1, 2])))
        return {point: self.rng.choice(FAILURES) for point in points}


def draw(rng: Random, application: Application, count: int) -> list[Step]:
    """Draw requests to an application."""
    steps = []
    for _ in range(count):
        step = Writer(rng, rng.choice(application.operations)).draw()
        if rng.random() < 0.12:
            step.change = rng.choice(application.changes)
        if rng.random() < 0.02:
            step.path = rng.choice(
                [
                    "/",
                    "/nowhere",
                    "/late",
                    "/late",
                    "/twice/operation0",
                    "",
                    unquote_to_bytes("/%ff").decode("utf-8", "surrogateescape"),
                ]
            )
        if step.fail and rng.random() < 0.1:
            step.fail[rng.choice([*application.points, "task later", "handler0"])] = "custom"
        steps.append(step)
    return steps

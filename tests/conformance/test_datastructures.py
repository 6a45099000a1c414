"""The data structures against Starlette's: the same operations, the same results, the same errors."""

import copy
import pickle
import random
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
import starlette.datastructures as theirs
from hypothesis import example, given
from hypothesis import strategies as st

import forzium.datastructures as ours


def outcome(make: Callable[[], Any]) -> Any:
    """What a call gives, in words that do not depend on whose class it is: its repr, or its error."""
    try:
        return repr(make())
    except Exception as exc:
        return type(exc).__name__, str(exc)


def alike(use: Callable[[ModuleType], Any]) -> None:
    assert outcome(lambda: use(ours)) == outcome(lambda: use(theirs))


keys = st.text("abAB-", max_size=3)
values = st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=4)
pairs = st.lists(st.tuples(keys, values), max_size=6)
latin = st.text(st.characters(max_codepoint=0xFF), max_size=6)
header_pairs = st.lists(st.tuples(latin, latin), max_size=6)


def every_view(d: Any) -> Any:
    names = [*d.keys(), "a", "missing"]
    lists = d.multi_items() if hasattr(d, "multi_items") else d.raw
    return (
        (list(d), list(d.keys()), list(d.values()), list(d.items()), lists, len(d), str(d), repr(d), bool(d)),
        [(d.getlist(n), d.get(n), d.get(n, 1), n in d, outcome(lambda n=n: d[n])) for n in names],
        outcome(lambda: hash(d)),
        d == type(d)(lists) if hasattr(d, "multi_items") else d == type(d)(raw=list(reversed(lists))),
        d == dict(d.items()),
    )


@given(pairs, st.dictionaries(st.text("abc", min_size=1, max_size=1), values, max_size=2))
@pytest.mark.parametrize("name", ["ImmutableMultiDict", "MultiDict", "QueryParams", "FormData"])
def test_multidicts_show_the_same_items_however_they_are_made(name: str, items: Any, extra: Any) -> None:
    for source in (items, dict(items), tuple(items), None):
        alike(lambda m, source=source: every_view(getattr(m, name)(source, **extra)))
    alike(lambda m: every_view(getattr(m, name)(m.MultiDict(items), **extra)))
    alike(lambda m: getattr(m, name)(items, items))
    alike(lambda m: getattr(m, name)(items) == getattr(m, name)(items[::-1]))
    alike(lambda m: m.ImmutableMultiDict(items) == getattr(m, name)(items))
    alike(lambda m: getattr(m, name)(items) == m.ImmutableMultiDict(items))


@given(st.one_of(st.text("ab&=;+%20Cé\x00", max_size=12), st.binary(max_size=12)), pairs)
@example("a=1&a=2&b&=c&&d=%zz%C3%A9+", [])
@example(b"a=\xe9&b=%ff", [])
def test_query_strings_are_split_alike(query: Any, extra: Any) -> None:
    alike(lambda m: every_view(m.QueryParams(query)))
    alike(lambda m: every_view(m.QueryParams(query, **{f"k{key}": value for key, value in extra})))


STEPS: dict[str, Callable[[Any, str, str], Any]] = {
    "set": lambda d, k, v: d.__setitem__(k, v),
    "delete": lambda d, k, v: d.__delitem__(k),
    "append": lambda d, k, v: d.append(k, v),
    "setdefault": lambda d, k, v: d.setdefault(k, v),
    "update": lambda d, k, v: d.update({k: v}),
}
MULTIDICT_STEPS = STEPS | {
    "pop": lambda d, k, v: d.pop(k),
    "pop or": lambda d, k, v: d.pop(k, v),
    "popitem": lambda d, k, v: d.popitem(),
    "poplist": lambda d, k, v: d.poplist(k),
    "setlist": lambda d, k, v: d.setlist(k, [v, "2"]),
    "setlist to none": lambda d, k, v: d.setlist(k, []),
    "update pairs": lambda d, k, v: d.update([(k, v), (k, "2"), ("b", v)]),
    "update itself": lambda d, k, v: d.update(d, a=v),
    "clear": lambda d, k, v: d.clear(),
}
HEADER_STEPS = STEPS | {
    "or": lambda d, k, v: d | {k: v},
    "ior": lambda d, k, v: d.__ior__({k: v}),
    "or no mapping": lambda d, k, v: d | [(k, v)],
    "ior no mapping": lambda d, k, v: d.__ior__([(k, v)]),
    "vary": lambda d, k, v: d.add_vary_header(v),
    "copy": lambda d, k, v: d.mutablecopy(),
}


@given(pairs, st.lists(st.tuples(st.sampled_from(sorted(MULTIDICT_STEPS)), keys, values), max_size=8))
def test_a_multidict_goes_through_changes_alike(items: Any, steps: Any) -> None:
    def use(m: ModuleType) -> Any:
        d = m.MultiDict(items)
        return [(outcome(partial(MULTIDICT_STEPS[step], d, key, value)), every_view(d)) for step, key, value in steps]

    alike(use)


@given(header_pairs, st.lists(st.tuples(st.sampled_from(sorted(HEADER_STEPS)), latin, latin), max_size=8))
def test_headers_go_through_changes_alike(items: Any, steps: Any) -> None:
    def use(m: ModuleType) -> Any:
        raw = [(key.lower().encode("latin-1", "replace"), value.encode("latin-1")) for key, value in items]
        scope = {"headers": tuple(raw)}
        d = m.MutableHeaders(scope=scope)
        seen = [(outcome(partial(HEADER_STEPS[step], d, key, value)), every_view(d)) for step, key, value in steps]
        return seen, scope["headers"], every_view(m.Headers(scope=scope)), scope["headers"] is d.raw

    alike(use)


@given(header_pairs)
def test_headers_are_made_alike(items: Any) -> None:
    alike(lambda m: every_view(m.Headers(dict(items))))
    alike(lambda m: every_view(m.Headers(raw=[(k.encode("latin-1"), v.encode("latin-1")) for k, v in items])))
    alike(lambda m: m.Headers({}, raw=[]))
    alike(lambda m: m.Headers({}, scope={}))
    alike(lambda m: m.Headers(raw=[], scope={}))
    alike(lambda m: m.Headers({"a": "☺"}))
    alike(lambda m: 1 in m.Headers())


@pytest.mark.parametrize(
    "raw",
    [
        [(b"a", b"1"), (b"a", b"2"), (b"b", b"\xe9")],
        ((b"a", b"1"),),
        [[b"a", b"1"], [b"b", b"2"]],
        [(b"A", b"1"), (b"a", b"2"), (b"\xe9", b"3")],
        [("a", "1"), (b"a", None), (b"b", bytearray(b"2"))],
        [],
    ],
)
def test_a_header_is_found_alike_in_whatever_lines_there_are(raw: Any) -> None:
    for key in ("a", "A", "b", "É", "İ", "☺", "", 1, None, b"a", type("Text", (str,), {})("B")):
        alike(lambda m, key=key: m.Headers(raw=raw)[key])
        alike(lambda m, key=key: m.Headers(raw=raw).get(key, "none"))


def test_what_a_scope_gives_can_be_copied_and_pickled() -> None:
    scope = {
        "type": "http",
        "path": "/a",
        "query_string": b"a=1&a=2&b=%20",
        "headers": [(b"host", b"example.org"), (b"a", b"1")],
        "scheme": "http",
    }
    for name in ("url", "headers", "query_params"):

        def use(m: ModuleType, name: str = name) -> Any:
            requests = import_module(m.__name__.replace("datastructures", "requests"))
            value = getattr(requests.Request({**scope}), name)
            copies = [copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))]  # noqa: S301
            return value, copies, [made == value for made in copies]

        alike(use)


def test_get_goes_through_an_overridden_getitem() -> None:
    def use(m: ModuleType) -> Any:
        seen = []
        for base, data in ((m.Headers, {"a": "1"}), (m.QueryParams, "a=1"), (m.MultiDict, {"a": "1"})):
            kind = type(
                "Mine", (base,), {"__getitem__": lambda self, key, base=base: base.__getitem__(self, key) + "!"}
            )
            seen.append((kind(data).get("a"), kind(data).get("b", 2)))
        return seen

    alike(use)


URLS = [
    "",
    "/",
    "//a/b",
    "https://example.org:123/path/to/somewhere?abc=123&abc=4&=5&e#anchor",
    "https://user:pass@example.org:8080/?a=%20+b",
    "http://user@[::1]:80/p",
    "http://[fe80::2]/p?q",
    "mailto:a@b",
    "HTTP://EXAMPLE.org/\\x",
    "ws://host/a;b?c;d",
    "http://host:port/",
    "http://host:99999/",
    "https://:8000/x",
    "  http://a/ b\tc",
]
CHANGES: list[dict[str, Any]] = [
    {"scheme": "http"},
    {"port": None},
    {"port": 443},
    {"hostname": "example.com"},
    {"hostname": "::2"},
    {"hostname": "[::2]"},
    {"hostname": "a:b", "port": 1},
    {"hostname": ""},
    {"username": "u"},
    {"username": None},
    {"password": "p"},
    {"username": "u", "password": None},
    {"netloc": "x.org", "path": "/y", "query": "z", "fragment": "f"},
    {"nothing": 1},
]
PARTS = [
    "components",
    "scheme",
    "netloc",
    "path",
    "query",
    "fragment",
    "username",
    "password",
    "hostname",
    "port",
    "is_secure",
]


@pytest.mark.parametrize("text", URLS)
def test_urls_are_read_and_changed_alike(text: str) -> None:
    def use(m: ModuleType) -> Any:
        url = m.URL(text)
        parts = [outcome(lambda part=part: getattr(url, part)) for part in PARTS]
        changed = [outcome(lambda change=change: url.replace(**change)) for change in CHANGES]
        queries = [
            outcome(lambda: url.include_query_params(abc=1, d="é &")),
            outcome(lambda: url.replace_query_params(abc=1, d=None)),
            outcome(lambda: url.remove_query_params("abc")),
            outcome(lambda: url.remove_query_params(["abc", "e"])),
        ]
        return str(url), outcome(lambda: url), parts, changed, queries, url == text, outcome(lambda: hash(url))

    alike(use)


@pytest.mark.parametrize("change", CHANGES)
def test_urls_are_built_from_parts_alike(change: dict[str, Any]) -> None:
    alike(lambda m: m.URL(**change))
    alike(lambda m: m.URL("http://x", **change))
    alike(lambda m: m.URL(scope={"path": "/", "headers": []}, **change))


@pytest.mark.parametrize("path", ["/p", "p", "//p", "/a\\b", ""])
@pytest.mark.parametrize("protocol", ["http", "websocket", "", "gopher"])
@pytest.mark.parametrize("host", ["", "h.org"])
def test_route_paths_become_urls_alike(path: str, protocol: Any, host: str) -> None:
    for base in ("https://example.org/", "http://example.org/app/", "wss://e:1/x?y#z", "/"):
        alike(lambda m, base=base: m.URLPath(path, protocol, host).make_absolute_url(base))
        alike(lambda m, base=base: m.URLPath(path, protocol=protocol, host=host).make_absolute_url(m.URL(base)))
    alike(lambda m: (str(m.URLPath(path, protocol, host)), m.URLPath(path, protocol, host)))


HOSTS = [
    *[
        b"example.com",
        b"example.com:80",
        b"Example.COM:8080",
        b"1.2.3.4:443",
        b"a:65535",
        b"a:65536",
        b"a:0000080",
        b"a:",
    ],
    *[
        b"[::1]",
        b"[::1]:8000",
        b"[::g]",
        b"[v1.x]:1",
        b"[V1.x]",
        b"a b",
        b"a/b",
        b"a@b",
        b"a?b",
        b"a#b",
        b"\xe9",
        b"",
        b"-",
    ],
    *[b"a..b", b"a\n", b"a:1\n", b"~_!$&'()*+,;=%41", b":80", b"a:80:80", b"a:00000000000000000000080"],
]
SERVERS = [None, ("testserver", 80), ("testserver", 443), ("::1", 8000), ("[::1]", 80), ("", 80), ("/run/x.sock", None)]


@pytest.mark.parametrize("host", [None, *HOSTS])
def test_the_url_of_a_scope_is_the_same(host: bytes | None) -> None:
    draw = random.Random(repr(host))
    for server in SERVERS:
        for scheme in ("http", "https", "ws", "wss", None):
            path = draw.choice(["/", "/a b", "//a", "/?#\\", "", "a", "/é", "/a\nb", "/\x00"])
            query = draw.choice([b"", b"a=1", b"a=\xc3\xa9", b"a#b", b"a\tb", b"a b "])
            scope = {"path": path, "query_string": query, "headers": [(b"x", b"y")], "server": server, "scheme": scheme}
            if host is not None:
                scope["headers"] = ((b"x", b"y"), (b"host", host), (b"host", b"second"))
            scope = {key: value for key, value in scope.items() if value is not None}
            if draw.random() < 0.5:
                scope["headers"] = [*scope["headers"]]

            def use(m: ModuleType, scope: dict[str, Any] = scope) -> Any:
                url = m.URL(scope=scope)
                parts = [outcome(lambda part=part: getattr(url, part)) for part in PARTS]
                return str(url), outcome(lambda: url), parts, outcome(lambda: url.replace(port=1))

            alike(use)


@given(
    st.text(max_size=8),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.text("aZ09.-:[]_/?#@\\ é\n", max_size=8),
    st.sampled_from(["http", "https", "ws", "wss"]),
)
def test_the_url_of_any_scope_is_the_same(path: str, query: str, host: str, scheme: str) -> None:
    scope = {
        "scheme": scheme,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", host.encode("latin-1"))],
        "server": ("s", 1),
    }

    def use(m: ModuleType) -> Any:
        url = m.URL(scope=scope)
        return str(url), [outcome(lambda part=part: getattr(url, part)) for part in PARTS]

    alike(use)


def test_settings_and_state_behave_alike() -> None:
    for text in ("", "a", "a,b , c", "'a,b',c", '"x', ["a", "b"], ("a",)):
        alike(
            lambda m, text=text: (lambda s: (s, str(s), len(s), s[0:2], list(s), "a" in s))(
                m.CommaSeparatedStrings(text)
            )
        )
    for text in ("", "x"):
        alike(lambda m, text=text: (lambda s: (s, str(s), bool(s)))(m.Secret(text)))

    def state(m: ModuleType) -> Any:
        s = m.State({"a": 1})
        s.b, s["c"] = 2, 3
        del s.a
        del s["b"]
        return (
            dict(s),
            len(s),
            s.c,
            s["c"],
            [outcome(f) for f in (lambda: s.x, lambda: s["x"], lambda: delattr(s, "x"))],
        )

    alike(state)

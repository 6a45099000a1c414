"""Types of values, as source text, each with what is valid for it on the wire and in JSON.

Stands on nothing. Not for where a value comes from: that is `declarations`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Draw = Callable[[Random], Any]

# Definitions that annotations name; a case contains those it uses.
DEFINITIONS = {
    "Color": "class Color(enum.Enum):\n    red = 'red'\n    blue = 'blue'\n",
    "Level": "class Level(enum.IntEnum):\n    low = 1\n    high = 2\n",
    "Shade": "class Shade(str, enum.Enum):\n    dark = 'dark'\n    light = 'light'\n",
    "Point": "@dataclass\nclass Point:\n    x: int\n    y: float = 0.5\n",
    "Nested": "@dataclass\nclass Nested:\n    point: Point\n    tags: list[str] = field(default_factory=list)\n",
    "Record": "class Record(TypedDict):\n    a: int\n    b: NotRequired[str]\n",
    "Pair": "class Pair(NamedTuple):\n    left: int\n    right: str = 'r'\n",
    "even": "def even(value: int) -> int:\n    if value % 2:\n        raise ValueError('not even')\n    return value\n",
    "upper": "def upper(value: Any) -> Any:\n    return value.upper() if isinstance(value, str) else value\n",
    "known": "def known(value: str) -> str:\n    assert value != 'abc', 'abc is taken'\n    return value\n",
    "Cat": "class Cat(BaseModel):\n    kind: Literal['cat']\n    lives: int = 9\n",
    "Dog": "class Dog(BaseModel):\n    kind: Literal['dog']\n    name: str\n",
    "UserId": "UserId = NewType('UserId', int)\n",
    "Alias": "Alias = TypeAliasType('Alias', int | str)\n",
    "Limited": "Limited = TypeAliasType('Limited', Annotated[int, Field(gt=1, description='limited')])\n",
    "Several": "T = TypeVar('T')\nSeveral = TypeAliasType('Several', list[T], type_params=(T,))\n",
    "Box": "V = TypeVar('V')\nclass Box(BaseModel, Generic[V]):\n    value: V\n    more: list[V] = []\n",
    "Tree": "class Tree(BaseModel):\n    name: str = 't'\n    children: list['Tree'] = []\n",
    "Early": "class Early(BaseModel):\n    later: 'Later'\n\n\nclass Later(BaseModel):\n    n: int\n",
    "Root": "class Root(RootModel[list[int]]):\n    pass\n",
    "Strictly": "class Strictly(BaseModel):\n    model_config = ConfigDict(strict=True)\n    n: int\n    s: str = 's'\n",
    "Checked": "@pydantic_dataclass\nclass Checked:\n    n: Annotated[int, Field(gt=0)]\n    s: str = 's'\n",
    "Partial": "class Partial(TypedDict, total=False):\n    a: int\n    c: list[str]\n",
    "Rights": "class Rights(enum.IntFlag):\n    read = 1\n    write = 2\n",
    "plain": "def plain(value: Any) -> Any:\n    return ('plain', value)\n",
    "around_it": "def around_it(value: Any, handler: Any) -> Any:\n    return [handler(value)]\n",
    "kind_of": "def kind_of(value: Any) -> Any:\n    return value.get('t') if isinstance(value, dict) else None\n",
}
NEEDS = {"Nested": ("Point",)}


@dataclass(frozen=True)
class Kind:
    """A type.

    Attributes:
        source: The annotation.
        text: Draws a valid value as text, or a tuple of texts where the type takes several.
        value: Draws a valid value in JSON.
        shape: `scalar`, `many` (repeated on the wire) or `document` (JSON only).
        family: Which constraints fit: `number`, `decimal`, `text`, `many` or none.
        defaults: Defaults as source text, valid or not.
    """

    source: str
    text: Draw
    value: Draw
    shape: str = "scalar"
    family: str = ""
    defaults: tuple[str, ...] = ("None",)


def among(*choices: Any) -> Draw:
    """Draw one of these."""
    return lambda rng: rng.choice(choices)


def _number(rng: Random) -> int:
    return rng.choice([0, 1, 2, 3, 4, 5, 7, 10, 42, -1, 10**9])


UUID_TEXT = "12345678-1234-5678-1234-567812345678"

INT = Kind("int", lambda rng: str(_number(rng)), _number, family="number", defaults=("3", "0", "'5'", "None"))
STR = Kind(
    "str",
    among("abc", "a", "x y", "é", "日本", "5", "true", "a,b", "b" * 60, "~/%+&="),
    among("abc", "a", "x y", "é", "日本", "5", "", "\u0007\t\n", "\U0001f600", "b" * 60),
    family="text",
    defaults=("'d'", "''", "None", "5"),
)
FLOAT = Kind(
    "float",
    among("1", "1.5", "-0.0", "1e3", ".5", "3.", "0.1"),
    among(1, 1.5, -0.0, 1000.0, 0.1, 1e22),
    family="number",
    defaults=("1.5", "2", "None"),
)
BOOL = Kind("bool", among("true", "1", "on", "yes", "False", "off", "0", "T"), among(True, False), defaults=("True",))

SCALARS: list[Kind] = [
    *(INT, INT, INT, STR, STR, STR, FLOAT, FLOAT, BOOL, BOOL),
    Kind("bytes", among("abc", "é", "0"), among("abc", "é"), family="text", defaults=("b'd'",)),
    Kind("Color", among("red", "blue"), among("red", "blue"), defaults=("Color.red", "'blue'")),
    Kind("Level", among("1", "2"), among(1, 2), defaults=("Level.low", "2")),
    Kind("Shade", among("dark", "light"), among("dark", "light"), defaults=("Shade.dark",)),
    Kind("Literal['a', 'b']", among("a", "b"), among("a", "b"), defaults=("'a'", "'c'")),
    Kind("Literal[1, 'x']", among("x"), among(1, "x"), defaults=("1",)),
    Kind("datetime.date", among("2020-02-29", "1577836800"), among("2020-02-29", "1999-12-31")),
    Kind(
        "datetime.datetime",
        among("2020-01-01T10:00:00", "2020-01-01T10:00:00Z", "2020-01-01 10:00+02:00", "1577836800"),
        among("2020-01-01T10:00:00.123456Z", "2020-01-01T10:00:00", 1577836800),
        defaults=("datetime.datetime(2020, 1, 1)",),
    ),
    Kind("datetime.time", among("10:00", "10:00:01.5Z"), among("10:00:00"), defaults=("datetime.time(1)",)),
    Kind(
        "datetime.timedelta",
        among("P1DT2H", "90", "1 days, 01:00:00"),
        among("PT5M", 90.5),
        defaults=("datetime.timedelta(hours=1)",),
    ),
    Kind(
        "uuid.UUID",
        among(UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", ""), f"urn:uuid:{UUID_TEXT}"),
        among(UUID_TEXT),
        defaults=(f"uuid.UUID('{UUID_TEXT}')",),
    ),
    Kind(
        "decimal.Decimal",
        among("1", "1.50", "-0.001", "1e2", "12345678901234567890.12"),
        among(1, 1.5, "2.50"),
        family="decimal",
        defaults=("decimal.Decimal('1.0')",),
    ),
    Kind("pathlib.PurePosixPath", among("a", "b.txt"), among("a/b"), defaults=("pathlib.PurePosixPath('d')",)),
    Kind("ipaddress.IPv4Address", among("127.0.0.1", "10.0.0.1"), among("127.0.0.1")),
    Kind("AnyUrl", among("http:x"), among("https://example.com/a?b=c"), defaults=("'http://d/'",)),
    Kind("SecretStr", among("abc", "s"), among("abc"), defaults=("SecretStr('d')",)),
    Kind("int | str", among("1", "abc"), among(1, "abc"), defaults=("1", "'d'")),
    Kind("str | int", among("1", "abc"), among(1, "abc"), defaults=("'d'",)),
    Kind("Union[float, bool, None]", among("1.5", "true"), among(1.5, True, None), defaults=("None",)),
    Kind("int | datetime.date", among("5", "2020-01-01"), among(5, "2020-01-01")),
    Kind("Annotated[int, AfterValidator(even)]", among("2", "4"), among(2, 4), defaults=("2", "3")),
    Kind("Annotated[str, BeforeValidator(upper)]", among("abc", "a"), among("abc"), defaults=("'d'",)),
    Kind("Annotated[str, AfterValidator(known)]", among("a", "x"), among("a"), defaults=("'d'",)),
    Kind("Annotated[int, Field(gt=2)]", among("3", "9"), among(3), family="number", defaults=("3",)),
    Kind("Annotated[str, StringConstraints(strip_whitespace=True)]", among(" a ", "b"), among(" a "), family="text"),
    Kind("Annotated[str, Field(description='a text', max_length=3)]", among("abc"), among("abc"), defaults=("'d'",)),
    Kind("PositiveInt", among("1", "9"), among(1, 9), defaults=("1", "-1")),
    Kind("StrictInt", among("1"), among(1), defaults=("1",)),
    Kind("StrictStr", among("a"), among("a"), defaults=("'d'",)),
    Kind("UserId", among("1", "7"), among(1), defaults=("1",)),
    Kind("Alias", among("1", "x"), among(1, "x"), defaults=("1",)),
    Kind("Limited", among("2", "7"), among(2), family="number", defaults=("2", "0")),
    Kind("Rights", among("1", "3"), among(1, 3), defaults=("Rights.read",)),
    Kind("Literal[True, None, 'n']", among("n"), among(True, None, "n"), defaults=("None", "'n'")),
    Kind("ByteSize", among("1", "1.5KiB", "3 MB"), among(1, "2kb"), defaults=("ByteSize(3)",)),
    Kind("Base64Bytes", among("YWJj", "YWI="), among("YWJj"), defaults=("b'YQ=='",)),
    Kind("IPvAnyAddress", among("::1", "127.0.0.1"), among("::1")),
    Kind("AwareDatetime", among("2020-01-01T10:00:00Z"), among("2020-01-01T10:00:00+01:00")),
    Kind("UUID4", among("12345678-1234-4678-9234-567812345678"), among("12345678-1234-4678-9234-567812345678")),
    Kind("re.Pattern[str]", among("a+", "[a-z]"), among("a+")),
    Kind("complex", among("1", "1+2j"), among(1.5, "2j"), defaults=("1j",)),
    Kind("ipaddress.IPv4Network | uuid.UUID", among("10.0.0.0/8", UUID_TEXT), among("10.0.0.0/8")),
    Kind("Annotated[int, PlainValidator(plain)]", among("1", "x"), among(1, [1]), defaults=("'d'",)),
    Kind("Annotated[int, WrapValidator(around_it)]", among("1"), among(1), defaults=("1",)),
    Kind("Annotated[int, PlainSerializer(lambda value: f'<{value}>', return_type=str)]", among("1"), among(1)),
    Kind("Annotated[Annotated[int, Field(gt=2)], Field(lt=9)]", among("3", "8"), among(3), defaults=("3", "1")),
    Kind("Annotated[int | None, Field(ge=2)]", among("3", "8"), among(3, None), defaults=("None", "1")),
    Kind("Annotated[float, Field(allow_inf_nan=False)]", among("3", "8.5"), among(3.5), defaults=("1.0",)),
    Kind("Annotated[bool, Strict()]", among("true"), among(True), defaults=("True",)),
    Kind("'int'", among("1", "2"), among(1), defaults=("1",)),
    Kind("Any", among("1", "x"), among(1, "x", None, [1, {"a": None}], {"k": 1.5}), defaults=("None", "1")),
]


def optional(kind: Kind, rng: Random) -> Kind:
    """The type or None, in one of its spellings."""
    shape = rng.choice(["Optional[{}]", "{} | None", "None | {}", "Union[{}, None]"])
    if kind.source.startswith("'"):
        shape = "Optional[{}]"
    value = kind.value
    return Kind(
        shape.format(kind.source),
        kind.text,
        lambda rng: None if rng.random() < 0.2 else value(rng),
        kind.shape,
        kind.family,
        ("None", "None", *kind.defaults),
    )


_MANY = {
    "list": "list[{}]",
    "set": "set[{}]",
    "tuple": "tuple[{}, ...]",
    "frozenset": "frozenset[{}]",
    "deque": "deque[{}]",
    "Sequence": "Sequence[{}]",
    "List": "List[{}]",
    "Iterable": "Iterable[{}]",
    "Set": "AbstractSet[{}]",
    "Several": "Several[{}]",
    "bounded": "Annotated[list[{}], Field(max_length=2)]",
    "inner": "list[Annotated[{}, Field(description='inner')]]",
}
# Not in sets: their values have no hash, or their order is that of an address.
_UNHASHABLE = ("Any", "Point", "Record", "Nested", "dict", "Pair", "plain", "around_it")


def many(kind: Kind, rng: Random) -> Kind:
    """A collection of a type."""
    name = rng.choice(["list", "list", "list", *_MANY])
    if kind.shape != "scalar" and name in ("set", "frozenset", "Set"):
        name = "list"
    if any(word in kind.source for word in _UNHASHABLE) and name in ("set", "frozenset", "Set"):
        name = "list"

    def texts(rng: Random) -> tuple[str, ...]:
        return tuple(kind.text(rng) for _ in range(rng.choice([1, 1, 2, 2, 3])))

    def values(rng: Random) -> list[Any]:
        return [kind.value(rng) for _ in range(rng.choice([0, 1, 2, 3]))]

    return Kind(
        _MANY[name].format(kind.source),
        texts,
        values,
        "many" if kind.shape == "scalar" else "document",
        "many",
        ("[]", "None", "['1']", "[1, 2]", "()"),
    )


def pair(first: Kind, second: Kind) -> Kind:
    """A tuple of two."""
    return Kind(
        f"tuple[{first.source}, {second.source}]",
        lambda rng: (first.text(rng), second.text(rng)),
        lambda rng: [first.value(rng), second.value(rng)],
        "many",
        "",
        ("(1, '2')", "None"),
    )


def as_json(kind: Kind) -> Kind:
    """A JSON document in a string."""
    return Kind(
        f"Json[{kind.source}]",
        lambda rng: json.dumps(kind.value(rng)),
        lambda rng: json.dumps(kind.value(rng)),
        "scalar",
        "",
        ("None", "'[1]'"),
    )


def mapping(kind: Kind) -> Kind:
    """A dict from strings."""
    return Kind(
        f"dict[str, {kind.source}]",
        kind.text,
        lambda rng: {rng.choice(["a", "b", "é", ""]): kind.value(rng) for _ in range(rng.choice([0, 1, 2]))},
        "document",
        "",
        ("{}", "None"),
    )


def _point(rng: Random) -> dict[str, Any]:
    return {"x": _number(rng), **({"y": 1.5} if rng.random() < 0.5 else {})}


DOCUMENTS: list[Kind] = [
    Kind("Point", among("{}"), _point, "document"),
    Kind("Nested", among("{}"), lambda rng: {"point": _point(rng), "tags": ["a"]}, "document"),
    Kind("Record", among("{}"), among({"a": 1}, {"a": 2, "b": "x"}), "document", defaults=("{'a': 1}",)),
    Kind("Pair", among("1"), among([1, "x"], [1], {"left": 3}), "document"),
    Kind("dict", among("1"), among({}, {"a": [1, None]}), "document", defaults=("{}",)),
    Kind("dict[int, float]", among("1"), among({}, {"1": 2.5, "2": 1}), "document", defaults=("{}",)),
    Kind("list", among(("1",)), among([], [1, "a", None]), "many", "many", ("[]",)),
    Kind(
        "Annotated[Union[Cat, Dog], Field(discriminator='kind')]",
        among("1"),
        among({"kind": "cat"}, {"kind": "dog", "name": "d"}),
        "document",
    ),
    Kind("Cat | Dog", among("1"), among({"kind": "cat", "lives": 3}, {"kind": "dog", "name": "d"}), "document"),
    Kind("Cat | None", among("1"), among({"kind": "cat"}, None), "document"),
    Kind("list", among(("1",)), among([], [1, "a", None]), "many", "many", ("[]",)),
    Kind("tuple", among(("1", "2")), among([], [1]), "many", "", ("()",)),
    Kind("set", among(("1",)), among([], [1]), "many", "", ("set()",)),
    Kind("tuple[int, str, *tuple[int, ...]]", among(("1", "a")), among([1, "a", 2], [1, "a"]), "many", ""),
    Kind("list[int] | int", among(("1", "2"), "3"), among([1], 2), "many"),
    Kind("list[int] | str", among(("1", "2"), "x"), among([1], "x"), "many"),
    Kind("list[int | None]", among(("1", "2")), among([1, None], []), "many", "many", ("[]",)),
    Kind("Box[int]", among("1"), among({"value": 1}, {"value": 2, "more": [3]}), "document"),
    Kind("Box[list[str]]", among("1"), among({"value": ["a"]}), "document"),
    Kind("Tree", among("1"), among({}, {"children": [{"name": "a", "children": [{}]}]}), "document"),
    Kind("Early", among("1"), among({"later": {"n": 1}}), "document"),
    Kind("Root", among("1"), among([1, 2], []), "document"),
    Kind("Strictly", among("1"), among({"n": 1}, {"n": 2, "s": "x"}), "document"),
    Kind("Checked", among("1"), among({"n": 1}, {"n": 2, "s": "x"}), "document"),
    Kind("Partial", among("1"), among({"a": 1}, {}, {"c": ["x"]}), "document", defaults=("{}",)),
    Kind("Mapping[str, int]", among("1"), among({"a": 1}, {}), "document", defaults=("{}",)),
    Kind("OrderedDict[str, int]", among("1"), among({"b": 1, "a": 2}), "document"),
    Kind("dict[Color, decimal.Decimal]", among("1"), among({"red": 1.5}), "document"),
    Kind(
        "Annotated[Union[Annotated[Cat, Tag('c')], Annotated[Dog, Tag('d')]], Discriminator(kind_of)]",
        among("1"),
        among({"t": "c", "kind": "cat"}, {"t": "d", "kind": "dog", "name": "d"}),
        "document",
    ),
    Kind("list['Cat']", among("1"), among([{"kind": "cat"}], []), "document"),
    Kind("'Dog'", among("1"), among({"kind": "dog", "name": "d"}), "document"),
    Kind("Cat | int | list[Dog]", among("1"), among({"kind": "cat"}, 3, [{"kind": "dog", "name": "x"}]), "document"),
    Kind("list[list[int]]", among(("1",)), among([[1], [2, 3]], []), "document", "many"),
]


def scalar(rng: Random) -> Kind:
    """A type of one value."""
    kind = rng.choice(SCALARS)
    if rng.random() < 0.2 and "None" not in kind.source:
        kind = optional(kind, rng)
    return kind


def repeated(rng: Random) -> Kind:
    """A type of several values, or one value that holds several."""
    chance = rng.random()
    inner = rng.choice(SCALARS)
    if chance < 0.12:
        # In a model, pydantic takes a discriminated union in `Json`; alone, as FastAPI asks it at a request, not.
        plain = [kind for kind in DOCUMENTS if "discriminator" not in kind.source]
        return as_json(rng.choice([many(inner, rng), mapping(inner), rng.choice(plain)]))
    if chance < 0.22:
        return pair(inner, rng.choice(SCALARS))
    kind = many(inner if rng.random() < 0.9 else scalar(rng), rng)
    return optional(kind, rng) if rng.random() < 0.25 else kind


def document(rng: Random, models: Sequence[Kind] = ()) -> Kind:
    """A type that only JSON can hold."""
    chance = rng.random()
    if models and chance < 0.5:
        kind = rng.choice(models)
    else:
        kind = rng.choice(DOCUMENTS)
    if chance > 0.9:
        kind = many(kind, rng)
    elif chance > 0.85:
        kind = mapping(kind)
    elif chance > 0.78 and "None" not in kind.source:
        kind = optional(kind, rng)
    return kind

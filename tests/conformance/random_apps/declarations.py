"""Parameters of functions and fields of models: their declarations as source text, and their names on the wire.

Stands on `kinds`.
"""

from dataclasses import dataclass, field
from random import Random

from . import kinds
from .kinds import Kind

NAMES = ("a", "b", "item_id", "q", "x_token", "user_agent", "limit", "ids", "naïve")
PLACES = ("query", "header", "cookie", "path", "body", "form", "file")


@dataclass
class Param:
    """One parameter.

    Attributes:
        name: Its name in Python.
        place: Where it is taken from; one of `PLACES`.
        kind: Its type.
        wires: The names it may have in the request, the right one first.
        required: Whether it has no default.
        source: Its declaration: `name: annotation = default`.
        model: For a model whose fields are parameters of the place: the model.
    """

    name: str
    place: str
    kind: Kind
    wires: tuple[str, ...]
    required: bool
    source: str
    model: "Model | None" = None


@dataclass
class Model:
    """A pydantic model.

    Attributes:
        name: The class's name.
        fields: Its fields, as parameters of no place.
        source: The class.
        flat: Whether its fields may be parameters of a query, a header, a cookie or a form.
    """

    name: str
    fields: list[Param]
    source: str
    flat: bool
    kind: Kind = field(init=False)

    def __post_init__(self) -> None:
        self.kind = Kind(
            self.name, lambda rng: "{}", self._value, "document", "", ("None", f"{self.name}.model_construct()")
        )

    def _value(self, rng: Random) -> dict[str, object]:
        found: dict[str, object] = {}
        for each in self.fields:
            if each.required or rng.random() < 0.6:
                found[each.wires[0]] = each.kind.value(rng)
        return found


_CAN_BE_STRICT = ("int", "str", "float", "bool", "bytes", "datetime.date", "uuid.UUID", "Color", "decimal.Decimal")


def _constraints(rng: Random, kind: Kind) -> list[str]:
    family = kind.family
    if family == "number":
        choices = ["gt=0", "ge=1", "lt=100", "le=10", "multiple_of=2", "gt=1.5", "le=3", "allow_inf_nan=False"]
    elif family == "decimal":
        choices = ["gt=0", "max_digits=3", "decimal_places=1", "le=10"]
    elif family == "text":
        choices = ["min_length=1", "min_length=2", "max_length=3", "max_length=50", "pattern='^[a-z]+$'"]
    elif family == "many":
        choices = ["min_length=1", "min_length=2", "max_length=2"]
    else:
        choices = []
    # Only some schemas can be strict; pydantic says so about the others.
    if kind.source in _CAN_BE_STRICT or rng.random() < 0.03:
        choices.append("strict=True")
    drawn = rng.sample(choices, min(len(choices), rng.choice([1, 1, 2])))
    return list({each.partition("=")[0]: each for each in drawn}.values())


def _documentation(rng: Random) -> list[str]:
    choices = [
        *("title='The title'", "description='About it.'", "deprecated=True", "examples=['e']"),
        *("json_schema_extra={'x-k': 1}", "include_in_schema=False", "openapi_examples={'one': {'value': 1}}"),
    ]
    return rng.sample(choices, rng.choice([1, 1, 2]))


def _aliases(rng: Random, name: str) -> tuple[list[str], tuple[str, ...]]:
    """Draw options that rename, and the names on the wire that follow."""
    match rng.randrange(14) // 2:
        case 0 | 1:
            alias = rng.choice(["itemId", "a-b", "X-Up", "item id", "ä"])
            return [f"alias={alias!r}"], (alias, name)
        case 2:
            return ["validation_alias='va'"], ("va", name)
        case 3:
            return ["validation_alias=AliasChoices('c1', 'c2')"], ("c1", "c2", name)
        case 4:
            return ["alias='al'", "validation_alias='va'", "serialization_alias='sa'"], ("va", "al", name, "sa")
        case 5 if rng.random() < 0.3:
            path = rng.choice(["AliasPath('p')", "AliasPath('p', 0)", "AliasPath('p', 'k')"])
            return [f"validation_alias={rng.choice([path, f'AliasChoices(chr(99), {path})'])}"], ("p", "c", name)
        case 6:
            return ["alias='same'", "validation_alias='same'"], ("same", name)
    return ["serialization_alias='sa'"], (name, "sa")


def _default(rng: Random, kind: Kind, chance: float = 0.5) -> str | None:
    """Draw a default as source text; none where it is required."""
    return rng.choice(kind.defaults) if rng.random() < chance else None


_CONFIG = (
    *("use_enum_values=True", "coerce_numbers_to_str=True", "str_to_lower=True", "validate_default=True"),
    *("hide_input_in_errors=True", "loc_by_alias=False", "from_attributes=True", "revalidate_instances='always'"),
    *("ser_json_bytes='base64'", "ser_json_timedelta='float'", "serialize_by_alias=True", "title='Titled'"),
    *("use_attribute_docstrings=True", "json_schema_extra={'x-m': 1}", "str_max_length=3", "val_json_bytes='hex'"),
)


def draw_model(rng: Random, name: str, models: list[Model], *, flat: bool) -> Model:
    """Draw a model. A flat one has fields of one or several plain values only."""
    config = []
    if rng.random() < 0.35:
        config.append(f"extra={rng.choice(['forbid', 'allow', 'ignore'])!r}")
    if rng.random() < 0.15:
        config.append("populate_by_name=True")
    if rng.random() < 0.05:
        config.append("str_strip_whitespace=True")
    if rng.random() < 0.04:
        config.append("validate_by_alias=False, validate_by_name=True")
    if rng.random() < 0.05:
        config.append("frozen=True")
    if rng.random() < 0.05:
        config.append("alias_generator=to_camel")
    if rng.random() < 0.1:
        config.append(rng.choice(_CONFIG))
    base = rng.choice(models) if models and rng.random() < 0.12 else None
    if base is not None and not base.flat:
        base = None
    lines = [f"class {name}({base.name if base else 'BaseModel'}):"]
    if config:
        lines.append(f"    model_config = ConfigDict({', '.join(config)})")
    fields = []
    inherited = base.fields if base is not None else []
    for each in rng.sample(NAMES[:-1], rng.choice([1, 2, 2, 3, 4])):
        if flat or rng.random() < 0.6:
            kind = kinds.scalar(rng) if rng.random() < 0.7 else kinds.repeated(rng)
        else:
            kind = kinds.document(rng, [model.kind for model in models])
        fields.append(_model_field(rng, each, kind))
        lines.append(f"    {fields[-1].source}")
    if rng.random() < 0.12:
        first = fields[0].name
        lines += [
            f"    @field_validator({first!r}, mode={rng.choice(['before', 'after'])!r})",
            "    @classmethod",
            f"    def check_{first}(cls, value: Any) -> Any:",
            "        if value in ('abc', 3):",
            f"            raise {rng.choice(['ValueError', 'AssertionError'])}('not this one')",
            "        return value",
        ]
    if rng.random() < 0.08:
        lines += [
            "    @model_validator(mode='after')",
            "    def check(self) -> Any:",
            f"        if self.{fields[-1].name} in ('a', 1):",
            "            raise PydanticCustomError('odd_one', 'odd: {value}', {'value': 1})",
            "        return self",
        ]
    if rng.random() < 0.06:
        lines += [
            "    @model_validator(mode='before')",
            "    @classmethod",
            "    def first(cls, data: Any) -> Any:",
            "        return {**data, 'extra': 'added'} if isinstance(data, dict) else data",
        ]
    if rng.random() < 0.04:
        lines += [
            f"    @field_serializer({fields[0].name!r}, when_used={rng.choice(['json', 'always', 'unless-none'])!r})",
            f"    def write_{fields[0].name}(self, value: Any) -> str:",
            "        return 'written'",
        ]
    if rng.random() < 0.04:
        lines += [
            "    @model_serializer(mode='wrap')",
            "    def write(self, handler: Any) -> Any:",
            "        return {'wrapped': handler(self)}",
        ]
    if rng.random() < 0.1:
        lines += [
            "    @computed_field",
            "    @property",
            "    def computed(self) -> str:",
            "        return 'computed'",
        ]
    own = {each.name for each in fields}
    fields += [each for each in inherited if each.name not in own]
    return Model(name, fields, "\n".join(lines) + "\n", flat)


def _model_field(rng: Random, name: str, kind: Kind) -> Param:
    options: list[str] = []
    wires: tuple[str, ...] = (name,)
    default = _default(rng, kind)
    if rng.random() < 0.25:
        options += _constraints(rng, kind)
    if rng.random() < 0.2:
        renamed, wires = _aliases(rng, name)
        options += renamed
    if rng.random() < 0.1:
        options.append("description='About it.'")
    if default is None and rng.random() < 0.05:
        options.append("default_factory=lambda: 3")
        default = ""
    if not options:
        source = f"{name}: {kind.source}" + (f" = {default}" if default else "")
    elif default and rng.random() < 0.5:
        source = f"{name}: {kind.source} = Field({', '.join([default, *options])})"
    else:
        source = f"{name}: Annotated[{kind.source}, Field({', '.join(options)})]" + (f" = {default}" if default else "")
    return Param(name, "", kind, wires, default is None, source)


def draw_param(rng: Random, name: str, place: str, models: list[Model]) -> Param:
    """Draw a parameter of a place."""
    if place == "file":
        return _file(rng, name)
    flat = [model for model in models if model.flat]
    if flat and place in ("query", "header", "cookie", "form") and rng.random() < 0.25:
        return _model_param(rng, name, place, rng.choice(flat))
    if place in ("path", "cookie"):
        kind = kinds.scalar(rng)
    elif place == "body":
        draw = rng.choice([kinds.document, kinds.document, kinds.repeated, kinds.scalar])
        kind = rng.choice(models).kind if models and rng.random() < 0.5 else draw(rng)
    else:
        kind = kinds.scalar(rng) if rng.random() < 0.7 else kinds.repeated(rng)
    return _declared(rng, name, place, kind)


# Other ways to say `Annotated[kind, inner]`, some of which frameworks may refuse or take otherwise.
_AROUND = (
    "Annotated[Annotated[{kind}, {inner}], 'outer']",
    "Annotated[Annotated[{kind}, 'meta'], {inner}]",
    "Annotated[Annotated[{kind}, {place}(description='first')], {inner}]",
    "TypeAliasType('Param', Annotated[{kind}, {inner}])",
    "'''Annotated[{kind}, {inner}]'''",  # there are quotes within
    "Optional[Annotated[{kind}, {inner}]]",
    "Annotated[Optional[{kind}], {inner}]",
    "Annotated[{kind}, {inner}, Depends(lambda: 1)]",
)


def _declared(rng: Random, name: str, place: str, kind: Kind) -> Param:
    options: list[str] = []
    wires: tuple[str, ...] = (name,)
    default = None if place == "path" else _default(rng, kind)
    if rng.random() < 0.25:
        options += _constraints(rng, kind)
    if rng.random() < 0.2 and place != "path":
        renamed, wires = _aliases(rng, name)
        options += renamed
    if rng.random() < 0.15:
        options += _documentation(rng)
    if place == "header" and wires == (name,):
        if rng.random() < 0.15:
            options.append("convert_underscores=False")
        else:
            wires = (name.replace("_", "-"), name)
    if place == "body":
        if rng.random() < 0.2:
            options.append(f"embed={rng.choice([True, True, False])}")
        if rng.random() < 0.05:
            options.append("media_type='application/vnd.api+json'")
    if default is not None and rng.random() < 0.1:
        options.append("validate_default=True")
    factory = default is None and place != "path" and rng.random() < 0.06
    if factory:
        options.append(f"default_factory=lambda: {kind.defaults[0]}")
    declaration = place.capitalize()
    bare_place = "query" if kind.shape == "scalar" else "body"
    source = f"{name}: {kind.source}"
    if not options and place in (bare_place, "path") and rng.random() < 0.6:
        source += f" = {default}" if default is not None else ""
    elif rng.random() < 0.6:
        inner = f"{declaration}({', '.join(options)})"
        if rng.random() < 0.1:
            inner = f"{rng.choice(['Field(description=chr(65))', repr('meta')])}, {inner}"
        annotation = f"Annotated[{kind.source}, {inner}]"
        if rng.random() < 0.08:
            annotation = rng.choice(_AROUND).format(kind=kind.source, inner=inner, place=declaration)
        source = f"{name}: {annotation}" + (f" = {default}" if default is not None else "")
    else:
        given = [default] if default is not None else []
        if not given and rng.random() < 0.3 and not factory:
            given = ["..."]
        source += f" = {declaration}({', '.join([*given, *options])})"
    return Param(name, place, kind, wires, default is None and not factory, source)


def _model_param(rng: Random, name: str, place: str, model: Model) -> Param:
    options = []
    if place == "header" and rng.random() < 0.2:
        options.append("convert_underscores=False")
    if rng.random() < 0.05:
        options.append("alias='renamed'")
    if place == "form" and rng.random() < 0.15:
        options.append("media_type='multipart/form-data'")
    declaration = f"{place.capitalize()}({', '.join(options)})"
    annotation, required = model.name, True
    if rng.random() < 0.15:
        annotation, required = f"{model.name} | None", False
    source = f"{name}: Annotated[{annotation}, {declaration}]" + ("" if required else " = None")
    return Param(name, place, model.kind, (name,), required, source, model)


def _file(rng: Random, name: str) -> Param:
    annotation = rng.choice(
        [
            *("UploadFile", "UploadFile", "bytes", "list[UploadFile]", "list[bytes]", "UploadFile | None"),
            *("bytes | None", "Optional[list[UploadFile]]", "str", "tuple[UploadFile, ...]", "Sequence[UploadFile]"),
            *("list[bytes] | None", "set[bytes]", "UploadFile | str", "tuple[UploadFile, UploadFile]", "list"),
        ]
    )
    several = any(word in annotation for word in ("list", "tuple", "Sequence", "set"))
    kind = Kind(annotation, kinds.among("content"), kinds.among("content"), "many" if several else "scalar")
    default = rng.choice(["None", "None", "[]" if several else "None"]) if rng.random() < 0.3 else None
    options: list[str] = []
    wires: tuple[str, ...] = (name,)
    if rng.random() < 0.15:
        options, wires = _aliases(rng, name)
    if "bytes" in annotation and rng.random() < 0.2:
        options.append("max_length=5")
    if not options and "UploadFile" in annotation and rng.random() < 0.5:
        source = f"{name}: {annotation}" + (f" = {default}" if default else "")
    elif rng.random() < 0.6:
        source = f"{name}: Annotated[{annotation}, File({', '.join(options)})]" + (f" = {default}" if default else "")
    else:
        source = f"{name}: {annotation} = File({', '.join([*([default] if default else []), *options])})"
    return Param(name, "file", kind, wires, default is None, source)


def signature(params: list[str]) -> str:
    """Join declarations, keyword-only where the order would not be allowed otherwise."""
    seen = False
    for each in params:
        has_default = " = " in each
        if seen and not has_default:
            return ", ".join(["*", *params])
        seen = seen or has_default
    return ", ".join(params)


def definitions(source: str) -> str:
    """Return the definitions that a source text needs."""
    names = [name for name in kinds.DEFINITIONS if name in source]
    for name in list(names):
        names += [need for need in kinds.NEEDS.get(name, ()) if need not in names]
    return "\n".join(text for name, text in kinds.DEFINITIONS.items() if name in names)

"""The JSON schemas of a whole document at once.

Layer: ``_fields`` and pydantic's generator. What a schema says is pydantic's matter; this is about the number of
them: each distinct core schema is turned into JSON once, and names are shortened by comparing only definitions that
compete for a name. Not for one field's schema: that is ``get_schema_from_model_field``.

The answers are those of pydantic's own ``generate_definitions``; a test holds both against each other. Where pydantic's
generator lacks what this builds on, its own method does the work.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, TypeAdapter

from forzium._fields import get_flat_models_from_fields
from forzium._fields.schema import FieldMapping, GenerateJsonSchema, _has_computed_fields
from forzium.openapi.constants import REF_TEMPLATE

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

    from forzium._fields import ModelField
    from forzium.types import ModelNameMap

Mode = Literal["validation", "serialization"]
Definitions = dict[str, dict[str, Any]]

_WRITTEN_AS_THEY_ARE = frozenset((int, bool, type(None)))

_MODES: tuple[Mode, Mode] = ("validation", "serialization")

# As in pydantic: each round settles one more level of definitions that refer to each other. Two or three are usual.
_MAX_ROUNDS = 100


def get_definitions(
    *, fields: Sequence[ModelField], model_name_map: ModelNameMap, separate_input_output_schemas: bool = True
) -> tuple[FieldMapping, Definitions]:
    """The schemas of fields, and the definitions they refer to.

    Args:
        fields: The fields; one may occur more than once.
        model_name_map: Not used; part of FastAPI's signature.
        separate_input_output_schemas: Whether a model may have one schema for input and one for output.

    Returns:
        The schema of each field by field and mode, and the definitions by name.

    Source: FastAPI, ``fastapi._compat.get_definitions``.
    """
    inputs: list[tuple[Hashable, Mode, CoreSchema]] = []
    by_field: dict[ModelField, None] = dict.fromkeys(fields)
    for field in by_field:
        separate = separate_input_output_schemas or _has_computed_fields(field)
        inputs.append((field, field.mode if separate else "validation", field._type_adapter.core_schema))
    inputs.extend(_reached_models(by_field, separate_input_output_schemas))
    generator = DocumentSchemas(ref_template=REF_TEMPLATE)
    mapping, definitions = generator.generate_definitions(inputs)
    for definition in definitions.values():
        if "description" in definition:
            # A docstring's part after a form feed is not for the public.
            definition["description"] = definition["description"].partition("\f")[0]
    return cast(FieldMapping, mapping), cast(Definitions, definitions)


def _reached_models(
    fields: Iterable[ModelField], separate_input_output_schemas: bool
) -> Iterable[tuple[Hashable, Mode, CoreSchema]]:
    """Models and enums that fields only reach. Most are defined by then; some a serializer or the like would hide."""
    fields = list(fields)
    given = {field.field_info.annotation for field in fields if isinstance(field.field_info.annotation, type)}
    for mode in _MODES:
        reached = get_flat_models_from_fields([field for field in fields if field.mode == mode], known_models=set())
        for model in reached - given:
            adapter: TypeAdapter[Any] = TypeAdapter(model)
            core_schema = adapter.core_schema
            separate = separate_input_output_schemas or _computes_fields(model)
            yield model, mode if separate else "validation", core_schema


def _computes_fields(model: type[Any]) -> bool:
    """Whether a model, or one it reaches, has computed fields, that is differs between input and output by itself."""
    from pydantic.fields import FieldInfo

    from forzium._fields import ModelField

    return issubclass(model, BaseModel) and _has_computed_fields(
        ModelField(field_info=FieldInfo(annotation=model), name=model.__name__)
    )


class DocumentSchemas(GenerateJsonSchema):
    """pydantic's generator for many inputs at once."""

    def generate_definitions(
        self, inputs: Sequence[tuple[Any, Mode, CoreSchema]]
    ) -> tuple[dict[tuple[Any, Mode], dict[str, Any]], Any]:
        """Generate the schemas of all inputs, and the definitions they refer to, with names as short as possible.

        Args:
            inputs: Key, mode and core schema of each.

        Returns:
            The schema of each input by key and mode, and the definitions by name, in alphabetical order.
        """
        choices: dict[str, list[str]] | None = getattr(self, "_prioritized_defsref_choices", None)
        if choices is None or self._used:
            return super().generate_definitions(inputs)

        # Two inputs with the same core schema, as fields with equal declarations have, are one.
        distinct: dict[tuple[int, Mode], tuple[CoreSchema, dict[str, Any]]] = {}
        for _, mode, core_schema in inputs:
            key = (id(core_schema), mode)
            if key not in distinct:
                self._mode = mode
                distinct[key] = (core_schema, self.generate_inner(core_schema))

        rename = Renaming(self.definitions, choices, self.ref_template)
        schemas: dict[tuple[int, Mode], dict[str, Any]] = {}
        for key, (core_schema, first) in distinct.items():
            # Now that everything is defined, references can be made where the first time there was none yet. A schema
            # that refers to nothing stays as it is.
            self._mode = key[1]
            schemas[key] = rename.references(self.generate_inner(core_schema) if _refers(first) else first)
        mapping = {(key, mode): schemas[id(core_schema), mode] for key, mode, core_schema in inputs}

        self._used = True
        named: dict[str, dict[str, Any]] = {}
        for own in list(self.definitions):
            name = rename.name(own)
            # One at a time, and each let go when its sorted copy is made: a document's size once, not twice.
            named |= cast(Any, self.sort({name: rename.references(self.definitions.pop(own))}))
        for table in list(vars(self).values()):
            # A generator holds its own methods, and would keep its tables until the garbage collector comes.
            if isinstance(table, dict):
                table.clear()
        return mapping, {name: named[name] for name in sorted(named)}

    def encode_default(self, dft: Any) -> Any:
        """Encode a default. What is JSON already needs no serializer, which pydantic would build for each."""
        kind = type(dft)
        if kind in _WRITTEN_AS_THEY_ARE or (kind is str and dft.isascii()):
            return dft
        if kind in (list, dict) and not dft:
            return kind()
        return super().encode_default(dft)


def _refers(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "$ref" in schema or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))


class Renaming:
    """Which definition gets which name.

    A definition may have several names, from the shortest (that of its class) to the longest, which is its alone. It
    gets the first one for which no *different* definition competes. What refers to other definitions is compared by
    their new names, so this goes on until no name changes.

    Args:
        definitions: The definitions by their longest name. They are not changed.
        choices: The names of each definition, the best one first.
        ref_template: What a reference to ``{model}`` looks like.

    Source: pydantic, naming of definitions in JSON schemas.
    """

    def __init__(self, definitions: Any, choices: Any, ref_template: str) -> None:
        self._ref_template = ref_template
        self._names: dict[str, str] = {}
        self._refs: dict[str, str] = {}
        competitors: dict[str, list[str]] = {}
        for own in definitions:
            for name in choices[own]:
                competitors.setdefault(name, []).append(own)
        contested = {own for owners in competitors.values() if len(owners) > 1 for own in owners}
        for own in definitions:
            if own not in contested:
                self._settle(own, choices[own], 0)
        if contested:
            self._settle_contested(
                {own: _copy(definitions[own]) for own in definitions if own in contested}, choices, competitors
            )

    def _settle(self, own: str, choices: list[str], index: int) -> None:
        """Give a definition its name; references by it and by the names after it are to be changed."""
        self._names[own] = choices[index]
        target = self._ref_template.format(model=choices[index])
        for name in choices[index:]:
            self._refs[self._ref_template.format(model=name)] = target

    def _settle_contested(
        self, schemas: dict[str, Any], choices: dict[str, list[str]], competitors: dict[str, list[str]]
    ) -> None:
        settled_refs = self._refs
        names: set[str] | None = None
        for _ in range(_MAX_ROUNDS):
            self._refs = settled_refs.copy()
            for own in schemas:
                index = next(index for index, name in enumerate(choices[own]) if _all_equal(competitors[name], schemas))
                self._settle(own, choices[own], index)
            for schema in schemas.values():
                self.references(schema)
            before, names = names, {self._names[own] for own in schemas}
            if names == before:
                return
        raise RuntimeError(f"expected settled names after {_MAX_ROUNDS} rounds, but found them still changing")

    def name(self, own: str) -> str:
        """The name a definition gets."""
        return self._names.get(own, own)

    def references(self, schema: Any) -> Any:
        """Change all references in a schema, in place where it is a dict; return it.

        As in pydantic any string that reads like a reference is one: discriminators hold them as values.
        """
        refs = self._refs
        if isinstance(schema, dict):
            for key, value in schema.items():
                if isinstance(value, str):
                    if value in refs:
                        schema[key] = refs[value]
                elif isinstance(value, (dict, list)):
                    schema[key] = self.references(value)
            return schema
        if isinstance(schema, list):
            return [self.references(value) for value in schema]
        return refs.get(schema, schema) if isinstance(schema, str) else schema


def _all_equal(owners: list[str], schemas: dict[str, Any]) -> bool:
    first = schemas[owners[0]] if len(owners) > 1 else None
    return all(schemas[owner] == first for owner in owners[1:])


def _copy(value: Any) -> Any:
    """A deep copy of JSON."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value

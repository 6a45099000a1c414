"""Everything that FastAPI has in its module of this name, from the modules where it is done.

Layer: the top of `forzium.dependencies`. Not for code: that is `signature` (annotations), `analysis` (one parameter),
`graph` (the tree), `extraction` (values of parameters), `forms` and `body` (values of bodies).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forzium.dependencies.analysis import (
    ParamDetails,
    add_non_field_param_to_dependency,
    add_param_to_fields,
    analyze_param,
)
from forzium.dependencies.body import (
    get_body_field,
    read_file_bytes,
    request_body_to_args,
    should_embed_body_fields,
)
from forzium.dependencies.extraction import (
    get_param_aliases,
    get_param_model,
    get_validation_alias,
    missing_field_error,
    request_params_to_args,
)
from forzium.dependencies.graph import (
    DependencyCycleError,
    get_dependant,
    get_flat_body_params,
    get_flat_params,
    get_parameterless_sub_dependant,
)
from forzium.dependencies.multipart import (
    ensure_multipart_is_installed,
    multipart_incorrect_install_error,
    multipart_not_installed_error,
)
from forzium.dependencies.signature import (
    get_stream_item_type,
    get_typed_annotation,
    get_typed_return_annotation,
    get_typed_signature,
)
from forzium.dependencies.solving import solve_dependencies

if TYPE_CHECKING:
    from forzium.background import BackgroundTasks
    from forzium.responses import Response
    from forzium.types import DependencyCacheKey

__all__ = [
    "DependencyCycleError",
    "ParamDetails",
    "SolvedDependency",
    "add_non_field_param_to_dependency",
    "add_param_to_fields",
    "analyze_param",
    "ensure_multipart_is_installed",
    "get_body_field",
    "get_dependant",
    "get_flat_body_params",
    "get_flat_params",
    "get_param_aliases",
    "get_param_model",
    "get_parameterless_sub_dependant",
    "get_stream_item_type",
    "get_typed_annotation",
    "get_typed_return_annotation",
    "get_typed_signature",
    "get_validation_alias",
    "missing_field_error",
    "multipart_incorrect_install_error",
    "multipart_not_installed_error",
    "request_body_to_args",
    "request_params_to_args",
    "should_embed_body_fields",
    "solve_dependencies",
]

# FastAPI's name, which code outside of FastAPI imports.
_read_file_bytes = read_file_bytes


@dataclass
class SolvedDependency:
    """What solving a dependant gives.

    Attributes:
        values: The arguments for its callable.
        errors: Validation errors; with any, the callable must not be called.
        background_tasks: The tasks that dependencies have added, if any asked for them.
        response: The response that dependencies have set headers, cookies and a status on.
        dependency_cache: The results of dependencies by their keys.
    """

    values: dict[str, Any]
    errors: list[Any]
    background_tasks: BackgroundTasks | None
    response: Response
    dependency_cache: dict[DependencyCacheKey, Any]

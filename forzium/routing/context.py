"""What an inclusion adds to a router: prefix, tags, dependencies, inherited options.

Stands on options. The routes it applies to are in include.

Source: FastAPI 0.165 `APIRouter.include_router`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from forzium._body_limit import get_body_size_limit, validate_max_body_size
from forzium._form_limits import FormLimits, validate_form_limits
from forzium.routing.base import BaseRoute
from forzium.routing.options import IncludeOptions, innermost
from forzium.utils import get_value_or_default

if TYPE_CHECKING:
    from forzium import params
    from forzium.datastructures import DefaultPlaceholder
    from forzium.responses import Response
    from forzium.routing.apirouter import APIRouter

__all__ = ["RouterIncludeContext"]


@dataclass
class RouterIncludeContext:
    """The sum of what the including routers say, outermost first."""

    included_router: APIRouter
    prefix: str
    tags: list[str | Enum]
    dependencies: list[params.Depends]
    default_response_class: type[Response] | DefaultPlaceholder
    responses: dict[int | str, dict[str, Any]]
    callbacks: list[BaseRoute]
    deprecated: bool | None
    include_in_schema: bool
    generate_unique_id_function: Callable[[Any], str] | DefaultPlaceholder
    strict_content_type: bool | DefaultPlaceholder
    dependency_overrides_provider: Any | None
    max_body_size: int | None
    form_limits: FormLimits
    cancel_on_disconnect: bool | None
    background_always: bool | None

    @classmethod
    def for_include(cls, parent: APIRouter, router: APIRouter, options: IncludeOptions) -> RouterIncludeContext:
        """What `parent.include_router(router, **options)` adds, where `options` are all of them.

        Raises:
            ValueError: The body limit is no size.
        """
        validate_max_body_size(options["max_body_size"])
        return cls(
            included_router=router,
            prefix=parent.prefix + options["prefix"],
            tags=[*parent.tags, *(options["tags"] or [])],
            dependencies=[*parent.dependencies, *(options["dependencies"] or [])],
            default_response_class=get_value_or_default(
                options["default_response_class"], parent.default_response_class
            ),
            responses={**parent.responses, **(options["responses"] or {})},
            callbacks=[*parent.callbacks, *(options["callbacks"] or [])],
            deprecated=options["deprecated"] or parent.deprecated,
            include_in_schema=parent.include_in_schema and options["include_in_schema"],
            generate_unique_id_function=get_value_or_default(
                options["generate_unique_id_function"], parent.generate_unique_id_function
            ),
            strict_content_type=parent.strict_content_type,
            dependency_overrides_provider=parent.dependency_overrides_provider,
            max_body_size=get_body_size_limit(router.max_body_size, options["max_body_size"], parent.max_body_size),
            form_limits={**validate_form_limits(options["form_limits"]), **router.form_limits},
            cancel_on_disconnect=innermost(
                router.cancel_on_disconnect, options["cancel_on_disconnect"], parent.cancel_on_disconnect
            ),
            background_always=innermost(
                router.background_always, options["background_always"], parent.background_always
            ),
        )

    def combine(self, child: RouterIncludeContext) -> RouterIncludeContext:
        """What `child`, an inclusion on the router included here, is seen from outside."""
        return RouterIncludeContext(
            included_router=child.included_router,
            prefix=self.prefix + child.prefix,
            tags=[*self.tags, *child.tags],
            dependencies=[*self.dependencies, *child.dependencies],
            default_response_class=get_value_or_default(child.default_response_class, self.default_response_class),
            responses={**self.responses, **child.responses},
            callbacks=[*self.callbacks, *child.callbacks],
            deprecated=self.deprecated or child.deprecated,
            include_in_schema=self.include_in_schema and child.include_in_schema,
            generate_unique_id_function=get_value_or_default(
                child.generate_unique_id_function, self.generate_unique_id_function
            ),
            strict_content_type=get_value_or_default(child.strict_content_type, self.strict_content_type),
            dependency_overrides_provider=self.dependency_overrides_provider,
            max_body_size=get_body_size_limit(child.max_body_size, self.max_body_size),
            form_limits=child.form_limits,
            cancel_on_disconnect=innermost(child.cancel_on_disconnect, self.cancel_on_disconnect),
            background_always=innermost(child.background_always, self.background_always),
        )

    def path_for(self, route: Any) -> str:
        """The full path of a route of the included router."""
        path: str = self.prefix + route.path
        return path

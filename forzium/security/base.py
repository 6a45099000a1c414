"""The mark by which the dependency solver and the OpenAPI document recognise a security scheme.

Layer: the lowest of ``forzium.security``; imports nothing of it. Not for reading credentials: each scheme does that
itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forzium.openapi.models import SecurityBase as SecurityBaseModel


class SecurityBase:
    """Base of every security scheme.

    Attributes:
        model: The scheme as it appears under ``components.securitySchemes`` of the document.
        scheme_name: The key it appears under. Defaults to the name of the class in all schemes of this package.

    Source: FastAPI, ``fastapi.security.base.SecurityBase``.
    """

    model: "SecurityBaseModel"
    scheme_name: str

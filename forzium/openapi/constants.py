"""Words of the document that more than one layer needs.

Layer: no imports. Not for the texts of the document: those stand in ``utils``.
"""

METHODS_WITH_BODY = {"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"}
"""Methods whose operation shows a request body."""

REF_PREFIX = "#/components/schemas/"
"""What every reference to a schema begins with."""

REF_TEMPLATE = REF_PREFIX + "{model}"
"""A reference to a schema; `model` is its name in the document."""

"""Reading the ``Authorization`` header.

Layer: no imports. Not for decoding credentials: see ``http`` and ``oauth2``.
"""


def get_authorization_scheme_param(authorization_header_value: str | None) -> tuple[str, str]:
    """Split an ``Authorization`` value into scheme and parameter.

    Args:
        authorization_header_value: The header's value, or None where it was not sent.

    Returns:
        The scheme as written by the client (case kept) and the rest without surrounding blanks; both empty where there
        is no value.

    Source: RFC 9110, section 11.6.2; FastAPI splits at the first space.
    """
    scheme, _, parameter = (authorization_header_value or "").partition(" ")
    return scheme, parameter.strip()

"""The parsers of query strings and cookies: the one place where data structures meet the Rust extension.

Layer: ground of `forzium.datastructures`.
Not for: anything else of the extension module.
"""

from typing import TYPE_CHECKING

__all__ = ["parse_cookies", "parse_query"]

if TYPE_CHECKING:

    def parse_query(raw: bytes, /) -> list[tuple[str, str]]:
        """Split a query string or an urlencoded body into pairs, in order, blank values kept."""

    def parse_cookies(header: str, /) -> dict[str, str]:
        """Split a `Cookie` header into names and values; of equal names the last one counts."""

else:
    try:
        from forzium._forzium import parse_cookies, parse_query
    except ImportError:
        import re
        from urllib.parse import parse_qsl

        _ESCAPE = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))").sub

        def parse_query(raw):
            return parse_qsl(raw.decode("latin-1"), keep_blank_values=True)

        def parse_cookies(header):
            found = {}
            for chunk in header.split(";"):
                name, equals, value = chunk.partition("=")
                if not equals:
                    name, value = "", chunk
                name, value = name.strip(), value.strip()
                if not name and not value:
                    continue
                if len(value) > 1 and value[0] == value[-1] == '"':
                    value = _ESCAPE(lambda m: chr(int(m[1], 8)) if m[1] else m[2], value[1:-1])
                found[name] = value
            return found

"""`CompressMiddleware`: compresses responses with zstd, brotli or gzip, whichever the client likes best.

Layer: on `middleware.gzip`; the rules and the codings are the core's (`rust/forzium-py/src/middleware/compress.rs`,
`coding.rs`).
Not for: what `GZipMiddleware` leaves alone: event streams, media, archives, parts of a file, what is coded already.

Nothing of it is in FastAPI or Starlette.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from forzium._forzium import Compress
from forzium.middleware._own import Linked, native
from forzium.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, THREAD_MINIMUM_SIZE, media_types

if TYPE_CHECKING:
    from forzium.types import ASGIApp

__all__ = ["DEFAULT_LEVELS", "CompressMiddleware"]

DEFAULT_LEVELS: Mapping[str, int] = MappingProxyType({"zstd": 3, "br": 4, "gzip": 6})
"""The level of each coding: about as fast as one another, for bodies that are made anew for every request."""


@native
class CompressMiddleware(Linked):
    """Compresses response bodies as they are sent; each piece of a stream can be decoded when it arrives.

    The coding is the one with the highest weight in the client's `Accept-Encoding`; of equal ones the first of
    `codings`.

    Args:
        app: The application to wrap.
        codings: What may be used, the preferred first: `"zstd"`, `"br"`, `"gzip"`. Default is these three.
        levels: The level of a coding where it is to be another than that in `DEFAULT_LEVELS`: gzip 0 to 9, br 0 to 11,
            zstd 1 to 22.
        minimum_size: Bytes under which a body is sent as it is. Default is 500.
        thread_minimum_size: Bytes in one piece from which a worker thread compresses. Default is 128 KiB.
        exclude_content_types: Media types left alone; `audio/*` names a whole family. Default is
            `forzium.middleware.gzip.DEFAULT_EXCLUDED_CONTENT_TYPES`.

    Raises:
        ValueError: A coding that is not known, or a level that it has not.

    Source: RFC 9110, 8.4 (content codings) and 12.5.3 (`Accept-Encoding`); RFC 7932 (br), 8878 (zstd), 1952 (gzip).
    """

    def __init__(
        self,
        app: "ASGIApp",
        *,
        codings: Sequence[str] = tuple(DEFAULT_LEVELS),
        levels: Mapping[str, int] | None = None,
        minimum_size: int = 500,
        thread_minimum_size: int = THREAD_MINIMUM_SIZE,
        exclude_content_types: Sequence[str] = DEFAULT_EXCLUDED_CONTENT_TYPES,
    ) -> None:
        self.app = app
        self.codings = tuple(codings)
        self.levels = {**DEFAULT_LEVELS, **(levels or {})}
        self.minimum_size = minimum_size
        self.thread_minimum_size = thread_minimum_size
        self.exclude_content_types = media_types(exclude_content_types)
        if unknown := [name for name in (*self.codings, *self.levels) if name not in DEFAULT_LEVELS]:
            known = ", ".join(map(repr, DEFAULT_LEVELS))
            raise ValueError(f"expected content codings among {known}, but found {unknown[0]!r}")
        self._link  # noqa: B018  (a wrong level is an error of the declaration)

    @cached_property
    def _link(self) -> Compress:
        return Compress(
            [(name, self.levels[name]) for name in self.codings],
            weighs=True,
            minimum_size=self.minimum_size,
            thread_minimum_size=self.thread_minimum_size,
            exclude_content_types=self.exclude_content_types,
        )

"""Byte ranges: which parts of a file a ``Range`` header asks for, and the frame that several parts are sent in.

Stands on nothing. Ranges are half open ``(start, end)`` pairs of byte offsets throughout.

Not for deciding *whether* ranges apply (method, status, ``If-Range``): that is ``FileResponse``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Range = tuple[int, int]


class MalformedRangeHeader(Exception):
    """The header cannot be understood; answered with status 400 and ``content`` as the text."""

    def __init__(self, content: str = "Malformed range header.") -> None:
        self.content = content


class RangeNotSatisfiable(Exception):
    """A range begins outside of the file; answered with status 416 and ``max_size``, the file's size in bytes."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size


def parse_range_header(header: str, file_size: int, max_ranges: int) -> list[Range]:
    """Read a ``Range`` header: sorted ranges, overlapping and touching ones joined.

    An empty list means "more than ``max_ranges``: send the whole file".

    Raises:
        MalformedRangeHeader: another unit than bytes, no usable range, or a range that ends before it starts.
        RangeNotSatisfiable: a range starts at or after the end of the file.

    Source: RFC 9110, 14.1.2 and 14.2; unreadable parts are skipped, as Starlette does.
    """
    unit, equals, text = header.partition("=")
    if not equals:
        raise MalformedRangeHeader
    if unit.strip().lower() != "bytes":
        raise MalformedRangeHeader("Only support bytes range")
    if text.count(",") >= max_ranges:
        return []
    ranges = parse_ranges(text, file_size)
    if not ranges:
        raise MalformedRangeHeader("Range header: range must be requested")
    if any(start < 0 or start >= file_size for start, _ in ranges):
        raise RangeNotSatisfiable(file_size)
    if any(start >= end for start, end in ranges):
        raise MalformedRangeHeader("Range header: start must be less than end")
    return ranges if len(ranges) == 1 else _joined(sorted(ranges))


def parse_ranges(text: str, file_size: int) -> list[Range]:
    """Read the list behind ``bytes=``; parts that are not ranges are left out, nothing is checked against the size."""
    found = (_parse_one(part, file_size) for part in text.split(","))
    return [one for one in found if one is not None]


def _parse_one(part: str, file_size: int) -> Range | None:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    if not dash or not (first or last):
        return None
    try:
        if not first:
            return max(file_size - int(last), 0), file_size
        start = int(first)
        end = int(last) + 1 if last else file_size
    except ValueError:
        return None
    return start, min(end, file_size)


def _joined(ranges: list[Range]) -> list[Range]:
    result = ranges[:1]
    for start, end in ranges[1:]:
        previous_start, previous_end = result[-1]
        if start <= previous_end:
            result[-1] = (previous_start, max(previous_end, end))
        else:
            result.append((start, end))
    return result


def multipart_frame(
    ranges: Sequence[Range], boundary: str, file_size: int, content_type: str
) -> tuple[int, Callable[[int, int], bytes]]:
    """Describe the ``multipart/byteranges`` body of several ranges.

    Gives its length in bytes, and a function that writes the header of the part ``(start, end)``. Behind each part
    stands CR LF, behind the last one ``--boundary--``.

    Source: RFC 9110, 14.6.
    """

    def part_header(start: int, end: int) -> bytes:
        lines = (
            f"--{boundary}",
            f"Content-Type: {content_type}",
            f"Content-Range: bytes {start}-{end - 1}/{file_size}",
            "",
            "",
        )
        return "\r\n".join(lines).encode("latin-1")

    parts = sum(len(part_header(start, end)) + (end - start) + len("\r\n") for start, end in ranges)
    return parts + len(f"--{boundary}--"), part_header

"""JSON both ways: the standard library's values, written as compact bytes."""

from forzium import json

assert json.loads(b'{"id": 12345678901234567890}') == {"id": 12345678901234567890}
assert json.dumps({"id": 1, "tags": ("a", "b")}) == b'{"id":1,"tags":["a","b"]}'

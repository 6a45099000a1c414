"""Settings from environment variables and `.env` files.

Layer: ground.
Not for: structured settings (pydantic-settings does that).

Source: `starlette.config`.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeVar, overload

__all__ = ["Config", "Environ", "EnvironError", "environ", "undefined"]

T = TypeVar("T")


class undefined:
    """Stands for a default that was not given, where None is one."""


class EnvironError(Exception):
    """A variable was changed after it had been read."""


class Environ(MutableMapping[str, str]):
    """The environment, with variables that cannot be changed any more once they have been read.

    So a test that sets a variable too late fails, and does not run with the old value.

    Args:
        environ: What to wrap. Default is `os.environ`.

    Source: `starlette.config.Environ`.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._has_been_read: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self._has_been_read.add(key)
        return self._environ[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._refuse_if_read(key, "set")
        self._environ[key] = value

    def __delitem__(self, key: str) -> None:
        self._refuse_if_read(key, "delete")
        del self._environ[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)

    def _refuse_if_read(self, key: str, action: str) -> None:
        if key in self._has_been_read:
            raise EnvironError(f"Attempting to {action} environ['{key}'], but the value has already been read.")


environ = Environ()
"""The environment of this process."""


class Config:
    """Settings, looked up in the environment, then in a file, then in the default given.

    Args:
        env_file: File of `NAME=value` lines; `#` starts a comment line, quotes around a value are taken off. One that
            does not exist gives a warning. Default is none.
        environ: The environment. Default is that of this process.
        env_prefix: What stands before every name. Default is "".
        encoding: Encoding of the file. Default is UTF-8.

    Example:
        >>> config = Config(environ={"DEBUG": "true"})
        >>> config("DEBUG", cast=bool, default=False)
        True

    Source: `starlette.config.Config`.
    """

    def __init__(
        self,
        env_file: str | Path | None = None,
        environ: Mapping[str, str] = environ,
        env_prefix: str = "",
        encoding: str = "utf-8",
    ) -> None:
        self.environ = environ
        self.env_prefix = env_prefix
        self.file_values: dict[str, str] = {}
        if env_file is None:
            return
        if os.path.isfile(env_file):
            self.file_values = _read_file(env_file, encoding)
        else:
            warnings.warn(f"Config file '{env_file}' not found.", stacklevel=2)

    @overload
    def __call__(self, key: str, *, default: None) -> str | None: ...

    @overload
    def __call__(self, key: str, cast: type[T], default: T = ...) -> T: ...

    @overload
    def __call__(self, key: str, cast: type[str] = ..., default: str = ...) -> str: ...

    @overload
    def __call__(self, key: str, cast: Callable[[Any], T] = ..., default: Any = ...) -> T: ...

    @overload
    def __call__(self, key: str, cast: type[str] = ..., default: T = ...) -> T | str: ...

    def __call__(self, key: str, cast: Callable[[Any], Any] | None = None, default: Any = undefined) -> Any:
        """Give a setting; see `get`."""
        return self.get(key, cast, default)

    def get(self, key: str, cast: Callable[[Any], Any] | None = None, default: Any = undefined) -> Any:
        """Give a setting, converted; defaults are converted, too, except None.

        Args:
            key: Its name, without the prefix.
            cast: A conversion; `bool` knows true, false, 1 and 0, in any case. Default is none.
            default: Value where it is not set. Default is to raise.

        Raises:
            KeyError: It is not set and has no default.
            ValueError: The conversion refuses it.
        """
        key = self.env_prefix + key
        for source in (self.environ, self.file_values):
            if key in source:
                return _convert(key, source[key], cast)
        if default is undefined:
            raise KeyError(f"Config '{key}' is missing, and has no default.")
        return _convert(key, default, cast)


def _read_file(path: str | Path, encoding: str) -> dict[str, str]:
    values: dict[str, str] = {}
    with open(path, encoding=encoding) as lines:
        for line in lines:
            name, equals, value = line.strip().partition("=")
            if not equals or name.startswith("#"):
                continue
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[name.strip()] = value
    return values


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _convert(key: str, value: Any, cast: Callable[[Any], Any] | None) -> Any:
    if cast is None or value is None:
        return value
    if cast is bool and isinstance(value, str):
        if (known := _BOOLEANS.get(value.lower())) is None:
            raise ValueError(f"Config '{key}' has value '{value.lower()}'. Not a valid bool.")
        return known
    try:
        return cast(value)
    except (TypeError, ValueError):
        raise ValueError(f"Config '{key}' has value '{value}'. Not a valid {getattr(cast, '__name__', cast)}.")

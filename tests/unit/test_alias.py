"""The alias: ``import fastapi`` and ``import starlette`` answered by forzium, in a process of its own each time."""

import subprocess
import sys
from textwrap import dedent

import pytest


def run(program: str) -> str:
    """Run a program; what it writes."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_forzium_answers_for_nobody():
    run(
        """
        import sys, forzium, forzium.cli
        assert not any(name.partition(".")[0] in ("fastapi", "starlette") for name in sys.modules)
        from forzium import _alias
        assert not _alias.is_installed()
        """
    )


def test_modules_and_classes_are_forziums():
    run(
        """
        from forzium import _alias
        _alias.install()
        _alias.install()
        import fastapi, fastapi.routing, starlette, starlette.requests, starlette.routing
        import forzium, forzium.routing
        from fastapi import APIRouter, FastAPI
        from fastapi.security import HTTPBearer
        from starlette.requests import Request
        assert FastAPI is forzium.FastAPI and APIRouter is forzium.APIRouter
        assert Request.__module__.startswith("forzium") and HTTPBearer.__module__ == "forzium.security.http"
        assert fastapi.routing is forzium.routing and starlette.routing is forzium.routing
        assert forzium.routing.__spec__.name == "forzium.routing"
        assert fastapi.__version__ == "0.165.0" and starlette.__version__ == "1.10.0"
        assert forzium.__dict__.get("__version__") != "0.165.0"
        """
    )


def test_base_classes_of_starlette_are_apart_from_fastapis():
    run(
        """
        from forzium import _alias
        _alias.install()
        import fastapi, fastapi.exceptions, starlette.exceptions, starlette.datastructures, fastapi.datastructures
        for name in ("HTTPException", "WebSocketException"):
            base, own = getattr(starlette.exceptions, name), getattr(fastapi.exceptions, name)
            assert own is not base and issubclass(own, base), name
        from starlette.datastructures import UploadFile as Base
        from fastapi import UploadFile
        assert UploadFile is not Base and issubclass(UploadFile, Base)
        from starlette.exceptions import HTTPException
        assert HTTPException is fastapi.exceptions.StarletteHTTPException
        """
    )


def test_what_is_set_on_a_stand_in_is_set_behind_it():
    run(
        """
        from unittest import mock
        from forzium import _alias
        _alias.install()
        import starlette.exceptions, forzium.exceptions
        with mock.patch("starlette.exceptions.HTTPException", 1):
            assert forzium.exceptions.StarletteHTTPException == 1
        assert forzium.exceptions.StarletteHTTPException is starlette.exceptions.HTTPException != 1
        assert "HTTPException" in dir(starlette.exceptions)
        """
    )


@pytest.mark.parametrize("name", ["fastapi.unheard_of", "starlette.params", "starlette.unheard_of.deeper"])
def test_a_module_forzium_has_not_is_missing(name: str):
    run(
        f"""
        from forzium import _alias
        _alias.install()
        import importlib
        try:
            importlib.import_module({name!r})
        except ModuleNotFoundError as error:
            assert error.name in {name!r}
        else:
            raise AssertionError
        """
    )


def test_installing_too_late_is_refused():
    run(
        """
        import sys, types
        sys.modules["fastapi"] = types.ModuleType("fastapi")
        from forzium import _alias
        try:
            _alias.install()
        except RuntimeError as error:
            assert "first thing" in str(error)
        else:
            raise AssertionError
        """
    )

"""One session a check: ``nox -s NAME``, or ``nox`` for the usual ones. ``.ci/run`` runs them all without nox."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "rust", "tests"]
nox.options.default_venv_backend = "venv"
PYTHONS = ["3.11", "3.12", "3.13"]


def install(session: nox.Session, *requirements: str) -> None:
    """Build forzium into the session's environment, with the pinned requirements."""
    for file in requirements:
        session.install("-r", file)
    session.install("--no-deps", "--force-reinstall", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """rustfmt, clippy, ruff."""
    session.install("ruff==0.17.5")
    session.run("cargo", "fmt", "--all", "--check", external=True)
    session.run("cargo", "clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings", external=True)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on the package and the example; the stub of the native module against the binary."""
    install(session, "tests/requirements.txt")
    session.run("mypy")
    session.run("mypy", "--strict", "-p", "shop", env={"MYPYPATH": "examples"})
    session.chdir(session.create_tmp())
    session.run("python", "-P", "-m", "mypy.stubtest", "forzium._forzium")


@nox.session
def rust(session: nox.Session) -> None:
    """The Rust tests of the core."""
    session.run("cargo", "test", "--locked", "-p", "forzium-core", external=True)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """pytest; arguments are handed on."""
    install(session, "tests/requirements.txt")
    session.run("python", "-m", "pytest", *session.posargs, env={"PYTHONSAFEPATH": "1"})


@nox.session
def conformance(session: nox.Session) -> None:
    """The comparisons with fastapi and the properties, searched for much longer than in the tests."""
    install(session, "tests/requirements.txt")
    command = ["python", "-m", "pytest", "tests/conformance", "tests/property", *session.posargs]
    session.run(*command, env={"PYTHONSAFEPATH": "1", "HYPOTHESIS_PROFILE": "long"})


def random_cases(session: nox.Session, package: str, count: str) -> None:
    """Run the command of a package of random cases, which are so many unless arguments say otherwise."""
    install(session, "tests/requirements.txt")
    apart = Path(session.create_tmp())
    shutil.copytree("tests", apart / "tests", dirs_exist_ok=True)
    options = session.posargs or ["--cases", count, "--jobs", "2"]
    with session.chdir(apart):  # the installed forzium is meant, not the source tree
        session.run("python", "-m", package, *options)


@nox.session
def random_apps(session: nox.Session) -> None:
    """Random applications and requests on both frameworks; arguments replace the 20,000 cases on two processes."""
    random_cases(session, "tests.conformance.random_apps", "20000")


@nox.session
def random_stacks(session: nox.Session) -> None:
    """Random middleware, handlers, routers, WebSockets and lifespans on both; arguments replace 10,000 cases."""
    random_cases(session, "tests.conformance.random_stacks", "10000")


@nox.session
def json_fuzz(session: nox.Session) -> None:
    """Mutated texts and values through both directions of JSON, compared with the standard library, in Rust."""
    count = session.posargs or ["200000"]
    command = ["cargo", "run", "--release", "--manifest-path", "rust/fuzz/Cargo.toml", "--bin", "fixed", "--"]
    session.run(*command, *count, external=True)


@nox.session
def form_fuzz(session: nox.Session) -> None:
    """Assembled multipart bodies, urlencoded forms and headers, compared with python-multipart, in Rust."""
    session.install("python-multipart")
    packages = session.run(
        "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True, stderr=None
    )
    count = session.posargs or ["200000"]
    command = ["cargo", "run", "--release", "--manifest-path", "rust/fuzz/Cargo.toml", "--bin", "fixed_forms", "--"]
    session.run(*command, *count, external=True, env={"PYTHONPATH": str(packages).strip()})


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks in process and over a socket; writes docs/benchmarks.md."""
    install(session, "benches/requirements.txt")
    session.run("python", "benches/python/run.py", "--write", "docs/benchmarks.md", "README.md", *session.posargs)
    session.run("python", "benches/http/run.py", "--write", "docs/benchmarks.md", "README.md")

"""The check that python-multipart is there, made when a form is declared and not when the first one arrives.

Layer: `forzium.logger`. Reading forms is `forzium.formparsers` and the core.
"""

from forzium.logger import logger

multipart_not_installed_error = (
    'Form data requires "python-multipart" to be installed. \n'
    'You can install "python-multipart" with: \n\n'
    "pip install python-multipart\n"
)
multipart_incorrect_install_error = (
    'Form data requires "python-multipart" to be installed. '
    'It seems you installed "multipart" instead. \n'
    'You can remove "multipart" with: \n\n'
    "pip uninstall multipart\n\n"
    'And then install "python-multipart" with: \n\n'
    "pip install python-multipart\n"
)


def ensure_multipart_is_installed() -> None:
    """Check for python-multipart, and tell it from `multipart`, a package of another kind with the same import name.

    Raises:
        RuntimeError: It is missing, too old, or the other package. The message says what to install.

    Source: FastAPI, `dependencies.utils.ensure_multipart_is_installed`.
    """
    if _is_recent():
        return
    found = _found_as_multipart()
    if found == "python-multipart":
        return
    message = multipart_incorrect_install_error if found else multipart_not_installed_error
    logger.error(message)
    raise RuntimeError(message)


def _is_recent() -> bool:
    try:
        from python_multipart import __version__
    except ImportError:
        return False
    return bool(__version__ > "0.0.12")


def _found_as_multipart() -> str | None:
    """Return the name of the package that is imported as `multipart`, as python-multipart once was too."""
    try:
        import multipart  # noqa: F401
    except ImportError:
        return None
    try:
        from multipart.multipart import parse_options_header  # noqa: F401
    except ImportError:
        return "multipart"
    return "python-multipart"

"""FastAPI's check of python-multipart, made when a form is declared.

Layer: `forzium.logger`. Forms are read without that package, in Rust. What the check finds fault with is a version that
FastAPI refuses, too, so that a program does not run here and fail there.
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
    """Check python-multipart, if it is there, and tell it from `multipart`, a package with the same import name.

    Raises:
        RuntimeError: It is too old, or the other package lies beside it. The message says what to install.

    Source: FastAPI, `dependencies.utils.ensure_multipart_is_installed`, which wants it to be there.
    """
    if _is_absent_or_recent():
        return
    found = _found_as_multipart()
    if found == "python-multipart":
        return
    message = multipart_incorrect_install_error if found else multipart_not_installed_error
    logger.error(message)
    raise RuntimeError(message)


def _is_absent_or_recent() -> bool:
    try:
        import python_multipart  # noqa: F401
    except ImportError:
        return True
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

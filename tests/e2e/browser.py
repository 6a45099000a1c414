"""A headless Chromium for one test, spoken to over the DevTools protocol: no driver, no client library.

Every page, and every window that a page opens, is attached to before it loads anything. Requests to loopback go through;
all others are refused and written down in `Browser.outside`, so that a test can say that there were none.

Source: https://chromedevtools.github.io/devtools-protocol/, domains Target, Page, Runtime, Input and Fetch.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

# A browser starts, and a page of megabytes of script shows, on a busy machine. Seconds.
DEADLINE = 60.0
_PAUSE = 0.02
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell")
_NO_REQUEST = ("data", "blob", "about", "chrome", "chrome-error", "devtools")
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-popup-blocking",
    # What the browser itself would look up fails at once, and so would what slips through below.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
)


def find() -> str | None:
    """The Chromium to use: ``$CHROMIUM``, else one on the path; `None` where there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """A tab or window. Made by `Browser`."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self.session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Run a command of the protocol on this page.

        Raises:
            AssertionError: The browser refuses it.
        """
        return self._browser.call(method, parameters, self.session)

    def open(self, url: str) -> None:
        """Go to a page."""
        assert "errorText" not in (answer := self.call("Page.navigate", url=url)), answer

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON; promises are waited for.

        Raises:
            AssertionError: It throws.
        """
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer)
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The first value of an expression that is true in JavaScript.

        Raises:
            AssertionError: It stays false; the message shows what the page shows.
        """
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if found := self.evaluate(f"(() => {{ try {{ return {expression} }} catch {{ return false }} }})()"):
                return found
            time.sleep(_PAUSE)
        text = self.evaluate("document.body.innerText")
        raise AssertionError(f"{expression} stayed false on a page that shows:\n{text}\nerrors: {self._browser.errors}")

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element of a CSS selector, whose text is `text` where that is given, once it is there."""
        self.wait(f"({_element(selector, text)}.click(), true)")

    def type(self, selector: str, text: str) -> None:
        """Write into a text field as a keyboard would, in place of what it says."""
        self.wait(f"({_element(selector)}.focus(), {_element(selector)}.select(), true)")
        self.call("Input.insertText", text=text)


def _element(selector: str, text: str = "") -> str:
    having = f".filter(one => one.innerText.trim().split(/\\s+/).join(' ') === {json.dumps(text)})" if text else ""
    return f"[...document.querySelectorAll({json.dumps(selector)})]{having}[0]"


class Browser:
    """A running Chromium.

    Attributes:
        outside: The URLs elsewhere than on loopback that pages asked for, and did not get.
        errors: The exceptions in JavaScript that nothing caught, and what pages logged as errors.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._pages: list[str] = []
        self.outside: list[str] = []
        self.errors: list[str] = []
        attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self.call("Target.setAutoAttach", attach)

    def page(self) -> Page:
        """A new, empty page."""
        known = len(self._pages)
        self.call("Target.createTarget", {"url": "about:blank"})
        while len(self._pages) == known:
            self._take(self._next())
        return Page(self, self._pages[known])

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """Run a command of the protocol and wait for its answer, taking the events that come before it."""
        own = self._send(method, parameters, session)
        while (message := self._next()).get("id") != own:
            self._take(message)
        assert "error" not in message, (method, message)
        answer: dict[str, Any] = message["result"]
        return answer

    def _send(self, method: str, parameters: dict[str, Any], session: str | None) -> int:
        own = next(self._ids)
        message = {"id": own, "method": method, "params": parameters}
        self._connection.send(json.dumps(message if session is None else {**message, "sessionId": session}))
        return own

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(DEADLINE))
        return message

    def _take(self, message: dict[str, Any]) -> None:
        """Deal with an event. Answers to what was sent from here are passed over."""
        event, details = message.get("method"), message.get("params", {})
        if event == "Target.attachedToTarget":
            session = details["sessionId"]
            if details["targetInfo"]["type"] == "page":
                self._pages.append(session)
                for domain in ("Page", "Runtime", "Log", "Fetch"):
                    self._send(f"{domain}.enable", {}, session)
            self._send("Runtime.runIfWaitingForDebugger", {}, session)
        elif event == "Fetch.requestPaused":
            url, request = details["request"]["url"], details["requestId"]
            if urlsplit(url).scheme in _NO_REQUEST or urlsplit(url).hostname == "127.0.0.1":
                self._send("Fetch.continueRequest", {"requestId": request}, message["sessionId"])
            else:
                self.outside.append(url)
                failure = {"requestId": request, "errorReason": "BlockedByClient"}
                self._send("Fetch.failRequest", failure, message["sessionId"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(details["exceptionDetails"]))
        elif event == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.errors.append(json.dumps(details["entry"]))


@contextlib.contextmanager
def run(executable: str, profile: Path) -> Iterator[Browser]:
    """Start a Chromium with a profile of its own, and end it, and all processes it made, with the block."""
    sandbox = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    with (profile.parent / f"{profile.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [executable, *_OPTIONS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with connect(_address(process, profile), max_size=None, proxy=None) as connection:
            yield Browser(connection)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Where the browser listens: it writes port and path into its profile."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(_PAUSE)
    log = (profile.parent / f"{profile.name}.log").read_text(errors="replace")
    raise AssertionError(f"Chromium did not start:\n{log}")

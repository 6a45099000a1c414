"""`FileStore`: a file for each session. What a service on one machine needs, and no more.

A file is named by the hash of the session's id, so that neither a listing of the directory nor a stolen backup of it
gives ids away, and no id can lead outside of it. Its time of modification is the time at which it expires.
"""

import hashlib
import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from forzium._threads import call_in_thread
from forzium.session_stores.base import SessionStore

__all__ = ["FileStore"]

_SUFFIX = ".session"
_UNFINISHED = ".unfinished"

_UNFINISHED_FOR = 3600.0
"""Seconds after which a file that was never finished is no longer being written by anybody."""


class FileStore(SessionStore):
    """Keeps sessions in files, which are replaced as a whole and readable by their owner alone.

    All work is done in worker threads. Processes may share the directory.

    Args:
        directory: Made with its parents if it is not there.
        cleanup_every: Seconds between two removals of files whose time is over, done along with a save. Default is 600.
    """

    def __init__(self, directory: str | os.PathLike[str], cleanup_every: float = 600.0) -> None:
        self.directory = Path(directory)
        self.cleanup_every = cleanup_every
        self._next_cleanup = 0.0
        self._deciding = threading.Lock()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def load(self, session_id: str) -> str | None:
        return await call_in_thread(self._load, session_id)

    async def save(self, session_id: str, text: str, seconds: float) -> None:
        await call_in_thread(self._save, session_id, text, seconds)

    async def delete(self, session_id: str) -> None:
        await call_in_thread(self._delete, session_id)

    async def touch(self, session_id: str, seconds: float) -> None:
        await call_in_thread(self._touch, session_id, seconds)

    async def cleanup(self) -> int:
        """Remove the files whose time is over. Returns how many."""
        return await call_in_thread(self._cleanup)

    def _path(self, session_id: str) -> Path:
        return self.directory / f"{hashlib.sha256(session_id.encode('utf-8')).hexdigest()}{_SUFFIX}"

    def _load(self, session_id: str) -> str | None:
        try:
            with self._path(session_id).open(encoding="utf-8") as file:
                return file.read() if os.fstat(file.fileno()).st_mtime > time.time() else None
        except FileNotFoundError:
            return None

    def _save(self, session_id: str, text: str, seconds: float) -> None:
        path = self._path(session_id)
        handle, unfinished = tempfile.mkstemp(dir=self.directory, suffix=_UNFINISHED)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            self._expire(unfinished, seconds)
            os.replace(unfinished, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
        if self._is_cleanup_due():
            self._cleanup()

    def _delete(self, session_id: str) -> None:
        self._path(session_id).unlink(missing_ok=True)

    def _touch(self, session_id: str, seconds: float) -> None:
        path = self._path(session_id)
        with suppress(FileNotFoundError):
            if path.stat().st_mtime > time.time():
                self._expire(path, seconds)

    @staticmethod
    def _expire(path: str | Path, seconds: float) -> None:
        expires = time.time() + seconds
        os.utime(path, (expires, expires))

    def _is_cleanup_due(self) -> bool:
        with self._deciding:
            now = time.monotonic()
            if now < self._next_cleanup:
                return False
            self._next_cleanup = now + self.cleanup_every
            return True

    def _cleanup(self) -> int:
        removed = 0
        now = time.time()
        with os.scandir(self.directory) as files:
            for file in files:
                is_session = file.name.endswith(_SUFFIX)
                if not is_session and not file.name.endswith(_UNFINISHED):
                    continue
                with suppress(FileNotFoundError):
                    expires = file.stat().st_mtime if is_session else file.stat().st_ctime + _UNFINISHED_FOR
                    if expires <= now:
                        os.unlink(file.path)
                        removed += 1
        return removed

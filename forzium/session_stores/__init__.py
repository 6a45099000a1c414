"""Where `ServerSessionMiddleware` keeps sessions: `SessionStore`, and the two that need nothing but Python.

Layer: on nothing of the package. `forzium.session_stores.redis` needs `redis`, an extra, and is imported by whoever
wants it.
Not for: the cookie, and what a session is to a request (`forzium.middleware.server_sessions`).
"""

from forzium.session_stores.base import SessionStore
from forzium.session_stores.files import FileStore
from forzium.session_stores.memory import MemoryStore

__all__ = ["FileStore", "MemoryStore", "SessionStore"]

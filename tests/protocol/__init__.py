"""Messages between forzium and its host, as ASGI 3.0 writes them."""

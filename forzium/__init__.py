"""FastAPI's API on a Rust ASGI core."""

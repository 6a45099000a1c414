"""Behaviour of forzium's own parts, one module at a time."""

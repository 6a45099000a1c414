"""A small shop on SQLite: products, orders, accounts.

The same files run on FastAPI: change ``from forzium`` to ``from fastapi`` and nothing else (a test does exactly that).
"""

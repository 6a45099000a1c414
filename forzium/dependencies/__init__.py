"""Dependencies: the arguments of a callable, found by its signature, and their values out of a request.

Layer: `forzium.params`, `forzium._fields`, `forzium.security`, and the request and response classes. Import from the
modules: `models` (the tree), `utils` (everything FastAPI has in its module of that name). Calling the dependencies and
caching what they return is the compiled plan's part.
"""

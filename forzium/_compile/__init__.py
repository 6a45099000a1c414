"""Declarations become plans: what the Rust core carries out.

Read once, before the first request that needs it, and again when a declaration changed. Cold code: it may take
its time. It stands on routing and dependencies, and is called by the core (`compile_app`, `compile_router`), by routing
(`request_handler`, `websocket_handler`) and by users (`explain`).

- `spec`: the shape of a plan, as plain data
- `fields`, `nodes`, `answer`: a parameter, the dependencies with the endpoint, what becomes of its result
- `plans`: from an operation to its plan; `seams`: operations that telemetry watches or an agent patched, in Python
- `table`: the routes of a router in order; `application`: middleware and exception handlers
- `runtime`: Python functions the core calls while a request runs
- `explain`: a plan for people to read
"""

from forzium._compile.application import compile_app
from forzium._compile.explain import Explanation, explain
from forzium._compile.plans import request_handler, websocket_handler
from forzium._compile.table import compile_router

__all__ = ["Explanation", "compile_app", "compile_router", "explain", "request_handler", "websocket_handler"]

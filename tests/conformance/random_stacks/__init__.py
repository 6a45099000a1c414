"""What stands around endpoints, drawn at random and run on fastapi and on forzium: nothing may differ.

A case is an application as *source text*, executed twice with only the import root differing: middleware of every kind in
any order, exception handlers, nested routers, mounts and hosts, WebSocket conversations, lifespans. Each request says what
every part of it is to do (``DO``), so a middleware passes on in one request and raises in the next. Everything is drawn from
one seed, so a case is named by its number::

    python -m tests.conformance.random_stacks --cases 10000 --seed 0 --jobs 2   # the long run
    python -m tests.conformance.random_stacks --only 4711                       # one case again
    python -m tests.conformance.random_stacks --cases 2 --show                  # what cases look like

Compared are, of the lifespan and of each exchange: every ASGI message sent, the exception that leaves the application, what
the loggers tell, and the order of what the application's own code sees.

- `prelude`: the parts that applications are made of, as source text
- `applications`: draws an application
- `traffic`: draws the exchanges, with what each part does in them
- `driver`: runs source and exchanges on one framework
- `cases`: a case by its number; the comparison, with the differences that are deliberate

Not for: parameters, validation, response models and documents, which are the matter of `random_apps`.
"""

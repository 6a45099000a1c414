"""Random applications and random requests, run on fastapi and on forzium: nothing may differ.

A case is an application as *source text*, written once and executed twice with only the import root differing, and the
requests made to it. Everything is drawn from one seed, so a case is named by its number::

    python -m tests.conformance.random_apps --cases 20000 --seed 0 --jobs 2   # the long run
    python -m tests.conformance.random_apps --only 4711 --seed 0              # one case again, as a script of its own
    python -m tests.conformance.random_apps --cases 5 --seed 0 --show         # what cases look like

Compared are warnings and errors of the declaration; of each request the status, the headers with their order, the body,
what was raised (class, text, cause), and the order in which dependencies, endpoints, handlers and background tasks were
called, each with the types and values it was given; of one case in four, the OpenAPI document.

- `kinds`: types of values, each with what is valid for it on the wire and in JSON
- `declarations`: parameters and models
- `answers`: what endpoints return or yield
- `applications`: dependencies, routers, endpoints, handlers: the source text
- `traffic`: the requests: valid, nearly valid, adversarial
- `driver`: runs source and requests on one framework; knows nothing of the above, so that it can stand in a script
- `cases`: a case by its number; the comparison, with the differences that are deliberate
"""

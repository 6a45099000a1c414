"""The document that describes an application: OpenAPI 3.1, as FastAPI 0.165 writes it.

Layer: above ``routing``. ``models`` are the document's objects, ``utils`` builds it from routes, ``docs`` are the
pages that show it, ``constants`` what the layers below need. Nothing is imported here: the document is built when it
is asked for.
"""

"""The application: settings, lifespan, CORS and the routers put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from forzium import FastAPI
from forzium.middleware.cors import CORSMiddleware

from . import accounts, orders, products
from .database import prepare
from .settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build a shop. Nothing is opened or written before the server starts it up."""
    settings = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        prepare(settings.database)
        app.state.open = True
        yield
        app.state.open = False

    app = FastAPI(title="Shop", version="1.0.0", summary="Tea, and what it is drunk from.", lifespan=lifespan)
    app.state.settings = settings
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.origins),
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["authorization", "content-type"],
    )
    for part in (accounts, products, orders):
        app.include_router(part.router)

    @app.get("/health", tags=["service"])
    async def health() -> dict[str, bool]:
        """Whether the shop is open."""
        return {"open": app.state.open}

    return app


app = create_app()

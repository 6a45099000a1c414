"""Middleware: what the core carries out itself, and one of one's own."""

from forzium import FastAPI, Request
from forzium.middleware.compress import CompressMiddleware
from forzium.middleware.cors import CORSMiddleware
from forzium.middleware.trustedhost import TrustedHostMiddleware

app = FastAPI()
app.add_middleware(CompressMiddleware, minimum_size=1000, levels={"gzip": 5})
app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"])
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["test", "*.shop.example"])


@app.middleware("http")
async def version(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-version"] = "1"
    return response


@app.get("/words")
async def words(count: int = 500):
    return ["tea"] * count

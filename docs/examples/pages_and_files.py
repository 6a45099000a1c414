"""A site: templates, files below a directory, one file to save, and a built front end behind a log-in."""

from pathlib import Path
from typing import Annotated

from forzium import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from forzium.responses import FileResponse
from forzium.staticfiles import StaticFiles
from forzium.templating import Jinja2Templates


def site(folder: Path) -> FastAPI:
    """The site whose files are in a folder."""
    app = FastAPI()
    templates = Jinja2Templates(folder / "templates")
    app.mount("/static", StaticFiles(directory=folder / "static"), name="static")

    @app.get("/hello/{name}")
    def hello(request: Request, name: str):
        return templates.TemplateResponse(request, "hello.html", {"name": name})

    @app.get("/report")
    async def report() -> FileResponse:
        return FileResponse(folder / "static" / "report.csv", filename="report 2026.csv")

    def logged_in(x_user: Annotated[str | None, Header()] = None) -> None:
        if x_user is None:
            raise HTTPException(401)

    members = APIRouter(dependencies=[Depends(logged_in)])
    members.frontend("/", directory=folder / "built")
    app.include_router(members, prefix="/members")
    return app

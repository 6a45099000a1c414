"""Security schemes: what they take from a request, and how they refuse it."""

import base64
from typing import Annotated, Any

import pytest

from conformance.harness import Framework, Request, compare

SCHEMES: dict[str, Any] = {
    "query": lambda s, **options: s.APIKeyQuery(name="key", **options),
    "header": lambda s, **options: s.APIKeyHeader(name="X-Key", **options),
    "cookie": lambda s, **options: s.APIKeyCookie(name="key", **options),
    "base": lambda s, **options: s.http.HTTPBase(scheme="my-scheme", **options),
    "basic": lambda s, **options: s.HTTPBasic(**options),
    "realm": lambda s, **options: s.HTTPBasic(realm="the realm", **options),
    "bearer": lambda s, **options: s.HTTPBearer(**options),
    "digest": lambda s, **options: s.HTTPDigest(**options),
    "oauth2": lambda s, **options: s.OAuth2(flows={"password": {"tokenUrl": "token"}}, **options),
    "password": lambda s, **options: s.OAuth2PasswordBearer(tokenUrl="token", **options),
    "code": lambda s, **options: s.OAuth2AuthorizationCodeBearer(authorizationUrl="a", tokenUrl="t", **options),
    "openid": lambda s, **options: s.OpenIdConnect(openIdConnectUrl="/openid", **options),
}


def _basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


AUTHORIZATIONS = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer token",
    "bEARER   two words  ",
    "Digest realm=x",
    "digest",
    "Other thing",
    "Basic",
    "Basic !!!",
    "Basic abc",
    "Basic é",
    _basic(b"user:pass"),
    _basic(b"user:pa:ss"),
    _basic(b":"),
    _basic(b"nocolon"),
    _basic("usér:pass".encode()),
    "basic" + _basic(b"a:b")[5:],
    "\tBearer token",
]


@pytest.mark.parametrize("auto_error", [True, False])
@pytest.mark.parametrize("kind", SCHEMES)
def test_schemes_take_and_refuse_credentials_alike(kind: str, auto_error: bool):
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        scheme = SCHEMES[kind](fw.module("security"), auto_error=auto_error)

        @app.get("/")
        def read(credentials: Annotated[Any, fw.Security(scheme)]):
            return {"credentials": credentials}

        return app

    requests = [Request("/"), Request("/?key="), Request("/?key=k1&key=k2"), Request("/?KEY=k")]
    requests += [Request("/", headers=((name, value),)) for name in ("x-key", "X-KEY") for value in ("", "secret")]
    requests += [Request("/", headers=(("cookie", value),)) for value in ("key=", "key=1; key=2", "other=1", 'key="q"')]
    requests += [Request("/", headers=(("authorization", value),)) for value in AUTHORIZATIONS]
    requests.append(Request("/", headers=(("authorization", "Bearer one"), ("authorization", "Bearer two"))))
    compare(build, *requests)


def test_scopes_reach_the_dependencies_below():
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        security = fw.module("security")
        scheme = security.OAuth2PasswordBearer(tokenUrl="token", scopes={"a": "A"})

        def user(scopes: security.SecurityScopes, token: Annotated[str, fw.Depends(scheme)]):
            return {"scopes": scopes.scopes, "text": scopes.scope_str, "token": token}

        def active(user: Annotated[Any, fw.Security(user, scopes=["a", "b"])]):
            return user

        @app.get("/plain")
        def read_plain(found: Annotated[Any, fw.Depends(user)]):
            return found

        @app.get("/scoped")
        def read_scoped(
            one: Annotated[Any, fw.Security(active, scopes=["c", "a"])],
            two: Annotated[Any, fw.Security(user, scopes=["c"])],
        ):
            return [one, two]

        return app

    token = (("authorization", "Bearer x"),)
    compare(build, Request("/plain", headers=token), Request("/scoped", headers=token), Request("/scoped"))


def test_what_a_subclass_answers_instead():
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        security = fw.module("security")

        class Forbidding(security.HTTPBearer):
            def make_not_authenticated_error(self):
                return fw.HTTPException(status_code=403, detail="Forbidden")

        class Challenging(security.HTTPBasic):
            def make_authenticate_headers(self):
                return {"WWW-Authenticate": "Custom"}

        @app.get("/forbidden", dependencies=[fw.Depends(Forbidding())])
        def forbidden(): ...

        @app.get("/challenged", dependencies=[fw.Depends(Challenging())])
        def challenged(): ...

        return app

    compare(build, Request("/forbidden"), Request("/challenged"))


@pytest.mark.parametrize("form", ["OAuth2PasswordRequestForm", "OAuth2PasswordRequestFormStrict"])
def test_password_forms_are_read_alike(form: str):
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        cls = getattr(fw.module("security"), form)

        @app.post("/token")
        def token(data: Annotated[cls, fw.Depends()]):
            return vars(data)

        return app

    bodies = [
        b"",
        b"username=u&password=p",
        b"grant_type=password&username=u&password=p&scope=a+b%20c&client_id=i&client_secret=s",
        b"grant_type=other&username=u&password=p",
        b"grant_type=password&username=&password=",
    ]
    content_type = (("content-type", "application/x-www-form-urlencoded"),)
    compare(build, *(Request("/token", "POST", content_type, body=body) for body in bodies))


def test_a_websocket_takes_the_same_schemes():
    from conformance.harness import frameworks

    answers = []
    for fw in frameworks():
        app = fw.FastAPI()
        scheme = fw.module("security").APIKeyQuery(name="key")

        @app.websocket("/ws")
        async def ws(websocket: fw.WebSocket, key: Annotated[str, fw.Depends(scheme)]):
            await websocket.accept()
            await websocket.send_text(key)
            await websocket.close()

        client = fw.module("testclient").TestClient(app)
        with client.websocket_connect("/ws?key=k") as session:
            taken = session.receive_text()
        with pytest.raises(Exception) as caught, client.websocket_connect("/ws"):
            pass
        answers.append((taken, type(caught.value).__name__, getattr(caught.value, "status_code", None)))
    assert answers[1] == answers[0]

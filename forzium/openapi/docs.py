"""The pages that show the document: Swagger UI, its OAuth2 redirect page, and ReDoc.

Layer: ``responses`` and ``encoders``. Not for the document itself (``openapi.utils``) nor for the routes these pages
are served at (``applications``).

Every value is escaped for the place it is written to, so that a title, URL or parameter cannot break out of it. A
bare ``&`` is left alone in HTML: it cannot open a tag, and URLs stay readable.
"""

from typing import TYPE_CHECKING, Any

from forzium.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

swagger_ui_default_parameters: dict[str, Any] = {
    "dom_id": "#swagger-ui",
    "layout": "BaseLayout",
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
}
"""Parameters Swagger UI is started with; those given to `get_swagger_ui_html` are added to them and win."""

_FAVICON = "https://fastapi.tiangolo.com/img/favicon.png"

_IN_HTML = str.maketrans({"<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

# What could end a string in single quotes, the line it stands on, or the script around it.
_IN_JS_STRING = str.maketrans(
    {"\\": "\\\\", "'": "\\u0027", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    | {chr(code): f"\\u{code:04x}" for code in range(0x20)}
)

_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def _html(value: str) -> str:
    """Escape text or a quoted attribute."""
    return str(value).translate(_IN_HTML)


def _js_string(value: str) -> str:
    """A JavaScript string in single quotes."""
    return f"'{str(value).translate(_IN_JS_STRING)}'"


def _js_value(value: Any) -> str:
    """A JavaScript value: JSON in which nothing can end the script. Models and the like are encoded first."""
    from json import dumps

    from forzium.encoders import jsonable_encoder

    return dumps(jsonable_encoder(value)).translate(_IN_SCRIPT)


def _swagger_ui_options(
    openapi_url: str, oauth2_redirect_url: str | None, parameters: "Mapping[str, Any]"
) -> list[str]:
    """The members of the object that ``SwaggerUIBundle`` takes, one a line."""
    options = [f"url: {_js_string(openapi_url)},"]
    options.extend(f"{_js_value(key)}: {_js_value(value)}," for key, value in parameters.items())
    if oauth2_redirect_url:
        options.append(f"oauth2RedirectUrl: window.location.origin + {_js_string(oauth2_redirect_url)},")
    options.append("presets: [")
    options.append("    SwaggerUIBundle.presets.apis,")
    options.append("    SwaggerUIBundle.SwaggerUIStandalonePreset")
    options.append("],")
    return options


def get_swagger_ui_html(
    *,
    openapi_url: str,
    title: str,
    swagger_js_url: str = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js",
    swagger_css_url: str = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css",
    swagger_favicon_url: str = _FAVICON,
    oauth2_redirect_url: str | None = None,
    init_oauth: dict[str, Any] | None = None,
    swagger_ui_parameters: dict[str, Any] | None = None,
) -> HTMLResponse:
    """The page that shows a document with Swagger UI.

    Args:
        openapi_url: Where the page loads the document from.
        title: Title of the page.
        swagger_js_url: Swagger UI's script. Default is version 5 from a CDN.
        swagger_css_url: Swagger UI's style sheet. Default is version 5 from a CDN.
        swagger_favicon_url: Icon of the page.
        oauth2_redirect_url: Path, on this host, of the page an authorization server sends the user back to. Default is
            none.
        init_oauth: What ``ui.initOAuth`` is called with. Default is no call.
        swagger_ui_parameters: Parameters of Swagger UI; they win over `swagger_ui_default_parameters`. Anything
            `jsonable_encoder` takes.

    Source: FastAPI, ``fastapi.openapi.docs``;
    https://swagger.io/docs/open-source-tools/swagger-ui/usage/configuration/.
    """
    parameters = swagger_ui_default_parameters | (swagger_ui_parameters or {})
    options = "\n        ".join(_swagger_ui_options(openapi_url, oauth2_redirect_url, parameters))
    init = f"\n    ui.initOAuth({_js_value(init_oauth)})" if init_oauth else ""
    return HTMLResponse(f"""<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1.0">
    <title>{_html(title)}</title>
    <link rel="shortcut icon" href="{_html(swagger_favicon_url)}">
    <link type="text/css" rel="stylesheet" href="{_html(swagger_css_url)}">
</head>
<body>
    <div id="swagger-ui"></div>
    <script src="{_html(swagger_js_url)}"></script>
    <script>
    const ui = SwaggerUIBundle({{
        {options}
    }}){init}
    </script>
</body>
</html>
""")


def get_redoc_html(
    *,
    openapi_url: str,
    title: str,
    redoc_js_url: str = "https://cdn.jsdelivr.net/npm/redoc@2/bundles/redoc.standalone.js",
    redoc_favicon_url: str = _FAVICON,
    with_google_fonts: bool = True,
) -> HTMLResponse:
    """The page that shows a document with ReDoc.

    Args:
        openapi_url: Where the page loads the document from.
        title: Title of the page.
        redoc_js_url: ReDoc's script. Default is version 2 from a CDN.
        redoc_favicon_url: Icon of the page.
        with_google_fonts: Whether the page loads the fonts ReDoc is designed with from Google. Default is true.

    Source: FastAPI, ``fastapi.openapi.docs``.
    """
    fonts = (
        '\n    <link rel="stylesheet" '
        'href="https://fonts.googleapis.com/css?family=Montserrat:300,400,700|Roboto:300,400,700">'
        if with_google_fonts
        else ""
    )
    return HTMLResponse(f"""<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8"/>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{_html(title)}</title>{fonts}
    <link rel="shortcut icon" href="{_html(redoc_favicon_url)}">
    <style>
    body {{ margin: 0; padding: 0; }}
    </style>
</head>
<body>
    <noscript>This page shows the document with ReDoc, which needs JavaScript.</noscript>
    <redoc spec-url="{_html(openapi_url)}"></redoc>
    <script src="{_html(redoc_js_url)}"> </script>
</body>
</html>
""")


# Swagger UI opens this page in a window of its own and leaves in `swaggerUIRedirectOauth2` what it expects back: the
# state it sent, the flow, and two callbacks. The authorization server answers in the fragment or in the query.
_OAUTH2_REDIRECT_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <title>Swagger UI: OAuth2 Redirect</title>
</head>
<body>
    <script>
    'use strict';

    const CODE_FLOWS = ['accessCode', 'authorizationCode', 'authorization_code'];
    const NO_CODE = 'no accessCode received from the server.';
    const UNSAFE = 'Authorization may be unsafe: the state that came back is not the one that was sent.';

    function readAnswer() {
        const fragment = window.location.hash.substring(1);
        const isInFragment = /code|token|error/.test(fragment);
        const text = isInFragment ? fragment.replace('?', '&') : window.location.search.substring(1);
        const answer = {};
        for (const field of text.split('&').filter(Boolean)) {
            const [name, ...value] = field.split('=');
            answer[name] = decodeURIComponent(value.join('='));
        }
        return answer;
    }

    function explain(answer) {
        if (!answer.error) {
            return `[Authorization failed]: ${NO_CODE}`;
        }
        const description = answer.error_description ? `${answer.error_description}. ` : `${NO_CODE} `;
        const more = answer.error_uri ? `More info: ${answer.error_uri}` : '';
        return `[${answer.error}]: ${description}${more}`;
    }

    function finish() {
        const request = window.opener.swaggerUIRedirectOauth2;
        const {auth, redirectUrl} = request;
        const report = (level, message) => request.errCb({authId: auth.name, source: 'auth', level, message});
        const answer = readAnswer();
        const isValid = answer.state === request.state;

        if (!CODE_FLOWS.includes(auth.schema.get('flow')) || auth.code) {
            request.callback({auth, token: answer, isValid, redirectUrl});
        } else {
            if (!isValid) {
                report('warning', UNSAFE);
            }
            if (answer.code) {
                delete request.state;
                auth.code = answer.code;
                request.callback({auth, redirectUrl});
            } else {
                report('error', explain(answer));
            }
        }
        window.close();
    }

    if (document.readyState === 'loading') {
        document.addEventListener('DOMContentLoaded', finish);
    } else {
        finish();
    }
    </script>
</body>
</html>
"""


def get_swagger_ui_oauth2_redirect_html() -> HTMLResponse:
    """The page an authorization server sends the user back to: it hands code or token to the Swagger UI that opened it.

    Source: the contract between Swagger UI and its redirect page, ``window.opener.swaggerUIRedirectOauth2``.
    """
    return HTMLResponse(_OAUTH2_REDIRECT_PAGE)

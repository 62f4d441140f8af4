"""The preview's web application (Starlette): its routes, and the guard in front of all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge_iqa.camera.preview_guard import COOKIE, Guard
from edge_iqa.errors import PolicyError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from edge_iqa.camera.preview import Preview

_PAGE = Path(__file__).parent / "preview_page"
_FILES = {"/": "index.html", "/preview.css": "preview.css", "/preview.js": "preview.js"}
_MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_MAX_BODY_BYTES = 1024
_MAX_WIDTH = 1280
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class GuardedApp:
    """Asks the guard before any route is reached, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request

        if scope["type"] != "http":
            return
        request = Request(scope)
        answer = self._answer(request)
        await (answer or self.app)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        """Return the answer to a request that must not reach the routes, or None."""
        from starlette.responses import PlainTextResponse, RedirectResponse

        reason = self.guard.refusal(request.method, request.headers)
        if reason is not None:
            return PlainTextResponse(f"Refused: {reason}.\n", 403, _HEADERS)
        if self.guard.accepts(request.query_params.get("token")) and request.method == "GET":
            response = RedirectResponse(request.url.path, 303, _HEADERS)  # takes the token out of the address bar
            response.set_cookie(COOKIE, self.guard.session, httponly=True, samesite="lax")
            return response
        if self.guard.knows(request.cookies.get(COOKIE), request.headers.get("authorization")):
            return None
        if request.url.path == "/":
            return PlainTextResponse("Open the preview with the address that edge-iqa printed.\n", 401, _HEADERS)
        return PlainTextResponse("A token is needed.\n", 401, _HEADERS)


def build_preview_app(preview: Preview) -> ASGIApp:
    """Return the guarded application; routes: the page's files, /state, /frame.jpg and POST /policy."""
    return GuardedApp(_routes(preview), preview.guard)


def _routes(preview: Preview) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def page(request: Request) -> Response:
        path = _PAGE / _FILES[request.url.path]
        return Response(path.read_bytes(), media_type=_MEDIA[path.suffix], headers=_HEADERS)

    async def state(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        number = int(after) if after.isascii() and after.isdecimal() and len(after) < 16 else 0
        return JSONResponse(preview.snapshot(number), headers=_HEADERS)

    async def picture(request: Request) -> Response:
        width = request.query_params.get("width", "640")
        pixels = int(width) if width.isascii() and width.isdecimal() and len(width) < 6 else 640
        found = await run_in_threadpool(preview.picture, max(16, min(pixels, _MAX_WIDTH)))
        if found is None:
            return Response(status_code=204, headers=_HEADERS)
        number, data = found
        return Response(data, media_type="image/jpeg", headers=_HEADERS | {"X-Frame": str(number)})

    async def policy(request: Request) -> Response:
        from edge_iqa.camera.preview import threshold_of

        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JSONResponse({"error": "send application/json"}, 415, _HEADERS)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY_BYTES:
                return JSONResponse({"error": "too long"}, 413, _HEADERS)
        try:
            threshold = preview.set_threshold(threshold_of(json.loads(body)))
        except (ValueError, RecursionError):
            return JSONResponse({"error": "not JSON"}, 400, _HEADERS)
        except PolicyError as error:
            return JSONResponse({"error": error.as_dict()}, 400, _HEADERS)
        return JSONResponse({"threshold": threshold}, headers=_HEADERS)

    routes = [Route(path, page) for path in _FILES]
    routes += [Route("/state", state), Route("/frame.jpg", picture), Route("/policy", policy, methods=["POST"])]
    return Starlette(routes=routes)

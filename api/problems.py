"""Errors as RFC 9457 problem documents: the HTTP border of the one error tree."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mediagate.errors import InvalidRequest, MediagateError, NotAuthenticated, ObjectMissing, StorageUnavailable

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_SPEAKS_OF_INSIDE = (StorageUnavailable, ObjectMissing)
"""Their messages name hosts and object keys."""


def problem(
    status: int, code: str, title: str, detail: str, *, tracking_id: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem document; `type` is a relative reference into the API's own documentation."""
    body = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "tracking_id": tracking_id,
    }
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: MediagateError, *, tracking_id: str) -> JSONResponse:
    """The problem document of an error of ours; what is broken inside is logged, not told."""
    headers = {}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(max(1, round(error.retry_after or 5)))
    elif error.retry_after:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if _is_internal(error):
        log.error("request.broken", error=error.code, detail=error.message)
    elif error.retryable:
        log.warning("request.unavailable", error=error.code, detail=error.message)
    return problem(error.status, error.code, error.title, told(error), tracking_id=tracking_id, headers=headers)


def told(error: MediagateError) -> str:
    """What a caller reads of an error: nothing of what is inside the house."""
    if _is_internal(error):
        return "Something is broken inside; the tracking id leads to it."
    return type(error)().message if isinstance(error, _SPEAKS_OF_INSIDE) else error.message


def _is_internal(error: MediagateError) -> bool:
    return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not error.retryable


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, MediagateError)
        return problem_of(error, tracking_id=request.state.tracking_id)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        where = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'][1:]) or 'body'}: {e['msg']}" for e in error.errors()
        )
        return problem_of(InvalidRequest(f"{where}."), tracking_id=request.state.tracking_id)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        # Whatever is raised while FastAPI reads a JSON body, such as TooLarge, it takes for a body it cannot parse.
        if isinstance(error.__cause__, MediagateError):
            return problem_of(error.__cause__, tracking_id=request.state.tracking_id)
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        detail = error.detail if error.detail != phrase else f"{phrase}: {request.method} {request.url.path}"
        headers = dict(error.headers or {})
        return problem(error.status_code, code, phrase, detail, tracking_id=request.state.tracking_id, headers=headers)

    app.add_exception_handler(MediagateError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)

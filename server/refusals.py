"""Errors as HTTP says them: a status, a JSON body, and when to come back. Knows codes; knows no route and no websocket."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

from errors import LimitError, ProactiveError

STATUS: Mapping[str, int] = {
    "not_authorised": 401,
    "forbidden": 403,
    "origin_not_allowed": 403,
    "host_not_allowed": 403,
    "too_large": 413,
    "source_too_long": 413,
    "too_fast": 429,
    "too_many_sessions": 429,
    **dict.fromkeys(("no_capacity", "not_ready", "shutting_down", "worker_failed"), 503),
}


def refusal(error: ProactiveError) -> JSONResponse:
    """The answer to a request that is refused; 400 where its code says nothing else."""
    headers = {"WWW-Authenticate": "Bearer"} if error.code == "not_authorised" else {}
    if isinstance(error, LimitError) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    told = {"code": error.code, "message": error.message, "param": error.param}
    return JSONResponse(told, status_code=STATUS.get(error.code, 400), headers=headers)

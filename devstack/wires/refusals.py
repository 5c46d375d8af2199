"""Refusals in a vendor's own error format, whoever refuses: a wire's route, or a fault in front of it."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

Says = Callable[[HTTPException], Response]
"""The answer to a caller, in the vendor's format; the exception's headers are added to it."""


def refusing(says: Says) -> type[APIRoute]:
    """The `route_class` of a router whose refusals are said like this."""

    class RefusingRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handler(request: Request) -> Response:
                try:
                    return await handle(request)
                except HTTPException as refusal:
                    answer = says(refusal)
                    answer.headers.update(refusal.headers or {})
                    return answer

            return handler

    return RefusingRoute

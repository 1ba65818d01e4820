"""304: an answer without content, which says nothing false of the content (RFC 9110, 8.6 and 15.4.5)."""

from quart import Quart, Response


def register(app: Quart) -> None:
    """Have no 304 say how long its empty body is: `Content-Length` would be that of the 200."""

    @app.after_request
    async def say_no_length(response: Response) -> Response:
        if response.status_code == 304:
            response.headers.pop("Content-Length", None)
        return response

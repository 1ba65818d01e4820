"""Sends the answers of the layers in front of Quart."""

from typing import Any

from quart import Response


async def send_response(response: Response, scope: Any, send: Any) -> None:
    """Send a complete answer, without its body for HEAD."""
    body = bytes(await response.get_data(as_text=False))
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

"""Sends alerts to the operator's webhook: one signed POST for each alert, under the egress rules."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from koschey.errors import UpstreamError, UpstreamUnavailable
from koschey.settings import Settings
from koschey.settings.private_hosts import NO_HOSTS
from koschey.upstream.egress import Egress

PATIENCE = 30.0
"""Seconds for one whole request."""
REMEDY = "set KOSCHEY_ALLOW_PRIVATE_WEBHOOK to allow that"


@dataclass(frozen=True, slots=True)
class Webhook:
    """The destination of alerts."""

    url: str = field(repr=False)
    secret: bytes | None = field(repr=False)
    allow_private: bool

    async def send(self, key: str, content: Mapping[str, object]) -> None:
        """Send an alert once. A receiver ignores an `Idempotency-Key` that it has already received.

        Raises `EgressRefused` for a forbidden address, and `UpstreamUnavailable` unless the answer is 2xx. No error
        contains the URL, because the URL of a webhook is often a secret.
        """
        body = msgspec.json.encode(content, order="sorted")
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if self.secret is not None:
            headers["X-Koschey-Signature"] = sign(self.secret, body)
        allowed = NO_HOSTS.with_urls([self.url]) if self.allow_private else NO_HOSTS
        egress = Egress(allowed, remedy=REMEDY)
        try:
            async with asyncio.timeout(PATIENCE), egress.send("POST", self.url, headers, body) as response:
                status = response.status
        except UpstreamError:
            raise UpstreamUnavailable("the webhook gives no usable answer") from None
        except TimeoutError:
            raise UpstreamUnavailable(f"the webhook did not answer within {PATIENCE:g} seconds") from None
        finally:
            await egress.close()
        if not 200 <= status < 300:
            raise UpstreamUnavailable(f"the webhook answered {status}")


def sign(secret: bytes, body: bytes) -> str:
    """Return the signature with which a receiver that knows the secret verifies the sender and the body."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


def webhook_of(settings: Settings) -> Webhook | None:
    """Return the webhook that the settings name, if any."""
    if settings.webhook is None:
        return None
    secret = settings.webhook_secret.get_secret_value().encode() if settings.webhook_secret else None
    return Webhook(str(settings.webhook), secret, settings.allow_private_webhook)

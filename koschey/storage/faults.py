"""Turns the S3 client's errors into Koschey's own: a missing object, a refusal, or an outage.

The three need different answers. A missing object is downloaded or uploaded again; a refusal is a fault of the settings
that no retry repairs; an outage passes. Only this module knows how botocore and aiohttp name them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import ClientError
from botocore.exceptions import BotoCoreError, NoCredentialsError, ParamValidationError, PartialCredentialsError
from botocore.exceptions import ClientError as S3Error

from koschey.errors import ObjectAltered, ObjectMissing, StoreRefused, StoreUnavailable

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
"""Codes for a missing object. An answer to HEAD has no body, so its status replaces the code."""
TEMPORARY = frozenset({"RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError", "OperationAborted"})
"""Codes of temporary errors, whatever their status."""
MISCONFIGURED = (NoCredentialsError, PartialCredentialsError, ParamValidationError)
"""What the client raises before it sends a request, because the settings are invalid."""


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Turn what the S3 client raises about an object into `ObjectMissing`, `StoreRefused` or `StoreUnavailable`."""
    try:
        yield
    except S3Error as error:
        raise _classified(key, error) from error
    except MISCONFIGURED as error:
        raise StoreRefused(f"the bucket cannot be used with these settings (KOSCHEY_S3_*): {error}") from error
    except (BotoCoreError, ClientError, OSError) as error:
        raise StoreUnavailable(f"the bucket does not answer: {str(error) or type(error).__name__}") from error


def _classified(key: str, error: S3Error) -> StoreUnavailable:
    stated = error.response.get("Error", {})
    code, status = str(stated.get("Code", "")), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in MISSING:
        return ObjectMissing(f"the bucket has no object {key}")
    if status == 416:
        return ObjectAltered(f"the object {key} in the bucket is shorter than the bytes that were stored")
    if status >= 500 or status in (408, 429) or code in TEMPORARY:
        return StoreUnavailable(f"the bucket does not answer: {code or status}")
    return StoreRefused(
        f"the bucket refuses {key}: {stated.get('Message') or code or status} ({code or status}); check KOSCHEY_S3_*"
    )

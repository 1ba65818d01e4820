"""The connection of a worker to Temporal: address, namespace, TLS, and the search attributes of workflows."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, TLSConfig
from temporalio.service import RPCError, RPCStatusCode

from koschey.concurrency.waiting import set_within
from koschey.errors import StartError
from koschey.settings import Settings
from workflows.names import SEARCH_ATTRIBUTES

log = structlog.get_logger()

RECONNECT = 2.0
"""Seconds between attempts to reach Temporal at the start; it, or its namespace, may come up later than the worker."""
ANSWERS = timedelta(seconds=10)
"""Maximum time for an answer from Temporal."""


async def connect_temporal(settings: Settings) -> Client:
    """Connect to Temporal with the address, the namespace and the TLS files of the settings."""
    return await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace, tls=_tls(settings))


async def ensure_search_attributes(client: Client, namespace: str) -> bool:
    """Register the search attributes, by which Temporal's own pages list held releases.

    Return False if that is not possible: then workflows have no attributes, and an operator may register them
    (docs/temporal.md).
    """
    kinds = {"KoscheyReleaseAt": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME}
    wanted = {key.name: kinds.get(key.name, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD) for key in SEARCH_ATTRIBUTES}
    operator = client.operator_service
    try:
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        wanted = {name: kind for name, kind in wanted.items() if name not in known.custom_attributes}
    except RPCError as error:
        if error.status is not RPCStatusCode.UNIMPLEMENTED:
            log.warning("search attributes cannot be listed", error=str(error))
            return False
    try:
        if wanted:
            request = AddSearchAttributesRequest(namespace=namespace, search_attributes=wanted)
            await operator.add_search_attributes(request)
    except RPCError as error:
        log.warning("search attributes cannot be registered; see docs/temporal.md", error=str(error))
        return error.status is RPCStatusCode.ALREADY_EXISTS
    return True


async def connect_patiently(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Connect once Temporal answers and has the namespace; return None if the worker is stopped before that."""
    _tls(settings)  # raises at once an error that the operator has to fix
    where = {"address": settings.temporal_address, "namespace": settings.temporal_namespace}
    while not stop.is_set():
        try:
            client = await connect_temporal(settings)
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=settings.temporal_namespace), timeout=ANSWERS
            )
            return client
        except (RuntimeError, RPCError) as error:
            log.warning("the worker waits for Temporal, or for its namespace", **where, error=str(error))
        await set_within(stop, RECONNECT)
    return None


def _tls(settings: Settings) -> TLSConfig | bool:
    """Raise `StartError` if a file of the settings cannot be read, or is not what the setting requires."""
    if not settings.temporal_tls:
        return False
    ca, cert, key = settings.temporal_tls_ca, settings.temporal_tls_cert, settings.temporal_tls_key

    def read(path: Path | None, setting: str) -> bytes | None:
        try:
            return path.read_bytes() if path else None
        except OSError as error:
            raise StartError(f"KOSCHEY_TEMPORAL_TLS_{setting}: {path} cannot be read: {error.strerror}") from None

    config = TLSConfig(
        server_root_ca_cert=read(ca, "CA"), client_cert=read(cert, "CERT"), client_private_key=read(key, "KEY")
    )
    context = ssl.create_default_context()
    try:
        if ca:
            context.load_verify_locations(ca)
    except ssl.SSLError:
        raise StartError(f"KOSCHEY_TEMPORAL_TLS_CA: {ca} holds no certificate in PEM form") from None
    try:
        if cert:
            context.load_cert_chain(cert, key, password="")
    except ssl.SSLError:
        raise StartError(
            f"KOSCHEY_TEMPORAL_TLS_CERT: {cert} and {key} are not a certificate with its key in PEM, without a password"
        ) from None
    return config

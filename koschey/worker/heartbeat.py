"""Reports that a worker is alive and reaches Temporal, for health checks and the panel."""

import asyncio
import os
import socket
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from koschey.db.pool import Pool
from koschey.db.pulse import report_worker

EVERY = 10.0
"""Seconds between reports."""
RPC_TIMEOUT = timedelta(seconds=5)


async def keep_reporting(pool: Pool, client: Client) -> None:
    """Report again and again. Has no end."""
    name = f"{socket.gethostname()}/{os.getpid()}"
    while True:
        await report_worker(pool, name, reached_temporal=await _reaches(client))
        await asyncio.sleep(EVERY)


async def _reaches(client: Client) -> bool:
    try:
        return await client.service_client.check_health(timeout=RPC_TIMEOUT)
    except RPCError:
        return False

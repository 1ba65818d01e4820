"""Work that is done once for all who ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from koschey.errors import Busy


class Flights[Key: Hashable, Result]:
    """Work under way in this process, by its key. Everybody who waits learns how it ended, however that was."""

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[Result]] = {}

    async def join(self, key: Key, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return what `work` returns; it is begun unless work with this key is under way.

        A client that goes away does not end it. Raises what the work raises, and `Busy` where it was cancelled.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda ended: self._end(key, ended))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if task.cancelled() and not (me and me.cancelling()):
                raise Busy("this process is stopping; try again") from None
            raise

    async def close(self) -> None:
        """Cancel all work and wait for its end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, key: Key, task: asyncio.Task[Result]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            # Read here, so that an error of which all clients have gone away is not reported as forgotten.
            task.exception()

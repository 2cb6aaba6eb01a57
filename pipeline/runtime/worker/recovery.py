"""Our takeover where Faust recovers its tables.

Faust's recovery reads changelogs up to an end it looked up before any claim was written, one event at a time. A unit's
takeover needs the opposite: claim first, then read up to that claim. So Faust's own reading is left out, and when Faust
would resume its streams the units have taken over.
"""

from typing import Any

from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery


class TakeoverRecovery(FaustRecovery):
    """Faust's recovery service with the units' takeover as its only work."""

    async def _build_highwaters(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        return None

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        return None

    async def _seek_offsets(self, consumer: Any, tps: Any, offsets: Any, title: str) -> None:
        return None

    def need_recovery(self) -> bool:
        """Never Faust's: units recover themselves."""
        return False

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Take over, let Faust seek and resume, then start the units."""
        if self.app.consumer_generation_id != generation_id:
            return  # another rebalance is under way and will come through here
        await self.app.body.take_over(self.app.consumer.assignment())
        await super().on_recovery_completed(generation_id)
        if self.app.consumer_generation_id == generation_id:
            self.app.body.resume()


class TableManager(FaustTableManager):
    """Faust's table manager with our recovery."""

    @property
    def recovery(self) -> FaustRecovery:
        if self._recovery is None:
            self._recovery = TakeoverRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

"""Carries out a schedule of faults on the workers, on the tool connector and on Kafka."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crew import Crew, Seat
from schedule import Fault

from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.subprocesses import last_lines


@dataclass
class Faults:
    """Faults under way. done: how many of each kind were carried out; log: one line each."""

    crew: Crew
    node: KafkaNode
    bootstrap: str
    log: Path
    done: Counter[str] = field(default_factory=Counter)
    _broker: asyncio.Lock = field(default_factory=asyncio.Lock)
    _connector: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def carry_out(self, faults: list[Fault]) -> None:
        """All of them at their times; returns when the last one is over. Workers' faults overlap."""
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                await asyncio.sleep(max(0.0, fault.at - self.crew.now()))
                if fault.kind.startswith("broker-"):
                    async with self._broker:
                        pass  # one fault of the broker after the other, in the order of the schedule
                    tasks.create_task(self._on_broker(fault))
                    await asyncio.sleep(0)
                elif fault.kind.startswith("connector-"):
                    tasks.create_task(self._on_connector(fault))
                elif fault.kind == "add":
                    self._tell(fault, self.crew.add(static=False).name)
                else:
                    seat = await self._victim(fault)
                    seat.busy = True
                    self._tell(fault, seat.name)
                    tasks.create_task(getattr(self, "_" + fault.kind)(fault, seat))

    async def _victim(self, fault: Fault) -> Seat:
        """A worker that is up; waits for one."""
        while True:
            up = [seat for seat in self.crew.up() if fault.kind != "replace" or seat.instance]
            if up:
                return up[int(fault.whom * len(up))]
            await asyncio.sleep(0.1)

    async def _on_connector(self, fault: Fault) -> None:
        """There is one connector: its faults come one after the other, and hold up no others."""
        async with self._connector:
            while not (up := self.crew.up("connector")):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            up[0].busy = True
            self._tell(fault, up[0].name)
            await getattr(self, "_" + fault.kind.removeprefix("connector-"))(fault, up[0])

    def _tell(self, fault: Fault, whom: str) -> None:
        self.done[fault.kind] += 1
        with self.log.open("a") as report:
            report.write(f"{self.crew.now():7.1f} s  {fault.kind:19} {whom:10} {fault.lasts:5.1f} s\n")

    async def _kill(self, fault: Fault, seat: Seat) -> None:
        assert seat.process is not None
        seat.process.kill()
        await self.crew.ended(seat.process, 10)
        await asyncio.sleep(fault.lasts)
        self._start_again(seat)

    async def _terminate(self, fault: Fault, seat: Seat) -> None:
        await self._ask_to_stop(seat)
        await asyncio.sleep(fault.lasts)
        self._start_again(seat)

    async def _remove(self, fault: Fault, seat: Seat) -> None:
        seat.removed = True
        await self._ask_to_stop(seat)

    async def _ask_to_stop(self, seat: Seat) -> None:
        assert seat.process is not None
        seat.process.terminate()
        if code := await self.crew.must_end(seat, seat.process, "SIGTERM"):
            self.crew.note_exit(seat, code)

    def _start_again(self, seat: Seat) -> None:
        self.crew.start(seat)
        seat.busy = False

    async def _pause(self, fault: Fault, seat: Seat) -> None:
        assert seat.process is not None
        process: Any = seat.process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(fault.lasts)
        process.send_signal(signal.SIGCONT)
        seat.busy = False

    _zombie = _pause

    async def _replace(self, fault: Fault, seat: Seat) -> None:
        """The old process must notice that another one has its name, and end; or hold it rightly when it is alone."""
        old, log = seat.process, seat.log
        assert old is not None
        old.send_signal(signal.SIGSTOP)
        self._start_again(seat)
        await asyncio.sleep(fault.lasts)
        old.send_signal(signal.SIGCONT)
        code = await self.crew.must_notice(seat, old)
        with self.log.open("a") as report:
            report.write(
                f"{self.crew.now():7.1f} s  replaced one ended with code {code}: {last_lines(log, 1).strip()}\n"
            )

    async def _on_broker(self, fault: Fault) -> None:
        async with self._broker:
            self._tell(fault, "kafka")
            if fault.kind == "broker-freeze":
                pid = self.node.pid
                assert pid
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(fault.lasts)
                os.kill(pid, signal.SIGCONT)
            elif fault.kind == "broker-away":
                await self.node.stop()
                await asyncio.sleep(fault.lasts)
                await self.node.start()
            else:
                await self.node.restart(crash=fault.kind == "broker-crash")
            if self.node.bootstrap != self.bootstrap:
                raise RuntimeError(f"Kafka came back at {self.node.bootstrap}, expected {self.bootstrap}: run it again")

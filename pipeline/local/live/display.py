"""The two faces of a run: a terminal with a live view, and plain lines for pipes and logs."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.status import Status as Spinning
from rich.text import Text

from endocrine.pipeline.local.live.status import Status
from endocrine.pipeline.local.live.view import screen
from endocrine.pipeline.local.live.view_state import ViewState
from endocrine.pipeline.views.describe import described
from endocrine.pipeline.views.event import Event

Progressing = Callable[[int, int | None], None]


class Display(Protocol):
    """What a run says, and where."""

    def step(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """Show a step that may take a while, while it does."""
        ...

    def progress(self, doing: str) -> contextlib.AbstractContextManager[Progressing]:
        """Show a long step that knows how far it is: yields what takes done and total."""
        ...

    def note(self, text: str) -> None:
        """Show something a person should know."""
        ...

    def event(self, event: Event) -> None:
        """Show a fresh derived record."""
        ...

    def open(self, view_state: ViewState, status: Status) -> None:
        """Begin to show the view."""
        ...

    def refresh(self) -> None:
        """Draw it as it is now."""
        ...

    def close(self) -> None:
        """End the view; safe to call twice."""
        ...

    def say(self, line: str) -> None:
        """Print a line of the result."""
        ...


def display(gone: Callable[[], None]) -> Display:
    """Return the display that fits standard output. gone: called when nobody reads it any more."""
    console = Console()
    return TerminalDisplay(console) if console.is_terminal and not console.is_dumb_terminal else PlainDisplay(gone)


@contextmanager
def bar(console: Console, doing: str) -> Iterator[Progressing]:
    """Yield a bar for bytes done and in all, None where that is not known; gone when done."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(doing, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


class TerminalDisplay:
    """Spinners, then the view on the terminal's other screen, then the result on the usual one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._status: Status | None = None
        self._view_state: ViewState | None = None
        self._shown: object = None
        self._spinner: Spinning | None = None

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Show a spinner with the time it takes; gone when done, or when the view opens meanwhile."""
        with self._console.status(doing) as self._spinner:
            yield

    @contextmanager
    def progress(self, doing: str) -> Iterator[Progressing]:
        """Show a bar; gone when done."""
        with bar(self._console, doing) as progress:
            yield progress

    def note(self, text: str) -> None:
        """Show it in the foot of the view, or on a line of its own where there is no view."""
        if self._live and self._status:
            self._status.note = text
        else:
            self._console.print(Text(text, style="yellow"))

    def event(self, event: Event) -> None:
        """Do nothing: the view's state has it already."""

    def open(self, view_state: ViewState, status: Status) -> None:
        """Switch to the other screen."""
        if self._spinner is not None:
            self._spinner.stop()
        self._status, self._view_state = status, view_state
        self._live = Live(_Screen(view_state, status), console=self._console, screen=True, auto_refresh=False)
        self._live.start(refresh=True)

    def refresh(self) -> None:
        """Draw, at the size the terminal has now, what has changed since it was drawn last."""
        if self._live and self._view_state and self._status:
            now = self._view_state.version, replace(self._status), self._console.size
            if now != self._shown:
                self._shown = now
                self._live.refresh()

    def close(self) -> None:
        """Switch back."""
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Print on the usual screen."""
        self._console.print(Text(line))


class _Screen:
    """The view as rich draws it: asked anew for its lines at each refresh."""

    def __init__(self, view_state: ViewState, status: Status) -> None:
        self._view_state = view_state
        self._status = status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or options.size.height
        lines = screen(self._view_state, self._status, width, height)
        for index, line in enumerate(lines):
            if index:
                yield Segment.line()
            yield from line.render(console)


class PlainDisplay:
    """Steps and notes on stderr, events and results on stdout, a line each."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Print a note once it is done, with its time."""
        started = time.monotonic()
        yield
        self.note(f"{doing}: done ({time.monotonic() - started:.1f} s)")

    @contextmanager
    def progress(self, doing: str) -> Iterator[Progressing]:
        """Print a note at its beginning, because it takes long, and when it is done."""
        self.note(f"{doing} ...")
        with self.step(doing):
            yield lambda done, total: None

    def note(self, text: str) -> None:
        """Print on stderr."""
        print(text, file=sys.stderr, flush=True)

    def event(self, event: Event) -> None:
        """Print a line for what happened."""
        if line := described(event):
            self.say(line)

    def open(self, view_state: ViewState, status: Status) -> None:
        """Do nothing: there is no view."""

    def refresh(self) -> None:
        """Do nothing: there is no view."""

    def close(self) -> None:
        """Do nothing: there is no view."""

    def say(self, line: str) -> None:
        """Print on stdout. A reader that is gone ends the run."""
        try:
            print(line, flush=True)
        except BrokenPipeError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._gone()

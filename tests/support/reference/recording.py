"""A recording of the live view as one animated SVG: the bundled story, run in process, so it is the same every time.

`python -m reference.recording [FILE]` writes docs/recording.svg. There is no broker, no clock and no script in
it: frames follow each other by CSS, and who asks for less motion sees the last one.
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
from rich.console import Console
from rich.text import Text

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.records import CE_ID, ERROR, ERROR_KIND
from endocrine.pipeline.core.simulation import Derived, Simulation
from endocrine.pipeline.data import scenario
from endocrine.pipeline.local.live.status import Status
from endocrine.pipeline.local.live.view import screen
from endocrine.pipeline.local.live.view_state import ViewState
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.event import Event

WIDTH, HEIGHT = 112, 30
"""Cells of the terminal."""
FRAMES, FRAME_S, LAST_S = 10, 1.2, 4.0
"""Number of frames, and seconds that each and the last one is shown."""
PACE = 4.0
"""Records per second that the figures at the head go by: that of `endocrine run`."""
_ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
"""Fonts of other hosts, and comments."""
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


def recording() -> str:
    """The SVG document."""
    frames = [_drawn(lines, number) for number, lines in enumerate(_frames())]
    found = _SIZE.search(frames[0])
    assert found is not None
    total = FRAME_S * (len(frames) - 1) + LAST_S
    styles = [".frame { visibility: hidden; }"]
    for number in range(len(frames)):
        begin, end = FRAME_S * number / total, FRAME_S * (number + 1) / total
        steps = {0.0: "hidden", begin: "visible"} | ({end: "hidden"} if number < len(frames) - 1 else {})
        shown = " ".join(f"{100 * when:.3f}% {{ visibility: {how}; }}" for when, how in steps.items())
        styles.append(f"@keyframes show{number} {{ {shown} }}")
        # Steps: one frame takes the place of another at once.
        styles.append(f".show{number} {{ animation: show{number} {total:.1f}s step-end infinite; }}")
    styles.append(
        "@media (prefers-reduced-motion: reduce) { .frame { animation: none; }"
        f" .show{len(frames) - 1} {{ visibility: visible; }} }}"
    )
    body = "\n".join(f'<g class="frame show{number}">\n{frame}\n</g>' for number, frame in enumerate(frames))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {found[1]} {found[2]}" role="img">\n'
        "<title>Live view of endocrine: turns, tool decisions, attribution, style tables and bonds</title>\n"
        f"<style>\n{chr(10).join(styles)}\n</style>\n{body}\n</svg>\n"
    )


def _frames() -> Iterator[list[Text]]:
    """The view as lines, at FRAMES moments of the story."""
    settings = Settings.model_construct()
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=settings.sizes, partitions=settings.partitions)
    view_state, story = ViewState(), list(scenario.lines())
    status = Status("run", "127.0.0.1:9092", worker="up", to_feed=len(story), fed_rate=PACE)
    moments = {round(len(story) * (number + 1) / FRAMES) for number in range(FRAMES)}
    for line in story:
        for derived in simulation.feed(orjson.dumps(line)):
            status.derived += 1
            status.dead += derived.dead
            view_state.apply(_event(derived))
        status.fed += 1
        status.derived_rate = PACE * status.derived / status.fed
        if status.fed in moments:
            yield screen(view_state, status, WIDTH, HEIGHT)


def _event(derived: Derived) -> Event:
    topic, key, value, headers = derived
    if derived.dead:
        wrong = {"kind": headers.get(ERROR_KIND), "error": headers.get(ERROR, "")}
        return Event(topic, key or "", topic, wrong, True)
    return Event(topic, key or "", headers.get(CE_ID) or "", orjson.loads(value) if value else None, True)


def _drawn(lines: list[Text], number: int) -> str:
    """One frame: a terminal window, without fonts from elsewhere."""
    console = Console(
        record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in lines:
        console.print(line, no_wrap=True, crop=True)
    drawn = console.export_svg(title="endocrine run", unique_id=f"frame{number}")
    return _ELSEWHERE.sub("", drawn).replace("font-family: Fira Code, monospace", "font-family: monospace")


def main() -> None:
    """Write the file."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3] / "docs" / "recording.svg"
    path.write_text(recording(), encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

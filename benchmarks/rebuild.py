"""How fast lost features come back, and that not a bit of them differs: ``python -m benchmarks.rebuild``.

A stack of its own takes a history of events, a catalogue and profiles. Then everything the dataflow and Redis know is
taken away: SIGKILL, recovery folder, FLUSHALL. First the dataflow is just started again; then, with the dataflow
alive, only Redis is emptied and ``flows.replay`` is run. Each time every hash of Redis is compared with what it was.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from benchmarks.dataflow_cost import made_up_events
from feature_repo.events import Event, Item, Message, UserProfile
from flows.log_writer import Outgoing, publish
from flows.replay import replay
from infra.servers import recovery_folder, scrape
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError

PARTS = ("kafka", "redis", "postgres", "stream")
USERS, ITEMS = 1_000, 2_000
PATIENCE_S = 300.0
LOOK_EVERY_S = 0.05

Rows = dict[bytes, dict[bytes, bytes]]
console = Console()


class NotRebuilt(RuntimeError):
    """Rows are missing or differ."""


def fill(settings: Settings, events: Sequence[Event]) -> None:
    """Put catalogue, profiles and events into the log."""
    items = [Item(item_id=f"i{n}", title=f"Item {n}", categories=("a", f"c{n % 9}"), price=n) for n in range(ITEMS)]
    users = [UserProfile(user_id=f"u{n}", segments=(f"age:{n % 5}",)) for n in range(USERS)]
    publish(settings, [_outgoing(settings.topic_catalog, item.item_id, item) for item in items])
    publish(settings, [_outgoing(settings.topic_profiles, user.user_id, user) for user in users])
    publish(settings, [_outgoing(settings.topic_events, event.user_id, event) for event in events])


def _outgoing(topic: str, key: str, message: Message) -> Outgoing:
    return Outgoing(topic, key.encode(), message.encode())


def rows(client: redis.Redis) -> Rows:
    """Every row of Redis."""
    keys = sorted(client.scan_iter(_type="hash", count=1_000))
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.hgetall(key)
    return dict(zip(keys, pipe.execute(), strict=True))


def settled(stack: Stack, client: redis.Redis) -> Rows:
    """The rows once the dataflow has been silent for two seconds."""
    before, since = -1.0, time.monotonic()
    while time.monotonic() - since < 2:
        now = written(stack)
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(LOOK_EVERY_S)
    return rows(client)


def written(stack: Stack) -> float:
    """Rows that the dataflow has written since its start; -1 while it does not answer."""
    url = f"http://{stack.settings.host}:{stack.settings.stream_metrics_port}/metrics"
    return scrape(url).get("freshet_stream_rows_total", -1.0)


def timed(client: redis.Redis, wanted: Rows, lose: Callable[[], None], repair: Callable[[], object]) -> float:
    """Seconds from the begin of a repair until every row is, byte for byte, what it was. Raises NotRebuilt."""
    lose()
    began = time.monotonic()
    repair()
    while (found := rows(client)) != wanted:
        if time.monotonic() - began > PATIENCE_S:
            differ = sum(found.get(key) != row for key, row in wanted.items())
            raise NotRebuilt(f"{differ} of {len(wanted)} rows are missing or differ after {PATIENCE_S:.0f} s")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - began


def measure(stack: Stack, events: Sequence[Event]) -> Table:
    """Both repairs, as a table."""
    table = Table("repair", "events", "rows, all equal", "s", "events/s", title="Rebuild", title_justify="left")
    with redis.Redis.from_url(stack.settings.redis_url) as client:
        fill(stack.settings, events)
        wanted = settled(stack, client)

        def lose_everything() -> None:
            stack.kill("stream")
            shutil.rmtree(recovery_folder(stack.settings))
            client.flushall()

        repairs: dict[str, tuple[Callable[[], None], Callable[[], object]]] = {
            "dataflow started without states": (lose_everything, lambda: stack.restart("stream")),
            "python -m flows.replay, dataflow alive": (
                lambda: client.flushall() and None,
                lambda: replay(stack.settings),
            ),
        }
        for name, (lose, repair) in repairs.items():
            seconds = timed(client, wanted, lose, repair)
            table.add_row(
                name, f"{len(events):,}", f"{len(wanted):,}", f"{seconds:.1f}", f"{len(events) / seconds:,.0f}"
            )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rebuild", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="events in the history")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="freshet-") as home:
            Path(home).chmod(0o755)  # PostgreSQL may run as another user
            with Stack(load_settings(home=Path(home), **any_ports()), PARTS) as stack:
                console.print(measure(stack, made_up_events(options.events, USERS, ITEMS)))
    except (SettingsError, StackError, NotRebuilt) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

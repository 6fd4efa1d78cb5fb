"""Nothing acknowledged is lost or counted twice, whatever is killed: ``python -m benchmarks.faults``.

Starts the embedded stack in a throw-away folder, sends events over REST, some of them twice, and meanwhile SIGKILLs
processes of ingest and of the dataflow at random moments; the supervisor restarts what died. At the end every event is
accounted for, and every row in Redis is compared, byte for byte, with a recount of the event store.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.audit import Audit, audit
from benchmarks.traffic import start_clients, stop_clients
from flows.console import bar
from infra.processes import StackError, is_alive
from infra.servers import PARTS
from infra.settings import SettingsError, any_ports, load_settings
from infra.stack import Stack

NEEDED = ("kafka", "redis", "postgres", "ingest", "stream")
VICTIMS, SERVERS = ("ingest", "stream"), ("redis", "postgres")
KINDS = ("bytewax.run", "flows.cluster", "_bentoml_impl.worker", "bentoml", "valkey", "postgres")
CLIENTS = 4
REPEATS = 0.05
PATIENT = 0.75
"""Share of the kills that wait until everything is up again, so that there is load; the others do not."""
WATCH_EVERY_S = 0.05
PATIENCE_S = 180.0

console = Console()


@dataclass(frozen=True)
class Outcome:
    """What was done to the stack, and what became of the events.

    Attributes:
        kills: processes killed, by part and kind.
        seconds: how long events were sent.
        acknowledged, copies, repeated, retried: of all clients together; see ``traffic.Client``.
        audit: what was found at the end.
    """

    kills: Counter[str]
    seconds: float
    acknowledged: int
    copies: int
    repeated: int
    retried: int
    audit: Audit


def torment(
    stack: Stack,
    *,
    kills: int,
    seed: int,
    per_s: float,
    gap_s: float,
    victims: Sequence[str] = VICTIMS,
) -> Outcome:
    """Send events to a running stack while its processes are killed; account for every event at the end.

    Args:
        stack: with ingest and dataflow; its supervisor is this function.
        kills: how many processes are killed.
        seed: of which, when, and what is sent.
        per_s: new events a second.
        gap_s: mean time before a kill (exponentially distributed).
        victims: parts that are killed.
    """
    random = Random(seed)
    settings = stack.settings
    killed: Counter[str] = Counter()
    started = time.monotonic()
    with watched(stack), bar(console) as progress:
        clients = start_clients(
            f"http://{settings.host}:{settings.ingest_port}", CLIENTS, per_s, repeats=REPEATS, seed=seed
        )
        task = progress.add_task("kills", total=kills, unit="")
        for _ in range(kills):
            if random.random() < PATIENT:
                _wait_until_up(stack, victims)
            time.sleep(random.expovariate(1 / gap_s))
            killed[kill_one(stack, victims, random)] += 1
            taken = sum(len(client.acknowledged) for client in clients)
            progress.update(task, advance=1, unit=f"{taken:,} events acknowledged")
        time.sleep(gap_s)
        stop_clients(clients)
        seconds = time.monotonic() - started
        acknowledged = [event for client in clients for event in client.acknowledged]
        pending = [event for client in clients for event in client.pending]
        found = audit(settings, acknowledged, pending, PATIENCE_S)
    return Outcome(
        killed,
        seconds,
        len(acknowledged),
        sum(client.copies for client in clients),
        sum(client.repeated for client in clients),
        sum(client.retried for client in clients),
        found,
    )


def _wait_until_up(stack: Stack, parts: Sequence[str]) -> None:
    while not all(PARTS[part].healthy(stack.settings) for part in parts):
        time.sleep(WATCH_EVERY_S)


def kill_one(stack: Stack, parts: Sequence[str], random: Random) -> str:
    """SIGKILL one process of a part that has any just now; return its part and kind."""
    while not (living := {part: below for part in parts if (below := _processes(stack, part))}):
        time.sleep(WATCH_EVERY_S)
    part = random.choice(list(living))
    victim = random.choice(living[part])
    try:
        command = " ".join([*victim.cmdline(), victim.name()])
        victim.kill()
    except psutil.NoSuchProcess:
        return kill_one(stack, parts, random)
    return f"{part}: {next((kind for kind in KINDS if kind in command), command)}"


def _processes(stack: Stack, part: str) -> list[psutil.Process]:
    try:
        below = psutil.Process(stack.process(part).guard_pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return sorted(filter(is_alive, below), key=lambda process: process.pid)


@contextmanager
def watched(stack: Stack) -> Iterator[None]:
    """Restart what dies, as ``python -m infra.local up`` does, while the context lasts."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(WATCH_EVERY_S):
            stack.watch()

    thread = threading.Thread(target=watch, name="supervisor")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def report(outcome: Outcome) -> Table:
    """Every figure of a run."""
    found = outcome.audit
    table = Table("what", "n", title="Kills under load", title_justify="left")
    table.columns[1].justify = "right"
    for kind, times in sorted(outcome.kills.items()):
        table.add_row(f"SIGKILL of {kind}", f"{times:,}")
    rate = outcome.acknowledged / outcome.seconds
    for what, number in {
        f"events acknowledged ({rate:,.0f} a second over {outcome.seconds:,.0f} s)": outcome.acknowledged,
        "copies sent": outcome.copies,
        "  of these: repeats of acknowledged events": outcome.repeated,
        "  of these: sent again after an error": outcome.retried,
        "copies in the log": found.in_log,
        "duplicates seen and dropped (copies in the log, not counted)": found.dropped,
        "stored": found.stored,
        "counted by users": found.by_users,
        "counted by items": found.by_items,
        "lost: acknowledged, not stored": found.not_stored,
        "lost: acknowledged, not counted": found.not_counted,
        "double-counted": found.double_counted,
        "rows recounted": found.rows,
        "rows that differ from the recount in any byte": len(found.unequal),
    }.items():
        table.add_row(what, f"{number:,}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 when an event was lost or counted twice, or a row is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=500, help="new events a second")
    parser.add_argument("--gap", type=float, default=3.0, help="mean seconds before a kill")
    parser.add_argument("--processes", type=int, default=1, help="processes of the dataflow")
    parser.add_argument("--servers", action="store_true", help="kill Redis and PostgreSQL, too")
    options = parser.parse_args(arguments)
    victims = VICTIMS + SERVERS if options.servers else VICTIMS
    try:
        with tempfile.TemporaryDirectory(prefix="freshet-") as home:
            Path(home).chmod(0o755)  # PostgreSQL may run as another user
            settings = load_settings(home=Path(home), stream_processes=options.processes, **any_ports())
            with Stack(settings, NEEDED) as stack:
                outcome = torment(
                    stack,
                    kills=options.kills,
                    seed=options.seed,
                    per_s=options.rate,
                    gap_s=options.gap,
                    victims=victims,
                )
    except (SettingsError, StackError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(report(outcome))
    for name in outcome.audit.unequal[:10]:
        console.print(f"differs: {name}")
    return 0 if outcome.audit.is_exact else 1


if __name__ == "__main__":
    sys.exit(main())

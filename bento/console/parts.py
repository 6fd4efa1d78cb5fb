"""The processes of one part of the system, found by name, each read and compared with itself.

A host name may lead to several addresses: a headless Service of Kubernetes to every pod's, Compose's own to every
container's. Each address is a process with counters of its own; what one address of a balancer answered would jump from
process to process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

import httpx

from bento.console.aside import Aside, Busy
from bento.console.scrape import SUMS, Gauges, Values, added, increase, parse

TIMEOUT_S = 1.0
"""Longest wait for a process's metrics."""

RESOLVED_S = 10.0
"""How long the addresses of a name are good for."""

RESOLVE_S = 0.5
"""Longest wait for a name to be looked up; after it, what was found before goes on."""

KINDS = (socket.AF_INET, socket.AF_INET6)
NOBODY = (socket.EAI_NONAME, socket.EAI_NODATA)
"""What a name server says of a name that it knows, or nobody knows, no address of; else it is away."""


class Sample(NamedTuple):
    """What a part of the system says at one moment, all its processes together.

    Attributes:
        values: as they are now; None: not every process could be read.
        grown: the increase since the sample before; None: there is none to compare with.
        over_s: time that it took to grow.
        error: why there are no values.
    """

    values: Values | None
    grown: Values | None = None
    over_s: float = 0.0
    error: str | None = None


NOTHING = Sample(None, error="not asked yet")


class Page:
    """The metrics of one process.

    Args:
        url: at an address.
        name: host and port as they were named, which the process is asked for by.
        names: of the series that are read.
    """

    def __init__(self, url: httpx.URL, name: httpx.URL, names: frozenset[str]) -> None:
        self._url, self._names = url, names
        self._headers, self._tls = {"host": name.netloc.decode()}, {"sni_hostname": name.host}
        self._last: tuple[float, Values] | None = None

    async def sample(self, client: httpx.AsyncClient) -> Sample:
        """Read it. What goes wrong is told in the sample."""
        try:
            async with asyncio.timeout(TIMEOUT_S):  # httpx' own begins anew with every piece that comes
                answer = await client.get(self._url, headers=self._headers, extensions=self._tls)
            answer.raise_for_status()
            values = parse(answer.text, self._names)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            return Sample(None, error=f"{self._url}: {str(error) or type(error).__name__}")
        now, before = time.monotonic(), self._last
        self._last = (now, values)
        if before is None:
            return Sample(values)
        return Sample(values, increase(before[1], values), now - before[0])


class Place:
    """A page's URL, and every address that its host name leads to."""

    def __init__(self, url: str) -> None:
        self.url = httpx.URL(url)
        self._aside = Aside("names")
        self._found: tuple[float, list[httpx.URL]] | None = None

    async def addresses(self) -> list[httpx.URL]:
        """The page at each address, as of the last ten seconds; at those known before where no answer comes.

        Raises:
            OSError: the name leads nowhere.
        """
        if self._found is None or time.monotonic() - self._found[0] > RESOLVED_S:
            self._found = (time.monotonic(), [self.url.copy_with(host=host) for host in await self._look_up()])
        return self._found[1]

    async def _look_up(self) -> list[str]:
        if is_address(self.url.host):
            return [self.url.host]
        try:
            return await self._aside.call(lambda: resolved(self.url.host), RESOLVE_S)
        except (Busy, OSError) as error:
            before, self._found = self._found, None
            if before is None or getattr(error, "errno", None) in NOBODY:
                raise OSError(f"{self.url.host} leads to no address: {error}") from None
            return [url.host for url in before[1]]


def is_address(host: str) -> bool:
    """Whether this is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolved(host: str) -> list[str]:
    """The addresses of a name, in order; of a process with two kinds of addresses only the older kind's."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    by_kind = {kind: sorted({str(place[0]) for family, *_, place in found if family == kind}) for kind in KINDS}
    return by_kind[socket.AF_INET] or by_kind[socket.AF_INET6]


class Part:
    """All processes of one part of the system.

    Args:
        urls: their pages; a host name stands for all its addresses.
        names: of the series that are read.
        gauges: those that are no sum over processes, and what they are instead.
    """

    def __init__(self, urls: Sequence[str], names: frozenset[str], gauges: Gauges) -> None:
        self.url = " ".join(urls)
        self._places = [Place(url) for url in urls]
        self._names, self._gauges = names, gauges
        self._pages: dict[httpx.URL, Page] = {}

    async def sample(self, client: httpx.AsyncClient) -> Sample:
        """Read every process that there is now, at the same time."""
        try:
            found = await asyncio.gather(*(place.addresses() for place in self._places))
        except OSError as error:
            return Sample(None, error=str(error))
        named = {url: place.url for place, urls in zip(self._places, found, strict=True) for url in urls}
        self._pages = {url: self._pages.get(url) or Page(url, name, self._names) for url, name in named.items()}
        samples = await asyncio.gather(*(page.sample(client) for page in self._pages.values()))
        return together(samples, self._gauges)


def together(samples: Sequence[Sample], gauges: Gauges = SUMS) -> Sample:
    """Several processes of one part as one: a part that only partly answers says nothing."""
    errors = [sample.error for sample in samples if sample.error]
    if errors:
        return Sample(None, error="; ".join(errors))
    values = added((sample.values or {} for sample in samples), gauges)
    # A process that is seen for the first time adds nothing yet, and one that was away has grown for longer than the
    # others: a rate is rather too low then than far too high.
    compared = [sample for sample in samples if sample.grown is not None]
    if not compared:
        return Sample(values)
    grown = added(sample.grown or {} for sample in compared)
    return Sample(values, grown, max(sample.over_s for sample in compared))

"""The doors: how many posts, and how many messages in batches, one core takes in durably."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec

from bench import goals, messages, usage, yardsticks
from bench.figure import Figure
from bench.gateway import WRITE_KEY, prepare, serving
from bench.processes import load
from bench.programs.load import Plan, Result
from bench.programs.posts import Target
from bench.scale import Scale

_CONNECTIONS = 256
_BATCH = 100
_BATCH_CONNECTIONS = 16
_TEMPLATES = 2_000
_BUSY = 0.93  # from here on the sender is the slower one


class _Posts:
    """Rounds of the same posts to one server; a request holds `messages` of them."""

    def __init__(self, server: tuple[int, int], plan: Plan, messages: int = 1) -> None:
        self._pid, port = server
        target = msgspec.structs.replace(plan.target, port=port)
        self._plan = msgspec.structs.replace(plan, target=target)
        self._messages = messages
        self._used_s = 0.0
        self.runs: list[Result] = []

    def run(self) -> None:
        """One round."""
        before_s = usage.cpu_s([self._pid])
        self.runs.append(load(self._plan))
        self._used_s += usage.cpu_s([self._pid]) - before_s

    @property
    def per_second(self) -> float:
        """Messages accepted per second, the median of the rounds."""
        return median(run.per_second for run in self.runs) * self._messages

    @property
    def cpu_s_per_million(self) -> float:
        """What a million messages take of the server's core."""
        return self._used_s / sum(run.requests for run in self.runs) / self._messages * 1e6

    def ratio_to(self, other: "_Posts") -> float:
        """Round by round, since the machine's speed drifts."""
        pairs = zip(self.runs, other.runs, strict=True)
        return median(one.per_second / another.per_second for one, another in pairs)

    def __str__(self) -> str:
        """As a yardstick, with a word of warning where it could have taken more."""
        is_held_back = median(run.busy for run in self.runs) > _BUSY
        more = " or more (the sender's limit)" if is_held_back else ""
        return f"{self.per_second:,.0f}/s{more}, {self.cpu_s_per_million:.1f} CPU s"


def single_posts(scale: Scale, place: Path) -> Iterator[Figure]:
    """Single track calls, beside servers that answer and store nothing."""
    plan = _plan("/v1/track", messages.templates(messages.tracks(_TEMPLATES)), _CONNECTIONS, scale)
    with (
        serving(prepare(place / "data")) as gateway,
        yardsticks.bare_uvicorn() as uvicorn_server,
        yardsticks.nginx(place / "nginx") as nginx_server,
    ):
        ours = _Posts((gateway.pid, gateway.port), plan)
        uvicorn = _Posts(uvicorn_server, plan)
        nginx = _Posts(nginx_server, plan) if nginx_server else None
        _alternate([one for one in (ours, uvicorn, nginx) if one], scale)
        memory_mb = gateway.pss_mb()
    ratio = ours.ratio_to(uvicorn)
    yield Figure(
        what=f"single posts, {_CONNECTIONS} connections, one core",
        value=f"{ours.per_second:,.0f}/s, p99 {median(run.p99_ms for run in ours.runs):.0f} ms",
        beside=f"a uvicorn that stores nothing: {uvicorn}",
        ratio=ratio,
        cpu_s_per_million=ours.cpu_s_per_million,
        memory_mb=memory_mb,
        measured=ratio,
        goal=goals.SINGLE_POSTS,
    )
    of_nginx = ours.ratio_to(nginx) if nginx else None
    yield Figure(
        what="single posts, beside nginx",
        value=f"{ours.per_second:,.0f}/s",
        beside=f"an nginx that stores nothing: {nginx}" if nginx else "nginx is not installed",
        ratio=of_nginx,
        measured=of_nginx,
        goal=goals.SINGLE_POSTS_OF_NGINX,
    )


def batches(scale: Scale, place: Path) -> Iterator[Figure]:
    """Batches, beside a server that only appends them to a plain file."""
    spoken = messages.spoken(_TEMPLATES)
    bodies = messages.batch_templates(spoken, _BATCH)
    plan = _plan("/v1/batch", bodies, _BATCH_CONNECTIONS, scale)
    with (
        serving(prepare(place / "data")) as gateway,
        yardsticks.plain_file(place / "plain") as plain_server,
    ):
        ours = _Posts((gateway.pid, gateway.port), plan, _BATCH)
        plain = _Posts(plain_server, plan, _BATCH)
        _alternate([ours, plain], scale)
        memory_mb = gateway.pss_mb()
    yield Figure(
        what=f"batches of {_BATCH}, one core",
        value=f"{ours.per_second:,.0f} messages/s of {messages.mean_bytes(spoken):,.0f} bytes",
        beside="a uvicorn that slices batches and appends them to a plain file, one fdatasync a "
        f"group: {plain}",
        ratio=ours.ratio_to(plain),
        cpu_s_per_million=ours.cpu_s_per_million,
        memory_mb=memory_mb,
        measured=ours.per_second,
        goal=goals.BATCHES,
    )


def _plan(path: str, bodies: list[bytes], connections: int, scale: Scale) -> Plan:
    """The posts of one round; their port is set for each server."""
    return Plan(
        target=Target(0, path, WRITE_KEY, bodies), connections=connections, seconds=scale.post_s
    )


def _alternate(servers: list[_Posts], scale: Scale) -> None:
    for _ in range(scale.rounds):
        for one in servers:
            one.run()

"""The doors: how many posts, and how many messages in batches, one core takes in durably."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

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


def single_posts(scale: Scale, place: Path) -> Iterator[Figure]:
    """Single track calls, beside servers that answer and store nothing."""
    bodies = messages.templates(messages.tracks(_TEMPLATES))

    def posts_to(port: int) -> Result:
        target = Target(port, "/v1/track", WRITE_KEY, bodies)
        return load(Plan(target=target, connections=_CONNECTIONS, seconds=scale.post_s))

    ours: list[Result] = []
    uvicorns: list[Result] = []
    nginxes: list[Result] = []
    used_s = 0.0
    with (
        serving(prepare(place / "data")) as gateway,
        yardsticks.bare_uvicorn() as uvicorn_port,
        yardsticks.nginx(place / "nginx") as nginx_port,
    ):
        for _ in range(scale.rounds):
            before_s = usage.cpu_s([gateway.pid])
            ours.append(posts_to(gateway.port))
            used_s += usage.cpu_s([gateway.pid]) - before_s
            uvicorns.append(posts_to(uvicorn_port))
            if nginx_port is not None:
                nginxes.append(posts_to(nginx_port))
        memory_mb = gateway.pss_mb()
    ratio = _ratio(ours, uvicorns)
    yield Figure(
        what=f"single posts, {_CONNECTIONS} connections, one core",
        value=f"{_rate(ours):,.0f}/s, p99 {median(run.p99_ms for run in ours):.0f} ms",
        beside=f"a uvicorn that stores nothing: {_rate(uvicorns):,.0f}/s",
        ratio=ratio,
        cpu_s_per_million=used_s / sum(run.requests for run in ours) * 1e6,
        memory_mb=memory_mb,
        measured=ratio,
        goal=goals.SINGLE_POSTS,
    )
    if not nginxes:
        yield Figure(what="single posts, beside nginx", value="", beside="nginx is not installed")
        return
    of_nginx = _ratio(ours, nginxes)
    yield Figure(
        what="single posts, beside nginx",
        value=f"{_rate(ours):,.0f}/s",
        beside=f"an nginx that stores nothing: {_rate(nginxes):,.0f}/s{_whose_limit(nginxes)}",
        ratio=of_nginx,
        measured=of_nginx,
        goal=goals.SINGLE_POSTS_OF_NGINX,
    )


def batches(scale: Scale, place: Path) -> Iterator[Figure]:
    """Batches, beside a server that only appends them to a plain file."""
    spoken = messages.spoken(_TEMPLATES)
    bodies = messages.batch_templates(spoken, _BATCH)

    def posts_to(port: int) -> Result:
        target = Target(port, "/v1/batch", WRITE_KEY, bodies)
        return load(Plan(target=target, connections=_BATCH_CONNECTIONS, seconds=scale.post_s))

    ours: list[Result] = []
    plain: list[Result] = []
    used_s = 0.0
    with (
        serving(prepare(place / "data")) as gateway,
        yardsticks.plain_file(place / "plain") as (_, plain_port),
    ):
        for _ in range(scale.rounds):
            before_s = usage.cpu_s([gateway.pid])
            ours.append(posts_to(gateway.port))
            used_s += usage.cpu_s([gateway.pid]) - before_s
            plain.append(posts_to(plain_port))
        memory_mb = gateway.pss_mb()
    rate = _rate(ours) * _BATCH
    yield Figure(
        what=f"batches of {_BATCH}, one core",
        value=f"{rate:,.0f} messages/s of {messages.mean_bytes(spoken):,.0f} bytes",
        beside="a uvicorn that slices batches and appends them to a plain file, one fdatasync a "
        f"group: {_rate(plain) * _BATCH:,.0f}/s{_whose_limit(plain)}",
        ratio=_ratio(ours, plain),
        cpu_s_per_million=used_s / sum(run.requests for run in ours) * 1e6 / _BATCH,
        memory_mb=memory_mb,
        measured=rate,
        goal=goals.BATCHES,
    )


def _rate(runs: list[Result]) -> float:
    return median(run.per_second for run in runs)


def _ratio(ours: list[Result], theirs: list[Result]) -> float:
    """Round by round, since the machine's speed drifts."""
    return median(
        one.per_second / other.per_second for one, other in zip(ours, theirs, strict=True)
    )


def _whose_limit(runs: list[Result]) -> str:
    """A word of warning where the sender, not the server, was the slower one."""
    return " or more (the sender's limit)" if median(run.busy for run in runs) > 0.93 else ""

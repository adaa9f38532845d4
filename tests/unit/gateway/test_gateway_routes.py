"""Every path that Segment's libraries use leads to its door, however slashes are doubled."""

import pytest

from headgate.gateway.routes import ROUTES, Door, find_route

LONG = ("identify", "track", "page", "screen", "group", "alias")


@pytest.mark.parametrize("name", LONG)
def test_long_and_short_paths_decide_the_type(name: str) -> None:
    """The short path is the type's first letter; the pixel has the long ones."""
    for path in (f"/v1/{name}", f"/v1/{name[0]}"):
        route = find_route(path)
        assert route is not None
        assert (route.door, route.methods, route.call_type) == (Door.SINGLE, ("POST",), name)
    pixel = find_route(f"/v1/pixel/{name}")
    assert pixel is not None
    assert (pixel.door, pixel.call_type) == (Door.PIXEL, name)


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import"])
def test_batch_paths_decide_no_type(path: str) -> None:
    """Their items say it themselves."""
    route = find_route(path)
    assert route is not None
    assert (route.door, route.call_type) == (Door.BATCH, "")


def test_metrics_and_health_have_doors_of_their_own() -> None:
    """Neither takes messages."""
    assert find_route("/v1/m") == (Door.METRICS, ("POST",), "")
    assert find_route("/health") == (Door.HEALTH, ("GET", "HEAD"), "")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("form", ["{}/", "{}//", "/{}", "//{}//"])
def test_doubled_and_trailing_slashes_are_forgiven(path: str, form: str) -> None:
    """A base address often ends with one."""
    assert find_route(form.format(path)) is ROUTES[path]
    assert find_route(path.replace("/", "//")) is ROUTES[path]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v2/track",
        "/v1/tracks",
        "/V1/track",
        "/v1/track/x",
        "v1/track",
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    """Nothing is guessed."""
    assert find_route(path) is None

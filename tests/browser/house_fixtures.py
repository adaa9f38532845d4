"""What the tests of device mode share: one house and one browser for each file, a visitor for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from device_house import House, opened_house
from pages import Visitor, chromium, visitor
from playwright.async_api import Browser


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened_house(tmp_path_factory.mktemp("device-mode")) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def shopper(browser: Browser) -> AsyncIterator[Visitor]:
    async with visitor(browser) as one:
        yield one

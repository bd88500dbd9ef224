"""A customer's browser: a Chromium that is on this machine already."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    # tests may run as root, where Chromium refuses its sandbox
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserMissingError(Exception):
    """There is no Chromium."""


def find_browser() -> str:
    """Where it is."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise BrowserMissingError(
        f"The tests of the checkout page need a Chromium on the PATH ({', '.join(_NAMES)})."
        " `make browser` installs it where apt-get may."
    )


@asynccontextmanager
async def customer_browser() -> AsyncIterator[Browser]:
    """A browser with an empty profile, which is thrown away afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=_QUIET)
        try:
            yield browser
        finally:
            await browser.close()

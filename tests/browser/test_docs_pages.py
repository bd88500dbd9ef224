"""The pages about the operations, in a real browser: they render, and ask nobody but us."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from api.operations import OPERATIONS
from cli.stack import Stack
from tests.support.databases import fresh_database
from tests.support.query_api import running_api


@dataclass
class Visit:
    """A page that is being looked at, what it has asked for, and what went wrong on it."""

    page: Page
    origin: str
    asked: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("requestfailed", lambda request: self.troubles.append(request.url))

    def _told(self, message) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def strangers(self) -> set[str]:
        hosts = {urlsplit(url).netloc for url in self.asked if not url.startswith("data:")}
        return hosts - {urlsplit(self.origin).netloc}


@pytest_asyncio.fixture(scope="module")
async def api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with fresh_database(stack.database_url) as url, running_api(url) as client:
        yield client


@pytest_asyncio.fixture
async def visit(browser: Browser, api: httpx.AsyncClient) -> AsyncIterator[Visit]:
    page = await browser.new_page()
    visiting = Visit(page, str(api.base_url).rstrip("/"))
    visiting.watch()
    yield visiting
    await page.close()


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_operations_are_rendered(visit, version) -> None:
    await visit.page.goto(f"{visit.origin}/{version}/docs")
    await visit.page.wait_for_selector(".opblock")
    shown = await visit.page.locator(".opblock-summary-path").all_inner_texts()
    # the viewer puts spaces of no width into paths, so that they may be broken there
    paths = [text.replace("\u200b", "") for text in shown]
    assert sorted(paths) == sorted(each.path for each in OPERATIONS)
    assert await visit.page.locator(".info .title").inner_text() != ""
    assert visit.troubles == []
    assert visit.strangers() == set()


async def test_an_operation_opens_and_shows_its_parts(visit) -> None:
    await visit.page.goto(f"{visit.origin}/v2/docs")
    await visit.page.locator("#operations-wallets-debitWallet .opblock-summary-control").click()
    opened = visit.page.locator("#operations-wallets-debitWallet .opblock-body")
    await opened.wait_for()
    text = await opened.inner_text()
    assert "credits:write" in text
    assert "Idempotency-Key" in text
    assert "sms_batch_8821" in text
    for status in ("200", "400", "401", "403", "404", "409", "429", "503"):
        assert status in text
    assert visit.troubles == []
    assert visit.strangers() == set()


async def test_an_operation_can_be_tried_with_a_key(visit, api) -> None:
    client_id, secret = "0" * 12, "0" * 64
    await visit.page.goto(f"{visit.origin}/v2/docs")
    await visit.page.locator(".auth-wrapper .authorize").first.click()
    await visit.page.locator("#auth-basic-username, [name=username]").first.fill(client_id)
    await visit.page.locator("#auth-basic-password, [name=password]").first.fill(secret)
    await visit.page.locator(".modal-ux .authorize").first.click()
    await visit.page.locator(".modal-ux .btn-done").first.click()
    await visit.page.locator("#operations-wallets-listWallets .opblock-summary-control").click()
    await visit.page.locator("#operations-wallets-listWallets .try-out__btn").click()
    async with visit.page.expect_response("**/v2/wallets*") as waiting:
        await visit.page.locator("#operations-wallets-listWallets .execute").click()
    answer = await waiting.value
    sent = await answer.request.all_headers()
    assert sent["authorization"] == httpx.BasicAuth(client_id, secret)._auth_header
    assert visit.strangers() == set()


@pytest.mark.parametrize("path", ["/docs", "/docs/errors#insufficient_funds"])
async def test_plain_pages_are_rendered(visit, path) -> None:
    await visit.page.goto(f"{visit.origin}{path}")
    assert await visit.page.locator("h1").inner_text() != ""
    if "#" in path:
        assert await visit.page.locator("section:target code").first.inner_text() == (
            "insufficient_funds"
        )
    assert visit.troubles == []
    assert visit.strangers() == set()
    narrow = await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert narrow

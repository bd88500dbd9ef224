"""The short way leads where the framework's does, or leaves the request to the framework."""

from typing import Any

import pytest

from api.routing import Route, Router


class _Application:
    """Notes what it was asked for."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: object, send: object) -> None:
        self.scopes.append(scope)


def _scope(method: str, path: str, host: bytes = b"w.example:8080") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "headers": [(b"host", host)]}


ROUTES = [
    ("GET", "/v1/wallets"),
    ("GET", "/v1/wallets/{wallet_id}"),
    ("GET", "/v1/customers/{customer_id}"),
    ("POST", "/v1/wallets/{wallet_id}/debit"),
    ("POST", "/v1/wallets/{wallet_id}/parts/{part_id}"),
]


async def _led(scope: dict[str, Any]) -> str | None:
    """The template of the route that was found; None if it is the framework's turn."""
    apps = {route: _Application() for route in ROUTES}
    framework = _Application()
    router = Router([Route(*route, app) for route, app in apps.items()], framework)
    await router(scope, None, None)  # type: ignore[arg-type]
    found = [route for route, app in apps.items() if app.scopes]
    assert len(found) + len(framework.scopes) == 1
    assert scope.get("path_template") == (found[0][1] if found else None)
    return found[0][1] if found else None


@pytest.mark.parametrize(
    ("method", "path", "template", "parameters"),
    [
        ("GET", "/v1/wallets", "/v1/wallets", {}),
        ("GET", "/v1/wallets/wal_1", "/v1/wallets/{wallet_id}", {"wallet_id": "wal_1"}),
        ("GET", "/v1/wallets/é %\0", "/v1/wallets/{wallet_id}", {"wallet_id": "é %\0"}),
        ("GET", "/v1/customers/c", "/v1/customers/{customer_id}", {"customer_id": "c"}),
        ("POST", "/v1/wallets/w/debit", "/v1/wallets/{wallet_id}/debit", {"wallet_id": "w"}),
        (
            "POST",
            "/v1/wallets/w/parts/p",
            "/v1/wallets/{wallet_id}/parts/{part_id}",
            {"wallet_id": "w", "part_id": "p"},
        ),
    ],
)
async def test_the_usual_way_to_write_a_path_is_known(method, path, template, parameters) -> None:
    scope = _scope(method, path)
    assert await _led(scope) == template
    assert scope["path_params"] == parameters


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/wallets"),
        ("get", "/v1/wallets"),
        ("OPTIONS", "/v1/wallets/wal_1"),
        ("GET", "/v1/wallets/"),
        ("GET", "//v1/wallets"),
        ("GET", "/v1//wallets"),
        ("POST", "/v1/wallets//debit"),
        ("POST", "/v1/wallets/w/debit/"),
        ("GET", "/V1/wallets"),
        ("GET", "/v1/wallets/w/debit"),
        ("GET", "/v1/docs"),
        ("GET", "/"),
        ("GET", "*"),
        ("GET", ""),
        ("GET", "/v1/{}/wal_1"),
    ],
)
async def test_everything_else_is_the_frameworks(method, path) -> None:
    assert await _led(_scope(method, path)) is None


@pytest.mark.parametrize("host", [b'x"', b"a b", b"\xff", b"a/b"])
async def test_a_host_that_cannot_be_is_the_frameworks_to_refuse(host) -> None:
    assert await _led(_scope("GET", "/v1/wallets", host)) is None


async def test_a_request_without_a_host_is_answered() -> None:
    scope = _scope("GET", "/v1/wallets")
    scope["headers"] = []
    assert await _led(scope) == "/v1/wallets"

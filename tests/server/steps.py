"""Steps that the server's tests share: an application over real services, and people with keys."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

from tests.services.steps import ADMIN

from trimtab.bootstrap import Trimtab
from trimtab.core.rights import Role
from trimtab.server.app import create_app

with warnings.catch_warnings():
    # Starlette asks for the successor of httpx, which is a pre-release so far.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PEOPLE = {
    "ada": Role.ADMIN,
    "olga": Role.OPERATOR,
    "abel": Role.APPROVER,
    "rita": Role.REVIEWER,
    "vera": Role.VIEWER,
    "mailbot": Role.AGENT,
}
BY_ROLE = {role: name for name, role in PEOPLE.items()}


class _Keys(dict[str, str]):
    """A key for each of the people, made when it is first used."""

    def __init__(self, trimtab: Trimtab) -> None:
        super().__init__()
        self._trimtab = trimtab

    def __missing__(self, name: str) -> str:
        self[name] = key(self._trimtab, name, PEOPLE[name])
        return self[name]


class Api:
    """The API as people and agents call it, each with a key of their own."""

    def __init__(self, trimtab: Trimtab) -> None:
        self.trimtab = trimtab
        self.keys = _Keys(trimtab)
        self.client = TestClient(create_app(trimtab, worker="test"))

    def call(self, method: str, path: str, *, who: str | None = "ada", **more: Any) -> Any:
        """The response. `who` None: without a key."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        return self.client.request(method, path, headers=headers, **more)

    def get(self, path: str, *, who: str | None = "vera", **more: Any) -> Any:
        return self.call("GET", path, who=who, **more)

    def post(self, path: str, *, who: str | None = "olga", **more: Any) -> Any:
        return self.call("POST", path, who=who, **more)

    def good(self, method: str, path: str, *, who: str = "ada", **more: Any) -> Any:
        """The body of a response that must be good."""
        response = self.call(method, path, who=who, **more)
        assert response.status_code < 300, response.text
        return response.json()


def key(trimtab: Trimtab, name: str, role: Role, *, days: int = 30) -> str:
    return trimtab.api_keys.create(ADMIN, name, role, life=timedelta(days=days)).text


def problem(response: Any, status: int, code: str) -> str:
    """The detail of a refusal that must be this one, in the one shape that they all have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:trimtab:error:{code}"
    assert body["title"]
    return str(body["detail"])

"""A question to freshet's HTTP API, and its answer as a table."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson

from online_models.errors import FreshetError

if TYPE_CHECKING:
    from rich.table import Table


class ApiUnavailable(FreshetError):
    """The API did not answer, or refused the question; the text says which."""


def recommendations(
    base: str,
    user: str,
    *,
    n: int | None = None,
    surface: str | None = None,
    explain: bool = False,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """``GET /v1/recommendations/{user_id}``.

    Raises:
        ApiUnavailable: no answer, or one that is no slate.
    """
    asked = {"n": n, "surface": surface, "explain": "true" if explain else None}
    query = urlencode({k: v for k, v in asked.items() if v is not None})
    path = f"/v1/recommendations/{quote(user, safe='')}" + (f"?{query}" if query else "")
    answer = get(base.rstrip("/") + path, timeout_s=timeout_s)
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise ApiUnavailable(f"{base}: the answer holds no items; is it freshet's API?")
    return answer


def get(url: str, *, timeout_s: float = 5.0) -> Any:
    """The JSON at a URL.

    Raises:
        ApiUnavailable: no answer, or a refusal: its problem document's detail is in the text.
    """
    if not url.startswith(("http://", "https://")):
        raise ApiUnavailable(f"{url}: wanted http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310  the scheme is checked
            return orjson.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise ApiUnavailable(f"{url}: {error.code} {_detail(error)}") from error
    except (OSError, orjson.JSONDecodeError) as error:
        reason = getattr(error, "reason", error)
        raise ApiUnavailable(f"{url}: no answer ({reason}); start it:  freshet serve") from error


def table(answer: Mapping[str, Any]) -> Table:
    """A slate for people to read."""
    from rich.table import Table

    degraded = f", degraded: {answer['degraded']}" if answer.get("degraded") else ""
    shown = Table(title=f"{answer.get('user_id', '')}{degraded}", title_justify="left")
    for name in ("", "item", "title", "score", "source", "propensity", "probability"):
        numeric = name in ("", "score", "propensity", "probability")
        shown.add_column(name, justify="right" if numeric else "left")
    for k, item in enumerate(answer["items"], start=1):
        numbers = [_number(item.get(name)) for name in ("score", "propensity", "probability")]
        title, source = str(item.get("title") or ""), str(item.get("source") or "")
        shown.add_row(str(k), str(item.get("item_id")), title, numbers[0], source, *numbers[1:])
    return shown


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else ""


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        problem = orjson.loads(error.read())
        return str(problem.get("detail") or problem.get("title") or error.reason)
    except (OSError, orjson.JSONDecodeError, AttributeError):
        return str(error.reason)

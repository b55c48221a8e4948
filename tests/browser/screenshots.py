"""``make screenshots``: what the README shows, taken of a demo that has run for a while."""

from __future__ import annotations

import tempfile
from pathlib import Path

from selenium.webdriver import Chrome

from tests.browser.chromium import browser, errors, missing, until
from tests.browser.conftest import demo

IMAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
FRESH_AFTER = 75
"""Ticks before the first picture: the lines then have something to tell."""


def main() -> int:
    """Take them; returns the exit code."""
    if lacking := missing():
        print(lacking)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as base:
        _take(base, "console-live", "live", dark=False, after=FRESH_AFTER)
        _take(base, "console-user", "user", dark=True, after=5)
        _take(base, "console-items", "items", dark=False, after=5)
    return 0


def _take(base: str, name: str, view: str, *, dark: bool, after: int) -> None:
    with browser(1280, 860, dark=dark) as driver:
        driver.set_script_timeout(300)
        driver.get(f"{base}/#{view}")
        _ticks(driver, after)
        if view == "user":
            _click(driver)
        path = IMAGES / f"{name}.png"
        driver.save_screenshot(str(path))
        print(f"{path.name}  {path.stat().st_size // 1024} KB", *errors(driver))


def _ticks(driver: Chrome, n: int) -> None:
    """Wait until the page has had so many ticks since it was opened."""
    script = """const done = arguments[1], first = freshet.ticks.length;
        setInterval(() => { if (freshet.ticks.length >= first + arguments[0] && freshet.latest) done(1); }, 100);"""
    driver.execute_async_script(script, n)


def _click(driver: Chrome) -> None:
    for _ in range(2):
        until(driver, lambda d: d.find_elements("css selector", "#slate .t"), "a slate")
        driver.execute_script("delete document.querySelector('#took').dataset.ms")
        driver.execute_script("document.querySelector('#slate .t').click()")
        until(
            driver,
            lambda d: d.execute_script("return document.querySelector('#took').dataset.ms"),
            "the click",
        )
    driver.execute_script("document.querySelector('#slate details').open = true")


if __name__ == "__main__":
    raise SystemExit(main())

"""A headless Chromium of the system, driven over WebDriver; nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 30.0
T = TypeVar("T")


def missing() -> str:
    """What has to be installed; empty when all is there."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {lacking[0]}:  sudo apt-get install chromium chromium-driver" if lacking else ""


@contextmanager
def browser(width: int = 1280, height: int = 900, *, dark: bool = False) -> Iterator[Chrome]:
    """A browser with a window of that size."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu",
        "--disable-background-networking", "--lang=en",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))
    try:
        # a window has a least width; the page is told its size all the same
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def until(driver: Chrome, holds: Callable[[Chrome], T], what: str) -> T:
    """What ``holds`` gives once that is true; fails naming ``what`` when it is not in time."""
    result: T = WebDriverWait(driver, PATIENCE_S, poll_frequency=0.05).until(holds, f"never seen: {what}")
    return result


def errors(driver: Chrome) -> list[str]:
    """What the page has complained of since last asked."""
    entries: list[dict[str, Any]] = driver.get_log("browser")
    return [str(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]

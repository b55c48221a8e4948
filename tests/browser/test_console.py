"""The live console as a person sees it, in a browser, on a pipeline that runs."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import browser, errors, until

VIEWS = ("live", "user", "items", "models", "experiments", "health")


def _titles(driver: Chrome) -> list[str]:
    script = "return [...document.querySelectorAll('#slate .t')].map((title) => title.textContent)"
    return list(driver.execute_script(script))


def _open(driver: Chrome, console: str, view: str) -> None:
    driver.get(f"{console}/#{view}")
    until(driver, lambda d: d.execute_script("return Boolean(window.freshet?.latest)"), "a tick")


def test_a_click_on_an_item_changes_the_list_and_says_how_long_that_took(console: str) -> None:
    with browser() as driver:
        _open(driver, console, "user")
        until(driver, lambda d: len(_titles(d)) == 10, "a slate of ten")
        before = _titles(driver)
        driver.find_element(By.CSS_SELECTOR, "#slate .t").click()
        until(
            driver,
            lambda d: d.execute_script("return document.querySelector('#took').dataset.ms"),
            "how long",
        )
        after = _titles(driver)
        took = float(driver.execute_script("return document.querySelector('#took').dataset.ms"))
        history = driver.find_element(By.CSS_SELECTOR, "#history li").text
        assert errors(driver) == []
    assert after != before
    assert before[0] not in after
    assert before[0] in history
    assert 0.0 < took < 5_000.0


def test_every_view_fills_and_the_page_complains_of_nothing(console: str) -> None:
    with browser() as driver:
        _open(driver, console, "live")
        for number, view in enumerate(VIEWS, start=1):
            driver.find_element(By.TAG_NAME, "body").send_keys(str(number))
            until(driver, lambda d, v=view: d.execute_script("return location.hash") == f"#{v}", view)
            until(driver, lambda d: len(d.find_elements(By.CLASS_NAME, "card")) >= 2, f"cards of {view}")
        until(driver, lambda d: "ready" in d.find_element(By.ID, "view").text, "readiness")
        assert errors(driver) == []


def test_light_and_dark_follow_the_system_and_a_key(console: str) -> None:
    def theme(driver: Chrome) -> Any:
        return driver.execute_script("return document.documentElement.dataset.theme")

    with browser(dark=True) as driver:
        _open(driver, console, "live")
        assert theme(driver) == "dark"
        driver.find_element(By.TAG_NAME, "body").send_keys("t")
        assert theme(driver) == "light"


def test_a_user_is_found_by_keys_alone(console: str) -> None:
    with browser() as driver:
        _open(driver, console, "user")
        driver.find_element(By.TAG_NAME, "body").send_keys("/")
        field = driver.switch_to.active_element
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys("somebody-new", Keys.ENTER)
        until(driver, lambda d: "somebody-new" in d.find_element(By.ID, "view").text, "the user's slate")
        assert errors(driver) == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_small_telephone(console: str, view: str) -> None:
    with browser(360, 740) as driver:
        _open(driver, console, view)
        until(driver, lambda d: d.find_elements(By.CLASS_NAME, "card"), "a card")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360

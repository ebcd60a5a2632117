"""What every view in a browser is asked."""

from typing import Any

import pytest


def check_accessible(page: Any, width: int) -> None:
    """Nothing is wider than the window, and axe finds no fault."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


def check_no_scroll(page: Any, selector: str) -> None:
    """A table is not wider than what it stands in."""
    inside = page.locator(selector).evaluate(
        "table => [table.scrollWidth, table.parentElement.clientWidth]"
    )
    assert inside[0] <= inside[1]

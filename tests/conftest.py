"""Fixtures that several test files use."""

import os
from pathlib import Path

import pytest

CORE = (
    "arithmetic",
    "test_attribution",
    "test_interventions",
    "test_stats",
    "test_training",
    "test_zoo",
)


def pytest_collection_modifyitems(items) -> None:
    """Mark what must also hold on the newest transformer-lens, and what needs a browser."""
    here = Path(__file__).parent
    for item in items:
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
        elif (
            here in item.path.parents
            and item.path.relative_to(here).parts[0].removesuffix(".py") in CORE
        ):
            item.add_marker(pytest.mark.core)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """An optional folder ``shared`` beside the checkout, with a real pre-trained model."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder `shared` beside the checkout")
    return folder


@pytest.fixture(scope="session")
def same_weights():
    """Asserts that two weight files hold the same training result.

    Libraries do not promise to repeat a sum of floating-point numbers bit for bit, so rounding is
    allowed for: a relative disturbance of 1e-7 in every weight at step 0 moves 99 of 100 weights by
    less than 6e-7 after 5 to 300 steps (the rest by up to 3e-3, where Adam divides a tiny gradient
    by its own size). Moments that were lost at a resumption move the 99th percentile by 4e-3 or
    more.
    """
    import torch
    from safetensors.torch import load_file

    def check(ours: Path, theirs: Path) -> None:
        a, b = load_file(ours), load_file(theirs)
        assert a.keys() == b.keys()
        assert all(a[name].shape == b[name].shape for name in a)
        moved = torch.cat([(a[name] - b[name]).abs().flatten().float() for name in a])
        assert moved.isfinite().all()
        assert moved.kthvalue(round(0.99 * len(moved))).values < 1e-5

    return check


CHROMIUM = "/usr/bin/chromium"
QUIET = ("quic", "background-networking", "component-update", "sync")


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium. One a module: an open one keeps an event loop that other tests could not start."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if sync_playwright is None or not Path(CHROMIUM).exists():
        reason = f"browser tests need {CHROMIUM} and the Python package playwright"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        *(f"--disable-{name}" for name in QUIET),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_view(chromium, tmp_path):
    """Opens a `View` in a page without a network; fails on any request, console error or script error not expected."""
    contexts, found = [], []

    def open_it(view, body: str = "", faults: tuple[str, ...] = (), **options):
        document = view.page()
        if body:
            document = document.replace(view._repr_html_(), body)
        file = tmp_path / "view.html"
        file.write_text(document, encoding="utf-8")
        context = chromium.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda request: (
                found.append(request.url) if not request.url.startswith("file:") else None
            ),
        )
        page.on(
            "console",
            lambda message: found.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: found.append(str(error)))
        page.goto(file.as_uri())
        for fault in faults:
            found[:] = [text for text in found if fault not in text]
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not found

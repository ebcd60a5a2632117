"""Fixtures that several test files use."""

import os
import re
from pathlib import Path

import pytest
import seconds
from jaxtyping import install_import_hook

HOUSES = ("arithmetic", "circuits", "knowledge", "detox", "tinyworld", "zoo", "show", "training")
HOUSES += ("attribution", "changes", "stats")
ROOMS = ("data", "probes", "steering", "information", "explorer")
CHECKED = [f"helpers.{name}" for name in HOUSES] + [f"helpers.trust.{name}" for name in ROOMS]
"""What the shapes are checked of. `helpers.trust.series` hashes the code of its work, with what it
uses of `interventions` and `texts`: a checker would stand before that code."""
# Before anything of the package is imported: its shapes are checked in every test.
install_import_hook(CHECKED, "shape_checks.after_the_call")
import helpers  # noqa: E402, F401  it says how threads shall wait, before a test loads torch

HERE = Path(__file__).parent
CORE = ("arithmetic", "training", "zoo", "test_attribution", "test_interventions", "test_stats")
"""Folders and files of tests that must hold on the newest transformer-lens as well."""
LONG = ("labs", "book")
"""Folders whose tests take minutes: they begin first, so that no core waits at the end."""


def place(item: pytest.Item) -> str:
    """First folder or file below ``tests``; "" for a doctest of the package."""
    inside = HERE in item.path.parents
    return item.path.relative_to(HERE).parts[0].removesuffix(".py") if inside else ""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--store-seconds`` measures anew which tests take long."""
    parser.addoption("--store-seconds", action="store_true", help="measure which tests take long")


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Store the seconds of a run that was asked to."""
    if config.getoption("--store-seconds"):
        reports = [report for group in terminalreporter.stats.values() for report in group]
        seconds.store(report for report in reports if isinstance(report, pytest.TestReport))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or long and what belongs to the core; the longest files first."""
    long = seconds.long_functions()
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"expected a test with the same name in every process; got {item.nodeid}"
            )
        if seconds.function_of(item.nodeid) in long:
            item.add_marker(pytest.mark.long)
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
        elif place(item) in CORE:
            item.add_marker(pytest.mark.core)
    items.sort(key=lambda item: place(item) not in LONG)


def together(nodeid: str) -> str:
    """What one process runs as a whole: a file, a lab, or all tests of the built book."""
    file, _, test = nodeid.partition("::")
    if file.startswith("tests/book/"):  # one process builds the book, if it is not there
        return "tests/book"
    lab = re.search(r"\[(lab\d+)", test) if file.startswith("tests/labs/") else None
    return f"{file} {lab[1]}" if lab else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Tests that share fixtures go to one process (marks cannot say so: xdist 3.8 writes them into
    an attribute that pytest 9 no longer reads, and then sends every test anywhere)."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    return Together(config, log)


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
    """A headless Chromium, one per module: an open one keeps an event loop that others need."""
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
    """Opens a `View` in a page without a network.

    Fails on any request, and on any console or script error that is not expected.
    """
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

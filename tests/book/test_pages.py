"""Every page of the built book, offline in headless Chromium: light and wide, dark on a phone."""

from dataclasses import dataclass, field

import pytest

pytestmark = [pytest.mark.book, pytest.mark.browser, pytest.mark.slow]

SCREENS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1400, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
}
TYPESET = "() => window.MathJax?.startup?.promise ?? true"
LOOK = """() => ({
    theme: document.documentElement.dataset.theme,
    silent: [...document.images].filter(i => !(i.alt || '').trim())
        .map(i => i.outerHTML.slice(0, 200)),
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth)
        .map(i => i.outerHTML.slice(0, 200)),
    failed: [...document.querySelectorAll('.traceback, .output.stderr')]
        .map(e => e.innerText.slice(0, 500)),
    raw: [...document.querySelectorAll('span.math, div.math')]
        .filter(e => !e.querySelector('mjx-container, mjx-math')).length,
    merror: [...document.querySelectorAll('mjx-merror')].map(e => e.innerText),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
})"""


@dataclass
class Visit:
    """What was seen on one page on one screen."""

    looked: dict = field(default_factory=dict)
    console: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    axe: list[str] = field(default_factory=list)


def visit(browser, site: str, path: str, screen: dict) -> Visit:
    """Open one page in a context of its own and note everything that should not be."""
    from axe_playwright_python.sync_playwright import Axe

    seen = Visit()

    def guard(route):
        if route.request.url.startswith(site):
            route.continue_()
        else:
            seen.remote.append(route.request.url)
            route.abort()

    context = browser.new_context(**screen)
    context.route("**/*", guard)
    page = context.new_page()
    page.on(
        "console",
        lambda message: (
            seen.console.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    page.on(
        "response", lambda answer: seen.missing.append(answer.url) if answer.status >= 400 else None
    )
    page.goto(site + path, wait_until="load")
    page.evaluate(TYPESET)
    seen.looked = page.evaluate(LOOK)
    found = Axe().run(
        page, options={"preload": False, "resultTypes": ["violations"]}
    )  # preloading asks for style sheets again
    for fault in found.response["violations"]:
        if fault["impact"] in ("serious", "critical"):
            places = [f"{node['target']}: {node['html'][:160]}" for node in fault["nodes"][:3]]
            seen.axe.append(f"{fault['id']} × {len(fault['nodes'])}, as " + " | ".join(places))
    context.close()
    return seen


@pytest.fixture(scope="module")
def visits(chromium, site, pages) -> dict[str, Visit]:
    """Every page on every screen, by 'path (theme)'."""
    return {
        f"{path} ({name})": visit(chromium, site, path, screen)
        for path in pages
        for name, screen in SCREENS.items()
    }


def expect_none(visits: dict[str, Visit], faults_of) -> None:
    """Fail with one line for each fault and the page it is on."""
    faults = [f"{page}: {fault}" for page, seen in visits.items() for fault in faults_of(seen)]
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_every_page_was_opened_in_both_themes(visits, pages):
    assert len(visits) == 2 * len(pages) >= 2 * 14
    for name, seen in visits.items():
        assert seen.looked["theme"] in name


def test_no_page_reports_an_error(visits):
    expect_none(visits, lambda seen: seen.console)


def test_no_page_asks_for_anything_remote(visits):
    expect_none(visits, lambda seen: seen.remote)


def test_nothing_is_missing_on_the_site(visits):
    expect_none(visits, lambda seen: seen.missing)


def test_no_cell_failed(visits):
    expect_none(visits, lambda seen: seen.looked["failed"])


def test_every_image_is_shown_and_has_words(visits):
    expect_none(visits, lambda seen: seen.looked["silent"] + seen.looked["broken"])


def test_mathematics_is_typeset(visits):
    expect_none(visits, lambda seen: seen.looked["merror"])
    expect_none(
        visits,
        lambda seen: [f"{seen.looked['raw']} formulas as source"] if seen.looked["raw"] else [],
    )


def test_no_page_is_wider_than_its_screen(visits):
    expect_none(
        visits,
        lambda seen: (
            [f"{seen.looked['overflow']} px too wide"] if seen.looked["overflow"] > 0 else []
        ),
    )


def test_axe_finds_no_serious_violation(visits):
    expect_none(visits, lambda seen: seen.axe)

"""Sphinx extension of the book: pages that load nothing remote, and markup that screen readers
understand.

jupyter-book always adds the scripts of *thebe* (live code from another host) and jupyter widgets
ask for *require.js*; no page of this book uses either. The theme shows a logo or the title; here it
shows both. The bibliography is marked up as a list whose entries are no list items; here they
become ones.
"""

from typing import Any

UNUSED = ("thebe", "require.js", "html-manager")


def setup(app) -> dict[str, Any]:
    """Entry point for Sphinx."""
    app.connect("config-inited", _name_beside_logo)
    app.connect(
        "html-page-context", _mend, priority=900
    )  # after every extension has added its files
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _name_beside_logo(app, config) -> None:
    logo = {"text": config.html_title or config.project, "alt_text": "First page"}
    config.html_theme_options = config.html_theme_options | {
        "logo": logo
    }  # jupyter-book fills in the rest


def _mend(app, pagename: str, templatename: str, context: dict[str, Any], doctree) -> None:
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not _is_unused(file)]
    if "body" in context:
        context["body"] = mended(context["body"])


def _is_unused(file: Any) -> bool:
    """Whether no page needs a script or style sheet, given by name or as inline code."""
    inline = getattr(file, "attributes", {}).get("body", "")
    text = f"{getattr(file, 'filename', file)} {inline}".lower()
    return any(name in text for name in UNUSED)


def mended(body: str) -> str:
    """Markup of a page whose bibliography entries are list items.

    >>> mended('<div role="list"><div class="citation" role="doc-biblioentry">')
    '<div role="list"><div class="citation" role="listitem">'
    """
    return body.replace('role="doc-biblioentry"', 'role="listitem"')

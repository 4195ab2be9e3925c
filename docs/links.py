"""Checks that every link inside a built site leads somewhere: ``python docs/links.py FOLDER``.

It needs no network: links to other sites are counted, not followed. It also holds that the pages
link to the reference of each library that the docstrings mention.
"""

from __future__ import annotations

import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LIBRARIES = (
    "deap.readthedocs.io",
    "docs.python.org",
    "docs.pytorch.org",
    "networkx.org",
    "numpy.org",
)


class Page(HTMLParser):
    """The links and the anchors of an HTML page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.pictures = 0
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "img"
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(pages: dict[Path, Page], elsewhere: Counter[str]) -> list[str]:
    """Return the links that lead nowhere; count the hosts of those that leave the site."""
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                elsewhere[parts.netloc] += 1
            elif not parts.scheme:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                anchored = pages.get(target)
                missing = anchored is not None and unquote(parts.fragment) not in anchored.anchors
                if not target.exists() or missing:
                    broken.append(f"{path.name}: {link}")
    return broken


def main() -> None:
    site = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    elsewhere: Counter[str] = Counter()
    problems = broken_links(pages, elsewhere)
    problems += [f"no page links to {host}" for host in LIBRARIES if not elsewhere[host]]
    links, pictures = (
        sum(counts)
        for counts in zip(
            *((len(page.links), page.pictures) for page in pages.values()), strict=True
        )
    )
    print(f"{len(pages)} pages, {links} links, {pictures} pictures shown")
    print("to other sites:", dict(elsewhere.most_common()))
    print(*problems, sep="\n")
    sys.exit(bool(problems or not pages))


if __name__ == "__main__":
    main()

"""A real Chromium for the tests of the page: the system's own, driven by Playwright."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


NAMES = ("chromium", "chromium-browser", "google-chrome")


def why_not() -> str:
    """Why there is no browser here; the empty string where there is one."""
    if not any(map(shutil.which, NAMES)):
        return "no chromium is installed (Debian: apt install chromium)"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed (pip install -e '.[test]')"
    return ""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start a headless Chromium, and give Playwright's `Browser`."""
    from playwright.sync_api import sync_playwright

    path = next(found for name in NAMES if (found := shutil.which(name)))
    # In a container there may be no user namespaces for its sandbox; the pages are our own.
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


needs_chromium = pytest.mark.skipif(bool(why_not()), reason=why_not())

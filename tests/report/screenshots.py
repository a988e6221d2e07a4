"""
Pictures of a run's page, as a reader sees it: for the documentation, and to look at what a change did.

```bash
python -m tests.report.screenshots RUN docs/images     # the pictures of the documentation
python -m tests.report.screenshots RUN FOLDER --all    # the whole page, wide and narrow, light and dark
```
"""

import argparse
from pathlib import Path

from tests.report.browser import chromium
from trl_r1.report import write_report


HIGHEST, AROUND = 1250, 14  # of a picture
# Name, the element that is shown, width of the window, colours.
PICTURES = (
    ("report", ".moment .plot", 900, "light"),
    ("report-story", "#story", 900, "light"),
    ("report-dark", "#scores", 1000, "dark"),
    ("report-phone", None, 360, "light"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="the whole page in four ways")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    page_file = args.run if args.run.is_file() else write_report(args.run)
    pictures = PICTURES
    if args.all:
        pictures = tuple((f"{w}-{c}", "whole", w, c) for w in (1200, 360) for c in ("light", "dark"))
    with chromium() as browser:
        for name, shown, width, colors in pictures:
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=colors)
            page.goto(page_file.resolve().as_uri())
            page.evaluate("dispatchEvent(new Event('draw-all'))")
            file = args.folder / f"{name}.png"
            if shown == "whole":
                page.screenshot(path=file, full_page=True)
            elif shown is None:
                page.screenshot(path=file)
            else:
                box = page.locator(shown).first.bounding_box()
                clip = {"x": box["x"] - AROUND, "width": box["width"] + 2 * AROUND}
                clip |= {"y": box["y"] - AROUND, "height": min(box["height"] + 2 * AROUND, HIGHEST)}
                page.screenshot(path=file, full_page=True, clip=clip)
            page.close()
            print(f"{file}: {file.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()

"""A real headless browser, where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROBE = """<!DOCTYPE html><html><body>
<iframe id="page" style="width:{width}px;height:800px;border:0" srcdoc="{page}"></iframe>
<script>
const frame = document.getElementById('page');
frame.onload = () => {{
  const found = frame.contentDocument, root = found.documentElement;
  const wide = [...found.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg')
    && e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 80));
  const out = document.createElement('pre');
  out.id = 'found';
  out.textContent = JSON.stringify({{scroll: root.scrollWidth, client: root.clientWidth, wide: wide,
    scripts: found.scripts.length, images: found.images.length, plots: found.querySelectorAll('figure svg').length,
    fetched: frame.contentWindow.performance.getEntriesByType('resource').length}});
  document.body.append(out);
}};
</script></body></html>"""


def chromium() -> str:
    """The browser's program; skips the calling test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return found


def _run(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
        f"--user-data-dir={profile}", "--virtual-time-budget=5000",
    ]  # fmt: skip
    return subprocess.run([chromium(), *options, *arguments], capture_output=True, text=True, timeout=240, check=True)


def probe(page: str, folder: Path, *, width: int) -> dict[str, Any]:
    """What a browser finds in a page shown in a frame of that width; console: its errors and warnings."""
    file = folder / f"probe-{width}.html"
    file.write_text(PROBE.format(width=width, page=html.escape(page, quote=True)), encoding="utf-8")
    done = _run(folder / "profile", f"--window-size={max(width, 600)},900", "--dump-dom", file.as_uri())
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(html.unescape(found[1])), "console": console}


def rendered(page: str, folder: Path) -> str:
    """The elements of a page after its scripts have run."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    return _run(folder / "profile", "--dump-dom", file.as_uri()).stdout


def screenshot(page: str, folder: Path, *, width: int, height: int) -> Path:
    """A picture of the page at a width."""
    file, picture = folder / "page.html", folder / f"page-{width}.png"
    file.write_text(page, encoding="utf-8")
    _run(folder / "profile", f"--window-size={width},{height}", f"--screenshot={picture}", file.as_uri())
    return picture

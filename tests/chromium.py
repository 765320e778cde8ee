"""A page in headless Chromium: its elements after its scripts ran, its screenshot, and what it complained of."""

import os
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
]
TIMEOUT_S = 120
# The browser's virtual time waits for timers and not for frames, of which a busy machine may draw none before its end.
FRAMES_BY_TIMER = (
    "<script>window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);</script>"
)


def browse(page: Path, profile: Path, *options: str, width: int = 1280, height: int = 1600) -> tuple[str, str]:
    """The page's elements after its scripts ran, and what the browser logged."""
    assert CHROMIUM is not None
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    copy = page.with_name(f"browsed-{page.name}")
    copy.write_text(page.read_text().replace("<head>", f"<head>{FRAMES_BY_TIMER}", 1))
    done = subprocess.run(
        [
            *(CHROMIUM, *OPTIONS, *as_root, f"--user-data-dir={profile}", f"--window-size={width},{height}"),
            *("--virtual-time-budget=8000", *options, "--dump-dom", copy.as_uri()),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return done.stdout, done.stderr


def body_data(dom: str) -> dict[str, str]:
    body = re.search(r"<body[^>]*>", dom)
    assert body is not None
    return dict(re.findall(r'data-([a-z-]+)="([^"]*)"', body[0]))


def script_errors(log: str) -> list[str]:
    """What scripts of the page complained of; the driver's hints on speed are no errors."""
    lines = [line for line in log.splitlines() if ":CONSOLE" in line and "GL Driver Message" not in line]
    return [line for line in lines if re.search(r"error|exception|refused|failed", line, re.IGNORECASE)]


def with_script(page: Path, script: str) -> Path:
    """A copy of the page that runs a script at its end, as a reader would click."""
    copy = page.with_name("clicked.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    return copy

"""A headless Chromium, spoken to over pipes (its DevTools protocol), for tests of pages that scripts fill."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Tab:
    """An open page."""

    def __init__(self, to: int, answers: Any) -> None:
        self._to, self._answers, self._last, self._session = to, answers, 0, None
        self.complaints: list[str] = []
        """What the page wrote to the console as an error, scripts that failed and what its policy kept it from."""

    def open(self, url: str, width: int, height: int = 900) -> None:
        """Open a page in a window of this size."""
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol, and wait for its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]
            kind, told = answer.get("method"), answer.get("params", {})
            if kind == "Runtime.exceptionThrown" or (
                kind == "Log.entryAdded" and told["entry"]["level"] == "error" and told["entry"]["source"] != "network"
            ):
                self.complaints.append(json.dumps(told))

    def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Wait until an expression holds."""
        until = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < until, f"{script}: {self.run('document.body.innerText')}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _read(self) -> bytes:
        parts = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            parts += byte
        return bytes(parts)


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[Tab]:
    """A Chromium that runs inside, with a profile of its own."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
    ]  # fmt: skip
    # Chromium reads from 3 and writes to 4: bash puts them there, whatever their numbers are here.
    shell = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{from_write}', "bash", *command]
    process = subprocess.Popen(
        shell, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(to_read)
    os.close(from_write)
    try:
        with open(from_read, "rb") as answers:
            yield Tab(to_write, answers)
    finally:
        os.close(to_write)
        process.terminate()
        process.wait(20)

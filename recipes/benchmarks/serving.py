"""Measure what a server answers to many clients at once, beside the same server without batches over requests.

    python recipes/benchmarks/serving.py runs/classify --input_file texts.txt

Each side is `nlp-transfer serve` in a process of its own; they take turns, A B, then B A. Every client sends one text
after another on one connection, of a .txt file with one a line, or of the sample set of the package. It prints the
texts a second, the median and the 99th percentile of the seconds of an answer, and their ratios, and writes them to
runs/serving/serving.json. Clients compute on the same machine.
"""

from __future__ import annotations

import contextlib
import csv
import http.client
import itertools
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.serving_benchmark")


@dataclass
class LoadOptions:
    """Who sends what, and for how long."""

    _argument_group_name: ClassVar[str] = "load"

    input_file: str | None = nt.option(None, help="A .txt file, one text a line.", default_text="the sample set")
    clients: int = nt.option(32, help="Clients, each with one text at a time.", above=0)
    seconds: float = nt.option(20.0, help="Length of a turn.", above=0)
    repeats: int = nt.option(2, help="Turns of each side.", above=0)
    max_batch: int = nt.option(32, help="Of the side with batches.", above=1)
    mixed_precision: str = nt.option("auto", help="Of both sides.")
    output_dir: str = nt.option("runs/serving", help="Where serving.json goes.")


def main() -> None:
    """Take turns, compare, write."""
    runs = list(itertools.takewhile(lambda part: not part.startswith("-"), sys.argv[1:]))
    (options,) = nt.parse([LoadOptions], __doc__, argv=sys.argv[1 + len(runs) :])
    if len(runs) != 1:
        raise nt.OptionError("name one run, as in: python recipes/benchmarks/serving.py runs/classify.")
    texts = read_texts(options.input_file)
    turns: dict[str, list[dict[str, float]]] = {"batches": [], "max_batch 1": []}
    for turn in range(options.repeats):
        for side in list(turns)[:: 1 if turn % 2 == 0 else -1]:
            most = options.max_batch if side == "batches" else 1
            with server(runs[0], "--max_batch", str(most), "--mixed_precision", options.mixed_precision) as port:
                turns[side].append(load(port, texts, options.clients, options.seconds))
            log.info("%s: %s", side, shown(turns[side][-1]))
    ratios = [a["texts_per_second"] / b["texts_per_second"] for a, b in zip(*turns.values(), strict=True)]
    print(f"{'side':<12}{'texts/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}")
    for side, results in turns.items():
        mean = {name: float(np.median([result[name] for result in results])) for name in results[0]}
        print(
            f"{side:<12}{mean['texts_per_second']:>9.0f}{1000 * mean['p50']:>9.0f}{1000 * mean['p99']:>9.0f}"
            f"{mean['failed']:>8.0f}"
        )
    print(f"ratio {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {options.clients} clients")
    folder = Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    written = {"run": runs[0], "options": asdict(options), "turns": turns, "ratios": ratios}
    (folder / "serving.json").write_text(json.dumps(written, indent=2))


def read_texts(path: str | None) -> list[str]:
    """The lines of a file, or the texts of the sample set."""
    if path is None:
        sample = (files("nlp_transfer") / "samples" / "classification" / "train.csv").read_text(encoding="utf-8")
        return [row["text"] for row in csv.DictReader(sample.splitlines())]
    try:
        texts = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise nt.OptionError(f"cannot read --input_file {path}: {error.strerror}.") from None
    if not texts:
        raise nt.OptionError(f"--input_file {path} has no text.")
    return texts


@contextlib.contextmanager
def server(run: str, *flags: str) -> Iterator[int]:
    """The port of a server of `run` that is ready."""
    command = [sys.executable, str(Path(__file__).parents[1] / "serve.py"), run, "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines: list[str] = []
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ready: "):
                break
        else:
            raise nt.OptionError(f"the server has not started: {''.join(lines)}")
        yield int(lines[-1].partition(" (GET")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate()


def load(port: int, texts: Sequence[str], clients: int, seconds: float) -> dict[str, float]:
    """Texts a second and percentiles of `clients` that send for some seconds, after a warm-up of a tenth of them."""
    times: list[tuple[float, float]] = []
    failed: list[Any] = []
    started = time.perf_counter()
    ends = started + 1.1 * seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for text in itertools.cycle([*texts[number % len(texts) :], *texts[: number % len(texts)]]):
            sent = time.perf_counter()
            if sent > ends:
                break
            body = json.dumps({"text": text, "all_probabilities": False}).encode()
            try:
                connection.request("POST", "/predict", body)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)
                connection.close()
                continue
            if response.status != 200:
                failed.append(response.status)
            times.append((sent, time.perf_counter()))
        connection.close()

    threads = [threading.Thread(target=client, args=(number * 7,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [end - sent for sent, end in times if started + 0.1 * seconds <= end <= ends]
    p50, p99 = np.percentile(kept, [50, 99])
    return {"texts_per_second": len(kept) / seconds, "p50": float(p50), "p99": float(p99), "failed": len(failed)}


def shown(result: dict[str, float]) -> str:
    """A turn as a line of the log."""
    milliseconds = (f"{name} {1000 * result[name]:.0f} ms" for name in ("p50", "p99"))
    return f"{result['texts_per_second']:.0f} texts/s, {', '.join(milliseconds)}"


if __name__ == "__main__":
    nt.run_recipe(main)

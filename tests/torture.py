"""Runs killed at random instants and resumed until they end, whose weights must equal those of an unbroken run.

    python tests/torture.py --runs 50
    python tests/torture.py --runs 20 --processes 2
    python tests/torture.py --runs 20 --how term      (SIGTERM in place of SIGKILL)
    python tests/torture.py --runs 20 --how truncate  (a file of the newest checkpoint is cut after each kill)
    python tests/torture.py --runs 20 --how cache     (a file of kept states is damaged after each kill)

Runs are those of the recipes, over strategies and tasks, with a tiny encoder that has dropout,
in processes that are forked from this one, so that each takes about a second. Half of the kills hit at any time, the
others while a checkpoint is being written. `--folder` names where it works: a small disk, say.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple, NoReturn

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
os.environ |= {"ACCELERATE_USE_CPU": "true", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

import peft  # noqa: F401 (what a run will import, so that no child has to)
import sklearn.svm  # noqa: F401
import transformers.models.bert.modeling_bert  # noqa: F401
from conftest import RECIPES, review_lines, save_tiny_encoder, sentence_lines

import nlp_transfer as nt
from nlp_transfer.heads import ner  # noqa: F401
from nlp_transfer.run import write_run  # noqa: F401
from nlp_transfer.training import loop  # noqa: F401

CASES = [
    (recipe, strategy)
    for strategy in ("full", "freeze", "gradual", "lora", "head_then_full", "l2sp")
    for recipe in ("classify", "ner")
]
ROWS = 96
LONGEST = 900.0  # seconds that a run may take, on a machine that others use too; one that takes longer hangs
HALF_WRITTEN = ".incomplete-step*"


class Ended(NamedTuple):
    """How an attempt ended: the status of its first process (minus the signal that ended it), and its seconds."""

    status: int
    seconds: float


class Torture:
    """A folder with data and an encoder, and the weights of unbroken runs in it."""

    def __init__(self, folder: Path, processes: int, how: str, seed: int) -> None:
        self.folder = folder
        self.processes = processes
        self.how = how
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.unbroken: dict[tuple[str, str], tuple[str, float]] = {}
        lay_out(folder)

    def run(self, recipe: str, strategy: str) -> bool:
        """One run, killed up to five times; whether it ended with the weights of the unbroken one."""
        expected, seconds = self.expected(recipe, strategy)
        out = self.folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        for attempt in range(self.random.randint(1, 5)):
            ended = self.attempt(recipe, strategy, "run", resume=attempt > 0, ends_after=seconds)
            if ended.status == 0:
                break
            self.counts["stopped"] += 1
            if list((out / "checkpoints").glob(HALF_WRITTEN)):
                self.counts["stopped while writing a checkpoint"] += 1
            if ended.status not in (-signal.SIGKILL, 128 + signal.SIGTERM):
                print(f"  an attempt ended with status {ended.status}: {self.said()}")
                return False
            self.damage(out)
        else:
            if self.attempt(recipe, strategy, "run", resume=True).status:
                print(f"  the last attempt failed: {self.said()}")
                return False
        left = [path.name for path in (*out.iterdir(), *self.folder.iterdir()) if path.name.startswith(".incomplete")]
        if left or (out / "checkpoints").exists():
            print(f"  left behind: {left or 'checkpoints'}")
            return False
        return digest(out) == expected

    def expected(self, recipe: str, strategy: str) -> tuple[str, float]:
        """The digest of the weights of an unbroken run, and how long it took; the same again if told a second time."""
        if (recipe, strategy) not in self.unbroken:
            ended = self.attempt(recipe, strategy, "unbroken", resume=False)
            assert ended.status == 0, self.said()
            self.unbroken[recipe, strategy] = (digest(self.folder / "unbroken"), ended.seconds)
        return self.unbroken[recipe, strategy]

    def attempt(self, recipe: str, strategy: str, name: str, *, resume: bool, ends_after: float | None = None) -> Ended:
        """Start or resume a run; where `ends_after` is given, stop it at some instant in so many seconds."""
        what = "--resume" if resume else "--overwrite_output_dir"
        flags = [*flags_of(recipe, strategy, self.processes), "--output_dir", name, what]
        began = time.monotonic()
        port = free_port() if self.processes > 1 else 0
        children = [self.start(recipe, flags, rank, port) for rank in range(self.processes)]
        if ends_after is not None:
            self.wait_for_an_instant(children, ends_after)
            self.stop(children)
        statuses = [self.wait(child) for child in children]
        return Ended(next((status for status in statuses if status), 0), time.monotonic() - began)

    def start(self, recipe: str, flags: list[str], rank: int, port: int) -> int:
        """The process id of a child that is one process of a run."""
        child = os.fork()
        if not child:
            if self.processes > 1:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.processes)}
                os.environ |= {"LOCAL_WORLD_SIZE": str(self.processes), "MASTER_ADDR": "127.0.0.1"}
                os.environ["MASTER_PORT"] = str(port)
            be_a_run(recipe, flags, self.folder, rank)
        return child

    def wait_for_an_instant(self, children: list[int], seconds: float) -> None:
        """Wait for some time; in half of the cases then until a checkpoint is being written."""
        end = time.monotonic() + self.random.uniform(0.05, 0.8) * seconds
        while time.monotonic() < end and all(map(goes_on, children)):
            time.sleep(0.001)
        if self.random.random() < 0.5:
            return
        late = time.monotonic() + seconds
        folder = self.folder / "run" / "checkpoints"
        while time.monotonic() < late and all(map(goes_on, children)) and not is_being_written(folder):
            time.sleep(0.0002)
        time.sleep(self.random.uniform(0, 0.01))

    def stop(self, children: list[int]) -> None:
        """Kill one process, and a little later the others, as a launcher does; or tell all of them to end."""
        number = signal.SIGTERM if self.how == "term" else signal.SIGKILL
        self.random.shuffle(order := list(children))
        for child in order:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
            if number == signal.SIGKILL:
                time.sleep(self.random.uniform(0, 0.05))

    def wait(self, child: int) -> int:
        """The status that a child ends with; it is killed where it hangs."""
        late = time.monotonic() + LONGEST
        while time.monotonic() < late:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print(f"  a process hung: {self.said()}")
        return 99

    def damage(self, out: Path) -> None:
        """Cut a file of the newest checkpoint, or change what is kept of frozen layers."""
        steps = sorted((out / "checkpoints").glob("step-*"))
        if self.how == "truncate" and len(steps) > 1:
            path = self.random.choice(list(steps[-1].iterdir()))
            os.truncate(path, self.random.randrange(path.stat().st_size))
            self.counts["checkpoints truncated"] += 1
        if self.how == "cache":
            for path in (self.folder / "cache").glob("[0-9a-f]*/states.bin"):
                content = bytearray(path.read_bytes())
                content[self.random.randrange(len(content))] ^= 0xFF
                path.write_bytes(content)
                self.counts["cache files damaged"] += 1

    def said(self) -> str:
        """What the first process said last."""
        return (self.folder / "said-0.txt").read_text()[-2000:]


def is_being_written(folder: Path) -> bool:
    """Whether a checkpoint is being written in a folder that its run may remove meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return any(fnmatch.fnmatch(name, HALF_WRITTEN) for name in os.listdir(folder))
    return False


def goes_on(child: int) -> bool:
    """Whether a child has not ended; its status stays to be read."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def lay_out(folder: Path) -> None:
    """Write the data and the encoder."""
    lines = review_lines(ROWS)
    (folder / "rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in lines))
    sentences = ["".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in sentence_lines(ROWS)]
    (folder / "rows.conll").write_text("\n".join(sentences))
    if not os.fork():  # so that this process starts none of torch's threads
        (folder / "encoder").mkdir()
        save_tiny_encoder(folder / "encoder", "bert")
        path = folder / "encoder" / "config.json"
        dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
        path.write_text(json.dumps(json.loads(path.read_text()) | dropout))
        os._exit(0)
    os.wait()


def flags_of(recipe: str, strategy: str, processes: int) -> list[str]:
    """A short run that writes a checkpoint every second step, and one in the middle of an epoch."""
    rows = "rows.conll" if recipe == "ner" else "rows.csv"
    more = {"freeze": ["--trainable_layers", "1"], "head_then_full": ["--head_epochs", "2"]}.get(strategy, [])
    return [
        *("--train_file", rows, "--test_file", rows, "--model_name_or_path", "encoder", "--mixed_precision", "no"),
        *("--num_train_epochs", "3", "--learning_rate", "1e-3", "--per_device_train_batch_size", str(8 // processes)),
        *("--gradient_accumulation_steps", "2", "--checkpoint_every", "2 steps", "--strategy", strategy, *more),
        *("--verify", "false"),  # which starts a process that imports everything anew
    ]


def be_a_run(recipe: str, flags: list[str], folder: Path, rank: int) -> NoReturn:
    """Run a recipe in this process, as the command would, and end it."""
    os.chdir(folder)
    os.environ["NLP_TRANSFER_CACHE"] = str(folder / "cache")
    said = os.open(folder / f"said-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = [f"{recipe}.py", *flags]
    status = 1
    try:
        spec = importlib.util.spec_from_file_location(recipe, RECIPES / f"{recipe}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        nt.run_recipe(module.main)
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def digest(run: Path) -> str:
    """A hash of the weights that a run has left."""
    found = hashlib.sha256()
    for path in sorted((run / "model").glob("*.safetensors")):
        found.update(path.read_bytes())
    return found.hexdigest()


def main() -> None:
    """Torture runs, and print how many of them ended as they should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--how", choices=("kill", "term", "truncate", "cache"), default="kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="Where to work; unless given, a folder of temporary files.")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        torture = Torture(Path(folder), arguments.processes, arguments.how, arguments.seed)
        good = 0
        for number in range(arguments.runs):
            recipe, strategy = CASES[number % len(CASES)]
            is_good = torture.run(recipe, strategy)
            good += is_good
            if not is_good:
                print(f"run {number}, {recipe} {strategy}: NOT as the unbroken run", flush=True)
        counts = "; ".join(f"{count} times {what}" for what, count in sorted(torture.counts.items()))
    processes = f"{arguments.processes} process{'es' * (arguments.processes > 1)}"
    print(
        f"{good} of {arguments.runs} runs on {processes} ended with the weights of the unbroken run, bit for bit "
        f"({counts}; {time.monotonic() - began:.0f} s)."
    )
    raise SystemExit(good != arguments.runs)


if __name__ == "__main__":
    main()

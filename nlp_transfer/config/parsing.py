"""How do flags and a YAML file become options?"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints, overload

import yaml
from transformers.hf_argparser import HfArgumentParser

from nlp_transfer.errors import OptionError

Options = TypeVar("Options", bound=tuple)


@overload
def parse(options: type[Options], description: str | None, argv: Sequence[str] | None = None) -> Options: ...
@overload
def parse(options: Sequence[type], description: str | None, argv: Sequence[str] | None = None) -> tuple[Any, ...]: ...
def parse(options: Any, description: str | None, argv: Sequence[str] | None = None) -> Any:
    """Read flags, and the YAML file that `--config` names, into one instance of each dataclass in `options`.

    `options` is a list of dataclasses, or a NamedTuple whose fields are such. Flags override the file. An unknown flag
    or key is refused with the nearest known name. Raises OptionError.

    >>> class Options(NamedTuple):
    ...     model: ModelOptions
    ...     training: TrainingOptions
    >>> parse(Options, "What it does.", ["--seed", "3"]).training.seed
    3
    >>> model, training = parse([ModelOptions, TrainingOptions], "What it does.", ["--seed", "3"])
    """
    if isinstance(options, type):
        return options(*parse(list(get_type_hints(options).values()), description, argv))
    parser = _Parser(options, description=description, allow_abbrev=False, add_help=False, formatter_class=_Help)
    parser.add_argument("-h", "--help", action="help", help="Show this and exit.")
    parser.add_argument("--config", help="YAML file of options; flags override it.")
    argv = list(sys.argv[1:] if argv is None else argv)
    names = [field.name for kind in options for field in dataclasses.fields(kind)]
    parsed, unknown = parser.parse_known_args(argv)
    if parsed.config:
        parser.set_defaults(**parser.values_of_file(Path(parsed.config), names))
        parsed, unknown = parser.parse_known_args(argv)
    if unknown:
        flags = [f"--{name}" for name in (*names, "config", "help")]
        raise OptionError(f"unknown option {unknown[0]}{_nearest(unknown[0].split('=')[0], flags)}")
    values = vars(parsed)
    for name in names:
        _require_finite(name, values[name])
    return tuple(kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)}) for kind in options)


def to_yaml(*options: Any) -> str:
    """Options as the text of a YAML file that `--config` reads back into the same options."""
    values = {name: value for group in options for name, value in dataclasses.asdict(group).items()}
    return yaml.safe_dump(values, sort_keys=False)  # allow_unicode would not bring back a next-line character


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and the launch command of a recipe's docstring on a line of its own."""


class _Parser(HfArgumentParser):
    """Stops with an OptionError, and reads values from a YAML file as it reads them from flags."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # argparse's own takes -1e-3 for a flag.
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message.rstrip('.')}; see --help for all options.")

    def values_of_file(self, path: Path, names: Sequence[str]) -> dict[str, Any]:
        """What the file says of the options `names`, in their types; null leaves the default."""
        actions = {action.dest: action for action in self._actions}
        values = {}
        for name, given in _read_yaml(path).items():
            if name not in names:
                raise OptionError(f"{path} has an unknown option '{name}'{_nearest(str(name), names)}")
            if given is None:
                continue
            takes_list = actions[name].nargs == "+"
            texts = given if takes_list and isinstance(given, list) else [given]
            if not all(isinstance(text, str) for text in texts):
                wanted = "one value or a list of them" if takes_list else "one value"
                raise OptionError(f"{path}: {name} takes {wanted}; given was {given}.")
            try:
                typed = [self._get_value(actions[name], text) for text in texts]
            except argparse.ArgumentError as error:
                self.error(f"{path}: {error}")
            values[name] = typed if takes_list else typed[0]
        return values


class _PlainLoader(yaml.SafeLoader):
    """Reads null as None and every other value as its text, as a flag would: `no` is the label "no", 007 no number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (yaml's own way)
        first: [(tag, form) for tag, form in resolvers if tag == "tag:yaml.org,2002:null"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # a SafeLoader
    except OSError as error:
        raise OptionError(f"cannot read --config {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"--config {path} is not YAML: {error}") from error
    if not isinstance(values, dict | None):
        raise OptionError(f"--config {path} must hold lines such as 'learning_rate: 5e-5'.")
    return values or {}


_ALSO_CALLED = {
    "lr": "learning_rate", "epochs": "num_train_epochs", "num_epochs": "num_train_epochs", "lora_rank": "lora_r",
    "batch_size": "per_device_train_batch_size", "train_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size", "model": "model_name_or_path", "output": "output_dir",
    "train": "train_file", "validation": "validation_file", "test": "test_file", "data": "train_file",
    "text_column": "text_column_name", "label_column": "label_column_name", "scheduler": "lr_scheduler_type",
    "patience": "early_stopping_patience", "max_steps": "max_train_steps", "max_seq_length": "max_length",
}  # fmt: skip
"""What other tools call the options."""


def _nearest(name: str, names: Iterable[str]) -> str:
    names = list(names)
    dashes = "--" * name.startswith("-")
    other = dashes + _ALSO_CALLED.get(name.lstrip("-").replace("-", "_").lower(), "")
    near = [other] if other in names else difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else "; see --help for all options."


def _require_finite(name: str, value: Any) -> None:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise OptionError(f"--{name} must be a finite number; given was {number}.")

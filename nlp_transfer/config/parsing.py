"""Parser of flags and a YAML file into dataclasses of options."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import logging
import math
import re
import sys
import types
import typing
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, overload

import yaml

from nlp_transfer.config.option_fields import option_of
from nlp_transfer.config.yaml_files import read_yaml
from nlp_transfer.errors import OptionError

log = logging.getLogger(__name__)

_OF_A_RUN = 20  # options in a file: a run writes all of them, a person a few

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
        return options(*parse(list(typing.get_type_hints(options).values()), description, argv))
    parser = _Parser(options, description)
    argv = list(sys.argv[1:] if argv is None else argv)
    names = [field.name for kind in options for field in dataclasses.fields(kind)]
    parsed, unknown = parser.parse_flags(argv)
    if parsed.config:
        parser.set_defaults(**parser.values_of_file(Path(parsed.config), names))
        parsed, unknown = parser.parse_flags(argv)
    if unknown:
        flags = [f"--{name}" for name in (*names, "config", "help")]
        raise OptionError(f"unknown option {unknown[0]}{_nearest(unknown[0].split('=')[0], flags)}")
    values = vars(parsed)
    for name in names:
        _require_finite(name, values[name])
    return tuple(kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)}) for kind in options)


def values_in_file(path: Path, kind: type, names: Container[str]) -> dict[str, Any]:
    """The values that a YAML file has for the options `names` of a dataclass; others may stand in it, and null is none.

    Raises OptionError.
    """
    return _Parser([kind], None).some_values(path, names)


def to_yaml(*options: Any) -> str:
    """Options as the text of a YAML file that `--config` reads back into the same options."""
    values = {name: value for group in options for name, value in dataclasses.asdict(group).items()}
    return yaml.safe_dump(values, sort_keys=False)  # allow_unicode would not bring back a next-line character


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows each flag once, and the launch command of a recipe's docstring on a line of its own."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        flags = ", ".join(flag for flag in action.option_strings if "-" not in flag.lstrip("-"))
        value = self._format_args(action, str(action.metavar)) if action.nargs != 0 else ""
        return f"{flags} {value}".rstrip()


class _Parser(argparse.ArgumentParser):
    """Stops with an OptionError, and reads values from a YAML file as it reads them from flags."""

    def __init__(self, kinds: Sequence[type], description: str | None) -> None:
        super().__init__(
            usage="%(prog)s [--OPTION VALUE] ...", description=description, formatter_class=_Help, allow_abbrev=False,
            add_help=False, exit_on_error=False,
        )  # fmt: skip
        # argparse's own takes -1e-3 for a flag.
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
        most_used = self.add_argument_group("most used")
        fields = [
            (kind, field, flag_type(hints.get(field.name, field.type)))
            for kind in kinds
            for hints in [typing.get_type_hints(kind)]
            for field in dataclasses.fields(kind)
        ]
        self._null_implies = {field.name: option_of(field).null_implies for _, field, _ in fields}
        common = [(field, of_type) for _, field, of_type in fields if option_of(field).most_used is not None]
        for field, of_type in sorted(common, key=lambda pair: option_of(pair[0]).most_used or 0):
            _add_option(most_used, field, of_type)
        for kind in kinds:
            title = getattr(kind, "_argument_group_name", kind.__name__)
            group = self.add_argument_group(title, (inspect.getdoc(kind) or "").partition("\n")[0])
            for owner, field, of_type in fields:
                if owner is kind and option_of(field).most_used is None:
                    _add_option(group, field, of_type)
        hidden = {name for kind in kinds for name in getattr(kind, "_stands_in_for", ())}
        for action in self._actions:
            if action.dest in hidden:
                action.help = argparse.SUPPRESS
        other = self.add_argument_group("other")
        other.add_argument("--config", metavar="FILE", help="YAML file of options; flags override it.")
        other.add_argument("-h", "--help", action="help", help="Show this and exit.")

    def parse_flags(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """The values of flags, and what is none. Raises OptionError."""
        try:
            return self.parse_known_args(argv)
        except argparse.ArgumentError as error:
            self.error(_in_short(error))

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message.rstrip('.')}; see --help for all options.")

    def values_of_file(self, path: Path, names: Sequence[str]) -> dict[str, Any]:
        """The values that the file has for the options `names`, in their types.

        Null leaves the default. In a file that a run has written, which names all options, it implies values of others
        that are not named there, where the option says so.
        """
        actions = self._by_name()
        values: dict[str, Any] = {}
        implied: dict[str, Any] = {}
        read = read_yaml(path, f"--config {path}")
        for name, given in read.items():
            if name not in names:
                raise OptionError(f"{path} has an unknown option '{name}'{_nearest(str(name), names)}")
            if given is None:
                implied.update(self._null_implies.get(name, {}))
            else:
                values[name] = self._typed(path, actions[name], given)
        implied = {name: value for name, value in implied.items() if name not in read}
        if implied and len(read) >= _OF_A_RUN:
            taken = ", ".join(f"--{name} {value}" for name, value in implied.items())
            log.info("%s is from before there was %s, which it means.", path, taken)
            return implied | values
        return values

    def some_values(self, path: Path, names: Container[str]) -> dict[str, Any]:
        """The values that the file has for some options, in their types; others may stand in it, and null is none."""
        actions, read = self._by_name(), read_yaml(path, str(path))
        return {
            name: self._typed(path, actions[name], read[name])
            for name in read
            if name in names and read[name] is not None
        }

    def _by_name(self) -> dict[str, argparse.Action]:
        return {action.dest: action for action in reversed(self._actions)}  # of --verify and --no_verify the first

    def _typed(self, path: Path, action: argparse.Action, given: Any) -> Any:
        """The value that a YAML file gives to an option, in its type."""
        takes_list = action.nargs == "+"
        texts = given if takes_list and isinstance(given, list) else [given]
        if not all(isinstance(text, str) for text in texts):
            wanted = "one value or a list of them" if takes_list else "one value"
            raise OptionError(f"{path}: {action.dest} takes {wanted}; got {given}.")
        try:
            values = [self._get_value(action, text) for text in texts]
        except argparse.ArgumentError as error:
            self.error(f"{path}: {_in_short(error)}")
        return values if takes_list else values[0]


def _add_option(group: argparse._ArgumentGroup, field: dataclasses.Field[Any], kind: Any) -> None:
    """Add the flags of a field of type `kind`; --learning-rate is another way to write --learning_rate."""
    option, default = option_of(field), _default_of(field)
    flags = dict.fromkeys([f"--{field.name}", f"--{field.name.replace('_', '-')}"])
    takes_list = typing.get_origin(kind) is list
    item = typing.get_args(kind)[0] if takes_list else kind
    nargs, const, metavar = ("+" if takes_list else None), option.const, _METAVARS[item]
    if item is bool and not takes_list:
        nargs, const = "?", True
    elif const is not None:
        nargs = "?"
    group.add_argument(
        *flags, dest=field.name, type=_READERS[item], default=default, nargs=nargs, const=const, metavar=metavar,
        help=_help_of(field).replace("%", "%%"),
    )  # fmt: skip
    if default is True:
        no = dict.fromkeys([f"--no_{field.name}", f"--no-{field.name.replace('_', '-')}"])
        group.add_argument(*no, dest=field.name, action="store_false", default=True, help=argparse.SUPPRESS)


def _help_of(field: dataclasses.Field[Any]) -> str:
    """What an option does, the values it takes unless that names them, and its default."""
    option, default = option_of(field), _default_of(field)
    facts = []
    if not all(choice in option.help for choice in option.choices):
        facts.append(f"one of {', '.join(option.choices)}")
    if option.default_text or default not in (None, [], ""):
        facts.append(f"default: {option.default_text or shown_default(default)}")
    return f"{option.help} ({'; '.join(facts)})".strip() if facts else option.help


def shown_default(value: Any) -> str:
    """A default as it would be given as a flag."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(shown_default, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def flag_type(hint: Any) -> Any:
    """The type that a flag is read as: of a union its list, else str, else the number or bool that it holds."""
    members = [part for part in typing.get_args(hint) if part is not types.NoneType] if _is_union(hint) else [hint]
    for part in members:
        if typing.get_origin(part) in (list, Sequence, tuple):
            return list[typing.get_args(part)[0]]  # type: ignore[misc]
    return next((kind for kind in (str, float, int, bool) if kind in members), str)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _number(kind: type, name: str) -> Any:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"takes {name}; got {text}") from error

    return read


def _truth(text: str) -> bool:
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"takes true or false; got {text}")


_READERS = {str: str, int: _number(int, "a whole number"), float: _number(float, "a number"), bool: _truth}
_METAVARS = {str: "TEXT", int: "N", float: "X", bool: "BOOL"}


def _in_short(error: argparse.ArgumentError) -> str:
    return f"{str(error.argument_name).partition('/')[0]} {error.message}"


_ALSO_CALLED = {
    "lr": "learning_rate", "epochs": "num_train_epochs", "num_epochs": "num_train_epochs", "lora_rank": "lora_r",
    "batch_size": "per_device_train_batch_size", "train_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size", "model": "model_name_or_path", "output": "output_dir",
    "train": "train_file", "validation": "validation_file", "test": "test_file", "data": "train_file",
    "text_column": "text_column_name", "label_column": "label_column_name", "scheduler": "lr_scheduler_type",
    "patience": "early_stopping_patience", "max_steps": "max_train_steps", "max_seq_length": "max_length",
    "num_processes": "processes", "nproc_per_node": "processes",
}  # fmt: skip
"""What other tools call the options."""


def _nearest(name: str, names: Iterable[str]) -> str:
    dashes, bare = "--" * name.startswith("-"), name.lstrip("-").replace("-", "_")  # dashes would count as likeness
    known = [known.lstrip("-") for known in names]
    other = _ALSO_CALLED.get(bare.lower(), "")
    near = [other] if other in known else difflib.get_close_matches(bare, known, n=1, cutoff=0.65)
    return f"; did you mean {dashes}{near[0]}?" if near else "; see --help for all options."


def _require_finite(name: str, value: Any) -> None:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise OptionError(f"--{name} must be a finite number; got {number}.")

"""Options come from flags and files, say the same either way, and are refused where they make no sense."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import RECIPES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.config.option_fields import check_values, option, option_of
from nlp_transfer.config.parsing import shown_default, to_yaml
from nlp_transfer.config.training_options import TRACKERS
from nlp_transfer.data.long_texts import LONG_TEXTS
from nlp_transfer.data.tag_schemes import SCHEMES
from nlp_transfer.encoders.pooling.pooled_config import POOLINGS
from nlp_transfer.heads.losses import CLASS_WEIGHTS, LOSSES
from nlp_transfer.heads.text_head import WINDOW_POOLINGS

GROUPS = [
    nt.ModelOptions, nt.DataOptions, nt.ClassificationOptions, nt.SentimentOptions, nt.NEROptions,
    nt.StrategyOptions, nt.TrainingOptions, nt.OutputOptions,
]  # fmt: skip
GROUPS_OF = {
    "classify": [
        nt.ModelOptions,
        nt.DataOptions,
        nt.ClassificationOptions,
        nt.StrategyOptions,
        nt.TrainingOptions,
        nt.OutputOptions,
    ],
    "sentiment": [
        nt.ModelOptions,
        nt.DataOptions,
        nt.SentimentOptions,
        nt.StrategyOptions,
        nt.TrainingOptions,
        nt.OutputOptions,
    ],
    "ner": [nt.ModelOptions, nt.DataOptions, nt.NEROptions, nt.StrategyOptions, nt.TrainingOptions, nt.OutputOptions],
}


def parse_one(group: type, *argv: str) -> object:
    (options,) = nt.parse([group], None, argv)
    return options


def parse_file(group: type, text: str, folder: Path, *argv: str) -> object:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return parse_one(group, "--config", str(path), *argv)


def refusal(group: type, *argv: str) -> str:
    with pytest.raises(nt.OptionError) as caught:
        parse_one(group, *argv)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal_of_file(group: type, text: str, folder: Path) -> str:
    with pytest.raises(nt.OptionError) as caught:
        parse_file(group, text, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder / "run.yaml") in message
    return message


@pytest.mark.parametrize("group", GROUPS)
def test_no_flags_give_the_defaults(group):
    assert parse_one(group) == group()


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_says_what_it_is_for(group):
    for field in dataclasses.fields(group):
        assert len(field.metadata["help"]) > 10, field.name


def test_several_groups_are_filled_in_their_order():
    model, training = nt.parse([nt.ModelOptions, nt.TrainingOptions], None, ["--seed", "7", "--max_length", "9"])
    assert (model, training) == (nt.ModelOptions(max_length=9), nt.TrainingOptions(seed=7))


def test_flags_override_the_file_wherever_they_stand(tmp_path):
    text = "learning_rate: 1e-3\nseed: 4\nreport_to: [tensorboard]\n"
    path = tmp_path / "run.yaml"
    path.write_text(text)
    expected = nt.TrainingOptions(learning_rate=1e-3, seed=5, report_to=["wandb"])
    flags, config = ["--seed", "5", "--report_to", "wandb"], ["--config", str(path)]
    assert parse_one(nt.TrainingOptions, *flags, *config) == expected
    assert parse_one(nt.TrainingOptions, *config, *flags) == expected
    assert parse_one(nt.TrainingOptions, f"--config={path}", *flags) == expected


def test_a_flag_takes_back_what_the_file_switched_on(tmp_path):
    assert parse_file(nt.DataOptions, "skip_bad_rows: true", tmp_path).skip_bad_rows is True
    assert (
        parse_file(nt.DataOptions, "skip_bad_rows: true", tmp_path, "--skip_bad_rows", "false").skip_bad_rows is False
    )


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("no", False), ("false", False)])
def test_truth_values(text, value, tmp_path):
    assert parse_one(nt.DataOptions, "--skip_bad_rows", text).skip_bad_rows is value
    assert parse_file(nt.DataOptions, f"skip_bad_rows: {text}", tmp_path).skip_bad_rows is value


def test_a_truth_value_needs_no_word():
    assert parse_one(nt.DataOptions, "--skip_bad_rows", "--test_file", "a.csv") == nt.DataOptions(
        skip_bad_rows=True, test_file="a.csv"
    )


def test_null_and_nothing_leave_the_default(tmp_path):
    text = "eval_steps: null\nseed: ~\nmax_train_steps:\nreport_to: []\n"
    assert parse_file(nt.TrainingOptions, text, tmp_path) == nt.TrainingOptions()
    assert parse_file(nt.TrainingOptions, "# nothing yet\n", tmp_path) == nt.TrainingOptions()


def test_a_file_from_before_the_rule_of_defaults_keeps_its_fixed_ones(tmp_path):
    values = {field.name: getattr(nt.TrainingOptions(), field.name) for field in dataclasses.fields(nt.TrainingOptions)}
    del values["defaults"]
    old = yaml.safe_dump(values)
    assert parse_file(nt.TrainingOptions, old, tmp_path).defaults == "fixed"
    assert parse_file(nt.TrainingOptions, old + "defaults: rule\n", tmp_path).defaults == "rule"
    all_given = yaml.safe_dump(values | dict.fromkeys(("learning_rate", "num_train_epochs"), 1)
                               | {"early_stopping_patience": 1})  # fmt: skip
    assert parse_file(nt.TrainingOptions, all_given, tmp_path).defaults == "rule"
    assert parse_file(nt.TrainingOptions, "learning_rate: null\n", tmp_path).defaults == "rule"  # written by a person


def test_lists_come_from_flags_and_from_either_form_of_yaml(tmp_path):
    expected = nt.ClassificationOptions(hidden=[512, 64])
    assert parse_one(nt.ClassificationOptions, "--hidden", "512", "64") == expected
    assert parse_file(nt.ClassificationOptions, "hidden: [512, 64]", tmp_path) == expected
    assert parse_file(nt.ClassificationOptions, "hidden:\n- 512\n- 64\n", tmp_path) == expected
    assert parse_file(nt.ClassificationOptions, "hidden: 512", tmp_path).hidden == [512]


@pytest.mark.parametrize("edges", [("-0.5", "0.5"), ("-1e-3", "1e-3"), ("-2", "-1.5"), ("-.5", "5.")])
def test_negative_numbers_are_no_flags(edges, tmp_path):
    numbers = [float(edge) for edge in edges]
    assert parse_one(nt.SentimentOptions, "--level_edges", *edges).level_edges == numbers
    assert parse_file(nt.SentimentOptions, f"level_edges: [{', '.join(edges)}]", tmp_path).level_edges == numbers


def test_yaml_does_not_make_something_else_of_labels(tmp_path):
    """To YAML 1.1, no is false, 1_0 is ten, 007 is seven and 1:30 is ninety."""
    text = "levels: [no, 'null', 007, 1_0, 1:30, 2020-01-01, -]"
    expected = ["no", "null", "007", "1_0", "1:30", "2020-01-01", "-"]
    assert parse_file(nt.SentimentOptions, text.replace(", -]", ", '-']"), tmp_path).levels == expected


@pytest.mark.parametrize(
    ("argv", "near"),
    [
        (["--lerning_rate", "1"], "--learning_rate?"),
        (["--lerning_rate=1"], "--learning_rate?"),
        (["--learning-rat", "1"], "--learning_rate?"),
        (["--confg", "a.yaml"], "--config?"),
        (["--lr", "1"], "--learning_rate?"),
        (["--batch-size", "8"], "--per_device_train_batch_size?"),
    ],
)
def test_an_unknown_flag_is_refused_with_the_nearest_one(argv, near):
    message = refusal(nt.TrainingOptions, *argv)
    assert message.startswith(f"unknown option {argv[0]}; did you mean {near}")


def test_an_unknown_word_is_refused():
    assert refusal(nt.TrainingOptions, "train.csv") == "unknown option train.csv; see --help for all options."


def test_flags_are_not_guessed_from_their_beginnings():
    assert "unknown option --learning" in refusal(nt.TrainingOptions, "--learning", "1")


def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path):
    message = refusal_of_file(nt.TrainingOptions, "seed: 1\nlerning_rate: 1\n", tmp_path)
    assert "unknown option 'lerning_rate'; did you mean learning_rate?" in message
    assert "did you mean num_train_epochs?" in refusal_of_file(nt.TrainingOptions, "epochs: 3", tmp_path)
    assert "'config'" in refusal_of_file(nt.TrainingOptions, "config: other.yaml", tmp_path)
    assert "'help'" in refusal_of_file(nt.TrainingOptions, "help: true", tmp_path)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (nt.TrainingOptions, "learning_rate", "fast"),
        (nt.TrainingOptions, "seed", "1.5"),
        (nt.TrainingOptions, "max_train_steps", "1e3"),
        (nt.ClassificationOptions, "hidden", "wide"),
        (nt.SentimentOptions, "level_edges", "low"),
        (nt.DataOptions, "skip_bad_rows", "maybe"),
    ],
)
def test_a_value_of_the_wrong_type_names_its_option(group, name, value, tmp_path):
    assert f"--{name}" in refusal(group, f"--{name}", value)
    assert value in refusal(group, f"--{name}", value)
    message = refusal_of_file(group, f"{name}: {value}", tmp_path)
    assert f"--{name}" in message
    assert value in message


def test_a_flag_without_its_value_is_named():
    assert "--train_file" in refusal(nt.DataOptions, "--train_file")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("learning_rate: [1e-3, 1e-4]", "learning_rate takes one value;"),
        ("learning_rate: {low: 1e-3}", "learning_rate takes one value;"),
        ("report_to: [[tensorboard]]", "report_to takes one value or a list of them;"),
        ("report_to: [null]", "report_to takes one value or a list of them;"),
    ],
)
def test_a_file_with_a_value_of_the_wrong_shape_is_refused(text, wanted, tmp_path):
    assert wanted in refusal_of_file(nt.TrainingOptions, text, tmp_path)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"learning_rate: [1", "is not YAML"),
        (b"seed: 1\n\tseed: 2\n", "is not YAML"),
        (b"seed: \xff", "is not YAML"),
        (b"seed: !!python/object/apply:os.getcwd []", "is not YAML"),
        (b"? [a, b]\n: 1\n", "is not YAML"),
        (b"- seed\n- 3\n", "must hold lines such as"),
        (b"seed 3", "must hold lines such as"),
    ],
)
def test_a_broken_file_is_refused(content, wanted, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    assert f"--config {path} {wanted}" in refusal(nt.TrainingOptions, "--config", str(path))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    missing = tmp_path / "no.yaml"
    assert refusal(nt.TrainingOptions, "--config", str(missing)).startswith(f"cannot read --config {missing}: ")
    assert refusal(nt.TrainingOptions, "--config", str(tmp_path)).startswith(f"cannot read --config {tmp_path}: ")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("learning_rate", "0"), ("learning_rate", "-1e-3"), ("learning_rate", "nan"), ("learning_rate", "inf"),
        ("num_train_epochs", "0"), ("num_train_epochs", "inf"), ("max_train_steps", "0"), ("eval_steps", "-1"),
        ("per_device_train_batch_size", "0"), ("per_device_eval_batch_size", "-8"),
        ("gradient_accumulation_steps", "0"), ("early_stopping_patience", "-1"), ("logging_steps", "0"),
        ("weight_decay", "-0.1"), ("max_grad_norm", "-1"), ("seed", "-1"), ("seed", "4294967296"),
        ("warmup_ratio", "1"), ("warmup_ratio", "-0.1"), ("mixed_precision", "fp8"), ("lr_scheduler_type", "zigzag"),
    ],
)  # fmt: skip
def test_values_out_of_range_name_their_flag(flag, value):
    message = refusal(nt.TrainingOptions, f"--{flag}", value)
    assert f"--{flag}" in message


def test_edges_must_be_numbers():
    assert "--level_edges must be a finite number" in refusal(nt.SentimentOptions, "--level_edges", "0", "nan")


def test_an_option_of_what_was_not_chosen_is_refused():
    with pytest.raises(nt.OptionError, match="--focal_gamma needs --loss focal; got --loss cross_entropy"):
        nt.ClassificationOptions(focal_gamma=3.0)
    with pytest.raises(nt.OptionError, match="--window_pooling needs --long_texts window; got --long_texts truncate"):
        nt.SentimentOptions(window_pooling="max")
    assert nt.ClassificationOptions(focal_gamma=3.0, loss="focal").focal_gamma == 3


@pytest.mark.parametrize(
    ("kind", "option", "known"),
    [
        (nt.ClassificationOptions, "pooling", ("native", *POOLINGS)),
        (nt.ClassificationOptions, "loss", LOSSES),
        (nt.ClassificationOptions, "class_weights", CLASS_WEIGHTS),
        (nt.ClassificationOptions, "long_texts", LONG_TEXTS),
        (nt.ClassificationOptions, "window_pooling", WINDOW_POOLINGS),
        (nt.NEROptions, "tag_scheme", SCHEMES),
        (nt.NEROptions, "label_scheme", SCHEMES),
    ],
)
def test_options_of_heads_take_what_heads_take(kind, option, known):
    declared = {field.name: option_of(field).choices for field in dataclasses.fields(kind)}
    assert declared[option] == known


def test_an_unknown_choice_names_the_nearest():
    assert "; did you mean focal?" in refusal(nt.ClassificationOptions, "--loss", "focall")
    assert "; did you mean tensorboard?" in refusal(nt.TrainingOptions, "--report_to", "tensorbord")
    assert nt.NEROptions(tag_scheme="iobes", label_scheme="bilou") == nt.NEROptions("BIOES", "BILOU")
    assert refusal(nt.DataOptions, "--tag_scheme", "IOB2").endswith("--tag_scheme; see --help for all options.")


def test_values_at_the_ends_of_their_range_are_taken():
    argv = ["--weight_decay", "0", "--max_grad_norm", "0", "--seed", "2147483647", "--warmup_ratio", "0"]
    argv += ["--num_train_epochs", "0.5"]
    expected = nt.TrainingOptions(
        weight_decay=0.0, max_grad_norm=0.0, seed=2147483647, warmup_ratio=0.0, num_train_epochs=0.5
    )
    assert parse_one(nt.TrainingOptions, *argv) == expected


_words = st.text(max_size=20)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_above_0 = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
_counts = st.integers(min_value=1, max_value=10**9)


def _or_none(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(
        st.builds(
            nt.ModelOptions,
            model_name_or_path=_words,
            model_revision=_or_none(_words),
            trust_remote_code=st.booleans(),
            max_length=_or_none(st.integers(1)),
        ),
        st.builds(
            nt.DataOptions,
            train_file=_or_none(_words),
            label_column_name=_or_none(_words),
            validation_split_percentage=_numbers,
            skip_bad_rows=st.booleans(),
        ),
        st.builds(
            nt.SentimentOptions,
            hidden=st.lists(st.integers(), max_size=3),
            dropout=_or_none(st.floats(0, 1, exclude_max=True)),
            levels=st.lists(_words, max_size=4),
            level_edges=st.lists(_numbers, max_size=3),
        ),
        st.builds(
            nt.TrainingOptions,
            num_train_epochs=_or_none(_above_0),
            max_train_steps=_or_none(_counts),
            learning_rate=_above_0,
            weight_decay=st.floats(min_value=0, allow_infinity=False),
            seed=st.integers(0, 2**31 - 1),
            metric_for_best_model=_or_none(_words),
            report_to=st.lists(st.sampled_from(TRACKERS), max_size=3),
        ),
    )
)
def test_what_a_run_writes_down_repeats_it(tmp_path, options):
    path = tmp_path / "options.yaml"
    path.write_text(to_yaml(*options), encoding="utf-8")
    assert nt.parse([type(group) for group in options], None, ["--config", str(path)]) == options


def test_other_readers_of_yaml_read_the_same():
    options = nt.SentimentOptions(levels=["schlecht", "no", "1"], level_edges=[-0.5, 1e-30], dropout=None)
    assert yaml.safe_load(to_yaml(options, nt.TrainingOptions())) == {
        **dataclasses.asdict(options),
        **dataclasses.asdict(nt.TrainingOptions()),
    }


@pytest.mark.parametrize("name", sorted(GROUPS_OF))
def test_help_shows_every_option_and_loads_no_torch(name):
    """Help that has to wait for torch takes seconds."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{name}.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(RECIPES / f'{name}.py')!r}, run_name='__main__')\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    wide = {"COLUMNS": "1000", "PATH": ""}  # so that no help text is broken into lines
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=wide, timeout=240)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"\n    accelerate launch recipes/{name}.py " in run.stdout
    for group in GROUPS_OF[name]:
        for field in dataclasses.fields(group):
            (shown,) = re.findall(rf"^  --{field.name}(?: .*)?(?:\n {{5,}}.*)*$", run.stdout, re.MULTILINE)
            assert field.metadata["help"] in shown
            default = getattr(group(), field.name)
            text = option_of(field).default_text or (default not in (None, []) and shown_default(default))
            assert not text or f"default: {text})" in shown


def help_of(groups: list[type], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        nt.parse(groups, "What it does.", ["--help"])
    return capsys.readouterr().out


def test_help_begins_with_what_a_beginner_needs_and_then_goes_by_subject(capsys):
    shown = help_of([*GROUPS_OF["classify"], nt.CacheOptions], capsys)
    titles = re.findall(r"^(\w.*):$", shown, re.MULTILINE)
    assert titles == [
        "most used", "model", "data", "task head", "strategy", "training", "output", "cache", "other",
    ]  # fmt: skip
    most_used = shown.partition("most used:")[2].partition("model:")[0]
    flags = re.findall(r"^  --(\w+)", most_used, re.MULTILINE)
    assert flags == ["train_file", "test_file", "model_name_or_path", "strategy", "output_dir"]
    flags = re.findall(r"^  --(\S+)", shown, re.MULTILINE)
    assert len(flags) == len(set(flags))
    assert "-file" not in shown
    assert "no_verify" not in shown


@pytest.mark.parametrize("group", [nt.CompareOptions, nt.TuningOptions])
def test_help_shows_no_single_strategy_where_several_are_named(group, capsys):
    shown = help_of([group, nt.StrategyOptions], capsys)
    assert "--strategies TEXT" in shown
    assert "--strategy TEXT" not in shown
    assert "--lora_r N" in shown


def test_a_flag_may_be_written_with_dashes_and_a_true_one_with_no():
    options = parse_one(nt.TrainingOptions, "--learning-rate", "1e-3", "--no_verify")
    assert options == nt.TrainingOptions(learning_rate=1e-3, verify=False)
    assert parse_one(nt.TrainingOptions, "--no-verify").verify is False


def test_false_in_a_file_switches_off_what_is_on_by_default(tmp_path):
    assert parse_file(nt.TrainingOptions, "verify: false", tmp_path).verify is False


@dataclass
class Declared:
    """Options with every kind of range."""

    above: float = option(1.0, help="A number.", above=0, at_most=1)
    below: float = option(0.0, help="A number.", at_least=0, below=1)
    ends: int = option(3, help="A number.", at_least=1, at_most=9)
    chosen: str = option("red", help="A colour.", choices=("red", "green", "blue"))
    unset: int | None = option(None, help="A number.", default_text="it depends", above=0)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("above", 0.0, "--above must be more than 0 and at most 1; got 0."),
        ("above", 1.5, "--above must be more than 0 and at most 1; got 1.5."),
        ("above", float("nan"), "--above must be more than 0 and at most 1; got nan."),
        ("below", 1.0, "--below must be 0 or more and less than 1; got 1."),
        ("ends", 10, "--ends must be from 1 to 9; got 10."),
        ("chosen", "gren", "--chosen must be red, green or blue; got gren; did you mean green?"),
        ("chosen", "x", "--chosen must be red, green or blue; got x."),
        ("unset", 0, "--unset must be more than 0; got 0."),
    ],
)
def test_a_declared_range_is_checked_in_one_wording(name, value, line):
    check_values(Declared())
    with pytest.raises(nt.OptionError) as error:
        check_values(Declared(**{name: value}))
    assert str(error.value) == line


def test_help_says_defaults_and_choices_from_the_declaration(capsys):
    shown = help_of([Declared], capsys)
    assert "A colour. (one of red, green, blue; default: red)" in shown
    assert "(default: it depends)" in shown


def test_what_is_resumed_says_where_the_run_goes(tmp_path):
    step = tmp_path / "run" / "checkpoints" / "step-00000007"
    step.mkdir(parents=True)
    run = str(tmp_path / "run")
    for flags, expected in (
        ([], (None, None)), (["--resume"], (None, "")), (["--resume", "--output_dir", run], (run, "")),
        (["--resume", run], (run, "")), (["--resume", run, "--output_dir", run], (run, "")),
        (["--resume", str(step)], (run, str(step))),
    ):  # fmt: skip
        (output,) = nt.parse([nt.OutputOptions], None, flags)
        assert (output.output_dir, output.resume) == expected
    with pytest.raises(nt.OptionError, match=r"--resume gone is no folder"):
        nt.OutputOptions(resume="gone")
    with pytest.raises(nt.OptionError, match=r"--resume .*resumes the run in .*run; leave --output_dir out"):
        nt.OutputOptions(resume=run, output_dir="other")

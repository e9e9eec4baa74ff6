"""Imports point one way, and cost nothing before they are used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import nlp_transfer as nt
from nlp_transfer.heads import HEADS
from nlp_transfer.strategies import STRATEGIES

PACKAGE = Path(str(files("nlp_transfer")))

RECIPES = PACKAGE.parent / "recipes"

ROOMS = (
    "errors", "version", "types", "system", "config", "data", "decoding", "runtime", "metrics", "encoders", "heads",
    "activations", "models", "few_labels", "strategies", "training", "evaluation", "run", "exporting", "serving",
    "checks", "labelling", "experiments", "__init__",
)  # fmt: skip
"""A module imports from its own room and those before it."""

COPIED = "pooled_network.py"
"""A file that a saved model holds too, where it imports the one beside it."""

MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path.name == COPIED, f"{path} imports by dots; write the whole name"
            source = f"nlp_transfer.encoders.pooling.{node.module}" if node.level else str(node.module)
            for name in node.names:
                yield f"{source}.{name.name}" if f"{source}.{name.name}" in MODULES else source
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


OURS = {name: {i for i in imported(path) if i.split(".")[0] == "nlp_transfer"} for name, path in MODULES.items()}


def room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    assert room(module) in ROOMS, f"{module} is in no room; put it into the one whose question it answers"
    assert sorted(other for other in OURS[module] if ROOMS.index(room(other)) > ROOMS.index(room(module))) == []


def test_each_room_has_modules_and_none_stands_beside_them():
    assert {room(module) for module in MODULES} == set(ROOMS)
    beside = {path.stem for path in PACKAGE.glob("*.py")}
    assert beside == {"__init__", "version", "errors", "types"}


def test_no_two_modules_share_a_name():
    names = [path.stem for path in MODULES.values() if path.stem not in ("__init__", "__main__")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_wheel_holds_every_package_and_the_recipes():
    listed = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert set(listed) == there | {"nlp_transfer.recipes"}


def _names_in(node: ast.AST) -> set[str]:
    parts = list(ast.walk(node))
    return {part.id for part in parts if isinstance(part, ast.Name)} | {
        part.attr for part in parts if isinstance(part, ast.Attribute)
    }


def test_nobody_asks_which_head_or_strategy_it_holds():
    known = {head.__name__ for head in HEADS.values()} | {"TaskHead", "TextHead"}
    known |= {strategy.__name__ for strategy in STRATEGIES.values()}
    asked = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id in ("isinstance", "issubclass"):
                names = _names_in(node.args[1])
            elif isinstance(node, ast.Compare) and "type" in _names_in(node.left):
                names = {name for side in node.comparators for name in _names_in(side)}
            else:
                continue
            if names & known and room(module) != "heads":
                asked.append(f"{module}, line {node.lineno}: {', '.join(names & known)}")
    assert asked == [], "what differs between heads or strategies is an attribute or a method of them"


def test_there_are_no_cycles():
    assert len(list(TopologicalSorter(OURS).static_order())) == len(MODULES)


def in_a_new_process(code: str) -> None:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")


def test_importing_the_package_loads_no_torch_nor_does_reading_data():
    heavy = "{'torch', 'transformers.modeling_utils', 'accelerate', 'sklearn'} & set(sys.modules)"
    in_a_new_process(f"import sys, nlp_transfer; assert not {heavy} and 'transformers' not in sys.modules")
    in_a_new_process(
        "import sys, nlp_transfer as nt\n"
        "nt.load_splits(nt.DataOptions(), 'ner')\n"
        "nt.parse([nt.TrainingOptions], None, [])\n"
        f"assert not {heavy}, {heavy}\n"
    )


@pytest.mark.parametrize("name", ["classify", "ner", "sentiment"])
def test_a_recipe_told_of_a_missing_file_says_so_before_it_loads_torch(name, tmp_path):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['recipe', '--train_file', {str(tmp_path / 'missing.csv')!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(RECIPES / f'{name}.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 2, stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1].startswith("error: ")
    assert "does not exist" in run.stderr


def test_training_loads_nothing_that_only_scoring_needs():
    idle = "{'sklearn', 'seqeval', 'evaluate', 'matplotlib', 'tensorboard', 'torchvision', 'skops'} & set(sys.modules)"
    # Strategies come first here: they are to be there before anything else was used.
    used = "nt.strategies.Freeze(); nt.fit; nt.TransferModel"
    in_a_new_process(f"import sys, nlp_transfer as nt; {used}; assert not {idle}, {idle}")


@pytest.mark.whole
def test_scores_load_nothing_before_they_are_computed_and_no_evaluate_then():
    heavy = "{'evaluate', 'datasets', 'sklearn', 'torch', 'scipy.stats'} & set(sys.modules)"
    in_a_new_process(
        "import sys, nlp_transfer.metrics as metrics\n"
        f"assert not {heavy}, {heavy}\n"
        "metrics.sentiment_scores(['a'], ['b'], ['a', 'b']); metrics.regression_scores([1], [2])\n"
        "metrics.multi_label_scores([['a']], [['b']], ['a', 'b'], [[1, 0]])\n"
        "metrics.span_scores([['O']], [['B-A']], 'IOB2'); metrics.interval(metrics.span_counts([['O']], [['O']]))\n"
        "assert not {'evaluate', 'seqeval', 'datasets', 'torch'} & set(sys.modules)\n"
        "assert metrics.Accuracy.__module__ == 'nlp_transfer.metrics.evaluate_metrics' and 'evaluate' in sys.modules\n"
    )


@pytest.mark.whole
def test_heads_can_be_what_is_imported_first():
    in_a_new_process("from nlp_transfer.heads import NERHead; NERHead(['PER'])")


@pytest.mark.parametrize("name", nt.__all__)
def test_public_names_are_there_and_say_what_they_are(name):
    value = getattr(nt, name)
    assert name in dir(nt)
    if name != "__version__":
        assert inspect.getdoc(value)


def test_each_public_name_is_what_its_module_defines():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    modules = {
        alias.name: f"nlp_transfer.{node.module}" if node.module else "nlp_transfer"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(modules) == sorted(nt.__all__)
    for name, module in modules.items():
        assert getattr(import_module(module), name) is getattr(nt, name)


def test_an_unknown_name_is_an_attribute_error_that_names_the_nearest():
    with pytest.raises(AttributeError, match=r"'nlp_transfer' has no attribute 'fitt'; did you mean 'fit'\?$"):
        nt.fitt  # noqa: B018
    with pytest.raises(AttributeError, match=r"'nlp_transfer' has no attribute 'zzz'$"):
        nt.zzz  # noqa: B018
    assert not hasattr(nt, "__wrapped__")


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    assert {"py.typed", "*.pyi"} <= set(settings["tool"]["setuptools"]["package-data"]["nlp_transfer"])


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_says_what_it_is(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    mute = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list):
            continue  # the function that they are of says what it is
        if not ast.get_docstring(node):
            mute.append(node.name)
        if isinstance(node, ast.ClassDef):
            mute += [f"{node.name}.{name}" for name in _mute_methods(module, node)]
    assert mute == []


def _mute_methods(module: str, node: ast.ClassDef) -> list[str]:
    """Public methods without a docstring of their own or of the method they override."""
    kind = getattr(import_module(module), node.name)
    names = [item.name for item in node.body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
    return [name for name in names if not inspect.getdoc(getattr(kind, name))]


@pytest.mark.whole
def test_the_first_module_that_loads_the_auto_classes_may_be_one_of_ours():
    in_a_new_process("import nlp_transfer as nt; nt.verify_run")

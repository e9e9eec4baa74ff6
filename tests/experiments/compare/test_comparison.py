"""What a comparison comes to: who is best, by how much, how surely, and what to do."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from invented import MAJORITY, ROWS, SCRATCH, SVM, all_beside, entry

import nlp_transfer as nt
from nlp_transfer.errors import UserError
from nlp_transfer.experiments.compare.comparison import Comparison
from nlp_transfer.experiments.compare.comparison_files import page as comparison_page
from nlp_transfer.experiments.compare.comparison_files import write_comparison
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.comparison_pictures import curve_picture
from nlp_transfer.experiments.compare.comparison_table import as_csv, comparison_table
from nlp_transfer.experiments.compare.summary import RowsNeeded, rows_needed
from nlp_transfer.heads import HEADS


def of(entries, metric="accuracy", split="test", failures=None) -> Comparison:
    return Comparison.of(entries, "classification", metric, split, failures or {})


def test_the_best_is_chosen_on_validation_and_differences_are_paired():
    found = of(all_beside(entry("full", 0.80, validation=0.9), entry("lora", 0.85, validation=0.7)))
    (group,) = found.groups
    assert (group.best.entry.name, group.baseline.entry.name) == ("full", SVM)
    lines = {line.entry.name: line for line in group.lines}
    assert lines["full"].to_best is None
    assert lines[SVM].to_baseline is None
    assert lines["lora"].to_best.score == pytest.approx(0.05)
    # Both are right on the same rows: the difference is surer than either score.
    width = lines["lora"].to_best.high - lines["lora"].to_best.low
    assert width < lines["lora"].interval.high - lines["lora"].interval.low
    assert lines["full"].interval.low < lines["full"].entry.score < lines["full"].interval.high
    assert lines["full"].entry.deviation == pytest.approx(1 / ROWS / 2**0.5)
    gains = {gain.over: gain for gain in lines["full"].gains}
    assert gains[SCRATCH].difference.score == pytest.approx(0.30)
    assert lines[SVM].gains == ()


VERDICTS = {
    "as good and cheaper": (
        [entry("full", 0.9), entry("lora", 0.895, seconds=20)],
        r"lora is as good as full \(difference -0\.5, 95% -1\.\d\.\.0\.0\) at a fifth of the time: take lora\. "
        r"That is 29\.5 \(95% [\d.]+\.\.[\d.]+\) points above TF-IDF \+ linear SVM, which needs more than 1,000 "
        r"labelled rows to match it\.",
        "lora",
    ),
    "cheaper and worse": (
        [entry("full", 0.9), entry("lora", 0.8, seconds=20)],
        r"full is best \(accuracy 89\.\d, 95% .*\): take full\. That is .*",
        "full",
    ),
    "validation took it for as good, test does not": (
        [entry("full", 0.9), entry("lora", 0.8, seconds=20, validation=0.895)],
        r"lora, on validation as good as full at a fifth of the time, is significantly worse on the rows scored here "
        r"\(difference -10\.0, 95% -1.*\): take lora, or choose again on more validation rows\. That is .*",
        "lora",
    ),
    "test took it for as good, validation does not": (
        [entry("full", 0.9), entry("lora", 0.9, seconds=20, validation=0.8)],
        r"full is best .*: take full\. .*",
        "full",
    ),
    "a candidate lost": (
        [entry("full", 0.9), entry("freeze", 0.5)],
        r"Negative transfer: freeze \(difference -10\.0, 95% .*\) is worse than TF-IDF \+ linear SVM\. full is best "
        r"\(.*\): take full\.",
        "full",
    ),
    "all lost": (
        [entry("full", 0.55), entry("freeze", 0.5)],
        r"Negative transfer: full is worse than TF-IDF \+ linear SVM \(difference -5\.0, .*\): take TF-IDF \+ linear "
        r"SVM\. Of the candidates full is best \(accuracy 54\.\d\)\.",
        SVM,
    ),
    "nothing is sure": (
        [entry("full", 0.605)],
        r"full is not significantly better than TF-IDF \+ linear SVM \(difference 0\.[35], .*\): take full \(0\.5 "
        r"ahead on validation\), or score more than these 200 rows to be sure\. Training full took 2 min, "
        r"TF-IDF \+ linear SVM 2 min\.",
        "full",
    ),
    "nothing is sure, and the baseline is cheaper": (
        [entry("full", 0.605, seconds=1000)],
        r"full is not significantly better than .*: take TF-IDF \+ linear SVM \(0\.5 behind on validation, "
        r"and quicker\), or score more than these 200 rows to be sure\. Training full took 17 min, "
        r"TF-IDF \+ linear SVM 2 min\.",
        SVM,
    ),
    "validation took the network for better, test does not": (
        [entry("full", 0.9), entry("lora", 0.5, seconds=20, validation=0.895)],
        r"Negative transfer: lora is worse than TF-IDF \+ linear SVM \(difference -10\.0, .*\) on the rows scored "
        r"here, though validation chose it \(29\.5 ahead\): choose again on more validation rows\. Training lora took "
        r"20 s, TF-IDF \+ linear SVM 2 min\.",
        "lora",
    ),
    "all on validation were no better than the baseline, test says that the best one is": (
        [entry("full", 0.9, validation=0.55, seconds=1000), entry("lora", 0.3, validation=0.545, seconds=20)],
        r"Negative transfer: lora \(difference -30\.0, .*\) is worse than TF-IDF \+ linear SVM\. full is significantly "
        r"better than TF-IDF \+ linear SVM on the rows scored here \(difference 30\.0, .*\), though validation chose "
        r"TF-IDF \+ linear SVM \(5\.0 ahead\): choose again on more validation rows\.",
        SVM,
    ),
    "validation took the baseline for as good, test does not": (
        [entry("full", 0.9, validation=0.6, seconds=1000)],
        r"full is significantly better than TF-IDF \+ linear SVM on the rows scored here \(difference 30\.0, .*\), "
        r"though validation chose TF-IDF \+ linear SVM \(as good, and quicker\): choose again on more validation "
        r"rows\. Training .*",
        SVM,
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_is_what_a_person_can_act_on(case):
    candidates, said, taken = VERDICTS[case]
    found = of(all_beside(*candidates))
    assert re.fullmatch(said, found.verdict), found.verdict
    assert found.taken.entry.name == taken


@pytest.mark.parametrize("validation", [0.55, 0.6, 0.65, 0.9])
def test_rows_that_are_scored_have_no_say_in_what_is_taken(validation):
    taken = {
        of(all_beside(entry("full", score, validation=validation, seconds=1000),
                      entry("lora", 1.0 - score, validation=validation - 0.005, seconds=200))).taken.entry.name
        for score in (0.1, 0.5, 0.6, 0.605, 0.9, 1.0)
    }  # fmt: skip
    assert taken == {SVM if validation <= 0.6 else "lora"}


def test_a_network_from_random_weights_is_taken_where_it_is_best_and_not_for_its_quickness():
    beside = [entry(SVM, 0.4), entry(MAJORITY, 0.4)]
    for score, taken in ((0.9, "full"), (0.91, SCRATCH)):
        lines = [entry("full", 0.903), entry(SCRATCH, score, seconds=50), *beside]
        assert of(lines).taken.entry.name == taken


def test_what_many_validation_rows_say_is_surely_worse_is_not_taken_for_as_good():
    full, lora = entry("full", 0.9, rows=2000), entry("lora", 0.9, rows=2000, validation=0.895, seconds=20)
    assert of([full, lora, entry(SVM, 0.6, rows=2000)]).taken.entry.name == "full"


def test_of_an_error_less_is_better():
    candidates = [entry("full", 0.9, metric="mae_steps", validation=0.1),
                  entry("lora", 0.6, metric="mae_steps", validation=0.4)]  # fmt: skip
    beside = [
        entry(SCRATCH, 0.5, metric="mae_steps", validation=0.5),
        entry(SVM, 0.7, metric="mae_steps", validation=0.3),
    ]
    found = of([*candidates, *beside], "mae_steps")
    assert found.groups[0].best.entry.name == "full"
    assert found.groups[0].baseline.entry.name == SVM
    assert found.verdict.startswith("Negative transfer: lora (difference 0.100")
    assert of([candidates[0], *beside], "mae_steps").verdict.endswith(" labelled rows to match it.")
    assert re.search(
        r"That is 0\.200 \(95% 0\.1\d\d\.\.0\.2\d\d\) better than", of([candidates[0], *beside], "mae_steps").verdict
    )
    gain = next(gain for gain in found.taken.gains if gain.over == SVM)
    assert (gain.difference.score < 0, gain.rows_needed) == (True, RowsNeeded(1000, "more"))


def test_the_rows_that_a_score_needs_are_read_off_the_curve():
    curve = [(100, 0.5), (1000, 0.7), (10_000, 0.6)]
    assert rows_needed(curve, 0.6) == RowsNeeded(316)
    assert rows_needed(curve, 0.7) == RowsNeeded(1000)
    assert rows_needed(curve, 0.71) == RowsNeeded(10_000, "more")
    assert rows_needed(curve, 0.5) == RowsNeeded(100, "less")
    assert rows_needed([(rows, -score) for rows, score in curve], -0.6, less_is_better=True) == RowsNeeded(316)
    assert str(RowsNeeded(5452, "more")) == "more than 5,452"


def test_fewer_rows_make_a_curve_and_what_the_transfer_is_worth_there():
    few = [entry("full", 0.7, fraction=0.1), entry(SCRATCH, 0.5, fraction=0.1), entry(SVM, 0.55, fraction=0.1)]
    found = of([*all_beside(entry("full", 0.9), svm=0.8), *few])
    assert [group.rows for group in found.groups] == [1000, 100]
    gain = next(gain for gain in found.groups[1].best.gains if gain.over == SVM)
    assert 300 < gain.rows_needed.rows < 500  # 0.55 of 100 rows, 0.8 of 1,000
    assert "100" in comparison_table(found)


def test_names_of_encoders_are_whole_in_the_legend():
    names = [f"features on {encoder}" for encoder in ("all-MiniLM-L6-v2", "all-MiniLM-L6-v1")]
    lines = [all_beside(*(entry(name, 0.8, fraction=share) for name in names)) for share in (0.1, 1.0)]
    several = of([replace(one, fraction=share) for share, some in zip((0.1, 1.0), lines, strict=True) for one in some])
    drawn = curve_picture(several).svg
    assert all(name in drawn for name in names)


def test_what_limits_the_numbers_is_said():
    alone = of([entry("full", 0.9, seeds=1, rows=40), entry(SCRATCH, 0.5, seeds=1, rows=40)], split="validation",
               failures={"lora": "it was killed (3 of 3 trainings)"})  # fmt: skip
    said = " ".join(alone.notes)
    assert "One seed" in said
    assert "There is no majority label" not in said
    of_words = Comparison.of(all_beside(entry("full", 1.0)), "ner", "accuracy", "test", {})
    assert "There is no majority label" in " ".join(of_words.notes)
    assert alone.groups[0].best.entry.deviation is None
    assert "±" not in comparison_table(alone).split("\n\n")[1]
    assert "No test rows" in said
    assert re.search(
        r"Validation has 40 rows, which measure a score to ±\d+\.\d points; ±2\.0 would take about [\d,]+ rows", said
    )
    assert "Failed: lora: it was killed" in said
    all_right = of([entry("full", 1.0, seeds=1, rows=10), entry(SCRATCH, 0.5, seeds=1, rows=10)])
    assert (
        "Validation has 10 rows, which measure a score to ±15.0 points; ±2.0 would take about 75 rows."
        in all_right.notes
    )
    assert of(all_beside(entry("full", 1.0)), failures={}).notes == ()
    uneven = of(all_beside(entry("full", 1.0), entry("lora", 1.0, seeds=1)))
    assert "Fewer seeds than the others have: lora." in uneven.notes
    with pytest.raises(UserError, match=r"no candidate could be trained .*: it was killed"):
        of([entry(SVM, 0.5)], failures={"full": "it was killed"})


def test_the_page_names_no_recipe_for_a_head_of_another_package(tmp_path, monkeypatch):
    class MoodHead(nt.TextClassificationHead):
        """A head that inherits the name of a recipe."""

        task, __module__ = "mood", "moods"

    monkeypatch.setitem(HEADS, "mood", MoodHead)
    page = comparison_page(replace(of([entry("full", 0.9), entry(SVM, 0.5)]), task="mood"))
    assert ("nlp-transfer classify" in page, "nt.fit" in page, "--strategy full" in page) == (False, True, True)


def test_files_hold_the_numbers_of_the_table(tmp_path):
    found = of(all_beside(entry("full", 0.9), entry("lora", 0.895, seconds=20)))
    folder = ComparisonFolder(tmp_path / "out")
    folder.open_for({})
    write_comparison(folder, found)
    told = json.loads((folder.path / "comparison.json").read_text())
    assert "nlp-transfer classify --strategy lora ..." in (folder.path / "comparison.html").read_text()
    assert told["verdict"] == found.verdict
    assert told["take"] == {"name": "lora", "flags": ["--strategy", "lora"]}
    lines = {line["name"]: line for line in csv.DictReader(io.StringIO(as_csv(found)))}
    by_name = {told["name"]: told for told in told["entries"]}
    assert set(lines) == set(by_name) == {"full", "lora", "scratch", SVM, "majority label"}
    assert float(lines["lora"]["less_best"]) == by_name["lora"]["less_best"]
    assert lines["full"]["less_best"] == ""
    assert (lines["lora"]["scores"], lines[SVM]["trained_weights"]) == ("0.895 0.89", "")
    lost = of(all_beside(entry("full", 0.55)))
    write_comparison(folder, lost)  # nothing tells how to train what is not to be taken
    assert json.loads((folder.path / "comparison.json").read_text())["take"] == {"name": SVM, "flags": []}
    page = (folder.path / "comparison.html").read_text()
    assert (f"To train {SVM}" in page, "nlp-transfer classify" in page) == (True, False)
    text = comparison_table(found)
    assert text.startswith(found.verdict)
    assert re.search(
        r"lora +89\.\d ± 0\.\d +[\d.]+\.\.[\d.]+ +-0\.5 \(.*\) +\+29\.5 \(.*\) +20\.0 +1,234 +500\.0 MB +90\.0 MB", text
    )

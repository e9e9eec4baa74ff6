"""A sentence encoder is pooled as it was trained; any other encoder has the head of its family."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nlp_transfer as nt
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.encoders.sentence_pooling import sentence_pooling

LABELS = ["praise", "complaint"]


@pytest.fixture
def sentence_encoder(checkpoint, tmp_path):
    """`sentence_encoder(pooling)` is a folder in the layout of sentence-transformers."""

    def make(config: object, family: str = "bert") -> Path:
        folder = Path(shutil.copytree(checkpoint(family), tmp_path / "encoder"))
        modules = [{"path": "", "type": "sentence_transformers.models.Transformer"},
                   {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]  # fmt: skip
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        return folder

    return make


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"embedding_dimension": 32, "pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode": ["cls", "mean"]}, "native"),  # two vectors, which no head of ours reads
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "native"),
        ({"pooling_mode_lasttoken": True}, "native"),
        ("{ broken", "native"),
    ],
)
def test_its_folder_says_how(sentence_encoder, config, pooling):
    model = nt.TransferModel.load(sentence_encoder(config), nt.TextClassificationHead(LABELS))
    assert model.head.pooling == pooling


def test_it_is_one_where_its_config_names_no_architecture(sentence_encoder):
    folder = sentence_encoder({"pooling_mode": "cls"})
    config = json.loads((folder / "config.json").read_text())
    config.pop("architectures", None)
    (folder / "config.json").write_text(json.dumps(config))
    assert Checkpoint.find(str(folder)).pooling == "cls"


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("/models/all-mpnet-base-v2", "mean"), ("/models/all-mpnet-base-v2/", "mean"), ("intfloat/e5-small-v2", "mean"),
        ("intfloat/multilingual-e5-base", "mean"), ("BAAI/bge-small-en-v1.5", "cls"), ("thenlper/gte-base", "mean"),
        ("Alibaba-NLP/gte-base-en-v1.5", "cls"), ("sentence-transformers/multi-qa-mpnet-base-dot-v1", "cls"),
        ("bert-base-uncased", None), ("FacebookAI/roberta-base", None), ("my-bge", None),
    ],
)  # fmt: skip
def test_a_name_that_is_known_says_how(tmp_path, name, pooling):
    assert sentence_pooling(name, str(tmp_path)) == pooling


def test_other_encoders_and_trained_models_have_the_head_of_their_family(checkpoint, tmp_path):
    plain = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(LABELS))
    assert plain.head.pooling == "native"
    plain.save(tmp_path / "saved")
    assert Checkpoint.find(str(tmp_path / "saved")).pooling is None


def test_what_is_set_stays_and_a_head_is_asked_again_by_each_encoder(sentence_encoder, checkpoint):
    folder = sentence_encoder({"pooling_mode": "mean"})
    assert nt.TransferModel.load(folder, nt.TextClassificationHead(LABELS, pooling="native")).head.pooling == "native"
    head = nt.TextClassificationHead(LABELS)
    assert nt.TransferModel.load(folder, head).head is head
    assert head.pooling == "mean"
    nt.TransferModel.load(checkpoint(), head)
    assert head.pooling == "native"


def test_plain_transformers_opens_what_is_saved_with_the_code_in_the_folder(sentence_encoder, tmp_path):
    model = nt.TransferModel.load(sentence_encoder({"pooling_mode": "mean"}), nt.TextClassificationHead(LABELS))
    model.save(tmp_path / "saved")
    (ours,) = model.predict(["good coffee"], precision="no")
    script = (
        "import json, sys; sys.modules['nlp_transfer'] = None\n"
        "from transformers import pipeline\n"
        f"pipe = pipeline('text-classification', {str(tmp_path / 'saved')!r}, trust_remote_code=True, top_k=None)\n"
        "print(json.dumps({p['label']: p['score'] for p in pipe(['good coffee'])[0]}))\n"
    )
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "Falling back" not in ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == pytest.approx(ours.probabilities, abs=1e-5)
    assert str(tmp_path) not in (tmp_path / "saved" / "config.json").read_text()


def test_a_probe_of_a_comparison_pools_as_the_recipe_does(sentence_encoder, checkpoint):
    open_, native = nt.TextClassificationHead(LABELS), nt.TextClassificationHead(LABELS, pooling="native")
    cls = Checkpoint.find(str(sentence_encoder({"pooling_mode": "cls"})))
    plain = Checkpoint.find(checkpoint())
    assert [head.probe_options(cls) for head in (open_, native)] == [{"pooling": "cls"}, {"pooling": "mean"}]
    assert open_.probe_options(plain) == {"pooling": "mean"}
    assert nt.TextClassificationHead(LABELS, pooling="max").probe_options(cls) == {}


def test_virtual_tokens_take_the_head_of_the_family_unless_a_pooling_was_given(
    sentence_encoder, review_splits, options, tmp_path
):
    folder = sentence_encoder({"pooling_mode": "mean"})
    (tmp_path / "prompt.json").write_text(json.dumps({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}))
    prompt = nt.strategies.Lora(peft_config=str(tmp_path / "prompt.json"))
    model = nt.TransferModel.load(folder, nt.text_head_for(review_splits), max_length=20)
    nt.fit(model, review_splits, options, strategy=prompt)
    assert (model.head.pooling, type(model.network).__name__) == ("native", "BertForSequenceClassification")
    given = nt.TransferModel.load(folder, nt.text_head_for(review_splits, pooling="mean"), max_length=20)
    with pytest.raises(nt.OptionError, match="works on the native heads alone; take --pooling native"):
        nt.fit(given, review_splits, options, strategy=prompt)

"""Any PEFT config that an encoder can take is trained, saved and opened; of any other, one line says why not."""

from __future__ import annotations

import json
import math

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

import nlp_transfer as nt
from nlp_transfer.data.batch import collate
from nlp_transfer.models.adapters.peft_config import read_config
from nlp_transfer.run.fresh_process import take_past_key_values
from nlp_transfer.strategies import Lora

OPTIONS = nt.TrainingOptions(num_train_epochs=1, learning_rate=1e-2, mixed_precision="no", warmup_ratio=0.0)
HEADS = {
    "native": lambda: nt.TextClassificationHead(["complaint", "praise"]),
    "pooled": lambda: nt.TextClassificationHead(["complaint", "praise"], pooling="mean"),
    "ner": lambda: nt.NERHead(["PER", "LOC"]),
}


def load(checkpoint: str, head: str, **options) -> nt.TransferModel:
    nt.set_seed(0)
    return nt.TransferModel.load(checkpoint, HEADS[head](), **options)


def written(folder, config: dict, name: str = "config.json") -> str:
    path = folder / name
    path.write_text(json.dumps(config) if name.endswith("json") else yaml.safe_dump(config))
    return str(path)


def logits(network: torch.nn.Module, batch: dict[str, torch.Tensor], cut: int = 0) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(**batch).logits[:, cut:]


@pytest.mark.parametrize(
    ("family", "head", "config"),
    [
        ("bert", "native", {"peft_type": "IA3"}),
        ("deberta-v2", "ner", {"peft_type": "IA3"}),
        ("distilbert", "native", {"peft_type": "IA3", "target_modules": ["lin2"], "feedforward_modules": ["lin2"]}),
        ("modernbert", "native", {"peft_type": "OFT", "oft_block_size": 8, "r": 0}),
        ("roberta", "ner", {"peft_type": "OFT", "oft_block_size": 8, "r": 0}),
        ("electra", "native", {"peft_type": "VERA", "r": 4}),
        ("mpnet", "native", {"peft_type": "LOHA", "target_modules": "all-linear"}),
        ("bert", "pooled", {"peft_type": "LN_TUNING"}),
        ("bert", "native", {"peft_type": "LILY", "r": 4}),
        ("bert", "native", {"peft_type": "LORA", "init_lora_weights": "pissa", "rank_pattern": {"query": 3}, "r": 2}),
        ("bert", "native", {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3}),
        ("roberta", "ner", {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3}),
        ("electra", "native", {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}),
        ("distilbert", "ner", {"peft_type": "P_TUNING", "num_virtual_tokens": 3, "encoder_hidden_size": 8}),
    ],
)  # fmt: skip
def test_what_a_config_makes_is_trained_saved_and_opened(
    checkpoint, review_splits, sentence_splits, tmp_path, family, head, config
):
    rows = sentence_splits if head == "ner" else review_splits
    model = load(checkpoint(family), head, max_length=60)
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    result = nt.fit(model, rows, OPTIONS, strategy=Lora(peft_config=written(tmp_path, config)))
    losses = [entry["loss"] for entry in result.history if "loss" in entry]
    assert all(map(math.isfinite, losses))
    assert 0 < result.trained_weights < sum(p.numel() for p in before.values())
    plain = {
        name.replace(".base_layer", "").replace(".original_module", ""): p
        for name, p in model.network.named_parameters()
        if not p.requires_grad
    }
    changed = [name for name, p in before.items() if name in plain and not torch.equal(plain[name], p)]
    assert changed == [] or config.get("init_lora_weights") == "pissa"

    model.save(tmp_path / "adapter")
    batch = collate(model.encode(rows.validation.data)[:], model.pad_id)
    batch.pop("labels")
    ours = logits(model.network, batch)
    if head != "pooled":
        auto = AutoModelForTokenClassification if head == "ner" else AutoModelForSequenceClassification
        network = auto.from_pretrained(checkpoint(family), num_labels=len(model.head.labels))
        take_past_key_values(network.base_model)  # the name that PEFT looks for
        opened = PeftModel.from_pretrained(network, tmp_path / "adapter")
        # Where prompts stand before the words, PEFT gives logits of them too.
        cut = 3 if head == "ner" and config["peft_type"] == "P_TUNING" else 0
        torch.testing.assert_close(logits(opened, batch, cut), ours, rtol=0, atol=1e-5)
    again = nt.TransferModel.load(tmp_path / "adapter")
    torch.testing.assert_close(logits(again.network, batch), ours, rtol=0, atol=1e-5)
    assert (again.adapter is None) == (
        config["peft_type"] not in ("LILY", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")
    )


def test_a_config_may_be_yaml_or_the_folder_of_an_adapter(checkpoint, review_splits, tmp_path):
    """What PEFT saved says that it is for inference, which would leave nothing to train."""
    first, second = load(checkpoint(), "native"), load(checkpoint(), "native")
    path = written(tmp_path, {"peft_type": "LORA", "r": 3, "target_modules": ["query"]}, "config.yaml")
    nt.fit(first, review_splits, OPTIONS, strategy=Lora(peft_config=path))
    first.save(tmp_path / "adapter")
    nt.fit(second, review_splits, OPTIONS, strategy=Lora(peft_config=str(tmp_path / "adapter")))
    ours, theirs = dict(first.network.named_parameters()), dict(second.network.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert sum(".lora_A." in name for name in ours) == 2


@pytest.mark.parametrize(
    ("family", "head", "config", "message"),
    [
        ("bert", "native", {"peft_type": "LORA", "task_type": "CAUSAL_LM"}, "is for the task CAUSAL_LM, and this run"),
        ("bert", "ner", {"peft_type": "IA3", "task_type": "SEQ_CLS"}, "SEQ_CLS, and this run trains TOKEN_CLS; leave"),
        ("bert", "native", {"peft_type": "LORA", "task_type": "NONE"}, "Invalid task type: 'NONE'"),
        ("bert", "native", {"peft_type": "LORAA"}, "has the unknown peft_type LORAA; did you mean LORA?"),
        ("bert", "native", {"r": 8}, "has no peft_type; give LORA, IA3, OFT, PREFIX_TUNING or"),
        ("bert", "native", {"peft_type": "LORA", "rr": 8}, "LORA has no option 'rr'; did you mean r?"),
        ("bert", "native", {"peft_type": "LORA", "r": "many"}, "PEFT cannot put LORA on this bert network:"),
        ("bert", "native", {"peft_type": "LORA", "r": 0}, "PEFT cannot put LORA on this bert network: `r` should be"),
        ("bert", "native", {"peft_type": "LORA", "target_modules": ["q"]}, "target_modules: q matches no module"),
        ("bert", "native", {"peft_type": "IA3", "target_modules": ["key", "q"]}, "target_modules: q of key, q matches"),
        ("bert", "native", {"peft_type": "LORA", "target_modules": ".*q"}, "target_modules: .*q matches no module"),
        ("bert", "native", {"peft_type": "LORA", "target_modules": "(q"}, "'(q' is not a regular expression (miss"),
        ("bert", "native", {"peft_type": "LORA", "target_modules": ["classifier"]}, "cannot put LORA on this bert"),
        ("bert", "native", {"peft_type": "LORA", "init_lora_weights": "eva"}, "eva needs data before training starts"),
        ("bert", "native", {"peft_type": "ADALORA"}, "ADALORA cannot adapt an encoder here: it needs a training loop"),
        ("bert", "native", {"peft_type": "XLORA"}, "XLORA cannot adapt an encoder here: it mixes adapters"),
        ("bert", "native", {"peft_type": "SHADOW"}, "PEFT cannot put SHADOW on this bert network:"),
        ("bert", "native", {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 30}, "leave 36 positions"),
        ("bert", "pooled", {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 2}, "take --pooling native."),
        ("distilbert", "native", {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 2}, "distilbert has none;"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused_in_one_line(checkpoint, tmp_path, family, head, config, message):
    path = written(tmp_path, config)
    with pytest.raises(nt.OptionError) as caught:
        Lora(peft_config=path).setup(load(checkpoint(family), head, max_length=60), 0)
    assert message in str(caught.value)
    assert path in str(caught.value) or "--peft_config leave" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("broken.json", '{"peft_type": ', "broken.json is not JSON: Expecting value"),
        ("broken.yaml", "peft_type: [", "broken.yaml is not YAML:"),
        ("list.json", "[1]", "must hold the options of a PEFT config"),
        ("numbers.yaml", "1: 2", "must hold the options of a PEFT config"),
        ("bytes.yaml", "\ufffe", "bytes.yaml is not YAML:"),
    ],
)
def test_a_file_that_holds_no_config_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text.encode("utf-16") if name == "bytes.yaml" else text.encode())
    with pytest.raises(nt.OptionError, match=message):
        read_config(tmp_path / name)


@pytest.mark.parametrize("config", [{"peft_type": "LILY", "r": 4}, {"peft_type": "P_TUNING", "num_virtual_tokens": 2}])
def test_what_cannot_be_merged_is_refused_before_training(checkpoint, tmp_path, config):
    strategy = Lora(peft_config=written(tmp_path, config), merge_adapter=True)
    with pytest.raises(nt.OptionError, match=f"--merge_adapter: {config['peft_type']} cannot be merged"):
        strategy.setup(load(checkpoint(), "native", max_length=60), 0)

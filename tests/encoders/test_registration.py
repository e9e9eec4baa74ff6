"""`import nlp_transfer` loads nothing, and is all that the Auto classes need to open a network of ours."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from transformers import pipeline

import nlp_transfer as nt
from nlp_transfer.encoders import registration

# Transformers before nlp_transfer is the order of this process: see conftest.py.
ORDERS = {
    "a config alone": (
        "import nlp_transfer, sys\nassert not {'torch', 'transformers'} & set(sys.modules)\n"
        "from transformers.models.auto.configuration_auto import AutoConfig\n"
        "config = AutoConfig.from_pretrained(sys.argv[1])\n"
        "assert (config.pooling, config.hidden, config.id2label[2]) == ('mean', [16], 'maybe')\n"
        "assert 'transformers.modeling_utils' not in sys.modules"
    ),
    # These two load the Auto classes while modules of transformers, or of ours, are but half loaded themselves.
    "transformers half loaded": "import nlp_transfer\nfrom transformers import PreTrainedModel",
    "nlp_transfer half loaded": "import nlp_transfer\nnlp_transfer.Encoder",
}
OPEN = """
import json, sys
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
assert AutoConfig.from_pretrained(folder).model_type == "nlp_transfer_pooled"
network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
batch = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
with torch.inference_mode():
    logits = network(**batch).logits.tolist()
print(json.dumps(logits))
"""


@pytest.fixture(scope="module")
def saved(checkpoint, tmp_path_factory):
    """A folder with a mean-pooled model, texts, and what the model says of them."""
    head = nt.TextClassificationHead(["no", "yes", "maybe"], pooling="mean", hidden=(16,))
    model = nt.TransferModel.load(checkpoint(), head)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.network.classifier.weight, std=5.0)
    folder = tmp_path_factory.mktemp("pooled")
    model.save(folder)
    texts = ["good", "the coffee was bad and the train was sad"]
    batch = model.tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
    with torch.inference_mode():
        logits = model.network.eval()(**batch).logits.tolist()
    return folder, texts, logits, model.predict(texts, precision="no")


@pytest.fixture(scope="module")
def opened(saved):
    """`opened[order]` is a process that opens the model; they start together, and a test waits for its own."""
    folder, texts, *_ = saved
    return {order: start(code + OPEN, folder, json.dumps(texts)) for order, code in ORDERS.items()}


def start(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.whole
@pytest.mark.parametrize("order", ORDERS)
def test_the_auto_classes_open_a_network_of_ours_whatever_is_imported_first(saved, opened, order):
    _, _, logits, _ = saved
    out, complaints = opened[order].communicate(timeout=180)
    assert opened[order].returncode == 0, complaints
    for found, expected in zip(json.loads(out), logits, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_pipeline_opens_a_network_of_ours(saved):
    folder, texts, _, predictions = saved
    ask = pipeline("text-classification", model=str(folder))
    for found, prediction in zip(ask(texts), predictions, strict=True):
        assert (found["label"], found["score"]) == (prediction.label, pytest.approx(prediction.probability, abs=1e-6))


def test_nothing_is_left_waiting_once_transformers_is_loaded():
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == registration.__name__]

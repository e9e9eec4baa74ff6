"""A source shares the encoder, and what it gives a step depends on the seed and the step alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import FAMILIES, tiny_config
from transformers import AutoModelForMaskedLM, AutoTokenizer

import nlp_transfer as nt
from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.source_rows import read_source
from nlp_transfer.strategies.replay_sources import LabelledSource, RawSource


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """Raw text of 80 lines that differ in length."""
    words = ["good", "bad", "the", "coffee", "train", "was", "and", "Anna", "zebra"]
    chance = np.random.default_rng(0)
    lines = [" ".join(chance.choice(words, chance.integers(1, 30))) for _ in range(80)]
    path = tmp_path_factory.mktemp("raw") / "raw.txt"
    path.write_text("\n".join(lines))
    return str(path)


def loaded(folder, head="native"):
    heads = {
        "native": lambda: nt.TextClassificationHead(["complaint", "praise"]),
        "pooled": lambda: nt.TextClassificationHead(["complaint", "praise"], pooling="mean", hidden=(16,)),
        "ner": lambda: nt.NERHead(["PER", "LOC"]),
    }
    return nt.TransferModel.load(folder, heads[head]())


def masked(checkpoint, raw, seed=0):
    model = loaded(checkpoint())
    return RawSource(model, read_source(raw)[0], seed)


def test_a_draw_depends_on_seed_and_step_and_holds_rows_of_similar_length(checkpoint, raw):
    source, again = masked(checkpoint, raw), masked(checkpoint, raw)
    assert source.draw(8, 0, 5) == again.draw(8, 0, 5)
    assert source.draw(8, 0, 5) != source.draw(8, 0, 6)
    assert source.draw(8, 0, 5) != source.draw(8, 1, 5)
    draws = [source.draw(8, 0, step) for step in range(200)]
    assert all(len(set(draw)) == 8 for draw in draws)
    counts = np.bincount(np.concatenate(draws), minlength=80)
    assert counts.min() > 5  # 20 expected of each row, short or long
    assert counts.max() < 40
    spread = np.mean([np.ptp(source.inputs.lengths[draw]) for draw in draws])
    assert spread < 0.5 * np.ptp(source.inputs.lengths)
    assert len(source.draw(100, 0, 1)) == 100  # a source of fewer rows than a batch


def test_masks_depend_on_seed_step_and_row_alone(checkpoint, raw):
    source = masked(checkpoint, raw)
    alone = {place: source.batch([place], step=3) for place in (4, 17, 30)}
    together = source.batch([30, 4, 17], step=3)
    for row, place in enumerate((30, 4, 17)):
        length = source.inputs.lengths[place]
        assert torch.equal(together["input_ids"][row, :length], alone[place]["input_ids"][0])
        assert torch.equal(together["predicted"][row, :length], alone[place]["predicted"][0])
    labels = torch.cat([alone[place]["labels"] for place in (30, 4, 17)])
    assert torch.equal(together["labels"], labels)
    assert source.labelled([30, 4, 17], step=3) == len(labels)
    assert not torch.equal(source.batch([30], step=4)["predicted"], alone[30]["predicted"])
    other = masked(checkpoint, raw, seed=1)
    assert not torch.equal(other.batch([30], step=3)["predicted"], alone[30]["predicted"])


def test_fifteen_percent_are_predicted_and_most_of_them_masked(checkpoint, raw):
    source = masked(checkpoint, raw)
    special, places = set(source.tokenizer.all_special_ids), list(range(80))
    before = source.inputs.batch(places)["input_ids"]
    words = ~torch.isin(before, torch.tensor(list(special)))
    predicted = fates = 0
    for step in range(20):
        batch = source.batch(places, step)
        chosen = batch["predicted"]
        assert not (chosen & ~words).any()
        assert chosen.any(dim=1).all()
        assert torch.equal(batch["input_ids"][~chosen], before[~chosen])
        assert torch.equal(batch["labels"], before[chosen])
        now = batch["input_ids"][chosen]
        kinds = (now == source.tokenizer.mask_token_id, now == before[chosen])
        fates = fates + np.array([kinds[0].sum().item(), kinds[1].sum().item()])
        predicted += int(chosen.sum())
    assert predicted / (20 * int(words.sum())) == pytest.approx(0.15, abs=0.02)
    assert fates / predicted == pytest.approx([0.8, 0.1], abs=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_language_model_of_the_checkpoint_is_used_as_it_is(checkpoint, raw, tmp_path, caplog, family):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint(family))
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    network = AutoModelForMaskedLM.from_config(tiny_config(family, len(tokenizer))).eval()
    network.save_pretrained(tmp_path)
    model = loaded(tmp_path)
    with caplog.at_level("INFO", "nlp_transfer"):
        source = RawSource(model, read_source(raw)[0], seed=0)
    assert caplog.messages == [f"Source {raw}: 80 texts, masked-language-model loss with the checkpoint's own head."]
    batch = source.batch(range(6), step=1)
    with torch.inference_mode():
        ours = source.network.eval()(**{k: v for k, v in batch.items() if k != "labels"}).logits[0]
        theirs = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(ours, theirs[batch["predicted"]], rtol=1e-5, atol=1e-5)
    # The decoder is tied to the word embeddings of the target's encoder as it was to those of its own.
    assert len(own_weights(source.network, model.encoder.base)) == len(own_weights(network, network.base_model))


def own_weights(network, base):
    return {id(p) for p in network.parameters()} - {id(p) for p in base.parameters()}


def test_an_encoder_alone_gets_a_new_language_model_head(checkpoint, raw, caplog):
    with caplog.at_level("INFO", "nlp_transfer"):
        masked(checkpoint, raw)
    assert caplog.messages == [f"Source {raw}: 80 texts, masked-language-model loss with a new head."]


# Contract tests let it learn on every family; these ask for the source's weights too, where families differ most.
@pytest.mark.parametrize("head", ["native", "pooled", "ner"])
@pytest.mark.parametrize("family", ["bert", "mobilebert", "deberta-v2", "modernbert", "distilbert"])
def test_every_weight_of_source_and_target_learns_and_the_target_stays_whole(
    checkpoint, reviews, sentences, raw, family, head
):
    """DistributedDataParallel would wait for those that have no gradient."""
    model = loaded(checkpoint(family), head)
    names = [name for name, _ in model.network.named_parameters()]
    ids = torch.tensor([model.tokenizer("the coffee was good")["input_ids"]])
    with torch.inference_mode():
        before = model.network.eval()(ids).logits
    for path in (reviews["train"], sentences["train"], raw):
        rows, kind = read_source(path)
        source = RawSource(model, rows, 0) if kind == "text" else LabelledSource(model, rows, kind)
        shared = {id(p) for p in model.encoder.base.parameters()}
        assert sum(id(p) in shared for p in source.network.parameters()) == len(shared)
        batch = source.batch(range(4), step=1)
        labels = batch.pop("labels")
        loss = source.loss(source.network(**batch).logits, labels, source.labelled(range(4), step=1))
        (loss + model.network(ids).logits.sum()).backward()
        both = torch.nn.ModuleList([model.network, source.network])
        assert [n for n, p in both.named_parameters() if p.requires_grad and p.grad is None] == []
        model.network.zero_grad()
        empty = source.loss(source.network(**batch).logits, torch.full_like(labels, IGNORED), 1)
        assert empty.item() == 0
        source.release()
        assert [name for name, _ in model.network.named_parameters()] == names
    with torch.inference_mode():
        assert torch.equal(model.network(ids).logits, before)


def test_a_source_for_texts_has_the_shape_of_the_target(checkpoint, reviews):
    rows, kind = read_source(reviews["train"])
    for head in ("native", "pooled"):
        model = loaded(checkpoint(), head)
        assert type(LabelledSource(model, rows, kind).network) is type(model.network)


def test_what_a_source_cannot_do_without_is_one_line(checkpoint, raw, tmp_path):
    rows, _ = read_source(raw)
    model = loaded(checkpoint())
    by_hand = nt.TransferModel(model.network, model.head, model.tokenizer)
    with pytest.raises(nt.ModelError, match=r"no checkpoint holds this one"):
        RawSource(by_hand, rows, 0)
    maskless = loaded(checkpoint())
    maskless.save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(nt.ModelError, match="has no mask token, so raw text teaches it nothing; give labelled rows"):
        RawSource(loaded(tmp_path), rows, 0)

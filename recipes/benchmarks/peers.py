"""One turn of `recipes/benchmarks/benchmark.py` in a process of its own: this package, or a peer, trains or predicts.

    python recipes/benchmarks/peers.py '{"side": "plain", ...}'

It prints one line of JSON: what the turn gave, or {"skipped": why} where it cannot run on this machine. A peer does
what its users would write. Of this package it takes the names of checkpoints, which layers freeze, and the counting.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from turn import Job, features, predicted, random_batches, score, trained, watch

import nlp_transfer as nt
from nlp_transfer.encoders.pretrained import Checkpoint, max_positions
from nlp_transfer.system import hardware
from nlp_transfer.system.hardware import Machine, peak_memory

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def machine(job: Job) -> dict[str, Any]:
    """What this machine is, and the FLOP/s of its fastest matrix products."""
    here = Machine.here()  # before the products: it tells the load
    precisions = dict.fromkeys(("no", hardware.precision(job.mixed_precision), hardware.precision()))
    peaks = {precision: hardware.gemm_peak(precision) for precision in precisions}
    return {"machine": asdict(here), "line": str(here), "peaks": peaks}


def ours(job: Job) -> dict[str, Any]:
    """What recipes/classify.py and recipes/ner.py do."""
    data = nt.DataOptions(
        train_file=job.files["train"],
        validation_file=job.files.get("validation"),
        test_file=job.files["test"],
        validation_split_percentage=0.0,
    )
    training = nt.TrainingOptions(
        max_train_steps=job.steps,
        per_device_train_batch_size=job.batch_size,
        learning_rate=job.rate,
        warmup_ratio=0.06,  # as in the peers
        seed=job.seed,
        mixed_precision=job.mixed_precision,
    )
    strategy = nt.strategy_named(**job.strategy)
    cache = nt.CacheOptions(cache_dir=f"{job.folder}/cache")  # each turn fills its own
    splits = nt.load_splits(data, job.task, training.seed)
    accelerator = nt.make_accelerator(training, job.folder)
    head: nt.TaskHead
    if job.tags:
        head, splits = nt.NERHead.for_splits(splits, tag_scheme="IOB2")
    else:
        head = nt.TextClassificationHead.for_splits(splits, pooling="native")
    nt.set_seed(training.seed)
    model = nt.TransferModel.load(job.encoder, head, max_length=job.max_length)
    lengths = watch(model.network)
    run = nt.fit(model, splits, options=training, accelerator=accelerator, strategy=strategy, cache=cache)
    report = nt.evaluate_run(model, splits, run=run, accelerator=accelerator, cache=cache)
    assert report
    assert report.split
    nt.write_run(Path(job.folder), model, splits=splits, report=report, options=(data, training))
    seconds = sum(len(part) for part in lengths) / run.rows_per_second
    precision = hardware.precision(job.mixed_precision)
    return trained(model.network, lengths, seconds, precision, model.encoder.frozen_layers) | {
        "score": report.scores[report.split]["f1_strict" if job.tags else "accuracy"]
    }


def plain(job: Job) -> dict[str, Any]:
    """The loop one writes by hand: fp32, random batches padded to their longest row, AdamW, linear warmup and decay."""
    transformers.set_seed(job.seed)
    network, tokenizer, names, collate = build(job)
    network.to(DEVICE).train()
    rows, lengths = features(job, "train", tokenizer, names), watch(network)
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=job.rate)
    schedule = transformers.get_scheduler("linear", optimizer, int(0.06 * job.steps), job.steps)
    batches = random_batches(rows, job.batch_size)
    started = time.perf_counter()
    for _ in range(job.steps):
        network(**collate(next(batches)).to(DEVICE)).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    network.eval()
    test = features(job, "test", tokenizer, names)
    answers: list[tuple[Any, Any]] = []
    with torch.no_grad():
        for start in range(0, len(test), 64):
            batch = collate(test[start : start + 64]).to(DEVICE)
            answers += zip(network(**batch).logits.argmax(-1).tolist(), batch["labels"].tolist(), strict=True)
    network.save_pretrained(f"{job.folder}/model")
    return trained(network, lengths, seconds, "no") | {"score": score(answers, names, job)}


def trainer(job: Job, **settings: Any) -> dict[str, Any]:
    """`transformers.Trainer` with its defaults, but that it saves nothing on the way."""
    transformers.set_seed(job.seed)
    network, tokenizer, names, collate = build(job)
    lengths = watch(network)
    arguments = transformers.TrainingArguments(
        output_dir=job.folder,
        max_steps=job.steps,
        per_device_train_batch_size=job.batch_size,
        learning_rate=job.rate,
        seed=job.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    rows = features(job, "train", tokenizer, names)
    loop = transformers.Trainer(network, arguments, train_dataset=rows, data_collator=collate)
    seconds = loop.train().metrics["train_runtime"]
    output = loop.predict(features(job, "test", tokenizer, names))
    loop.save_model(f"{job.folder}/model")
    answers = zip(output.predictions.argmax(-1).tolist(), output.label_ids.tolist(), strict=True)
    precision = "bf16" if arguments.bf16 else "no"
    return trained(network, lengths, seconds, precision) | {"score": score(list(answers), names, job)}


def trainer_best(job: Job) -> dict[str, Any]:
    """`transformers.Trainer` with what it has to be quick: bf16, batches of similar length, fused AdamW."""
    if hardware.precision() != "bf16":
        return {"skipped": "the processor has no instructions for bf16"}
    return trainer(
        job, bf16=True, use_cpu=DEVICE == "cpu", train_sampling_strategy="group_by_length", optim="adamw_torch_fused"
    )


def ours_predicting(job: Job) -> dict[str, Any]:
    """`TransferModel.predict` on the test rows."""
    rows, model = job.rows("test"), nt.TransferModel.load(f"{job.folder}/model")
    model.network.to(DEVICE)
    texts = [row["words" if job.tags else "text"] for row in rows]
    started = time.perf_counter()
    predictions = model.predict(texts, batch_size=job.batch_size)
    seconds = time.perf_counter() - started
    answers = [list(answer.tags) if job.tags else answer.label for answer in predictions]
    return predicted(rows, answers, seconds, job)


def pipeline(job: Job) -> dict[str, Any]:
    """`transformers.pipeline` in fp32 on the test rows."""
    kind = "token-classification" if job.tags else "text-classification"
    rows = job.rows("test")
    settings: dict[str, Any] = {"ignore_labels": []} if job.tags else {"truncation": True}
    ask = transformers.pipeline(kind, f"{job.folder}/model", dtype=torch.float32, device=DEVICE, **settings)
    texts = [" ".join(row["words"]) if job.tags else row["text"] for row in rows]
    started = time.perf_counter()
    predictions = ask(texts, batch_size=job.batch_size)
    seconds = time.perf_counter() - started
    if not job.tags:
        return predicted(rows, [answer["label"] for answer in predictions], seconds, job)
    answers = []
    for row, tokens in zip(rows, predictions, strict=True):
        # A word's tag is that of its first token; with the blank before it, byte-level tokens may begin one earlier.
        tags = {token["start"]: token["entity"] for token in reversed(tokens)}
        places = np.cumsum([0, *(len(word) + 1 for word in row["words"])])[:-1].tolist()
        answers.append([tags.get(place, tags.get(place - 1, "O")) for place in places])
    return predicted(rows, answers, seconds, job)


def build(job: Job) -> tuple[Any, Any, list[str], Any]:
    """Network, tokenizer, label names and collator as a user of transformers and PEFT makes them.

    What trains is what the strategy of the same name trains.
    """
    checkpoint = Checkpoint.find(job.encoder)  # it knows the encoder that comes with a package
    words = {"add_prefix_space": True} if job.tags else {}
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.source, **words)
    tokenizer.model_max_length = job.max_length or min(256, max_positions(checkpoint.encoder_config))
    names = sorted({tag for row in job.rows("train") for tag in (row["tags"] if job.tags else [row["label"]])})
    auto = transformers.AutoModelForTokenClassification if job.tags else transformers.AutoModelForSequenceClassification
    network = auto.from_pretrained(
        checkpoint.source,
        id2label=dict(enumerate(names)),
        label2id={name: place for place, name in enumerate(names)},
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
    )
    collator = transformers.DataCollatorForTokenClassification if job.tags else transformers.DataCollatorWithPadding
    if job.strategy["name"] == "freeze":
        encoder = nt.Encoder(network)
        encoder.freeze(encoder.depth - job.strategy.get("trainable_layers", 0))
    if job.strategy["name"] == "lora":
        network = with_lora(network, job)
    return network, tokenizer, names, collator(tokenizer)


def with_lora(network: nn.Module, job: Job) -> nn.Module:
    """The network with LoRA of PEFT, by default on query, key and value, with dropout 0.1."""
    from peft import LoraConfig, get_peft_model  # takes a second

    config = LoraConfig(
        task_type="TOKEN_CLS" if job.tags else "SEQ_CLS",
        r=job.strategy.get("lora_r", 8),
        lora_alpha=job.strategy.get("lora_alpha", 16),
        lora_dropout=job.strategy.get("lora_dropout", 0.1),
        target_modules=job.strategy.get("lora_targets", ["query", "key", "value"]),
    )
    return get_peft_model(network, config)


SIDES: dict[str, Callable[[Job], dict[str, Any]]] = {
    turn.__name__: turn for turn in (machine, ours, plain, trainer, trainer_best, ours_predicting, pipeline)
}


def main() -> None:
    """Take the turn that the one argument describes, and print its result."""
    job = Job(**json.loads(sys.argv[1]))
    transformers.logging.set_verbosity_error()
    try:
        result = SIDES[job.side](job)
    except ModuleNotFoundError as error:
        if job.side.startswith("ours"):
            raise
        result = {"skipped": f"{error.name} is not installed"}
    memory = {"peak_memory": peak_memory()}
    if DEVICE == "cuda":
        memory["peak_gpu_memory"] = torch.cuda.max_memory_allocated()
    print(json.dumps(memory | result))


if __name__ == "__main__":
    nt.run_recipe(main)

"""Ways to transfer: each file is one strategy, which registers itself, and overrides one or two methods of `Strategy`.

None of them loads torch before it is used: `--help` shows the options of all.
"""

from nlp_transfer.strategies.auto import Auto
from nlp_transfer.strategies.features import Features
from nlp_transfer.strategies.few_shot import FewShot
from nlp_transfer.strategies.freeze import Freeze
from nlp_transfer.strategies.full import Full
from nlp_transfer.strategies.gradual import Gradual
from nlp_transfer.strategies.head_then_full import HeadThenFull
from nlp_transfer.strategies.l2sp import L2SP
from nlp_transfer.strategies.lora import Lora
from nlp_transfer.strategies.replay import Replay
from nlp_transfer.strategies.scratch import Scratch
from nlp_transfer.strategies.strategy import Part, Stage, Strategy
from nlp_transfer.strategies.strategy_options import StrategyOptions
from nlp_transfer.strategies.strategy_registry import STRATEGIES, register_strategy, strategy_from, strategy_named

__all__ = [
    "L2SP", "STRATEGIES", "Auto", "Features", "FewShot", "Freeze", "Full", "Gradual", "HeadThenFull", "Lora", "Part",
    "Replay", "Scratch", "Stage", "Strategy", "StrategyOptions",
    "register_strategy", "strategy_from", "strategy_named",
]  # fmt: skip

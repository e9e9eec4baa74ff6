"""The public names of nlp_transfer and their modules, read by type checkers, and by lazy_loader at run time."""

from . import strategies as strategies
from .checks.check_data import (
    DataReport as DataReport,
    check_data as check_data,
    require_packages as require_packages,
)
from .checks.check_table import report_table as report_table
from .checks.finding import Finding as Finding
from .checks.quick_check import (
    check_quickly as check_quickly,
    refuse_leaks as refuse_leaks,
)
from .checks.read_for_checks import (
    read_for_checks as read_for_checks,
    task_of as task_of,
)
from .checks.tokenization import tokenizer_of as tokenizer_of
from .checks.write_checks import write_report as write_report
from .config import (
    CacheOptions as CacheOptions,
    CheckOptions as CheckOptions,
    ClassificationOptions as ClassificationOptions,
    CompareOptions as CompareOptions,
    DataOptions as DataOptions,
    ExportOptions as ExportOptions,
    LabellingOptions as LabellingOptions,
    ModelOptions as ModelOptions,
    NEROptions as NEROptions,
    OutputOptions as OutputOptions,
    PredictionOptions as PredictionOptions,
    Range as Range,
    RejectionOptions as RejectionOptions,
    ReportOptions as ReportOptions,
    ScoringOptions as ScoringOptions,
    SelectionOptions as SelectionOptions,
    SentimentOptions as SentimentOptions,
    ServingOptions as ServingOptions,
    TrainingOptions as TrainingOptions,
    TuningOptions as TuningOptions,
    ZeroShotOptions as ZeroShotOptions,
    option as option,
)
from .config.parsing import parse as parse
from .data.load import (
    load_splits as load_splits,
    require_files as require_files,
    splits_from as splits_from,
)
from .data.raw_texts import (
    load_raw_texts as load_raw_texts,
    require_text_files as require_text_files,
)
from .data.rows import Rows as Rows
from .data.readers.reader_registry import register_reader as register_reader
from .data.splits import Splits as Splits
from .encoders.encoder import Encoder as Encoder
from .errors import (
    DataError as DataError,
    Interrupted as Interrupted,
    ModelError as ModelError,
    OptionError as OptionError,
    RunFinished as RunFinished,
    UserError as UserError,
)
from .evaluation.evaluate_run import evaluate_run as evaluate_run
from .evaluation.fit_rejection import (
    fit_rejection as fit_rejection,
    require_rejection as require_rejection,
)
from .evaluation.predict_file import predict_file as predict_file
from .evaluation.scored_parts import (
    PartScorer as PartScorer,
    ScoringPlan as ScoringPlan,
    require_engine as require_engine,
)
from .evaluation.scorer import Scorer as Scorer
from .experiments.auto.choose_strategy import (
    Choice as Choice,
    choose_strategy as choose_strategy,
    resolve_strategy as resolve_strategy,
    settled as settled,
)
from .experiments.candidates import candidates_from as candidates_from
from .experiments.compare.comparison import (
    Comparison as Comparison,
    compare as compare,
)
from .experiments.compare.comparison_files import write_comparison as write_comparison
from .experiments.compare.comparison_folder import ComparisonFolder as ComparisonFolder
from .experiments.compare.comparison_table import comparison_table as comparison_table
from .experiments.select.select_encoders import (
    Selection as Selection,
    select_encoders as select_encoders,
)
from .experiments.select.selection_table import (
    selection_table as selection_table,
    write_selection as write_selection,
)
from .experiments.task_rows import read_task as read_task
from .experiments.tune.tuning import (
    require_optuna as require_optuna,
    rows_to_tune_on as rows_to_tune_on,
    tune as tune,
)
from .exporting.export_run import (
    export_run as export_run,
    require_export_packages as require_export_packages,
)
from .exporting.export_table import (
    add_to_report as add_to_report,
    export_table as export_table,
)
from .few_labels.described_labels import described_labels as described_labels
from .few_labels.teacher import open_teacher as open_teacher
from .few_labels.zero_shot import (
    ZeroShot as ZeroShot,
    learn_from_label_texts as learn_from_label_texts,
    zero_shot_baselines as zero_shot_baselines,
)
from .heads import (
    MultiLabelHead as MultiLabelHead,
    NERHead as NERHead,
    RegressionHead as RegressionHead,
    SentimentHead as SentimentHead,
    TaskHead as TaskHead,
    TextClassificationHead as TextClassificationHead,
    TextHead as TextHead,
    head_named as head_named,
    register_head as register_head,
    text_head_for as text_head_for,
)
from .heads.sentiment import cut_into_levels as cut_into_levels
from .labelling.label_status import LabelStatus as LabelStatus, label_status as label_status
from .labelling.merging import merge_file as merge_file
from .labelling.next_batch import next_batch as next_batch
from .labelling.status_table import status_table as status_table
from .metrics.metric_registry import register_metric as register_metric
from .models.transfer_model import TransferModel as TransferModel
from .run.report.redraw import draw_reports as draw_reports
from .run.run_folder import RunFolder as RunFolder
from .run.verify_run import verify_run as verify_run
from .run.write_run import write_run as write_run
from .serving.serve_models import serve as serve
from .strategies import (
    Strategy as Strategy,
    StrategyOptions as StrategyOptions,
    register_strategy as register_strategy,
    strategy_from as strategy_from,
    strategy_named as strategy_named,
)
from .system.cli import run_recipe as run_recipe
from .system.launcher import launch_processes as launch_processes
from .training.accelerator import make_accelerator as make_accelerator
from .training.loop import fit as fit, set_seed as set_seed
from .training.steps import steps as steps
from .types import (
    LabelSet as LabelSet,
    MultiLabelPrediction as MultiLabelPrediction,
    Prediction as Prediction,
    RegressionPrediction as RegressionPrediction,
    RunResult as RunResult,
    SentimentPrediction as SentimentPrediction,
    Span as Span,
    TagPrediction as TagPrediction,
)
from .version import __version__ as __version__

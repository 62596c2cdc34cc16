"""Lists and mappings of the configuration, as people write them in a file or in the environment."""

from pathlib import Path

import pytest

from restar_lib.errors import ConfigurationError
from restar_lib.settings import Settings, load
from restar_lib.settings.list_values import takes_a_list
from restar_lib.settings.loading import MERGED
from restar_lib.settings.sections import Section


def _settings(home: Path, **variables: str) -> Settings:
    names = {f"RESTAR_{name.upper()}": value for name, value in variables.items()}
    return load(environment={"RESTAR_HOME": str(home), **names}).settings


def test_one_value_is_a_list_of_one(tmp_path: Path) -> None:
    """From the environment, for plain names, phrases, spellings of columns and spans of time."""
    found = _settings(
        tmp_path,
        mail__recipients="ann@example.org",
        labeling__labelers="ann",
        hub__categories="Toys",
        source__fields="{text: my_words}",
        simulated__drills="[2025-03-01T00:00:00Z, 2025-04-01T00:00:00Z]",
    )
    assert (found.mail.recipients, found.labeling.labelers, found.hub.categories) == (
        ("ann@example.org",),
        ("ann",),
        ("Toys",),
    )
    assert found.source.fields["text"][0] == "my_words"
    assert len(found.simulated.drills) == 1


def test_every_key_that_is_a_list_takes_one_value() -> None:
    """Whatever sections and keys there will be: no list is refused for being written as one value."""
    for section in Settings.model_fields.values():
        kind = section.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            for name, field in kind.model_fields.items():
                if takes_a_list(field.annotation) and name not in {"fields", "drills"}:
                    one = {"languages": "en", "allowed_origins": "https://one.example"}.get(name, "one")
                    assert getattr(kind.model_validate({name: one}), name) == (one,), name


def test_one_value_in_a_file_is_a_list_of_one(tmp_path: Path) -> None:
    """A file of the installation is read like the environment."""
    (tmp_path / "embedded.yaml").write_text("labeling:\n  labelers: ann\n")
    assert _settings(tmp_path).labeling.labelers == ("ann",)


def test_names_between_commas_are_a_list(tmp_path: Path) -> None:
    """As everybody writes them in an environment variable; nothing between two commas is nobody."""
    found = _settings(tmp_path, labeling__labelers="ann,bob", mail__recipients="ann@example.org, bob@example.org,")
    assert found.labeling.labelers == ("ann", "bob")
    assert found.mail.recipients == ("ann@example.org", "bob@example.org")


def test_a_comma_stays_in_a_phrase_and_in_the_name_of_a_column(tmp_path: Path) -> None:
    """Only plain names are divided."""
    found = _settings(tmp_path, ingest__blocklist="free, sample", source__fields="{text: 'good, and bad'}")
    assert found.ingest.blocklist == ("free, sample",)
    assert found.source.fields["text"][0] == "good, and bad"


def test_an_empty_variable_is_an_empty_list(tmp_path: Path) -> None:
    """Compose hands on a variable that nobody filled in as empty."""
    assert _settings(tmp_path, labeling__labelers="").labeling.labelers == ()


@pytest.mark.parametrize("written", ["17", "{ann: bob}", "[ann, 17]", "null"])
def test_what_is_no_list_of_names_is_refused_with_how_to_write_one(tmp_path: Path, written: str) -> None:
    """YAML reads 17 as a number; the message shows brackets and quotes."""
    with pytest.raises(ConfigurationError, match=r"labeling\.labelers.*\[ops@example\.com\], \['123'\]"):
        _settings(tmp_path, labeling__labelers=written)


def test_broken_yaml_in_a_variable_is_one_line_that_names_it(tmp_path: Path) -> None:
    """A missing bracket is an error of the configuration, not a traceback."""
    with pytest.raises(ConfigurationError, match=r"^RESTAR_LABELING__LABELERS=\[ann: not valid YAML .*in brackets"):
        _settings(tmp_path, labeling__labelers="[ann")


def test_a_spelling_is_added_to_one_field_and_all_others_stay(tmp_path: Path) -> None:
    """It comes first; the known ones of that field stay behind it, each once."""
    known = _settings(tmp_path).source.fields
    found = _settings(tmp_path, source__fields="{text: [my_words, body]}").source.fields
    assert found["text"] == ("my_words", "body", *(name for name in known["text"] if name != "body"))
    assert {name: found[name] for name in known if name != "text"} == {
        name: known[name] for name in known if name != "text"
    }


def test_an_empty_list_leaves_a_field_out(tmp_path: Path) -> None:
    """For an id that is that of a product: no spelling of it is left."""
    assert _settings(tmp_path, source__fields="{review_id: []}").source.fields["review_id"] == ()


def test_a_floor_of_one_group_leaves_the_others(tmp_path: Path) -> None:
    """Also those that are typed defaults and stand in no file."""
    known = _settings(tmp_path).gate.behaviour_floors
    found = _settings(tmp_path, gate__behaviour_floors="{typos: 0.5}").gate.behaviour_floors
    assert found == known | {"typos": 0.5}


def test_options_of_a_storage_are_replaced_as_a_whole(tmp_path: Path) -> None:
    """Another storage must not get the address of the first."""
    (tmp_path / "embedded.yaml").write_text("source:\n  storage: {endpoint_url: 'http://store.example'}\n")
    assert _settings(tmp_path, source__storage="{anon: true}").source.storage == {"anon": True}


def test_the_origin_names_both_layers(tmp_path: Path) -> None:
    """`config show` says that the spellings are from two places."""
    variables = {"RESTAR_HOME": str(tmp_path), "RESTAR_SOURCE__FIELDS": "{text: my_words}"}
    assert load(environment=variables).origins["source.fields"] == "environment, over include/config/default.yaml"


def test_every_mapping_is_merged_or_replaced_on_purpose() -> None:
    """A new mapping is added to `MERGED`, or here."""
    mappings = {
        f"{section}.{name}"
        for section, kind in ((name, field.annotation) for name, field in Settings.model_fields.items())
        if isinstance(kind, type) and issubclass(kind, Section)
        for name, field in kind.model_fields.items()
        if str(field.annotation).startswith("dict")
    }
    assert mappings == MERGED | {"source.storage"}


@pytest.mark.parametrize("written", ["[]", "", "['']"])
def test_mails_to_nobody_are_refused_at_start(tmp_path: Path, written: str) -> None:
    """One line with the two ways out; a night's alert would have found nobody."""
    with pytest.raises(ConfigurationError, match=r"^mail\.recipients = .*nobody would get .*mail\.enabled = false"):
        _settings(tmp_path, mail__recipients=written)


def test_nobody_needs_to_be_named_where_mailing_is_switched_off(tmp_path: Path) -> None:
    """An installation that is told of alerts by its webhook alone."""
    assert _settings(tmp_path, mail__recipients="[]", mail__enabled="false").mail.recipients == ()

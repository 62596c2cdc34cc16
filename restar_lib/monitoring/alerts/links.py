"""Where an alert leads: the run that found it, its report, its run-book, the label desk; all in Airflow's UI.

Pure; the pages themselves are Airflow's and `desk`'s, all behind Airflow's login.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from restar_lib.monitoring.alerts.alert_log import Alert, AlertKind
from restar_lib.settings import Settings
from restar_lib.urls import report_url

RUN_BOOK = "watching"
"""The page of `docs/` with a section `Alert: <kind>` for each kind; a test holds that."""


@dataclass(frozen=True, kw_only=True)
class PageLink:
    """A page to open."""

    text: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where an alert leads."""

    report: str | None = None
    run: str | None = None
    more: tuple[PageLink, ...] = ()

    @property
    def all(self) -> tuple[PageLink, ...]:
        """Every page, the likeliest first."""
        first = (("Open the report", self.report), ("Open the run", self.run))
        return (*(PageLink(text=text, url=url) for text, url in first if url), *self.more)


def links_for(alert: Alert, settings: Settings) -> Links:
    """The pages of an alert."""
    base = settings.orchestration.airflow_url.rstrip("/")
    details = alert.details
    run = f"{base}/dags/{quote(details.dag_id)}/runs/{quote(details.run_key, safe='')}"
    desk = PageLink(text="Open the label desk", url=f"{base}/restar/desk/")
    run_book = PageLink(text="Open the run-book", url=f"{base}/restar/run-book/{RUN_BOOK}#{anchor(alert.kind)}")
    return Links(
        report=report_url(settings.orchestration.airflow_url, alert.report_file) if alert.report_file else None,
        # Airflow's run ids are `<kind>__<time>`; whoever asks from a terminal has no run to show.
        run=run if "__" in details.run_key else None,
        more=(desk, run_book) if alert.kind in {AlertKind.QUEUE, AlertKind.QUALITY} else (run_book,),
    )


def anchor(kind: AlertKind) -> str:
    """The section of the run-book about a kind of alert, as a heading's anchor."""
    return f"alert-{kind.value}"

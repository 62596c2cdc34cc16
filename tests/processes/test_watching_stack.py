"""Prometheus, Alertmanager, Grafana and the gateway: their files hold together, and with what our processes export.

The programs' own checkers run where they are installed (Debian: prometheus, prometheus-alertmanager, haproxy).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from restar_lib.monitoring.exporter import airflow_gauge, gauges
from restar_lib.serving import prometheus
from restar_lib.settings import PROJECT_ROOT, load

INCLUDE = PROJECT_ROOT / "include"
PROMETHEUS, GRAFANA = INCLUDE / "prometheus", INCLUDE / "grafana"
SERVICES = yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())["services"]
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "restar.json").read_text())
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


def exported() -> set[str]:
    """Names of the families that our processes export, as their modules declare them."""
    source = "".join(Path(module.__file__ or "").read_text() for module in (prometheus, gauges, airflow_gauge))
    return set(re.findall(r'"(restar_\w+)"', source))


def checked(program: str, *arguments: str | Path) -> str:
    """What a program says of its own files; skips where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=PROJECT_ROOT)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_number_that_is_looked_at_is_exported() -> None:
    """A rule over a name that nobody exports would be silent for ever."""
    endings = r"(_total|_bucket|_count|_sum|_info)$"
    asked = {re.sub(endings, "", name) for text in EXPRESSIONS for name in re.findall(r"\brestar_\w+", text)}
    assert asked
    assert asked <= exported()


def test_every_alert_says_how_bad_it_is_what_happened_and_where_the_run_book_is() -> None:
    """A mail at three in the morning must be enough to begin."""
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "run_book"}
        assert "for" in rule, f"{rule['alert']} would shout at the first hiccup"
        page = (PROJECT_ROOT / rule["annotations"]["run_book"]).read_text()
        assert f"| {rule['alert']} |" in page, f"{rule['alert']} has no line in the run-book"


def test_the_limits_are_those_of_the_contract_and_of_the_settings() -> None:
    """p95 500 ms, 1 % failed, and the queue's limit of `monitoring`."""
    rules = {rule["alert"]: rule["expr"] for rule in RULES}
    assert "> 0.5" in rules["ApiSlow"]
    assert "> 0.01" in rules["ApiFailing"]
    hours = load(environment={"RESTAR_PROFILE": "production"}).settings.monitoring.max_open_task_hours
    assert f"> {hours:.0f} * 3600" in rules["QueueTooOld"]
    assert {0.3, 0.5} <= set(prometheus.BUCKETS), "without a bucket at the limit the quantile is a guess"


def test_names_and_ports_are_those_of_the_services() -> None:
    """Whoever is asked by name is a service of docker-compose.yaml."""
    files = [*PROMETHEUS.glob("*.yml"), *GRAFANA.rglob("*.yaml"), INCLUDE / "gateway" / "haproxy.cfg"]
    asked = {name for path in files for name in re.findall(r"(?<![\w.])([a-z][a-z0-9-]+):\d{4}\b", path.read_text())}
    assert {"serving-1", "serving-2", "metrics", "gateway", "alertmanager", "mail-relay", "prometheus"} == asked
    assert asked <= set(SERVICES)


def test_both_replicas_are_asked_and_both_answer() -> None:
    """Prometheus and the gateway know the same replicas as the release does."""
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    behind = re.findall(r"^    server \S+ (\S+)$", (INCLUDE / "gateway" / "haproxy.cfg").read_text(), re.MULTILINE)
    told = SERVICES["airflow-worker-1"]["environment"]["RESTAR_SERVING__URL"].split()
    assert scraped[0]["targets"] == behind == [url.removeprefix("http://") for url in told]


def test_the_gateway_hides_metrics_and_asks_who_is_ready() -> None:
    """Replicas that are alive without a model get no request."""
    text = (INCLUDE / "gateway" / "haproxy.cfg").read_text()
    assert "deny deny_status 404 if { path,url_dec -m beg /metrics }" in text
    assert "uri /ready" in text
    # Without the whole request at hand, one that was sent to a dying replica cannot be asked of the other one.
    assert "option http-buffer-request" in text


def test_the_dashboard_reads_the_provisioned_source() -> None:
    """By its uid; and no two panels lie on each other."""
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())["datasources"][
        0
    ]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    taken = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert (len(taken), max(x for x, _ in taken)) == (len(set(taken)), 23)


def test_prometheus_takes_its_files() -> None:
    """`promtool check config`, rules included."""
    assert checked("promtool", "check", "config", PROMETHEUS / "prometheus.yml") == ""


def test_the_rules_fire_when_they_should_and_not_before() -> None:
    """Prometheus' own unit tests, in tests/promtool."""
    assert checked("promtool", "test", "rules", "tests/promtool/alerts.yml") == ""


def test_alertmanager_takes_its_file() -> None:
    """`amtool check-config`, with the addresses filled in as the container's command does."""
    assert checked("amtool", "check-config", PROMETHEUS / "alertmanager.yml") == ""


def test_haproxy_takes_its_file() -> None:
    """`haproxy -c`; it warns that the replicas' names are unknown here."""
    assert checked("haproxy", "-c", "-f", INCLUDE / "gateway" / "haproxy.cfg") == ""

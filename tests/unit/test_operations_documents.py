"""Alerts, runbook and dashboard: complete, and in a language that their readers speak."""

import re
from collections import Counter
from itertools import pairwise

import pytest
import yaml

from tests.support.promql import OPERATIONS, SCRAPED, alerts, panels, selectors, shown

_NOT_OURS = {"up"}


def _runbook() -> str:
    return (OPERATIONS / "runbook.md").read_text(encoding="utf-8")


def test_each_alert_has_a_runbook_entry_and_each_entry_an_alert() -> None:
    names = [rule["alert"] for rule in alerts()]
    entries = re.findall(r"^### (\S+)$", _runbook(), re.MULTILINE)
    assert len(names) > 20
    assert Counter(names) == Counter(entries) == Counter(set(names))


def test_each_runbook_entry_says_something() -> None:
    sections = re.split(r"^###? .+$", _runbook(), flags=re.MULTILINE)[1:]
    headings = re.findall(r"^(###?) ", _runbook(), re.MULTILINE)
    for (heading, _), text in zip(pairwise([*headings, "##"]), sections, strict=True):
        assert heading == "##" or len(text.split()) > 20, text


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_tells_who_has_to_act_and_where_to_read_on(rule: dict) -> None:
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    link = f"docs/operations/runbook.md#{rule['alert'].lower()}"
    assert rule["annotations"]["runbook"] == link
    assert rule["annotations"]["summary"]


def test_the_rules_tests_are_of_alerts_that_there_are() -> None:
    text = (OPERATIONS / "alerts_test.yml").read_text(encoding="utf-8")
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in alerts()}
    cases = [case for test in yaml.safe_load(text)["tests"] for case in test["alert_rule_test"]]
    assert len(cases) > 20
    for case in cases:
        told = {alert["exp_labels"]["severity"] for alert in case["exp_alerts"]}
        assert told <= {severities[case["alertname"]]}, case


def test_every_expression_is_promql_and_selects_by_name() -> None:
    for each in shown():
        for selector in selectors(each.expression):
            assert selector.name, each.place


def test_alerts_and_panels_are_of_our_metrics() -> None:
    for each in shown():
        for selector in selectors(each.expression):
            ours = selector.name.startswith(("wallet_", "process_"))
            assert ours or selector.name in _NOT_OURS, each.place


def test_the_jobs_of_the_example_are_those_that_alerts_look_for() -> None:
    config = yaml.safe_load((OPERATIONS / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert jobs == {"wallet-engine", "wallet-projector", "wallet-api"}
    assert config["rule_files"] == ["alerts.yml"]
    targets = [
        target
        for job in config["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    ]
    assert len(targets) == len(set(targets))
    patterns = {
        matcher.value
        for each in shown()
        for selector in selectors(each.expression)
        for matcher in selector.matchers.matchers
        if matcher.name in SCRAPED
    }
    for pattern in patterns:
        assert all(re.fullmatch(pattern, job) for job in jobs), pattern


def test_panels_have_places_of_their_own() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells

"""docs/metrics.md has every metric with its labels, and no other; docs/alerts.yaml asks for what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from bridge.errors import Code
from bridge.metrics import Metrics
from bridge.proxy.recorder import LAYOUT, WHOSE
from bridge.settings.model import Tier
from bridge.store.engine import Store
from bridge.store.funnel import STEPS
from bridge.tallies import Tallies
from tests.support.deployment import Deployment
from tests.support.keys import held_keys
from tests.support.needs import need

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
ALERTS = ROOT / "docs" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
QUESTIONS = re.findall(r"(?m)^\| [^|`]+ \| `(.+)` \|$", TEXT.partition("\n## Questions\n")[2])
ROW = re.compile(r"(?m)^\| `(kombo_bridge_[a-z_]+)(?:\{([a-z_,]+)\})?` \| (gauge|counter|histogram) \| ")

Described = dict[str, tuple[str, tuple[str, ...]]]


@pytest.fixture
async def served(store: Store, tmp_path: Path) -> Described:
    """By name: the type, and the names of the labels."""
    configuration = Deployment(tmp_path).load()
    metrics = Metrics(store, held_keys(), lambda: configuration, Tallies(LAYOUT))
    return {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, tuple(family._labelnames))
        for family in await metrics.families()
    }


def documented() -> Described:
    return {name: (kind, tuple(filter(None, labels.split(",")))) for name, labels, kind in ROW.findall(TEXT)}


def test_every_metric_is_documented_and_no_other(served: Described) -> None:
    assert served == documented()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Bridge[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"[0-9]+[mhd]", rule.get("for", "1m"))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule["labels"]["severity"] == "page"])
def test_nobody_is_woken_by_crawlers(rule: dict[str, Any]) -> None:
    """Whoever follows links is counted as asked."""
    assert 'step="asked"' not in rule["expr"]


WORDS = {
    "code": set(map(str, Code)),
    "step": set(STEPS),
    "tier": set(get_args(Tier)),
    "whose": set(WHOSE),
    "quantile": {"0.5", "0.9"},
}


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in RULES), *QUESTIONS])
def test_what_is_asked_for_is_there(expression: str) -> None:
    known = documented()
    asked = re.findall(r"(kombo_bridge_[a-z_]+)(?:\{([^}]*)\})?(\[[0-9]+[mhd]\])?", expression)
    assert asked
    for name, matchers, window in asked:
        kind, labels = known[re.sub(r"_bucket$", "", name)]
        assert bool(window) == (kind != "gauge"), "a counter is asked for its increase, a gauge as it is"
        for label, _, values in re.findall(r'([a-z_]+)(=~?)"([^"]*)"', matchers):
            assert label in labels
            assert set(values.split("|")) <= WORDS[label]
    assert expression.count("(") == expression.count(")")
    for by in re.findall(r"(?:by|on) \(([a-z_, ]+)\)", expression):
        assert set(by.split(", ")) <= {label for _, labels in known.values() for label in labels} | {"instance", "le"}


def test_there_are_questions_and_rules() -> None:
    assert len(RULES) >= 8
    assert len(QUESTIONS) >= 6
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_prometheus_reads_the_rules() -> None:
    unpacked = Path(__file__).parent / "prometheus/usr/bin/promtool"
    promtool = shutil.which("promtool") or (unpacked.is_file() and unpacked)
    need(promtool, "promtool (it comes with Prometheus)")
    done = subprocess.run([str(promtool), "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

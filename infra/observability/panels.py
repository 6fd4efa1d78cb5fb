"""How a panel of ours looks: the parts of Grafana's JSON that differ from its defaults, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

Row = tuple[int, Sequence[Json]]
"""Panels side by side, and their height."""

GREEN, AMBER, RED = "green", "orange", "red"


class Query(NamedTuple):
    """A PromQL expression and what its series are called, e.g. ``{{route}}``; "": by their value."""

    expr: str
    legend: str = ""


def rate(metric: str, *by: str, labels: str = "") -> str:
    """A counter's rate, summed by labels."""
    return f"sum{_by(by)} (rate({metric}{_braced(labels)}[$__rate_interval]))"


def quantile(q: float, histogram: str, *by: str, labels: str = "") -> str:
    """A histogram's quantile, by labels."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', 'le', *by, labels=labels)})"


def quantiles(histogram: str, labels: str = "") -> list[Query]:
    """Its 50th, 95th and 99th percentile."""
    return [Query(quantile(q, histogram, labels=labels), f"p{100 * q:.0f}") for q in (0.5, 0.95, 0.99)]


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    stacked: bool = False,
    bound: float | None = None,
    signed: bool = False,
) -> Json:
    """Curves over time, from 0 on unless signed; ``bound`` draws a line that they should stay below."""
    custom: Json = {"fillOpacity": 30 if stacked else 8, "lineWidth": 1, "showPoints": "never", "spanNulls": False}
    if stacked:
        custom["stacking"] = {"mode": "normal"}
    defaults: Json = {"unit": unit, "custom": custom} | ({} if signed else {"min": 0})
    if bound is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = _steps((GREEN, None), (RED, bound))
    options = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, description, queries, defaults) | {"options": options}


def number(title: str, description: str, unit: str, query: Query, *steps: tuple[str, float | None]) -> Json:
    """The value of now, in a colour: steps are (colour, from this value on), the first from None."""
    defaults = {"unit": unit, "thresholds": _steps(*steps or ((GREEN, None),))}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"]},
        "graphMode": "area",
        "colorMode": "value",
        "textMode": "value_and_name" if query.legend else "value",
    }
    return _panel("stat", title, description, [query], defaults) | {"options": options}


def heatmap(title: str, description: str, unit: str, histogram: str, labels: str = "") -> Json:
    """A histogram over time: how many observations fell into each bucket."""
    buckets = Query(f"sum by (le) (increase({histogram}_bucket{_braced(labels)}[$__rate_interval]))", "{{le}}")
    options = {
        "calculate": False,
        "yAxis": {"unit": unit},
        "color": {"scheme": "Oranges", "steps": 64},
        "cellGap": 1,
        "tooltip": {"mode": "single"},
    }
    panel = _panel("heatmap", title, description, [buckets], {"unit": unit}) | {"options": options}
    panel["targets"][0]["format"] = "heatmap"
    return panel


def table(title: str, description: str, unit: str, query: Query, columns: Sequence[str]) -> Json:
    """The labels and values of now; columns are the labels that are shown."""
    hidden = {name: True for name in ("Time", "__name__", "job", "instance") if name not in columns}
    panel = _panel("table", title, description, [query], {"unit": unit})
    panel["targets"][0] |= {"format": "table", "instant": True}
    panel["transformations"] = [
        {
            "id": "organize",
            "options": {
                "excludeByName": hidden,
                "indexByName": {name: place for place, name in enumerate([*columns, "Value"])},
            },
        }
    ]
    return panel


def dashboard(uid: str, title: str, description: str, *rows: Row, variable: Json | None = None) -> Json:
    """Rows of panels of the same height, each row as wide as the page."""
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": f"freshet-{uid}",
        "title": f"Freshet / {title}",
        "description": description,
        "tags": ["freshet"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"type": "dashboards", "title": "Freshet", "tags": ["freshet"], "asDropdown": True, "keepTime": True}
        ],
        "templating": {"list": [source, variable] if variable else [source]},
        "panels": _placed(rows),
    }


def row(height: int, *panels: Json) -> Row:
    """Panels side by side, of the same width."""
    return height, panels


def choice(name: str, label: str, query: str) -> Json:
    """A variable of the dashboard: all values of a label, one or several of them."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(kind: str, title: str, description: str, queries: Sequence[Query], defaults: Json) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": [
            {"refId": chr(ord("A") + n), "expr": query.expr, "legendFormat": query.legend}
            for n, query in enumerate(queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


def _placed(rows: Sequence[Row]) -> list[Json]:
    panels: list[Json] = []
    y = 0
    for height, row in rows:
        width = WIDTH // len(row)
        for n, panel in enumerate(row):
            place = {"x": n * width, "y": y, "w": width, "h": height}
            panels.append({"id": len(panels) + 1, "gridPos": place} | panel)
        y += height
    return panels


def _steps(*steps: tuple[str, float | None]) -> Json:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""

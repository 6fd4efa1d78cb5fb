"""What the console's own API gives, for validation and for its OpenAPI document."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Point = tuple[int, float | None]
"""Milliseconds since the epoch, and the value then; null where nothing happened or nobody could be asked."""


class UserCard(BaseModel):
    """A user as one picks him from a list."""

    user_id: str
    event_count: int = Field(description="all-time number of his events")
    segments: list[str] = Field(description="labels of his profile, such as age:25-34")
    last_event: datetime | None = Field(description="his newest event; null without any")


class UsersAnswer(BaseModel):
    """Users of the online store, those who act most and those who act least taking turns."""

    users: list[UserCard]


class ItemCard(BaseModel):
    """An item as a card shows it."""

    item_id: str
    title: str | None = Field(description="null for an item that events name and the catalogue does not")
    categories: list[str] = Field(description="labels, in the catalogue's order")
    published: date | None
    price: float | None
    in_stock: bool = Field(description="whether it may be recommended, as far as stock and expiry go")
    event_count: int = Field(description="all-time number of events on it")
    mean_value: float | None = Field(description="mean of its events' values, such as ratings; null without any")


class ItemsAnswer(BaseModel):
    """The items that were asked for, in that order; unknown ones are left out."""

    items: list[ItemCard]


class WrittenAnswer(BaseModel):
    """Whether an event has become features, and when."""

    written: bool = Field(description="whether the user's online row holds the event")
    written_at: datetime | None = Field(
        description="the row's last write, by the writer's clock; null while the event is not written"
    )
    waited_ms: float = Field(description="how long this call has waited")
    event_count: int | None = Field(description="of the row; null while the event is not written")
    after_event_ms: float | None = Field(
        description="from the event's own time to `written_at`: by two clocks, unless all runs on one machine; "
        "null while it is not written"
    )


class FeaturePair(BaseModel):
    """One feature as it lies in Redis, read by Freshet's own decoder and by Feast's SDK."""

    name: str
    dtype: Literal["string", "int64", "float32", "strings", "int64s", "float32s"]
    description: str
    online: Any = Field(description="as Freshet decodes it; null where it was never written")
    feast: Any = Field(description="as Feast's SDK gives it; null while the SDK is not ready")
    equal: bool = Field(description="whether both say the same; false while the SDK is not ready")


class ViewRow(BaseModel):
    """An entity's row of one feature view."""

    view: str
    event_timestamp: datetime | None = Field(description="event time of the row; null without one")
    age_ms: float | None = Field(description="since then")
    written_at: datetime | None = Field(
        description="last write of any of the entity's rows by the stream, by its clock; null when it wrote none"
    )
    ttl_s: float | None = Field(description="a row older than this counts as missing; null: it never expires")
    features: list[FeaturePair] = Field(description="in the view's order; empty without a row")


class SdkState(BaseModel):
    """Feast's SDK in the console's process."""

    state: Literal["ready", "loading", "away"] = Field(
        description="loading: being imported, for seconds after the start; away: see `message`"
    )
    message: str | None
    took_ms: float | None = Field(description="its read of all these views; null when there was none")


class InspectAnswer(BaseModel):
    """An entity's rows, beside what Feast's SDK reads of them."""

    entity: Literal["user", "item"]
    id: str
    views: list[ViewRow]
    equal: bool = Field(description="whether every feature is equal; false while the SDK is not ready")
    sdk: SdkState


class VitalSeries(BaseModel):
    """Curves of the last five minutes, oldest point first, all at the same moments."""

    events_per_s: list[Point] = Field(description="events that the broker acknowledged")
    requests_per_s: list[Point] = Field(description="requests for recommendations")
    freshness_p50_ms: list[Point] = Field(
        description="from an event's entry into the log to the user's row in Redis, of the last 10 s"
    )
    freshness_p99_ms: list[Point]
    latency_p50_ms: list[Point] = Field(
        description="time of a request for recommendations in the service, of the last 10 s"
    )
    latency_p99_ms: list[Point]
    fallback_share: list[Point] = Field(description="of the lists of the last 10 s, those that were not personal")
    lag_messages: list[Point] = Field(description="messages in the log that the stream has not read yet")
    lag_s: list[Point] = Field(description="age of the last message that it read while others wait; 0 when none does")
    dead_per_s: list[Point] = Field(description="messages that could not be used")


class Target(BaseModel):
    """A process whose /metrics are read."""

    up: bool
    url: str
    error: str | None = Field(description="why it is not up, in a sentence")


class Vitals(BaseModel):
    """What is known at the last sample. Totals are since the service in question started."""

    events_per_s: float | None
    requests_per_s: float | None
    freshness_p50_ms: float | None
    freshness_p99_ms: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    fallback_share: float | None
    lag_messages: float | None
    lag_s: float | None
    dead_per_s: float | None
    dead_total: int | None = Field(description="messages that could not be used")
    dead_by_reason: dict[str, int]
    fallbacks: dict[str, float] = Field(
        description="fallback -> share of the lists of the last five minutes; only those that happened"
    )
    duplicates_total: int | None = Field(description="events that had come before and changed nothing")
    late_total: int | None = Field(description="events that came too late to count")
    shed_total: int | None = Field(description="requests answered by 429")
    cache_hit_rate: float | None = Field(
        description="share of the last five minutes' requests that the answer cache could answer; null without any"
    )
    dependencies: dict[str, bool] = Field(description="what the recommender leans on -> whether it is there")
    targets: dict[str, Target] = Field(description="ingest, recommender, stream and outcomes")
    items: int | None = Field(description="items in the recommender's table")
    rebuilding: bool | None = Field(description="whether the stream still reads history, having started without states")


class VitalsAnswer(BaseModel):
    """How the system is, and how it was for five minutes."""

    now: datetime = Field(description="the console's clock at the last sample")
    every_s: float = Field(description="time between two samples")
    series: VitalSeries
    current: Vitals


class GateCheck(BaseModel):
    """One thing that the gate looked at."""

    name: str
    passed: bool
    detail: str = Field(description="what was found, in words")


class GateRatio(BaseModel):
    """NDCG@10 over the champion's, with its 95 % interval; null where it is no number."""

    ratio: float | None
    low: float | None
    high: float | None


class GateReport(BaseModel):
    """What the gate found out about a version."""

    passed: bool
    against: str = Field(description="what it had to beat, in words")
    summary: str = Field(description="`passed`, or `refused: ` and why")
    checks: list[GateCheck] = Field(description="in the gate's order; empty when only the verdict's short form is left")
    ratios: dict[str, GateRatio] = Field(description="segment -> against the champion; empty without a champion")
    numbers: dict[str, float | None] = Field(description="other figures, such as latencies in ms")


class ModelVersion(BaseModel):
    """A registered version and what became of it."""

    version: str
    bundle: str | None = Field(description="the bundle's own version, as answers give it in `model_version`")
    created_at: datetime
    aliases: list[str] = Field(description="champion, challenger, previous, ...: those that name it now")
    description: str | None = Field(description="in Markdown")
    gate: Literal["passed", "refused"] | None = Field(description="what the gate said; null: it was never asked")
    gate_report: GateReport | None = Field(description="check by check; null: it was never asked")
    release: str | None = Field(description="what the recommender made of it, such as `refused: ...`; null: nothing")
    rolled_back: str | None = Field(description="why it was left for the version before; null: it was not")
    metrics: dict[str, float] = Field(description="of its run, by MLflow's names")
    run_url: str | None = Field(description="its run's page in MLflow; null when no server serves one")
    tags: dict[str, str]


class ModelsAnswer(BaseModel):
    """The versions of the registered model, newest first."""

    versions: list[ModelVersion]
    trouble: str | None = Field(
        description="why the versions are not known, or not anew; those of the last look are given then"
    )


class DriftFeature(BaseModel):
    """How far a feature's served values lie from those of the training."""

    distance: float | None
    threshold: float | None = Field(description="from it on the feature has drifted")
    drifted: bool
    counts: bool = Field(description="whether it counts for the verdict")


class DriftAlert(BaseModel):
    """Something about the served data that a person should look at."""

    check: str = Field(description="nulls, constant, unknown source, unknown item or silence")
    feature: str | None = Field(description="null: the whole")
    message: str


class DriftReport(BaseModel):
    """One look for drift."""

    at: datetime
    version: str | None = Field(description="the champion that it was about; null: there was none")
    verdict: Literal["bad data", "not judged", "drift", "no drift"]
    reason: str = Field(description="the verdict in a sentence")
    rows: int = Field(description="served rows that were compared")
    share: float | None = Field(description="of the features that count, those that drifted")
    features: dict[str, DriftFeature]
    alerts: list[DriftAlert] = Field(description="what was wrong with the data")
    training: str | None = Field(description="the training that it started; null: none")


class DriftAnswer(BaseModel):
    """The newest looks for drift, newest first."""

    reports: list[DriftReport]

"""What the recommender takes and gives, for validation and for its OpenAPI document."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bento.recommender.ask import Ask
from feature_repo.events import Event, Id, as_utc, to_us

Category = Annotated[str, Field(min_length=1, max_length=100)]
FIRST_YEAR, LAST_YEAR = 1971, 2200
"""What ``at`` may say."""
FallbackName = Literal["profile", "popular", "static"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    k: int = Field(10, ge=1, description="how many; at most FRESHET_MAX_K")
    exclude: list[Id] = Field([], max_length=10_000, description="items not to show; unknown ones are ignored")
    category: Category | None = Field(None, description="only items of this category")
    context_item: Id | None = Field(None, description="items like this one; an unknown one is ignored")
    diversity: float = Field(0.0, ge=0, le=1, description="0: best first, 1: as unlike each other as possible")
    explain: bool = Field(False, description="say why, in `reasons`")
    at: datetime | None = Field(None, description="the request's clock, for replays; local mode only")

    @field_validator("at")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        if not FIRST_YEAR <= as_utc(value).year <= LAST_YEAR:
            raise ValueError(f"must be a date between {FIRST_YEAR} and {LAST_YEAR}")
        return as_utc(value)

    def _ask(self, user_id: str) -> Ask:
        return Ask(
            user_id=user_id,
            k=self.k,
            exclude=self.exclude,
            category=self.category,
            context_item=self.context_item,
            diversity=self.diversity,
            explain=self.explain,
            clock_us=None if self.at is None else to_us(self.at),
        )


class RecommendQuery(_Request):
    """Query of GET /recommend."""

    user_id: Id
    exclude: list[Id] = Field([], max_length=10_000, description="items not to show; comma separated or repeated")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value != ""} if isinstance(values, dict) else values

    @field_validator("exclude", mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        texts = [values] if isinstance(values, str) else values
        return [part for text in texts for part in text.split(",") if part]

    def ask(self) -> Ask:
        """The request as the pipeline takes it."""
        return self._ask(self.user_id)


class SessionEvent(Event):
    """An event of an anonymous visitor: as POST /events takes it, but ``user_id`` may be left out."""

    user_id: Id = "anonymous"


class RecommendBody(_Request):
    """Body of POST /recommend."""

    user_id: Id | None = Field(None, description="who asks; with `events` it is only echoed")
    items: list[Id] | None = Field(
        None,
        min_length=1,
        max_length=1_000,
        description="rank these; those that no event or catalogue named are left out",
    )
    events: list[SessionEvent] | None = Field(
        None, description="a visitor's session: answered from these events alone, nothing is stored"
    )

    @model_validator(mode="after")
    def _somebody(self) -> RecommendBody:
        if self.user_id is None and self.events is None:
            raise ValueError("give user_id, or events of an anonymous visitor")
        return self

    def ask(self) -> Ask:
        """The request as the pipeline takes it."""
        return replace(self._ask(self.user_id or "anonymous"), items=self.items, events=self.events)


class Recommendation(BaseModel):
    """One item of a list."""

    item_id: str
    score: float = Field(description="higher is better; comparable only within one answer")
    source: str = Field(description="where the item came from: retriever, item_to_item, trending, popular, ...")
    title: str | None = None
    reasons: list[str] | None = Field(None, description="only with explain=true")


class RecommendAnswer(BaseModel):
    """Answer of /recommend."""

    recommendation_id: str = Field(description="send it back with the events that follow")
    user_id: str
    recommendations: list[Recommendation]
    count: int
    model_version: str | None = Field(description="release that answered; null when none is loaded")
    variant: str | None = Field(description="alias of that release")
    fallback: FallbackName | None = Field(description="null when the answer is personal")
    feature_age_ms: float | None = Field(description="time since the user's newest event; null without any")
    took_ms: float
    timestamp: datetime


class FeaturesAnswer(BaseModel):
    """A row of the online store."""

    features: dict[str, Any]
    event_timestamp: datetime = Field(description="event time of the row")
    age_ms: float


class UserFeaturesAnswer(FeaturesAnswer):
    user_id: str


class ItemFeaturesAnswer(FeaturesAnswer):
    item_id: str


class ListAnswer(BaseModel):
    """A list that belongs to no user."""

    recommendations: list[Recommendation]
    count: int
    model_version: str | None
    fallback: FallbackName | None
    timestamp: datetime


class SimilarAnswer(ListAnswer):
    item_id: str


class ModelAnswer(BaseModel):
    """The release that is served."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str | None
    registered_version: str | None = Field(description="its version in the registry; null for a bundle from a folder")
    variant: str | None
    source: Literal["registry", "bundle_dir"]
    loaded_at: datetime | None
    items: int = Field(description="items in the table")
    item_table_age_s: float | None = Field(description="since items were last read; null before the first time")
    feature_names: list[str]
    metrics: dict[str, Any]
    refused: dict[str, str] = Field(description="version -> why it is not served")


class Status(BaseModel):
    status: str

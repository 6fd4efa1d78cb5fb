"""What the recommender takes and gives, for validation and for its OpenAPI document."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bento.recommender.ask import Ask, Order
from feature_repo.events import Event, Id, as_utc, to_us

ListOrder = Annotated[
    Order,
    Query(
        description="popular: most acts, decayed by the week; trending: more acts in a day than the last month would "
        "lead one to expect, the least likely to be chance first; new: by publication"
    ),
]
Category = Annotated[str, Field(min_length=1, max_length=100)]
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
BY_HAND = "rolled back by hand"
FIRST_YEAR, LAST_YEAR = 1971, 2200
"""What ``at`` may say."""
FallbackName = Literal["last_known", "profile", "segment", "popular", "static"]
"""The ladder below a personal answer of live features, from its first step to its last."""
MAX_OFFSET = 100_000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    k: int = Field(10, ge=1, description="how many; at most FRESHET_MAX_K")
    exclude: list[Id] = Field([], max_length=10_000, description="items not to show; unknown ones are ignored")
    category: Category | None = Field(None, description="only items of this category")
    context_item: Id | None = Field(None, description="items like this one; an unknown one is ignored")
    diversity: float = Field(
        0.0, ge=0, le=1, description="0: best first, 1: as unlike each other as possible; absent: 0, or an experiment's"
    )
    max_per_category: int | None = Field(
        None,
        ge=1,
        description="at most so many items of any one category; absent: an experiment's, or FRESHET_MAX_PER_CATEGORY",
    )
    explain: bool = Field(False, description="say why, in `reasons` and `contributions`")
    timeout_ms: int | None = Field(
        None, ge=1, le=60_000, description="answer within so many milliseconds, by a fallback where it must be"
    )
    recommendation_id: Id | None = Field(
        None,
        description="go on with the list of that answer, as it was made: `k` items from `offset` on; "
        "of all other fields only `explain` counts then",
    )
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="how many items of the list were shown already")
    at: datetime | None = Field(None, description="the request's clock, for replays; local mode only")

    @field_validator("at")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        if not FIRST_YEAR <= as_utc(value).year <= LAST_YEAR:
            raise ValueError(f"must be a date between {FIRST_YEAR} and {LAST_YEAR}")
        return as_utc(value)

    @model_validator(mode="after")
    def _offset_of_a_list(self) -> Self:
        if self.offset and self.recommendation_id is None:
            raise ValueError("offset: give the recommendation_id of the list to go on with, too")
        return self

    def _ask(self, user_id: str) -> Ask:
        return Ask(
            user_id=user_id,
            k=self.k,
            exclude=self.exclude,
            category=self.category,
            context_item=self.context_item,
            diversity=self.diversity if "diversity" in self.model_fields_set else None,
            explain=self.explain,
            clock_us=None if self.at is None else to_us(self.at),
            max_per_category=self.max_per_category,
            timeout_ms=self.timeout_ms,
            recommendation_id=self.recommendation_id,
            offset=self.offset,
        )


class RecommendQuery(_Request):
    """Query of GET /recommend."""

    user_id: Id
    exclude: list[Id] = Field(
        [], max_length=1_000, description="items not to show; comma separated or repeated; more of them by POST"
    )

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
    score: float = Field(
        description="higher is better; comparable only within one answer; a new item has that of the place it was given"
    )
    source: str = Field(
        description="where the item came from: retriever, item_to_item, long_term, content, trending, popular, "
        "segment, new (its place was given to an item of few events; of /popular: published last), static"
    )
    title: str | None = None
    reasons: list[str] | None = Field(None, description="only with explain=true: strongest first")
    contributions: dict[str, float] | None = Field(
        None,
        description="only with explain=true: how much each feature moved the score from that of an average candidate; "
        "the largest, and the sum of the `other` ones; empty where no model ranked the item",
    )


class RecommendAnswer(BaseModel):
    """Answer of /recommend."""

    recommendation_id: str = Field(description="send it back with the events that follow")
    user_id: str
    recommendations: list[Recommendation]
    count: int
    model_version: str | None = Field(description="release that answered; null when none is loaded")
    variant: str | None = Field(
        description="alias of that release; of a user in experiments instead `experiment:variant`, comma separated, in "
        "order of the experiments' names"
    )
    fallback: FallbackName | None = Field(description="null when the answer is personal")
    feature_age_ms: float | None = Field(description="time since the user's newest event; null without any")
    took_ms: float
    timestamp: datetime = Field(description="the request's clock; of a later page: of the request that made the list")
    offset: int = Field(description="place of the first item in the list of this recommendation_id")
    exhausted: bool = Field(
        description="true: fewer than k, because nothing more may be shown, or the kept list is at its end"
    )


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


class NamesAnswer(BaseModel):
    """A release by its names."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str | None
    registered_version: str | None


class CanaryAnswer(NamesAnswer):
    """A release on trial."""

    share: float = Field(description="of users who are answered by it")
    since: datetime
    until: datetime = Field(description="when it will serve all, if nothing is wrong with it")


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
    canary: CanaryAnswer | None = Field(description="the release on trial; null when there is none")
    previous: NamesAnswer | None = Field(description="the release in memory that a rollback goes back to")
    aliases: dict[str, str | None] = Field(description="alias -> version, of those that experiments want")
    refused: dict[str, str] = Field(description="version -> why it is not served")
    untold: list[str] = Field(description="versions that were left here and that the registry does not know of yet")
    trouble: str | None = Field(description="what the last look at the registry failed by; null when by nothing")


class RollbackBody(BaseModel):
    """Body of POST /model/rollback."""

    model_config = ConfigDict(extra="forbid")

    reason: Words = Field(BY_HAND, description="stands on the version that is left")


class RollbackAnswer(BaseModel):
    """A rollback that is known everywhere."""

    left: str = Field(description="version that served, or was on trial")
    serves: str = Field(description="version that serves again")
    took_ms: float = Field(description="until the registry had heard; this process had swapped long before")


class PromoteBody(BaseModel):
    """Body of POST /model/promote."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(pattern="^[1-9][0-9]{0,8}$", description="version of the registered model")


class PromoteAnswer(BaseModel):
    """A version that the champion alias names now; it is served after it was tried."""

    version: str
    was: str | None = Field(description="version that the alias named before")
    took_ms: float


class VariantResult(BaseModel):
    """A variant of an experiment and how it has done."""

    name: str
    share: float = Field(description="of all users; a shadow has 0")
    model: str = Field(description="alias of the model that answers; champion: the one that serves everybody")
    rules: dict[str, float] = Field(description="defaults of its users' requests; what a request says goes first")
    shadow: bool = Field(description="scored and logged for some requests, never shown")
    control: bool = Field(description="whether the others are compared with it")
    result: dict[str, Any] | None = Field(
        description="counts, rates with their 95 % intervals, and `versus_control`: the difference, with an interval "
        "and a p-value that hold at every look; null before any"
    )


class ExperimentResult(BaseModel):
    """An experiment and how it stands."""

    name: str
    description: str
    metric: Literal["ctr", "conversion", "ndcg"] = Field(description="what the comparison decides")
    state: Literal["running", "ended"]
    started_at: datetime
    ended_at: datetime | None
    waits_for: list[str] = Field(
        description="aliases whose model this process has not loaded: until it has, nobody is in the experiment"
    )
    variants: list[VariantResult]


class ExperimentsAnswer(BaseModel):
    """All experiments: those that run, then the one that ended last."""

    experiments: list[ExperimentResult]
    count: int


class Status(BaseModel):
    status: str

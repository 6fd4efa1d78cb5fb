"""What is known of a user."""

from feast import FeatureView

from feature_repo import schema
from feature_repo.entities import segment, user
from feature_repo.sources import batch_source, push_source, ttl
from feature_repo.sources import schema as fields

user_features = FeatureView(
    name=schema.USER_FEATURES.name,
    entities=[user],
    ttl=ttl(schema.USER_FEATURES),
    schema=fields(schema.USER_FEATURES),
    source=push_source(schema.USER_FEATURES),
    description="a user's events, counted, decayed and remembered; kept live by the stream",
)

user_seen = FeatureView(
    name=schema.USER_SEEN.name,
    entities=[user],
    ttl=ttl(schema.USER_SEEN),
    schema=fields(schema.USER_SEEN),
    source=push_source(schema.USER_SEEN),
    description="items that a user has met, for the seen-item filter; kept live by the stream",
)

user_profile = FeatureView(
    name=schema.USER_PROFILE.name,
    entities=[user],
    ttl=ttl(schema.USER_PROFILE),
    schema=fields(schema.USER_PROFILE),
    source=push_source(schema.USER_PROFILE),
    description="what a user said of himself; pushed by PUT /users/{id}",
)

segment_favourites = FeatureView(
    name=schema.SEGMENT_FAVOURITES.name,
    entities=[segment],
    ttl=ttl(schema.SEGMENT_FAVOURITES),
    schema=fields(schema.SEGMENT_FAVOURITES),
    source=batch_source(schema.SEGMENT_FAVOURITES),
    description="what users of one segment like; batch, by materialize",
)

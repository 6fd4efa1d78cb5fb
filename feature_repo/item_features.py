"""What is known of an item."""

from feast import FeatureView

from feature_repo import schema
from feature_repo.entities import item
from feature_repo.sources import push_source, ttl
from feature_repo.sources import schema as fields

item_features = FeatureView(
    name=schema.ITEM_FEATURES.name,
    entities=[item],
    ttl=ttl(schema.ITEM_FEATURES),
    schema=fields(schema.ITEM_FEATURES),
    source=push_source(schema.ITEM_FEATURES),
    description="all users' events on an item, counted and decayed; kept live by the stream",
)

item_catalog = FeatureView(
    name=schema.ITEM_CATALOG.name,
    entities=[item],
    ttl=ttl(schema.ITEM_CATALOG),
    schema=fields(schema.ITEM_CATALOG),
    source=push_source(schema.ITEM_CATALOG),
    description="the catalogue entry; pushed by PUT /items/{id}",
)

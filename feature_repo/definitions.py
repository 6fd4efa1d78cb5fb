"""What ``feast apply`` loads; everything else in this folder is in .feastignore."""

from feature_repo.entities import item, segment, user
from feature_repo.item_features import item_catalog, item_features
from feature_repo.services import item_context, recommend, user_context
from feature_repo.user_features import segment_favourites, user_features, user_profile, user_seen

__all__ = [
    "item",
    "item_catalog",
    "item_context",
    "item_features",
    "recommend",
    "segment",
    "segment_favourites",
    "user",
    "user_context",
    "user_features",
    "user_profile",
    "user_seen",
]

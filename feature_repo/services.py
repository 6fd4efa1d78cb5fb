"""What the models read, feature by feature: the user's side and the item's side of a request.

The training frame is joined from these lists, so a feature is learned from once it stands here. A test compares them
with what the models really read. The one thing besides is user_seen, which the candidate sources read: what they say
of a candidate is recorded with the pair, so the join need not bring it.
"""

from feast import FeatureService

from feature_repo.item_features import item_catalog, item_features
from feature_repo.state import decayed_names
from feature_repo.user_features import user_features, user_profile, user_seen

user_context = FeatureService(
    name="user_context",
    features=[
        user_features[
            [
                "event_count",
                "last_event_us",
                "mean_value",
                *decayed_names(),
                "recent_items",
                "recent_types",
                "recent_us",
            ]
        ],
        user_profile[["segments"]],
    ],
    description="the user as the retriever, the other sources and the ranker see him",
)

item_context = FeatureService(
    name="item_context",
    features=[
        item_features[
            [
                "event_count",
                "first_event_us",
                "last_event_us",
                "mean_value",
                "value_count",
                *decayed_names(),
            ]
        ],
    ],
    description="an item as the ranker sees it: all of the item table's counts",
)

recommend = FeatureService(
    name="recommend",
    features=[user_features, user_profile, user_seen, item_features, item_catalog],
    description="the whole rows that one recommendation reads",
)

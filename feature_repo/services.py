"""What each consumer reads: the models' inputs as lists of features."""

from feast import FeatureService

from feature_repo.item_features import item_catalog, item_features
from feature_repo.user_features import user_features, user_profile, user_seen

# The user side of a request: encoder, sources and ranker.
user_context = FeatureService(
    name="user_context",
    features=[user_features, user_profile],
    description="the user's row as the retriever and the ranker see it",
)

# The item side of a request: the ranker's columns.
item_context = FeatureService(
    name="item_context",
    features=[item_features],
    description="an item's row as the ranker sees it",
)

recommend = FeatureService(
    name="recommend",
    features=[user_features, user_profile, user_seen, item_features, item_catalog],
    description="everything that one recommendation reads",
)

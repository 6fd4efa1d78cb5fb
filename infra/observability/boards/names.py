"""Metrics, labels and expressions that several dashboards name."""

from infra.observability.panels import rate

INGEST, RECOMMENDER, STREAM, OUTCOMES = (f"freshet_{name}" for name in ("ingest", "recommender", "stream", "outcomes"))
LISTS = 'route="/recommend"'
OUR_USERS = 'view="user_features"'
LAST_RUN = "freshet_flow_last_run_timestamp_seconds"
PASSED = 'freshet_model_last_version_timestamp_seconds{gate="passed"}'
JOBS = 'job=~"ingest|recommender|stream|outcomes|console"'

FALLBACK_SHARE = f"{rate(f'{RECOMMENDER}_fallbacks_total')} / {rate(f'{RECOMMENDER}_requests_total', labels=LISTS)}"

"""Creates the Kafka topics of the settings. ``python -m infra.topics`` does it by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from infra.kafka import librdkafka
from infra.settings import Settings, SettingsError, load_settings


class TopicError(RuntimeError):
    """The brokers did not answer or refused a topic; the message names it."""


def topic_names(settings: Settings) -> list[str]:
    """Every topic that Freshet reads or writes."""
    return [
        getattr(settings, field)
        for field in type(settings).model_fields
        if field.startswith("topic_") and field != "topic_partitions"
    ]


def ensure_topics(settings: Settings, timeout_s: float = 10.0) -> list[str]:
    """Create the topics that do not exist yet; return their names.

    An existing topic is left as it is, whatever its number of partitions. Raises TopicError.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient(librdkafka(settings) | {"log_level": 0})
    try:
        existing = admin.list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        raise TopicError(f"KAFKA_BOOTSTRAP_SERVERS={settings.kafka_bootstrap_servers}: {error.args[0].str()}") from None
    replicas = 1 if settings.mode == "local" else -1  # -1: the brokers' default
    missing = [name for name in topic_names(settings) if name not in existing]
    wanted = [NewTopic(name, settings.topic_partitions, replicas) for name in missing]
    for name, made in (admin.create_topics(wanted, request_timeout=timeout_s) if wanted else {}).items():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"cannot create topic {name}: {error.args[0].str()}") from None
    return missing


def retention(settings: Settings, topics: Sequence[str], timeout_s: float = 5.0) -> dict[str, str]:
    """When the brokers drop each topic's messages, in words, as far as they tell. Raises TopicError."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, ConfigResource

    admin = AdminClient(librdkafka(settings) | {"log_level": 0})
    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    kept = {}
    for resource, told in admin.describe_configs(asked, request_timeout=timeout_s).items():
        try:
            kept[resource.name] = in_words({name: entry.value for name, entry in told.result().items()})
        except KafkaException as error:
            raise TopicError(f"cannot read the retention of topic {resource.name}: {error.args[0].str()}") from None
    return kept


def in_words(config: Mapping[str, str]) -> str:
    """The retention that a topic's configuration says."""
    retention_ms, policy = config.get("retention.ms"), config.get("cleanup.policy", "delete")
    if retention_ms is None:
        return "by the broker's retention"
    if "delete" not in policy:
        return "until they are compacted"
    return "for ever" if int(retention_ms) < 0 else f"after {int(retention_ms) / 86_400_000:g} days"


def main() -> int:
    """Create the topics and print which."""
    try:
        made = ensure_topics(load_settings())
    except (SettingsError, TopicError) as error:
        print(error, file=sys.stderr)
        return 1
    print("created: " + ", ".join(made) if made else "all topics exist")
    return 0


if __name__ == "__main__":
    sys.exit(main())

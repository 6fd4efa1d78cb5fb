"""How every client reaches the log: the settings in the words of each of the two libraries."""

from __future__ import annotations

from typing import Any

from infra.settings import Settings


def librdkafka(settings: Settings) -> dict[str, Any]:
    """The configuration of a confluent-kafka client that says where the brokers are, and as whom it comes."""
    said: dict[str, Any] = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    if settings.kafka_security_protocol != "PLAINTEXT":
        said["security.protocol"] = settings.kafka_security_protocol
        if settings.kafka_ca_file:
            said["ssl.ca.location"] = str(settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL_"):
        said["sasl.mechanism"] = settings.kafka_sasl_mechanism
        said["sasl.username"] = settings.kafka_username
        said["sasl.password"] = settings.kafka_password
    return said


def kafka_python(settings: Settings) -> dict[str, Any]:
    """The same as the arguments of a kafka-python client."""
    said: dict[str, Any] = {"bootstrap_servers": settings.kafka_bootstrap_servers.split(",")}
    if settings.kafka_security_protocol != "PLAINTEXT":
        said["security_protocol"] = settings.kafka_security_protocol
        if settings.kafka_ca_file:
            said["ssl_cafile"] = str(settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL_"):
        said["sasl_mechanism"] = settings.kafka_sasl_mechanism
        said["sasl_plain_username"] = settings.kafka_username
        said["sasl_plain_password"] = settings.kafka_password
    return said

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


IN_PYTHON = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "ssl.ca.location": "ssl_cafile",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
}
"""What librdkafka calls it -> what kafka-python does."""


def kafka_python(settings: Settings) -> dict[str, Any]:
    """The same as the arguments of a kafka-python client."""
    said = {IN_PYTHON[name]: value for name, value in librdkafka(settings).items()}
    return said | {"bootstrap_servers": said["bootstrap_servers"].split(",")}

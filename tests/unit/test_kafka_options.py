"""Settings become the options of Kafka clients; what is missing is named."""

import pytest

from engine.kafka import client_options
from engine.settings import InvalidSettingError, load_settings


def test_plaintext_needs_nothing_but_the_address():
    options = client_options(load_settings(kafka_bootstrap="kafka:9092"))

    assert options == {"bootstrap_servers": "kafka:9092", "security_protocol": "PLAINTEXT"}


def test_sasl_over_tls_carries_credentials_and_a_verifying_context():
    settings = load_settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="billing",
        kafka_sasl_password="s3cret",
    )

    options = client_options(settings)

    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "billing"
    assert options["sasl_plain_password"] == "s3cret"
    assert "s3cret" not in repr(settings)
    assert options["ssl_context"].check_hostname


def test_sasl_without_a_password_is_an_invalid_setting():
    settings = load_settings(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_username="billing"
    )

    with pytest.raises(InvalidSettingError, match="WALLET_KAFKA_SASL_PASSWORD"):
        client_options(settings)


def test_a_certificate_that_is_not_there_is_an_invalid_setting():
    settings = load_settings(kafka_security_protocol="SSL", kafka_ssl_ca_file="/nowhere/ca.pem")

    with pytest.raises(InvalidSettingError, match="WALLET_KAFKA_SSL_CA_FILE"):
        client_options(settings)

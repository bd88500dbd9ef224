import socket

import msgspec
import pytest

from cli.stack.ports import HOST, is_free, keep_ports


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ports.json"


def test_ports_are_kept_from_start_to_start(file):
    assert keep_ports(file) == keep_ports(file)


def test_ports_differ_from_each_other_and_are_free(file):
    ports = msgspec.structs.astuple(keep_ports(file))
    assert len(set(ports)) == 3
    assert all(is_free(port) for port in ports)


def test_a_port_that_another_program_took_is_replaced_and_the_rest_is_kept(file):
    before = keep_ports(file)
    with socket.create_server((HOST, before.kafka)):
        after = keep_ports(file)
    assert after.kafka != before.kafka
    assert (after.kafka_controller, after.postgres) == (before.kafka_controller, before.postgres)
    assert keep_ports(file) == after


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"kafka":"x"}', b"{}"])
def test_an_unreadable_file_is_written_anew(file, content):
    file.write_bytes(content)
    assert keep_ports(file) == keep_ports(file)

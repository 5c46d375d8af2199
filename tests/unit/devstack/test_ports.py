"""Ports are chosen, reserved and remembered."""

import socket
from pathlib import Path

import pytest

from devstack.errors import StackFailed
from devstack.events import Event, silent
from devstack.folders import read_json
from devstack.ports import Ports


@pytest.fixture
def taken() -> "socket.socket":
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


class TestPorts:
    def test_a_port_in_use_is_stepped_over_and_said(self, tmp_path: Path, taken: socket.socket) -> None:
        book = tmp_path / "ports.json"
        number = taken.getsockname()[1]
        book.write_text(f'{{"s3": {number}}}')
        said: list[Event] = []
        with taken:
            ports = Ports(book, said.append)
            ports.choose(["s3"])
            ports.release()
        assert ports.chosen["s3"] > number
        assert [(event.kind, event.service) for event in said] == [("moved", "s3")]
        assert read_json(book)["s3"] == ports.chosen["s3"]

    def test_two_stacks_that_choose_at_once_get_different_ports(self, tmp_path: Path) -> None:
        first, second = Ports(tmp_path / "a.json", silent), Ports(tmp_path / "b.json", silent)
        first.choose(["api", "s3"])
        second.choose(["api", "s3"])
        first.release()
        second.release()
        assert len({*first.chosen.values(), *second.chosen.values()}) == 4

    def test_a_released_port_is_chosen_again(self, tmp_path: Path) -> None:
        book = tmp_path / "ports.json"
        first = Ports(book, silent)
        first.choose(["mail"])
        first.release()
        second = Ports(book, silent)
        second.choose(["mail"])
        second.release()
        assert second.chosen == first.chosen

    def test_a_port_that_the_user_asked_for_is_never_stepped_over(self, tmp_path: Path, taken: socket.socket) -> None:
        ports = Ports(tmp_path / "ports.json", silent)
        with taken, pytest.raises(StackFailed, match="MEDIAGATE_API_PORT asks for port"):
            ports.fix("api", taken.getsockname()[1], "MEDIAGATE_API_PORT")
        ports.release()

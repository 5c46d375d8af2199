"""The state folder: secrets that stay, and a lock that lets one stack in."""

import os
import signal
import stat
from pathlib import Path

import pytest

from devstack.errors import AlreadyRunning
from devstack.folders import read_json, write_json
from devstack.processes import create_time, end_leftover, log_tail, recorded_process, rotate_log
from devstack.state import Secrets, StateDir, held, holder


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


class TestSecrets:
    def test_they_are_made_once_and_readable_by_the_owner_only(self, state: StateDir) -> None:
        first = Secrets.load(state)
        assert Secrets.load(state) == first
        assert stat.S_IMODE(state.secrets_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(state.path.stat().st_mode) == 0o700

    def test_one_that_a_newer_version_needs_is_added_to_those_of_an_older(self, state: StateDir) -> None:
        write_json(state.secrets_file, {"postgres_password": "old", "forgotten": "x"})
        loaded = Secrets.load(state)
        assert loaded.postgres_password == "old"
        assert loaded.vendor_webhook_secret.startswith("whsec_")
        assert read_json(state.secrets_file)["s3_secret_key"] == loaded.s3_secret_key


class TestLock:
    def test_only_one_holds_it_and_it_names_its_process(self, state: StateDir) -> None:
        with held(state):
            running = holder(state)
            with pytest.raises(AlreadyRunning) as refused, held(state):
                raise AssertionError
        assert running is not None
        assert (running.pid, running.create_time) == (os.getpid(), create_time(os.getpid()))
        assert refused.value.pid == os.getpid()
        assert holder(state) is None

    def test_addresses_of_a_killed_run_are_not_those_of_the_next(self, state: StateDir) -> None:
        write_json(state.stack_file, {"s3_url": "http://127.0.0.1:1"})
        with held(state):
            running = holder(state)
        assert running is not None
        assert running.addresses == {}


class TestRecords:
    def test_a_recycled_pid_is_not_taken_for_the_recorded_process(self, tmp_path: Path) -> None:
        record = tmp_path / "s3.json"
        write_json(record, {"pid": os.getpid(), "create_time": create_time(os.getpid()) - 1})
        assert recorded_process(record) is None
        assert not end_leftover(record, signal.SIGKILL, 1)
        assert not record.exists()

    def test_a_torn_record_names_nobody(self, tmp_path: Path) -> None:
        record = tmp_path / "s3.json"
        record.write_text('{"pid": 1')
        assert recorded_process(record) is None


class TestLogs:
    def test_three_older_ones_are_kept(self, tmp_path: Path) -> None:
        log = tmp_path / "api.log"
        for number in range(6):
            rotate_log(log)
            log.write_text(str(number))
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
            "api.log": "5",
            "api.log.1": "4",
            "api.log.2": "3",
            "api.log.3": "2",
        }

    def test_the_tail_is_the_end(self, tmp_path: Path) -> None:
        log = tmp_path / "api.log"
        log.write_text("\n".join(map(str, range(100_000))))
        assert log_tail(log, 2) == "99998\n99999"
        assert log_tail(tmp_path / "none.log") == ""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from vivavoce.bench.server_process import (
    ProcessSample,
    ProcessSampler,
    check_process,
    find_listener,
    run_server,
)
from vivavoce.client.session import ServerUnreachable
from vivavoce.errors import ConfigError

pytestmark = pytest.mark.integration


def test_cores_and_memory_are_between_the_samples() -> None:
    sampler = ProcessSampler(1)
    assert (sampler.cores, sampler.peak_bytes, sampler.grown_bytes) == (0, 0, 0)
    sampler.samples = [
        ProcessSample(10, 3, 100), ProcessSample(11, 4, 500), ProcessSample(14, 5, 300),
    ]  # fmt: skip
    assert sampler.cores == pytest.approx(0.5)
    assert (sampler.peak_bytes, sampler.grown_bytes) == (500, 400)


def test_a_process_is_sampled_with_its_children_until_it_is_gone() -> None:
    work = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'print(1, flush=True); input()'])\n"
        "child.wait()"
    )
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", work], stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    alone, both = process_memory(process.pid), ProcessSampler(process.pid)
    assert both.take_sample(0.0)
    assert both.peak_bytes > 1.5 * alone
    process.communicate()
    assert not both.take_sample(1.0)
    asyncio.run(both.run())
    assert len(both.samples) == 1


def process_memory(process_id: int) -> int:
    return int(psutil.Process(process_id).memory_info().rss)


def test_the_listener_of_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert find_listener(port) == os.getpid()
    assert find_listener(port) is None


def test_a_process_that_is_not_there_is_named() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    with pytest.raises(ConfigError, match=f"no process {process.pid}"):
        check_process(process.pid)
    check_process(os.getpid())


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerUnreachable, match="no-such-profile"),
        run_server(tmp_path / "log", settings={"PROFILE": "no-such-profile"}),
    ):
        pass

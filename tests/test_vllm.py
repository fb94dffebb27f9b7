"""The vllm adapter: starting, asking, quoting the log, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sgpbench.cli.app import app
from sgpbench.errors import ModelUnavailable, UsageError
from sgpbench.models.checkpoints import checkpoint_fingerprint
from sgpbench.models.registry import open_model, resolve
from sgpbench.models.vllm_server import VllmServer
from sgpbench.records import Completion, Message, Request, Sampling, TextPart

FAKE = Path(__file__).with_name("fake_vllm.py")
CHAT = Request(Sampling(0.0, max_tokens=8), messages=(Message("user", (TextPart("hello"),)),), seeds=(1, 2, 3))
RAW = Request(Sampling(0.0, max_tokens=8, stop=("</answer>",), keep_stop=True), text="<svg", seeds=(1,))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``vllm`` that notes its processes in ``tmp_path/pids``."""
    (tmp_path / "pids").mkdir()
    monkeypatch.setenv("FAKE_VLLM_PIDS", str(tmp_path / "pids"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    executable = tmp_path / "vllm"
    executable.write_text(f"#!{sys.executable}\n{FAKE.read_text('utf-8')}", "utf-8")
    executable.chmod(0o755)
    return executable


def living(folder: Path) -> dict[str, int]:
    """The noted processes that still run."""
    noted = {path.name.split("-")[0]: int(path.name.split("-")[1]) for path in folder.iterdir()}
    return {kind: pid for kind, pid in noted.items() if Path(f"/proc/{pid}").exists() and state(pid) != "Z"}


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def wait_until_gone(folder: Path, seconds: float = 25) -> dict[str, int]:
    """The noted processes that still run after a while."""
    deadline = time.monotonic() + seconds
    while (left := living(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


async def ask(name: str, args: dict[str, str], *requests: Request) -> list[list[Completion]]:
    model = open_model(resolve(name, args))
    try:
        return [list(await model.generate(request)) for request in requests]
    finally:
        await model.aclose()


def test_a_server_is_started_asked_both_ways_and_ended_with_its_orphans(fake: Path, tmp_path: Path) -> None:
    chat, raw = asyncio.run(ask("vllm/my/model", {"executable": str(fake)}, CHAT, RAW))
    assert [completion.text for completion in chat] == ["chat 0 of 8", "chat 1 of 8", "chat 2 of 8"]
    assert [completion.text for completion in raw] == ["<svg 0 of 8"]
    assert raw[0].served_by == "my/model"
    assert {path.name.split("-")[0] for path in (tmp_path / "pids").iterdir()} == {"server", "orphan"}
    assert living(tmp_path / "pids") == {}


def test_the_token_limit_is_lowered_to_the_context_that_the_server_offers(fake: Path) -> None:
    long = Request(Sampling(max_tokens=16_384), text="x" * 40)
    ((first,),) = asyncio.run(ask("vllm/m", {"executable": str(fake)}, long))
    limit = int(first.text.rpartition(" ")[2])
    assert 400 <= limit < 512 - 10


@pytest.mark.parametrize("stubborn", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_sigkill_of_ours_leaves_no_process_behind(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    if stubborn:
        monkeypatch.setenv("FAKE_VLLM_STUBBORN", "1")
    script = (
        "import asyncio, sys, time\n"
        f"sys.path.insert(0, {str(FAKE.parent)!r})\n"
        "from test_vllm import CHAT\n"
        "from sgpbench.models.registry import open_model, resolve\n"
        "async def main():\n"
        f"    model = open_model(resolve('vllm/m', {{'executable': {str(fake)!r}}}))\n"
        "    await model.generate(CHAT)\n"
        "    print('answered', flush=True)\n"
        "    time.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert ours.stdout is not None
    assert ours.stdout.readline() == b"answered\n"
    assert set(living(tmp_path / "pids")) == {"server", "orphan"}
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    ours.stdout.close()
    assert wait_until_gone(tmp_path / "pids") == {}


def test_a_server_that_does_not_start_is_quoted(fake: Path) -> None:
    args = {"executable": str(fake), "flag.broken": "true"}
    with pytest.raises(ModelUnavailable, match=r"did not start[\s\S]*no such architecture"):
        asyncio.run(ask("vllm/m", args, CHAT))


def test_the_first_error_of_a_long_log_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    worker = "(Worker pid=7) ValueError: Available memory is less than desired"
    log.write_text("\n".join(["started", worker, *["  frame"] * 400, "RuntimeError: See root cause above"]), "utf-8")
    said = VllmServer(["vllm"], log, start_timeout_s=1).tail()
    assert said.startswith(worker)
    assert said.endswith("See root cause above")
    assert len(said.splitlines()) < 12


def test_a_server_that_dies_is_quoted_and_stops_the_model(fake: Path) -> None:
    deadly = Request(Sampling(), messages=(Message("user", (TextPart("die"),)),))
    with pytest.raises(ModelUnavailable, match="ended while it was used"):
        asyncio.run(ask("vllm/m", {"executable": str(fake)}, deadly))


def test_arguments_become_flags_and_the_log_is_kept(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(tmp_path / "cache"))
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}", "utf-8")
    args = {
        "executable": str(fake),
        "dtype": "bfloat16",
        "max_model_len": "4096",
        "tensor_parallel_size": "2",
        "chat_template": str(template),
        "lora": "tuned=/some/where",
        "flag.trust-remote-code": "true",
        "flag.max_num_seqs": "7",
    }
    ((first, *_),) = asyncio.run(ask("vllm/m", args, CHAT))
    assert first.served_by == "tuned"
    (log,) = (tmp_path / "cache" / "servers").iterdir()
    said = log.read_text("utf-8")
    for part in (
        '"serve", "m"',
        '"--dtype", "bfloat16"',
        '"--max-model-len", "4096"',
        '"--tensor-parallel-size", "2"',
        f'"--chat-template", "{template}"',
        '"--enable-lora", "--lora-modules", "tuned=/some/where"',
        '"--trust-remote-code"',
        '"--max-num-seqs", "7"',
        '"--generation-config", "vllm"',
    ):
        assert part in said


@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_every_run_of_a_command_keeps_the_log_of_its_server(fake: Path, tmp_path: Path, device: str) -> None:
    command = ["run", "--model", "vllm/m", "--task", "shapes,comp", "--split", "generated", "--limit", "3"]
    command += ["--model-arg", f"executable={fake}", "--model-arg", f"device={device}", "--metrics", "validity"]
    result = CliRunner().invoke(app, [*command, "--runs-dir", str(tmp_path / "runs")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    logs = sorted((tmp_path / "runs" / "vllm" / "m").glob("*/vllm-*.log"))
    assert [log.parent.name.partition("@")[0] for log in logs] == ["comp", "shapes"]
    assert len({log.read_bytes() for log in logs}) == 1
    assert '"serve", "m"' in logs[0].read_text("utf-8")


def test_identity_holds_what_changes_answers_and_nothing_else(fake: Path) -> None:
    plain = open_model(resolve("vllm/m", {"executable": str(fake)})).identity
    speed = {"tensor_parallel_size": "2", "flag.max-num-seqs": "4", "start_timeout": "9", "device": "cpu"}
    assert open_model(resolve("vllm/m", {"executable": str(fake), **speed})).identity == plain
    for change in ({"dtype": "float16"}, {"lora": "a=b/c"}, {"flag.quantization": "fp8"}, {"temperature": "0.1"}):
        assert open_model(resolve("vllm/m", {"executable": str(fake), **change})).identity != plain


def test_a_folder_is_named_by_its_content(fake: Path, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(os.urandom(64) if name == "other" else b"x" * 9_000_000)
    assert checkpoint_fingerprint(tmp_path / "here") == checkpoint_fingerprint(tmp_path / "there")
    with (tmp_path / "there" / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"y")
    assert checkpoint_fingerprint(tmp_path / "here") != checkpoint_fingerprint(tmp_path / "there")
    args = {"executable": str(fake)}
    identity = open_model(resolve(f"vllm/{tmp_path / 'here'}", args)).identity
    assert identity["model"] == f"here {checkpoint_fingerprint(tmp_path / 'here')}"


def test_attaching_starts_nothing_and_takes_no_serving_arguments() -> None:
    with pytest.raises(UsageError, match="dtype would set up a server"):
        open_model(resolve("vllm/m", {"base_url": "http://127.0.0.1:1/v1", "dtype": "float16"}))
    model = open_model(resolve("vllm/m", {"base_url": "http://127.0.0.1:1/v1,http://127.0.0.1:2/v1"}))
    assert model.device is None
    assert model.accepts == {"messages", "text"}


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        ({"executable": "/nowhere/vllm"}, ModelUnavailable, "no program /nowhere/vllm"),
        ({"executabel": "x"}, UsageError, "Did you mean executable"),
        ({"max_model_len": "long"}, UsageError, "whole number"),
        ({"device": "tpu"}, UsageError, "gpu or cpu"),
        ({"chat_template": "/nowhere.jinja"}, ModelUnavailable, r"no chat template /nowhere\.jinja"),
    ],
)
def test_bad_arguments_are_one_line(args: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        open_model(resolve("vllm/m", args))
    assert "\n" not in str(caught.value)


def test_without_vllm_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="executable=PATH"):
        open_model(resolve("vllm/m"))


@pytest.mark.vllm
@pytest.mark.slow
def test_the_real_vllm_serves_a_checkpoint_both_ways() -> None:
    executable, folder = os.environ.get("SGPBENCH_TEST_VLLM"), os.environ.get("SGPBENCH_TEST_VLLM_MODEL")
    if not executable or not folder:
        pytest.skip("needs SGPBENCH_TEST_VLLM (the executable) and SGPBENCH_TEST_VLLM_MODEL (a checkpoint folder)")
    args = {
        "executable": executable,
        "dtype": "bfloat16",
        "max_model_len": "2048",
        "device": "cpu",
        "flag.gpu-memory-utilization": "0.2",  # On a CPU: of the memory.
    }
    chat = Request(Sampling(0.7, 1.0, 24), messages=(Message("user", (TextPart("Say a word."),)),), seeds=(1, 2))
    raw = Request(Sampling(0.0, 1.0, 64, stop=("three",), keep_stop=True), text="Count: one, two, three, one, two,")
    first, again = asyncio.run(ask(f"vllm/{folder}", args, chat, raw))
    print([completion.text for completion in (*first, *again)])
    assert len(first) == 2
    assert all(completion.text and completion.usage.output_tokens for completion in first)
    assert again[0].text.endswith("three")
    listening = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert folder not in listening


@pytest.mark.parametrize(
    "argument", ["flag.api-key", "flag.api_key", "flag.hf-token", "body.api_key", "header.Authorization"]
)
def test_no_argument_may_hold_a_key(fake: Path, argument: str) -> None:
    with pytest.raises(UsageError):
        open_model(resolve("vllm/m", {"executable": str(fake), argument: "Bearer sk-canary-0123456789abcdef"}))


def test_a_start_is_shared_and_outlives_those_who_give_up_waiting(fake: Path, tmp_path: Path) -> None:
    async def impatient() -> list[Completion]:
        model = open_model(resolve("vllm/my/model", {"executable": str(fake)}))
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await model.generate(CHAT)
            return list(await model.generate(CHAT))
        finally:
            await model.aclose()

    assert len(asyncio.run(impatient())) == 3
    assert len([path for path in (tmp_path / "pids").iterdir() if path.name.startswith("server")]) == 1

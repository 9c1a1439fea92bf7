"""What is deployed on Ray Serve, without starting Ray: bounds, devices, secrets and what replicas cannot keep to."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from errors import InvalidValueError
from server.config import ServerConfig
from server.replicas import Replicas, build, check_health, options
from server.serve_ray import cause, serve_ray, travelling

ROOT = Path(__file__).parents[2]


def test_a_fixed_number_and_bounds() -> None:
    fixed = options(ServerConfig(), Replicas(min_replicas=2, max_replicas=2))
    assert fixed["num_replicas"] == 2
    assert "autoscaling_config" not in fixed
    scaled = options(ServerConfig(), Replicas(min_replicas=1, max_replicas=4, sessions=30, downscale_delay=60))
    bounds = {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 30}
    assert scaled["autoscaling_config"] == {**bounds, "upscale_delay_s": 30, "downscale_delay_s": 60}
    assert "num_replicas" not in scaled
    with pytest.raises(ValidationError, match="at most max_replicas"):
        Replicas(min_replicas=2)


def test_one_device_a_replica_its_threads_its_grace_and_its_connections() -> None:
    gpu = options(ServerConfig(device="cuda", grace_seconds=300, max_connections=64), Replicas())
    assert gpu["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 1}
    assert (gpu["graceful_shutdown_timeout_s"], gpu["max_ongoing_requests"]) == (300, 64)
    assert options(ServerConfig(threads=3), Replicas())["ray_actor_options"] == {"num_cpus": 3, "num_gpus": 0}


@pytest.mark.parametrize("settings", [{"device": "cuda:1"}, {"record": Path("recordings")}, {"simuleval": "translate"}])
def test_what_replicas_cannot_keep_to_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        options(ServerConfig(**settings), Replicas())


def test_an_address_beyond_loopback_wants_keys_before_ray_is_started() -> None:
    with pytest.raises(InvalidValueError, match="--insecure allows it"):
        serve_ray(ServerConfig(host="0.0.0.0"), Replicas(), "local")  # noqa: S104 (refused)


def test_settings_travel_with_whole_paths_and_one_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    sent = travelling(ServerConfig(model=["model", "Qwen/Qwen2.5-3B-Instruct"]))
    assert sent["model"] == [str(tmp_path / "model"), "Qwen/Qwen2.5-3B-Instruct"]
    there = ServerConfig(**sent)
    assert there.token_secret is not None
    assert len(there.token_secret.get_secret_value()) == 64
    own = ServerConfig(token_secret=SecretStr("s" * 32))
    assert travelling(own)["token_secret"] == own.token_secret


def test_a_replica_is_sound_once_it_is_loaded_and_while_it_ticks() -> None:
    async def act() -> None:
        worker: Any = SimpleNamespace(loading=True, failed=None, stalled=False)
        waiting = asyncio.create_task(check_health(worker))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        worker.loading = False
        await waiting
        worker.stalled = True
        with pytest.raises(RuntimeError, match="stalled"):
            await check_health(worker)
        worker.failed = InvalidValueError("expected a model")
        with pytest.raises(InvalidValueError, match="expected a model"):
            await check_health(worker)

    asyncio.run(act())


def test_the_file_for_ray_is_one_that_it_takes_and_that_we_do() -> None:
    file = yaml.safe_load((ROOT / "deploy/ray/serve.yaml").read_text())
    (application,) = file["applications"]
    assert application["import_path"] == f"{build.__module__}:{build.__name__}"
    args = dict(application["args"])
    options(ServerConfig(**args.pop("settings")), Replicas(**args))
    schema = pytest.importorskip("ray.serve.schema", reason="the extra `ray` is not installed")
    schema.ServeDeploySchema.model_validate(file)


def test_of_a_replica_that_does_not_come_up_the_cause_is_told_without_tracebacks() -> None:
    told = (
        "The deployment failed to start 2 times in a row. See controller logs for details. Error:\n"
        "ray::ServeReplica.initialize_and_get_metadata() (pid=7)\n"
        '  File "replica.py", line 1, in initialize\n    raise RuntimeError(traceback.format_exc()) from None\n'
        "RuntimeError: Traceback (most recent call last):\n"
        '  File "loading.py", line 1, in locate\n    raise CheckpointError(f"expected: {reference!r}")\n'
        "errors.CheckpointError: expected a model folder, found nothing at '/nowhere'"
    )
    assert cause(told) == "CheckpointError: expected a model folder, found nothing at '/nowhere'"
    assert cause("No node has a GPU.") == "No node has a GPU."

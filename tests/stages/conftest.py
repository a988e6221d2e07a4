import pytest

from . import tiny


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tiny.make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data") / "sums.jsonl")


@pytest.fixture
def common(base, data, tmp_path):
    """The keys that all training stages share."""
    return {
        "model_name_or_path": str(base),
        "data": [{"path": str(data), "name": "sums"}],
        "prompt_template": "chat",
        "output_dir": str(tmp_path / "stage"),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_steps": 2,
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


@pytest.fixture
def grpo(common):
    return {
        **common,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_completion_length": 8,
        "rewards": [{"func": "tests.stages.tiny.digits"}],
    }

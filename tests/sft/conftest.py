from ..grpo.conftest import model_path


__all__ = ["model_path"]

"""
Rejection sampling: several completions per prompt, of which the right and readable ones are kept.

Paper, v1 2.3.3 and v2 B.3.3: several samples per prompt from the checkpoint of RL stage 1, only correct ones kept; some
prompts judged by a generative reward model; chains of thought with mixed languages, long paragraphs or code blocks
removed. Samples per prompt are not stated.
"""

from collections.abc import Callable

from ..sampling import Engine, SamplingConfig, accuracy_of, check_columns, named_rewards, sample, score_traces
from ..select import Selection, select
from ..trace import Trace
from .config import RejectionConfig
from .outputs import SFT_COLUMNS, read_held_out, read_rules, sft_row, write_outputs


def build_rejection(
    sampling: SamplingConfig,
    config: RejectionConfig,
    *,
    on_shard: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
) -> Selection:
    """
    Sample, select, and write what was kept.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`RejectionConfig`]):
            From which model, on which prompts, and what to keep.
        on_shard (`Callable`, *optional*):
            Called after each shard with the numbers of shards done and in all.
        engine ([`~sampling.Engine`], *optional*):
            What samples; by default the engine that `sampling` names.

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.StageError`]: if nothing was kept.
    """
    selection, style = sample_and_select(sampling, config, on_shard=on_shard, engine=engine)
    rows = [sft_row(trace, config.form, style) for trace in selection.kept]
    write_outputs(config.output_dir, rows, SFT_COLUMNS, selection.to_json())
    return selection


def sample_and_select(
    sampling: SamplingConfig,
    config: RejectionConfig,
    *,
    on_shard: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
    rewards: dict[str, Callable] | None = None,
) -> tuple[Selection, str]:
    """Sample completions with their rewards and apply the rules. Returns the selection and the completions' style."""
    from ..data import load_prompts, parse_sources

    rewards = rewards or load_named(config.rewards)
    rules = read_rules(config.rules, accuracy_of(rewards), sampling.seed)
    rows = load_prompts(parse_sources(config.data), sampling.seed)
    check_columns(rewards, rows.column_names)
    held_out = read_held_out(config.held_out)

    def score(traces: list[Trace]) -> list[Trace]:
        return score_traces(traces, rewards)

    traces = sample(
        config.model_name_or_path,
        rows,
        sampling,
        f"{config.output_dir}/traces",
        finish=score,
        finish_key=config.rewards,
        on_shard=on_shard,
        engine=engine,
    )
    return select(traces, rules, held_out), rules.style


def load_named(declared: list) -> dict[str, Callable]:
    """Return declared rewards by name."""
    from ..rewards.schedule import load_rewards

    return named_rewards(load_rewards(declared, where="rewards")[0])

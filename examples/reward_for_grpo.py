"""The reward of the paper's best model, as TRL's GRPOTrainer calls it.

With published weights::

    sgpbench metrics fetch siglip 'dino[fast]'
    python examples/reward_for_grpo.py

Without a download, see ``reward_tiny_weights.py``. In a training script the ``with`` block would hold::

    GRPOTrainer(model="Qwen/Qwen2.5-7B", reward_funcs=[reward], train_dataset=captions_and_references).train()
"""

from __future__ import annotations

from sgpbench.reward import SVGReward

REFERENCE = '<svg viewBox="0 0 100 100"><circle cx="50" cy="50" r="40" fill="red"/></svg>'
COMPLETIONS = {
    "as asked": f"<think>A circle will do.</think> {REFERENCE}",
    "wrong colour": REFERENCE.replace("red", "blue"),
    "chat messages": [{"role": "assistant", "content": REFERENCE}],
    "never closed": '<svg viewBox="0 0 100 100"><circle cx="50" cy="50" r="40" fill="red"/>',
    "no drawing": "I would rather not.",
}


def main() -> None:
    """Rewards five completions for one caption."""
    with SVGReward(text_weight=1.0, image_weight=1.0, gate=-1.0, device="cpu") as reward:
        count = len(COMPLETIONS)
        rewards = reward(
            prompts=["Draw a red circle as SVG."] * count,
            completions=list(COMPLETIONS.values()),
            caption=["a red circle"] * count,
            reference=[REFERENCE] * count,
        )
    for name, value in zip(COMPLETIONS, rewards, strict=True):
        print(f"{name:<14}{value:8.4f}")


if __name__ == "__main__":
    main()

"""Writes zoo/cards/NAME.md for each published model: python -m zoo.cards."""

from pathlib import Path

from keras_vae import hub, registry
from keras_vae.files import write_bytes
from keras_vae.hub import cards

CARDS = Path(__file__).parent / "cards"


def card(name: str) -> str:
    """Returns the card of a published model, beside NAME.png and NAME-latents.png."""
    entry = hub.info(name)
    # The pictures of zoo.publish: samples of whatever generates, and always test images.
    caption = cards.caption(samples=entry["generates"], images=True)
    repository = entry["repository"] if entry["revision"] else None
    pictures = {"picture": f"{name}.png", "caption": caption, "latents": f"{name}-latents.png"}
    return cards.model_card(entry, name=name, repository=repository, **pictures)


def main():
    for name in registry.entries():
        write_bytes(CARDS / f"{name}.md", card(name).encode())


if __name__ == "__main__":
    main()

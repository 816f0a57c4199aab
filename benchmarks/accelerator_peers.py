"""What benchmarks.accelerator measures of PyTorch and of Pythae, on the GPU if PyTorch sees one."""

from functools import partial

import torch

from benchmarks import peers
from benchmarks.accelerator_jax import POLICIES, images_of, rate

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def figures(contender, scale, networks, data):
    """Yields rows, or None for what does not run here."""
    for batch in scale["batches"]:
        # Pythae takes an image at a time from its data set: a quarter of them is enough to measure.
        n = scale["images"] if contender == "torch" else max(batch, scale["images"] // 4)
        images = images_of(data, n)
        for dtype in POLICIES if contender == "torch" else ["float32"]:
            for network in (name for name in networks if name != "ladder"):
                row = {"network": network, "dtype": dtype, "batch": batch}
                try:
                    if contender == "torch":
                        loop = _Loop(network, dtype, images, scale["compiled"])
                        name = "PyTorch, torch.compile" if scale["compiled"] else "PyTorch"
                    else:
                        loop, name = _Pythae(network, images), "Pythae"
                    speed = rate(partial(loop.train, batch), len(images), scale)
                    yield {"row": {**row, "contender": name, **speed}}
                except Exception as error:  # torch.compile needs a compiler on the machine
                    print(f"{contender} does not run {network}, {dtype}, {batch}: {error!r}"[:300])
                    yield None


class _Loop(peers.TorchLoop):
    """The plain loop with compiled networks, the images on the device."""

    def __init__(self, network, dtype, images, compiled):
        super().__init__(network, 28)
        networks = self.encoder.to(DEVICE), self.decoder.to(DEVICE)
        self.encoder, self.decoder = map(torch.compile, networks) if compiled else networks
        if network == "vq":
            state = (self.codebook, self.sums, self.frequency)
            self.codebook, self.sums, self.frequency = (each.to(DEVICE) for each in state)
        self.x = peers.as_tensor(images).to(DEVICE)
        self.autocast = torch.autocast(DEVICE, torch.bfloat16, enabled=dtype == "bfloat16")

    def train(self, batch, epochs):
        for _ in range(epochs):
            for indices in torch.randperm(len(self.x), device=DEVICE).split(batch):
                with self.autocast:
                    loss = self.batch_loss(self.x[indices])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        loss.item()


class _Pythae(peers.Pythae):
    """Pythae's own trainer."""

    def __init__(self, network, images):
        super().__init__(network, 28)
        self.images = images

    def train(self, batch, epochs):
        for _ in range(epochs):
            super().train(self.images, batch)

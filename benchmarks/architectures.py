"""The networks that every contender of benchmarks.speed builds."""

ARCHITECTURES = {
    "mlp": {"latent_dim": 16, "hidden_units": (512, 256)},
    "conv": {"latent_dim": 16, "filters": (32, 64), "hidden_units": (256,)},
    "vq": {"num_codes": 512, "code_dim": 64, "filters": (32, 64), "blocks": 2},
}

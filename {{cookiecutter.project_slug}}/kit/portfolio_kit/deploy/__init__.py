"""Scripts around a deployment: the environment, the image, a smoke test, the verdict on a model."""

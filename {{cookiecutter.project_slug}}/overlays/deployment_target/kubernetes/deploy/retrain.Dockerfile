# The training image: the pipeline's dependencies, locked with their hashes. deploy.sh builds it for the
# CronJob in base/retrain.yaml.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
# torch for the CPU: the registry's default build brings gigabytes for GPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY pyproject.toml ./
COPY requirements requirements
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/serve.lock \
    && pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation -r requirements/train.lock \
    && pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}" "$(grep -om1 'torch==[^"]*' pyproject.toml)"
COPY README.md LICENS[E] params.yaml ./
COPY src src
COPY kit kit
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
HEALTHCHECK NONE
USER 10001:10001
ENV HOME=/tmp PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true MPLCONFIGDIR=/tmp ORT_DISABLE_TELEMETRY=1

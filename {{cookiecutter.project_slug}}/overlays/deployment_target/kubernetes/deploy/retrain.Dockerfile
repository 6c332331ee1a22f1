# The training image: the pipeline's dependencies, pinned in pyproject.toml. deploy.sh builds it for the
# CronJob in base/retrain.yaml.
FROM python:3.11.14-slim-bookworm
# torch for the CPU: the registry's default build brings gigabytes for GPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY pyproject.toml ./
RUN python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *extras['serve'], *extras['train'], sep='\n')" > train.txt \
    && pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}" "$(grep '^torch==' train.txt)" \
    && pip install --no-cache-dir -r train.txt
COPY README.md LICENS[E] params.yaml ./
COPY src src
COPY kit kit
RUN pip install --no-cache-dir --no-deps .
HEALTHCHECK NONE
USER 10001:10001
ENV HOME=/tmp PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true MPLCONFIGDIR=/tmp ORT_DISABLE_TELEMETRY=1

# flows: Prefect's worker with all flows, PyTorch included; with other commands Prefect's server, MLflow, Feast.
#   docker build -f infra/docker/flows.Dockerfile -t freshet/flows .      (from the repository root)
FROM python:3.11.15-slim-bookworm AS packages
# An index with CPU builds of PyTorch, if wanted: the usual one brings CUDA along, several GB.
ARG PIP_EXTRA_INDEX_URL=
RUN python -m venv /opt/venv
COPY infra/docker/requirements/flows.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt

FROM python:3.11.15-slim-bookworm
# OpenMP, which LightGBM's wheel expects of the system
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin freshet \
    && install -d -o 10001 -g 10001 /var/lib/freshet
# What is written goes to /var/lib/freshet, which is kept, or to /tmp: all else may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    PREFECT_HOME=/tmp/prefect \
    MPLCONFIGDIR=/tmp/matplotlib \
    DO_NOT_TRACK=1 \
    FEAST_USAGE=False \
    MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    FRESHET_HOME=/var/lib/freshet \
    FRESHET_HOST=0.0.0.0
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY infra/*.py infra/
COPY feature_repo/*.py feature_repo/*.yaml feature_repo/.feastignore feature_repo/
COPY models/*.py models/
COPY flows/*.py flows/kubernetes_pool.json flows/prefect.yaml flows/
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
CMD ["prefect", "worker", "start", "--type", "process", "--pool", "freshet", "--install-policy", "never", "--with-healthcheck"]

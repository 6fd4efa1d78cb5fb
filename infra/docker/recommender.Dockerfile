# recommender: what `bentoml containerize recommender` makes, from the same list of files; no PyTorch in it.
#   docker build -f infra/docker/recommender.Dockerfile -t freshet/recommender .      (from the repository root)
FROM python:3.11.15-slim-bookworm AS packages
RUN python -m venv /opt/venv
COPY bento/recommender/requirements.txt /tmp/requirements.txt
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
    BENTOML_HOME=/tmp/bentoml \
    DO_NOT_TRACK=1 \
    BENTOML_DO_NOT_TRACK=True \
    MLFLOW_DISABLE_TELEMETRY=true \
    FRESHET_HOME=/var/lib/freshet \
    FRESHET_HOST=0.0.0.0
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY infra/__init__.py infra/database.py infra/kafka.py infra/lists.py infra/production.py infra/redis_url.py infra/settings.py infra/telemetry.py infra/tracing.py infra/
COPY feature_repo/*.py feature_repo/
COPY models/*.py models/
COPY bento/__init__.py bento/asgi.py bento/errors.py bento/served.py bento/stopping.py bento/
COPY bento/access/*.py bento/access/
COPY bento/recommender/*.py bento/recommender/
USER 10001:10001
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/health', timeout=2)"]
CMD ["bentoml", "serve", "bento.recommender.service:Recommender", "--host", "0.0.0.0", "--port", "8001"]

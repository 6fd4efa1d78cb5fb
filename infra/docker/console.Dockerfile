# console: the page's own API, below /api/console; nginx serves the page (frontend.Dockerfile).
#   docker build -f infra/docker/console.Dockerfile -t freshet/console .      (from the repository root)
FROM python:3.11.15-slim-bookworm AS packages
RUN python -m venv /opt/venv
COPY bento/console/requirements.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt

FROM python:3.11.15-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin freshet \
    && install -d -o 10001 -g 10001 /var/lib/freshet
# What is written goes to /var/lib/freshet, which is kept, or to /tmp: all else may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    DO_NOT_TRACK=1 \
    FEAST_USAGE=False \
    MLFLOW_DISABLE_TELEMETRY=true \
    FRESHET_HOME=/var/lib/freshet \
    FRESHET_HOST=0.0.0.0
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY infra/*.py infra/
COPY feature_repo/*.py feature_repo/*.yaml feature_repo/
COPY models/*.py models/
COPY bento/*.py bento/
COPY bento/access/*.py bento/access/
COPY bento/console/*.py bento/console/
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/api/console/ready', timeout=4)"]
CMD ["python", "-m", "bento.console"]

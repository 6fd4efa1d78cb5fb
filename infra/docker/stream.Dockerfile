# stream: the dataflow that makes features of events; with other commands outcomes, the eraser, topics.
#   docker build -f infra/docker/stream.Dockerfile -t freshet/stream .      (from the repository root)
FROM python:3.11.15-slim-bookworm AS packages
RUN python -m venv /opt/venv
COPY infra/docker/requirements/stream.txt /tmp/requirements.txt
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
    FRESHET_HOME=/var/lib/freshet \
    FRESHET_HOST=0.0.0.0
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY infra/*.py infra/
COPY feature_repo/*.py feature_repo/
COPY models/*.py models/
COPY flows/*.py flows/
COPY --chmod=0555 infra/docker/dataflow.sh /usr/local/bin/dataflow
USER 10001:10001
EXPOSE 9101 9121
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9101/metrics', timeout=2)"]
# dataflow MODULE FOLDER: makes the recovery store when there is none, then runs Bytewax in this shell's place
ENTRYPOINT ["dataflow"]
CMD ["flows.stream", "recovery"]

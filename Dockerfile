# Three images from one file; docker-compose.yaml builds them. None runs as root, none holds a secret.
#   airflow     every process of Airflow, `restar migrate`, `restar metrics`, MLflow: all of Re*Star
#   serving     `restar serve` alone: the inference engine and HTTP, no Airflow, no training code, no database driver
#   mail-relay  hands mails to your mail server
# The pins in requirements/*.txt are the ones that were tested. Base images are named by version; pin their digests too
# where you build for good (`docker buildx imagetools inspect`).

FROM python:3.11.13-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RESTAR_HOME=/var/lib/restar
# Named volumes take their owner from these folders.
RUN groupadd --gid 10001 restar \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/restar --shell /usr/sbin/nologin restar \
 && install --directory --owner=restar --group=restar /var/lib/restar
WORKDIR /opt/restar

# --- packages, in a stage that is thrown away: no installer in the images that run
FROM base AS builder
RUN python -m pip install --no-cache-dir uv==0.13.8 && uv venv /opt/venv --python /usr/local/bin/python3
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY pyproject.toml ./
COPY restar_lib/__init__.py restar_lib/

FROM builder AS airflow-packages
COPY requirements/run.txt requirements/
# The CPU build of torch; another machine: --build-arg TORCH_BACKEND=cu130
ARG TORCH_BACKEND=cpu
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/venv --torch-backend="${TORCH_BACKEND}" -r requirements/run.txt \
 && uv pip install --python /opt/venv --no-deps --build-constraints requirements/run.txt --editable .

FROM builder AS serving-packages
COPY requirements/run.txt requirements/serving.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/venv -r requirements/serving.txt \
 && uv pip install --python /opt/venv --no-deps --build-constraints requirements/run.txt --editable .

# --- the API
FROM base AS serving
COPY --from=serving-packages /opt/venv /opt/venv
# File by file: what serving does not need is not there to be imported. A test starts the API from exactly these.
COPY restar_lib/__init__.py restar_lib/domain.py restar_lib/atomic_files.py restar_lib/errors.py restar_lib/sentences.py restar_lib/text.py restar_lib/
COPY restar_lib/cli restar_lib/cli
COPY restar_lib/settings restar_lib/settings
COPY restar_lib/serving restar_lib/serving
COPY restar_lib/inference restar_lib/inference
COPY restar_lib/languages restar_lib/languages
COPY restar_lib/artifacts/__init__.py restar_lib/artifacts/model_loading.py restar_lib/artifacts/pointer.py restar_lib/artifacts/sealed_folder.py restar_lib/artifacts/
COPY restar_lib/ingest/__init__.py restar_lib/ingest/
COPY restar_lib/ingest/cleaning/__init__.py restar_lib/ingest/cleaning/clean.py restar_lib/ingest/cleaning/ratings.py restar_lib/ingest/cleaning/timestamps.py restar_lib/ingest/cleaning/
COPY include/config include/config
COPY include/production include/production
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["/opt/restar/include/production/healthy", "http://127.0.0.1:8000/health"]
CMD ["restar", "serve"]

# --- mail
FROM debian:12.12-slim AS mail-relay
# hadolint ignore=DL3008  # a relay wants its security fixes, and Debian keeps only the newest version
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates msmtp msmtp-mta \
 && rm -rf /var/lib/apt/lists/*
COPY include/mail/relay /opt/restar/include/mail/relay
USER 65534:65534
EXPOSE 8025
CMD ["/opt/restar/include/mail/relay"]

# --- Airflow and all of Re*Star; the last stage, so that a plain `docker build .` makes it
FROM base AS airflow
ENV AIRFLOW_HOME=/var/lib/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/restar/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/restar/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
RUN install --directory --owner=restar --group=restar /var/lib/airflow /var/lib/airflow/logs /reviews
COPY --from=airflow-packages /opt/venv /opt/venv
COPY restar_lib restar_lib
COPY dags dags
COPY plugins plugins
COPY include include
# The run-books that mails lead to.
COPY docs docs
USER 10001:10001
EXPOSE 8080
CMD ["airflow", "version"]

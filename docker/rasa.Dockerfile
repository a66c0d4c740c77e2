# The Rasa service in a container. Build from the project's root:
# docker build -f docker/rasa.Dockerfile -t worker-hotline-rasa .

FROM python:3.10-slim-bookworm AS build
# Set it to build from a mirror near you; left out, pip uses its own default.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 \
    PYTHONPATH=/srv/hotline/intents/rasa:/srv/hotline \
    PYTHONDONTWRITEBYTECODE=1 \
    RASA_TELEMETRY_ENABLED=false RASA_MAX_CACHE_SIZE=0 \
    OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3
WORKDIR /srv/hotline
RUN python -m venv .venv
COPY intents/rasa/requirements.lock intents/rasa/requirements.lock
RUN .venv/bin/pip install --no-deps --require-hashes -r intents/rasa/requirements.lock
COPY intents intents
COPY knowledge_base knowledge_base
WORKDIR /srv/hotline/intents/rasa
RUN ../../.venv/bin/python -m components.export ../../knowledge_base /srv/data > /srv/name \
    && ../../.venv/bin/python -m rasa train nlu --config config.yml --nlu /srv/data --domain domain.yml \
       --out /srv/hotline/models --fixed-model-name "$(cat /srv/name)" \
    && rm -rf .rasa

FROM python:3.10-slim-bookworm
RUN useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin hotline
COPY --from=build /srv/hotline /srv/hotline
ENV PATH=/srv/hotline/.venv/bin:$PATH \
    PYTHONPATH=/srv/hotline/intents/rasa:/srv/hotline \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RASA_TELEMETRY_ENABLED=false \
    OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 LOG_LEVEL=WARNING
WORKDIR /srv/hotline/intents/rasa
USER hotline
EXPOSE 5005
# Well only when a model is loaded and the token holds.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:5005/status?token=' + os.environ['HOTLINE_RASA_TOKEN'], timeout=4)"]
# The newest model in the folder is served: mount another folder there to bring your own.
CMD ["python", "-m", "components.service", "--model", "/srv/hotline/models", "--interface", "0.0.0.0"]

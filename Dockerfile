# CPU by default; for NVIDIA: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# Run: docker run --rm -p 127.0.0.1:8000:8000 -v proactivellm-models:/models --read-only --tmpfs /tmp --cap-drop ALL \
#          --security-opt no-new-privileges proactivellm
# Nothing but /models and /tmp is written to (torch does not start without a /tmp). With Prometheus and Grafana: deploy/README.md.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY pyproject.toml Makefile LICENSE README.md errors.py ./
COPY backbones backbones
COPY cli cli
COPY claims claims
COPY clients/python clients/python
COPY clients/javascript/src clients/javascript/src
COPY clients/web clients/web
COPY engine engine
COPY evaluation evaluation
COPY heads heads
COPY load load
COPY recipes recipes
COPY server server
COPY tasks tasks
COPY training training
COPY checkpoints checkpoints
# The Makefile's own steps, without the extras for development.
RUN make install EXTRAS= SIMULEVAL= PIP_EXTRA_INDEX_URL=${TORCH_INDEX} && .venv/bin/python -m compileall -q -x "\.venv" .

FROM python:${PYTHON}-slim
RUN useradd --no-create-home --home-dir /models --uid 10001 --shell /usr/sbin/nologin proactivellm && mkdir /models && chown 10001:10001 /models
COPY --from=build --chown=root:root /app /app
WORKDIR /app
# By number: a cluster that asks for a user who is not root must see that he is not.
USER 10001:10001
ENV PATH=/app/.venv/bin:$PATH PROACTIVELLM_CACHE=/models HF_HOME=/models/huggingface PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# A container's loopback is its own: --insecure binds beyond it. Publish the port to loopback only, as above, or give it keys (docs/security.md).
CMD ["proactivellm", "serve", "--host", "0.0.0.0", "--insecure"]

# CPU by default; for NVIDIA: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# Run: docker run --rm -p 127.0.0.1:8000:8000 -v proactivellm-models:/models proactivellm
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY pyproject.toml Makefile LICENSE README.md errors.py ./
COPY backbones backbones
COPY cli cli
COPY clients/python clients/python
COPY engine engine
COPY evaluation evaluation
COPY heads heads
COPY server server
COPY tasks tasks
COPY training training
COPY checkpoints checkpoints
# The Makefile's own steps, without the extras for development.
RUN make install EXTRAS= SIMULEVAL= PIP_EXTRA_INDEX_URL=${TORCH_INDEX}

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 10001 proactivellm && mkdir /models && chown proactivellm /models
COPY --from=build --chown=root:root /app /app
WORKDIR /app
USER proactivellm
ENV PATH=/app/.venv/bin:$PATH PROACTIVELLM_CACHE=/models PYTHONUNBUFFERED=1 HF_HOME=/models/huggingface
VOLUME /models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# A container's loopback is its own: --insecure binds beyond it. Publish the port to loopback only, as above, until the server has keys.
CMD ["proactivellm", "serve", "--host", "0.0.0.0", "--insecure"]

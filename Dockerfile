# The images of explr; docs/guides/docker.md tells how to use them.
#
#   docker build --target runtime -t explr:runtime .   explr and libtorch: runs built plugins
#   docker build --target dev -t explr:dev .           also Rust, C++ and the SDK: builds plugins
#   docker build --target mlflow -t explr:mlflow .     the MLflow server
#
# CUDA is that of the torch wheel, so the base is plain Debian. All that the host needs is
# its driver and the NVIDIA Container Toolkit.

FROM debian:trixie-slim AS python
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /setup


# libtorch out of the wheel: PyPI's, with CUDA 12.8 and hashes, or that of another index.
FROM python AS libtorch
ARG TORCH_INDEX=
COPY requirements.in requirements.lock ./
RUN python3 -m venv venv \
    && if [ -z "$TORCH_INDEX" ]; then \
        awk '/^[a-z]/ { wanted = /^(torch|nvidia-[a-z0-9-]+)==/ } wanted' requirements.lock >torch.lock \
        && set -- --require-hashes -r torch.lock; \
    else \
        grep '^torch==' requirements.in >torch.in \
        && set -- --index-url "$TORCH_INDEX" -r torch.in; \
    fi \
    && venv/bin/pip install --no-cache-dir --no-compile --no-deps --target wheels "$@" \
    && mkdir -p /opt/libtorch/torch /opt/libtorch/nvidia \
    && mv wheels/torch/lib wheels/torch/include wheels/torch/version.py /opt/libtorch/torch/ \
    && for lib in wheels/nvidia/*/lib; do \
        [ ! -d "$lib" ] || { part=/opt/libtorch/${lib#wheels/} && mkdir -p "${part%/lib}" && mv "$lib" "$part"; }; \
    done \
    && rm -rf venv wheels


FROM rust:1.95-slim-trixie AS source
WORKDIR /opt/explr
COPY Cargo.toml Cargo.lock README.md ./
COPY src src
COPY crates crates
COPY templates templates
COPY benches benches
COPY tests tests


FROM source AS build
RUN cargo build --locked --release -p explr


FROM source AS dev
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home explr \
    && install -d -o explr -g explr /work \
    && install -d -m 1777 /cache
COPY --from=libtorch /opt/libtorch /opt/libtorch
COPY --from=build /opt/explr/target/release/explr /usr/local/bin/
# What cargo downloads and builds goes to /cache, which any user may write to.
ENV LIBTORCH=/opt/libtorch/torch CARGO_HOME=/cache/cargo CARGO_TARGET_DIR=/cache/target
USER 1000
WORKDIR /work
ENTRYPOINT ["explr"]
CMD ["--help"]


FROM python AS mlflow
COPY requirements.mlflow.lock ./
RUN python3 -m venv /opt/mlflow \
    && /opt/mlflow/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.mlflow.lock \
    && useradd --uid 1000 --create-home mlflow \
    && install -d -o mlflow -g mlflow /data
ENV PATH=/opt/mlflow/bin:$PATH
USER 1000
WORKDIR /data
EXPOSE 5000
CMD ["mlflow", "server", "--host", "0.0.0.0", "--workers", "1", \
    "--backend-store-uri", "sqlite:////data/mlflow.db", "--artifacts-destination", "/data/artifacts"]


# The last target is what `docker build .` makes.
FROM debian:trixie-slim AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home explr \
    && install -d -o explr -g explr /work
COPY --from=libtorch /opt/libtorch/nvidia /opt/libtorch/nvidia
COPY --from=libtorch /opt/libtorch/torch/lib /opt/libtorch/torch/lib
COPY --from=libtorch /opt/libtorch/torch/version.py /opt/libtorch/torch/
COPY --from=build /opt/explr/target/release/explr /usr/local/bin/
ENV LIBTORCH=/opt/libtorch/torch
USER 1000
WORKDIR /work
ENTRYPOINT ["explr"]
CMD ["--help"]

# The images of explr; docs/guides/docker.md tells how to use them.
#
#   docker build -t explr:runtime .                    explr and libtorch: runs built plugins
#   docker build --target dev -t explr:dev .           with Rust, C++ and the SDK: builds them too
#   docker build --target mlflow -t explr:mlflow .     the MLflow server
#
# CUDA comes with the torch wheel, so the base is plain Debian. The host needs a driver and the
# NVIDIA Container Toolkit.

FROM rust:1.95-slim-trixie AS rust


FROM debian:trixie-slim AS python
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /setup


# The libraries and headers of the torch wheel, laid out as in it: that of PyPI, with CUDA 12.8
# and checked by its hash, or that of another index.
FROM python AS libtorch
ARG TORCH_INDEX=
COPY requirements.in requirements.lock ./
WORKDIR /setup/wheels
RUN python3 -m venv ../venv \
    && if [ -z "$TORCH_INDEX" ]; then \
        awk '/^[a-z]/ { wanted = /^(torch|nvidia-[a-z0-9-]+)==/ } wanted' ../requirements.lock >../torch.txt \
        && set -- --require-hashes; \
    else \
        grep '^torch==' ../requirements.in >../torch.txt \
        && set -- --index-url "$TORCH_INDEX"; \
    fi \
    && ../venv/bin/pip install --no-cache-dir --no-compile --no-deps --target . "$@" -r ../torch.txt \
    && mkdir -p /opt/libtorch/nvidia \
    && for part in torch/lib torch/include torch/version.py nvidia/*/lib; do \
        [ ! -e "$part" ] || cp -al --parents "$part" /opt/libtorch || exit 1; \
    done \
    && rm -rf /setup/*


FROM rust AS build
WORKDIR /opt/explr
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY crates crates
COPY templates templates
COPY benches benches
COPY tests tests
COPY python python
RUN cargo build --locked --release -p explr \
    && mv target/release/explr /usr/local/bin/ \
    && rm -rf target


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


# What both images below have in common and changes seldom: they share its layers.
FROM debian:trixie-slim AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home explr \
    && install -d -o explr -g explr /work
COPY --from=libtorch /opt/libtorch/nvidia /opt/libtorch/nvidia
COPY --from=libtorch /opt/libtorch/torch/lib /opt/libtorch/torch/lib
COPY --from=libtorch /opt/libtorch/torch/version.py /opt/libtorch/torch/
ENV LIBTORCH=/opt/libtorch/torch
WORKDIR /work
ENTRYPOINT ["explr"]
CMD ["--help"]


FROM base AS dev
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -m 1777 /cache
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo/bin /usr/local/cargo/bin
COPY --from=libtorch /opt/libtorch/torch/include /opt/libtorch/torch/include
# The SDK, where `explr init` looks for it.
COPY --from=build /opt/explr /opt/explr
COPY --from=build /usr/local/bin/explr /usr/local/bin/
# What cargo downloads and builds lands in /cache, which every user may write to.
ENV PATH=/usr/local/cargo/bin:$PATH \
    RUSTUP_HOME=/usr/local/rustup \
    CARGO_HOME=/cache/cargo \
    CARGO_TARGET_DIR=/cache/target
USER 1000


# Last, so that it is what `docker build .` makes.
FROM base AS runtime
COPY --from=build /usr/local/bin/explr /usr/local/bin/
USER 1000

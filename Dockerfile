# Two stages: build with the toolchain, run with nothing but the binary and root certificates.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package offpath

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home offpath
COPY --from=build /src/target/release/offpath /usr/local/bin/offpath
USER offpath
# Listeners are the configuration's; telemetry for probes is 9902 by default.
EXPOSE 8080 9902
ENTRYPOINT ["/usr/local/bin/offpath"]
CMD ["run", "--config", "/etc/offpath/offpath.yaml"]

# The worker's image, and with --target sdk the one in which processors are built. docs/containers.md tells how to use both.
#
#   docker build -t whippet --build-arg COMMIT="$(git describe --always --dirty --abbrev=12)" .
#   docker build -t whippet-sdk --target sdk .
#   docker build --build-arg BASE=debian:trixie-slim .
ARG BASE=debian:bookworm-slim

# What building takes. Stays cached until scripts/setup changes.
FROM ${BASE} AS tools
WORKDIR /source
COPY scripts/lib/say.sh scripts/lib/
COPY scripts/setup scripts/
RUN scripts/setup build && rm -rf /var/lib/apt/lists/* /var/cache/apt/*

FROM tools AS build
COPY . .
ARG VERSION=0.1.0
ARG COMMIT=unknown
# The label and the program must not tell different versions.
RUN grep -q "^project(whippet VERSION ${VERSION} " CMakeLists.txt \
    || { echo "VERSION is ${VERSION}, but CMakeLists.txt says: $(grep '^project' CMakeLists.txt)" >&2; exit 1; }
RUN cmake --preset release -G Ninja -D CMAKE_INSTALL_PREFIX=/usr -D WHIPPET_COMMIT="${COMMIT}" \
    && cmake --build build/release \
    && DESTDIR=/staged cmake --install build/release --strip

# What a user's own Dockerfile builds processors in: a compiler, the headers, and whippet itself to try them.
FROM tools AS sdk
COPY --from=build /staged /
WORKDIR /srv/whippet

FROM ${BASE} AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libcjson1 libcurl4 libev4 libmicrohttpd12 librabbitmq4 libssl3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN groupadd --system --gid 10001 whippet \
    && useradd --system --uid 10001 --gid whippet --no-create-home --home-dir /srv/whippet \
               --shell /usr/sbin/nologin whippet \
    && install --directory --owner 10001 --group 10001 /var/lib/whippet
# Processors are looked for in ./processors, the configuration in ./whippet.json and /etc/whippet/whippet.json.
WORKDIR /srv/whippet
COPY --from=build /staged/usr/bin /usr/bin
COPY --from=build /staged/usr/lib /usr/lib
USER 10001:10001
ARG VERSION=0.1.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="whippet" \
      org.opencontainers.image.description="An asynchronous RabbitMQ consumer service" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
STOPSIGNAL SIGTERM
ENTRYPOINT ["whippet"]
CMD ["run"]

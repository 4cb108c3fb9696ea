# The worker's image and some more; docs/containers.md tells how to use them. For amd64 and arm64.
#
#   docker build -t whippet --build-arg COMMIT="$(git describe --always --dirty --abbrev=12)" .
#   docker build -t whippet-sdk --target sdk .            in which processors are built
#   docker build -t whippet-debian --target debian .      the worker on Debian, for whoever needs apt-get in it
#   docker build --target packages --output packages .    the .deb files
#   docker build --build-arg BASE=debian:trixie-slim .
ARG BASE=debian:bookworm-slim

# What building takes. Stays cached until scripts/setup changes.
FROM ${BASE} AS tools
WORKDIR /source
COPY scripts/lib/say.sh scripts/lib/
COPY scripts/setup scripts/
RUN scripts/setup build image && rm -rf /var/lib/apt/lists/* /var/cache/apt/*

# What the dashboard's charts are drawn with; its page does without where npm's registry is out of reach.
FROM tools AS charts
COPY src/admin/dashboard/package-lock.json src/admin/dashboard/
COPY deploy/docker/charts deploy/docker/
ARG NPM_REGISTRY=https://registry.npmjs.org
RUN deploy/docker/charts src/admin/dashboard "${NPM_REGISTRY}"

FROM tools AS build
COPY . .
COPY --from=charts /source/src/admin/dashboard/ src/admin/dashboard/
ARG VERSION=0.1.0
ARG COMMIT=unknown
# Further options for CMake, to leave clients out: "-D WHIPPET_HTTP=OFF".
ARG OPTIONS=
# The label and the program must not tell different versions.
RUN grep -q "^project(whippet VERSION ${VERSION} " CMakeLists.txt \
    || { echo "VERSION is ${VERSION}, but CMakeLists.txt says: $(grep '^project' CMakeLists.txt)" >&2; exit 1; }
# Processors are in /usr/lib/whippet/processors, whatever the machine: a user's Dockerfile names that folder.
RUN cmake --preset release -G Ninja -D CMAKE_INSTALL_PREFIX=/usr -D CMAKE_INSTALL_LIBDIR=lib \
          -D WHIPPET_COMMIT="${COMMIT}" ${OPTIONS} \
    && cmake --build build/release \
    && DESTDIR=/staged cmake --install build/release --strip \
    && DESTDIR=/staged-runtime cmake --install build/release --strip --component runtime

# What a user's own Dockerfile builds processors in: a compiler, the headers, and whippet itself to try them.
FROM tools AS sdk
COPY --from=build /staged /
# There is no make.
ENV CMAKE_GENERATOR=Ninja
WORKDIR /srv/whippet
ARG VERSION=0.1.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="whippet-sdk" \
      org.opencontainers.image.description="What processors for Whippet are built with" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

FROM build AS gathered
RUN deploy/docker/root /staged-runtime /gathered/root

# Nothing but the worker, what it is linked with, and a small shell for exec's commands.
FROM scratch AS runtime
COPY --from=gathered /gathered/root /
# Processors are looked for in ./processors, then in /usr/lib/whippet/processors; the configuration in ./whippet.json, then in
# /etc/whippet/whippet.json.
WORKDIR /srv/whippet
USER 10001:10001
ARG VERSION=0.1.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="whippet" \
      org.opencontainers.image.description="An asynchronous RabbitMQ consumer service" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["whippet", "healthcheck", "--fallback", "http://127.0.0.1:9464"]
ENTRYPOINT ["whippet"]
CMD ["run"]

# Debian packages of the worker and of what processors are built with. With BuildKit they come out into a folder:
#   docker build --target packages --output packages .
FROM build AS packaging
RUN scripts/setup package && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN cd build/release && cpack -G DEB -B /packages && rm -r /packages/_CPack_Packages

FROM scratch AS packages
COPY --from=packaging /packages /

# For processors that need more than the worker's image has, an interpreter for exec's commands, say:
#   FROM whippet-debian
#   USER root
#   RUN apt-get update && apt-get install --yes --no-install-recommends python3
#   USER 10001:10001
FROM ${BASE} AS debian
COPY --from=gathered /gathered/packages /tmp/packages
RUN apt-get update \
    && xargs apt-get install --yes --no-install-recommends ca-certificates </tmp/packages \
    && rm -rf /tmp/packages /var/lib/apt/lists/* /var/cache/apt/* \
    && groupadd --system --gid 10001 whippet \
    && useradd --system --uid 10001 --gid whippet --no-create-home --home-dir /srv/whippet \
               --shell /usr/sbin/nologin whippet \
    && install --directory --owner=whippet --group=whippet /var/lib/whippet
COPY --from=build /staged-runtime /
WORKDIR /srv/whippet
USER 10001:10001
ARG VERSION=0.1.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="whippet" \
      org.opencontainers.image.description="An asynchronous RabbitMQ consumer service, on Debian" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["whippet", "healthcheck", "--fallback", "http://127.0.0.1:9464"]
ENTRYPOINT ["whippet"]
CMD ["run"]

# What is built without --target. It stands apart, so that builders without BuildKit, which build every stage down to the
# target, are done with "runtime" before they come to "debian".
FROM runtime

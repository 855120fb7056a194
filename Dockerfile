# The Node of package.json's devDependencies; a test holds the two together.
ARG NODE_VERSION=24.21.0
FROM node:${NODE_VERSION}-bookworm-slim AS libraries
WORKDIR /opt/roundsman
COPY package.json package-lock.json ./
# Neither optional native code nor install scripts: ssh2 uses Node's own crypto, nothing is compiled.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

# Without npm, yarn and what else the image of Node brings along.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --home-dir /var/lib/roundsman --no-create-home --shell /usr/sbin/nologin roundsman \
 && install -d -o roundsman -g roundsman -m 0700 /var/lib/roundsman \
 && install -d -m 0755 /etc/roundsman \
 && ln -s /opt/roundsman/bin/roundsman.js /usr/local/bin/roundsman
COPY --from=libraries /usr/local/bin/node /usr/local/bin/node
WORKDIR /opt/roundsman
COPY --from=libraries /opt/roundsman/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY src ./src

ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="roundsman" \
      org.opencontainers.image.description="Backs up the configurations of network devices and knows when it did not" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# A heap for each thread keeps what was freed in all of them: an eighth of the memory, for nothing.
ENV MALLOC_ARENA_MAX=1
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
VOLUME ["/var/lib/roundsman"]
# SIGTERM drains the sessions in progress: give it time (docker stop --time, stop_grace_period).
STOPSIGNAL SIGTERM
# Node is process 1 and answers signals itself. It reaps its own children, not those that a killed child
# leaves behind: run with --init (compose.yaml does) where they should not add up.
ENTRYPOINT ["node", "/opt/roundsman/bin/roundsman.js"]
CMD ["daemon", "--config", "/etc/roundsman/roundsman.yaml"]
# The address of `http.listen`; the start is allowed its recovery after a crash.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9724/-/healthy').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

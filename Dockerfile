FROM node:24-bookworm-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends git ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/roundsman --create-home --shell /usr/sbin/nologin roundsman

WORKDIR /opt/roundsman
COPY package.json package-lock.json ./
# No optional native code and no install scripts: ssh2 falls back to node's own crypto.
RUN npm ci --omit=dev --omit=optional --ignore-scripts
COPY bin ./bin
COPY src ./src

USER roundsman
VOLUME ["/var/lib/roundsman", "/etc/roundsman"]
ENTRYPOINT ["node", "/opt/roundsman/bin/roundsman.js"]
CMD ["--help"]

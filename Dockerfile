# The control plane in a container. It needs a container engine's socket to run tasks: see compose.yaml for how, and for what that means.

FROM node:26-slim AS build
WORKDIR /src
# What the preparation reads, so that a change of the program alone does not install and generate anew.
COPY package.json package-lock.json .npmrc buf.gen.yaml buf.yaml ./
COPY scripts ./scripts
COPY protos ./protos
RUN node scripts/prepare.mjs
COPY . .
RUN npm run build && npm prune --omit=dev --omit=optional --no-audit --no-fund

FROM node:26-slim
# iptables: the metadata server answers at its real address where this container may set rules (see docs/networking.md).
RUN apt-get update && apt-get install -y --no-install-recommends iptables iproute2 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/actas
COPY --from=build /src/package.json /src/LICENSE ./
COPY --from=build /src/bin ./bin
COPY --from=build /src/dist ./dist
COPY --from=build /src/node_modules ./node_modules
RUN ln -s /opt/actas/bin/actas.js /usr/local/bin/actas && install -d -o node -g node -m 0700 /data
ENV NODE_ENV=production ACTAS_DATA_DIR=/data ACTAS_LOG_FORMAT=json
VOLUME /data
EXPOSE 8787
# Not root. Whoever runs it gives it the engine's socket by that socket's group (compose.yaml: group_add).
USER node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["actas", "status", "--quiet"]
ENTRYPOINT ["actas"]
CMD ["up"]

# One image for every service; the command says which:
#   docker run IMAGE services/journal/main.js --config /etc/meridian/journal.yaml
# There is no HEALTHCHECK: the services answer the gRPC health protocol, which orchestrators ask themselves.

FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY libs libs
COPY services services
COPY test test
RUN npm run build && rm -rf dist/test
RUN npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
RUN groupadd --system --gid 7400 meridian \
  && useradd --system --uid 7400 --gid meridian --no-create-home --shell /usr/sbin/nologin meridian \
  && install -d -m 0700 -o meridian -g meridian /var/lib/meridian
WORKDIR /opt/meridian/dist
COPY --from=build /build/package.json ../package.json
COPY --from=build /build/node_modules ../node_modules
COPY --from=build /build/dist .
COPY --from=build /build/services/console ../services/console
USER meridian
VOLUME /var/lib/meridian
EXPOSE 7400 7401 7600 7700
ENTRYPOINT ["node", "--enable-source-maps"]
CMD ["services/journal/main.js", "--help"]

# frontend: the page, built, in nginx that also passes /api on; neither Node nor Python in it.
#   docker build -f infra/docker/frontend.Dockerfile -t freshet/frontend .      (from the repository root)
FROM node:24.21.0-bookworm-slim AS page
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY docs/openapi /src/docs/openapi
COPY frontend/ ./
# Compressed once, as well as can be, instead of for every visitor.
RUN npm run build \
    && find dist -type f -size +1023c \( -name '*.css' -o -name '*.html' -o -name '*.js' -o -name '*.json' -o -name '*.svg' \) \
        -exec gzip --keep --best --no-name {} +

FROM nginxinc/nginx-unprivileged:1.28.0-alpine
# Where the services are: INGEST_URL, RECOMMENDER_URL, CONSOLE_URL, as http://host:port, host by its full name.
# The image's own entry point fills the template in; it writes to /etc/nginx/conf.d and /tmp, all else may be read-only.
ENV FRESHET_CONSOLE_PORT=8080 \
    FRESHET_MAX_BODY_BYTES=1048576 \
    PAGE_ROOT=/usr/share/nginx/page \
    CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    NGINX_ENTRYPOINT_LOCAL_RESOLVERS=1
COPY infra/nginx/page.conf.template /etc/nginx/templates/default.conf.template
COPY --from=page /src/frontend/dist /usr/share/nginx/page
USER 101:101
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz"]

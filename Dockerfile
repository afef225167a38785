# syntax=docker/dockerfile:1

FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.buildVersion=${VERSION} -X main.buildCommit=${COMMIT}" \
      -o /keystone-gateway ./cmd/keystone-gateway

FROM alpine:3.22
RUN apk add --no-cache ca-certificates tzdata \
 && adduser -D -H -u 10001 keystone \
 && install -d -o keystone /var/lib/keystone-gateway
COPY --from=build /keystone-gateway /usr/local/bin/keystone-gateway
# The example tree: mount your own at /srv, or name a repository in settings.
COPY configs /srv/configs
COPY scripts /srv/scripts
WORKDIR /srv
USER keystone
EXPOSE 8080
# The admin listener, on loopback by default; change both together.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD wget -q -O /dev/null http://127.0.0.1:9090/healthz || exit 1
ENTRYPOINT ["keystone-gateway"]
CMD ["run", "-config", "configs/production.yaml"]

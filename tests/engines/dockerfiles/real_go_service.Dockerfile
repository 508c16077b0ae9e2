ARG GO_VERSION=1.22
FROM --platform=$BUILDPLATFORM corpus/base AS base
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -mod=readonly"
FROM base AS deps
COPY src/x.py go.mod
RUN --mount=type=cache,target=/go/pkg/mod,id=corpus-go mkdir -p /go/pkg/mod/cache && echo dl > /go/pkg/mod/cache/x
FROM deps AS build
ARG TARGETOS TARGETARCH
ARG VERSION=dev
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build,id=corpus-gb \
    --mount=type=bind,source=src,target=/bind \
    GOOS=${TARGETOS} GOARCH=$TARGETARCH sh -c 'echo "$GOOS/$GOARCH ${VERSION} $(ls /bind)" > /bin/app' && chmod +x /bin/app
FROM scratch AS bin
COPY --from=build /bin/app /app
FROM corpus/base AS final
COPY --link --from=build --chown=65532:65532 /bin/app /usr/local/bin/app
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/app"]

FROM --platform=$BUILDPLATFORM corpus/base AS build
RUN echo built > /o
FROM --platform=$TARGETPLATFORM corpus/base
COPY --from=build /o /o

# The image holds the binary and nothing else: no shell, no libraries. See docs/configuration.md for how to run it.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /holdfast ./cmd/holdfast && mkdir -m 700 /data

FROM scratch
COPY --from=build /holdfast /holdfast
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV HOLDFAST_DATA=/data HOLDFAST_LISTEN=0.0.0.0:4566
VOLUME /data
EXPOSE 4566
ENTRYPOINT ["/holdfast"]
CMD ["serve"]

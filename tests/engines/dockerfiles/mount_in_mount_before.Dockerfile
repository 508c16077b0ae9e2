FROM corpus/base
RUN --mount=type=bind,source=src,target=/c/in/side --mount=type=cache,target=/c,id=corpus-rev ls /c > /o; ls /c/in/side >> /o || true

FROM corpus/base
RUN touch "/with space" "/$(printf "new\nline")" /-dash /ünïcode "/a\"b" '/back\slash' /.hidden "/$(printf '\377')" && mkdir "/d d" && touch "/d d/…"
RUN n=$(printf 'x%.0s' $(seq 200)); mkdir -p /$n/$n && echo x > /$n/$n/$n && ln -s /$n/$n/$n /link

FROM corpus/base
ARG V="1 2"
LABEL org.label-schema.name="x" \
      org.label-schema.version=$V \
      # comment
      "with space"="v" \
      multi="a \
b"    \
      esc="say \"hi\" \\ \$V" \
      sq='it "is" $V'
LABEL a.b/c=d=e= ${V}=x
LABEL "a"="b""c"'d'
LABEL k=${V:+yes}${NO-def}

FROM corpus/base
MAINTAINER Some Body <some@body.example>

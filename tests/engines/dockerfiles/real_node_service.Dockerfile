FROM corpus/base AS deps
WORKDIR /app
COPY ["a.txt", "b.txt*", "./"]
RUN mkdir node_modules && cp a.txt node_modules/ && ln -s ../a.txt node_modules/.bin
FROM deps AS dev
ENV NODE_ENV=development
CMD ["npm","run","dev"]
FROM deps AS prod
ENV NODE_ENV production
COPY --chown=app:app --from=deps /app/node_modules ./node_modules
COPY --chown=app:app src ./src
USER app
EXPOSE 3000/tcp 9229
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \
  CMD wget -qO- http://localhost:3000/healthz || exit 1
CMD [ "node", "src/index.js" ]

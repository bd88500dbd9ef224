# One image for every process: `wallet migrate`, `wallet engine`, `wallet projector`, `wallet api`.
FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/wallet
WORKDIR /src

# Dependencies first: they change less often than the code. Everything by hash, and what builds
# the package stays behind in this stage.
COPY requirements.txt requirements-build.txt ./
RUN /opt/wallet/bin/pip install --require-hashes --requirement requirements.txt \
    && pip install --require-hashes --requirement requirements-build.txt

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY engine engine
COPY projections projections
COPY audit audit
COPY api api
COPY cli cli
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/wallet/bin/pip install --no-deps dist/*.whl


FROM python:3.11-slim

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin wallet
COPY --from=build /opt/wallet /opt/wallet
ENV PATH=/opt/wallet/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001

EXPOSE 8080
STOPSIGNAL SIGTERM
# Of the API, which is what runs if nothing else is named; compose says its own for the others.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["wallet"]
CMD ["api"]

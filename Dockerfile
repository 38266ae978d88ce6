# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/bridge
COPY requirements/runtime.txt requirements/build.txt requirements/
# lxml and xmlsec must share one libxml2, which only their wheels do.
RUN /opt/bridge/bin/pip install --no-cache-dir --require-hashes --only-binary lxml,xmlsec -r requirements/runtime.txt
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/bridge/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/bridge --create-home bridge
COPY --from=build /opt/bridge /opt/bridge
ENV PATH=/opt/bridge/bin:$PATH PYTHONUNBUFFERED=1
USER bridge
# bridge.yaml and tenants/ are mounted at /etc/bridge; a SQLite state belongs on the volume:
# state: sqlite:////var/lib/bridge/bridge.db
VOLUME /var/lib/bridge
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/health', timeout=2)"]
# The address in bridge.yaml is loopback unless it says otherwise, and nobody outside the container reaches that. For the
# internal listener set internal_token and add `--internal-listen 0.0.0.0:8081`, published to nobody but the platform.
ENTRYPOINT ["kombo-bridge"]
CMD ["serve", "--config", "/etc/bridge/bridge.yaml", "--listen", "0.0.0.0:8080"]

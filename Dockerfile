# freshet in one image: worker, API and command line.  docker build -t freshet:0.1.0 .
FROM python:3.11-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/freshet
# hnswlib is compiled for the building CPU unless told otherwise; the image runs on others too.
ENV HNSWLIB_NO_NATIVE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY streams ./streams
COPY online_models ./online_models
COPY serving ./serving
COPY evaluation ./evaluation
RUN /opt/freshet/bin/pip install --constraint constraints.txt '.[bucket,otel]'

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home freshet \
 && install -d -o freshet -g freshet /var/lib/freshet
COPY --from=build /opt/freshet /opt/freshet
ENV PATH=/opt/freshet/bin:$PATH PYTHONUNBUFFERED=1
USER freshet
WORKDIR /home/freshet
VOLUME /var/lib/freshet
ENTRYPOINT ["freshet"]
CMD ["--help"]

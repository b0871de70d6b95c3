"""The process that serves the local model: llama.cpp's own HTTP server from the ``xllamacpp`` wheel.

Run by a minder as ``python -m memory.embedded.model_host FOLDER`` (the argument is there for ``ps``), configured
by one JSON document on standard input. Writes ``endpoint.json`` once it listens, and then only waits to be ended.
llama.cpp checks the key on every route but ``/health``; a client that hangs up ends its generation.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from memory.embedded.folder import write_private

HOST = "127.0.0.1"
WARNINGS_ONLY = 2  # llama.cpp's scale; one level up it writes six lines per request


def main() -> None:
    """Load, listen, wait."""
    config: dict[str, Any] = json.load(sys.stdin)
    endpoint = Path(config["endpoint"])
    llama = importlib.import_module("xllamacpp")  # the heavy one, and without types
    server = _listen(llama, config, _port_before(endpoint))
    write_private(
        endpoint,
        json.dumps(
            {
                "pid": os.getpid(),
                "address": f"{server.listening_address}/v1",
                "version": f"{config['model_id']} on xllamacpp {llama.__version__}",
            }
        ).encode(),
    )
    while True:
        signal.pause()


def _port_before(endpoint: Path) -> int:
    """The port of the process that we replace, so that its users need not learn a new one; 0 for any."""
    try:
        return int(json.loads(endpoint.read_bytes())["address"].rsplit(":", 1)[1].split("/")[0])
    except (FileNotFoundError, ValueError, KeyError, IndexError):
        return 0


def _listen(llama: Any, config: dict[str, Any], port: int) -> Any:
    try:
        return llama.Server(_parameters(llama, config, port))
    except RuntimeError:
        if port == 0:
            raise
        return llama.Server(_parameters(llama, config, 0))  # someone else took it meanwhile


def _parameters(llama: Any, config: dict[str, Any], port: int) -> Any:
    """What to serve; everything that is not chat is switched off."""
    it = llama.CommonParams()
    it.model.path = config["weights"]
    it.model_alias = {config["model_id"]}
    it.hostnames = [HOST]
    it.port = port
    it.api_keys = [config["api_key"]]
    it.n_parallel = config["slots"]
    it.n_ctx = config["slots"] * config["context"]
    it.cpuparams.n_threads = config["threads"]
    it.cpuparams_batch.n_threads = config["threads"]
    it.n_threads_http = config["connections"]
    it.cache_ram_mib = config["cache_mb"]
    it.n_gpu_layers = 0
    it.fit_params = False
    it.warmup = False
    it.ui = False
    it.endpoint_slots = False
    it.cors_origins, it.cors_origins_explicit, it.cors_credentials = "", True, False
    it.verbosity = WARNINGS_ONLY
    return it


if __name__ == "__main__":
    main()
